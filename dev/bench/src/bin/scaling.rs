//! Two shards beside one, under the same load, in turns: by the rate, which needs cores to spare for the load, and by the CPU that
//! the shards' threads take for a message, which says what two would do if the load did not stand in their way.
//!
//! `cargo run --release -p lightship-bench --bin scaling`

#![allow(clippy::print_stdout, reason = "a program that measures and prints")]

use std::io;

use lightship_bench::report;
use lightship_bench::traffic::{location, register, update};
use lightship_bench::udp::{LOAD_THREADS, Load, Round, Server, cpu_s};

const DEVICES: u16 = 1000;
const TURNS: u16 = 9;
const ROUNDS: u16 = 60;

/// A server, its devices, and what was measured of it.
struct Side {
    server: Server,
    load: Load,
    locations: Vec<String>,
    rates: Vec<f64>,
    cpu_s: f64,
}

impl Side {
    fn start(shards: u8) -> io::Result<Self> {
        let server = Server::start(shards, Vec::new())?;
        let load = Load::new(DEVICES.into())?;
        let first: Round = (0..DEVICES).map(|number| register(number.into(), 60_000).into()).collect();
        let answers = load.run(server.plain(), &[first])?.answers;
        let refused = || io::Error::other("a Register was refused");
        let locations = answers.iter().map(|answer| location(answer).ok_or_else(refused));
        let locations = locations.collect::<io::Result<_>>()?;
        Ok(Self { server, load, locations, rates: Vec::new(), cpu_s: 0.0 })
    }

    fn turn(&mut self, turn: u16) -> io::Result<()> {
        let ids = turn * ROUNDS + 1..(turn + 1) * ROUNDS + 1;
        let round = |id| self.locations.iter().map(|location| update(location, id).into()).collect();
        let rounds: Vec<Round> = ids.map(round).collect();
        // The other server's shards have nothing to do meanwhile.
        let before = cpu_s("shard-");
        self.rates.push(self.load.run(self.server.plain(), &rounds)?.rate);
        self.cpu_s += cpu_s("shard-") - before;
        Ok(())
    }

    /// The middle of all rates, and nanoseconds of the shards' CPU for a message.
    fn measured(&mut self) -> (f64, f64) {
        self.rates.sort_by(f64::total_cmp);
        let messages = f64::from(DEVICES) * f64::from(ROUNDS) * f64::from(TURNS);
        (self.rates[self.rates.len() / 2], 1e9 * self.cpu_s / messages)
    }
}

fn main() -> io::Result<()> {
    let (mut one, mut two) = (Side::start(1)?, Side::start(2)?);
    for turn in 0..TURNS {
        one.turn(turn)?;
        two.turn(turn)?;
    }
    let (rate_of_one, cpu_of_one) = one.measured();
    let (rate_of_two, cpu_of_two) = two.measured();
    println!(
        "| shards | Updates per second, {LOAD_THREADS} load threads | ns of the shards' CPU each |\n|---|---|---|"
    );
    println!("| 1 | {rate_of_one:.0} | {cpu_of_one:.0} |\n| 2 | {rate_of_two:.0} | {cpu_of_two:.0} |");
    report::figure("two-shards-rate", rate_of_two / rate_of_one);
    report::figure("two-shards-by-cpu", 2.0 * cpu_of_one / cpu_of_two);
    Ok(())
}
