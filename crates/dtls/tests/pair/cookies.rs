//! Before there is an association.

use std::time::Duration;

use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Association, Cid, Config, Connect, DropReason, Host, Suite};
use lightship_platform::crypto::FastCrypto;
use lightship_platform::{Instant, SeededRng};
use proptest::prelude::*;

use crate::harness::{config, pair, psk_connect};

/// A server's front, and the first hello of a client.
struct Door {
    cookies: Cookies,
    rng: SeededRng,
    config: Config,
    now: Instant,
}

impl Door {
    fn new() -> Self {
        let mut rng = SeededRng::from_number(7);
        let now = Instant::from_secs(50);
        let cookies = Cookies::new(now, &mut rng);
        Self { cookies, rng, config: config(Suite::PskAes128Ccm8), now }
    }

    fn host(&mut self) -> (&mut Cookies, Host<'_>) {
        let host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        (&mut self.cookies, host)
    }

    fn judge<'a>(&mut self, from: &[u8], datagram: &'a [u8], out: &mut [u8]) -> Verdict<'a> {
        let (cookies, mut host) = self.host();
        cookies.judge(&mut host, from, datagram, out)
    }

    /// What the client says, and what it says when it has the cookie.
    fn hellos(&mut self, from: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.hellos_of(from, psk_connect())
    }

    fn hellos_of(&mut self, from: &[u8], connect: Connect) -> (Vec<u8>, Vec<u8>) {
        let mut out = [0; 1500];
        let (_, mut host) = self.host();
        let mut client = Association::connect(&mut host, connect);
        let len = client.poll_transmit(&mut host, &mut out).unwrap().len;
        let first = out[..len].to_vec();
        let Verdict::Answer(len) = self.judge(from, &first, &mut out) else { panic!("no cookie") };
        let (_, mut host) = self.host();
        client.handle_record(&mut host, lightship_dtls::Path::Current, &mut out[..len], &mut 0);
        let len = client.poll_transmit(&mut host, &mut out).unwrap().len;
        (first, out[..len].to_vec())
    }
}

const HERE: &[u8] = b"192.0.2.1:5000";

// Proves: DTL-12
#[test]
fn nothing_is_allocated_before_the_cookie() {
    let mut door = Door::new();
    let (first, second) = door.hellos(HERE);
    let mut wrong = second.clone();
    // Behind the headers of record and message: version, random, no session ID, the cookie's length.
    wrong[25 + 2 + 32 + 1 + 1] ^= 1;
    let mut out = [0; 256];
    let info = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert!(matches!(door.judge(HERE, &first, &mut out), Verdict::Answer(_)));
            assert!(matches!(door.judge(HERE, &wrong, &mut out), Verdict::Answer(_)));
            assert!(matches!(door.judge(HERE, b"\x42\x01\x12\x34", &mut out), Verdict::Drop(_)));
        }
    });
    assert_eq!((info.count_total, info.bytes_total), (0, 0));
}

// Proves: DTL-12
#[test]
fn a_cookie_is_good_for_its_address_its_hello_and_its_time() {
    let mut door = Door::new();
    let (_, second) = door.hellos(HERE);
    let mut out = [0; 256];
    let is_proven = |verdict: Verdict<'_>| matches!(verdict, Verdict::Proven(_));
    assert!(is_proven(door.judge(HERE, &second, &mut out)));
    assert!(!is_proven(door.judge(b"192.0.2.2:5000", &second, &mut out)));
    // The random, the suites and compression are covered; extensions are not, so that one fragment will do.
    for at in [25 + 2, 25 + 2 + 32 + 1 + 1 + 16 + 2] {
        let mut other = second.clone();
        other[at] ^= 1;
        assert!(!is_proven(door.judge(HERE, &other, &mut out)));
    }
    // The secret changes after a minute, and the one before is still good for another.
    door.now += Duration::from_secs(61);
    assert!(is_proven(door.judge(HERE, &second, &mut out)));
    door.now += Duration::from_secs(61);
    assert!(!is_proven(door.judge(HERE, &second, &mut out)));
    let (_, second) = door.hellos(HERE);
    assert!(is_proven(door.judge(HERE, &second, &mut out)));
    door.now += Duration::from_secs(3600);
    assert!(!is_proven(door.judge(HERE, &second, &mut out)));
}

#[test]
fn an_answer_takes_its_numbers_from_the_hello_and_is_shorter() {
    let mut door = Door::new();
    let (first, mut second) = door.hellos(HERE);
    let mut out = [0; 256];
    let Verdict::Answer(len) = door.judge(HERE, &first, &mut out) else { panic!("no cookie") };
    assert!(len < first.len());
    assert_eq!(out[3..11], first[3..11]);
    // A cookie that is not good is as good as none.
    second[25 + 2 + 32 + 1 + 1] ^= 1;
    let Verdict::Answer(len) = door.judge(HERE, &second, &mut out) else { panic!("no cookie") };
    assert!(len < second.len());
    assert_eq!(out[3..11], second[3..11]);
    assert_eq!(out[13 + 4..13 + 6], [0, 1]);
    // The shortest hello there is.
    let mut shortest = hex(SHORTEST);
    let Verdict::Answer(len) = door.judge(HERE, &shortest, &mut out) else { panic!("no cookie") };
    assert!(len <= shortest.len());
    // Where there is no room for an answer there is none.
    assert!(matches!(door.judge(HERE, &shortest, &mut out[..20]), Verdict::Drop(_)));
    shortest.truncate(60);
    assert!(matches!(door.judge(HERE, &shortest, &mut out), Verdict::Drop(_)));
}

const SHORTEST: &str = "16feff000000000000000000360100002a000000000000002afefd\
    111111111111111111111111111111111111111111111111111111111111111100000002c0a80100";

// Proves: DTL-12, DTL-13
#[test]
fn a_hello_in_fragments_is_judged_by_its_first() {
    let mut door = Door::new();
    door.config.datagram_len_max = 200;
    door.config.suites = Suite::ALL.to_vec();
    let name = "a.very.long.name.that.makes.the.hello.of.this.device.longer.than.one.datagram.may.be.on.this.network.example";
    let connect = Connect { server_name: Some(name.into()), ..psk_connect() };
    let (first, second) = door.hellos_of(HERE, connect);
    assert!(first.len() <= 200);
    let mut out = [0; 256];
    let Verdict::Proven(hello) = door.judge(HERE, &second, &mut out) else { panic!("not proven") };
    let (_, mut host) = door.host();
    let mut server = Association::accept(&mut host, hello, Cid::EMPTY, &[]);
    // It waits for the rest.
    assert!(server.poll_transmit(&mut host, &mut out).is_none() && server.poll_event().is_none());
    // And the whole exchange works.
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.client.config.datagram_len_max = 200;
    pair.client.config.suites = Suite::ALL.to_vec();
    pair.connect(Connect { server_name: Some(name.into()), ..psk_connect() });
    assert!(pair.wire.len() > 1);
    pair.run_through(&crate::harness::CALM);
    pair.assert_talks();
}

#[test]
fn what_is_no_hello_is_dropped() {
    let table = [
        ("42011234aabbb27264", DropReason::Malformed),
        ("16feff00000000000000000000", DropReason::Handshake),
        ("16feff0000000000000000ffff01010101", DropReason::TooLong),
        ("16fefd00000000000000010000", DropReason::Handshake),
        ("63fefd0000000000000000000100", DropReason::Malformed),
        ("1603030000000000000000000401000000", DropReason::Malformed),
        ("17fefd0000000000000001000568656c6c6f", DropReason::NoSession),
        ("14fefd0000000000000000000101", DropReason::NoSession),
        ("15fefd000000000000000900020228", DropReason::NoSession),
        ("17fefd00010000000000000018000000000000000000000000000000000000000000000000", DropReason::NoSession),
        ("19fefd0001000000000000dead001000000000000000000000000000000000", DropReason::NoSession),
        // Suites of odd length, a fragment beyond its message, a message too long.
        (
            "16feff000000000000000000370100002b000000000000002bfefd1111111111111111111111111111111111111111111111\
             11111111111111111100000003c0a8000100",
            DropReason::Handshake,
        ),
        (
            "16feff000000000000000000360100000a000000000000002afefd1111111111111111111111111111111111111111111111\
             11111111111111111100000002c0a80100",
            DropReason::Handshake,
        ),
        (
            "16feff0000000000000000002001ffffff00000000000000140000000000000000000000000000000000000000",
            DropReason::Handshake,
        ),
    ];
    let mut door = Door::new();
    let mut out = [0; 256];
    for (text, reason) in table {
        let Verdict::Drop(dropped) = door.judge(HERE, &hex(text), &mut out) else { panic!("{text}") };
        assert_eq!(dropped, reason, "{text}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

proptest! {
    #[test]
    fn anybodys_bytes_are_judged_and_never_answered_with_more(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        at in 0..150_usize,
        value: u8,
        cut in 0..200_usize,
    ) {
        let mut door = Door::new();
        let (_, second) = door.hellos(HERE);
        let mut out = [0; 256];
        let mut damaged = second.clone();
        if let Some(byte) = damaged.get_mut(at) {
            *byte = value;
        }
        damaged.truncate(cut);
        for datagram in [noise, damaged] {
            if let Verdict::Answer(len) = door.judge(HERE, &datagram, &mut out) {
                prop_assert!(len <= datagram.len());
            }
        }
    }
}
