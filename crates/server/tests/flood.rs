//! What floods through DTLS leave in memory: once the pool and the tables are full, nothing; and never more than the limits say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::OwnKey;
use lightship_platform::Instant;
use lightship_platform::crypto::{Crypto as _, FastCrypto};
use lightship_server::limits::FAILURES_TOLD_A_MINUTE;
use lightship_server::{Config, Event, Security, SecurityEvent, SecurityLimits, SecurityStats, Shard};

/// How far an attacker goes, each from an address of its own.
#[derive(Clone, Copy, Debug)]
enum Abuse {
    /// ClientHellos without cookies.
    Hellos,
    /// The server's flight is never answered, in a handshake with a shared key.
    Unfinished,
    /// The same with signatures.
    UnfinishedSigned,
    /// A shared key's identity is named, and Finished is wrong.
    WrongFinished,
    /// The longest Certificate that is put together, but for its end.
    HalfCertificates,
    /// Single bytes at the ends of the longest messages.
    FarBytes,
}

const ALL: [Abuse; 6] = [
    Abuse::Hellos,
    Abuse::Unfinished,
    Abuse::UnfinishedSigned,
    Abuse::WrongFinished,
    Abuse::HalfCertificates,
    Abuse::FarBytes,
];

/// A shard with default limits, and who floods it.
struct Flood {
    shard: Shard,
    now: Instant,
    attackers: u32,
    /// Failures that the host was told of.
    told: u64,
}

const PSK_CCM8: u16 = 0xc0a8;
const ECDSA_CCM8: u16 = 0xc0ae;
const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;

impl Flood {
    fn new() -> Self {
        let mut security = Security::new(Arc::new(FastCrypto));
        let key = rcgen::KeyPair::generate().expect("a key").serialize_der();
        let key = FastCrypto.signing_key(&key).expect("a key");
        let dtls = Arc::make_mut(&mut security.dtls);
        dtls.keys = vec![OwnKey { names: Vec::new(), key: key.into(), chain: Vec::new() }];
        let config = Config { security: Some(security), ..Config::default() };
        Self { shard: Shard::new(config, [7; 32]), now: Instant::from_secs(1000), attackers: 0, told: 0 }
    }

    fn stats(&self) -> SecurityStats {
        self.shard.stats().security
    }

    /// Gives a datagram to the shard; what it answers comes back.
    fn give(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        self.shard.handle_secured_input(self.now, from, &mut datagram);
        let (mut out, mut back) = ([0; 2048], Vec::new());
        while let Some(sent) = self.shard.poll_transmit(&mut out) {
            back.extend(out.get(..sent.len).map(<[u8]>::to_vec));
        }
        // A host that is too slow for all of it.
        while let Some(event) = self.shard.poll_event() {
            let failed = matches!(event, Event::Security(SecurityEvent::HandshakeFailed { .. }));
            self.told += u64::from(failed);
        }
        back
    }

    /// One attacker after another, from many networks, within a few seconds.
    fn flood(&mut self, abuse: Abuse, attackers: u32) {
        for _ in 0..attackers {
            self.attackers += 1;
            let from = SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + self.attackers * 3).into(), 5684);
            self.attack(from, abuse);
            self.now += Duration::from_micros(200);
            if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
                self.shard.handle_timeout(self.now);
                self.give(from, &[]);
            }
        }
    }

    fn attack(&mut self, from: SocketAddr, abuse: Abuse) {
        let signed = matches!(abuse, Abuse::UnfinishedSigned | Abuse::HalfCertificates | Abuse::FarBytes);
        let suite = if signed { ECDSA_CCM8 } else { PSK_CCM8 };
        let back = self.give(from, &message(1, 0, &hello(&[], suite)));
        let cookie = back.first().and_then(|bytes| bytes.get(28..)).expect("a cookie").to_vec();
        if matches!(abuse, Abuse::Hellos) {
            return;
        }
        let flight = self.give(from, &message(1, 1, &hello(&cookie, suite)));
        assert!(!flight.is_empty(), "{abuse:?} gets a flight");
        match abuse {
            Abuse::Hellos | Abuse::Unfinished | Abuse::UnfinishedSigned => {}
            Abuse::WrongFinished => {
                self.give(from, &message(16, 2, &[0, 4, b'l', b'a', b'm', b'p']));
                self.give(from, &[20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1]);
                let mut finished = record(&[0x5a; 40]);
                finished[4] = 1;
                self.give(from, &finished);
            }
            Abuse::HalfCertificates => {
                for offset in (0..8000).step_by(1000) {
                    self.give(from, &record(&fragment(CERTIFICATE, 8190, 2, offset, &[0x30; 1000])));
                }
            }
            Abuse::FarBytes => {
                for sequence in 2..10 {
                    self.give(from, &record(&fragment(CERTIFICATE, 8190, sequence, 8189, &[1])));
                }
            }
        }
    }
}

fn record(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1];
    bytes.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend(body);
    bytes
}

fn fragment(kind: u8, total: u32, sequence: u16, offset: u32, part: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(&total.to_be_bytes()[1..]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(&offset.to_be_bytes()[1..]);
    bytes.extend(&u32::try_from(part.len()).expect("short").to_be_bytes()[1..]);
    bytes.extend(part);
    bytes
}

fn message(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    record(&fragment(kind, u32::try_from(body.len()).expect("short"), sequence, 0, body))
}

fn hello(cookie: &[u8], suite: u16) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.extend([0, u8::try_from(cookie.len()).expect("short")]);
    body.extend(cookie);
    body.extend([0, 2]);
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    // P-256, ECDSA with SHA-256, raw public keys both ways, extended master secret.
    let mut extensions = vec![0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    extensions.extend([0, 19, 0, 2, 1, 2, 0, 20, 0, 2, 1, 2, 0, 23, 0, 0]);
    body.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    body.extend(extensions);
    body
}

/// What a flood adds to what is kept, and the most that it added for a while.
fn memory(flood: &mut Flood, abuse: Abuse, attackers: u32) -> (i64, i64) {
    let info = allocation_counter::measure(|| flood.flood(abuse, attackers));
    (info.bytes_current, i64::try_from(info.bytes_max).expect("not so much"))
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("not so much")
}

// Proves: SEC-07
#[test]
fn a_second_flood_of_any_kind_adds_nothing_to_the_first_and_all_stay_within_the_limits() {
    let mut flood = Flood::new();
    let limits = SecurityLimits::default();
    let full = u32::try_from(limits.handshakes).expect("few") + 200;
    let (mut live, mut most) = (0, 0);
    for abuse in ALL {
        let (grown, peak) = memory(&mut flood, abuse, full);
        most = most.max(live + peak);
        live += grown;
        assert!(matches!(abuse, Abuse::Hellos) || flood.stats().handshakes >= u64::from(full) - 201);
        assert!(flood.stats().handshake_bytes <= u64::try_from(limits.handshake_bytes).expect("not so much"));
    }
    let fixed = signed(limits.handshakes * FIXED);
    let ceiling = signed(limits.handshake_bytes) + fixed;
    assert!(most <= ceiling, "{most} bytes, and the limits say {ceiling}");
    // The pool and every table have been as full as they get. How much is in it now depends on what came last, and on nothing else.
    let mut after = Vec::new();
    for abuse in AGAIN.into_iter().chain(AGAIN) {
        let (grown, peak) = memory(&mut flood, abuse, full);
        assert!(live + peak <= most + SLACK, "{abuse:?}: {} bytes, {most} before", live + peak);
        live += grown;
        after.push(live);
    }
    let (second, third) = after.split_at(AGAIN.len());
    for (second, third) in second.iter().zip(third) {
        assert!(third.abs_diff(*second) <= SLACK.unsigned_abs(), "{second} bytes, then {third}");
    }
    let info = allocation_counter::measure(|| {
        flood.now += Duration::from_secs(200);
        flood.shard.handle_timeout(flood.now);
        flood.give(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), &[]);
    });
    live += info.bytes_current;
    assert_eq!(flood.stats().handshakes, 0);
    let (stats, minutes) = (flood.stats(), 2);
    let failures = stats.handshakes_begun;
    assert_eq!(flood.told + stats.failures_untold, failures, "each failure is told or counted");
    assert!(flood.told <= minutes * 3 * u64::from(FAILURES_TOLD_A_MINUTE), "{} of {failures}", flood.told);
    assert!(stats.failures_untold > failures / 2, "the host is not kept busy");
    assert!(live <= fixed, "{live} bytes are left, as room for the next ones");
}

/// Those that leave something different each.
const AGAIN: [Abuse; 4] = [Abuse::Unfinished, Abuse::Hellos, Abuse::WrongFinished, Abuse::HalfCertificates];
/// What one handshake takes beside the association's part: its place in the tables, its timer, what the host was asked.
const FIXED: usize = 1024;
/// What two equal floods may differ by, of twenty million: which of the big ones gave way.
const SLACK: i64 = 64 << 10;
