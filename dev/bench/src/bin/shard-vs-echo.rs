//! One shard beside a bare UDP echo that makes the same system calls, under the same load, plain and in DTLS: in turns, so that
//! what else runs on the machine meets both; of all turns the middle one. And what one shard does in memory.
//!
//! `cargo run --release -p lightship-bench --bin shard-vs-echo [memory] [register] [update] [secured]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::time::Instant as Clock;

use lightship_bench::memory_shard::MemoryShard;
use lightship_bench::report;
use lightship_bench::session::Session;
use lightship_bench::traffic::{address, location, register, update};
use lightship_bench::udp::{Load, Round, Server, Taken, cpu_s};
use lightship_coap::{Code, Message};
use lightship_net::Echo;

/// Devices in the measurement in memory.
const IN_MEMORY: u32 = 200_000;
/// Devices, each a socket of its own, in the measurement over UDP.
const OVER_UDP: u32 = 1000;
/// Turns of echo and shard, and rounds through all devices in each.
const TURNS: u16 = 9;
const ROUNDS: u16 = 60;

fn main() -> io::Result<()> {
    println!(
        "| what | per second | ns of CPU each | of the echo's rate | CPU, echo : shard |\n|---|---|---|---|---|"
    );
    let named: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |what: &str| named.is_empty() || named.iter().any(|name| name == what);
    if is_wanted("memory") {
        in_memory();
    }
    let echo = Echo::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let server = Server::start(1, Vec::new())?;
    let load = Load::new(OVER_UDP as usize)?;
    if is_wanted("register") {
        let made = |turn| rounds(turns(turn), |number, id| register(number, id).into());
        compare("Register", "register-volatile-vs-echo", &load, (echo.address(), server.plain()), made)?;
    }
    if is_wanted("update") {
        updates(&load, (echo.address(), server.plain()))?;
    }
    if is_wanted("secured") {
        secured_updates(&load, (echo.address(), server.secured()))?;
    }
    Ok(())
}

fn updates(load: &Load, (echo, shard): (SocketAddr, SocketAddr)) -> io::Result<()> {
    let registered = load.run(shard, &[round(|number| register(number, 60_000).into())])?;
    let locations: Vec<String> =
        registered.answers.iter().map(|answer| located(answer)).collect::<io::Result<_>>()?;
    let made = |turn| rounds(turns(turn), |number, id| update(&locations[number as usize], id).into());
    let last = compare("Update", "update-vs-echo", load, (echo, shard), made)?;
    all_changed(last.answers.iter().map(|answer| Some(answer.clone())))
}

fn secured_updates(load: &Load, (echo, shard): (SocketAddr, SocketAddr)) -> io::Result<()> {
    let mut sessions = load.handshakes(shard)?;
    let first = seal_round(&mut sessions, |number| register(number, 60_001));
    let answers = load.run(shard, &[first])?.answers;
    let opened: Vec<Vec<u8>> = open(&mut sessions, &answers).map(Option::unwrap_or_default).collect();
    let locations: Vec<String> = opened.iter().map(|answer| located(answer)).collect::<io::Result<_>>()?;
    let made = |turn| {
        turns(turn).map(|id| seal_round(&mut sessions, |n| update(&locations[n as usize], id))).collect()
    };
    let last = compare("Update, DTLS", "update-secured-vs-echo", load, (echo, shard), made)?;
    all_changed(open(&mut sessions, &last.answers))
}

/// The message IDs of a turn.
fn turns(turn: u16) -> core::ops::Range<u16> {
    turn * ROUNDS + 1..(turn + 1) * ROUNDS + 1
}

/// Puts the same load on the echo and on the shard, in turns.
fn compare(
    what: &str,
    figure: &str,
    load: &Load,
    (echo, shard): (SocketAddr, SocketAddr),
    mut made: impl FnMut(u16) -> Vec<Round>,
) -> io::Result<Taken> {
    let mut turns = Vec::new();
    let mut last = None;
    for turn in 0..TURNS {
        let rounds = made(turn);
        let before = (cpu_s("echo"), cpu_s("shard-"));
        let bare = load.run(echo, &rounds)?;
        let taken = load.run(shard, &rounds)?;
        let spent = (cpu_s("echo") - before.0, cpu_s("shard-") - before.1);
        turns.push((taken.rate / bare.rate, bare.rate, taken.rate, spent));
        last = Some(taken);
    }
    turns.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, bare, rate, _) = turns[turns.len() / 2];
    let each = |of: fn(&(f64, f64)) -> f64| {
        let messages = f64::from(OVER_UDP) * f64::from(ROUNDS) * f64::from(TURNS);
        1e9 * turns.iter().map(|(.., spent)| of(spent)).sum::<f64>() / messages
    };
    let (of_echo, of_shard) = (each(|spent| spent.0), each(|spent| spent.1));
    println!("| bare echo, datagrams of {what} | {bare:.0} | {of_echo:.0} | | |");
    println!(
        "| {what} over UDP, one shard | {rate:.0} | {of_shard:.0} | {ratio:.2} | {:.2} |",
        of_echo / of_shard
    );
    report::figure(figure, ratio);
    report::figure(&format!("{figure}-by-cpu"), of_echo / of_shard);
    last.ok_or_else(|| io::Error::other("no turns"))
}

fn round(make: impl FnMut(u32) -> Box<[u8]>) -> Round {
    (0..OVER_UDP).map(make).collect()
}

fn rounds(ids: core::ops::Range<u16>, make: impl Fn(u32, u16) -> Box<[u8]>) -> Vec<Round> {
    ids.map(|id| round(|number| make(number, id))).collect()
}

fn seal_round(sessions: &mut [Session], make: impl Fn(u32) -> Vec<u8>) -> Round {
    (0..).zip(sessions).map(|(number, session)| session.seal(&make(number)).into()).collect()
}

fn open(sessions: &mut [Session], answers: &[Vec<u8>]) -> impl Iterator<Item = Option<Vec<u8>>> {
    sessions.iter_mut().zip(answers).map(|(session, answer)| session.take(answer))
}

fn located(answer: &[u8]) -> io::Result<String> {
    location(answer).ok_or_else(|| io::Error::other("a Register was refused"))
}

/// Whether what was measured are answers to Updates that were served.
fn all_changed(mut answers: impl Iterator<Item = Option<Vec<u8>>>) -> io::Result<()> {
    let is_changed = |answer: Option<Vec<u8>>| {
        answer
            .is_some_and(|answer| Message::parse(&answer).is_ok_and(|answer| answer.code() == Code::CHANGED))
    };
    if answers.all(is_changed) { Ok(()) } else { Err(io::Error::other("an Update was refused")) }
}

fn in_memory() {
    let mut registers: Vec<_> = (0..IN_MEMORY).map(|number| register(number, 1)).collect();
    let mut updates = Vec::with_capacity(registers.len());
    let mut world = MemoryShard::default();
    let begin = Clock::now();
    let mut reading = Duration::ZERO;
    for (number, datagram) in (0..).zip(&mut registers) {
        world.input(address(number), datagram);
        let pause = Clock::now();
        updates.push(update(&location(&world.out).expect("registered"), 2));
        reading += pause.elapsed();
    }
    row("Register in memory, new devices", begin.elapsed() - reading);
    let begin = Clock::now();
    for (number, datagram) in (0..).zip(&mut updates) {
        world.input(address(number), datagram);
    }
    row("Update in memory, that changes nothing", begin.elapsed());
}

fn row(what: &str, span: Duration) {
    let rate = f64::from(IN_MEMORY) / span.as_secs_f64();
    println!("| {what} | {rate:.0} | {:.0} | | |", 1e9 / rate);
}
