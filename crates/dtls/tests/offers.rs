//! What a server chooses of what a ClientHello offers, seen in its first flight.

use std::sync::Arc;

use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Alert, Association, Cid, Config, Event, Failure, Fault, Host, OwnKey};
use lightship_platform::crypto::{Crypto as _, FastCrypto};
use lightship_platform::{Instant, SeededRng};

/// What a ClientHello offers, the preferred first.
struct Offered<'a> {
    compression: &'a [u8],
    client_types: &'a [u8],
    server_types: &'a [u8],
}

/// A ClientHello for `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`.
fn hello(cookie: &[u8], offered: &Offered<'_>) -> Vec<u8> {
    let mut extensions = vec![0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    for (number, types) in [(19, offered.client_types), (20, offered.server_types)] {
        let count = u8::try_from(types.len()).expect("two at most");
        extensions.extend([0, number, 0, count + 1, count]);
        extensions.extend(types);
    }
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.push(0);
    body.push(u8::try_from(cookie.len()).expect("short"));
    body.extend(cookie);
    body.extend([0, 2, 0xc0, 0xae, u8::try_from(offered.compression.len()).expect("few")]);
    body.extend(offered.compression);
    body.extend([0, u8::try_from(extensions.len()).expect("short")]);
    body.extend(extensions);
    let len = u8::try_from(body.len()).expect("short");
    let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len + 12];
    datagram.extend([1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
    datagram.extend(body);
    datagram
}

/// The first datagram of a server that has a key with and without a certificate, and what its association came to.
fn answered(offered: &Offered<'_>) -> (Vec<u8>, Option<Failure>) {
    let key = FastCrypto.signing_key(&[1; 32]).expect("a number below the order");
    let own = OwnKey { names: Vec::new(), key: Arc::from(key), chain: vec![vec![0x30, 0]] };
    let config = Config { keys: vec![own], ..Config::default() };
    let mut rng = SeededRng::from_number(1);
    let mut cookies = Cookies::new(Instant::ZERO, &mut rng);
    let mut host = Host { now: Instant::ZERO, crypto: &FastCrypto, rng: &mut rng, config: &config };
    let mut out = [0; 2000];
    let first = hello(&[], offered);
    let Verdict::Answer(len) = cookies.judge(&mut host, b"here", &first, &mut out) else {
        panic!("a cookie")
    };
    let second = hello(&out[28..len], offered);
    let Verdict::Proven(proven) = cookies.judge(&mut host, b"here", &second, &mut out) else {
        panic!("proven")
    };
    let mut association = Association::accept(&mut host, proven, Cid::EMPTY, &[]);
    let sent = association.poll_transmit(&mut host, &mut out).expect("an answer");
    let failed = |event| if let Event::Failed(failure) = event { Some(failure) } else { None };
    let failure = core::iter::from_fn(|| association.poll_event()).find_map(failed);
    (out[..sent.len].to_vec(), failure)
}

/// The server's certificate type in its ServerHello.
fn chosen(client_types: &[u8], server_types: &[u8]) -> Option<u8> {
    let (sent, _) = answered(&Offered { compression: &[0], client_types, server_types });
    // Extension 20 with its one byte, somewhere in the ServerHello.
    sent.windows(5).find(|bytes| bytes[..4] == [0, 20, 0, 1]).map(|bytes| bytes[4])
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

// RFC 5246 §7.4.1.2: every hello has null among its ways of compression. RFC 7925 §5: nothing is compressed.
// Proves: DTL-14
#[test]
fn nothing_is_compressed_whatever_is_offered() {
    let offering = |compression| answered(&Offered { compression, client_types: &[2], server_types: &[2] });
    for among_others in [&[0][..], &[1, 0], &[0, 1], &[1, 64, 0, 255]] {
        let (sent, failure) = offering(among_others);
        assert_eq!((sent[0], sent[13], failure), (22, 2, None), "a ServerHello for {among_others:?}");
        // Behind record, message, version, random, session ID and suite.
        let compression = 13 + 12 + 2 + 32 + 1 + usize::from(sent[13 + 12 + 2 + 32]) + 2;
        assert_eq!((&sent[compression - 2..compression], sent[compression]), (&[0xc0, 0xae][..], 0));
    }
    for without_null in [&[1][..], &[64, 255], &[1; 9]] {
        let (sent, failure) = offering(without_null);
        assert_eq!((sent[0], &sent[13..]), (21, &[2, 47][..]), "illegal_parameter for {without_null:?}");
        assert_eq!(failure, Some(Failure::AlertSent(Alert::ILLEGAL_PARAMETER, Fault::BadMessage)));
    }
}
