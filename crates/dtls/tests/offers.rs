//! What a server chooses of what a ClientHello offers, seen in its first flight.

use std::sync::Arc;

use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Association, Cid, Config, Host, OwnKey};
use lightship_platform::crypto::{Crypto as _, FastCrypto};
use lightship_platform::{Instant, SeededRng};

/// A ClientHello for `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` with these certificate types, the preferred first.
fn hello(cookie: &[u8], client_types: &[u8], server_types: &[u8]) -> Vec<u8> {
    let mut extensions = vec![0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    for (number, types) in [(19, client_types), (20, server_types)] {
        let count = u8::try_from(types.len()).expect("two at most");
        extensions.extend([0, number, 0, count + 1, count]);
        extensions.extend(types);
    }
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.push(0);
    body.push(u8::try_from(cookie.len()).expect("short"));
    body.extend(cookie);
    body.extend([0, 2, 0xc0, 0xae, 1, 0, 0, u8::try_from(extensions.len()).expect("short")]);
    body.extend(extensions);
    let len = u8::try_from(body.len()).expect("short");
    let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len + 12];
    datagram.extend([1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
    datagram.extend(body);
    datagram
}

/// The server's certificate type in its ServerHello, of a server that has a key with and without a certificate.
fn chosen(client_types: &[u8], server_types: &[u8]) -> Option<u8> {
    let key = FastCrypto.signing_key(&[1; 32]).expect("a number below the order");
    let own = OwnKey { names: Vec::new(), key: Arc::from(key), chain: vec![vec![0x30, 0]] };
    let config = Config { keys: vec![own], ..Config::default() };
    let mut rng = SeededRng::from_number(1);
    let mut cookies = Cookies::new(Instant::ZERO, &mut rng);
    let mut host = Host { now: Instant::ZERO, crypto: &FastCrypto, rng: &mut rng, config: &config };
    let mut out = [0; 2000];
    let first = hello(&[], client_types, server_types);
    let Verdict::Answer(len) = cookies.judge(&mut host, b"here", &first, &mut out) else {
        panic!("a cookie")
    };
    let second = hello(&out[28..len], client_types, server_types);
    let Verdict::Proven(proven) = cookies.judge(&mut host, b"here", &second, &mut out) else {
        panic!("proven")
    };
    let mut association = Association::accept(&mut host, proven, Cid::EMPTY, &[]);
    let sent = association.poll_transmit(&mut host, &mut out)?;
    // Extension 20 with its one byte, somewhere in the ServerHello.
    out[..sent.len].windows(5).find(|bytes| bytes[..4] == [0, 20, 0, 1]).map(|bytes| bytes[4])
}

#[test]
fn a_server_presents_the_kind_of_key_that_its_client_shows_if_it_may() {
    assert_eq!(chosen(&[2], &[2]), Some(2));
    assert_eq!(
        chosen(&[2], &[0, 2]),
        Some(2),
        "libcoap with a raw key would take either, and has no authority"
    );
    assert_eq!(chosen(&[0], &[2, 0]), Some(0));
    assert_eq!(chosen(&[2], &[0]), Some(0), "nothing else is offered");
}
