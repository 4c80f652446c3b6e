//! What an idle secured session costs a shard: opens them one after another, by real handshakes, and looks at the resident memory.
//!
//! `cargo run --release -p lightship-bench --bin sessions [number [without]]`

#![allow(clippy::print_stdout, reason = "a program that measures and prints")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lightship_bench::resident;
use lightship_dtls::{Association, Cid, Config, Connect, Credential, Host, Path, Suite};
use lightship_platform::crypto::{RustCrypto, Secret};
use lightship_platform::{Instant, SeededRng};
use lightship_server::{Answer, Endpoint, Endpoints, Event, Presented, Security, SecurityEvent, Shard};

const SESSIONS: u32 = 200_000;
/// Handshakes between two looks at the clock: what a handshake leaves for a while is gone by then.
const SLICE: u32 = 2000;

fn main() {
    let mut words = std::env::args().skip(1);
    let sessions = words.next().and_then(|text| text.parse().ok()).unwrap_or(SESSIONS);
    // One measurement a process: what another one has freed would be taken for nothing.
    let connection_id = words.next().is_none();
    let config = Config { connection_id, suites: vec![Suite::PskAes128Ccm8], ..Config::default() };
    let what = if connection_id { "with a connection ID" } else { "without connection IDs" };
    println!("| idle sessions of one shard, {what} | resident bytes each |\n|---|---|");
    println!("| {sessions} | {} |", measure(sessions, &config));
}

/// Resident bytes for each session, once all are open and silent.
fn measure(sessions: u32, config: &Config) -> usize {
    // The ring of the last messages has its length, however many devices there are.
    let engine = lightship_server::Config {
        security: Some(security()),
        trace_bytes: 0,
        ..lightship_server::Config::default()
    };
    let mut shard = Shard::new(engine, [1; 32]);
    let mut now = Instant::from_secs(1);
    let mut rng = SeededRng::from_number(1);
    // What the process needs anyhow, and for the handshakes of a slice, is there before it is weighed.
    let warm = 5 * SLICE;
    let mut before = 0;
    for number in 0..sessions + warm {
        if number == warm {
            before = resident();
        }
        open(&mut shard, now, &mut rng, config, number);
        if number % SLICE == 0 {
            now += Duration::from_secs(300);
            shard.handle_timeout(now);
            while shard.poll_event().is_some() {}
        }
    }
    shard.handle_timeout(now + Duration::from_secs(300));
    while shard.poll_event().is_some() {}
    assert_eq!(shard.stats().security.sessions, u64::from(sessions + warm), "all of them live");
    resident().saturating_sub(before) / usize::try_from(sessions).unwrap_or(usize::MAX)
}

fn security() -> Security {
    let mut security = Security::new(Arc::new(RustCrypto));
    // All come from a few addresses here.
    security.limits.handshakes_a_minute_per_address = u32::MAX;
    security.limits.handshakes_a_minute_per_prefix = u32::MAX;
    security
}

/// One handshake, after which the device says nothing more.
fn open(shard: &mut Shard, now: Instant, rng: &mut SeededRng, config: &Config, number: u32) {
    let name = format!("urn:dev:os:0123-{number:08}");
    let credential = Credential::Psk { identity: name.as_bytes().into(), key: Secret::new(&[7; 16]) };
    let connect = Connect { credential, server_name: None, own_cid: Cid::EMPTY, resume: None };
    let [_, a, b, c] = number.to_be_bytes();
    let from = SocketAddr::from(([10, a, b, c], 5684));
    let mut device = Association::connect(&mut Host { now, crypto: &RustCrypto, rng, config }, connect);
    let mut out = [0; 1500];
    loop {
        let transmit = device.poll_transmit(&mut Host { now, crypto: &RustCrypto, rng, config }, &mut out);
        let Some(transmit) = transmit else { break };
        shard.handle_secured_input(now, from, &mut out[..transmit.len]);
        drain(shard, now, &name, |datagram| {
            let host = &mut Host { now, crypto: &RustCrypto, rng, config };
            let mut at = 0;
            while device.handle_record(host, Path::Current, datagram, &mut at).is_some() {}
            while device.poll_event().is_some() {}
        });
    }
    assert!(device.is_established(), "the handshake of {name} is done");
    // A first message shows that the device has the keys, and frees what the handshake left.
    let headroom = device.headroom();
    out[headroom..headroom + 4].copy_from_slice(&[0x40, 0, 0, 1]);
    let host = &mut Host { now, crypto: &RustCrypto, rng, config };
    let len = device.seal(host, &mut out, 4).expect("an established session seals");
    shard.handle_secured_input(now, from, &mut out[..len]);
    drain(shard, now, &name, |_| {});
}

fn drain(shard: &mut Shard, now: Instant, name: &str, mut take: impl FnMut(&mut [u8])) {
    let mut buffer = [0; 1500];
    loop {
        if let Some(transmit) = shard.poll_transmit(&mut buffer) {
            take(&mut buffer[..transmit.len]);
        } else if let Some(event) = shard.poll_event() {
            if let Event::Security(SecurityEvent::AskCredential { ask, presented, .. }) = event {
                assert!(matches!(presented, Presented::PskIdentity(_)), "a full handshake");
                let endpoints = Endpoints::One(Endpoint::new(name).expect("a name"));
                let key = Secret::new(&[7; 16]);
                let answer = lightship_server::Credential::Psk { key, endpoints };
                shard.answer(now, ask, Answer::Credential(answer));
            }
        } else {
            return;
        }
    }
}
