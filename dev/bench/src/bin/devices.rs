//! What a registered device with one observation and a list of 30 object instances costs one shard: registers them by real
//! messages, answers their Observes, lets them fall silent, and looks at the resident memory.
//!
//! `cargo run --release -p lightship-bench --bin devices [number]`

#![allow(clippy::print_stdout, reason = "a program that measures and prints")]

use core::time::Duration;

use lightship_bench::memory_shard::MemoryShard;
use lightship_bench::resident;
use lightship_bench::traffic::{address, observed, register_large};
use lightship_server::{Config, ContentFormat, Path, Wanted};

const DEVICES: u32 = 1_000_000;
/// Registrations between two looks at the clock: what an exchange leaves for a while is gone by then.
const SLICE: u32 = 5000;

fn main() {
    let devices = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(DEVICES);
    let mut config = Config::default();
    config.limits.registrations = usize::MAX;
    let mut world = MemoryShard::with(config);
    let path: Path = "/3303/0/5700".parse().expect("a path");
    world.observe =
        vec![Wanted { observed: path.into(), accept: Some(ContentFormat::TEXT), attributes: Vec::new() }];
    // What the process needs anyhow is there before it is weighed.
    let warm = 1000;
    let mut before = 0;
    for number in 0..devices + warm {
        if number == warm {
            before = resident();
        }
        world.input(address(number), &mut register_large(number, 1));
        let mut answer = observed(&world.out).expect("an Observe follows");
        world.input(address(number), &mut answer);
        if number % SLICE == 0 {
            let now = world.now + Duration::from_secs(300);
            world.pass(now);
        }
    }
    let now = world.now + Duration::from_secs(300);
    world.pass(now);
    let stats = world.shard.stats();
    assert_eq!(stats.registrations, u64::from(devices + warm), "all are registered");
    assert_eq!(stats.observations, u64::from(devices + warm), "all are observed");
    assert_eq!(stats.peers, 0, "all are silent");
    let each = resident().saturating_sub(before) / usize::try_from(devices).unwrap_or(usize::MAX);
    println!("| devices | resident bytes each, of the shard |\n|---|---|\n| {devices} | {each} |");
    // To take a million devices apart would only take time.
    std::mem::forget(world);
}
