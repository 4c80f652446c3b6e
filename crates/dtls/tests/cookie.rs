//! The stateless exchange before an association, on ClientHellos put together by hand.

use lightship_dtls::Config;
use lightship_dtls::Host;
use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_platform::crypto::FastCrypto;
use lightship_platform::{Instant, SeededRng};

/// A ClientHello with one suite and no extensions.
fn hello(random: u8, session_id: &[u8], cookie: &[u8], suite: u16) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([random; 32]);
    for part in [session_id, cookie] {
        body.push(u8::try_from(part.len()).expect("short"));
        body.extend(part);
    }
    body.extend([0, 2]);
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    let len = u8::try_from(body.len()).expect("short");
    let mut message = vec![1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len];
    message.extend(body);
    let len = u8::try_from(message.len()).expect("short");
    let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len];
    datagram.extend(message);
    datagram
}

/// What becomes of a second ClientHello after the first got its cookie.
fn second(from: &[u8], first: &[u8], then: impl Fn(&[u8]) -> Vec<u8>, then_from: &[u8]) -> bool {
    let config = Config::default();
    let mut rng = SeededRng::from_number(1);
    let mut cookies = Cookies::new(Instant::ZERO, &mut rng);
    let mut out = [0; 200];
    let mut host = Host { now: Instant::ZERO, crypto: &FastCrypto, rng: &mut rng, config: &config };
    let Verdict::Answer(len) = cookies.judge(&mut host, from, first, &mut out) else {
        panic!("a hello without a cookie gets one")
    };
    assert!(len <= first.len(), "never more than came");
    let cookie = out[28..len].to_vec();
    matches!(cookies.judge(&mut host, then_from, &then(&cookie), &mut out), Verdict::Proven(_))
}

#[test]
fn a_cookie_is_good_for_its_address_and_hello_only() {
    let first = hello(7, &[], &[], 0xc0a8);
    assert!(second(b"here", &first, |cookie| hello(7, &[], cookie, 0xc0a8), b"here"));
    assert!(!second(b"here", &first, |cookie| hello(7, &[], cookie, 0xc0a8), b"there"));
    assert!(!second(b"here", &first, |cookie| hello(8, &[], cookie, 0xc0a8), b"here"));
    assert!(!second(b"here", &first, |cookie| hello(7, &[], cookie, 0x00a8), b"here"));
    assert!(!second(b"here", &first, |cookie| hello(7, &[], &vec![0; cookie.len()], 0xc0a8), b"here"));
}

// Mbed TLS 2.28 makes up a new session ID for each ClientHello that carries a ticket, though RFC 6347 §4.2.1 forbids it.
#[test]
fn a_hello_may_change_its_session_id_with_the_cookie() {
    let first = hello(7, &[1; 32], &[], 0xc0a8);
    assert!(second(b"here", &first, |cookie| hello(7, &[2; 32], cookie, 0xc0a8), b"here"));
}
