//! Floods and false starts through DTLS while honest devices keep working, with figures.
//!
//! First every pool and table is filled once; from then on nothing grows any more, whatever comes. `cargo xtask interop --only abuse` is
//! short, with a quarter of the usual pool; with `LIGHTSHIP_ABUSE_FACTOR=50` each attack is so many times longer, with default limits.

use super::dtls::{put_credential, security};
use super::dtls_peers::{End, KEY, Library, SUITES};
use super::{World, start};
use crate::keys::Keys;
use crate::lightship::Serve;
use crate::process::pause;
use crate::relay::{Relay, unchanged};
use crate::report::{Check, Report, holds, same, say};
use crate::secure::Tunnel;
use crate::wire::{self, CON, LOCATION_PATH, Message, POST, Socket};
use crate::wire_dtls::{
    CERTIFICATE, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ECDSA_CCM8, HANDSHAKE, PSK_CCM8, Raw, cookie_in,
    fragment, hello, in_words, message, record, signing_extensions,
};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What all attacks together may add once the pools and tables are full, in KiB.
const GROWTH_KIB_MAX: u64 = 1024;
/// Bytes that handshakes under way may take in each shard (`SecurityLimits::handshake_bytes`).
const POOL_BYTES: usize = 16 << 20;
/// What filling them may add for each shard, in KiB: the handshakes under way, 4096 places of 1 KiB each for them, and half as much
/// again for what the allocator keeps between pieces of such different lengths.
const SHARD_KIB_MAX: u64 = 30 * 1024;
/// The same for the process: 10,000 events, a thousand failures, 4096 events and answers on their way.
const PROCESS_KIB_MAX: u64 = 32 * 1024;
/// Handshakes under way that a shard holds by default, and in the short form: filling that takes seconds instead of minutes.
const POOL: usize = 4096;
const POOL_SHORT: usize = 1024;
/// Rounds of all kinds after which the process must have come to rest, and growth of a round that counts as none, in KiB.
const ROUNDS_MAX: usize = 20;
const REST_KIB: u64 = 256;
/// Updates, each an event, after which the log of events is as long as it gets: otherwise it is honest devices that fill it during the
/// floods, which looks as if these grew the memory.
const EVENTS: usize = 11_000;
/// The longest that an honest device may wait for its answer meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two Updates of one device, whose answers the server keeps for four minutes: their memory is not the attackers'.
const BREATH: Duration = Duration::from_millis(20);
/// How many attack at a time.
const ATTACKERS: usize = 2;

/// Honest devices that come anew, in turn: none of them too often for one.
const NEWCOMERS: usize = 40;

type Attack = fn(SocketAddr, usize) -> Check;

/// Each with its name and how often it is played.
const ATTACKS: [(&str, usize, Attack); 7] = [
    ("forged-hellos", 20_000, forged_hellos),
    ("handshakes-never-finished", 4000, never_finished),
    ("signed-handshakes-never-finished", 2000, signed_never_finished),
    ("finished-with-a-wrong-transcript", 2000, wrong_finished),
    ("certificate-bombs", 500, bombs),
    ("certificates-without-an-end", 1000, endless_certificates),
    ("offers-of-something-weaker", 400, weaker),
];

struct Town {
    serve: Serve,
    at: SocketAddr,
    honest: Tunnel,
    location: String,
    plain: Plain,
    relay: Relay,
    factor: usize,
    /// Handshakes under way that a shard holds.
    pool: usize,
    /// The most that the process had while all was filled.
    full_kib: u64,
}

/// An honest device without security.
struct Plain {
    socket: Socket,
    server: SocketAddr,
    location: String,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let Some(mut town) = start(report, "abuse/starts", || Town::open(world)) else { return };
    report.case("abuse/memory-is-bounded", || town.fill());
    for (name, times, attack) in ATTACKS {
        report.case(&format!("abuse/{name}"), || town.survives(world, name, times, attack));
    }
    report.case("abuse/newcomer-while-the-pool-is-full", || {
        town.attack(town.filling() * 4, never_finished)?;
        newcomer(world, town.at, 0).map(drop)
    });
    report.case("abuse/records-replayed-and-cut", || town.replays());
    report.case("abuse/memory-is-flat", || town.is_flat());
    report.case("abuse/honest-at-the-end", || town.honest.update(&town.location));
}

/// Addresses of loopback beside each other, and in several networks.
fn neighbour(number: usize) -> String {
    format!("127.{}.{}.{}:0", 1 + number / 2500 % 200, number / 250 % 10, 1 + number % 250)
}

fn attacker(at: SocketAddr, number: usize) -> Result<Raw, String> {
    Ok(Raw { socket: Socket::open_at(&neighbour(number))?, peer: at })
}

fn forged_hellos(at: SocketAddr, number: usize) -> Check {
    let raw = attacker(at, number)?;
    let random = u8::try_from(number % 256).unwrap_or_default();
    let hello = message(CLIENT_HELLO, 0, &hello(random, &[], &[PSK_CCM8], &[]));
    (0..5).try_for_each(|_| raw.send(&hello))
}

fn never_finished(at: SocketAddr, number: usize) -> Check {
    attacker(at, number)?.greeted_quickly(&[PSK_CCM8], &[])
}

fn signed_never_finished(at: SocketAddr, number: usize) -> Check {
    attacker(at, number)?.greeted_quickly(&[ECDSA_CCM8], &signing_extensions(2))
}

fn wrong_finished(at: SocketAddr, number: usize) -> Check {
    let raw = attacker(at, number)?;
    raw.greeted_quickly(&[PSK_CCM8], &[])?;
    raw.send(&message(CLIENT_KEY_EXCHANGE, 2, &[0, 6, b'h', b'o', b'n', b'e', b's', b't']))?;
    raw.send(&record(20, 3, &[1]))?;
    let mut finished = record(HANDSHAKE, 0, &[0x5a; 40]);
    finished[4] = 1;
    raw.send(&finished)
}

/// Certificates longer than any that is put together.
fn bombs(at: SocketAddr, number: usize) -> Check {
    pieces(at, number, 66_000, 66)
}

/// The longest that are put together, but for their ends.
fn endless_certificates(at: SocketAddr, number: usize) -> Check {
    pieces(at, number, 8190, 8)
}

fn pieces(at: SocketAddr, number: usize, total: usize, count: usize) -> Check {
    let raw = attacker(at, number)?;
    raw.greeted_quickly(&[ECDSA_CCM8], &signing_extensions(0))?;
    let part = [0x30; 1000];
    (0..count)
        .try_for_each(|n| raw.send(&record(HANDSHAKE, 9, &fragment(CERTIFICATE, total, 2, n * 1000, &part))))
}

/// NULL, RSA with 3DES, a suite of TLS 1.3, and the signal of a fall-back, each alone.
fn weaker(at: SocketAddr, number: usize) -> Check {
    // Where no other attacker has been, to whom the server may still repeat its flight.
    let from = format!("127.254.{}.{}:0", number / 250 % 250, 1 + number % 250);
    let raw = Raw { socket: Socket::open_at(&from)?, peer: at };
    let weak = [0x002c, 0x000a, 0x1301, 0x5600][number % 4];
    let Some(cookie) = raw.quick_cookie(&[weak], &[])? else { return Ok(()) };
    raw.send(&message(CLIENT_HELLO, 1, &hello(7, &cookie, &[weak], &[])))?;
    let found = in_words(&raw.answers(Duration::from_millis(5))?);
    holds(!found.contains("handshake-2"), || format!("agreed upon {weak:04x}: {found}"))
}

impl Raw {
    /// As far as the server's flight, without waiting for any of it.
    fn greeted_quickly(&self, suites: &[u16], extensions: &[u8]) -> Check {
        // Over the budget of its network, or in a flood that is shed: nothing is what it gets.
        let Some(cookie) = self.quick_cookie(suites, extensions)? else { return Ok(()) };
        self.send(&message(CLIENT_HELLO, 1, &hello(7, &cookie, suites, extensions)))
    }

    fn quick_cookie(&self, suites: &[u16], extensions: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.send(&message(CLIENT_HELLO, 0, &hello(7, &[], suites, extensions)))?;
        let answer = self.socket.receive_bytes(Duration::from_millis(100))?;
        Ok(answer.and_then(|(answer, _)| cookie_in(&answer)))
    }
}

/// A device that was not there before makes a handshake and registers; how long that took.
fn newcomer(world: &World, at: SocketAddr, number: usize) -> Result<Duration, String> {
    let who = format!("newcomer-{}", number % NEWCOMERS);
    let keys = Keys::of_this_run(&world.folders.cache)?;
    let began = Instant::now();
    let end = End { world, keys: &keys, library: Library::Pion, suite: &SUITES[0], who: &who, more: &[] };
    let mut device = end.client(&at.to_string())?;
    let took = began.elapsed();
    device.register(&who).map(|_| took)
}

impl Plain {
    fn register(server: SocketAddr) -> Result<Self, String> {
        let mut socket = Socket::open()?;
        let id = wire::fresh_id();
        // What it says of itself makes its events as long as those of secured devices, so that the log is as big as it gets.
        let long = "x".repeat(200);
        let request = Message::new(CON, POST, id, &id.to_be_bytes())
            .path("/rd")
            .query(&format!("ep=plain&lt=3000&lwm2m=1.1&b=U&more={long}&most={long}"))
            .number(wire::CONTENT_FORMAT, 40)
            .payload(b"</1/0>,</3/0>");
        let answer = socket.request(server, &request, PATIENCE)?;
        same("code of Register", &answer.code_text().as_str(), &"2.01")?;
        Ok(Self { socket, server, location: answer.joined(LOCATION_PATH) })
    }

    fn update(&mut self) -> Check {
        let update = self.socket.draft(POST).path(&self.location);
        self.update_with(&update)
    }

    /// Changes its lifetime.
    fn update_for(&mut self, lifetime_s: usize) -> Check {
        let update = self.socket.draft(POST).path(&self.location).query(&format!("lt={lifetime_s}"));
        self.update_with(&update)
    }

    fn update_with(&mut self, update: &Message) -> Check {
        let answer = self.socket.request(self.server, update, PATIENCE)?;
        same("code of Update", &answer.code_text().as_str(), &"2.04")
    }
}

/// How long honest devices waited.
#[derive(Default)]
struct Waits(Vec<Duration>);

impl Waits {
    fn note(&mut self, began: Instant) {
        self.0.push(began.elapsed());
    }

    fn slowest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// How many, and how long half of them, all but a hundredth, and the slowest waited.
    fn figures(&mut self) -> String {
        self.0.sort();
        let ms = |part: usize| {
            let at = (self.0.len() * part / 100).min(self.0.len().saturating_sub(1));
            self.0.get(at).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
        };
        format!("{} in {:.1} / {:.1} / {:.1} ms", self.0.len(), ms(50), ms(99), ms(100))
    }
}

impl Town {
    fn open(world: &World) -> Result<Self, String> {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let factor =
            std::env::var("LIGHTSHIP_ABUSE_FACTOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let pool = if factor == 1 { POOL_SHORT } else { POOL };
        let limits = format!("{}handshakes_max = {pool}\n", security(&keys));
        let serve = Serve::start_secure(&world.program, "serve-abuse", &limits)?;
        let at = serve.secure()?;
        let relay = Relay::start(at, unchanged)?;
        let names = (0..NEWCOMERS).map(|number| format!("newcomer-{number}"));
        for who in names.chain(["honest".to_owned()]) {
            put_credential(&serve, &who, &json!({"mode": "psk", "identity": who, "key_hex": KEY}))?;
        }
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
        let plain = Plain::register(serve.coap)?;
        Ok(Self { serve, at, honest, location, plain, relay, factor, pool, full_kib: 0 })
    }

    fn resident_kib(&self) -> Result<u64, String> {
        self.serve.process.size().map(|size| size.resident_kib)
    }

    /// How many handshakes for each shard make sure that the pools of all are full.
    const fn filling(&self) -> usize {
        self.pool + self.pool / 2
    }

    /// Fills every pool and every table once.
    fn fill(&mut self) -> Check {
        let before = self.resident_kib()?;
        for number in 0..EVENTS {
            // Each says something new: of others not every one is an event.
            self.plain.update_for(3000 + number % 2)?;
        }
        let logged = self.resident_kib()?;
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for (_, times, attack) in ATTACKS {
            // Each of these waits for an answer.
            let is_slow = std::ptr::fn_addr_eq(attack, weaker as Attack);
            self.fill_with(if is_slow { times } else { self.filling() * shards }, attack)?;
        }
        // In turn, as the allocator needs most room where pieces of different lengths follow each other; until it has it.
        let (mut rounds, mut at_rest) = (0, 0);
        while at_rest < 3 {
            rounds += 1;
            holds(rounds <= ROUNDS_MAX, || format!("it still grows after {ROUNDS_MAX} rounds"))?;
            let full_kib = self.full_kib;
            self.fill_with(self.filling() * shards, never_finished)?;
            let (found, _) = self.pool()?;
            holds(found >= u64::try_from(self.pool * shards * 9 / 10).unwrap_or_default(), || {
                format!("only {found} handshakes are under way")
            })?;
            self.fill_with(self.filling() * shards, signed_never_finished)?;
            self.fill_with(self.filling() * shards, endless_certificates)?;
            at_rest = if self.full_kib <= full_kib + REST_KIB { at_rest + 1 } else { 0 };
        }
        let shards = u64::try_from(shards).unwrap_or(1);
        let (grown, bound) = (self.full_kib.saturating_sub(before), shards * SHARD_KIB_MAX + PROCESS_KIB_MAX);
        say(&format!(
            "      filled in {rounds} rounds: {before} KiB at first, {logged} with a full log of events, {} with full pools of {shards} shards; the limits allow {bound} KiB more than at first",
            self.full_kib
        ));
        holds(grown <= bound, || format!("grown by {grown} KiB, the limits say {bound}"))
    }

    /// Attacks, and takes note of the most that the process ever had.
    fn fill_with(&mut self, times: usize, attack: Attack) -> Check {
        self.attack(times, attack)?;
        self.full_kib = self.full_kib.max(self.resident_kib()?);
        Ok(())
    }

    /// Attacks so many times, several at a time.
    fn attack(&self, times: usize, attack: Attack) -> Check {
        let (at, next) = (self.at, AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let attackers: Vec<_> =
                (0..ATTACKERS).map(|_| scope.spawn(|| press(at, &next, times, attack))).collect();
            attackers
                .into_iter()
                .try_for_each(|attacker| attacker.join().map_err(|_| "an attacker panicked".to_owned())?)
        })
    }

    /// The attack, so many times, while honest devices go on.
    fn survives(&mut self, world: &World, what: &str, times: usize, attack: Attack) -> Check {
        let (at, times) = (self.at, times * self.factor);
        let before = self.resident_kib()?;
        let began = Instant::now();
        let over = AtomicBool::new(false);
        let next = AtomicUsize::new(0);
        let (mut secured, mut plain, mut handshakes) = (Waits::default(), Waits::default(), Waits::default());
        let mut repeated = 0;
        let Self { honest, plain: device, location, .. } = self;
        let outcome = std::thread::scope(|scope| {
            let attackers: Vec<_> =
                (0..ATTACKERS).map(|_| scope.spawn(|| press(at, &next, times, attack))).collect();
            let newcomers = scope.spawn(|| {
                let mut waits = Waits::default();
                for number in 0.. {
                    waits.0.push(newcomer(world, at, number)?);
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    pause(BREATH * 10);
                }
                Ok::<_, String>(waits)
            });
            let mut outcome = Ok(());
            while outcome.is_ok() {
                let asked = Instant::now();
                outcome = honest.update_patiently(location).map(|sent| repeated += sent - 1);
                secured.note(asked);
                let asked = Instant::now();
                outcome = outcome.and_then(|()| device.update());
                plain.note(asked);
                if attackers.iter().all(|attacker| attacker.is_finished()) {
                    break;
                }
                pause(BREATH);
            }
            over.store(true, Ordering::Relaxed);
            for attacker in attackers {
                let ended = attacker.join().map_err(|_| "an attacker panicked".to_owned())?;
                outcome = outcome.and(ended);
            }
            handshakes = newcomers.join().map_err(|_| "a newcomer panicked".to_owned())??;
            outcome
        });
        outcome?;
        let after = self.resident_kib()?;
        let slowest = secured.slowest().max(plain.slowest()).max(handshakes.slowest());
        say(&format!(
            "      {what}: {times} in {:.1} s; memory {before} KiB before, {after} after. Honest devices meanwhile (half / all but 1 % / slowest): Updates {} ({repeated} repeated), without security {}, handshakes {}",
            began.elapsed().as_secs_f64(),
            secured.figures(),
            plain.figures(),
            handshakes.figures(),
        ));
        holds(slowest <= PATIENCE, || format!("an honest device waited {slowest:?}"))?;
        self.is_flat()
    }

    /// Handshakes under way in all shards, and the bytes that they take.
    fn pool(&self) -> Result<(u64, u64), String> {
        let found = self.serve.rest.get("security")?.body;
        let number = |name: &str| found[name].as_u64().ok_or_else(|| format!("{name} is missing: {found}"));
        Ok((number("handshakes")?, number("handshake_bytes")?))
    }

    /// Handshakes are as many as they may be, and nothing was added since all was full.
    fn is_flat(&self) -> Check {
        let (handshakes, bytes) = self.pool()?;
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (count_max, bytes_max) = (u64::try_from(self.pool * shards), u64::try_from(POOL_BYTES * shards));
        let is_within =
            count_max.is_ok_and(|max| handshakes <= max) && bytes_max.is_ok_and(|max| bytes <= max);
        holds(is_within, || format!("{handshakes} handshakes take {bytes} bytes"))?;
        let grown = self.resident_kib()?.saturating_sub(self.full_kib);
        holds(grown <= GROWTH_KIB_MAX, || format!("grown by {grown} KiB since all was full"))
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
        let socket = Socket::open()?;
        for number in 0..2000 * self.factor {
            socket.send(self.at, &last[..number % last.len()])?;
        }
        self.honest.update_patiently(&self.location)?;
        self.is_flat()
    }
}

/// One of several who play an attack so many times together.
fn press(at: SocketAddr, next: &AtomicUsize, times: usize, attack: Attack) -> Check {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= times {
            return Ok(());
        }
        attack(at, number)?;
    }
}
