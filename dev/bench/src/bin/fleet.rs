//! What an Update costs one shard in memory, by the number of devices registered: each sends one an hour, so that nearly
//! all are silent at any moment, and each Update finds its device, gives it CoAP state, moves its expiry and takes away
//! the state of another device that has been silent for long enough.
//!
//! `cargo run --release -p lightship-bench --bin fleet [DEVICES…]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use core::time::Duration;
use std::time::Instant as Clock;

use lightship_bench::memory_shard::MemoryShard;
use lightship_bench::traffic::{address, location, register, update};

/// Fleets measured unless others are named.
const DEVICES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Each device sends one Update in this time.
const PERIOD: Duration = Duration::from_secs(3600);
/// At least so many Updates are measured, and one of each device.
const UPDATES_MIN: u32 = 1_000_000;
/// Prime to every fleet: the next device is far from the last one in memory.
const STRIDE: u32 = 611_953;

fn main() {
    let named: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    println!(
        "| devices registered | Updates per second | ns each | of them for the time to pass |\n|---|---|---|---|"
    );
    for devices in if named.is_empty() { DEVICES.to_vec() } else { named } {
        measure(devices.max(1));
    }
}

fn measure(devices: u32) {
    let mut world = MemoryShard::default();
    let step = PERIOD / devices;
    let mut locations = Vec::with_capacity(usize::try_from(devices).unwrap_or(0));
    for number in 0..devices {
        world.input(address(number), &mut register(number, 1));
        locations.push(location(&world.out).expect("registered"));
        let now = world.now + step;
        world.pass(now);
    }
    let updates = UPDATES_MIN.max(devices);
    let (mut serving, mut passing) = (Duration::ZERO, Duration::ZERO);
    let mut number = 0;
    for count in 0..updates {
        number = (number + STRIDE) % devices;
        let id = u16::try_from(2 + count / devices % 60_000).unwrap_or(2);
        let mut datagram = update(&locations[number as usize], id);
        let begin = Clock::now();
        world.input(address(number), &mut datagram);
        let served = Clock::now();
        let now = world.now + step;
        world.pass(now);
        serving += served - begin;
        passing += served.elapsed();
    }
    assert_eq!(world.shard.stats().updates, u64::from(updates), "each was served");
    let each = (serving + passing).as_nanos() / u128::from(updates);
    let of_it = passing.as_nanos() / u128::from(updates);
    let rate = f64::from(updates) / (serving + passing).as_secs_f64();
    println!("| {devices} | {rate:.0} | {each} | {of_it} |");
}
