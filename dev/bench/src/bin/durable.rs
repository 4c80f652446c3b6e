//! The whole server with one shard and its store on the disk, beside a bare UDP echo under the same load: Registers, and confirmable
//! notifications into the event log, each answered when it is safe. In turns; of all turns the middle one.
//!
//! `cargo run --release -p lightship-bench --bin durable [folder]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lightship_bench::report;
use lightship_bench::traffic::{endpoint, location, notification, observed, register};
use lightship_bench::udp::{Load, Round, Taken, cpu_s};
use lightship_coap::{Message, Type};
use lightship_lwm2m::Endpoint;
use lightship_net::Echo;
use lightship_service::{Config, Running, Service};
use lightship_store::{Batch, EmbeddedOptions, EmbeddedStore, Fact, Store, WantedKey, WantedObservation};

/// Devices, each a socket of its own.
const DEVICES: u32 = 2048;
/// Threads that make load, 64 devices of each waiting at any time: an answer takes as long as the disk.
const THREADS: usize = 16;
const TURNS: u16 = 5;
const ROUNDS: u16 = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1);
    let temporary = tempfile::tempdir()?;
    let folder = given.as_ref().map_or(temporary.path(), |given| Path::new(given)).join("durable");
    println!(
        "| what | per second | of the echo's rate | CPU seconds: shard, store, rest of the server |\n|---|---|---|---|"
    );
    let echo = Echo::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let load = Load::new(DEVICES as usize)?.with_threads(THREADS);
    let turns = |turn: u16| turn * ROUNDS + 1..(turn + 1) * ROUNDS + 1;

    let server = serve(&folder)?;
    let at = server.coap().ok_or("no listener")?;
    let made = |turn| rounds(turns(turn), register);
    let last = compare("Register", "durable-register-vs-echo", &load, (echo.address(), at), made)?;
    if !last.answers.iter().all(|answer| location(answer).is_some()) {
        return Err("a Register was refused".into());
    }
    server.stop();

    let folder = folder.with_extension("observed");
    want_observations(&folder)?;
    let server = serve(&folder)?;
    let at = server.coap().ok_or("no listener")?;
    let begin: Round = (0..DEVICES).map(|number| register(number, 60_000).into()).collect();
    let begun = load.observed(at, &begin, observed)?;
    let made =
        |turn| rounds(turns(turn), |number, id| notification(&begun[number as usize], id, u32::from(id) + 1));
    let last = compare("Notify", "durable-notify-vs-echo", &load, (echo.address(), at), made)?;
    let is_ack = |answer: &Vec<u8>| Message::parse(answer).is_ok_and(|answer| answer.ty() == Type::Ack);
    if !last.answers.iter().all(is_ack) {
        return Err("a notification was not acknowledged".into());
    }
    server.stop();
    Ok(())
}

fn serve(folder: &Path) -> Result<Running, Box<dyn Error>> {
    let mut config = Config::loopback();
    config.listen.shards = 1;
    config.store.folder = Some(folder.to_owned());
    config.limits.registers_a_minute_per_device = 0;
    Ok(Service::start(config)?)
}

/// Wants one resource of each device.
fn want_observations(folder: &Path) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = EmbeddedStore::open(EmbeddedOptions::new(folder.to_owned(), 1, Arc::new(|| 0)))?;
    let path: lightship_lwm2m::Path = "/3303/0/5700".parse()?;
    let observation = WantedObservation {
        key: WantedKey::Path(path),
        paths: Vec::new(),
        accept: Some(0),
        attributes: Vec::new(),
    };
    let fact = |number| {
        let endpoint = Endpoint::new(&endpoint(number)).map_err(|error| error.to_string())?;
        Ok(Fact::Wanted { endpoint, observation: observation.clone() })
    };
    let facts = (0..DEVICES).map(fact).collect::<Result<_, String>>()?;
    runtime.block_on(store.commit(Batch { facts }))?;
    Ok(())
}

fn rounds(ids: core::ops::Range<u16>, make: impl Fn(u32, u16) -> Vec<u8>) -> Vec<Round> {
    ids.map(|id| (0..DEVICES).map(|number| make(number, id).into()).collect()).collect()
}

/// Puts the same load on the echo and on the server, in turns.
fn compare(
    what: &str,
    figure: &str,
    load: &Load,
    (echo, server): (SocketAddr, SocketAddr),
    made: impl Fn(u16) -> Vec<Round>,
) -> Result<Taken, Box<dyn Error>> {
    let mut turns = Vec::new();
    let mut last = None;
    let spent = || [cpu_s("shard-"), cpu_s("store"), cpu_s("service")];
    let before = spent();
    for turn in 0..TURNS {
        let rounds = made(turn);
        let bare = load.run(echo, &rounds)?;
        let taken = load.run(server, &rounds)?;
        turns.push((taken.rate / bare.rate, bare.rate, taken.rate));
        last = Some(taken);
    }
    let [shard, store, service] = spent();
    turns.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, bare, rate) = turns[turns.len() / 2];
    println!("| bare echo, datagrams of {what} | {bare:.0} | | |");
    println!(
        "| {what}, durable, one shard | {rate:.0} | {ratio:.2} | {:.2}, {:.2}, {:.2} |",
        shard - before[0],
        store - before[1],
        service - before[2]
    );
    report::figure(figure, ratio);
    last.ok_or_else(|| "no turns".into())
}
