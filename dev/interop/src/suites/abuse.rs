//! Floods and false starts through DTLS while honest devices keep working, with figures.
//!
//! `cargo xtask interop --only abuse` is short; with `LIGHTSHIP_ABUSE_FACTOR=50` each attack is so many times longer.

use super::dtls::{put_credential, security};
use super::dtls_peers::{End, KEY, Library, SUITES};
use super::{World, start};
use crate::keys::Keys;
use crate::lightship::Serve;
use crate::process::pause;
use crate::relay::{Relay, unchanged};
use crate::report::{Check, Report, holds, say};
use crate::secure::Tunnel;
use crate::wire::Socket;
use crate::wire_dtls::{
    CERTIFICATE, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ECDSA_CCM8, HANDSHAKE, PSK_CCM8, Raw, fragment, hello,
    in_words, message, record, signing_extensions,
};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// So that an attack of any length finds the pool full: as much memory as ever it takes.
const POOL: &str = "handshakes_max = 256\n";
/// What the process may grow by in one attack, in KiB: a pool of each shard, once.
const GROWTH_KIB_MAX: u64 = 6 * 1024;
/// The longest that an honest device may wait for its answer meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two of its Updates, whose events the server remembers for a while.
const BREATH: Duration = Duration::from_millis(20);

struct Town {
    serve: Serve,
    at: SocketAddr,
    honest: Tunnel,
    location: String,
    relay: Relay,
    factor: usize,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let Some(mut town) = start(report, "abuse/starts", || Town::open(world)) else { return };
    report.case("abuse/forged-hellos", || town.survives("forged ClientHellos", 20_000, forged_hellos));
    report.case("abuse/handshakes-never-finished", || {
        town.survives("handshakes never finished", 400, |at, number| {
            let raw = Raw { socket: Socket::open_at(&neighbour(number))?, peer: at };
            raw.greeted_quickly(&[PSK_CCM8], &[])
        })
    });
    report.case("abuse/newcomer-while-the-pool-is-full", || town.newcomer(world));
    report.case("abuse/signed-handshakes-never-finished", || {
        town.survives("signed handshakes never finished", 200, |at, number| {
            let raw = Raw { socket: Socket::open_at(&neighbour(number))?, peer: at };
            raw.greeted_quickly(&[ECDSA_CCM8], &signing_extensions(2))
        })
    });
    report.case("abuse/finished-with-a-wrong-transcript", || {
        town.survives("Finished with a wrong transcript", 200, |at, number| {
            let raw = Raw { socket: Socket::open_at(&neighbour(number))?, peer: at };
            raw.greeted_quickly(&[PSK_CCM8], &[])?;
            raw.send(&message(CLIENT_KEY_EXCHANGE, 2, &[0, 6, b'h', b'o', b'n', b'e', b's', b't']))?;
            raw.send(&record(20, 3, &[1]))?;
            let mut finished = record(HANDSHAKE, 0, &[0x5a; 40]);
            finished[4] = 1;
            raw.send(&finished)
        })
    });
    report.case("abuse/certificate-bombs", || {
        town.survives("certificate bombs", 100, |at, number| {
            let raw = Raw { socket: Socket::open_at(&neighbour(number))?, peer: at };
            raw.greeted_quickly(&[ECDSA_CCM8], &signing_extensions(0))?;
            let part = [0x30; 1000];
            (0..66).try_for_each(|n| {
                raw.send(&record(HANDSHAKE, 9, &fragment(CERTIFICATE, 66_000, 2, n * 1000, &part)))
            })
        })
    });
    report.case("abuse/records-replayed-and-cut", || town.replays());
    report.case("abuse/offers-of-something-weaker", || {
        town.survives("downgrades", 200, |at, number| {
            let raw = Raw::to(at)?;
            // NULL, RSA with 3DES, a suite of TLS 1.3, and the signal of a fall-back, each alone.
            let weak = [0x002c, 0x000a, 0x1301, 0x5600][number % 4];
            match raw.cookie(&[weak], &[]) {
                Ok(cookie) => {
                    raw.send(&message(CLIENT_HELLO, 1, &hello(7, &cookie, &[weak], &[])))?;
                    let found = in_words(&raw.answers(Duration::from_millis(5))?);
                    holds(!found.contains("handshake-2"), || format!("agreed upon {weak:04x}: {found}"))
                }
                Err(_) => Ok(()),
            }
        })
    });
    report.case("abuse/honest-at-the-end", || town.honest.update(&town.location));
}

/// Addresses of loopback beside each other, and in several networks.
fn neighbour(number: usize) -> String {
    format!("127.{}.{}.{}:0", 1 + number / 2500 % 200, number / 250 % 10, 1 + number % 250)
}

fn forged_hellos(at: SocketAddr, number: usize) -> Check {
    let socket = Socket::open_at(&neighbour(number))?;
    let random = u8::try_from(number % 256).unwrap_or_default();
    for _ in 0..5 {
        socket.send(at, &message(CLIENT_HELLO, 0, &hello(random, &[], &[PSK_CCM8], &[])))?;
    }
    Ok(())
}

impl Raw {
    /// As far as the server's flight, without waiting for all of it.
    fn greeted_quickly(&self, suites: &[u16], extensions: &[u8]) -> Check {
        match self.cookie(suites, extensions) {
            Ok(cookie) => self.send(&message(CLIENT_HELLO, 1, &hello(7, &cookie, suites, extensions))),
            // Over the budget of its network: nothing is what it gets.
            Err(_) => Ok(()),
        }
    }
}

impl Town {
    fn open(world: &World) -> Result<Self, String> {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let serve =
            Serve::start_secure(&world.program, "serve-abuse", &format!("{}{POOL}", security(&keys)))?;
        let at = serve.secure()?;
        let relay = Relay::start(at, unchanged)?;
        put_credential(&serve, "honest", &json!({"mode": "psk", "identity": "honest", "key_hex": KEY}))?;
        let end = End {
            world,
            keys: &keys,
            library: Library::Pion,
            suite: &SUITES[0],
            who: "honest",
            more: &["cid=0"],
        };
        let mut honest = end.client(&relay.front.to_string())?;
        let location = honest.register("honest")?;
        let factor =
            std::env::var("LIGHTSHIP_ABUSE_FACTOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        Ok(Self { serve, at, honest, location, relay, factor })
    }

    /// The attack, so many times, while the honest device goes on; memory afterwards is what it was.
    fn survives(
        &mut self,
        what: &str,
        times: usize,
        attack: impl Fn(SocketAddr, usize) -> Check + Sync,
    ) -> Check {
        let (at, times) = (self.at, times * self.factor);
        let before = self.serve.process.size()?;
        let began = Instant::now();
        let over = AtomicBool::new(false);
        let (mut served, mut repeated, mut slowest) = (0, 0, Duration::ZERO);
        let outcome = std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let outcome = (0..times).try_for_each(|number| attack(at, number));
                over.store(true, Ordering::Relaxed);
                outcome
            });
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                repeated += self.honest.update_patiently(&self.location)? - 1;
                served += 1;
                slowest = slowest.max(asked.elapsed());
                pause(BREATH);
            }
            attacker.join().map_err(|_| "the attacker panicked".to_owned())?
        });
        outcome?;
        let grown = self.serve.process.size()?.resident_kib.saturating_sub(before.resident_kib);
        say(&format!(
            "      {what}: {times} in {:.1} s; memory {} KiB before, {grown} KiB more after; meanwhile {served} Updates of an honest device, {repeated} of them repeated, the slowest in {} ms",
            began.elapsed().as_secs_f64(),
            before.resident_kib,
            slowest.as_millis()
        ));
        holds(slowest <= PATIENCE, || format!("an honest device waited {slowest:?}"))?;
        holds(served > 0, || "no honest device was served".to_owned())?;
        holds(grown <= GROWTH_KIB_MAX, || format!("grown by {grown} KiB"))
    }

    /// An honest device that was not there before comes in all the same.
    fn newcomer(&mut self, world: &World) -> Check {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        put_credential(
            &self.serve,
            "newcomer",
            &json!({"mode": "psk", "identity": "newcomer", "key_hex": KEY}),
        )?;
        let end =
            End { world, keys: &keys, library: Library::Pion, suite: &SUITES[0], who: "newcomer", more: &[] };
        end.client(&self.at.to_string())?.register("newcomer").map(drop)
    }

    /// One good record again and again, and every shorter piece of it.
    fn replays(&mut self) -> Check {
        self.honest.update(&self.location)?;
        let last = self.relay.last();
        let answers = self.relay.answers();
        for _ in 0..1000 * self.factor {
            self.relay.inject(&last)?;
        }
        for length in 0..last.len() {
            self.relay.inject(&last[..length])?;
        }
        pause(Duration::from_millis(300));
        let found = self.relay.answers() - answers;
        holds(found == 0, || format!("{found} answers to copies and pieces"))?;
        self.survives("copies and pieces", 2000, |at, number| {
            let socket = Socket::open()?;
            socket.send(at, &last[..number % last.len()])
        })
    }
}
