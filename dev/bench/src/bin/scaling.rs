//! Two shards beside one, under the same load, in turns: by the rate, which needs cores to spare for the load, and by the CPU that
//! the shards' threads take for a message, which says what two would do if the load did not stand in their way. Two bare echoes beside
//! one say in the same turns what the machine itself has for a second thread.
//!
//! `cargo run --release -p lightship-bench --bin scaling`

#![allow(clippy::print_stdout, reason = "a program that measures and prints")]

use std::io;
use std::net::SocketAddr;

use lightship_bench::report;
use lightship_bench::traffic::{location, register, update};
use lightship_bench::udp::{LOAD_THREADS, Load, Round, Server, cpu_s};
use lightship_net::Echo;

const DEVICES: u16 = 1000;
const TURNS: u16 = 9;
const ROUNDS: u16 = 60;

/// Shards or echoes, their devices, and what was measured of them.
struct Side {
    target: Target,
    load: Load,
    locations: Vec<String>,
    rates: Vec<f64>,
    cpu_s: f64,
}

/// Who answers.
enum Target {
    Shards(Server),
    Echoes(Echo),
}

impl Target {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Shards(server) => server.plain(),
            Self::Echoes(echo) => echo.address(),
        }
    }

    /// What the names of its threads begin with.
    fn threads(&self) -> &'static str {
        match self {
            Self::Shards(_) => "shard-",
            Self::Echoes(_) => "echo",
        }
    }
}

impl Side {
    fn shards(count: u8) -> io::Result<Self> {
        let server = Server::start(count, Vec::new())?;
        let load = Load::new(DEVICES.into())?;
        let first: Round = (0..DEVICES).map(|number| register(number.into(), 60_000).into()).collect();
        let answers = load.run(server.plain(), &[first])?.answers;
        let refused = || io::Error::other("a Register was refused");
        let locations = answers.iter().map(|answer| location(answer).ok_or_else(refused));
        let locations = locations.collect::<io::Result<_>>()?;
        Ok(Self { target: Target::Shards(server), load, locations, rates: Vec::new(), cpu_s: 0.0 })
    }

    /// Echoes that get what the shards of another side get.
    fn echoes(count: u8, like: &Self) -> io::Result<Self> {
        let echo = Echo::start_many(SocketAddr::from(([127, 0, 0, 1], 0)), count)?;
        let load = Load::new(DEVICES.into())?;
        let locations = like.locations.clone();
        Ok(Self { target: Target::Echoes(echo), load, locations, rates: Vec::new(), cpu_s: 0.0 })
    }

    fn turn(&mut self, turn: u16) -> io::Result<()> {
        let ids = turn * ROUNDS + 1..(turn + 1) * ROUNDS + 1;
        let round = |id| self.locations.iter().map(|location| update(location, id).into()).collect();
        let rounds: Vec<Round> = ids.map(round).collect();
        // The threads of the other sides have nothing to do meanwhile.
        let before = cpu_s(self.target.threads());
        self.rates.push(self.load.run(self.target.address(), &rounds)?.rate);
        self.cpu_s += cpu_s(self.target.threads()) - before;
        Ok(())
    }

    /// The middle of all rates, and nanoseconds of its CPU for a message.
    fn measured(&mut self) -> (f64, f64) {
        self.rates.sort_by(f64::total_cmp);
        let messages = f64::from(DEVICES) * f64::from(ROUNDS) * f64::from(TURNS);
        (self.rates[self.rates.len() / 2], 1e9 * self.cpu_s / messages)
    }
}

fn main() -> io::Result<()> {
    let (one, two) = (Side::shards(1)?, Side::shards(2)?);
    let (one_echo, two_echoes) = (Side::echoes(1, &one)?, Side::echoes(2, &two)?);
    let mut sides = [one, two, one_echo, two_echoes];
    for turn in 0..TURNS {
        for side in &mut sides {
            side.turn(turn)?;
        }
    }
    let [one, two, one_echo, two_echoes] = sides.map(|mut side| side.measured());
    let by_rate = |two: (f64, f64), one: (f64, f64)| two.0 / one.0;
    let by_cpu = |two: (f64, f64), one: (f64, f64)| 2.0 * one.1 / two.1;
    println!(
        "| {LOAD_THREADS} load threads | Updates per second | ns of CPU each | by rate | by CPU |\n|---|---|---|---|---|"
    );
    for (what, one, two) in [("shard", one, two), ("echo", one_echo, two_echoes)] {
        println!("| one {what} | {:.0} | {:.0} | | |", one.0, one.1);
        let (rate, cpu) = (by_rate(two, one), by_cpu(two, one));
        println!("| two of them | {:.0} | {:.0} | {rate:.2} | {cpu:.2} |", two.0, two.1);
    }
    report::figure("two-shards-rate", by_rate(two, one));
    report::figure("two-shards-by-cpu", by_cpu(two, one));
    report::figure("two-echoes-rate", by_rate(two_echoes, one_echo));
    report::figure("two-echoes-by-cpu", by_cpu(two_echoes, one_echo));
    Ok(())
}
