//! Many worlds, each from a seed.
//!
//! `LIGHTSHIP_SIM_SEED=17 cargo test -p lightship-sim --release one_seed -- --nocapture` repeats the world of seed 17;
//! `LIGHTSHIP_SIM_SEEDS=1000 cargo test -p lightship-sim --release many_seeds` plays a thousand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lightship_sim::Scenario;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Plays seeds on all cores; the smallest that fails is named.
fn play(seeds: u64, scenario: impl Fn(u64) -> Scenario + Sync) -> [u64; 2] {
    let next = AtomicU64::new(0);
    let failed: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let datagrams = AtomicU64::new(0);
    let (opened, resumed) = (AtomicU64::new(0), AtomicU64::new(0));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| scenario(seed).play())) {
                        Ok(report) => {
                            datagrams.fetch_add(report.datagrams, Ordering::Relaxed);
                            opened.fetch_add(report.opened, Ordering::Relaxed);
                            resumed.fetch_add(report.resumed, Ordering::Relaxed);
                        }
                        Err(_) => failed.lock().expect("nobody panics while holding it").push(seed),
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("nobody panics while holding it");
    failed.sort_unstable();
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds fail; repeat with LIGHTSHIP_SIM_SEED={}",
        failed.len(),
        failed[0]
    );
    let sessions = [opened.into_inner(), resumed.into_inner()];
    eprintln!(
        "{seeds} seeds, {} datagrams, sessions opened and resumed: {sessions:?}",
        datagrams.into_inner()
    );
    sessions
}

// Proves: OBS-07, OBS-12, COA-02, COA-03
#[test]
fn many_seeds_end_in_a_registered_observed_and_understood_fleet() {
    // A few seconds; a thousand, as every change to an engine wants, are under a minute.
    let usual = if cfg!(debug_assertions) { 60 } else { 1000 };
    play(number("LIGHTSHIP_SIM_SEEDS").unwrap_or(usual), Scenario::of_seed);
}

// Proves: SEC-01, SEC-09, DTL-14, DTL-15
#[test]
fn many_secured_seeds_do_too() {
    let usual = if cfg!(debug_assertions) { 12 } else { 300 };
    let seeds = number("LIGHTSHIP_SIM_SEEDS").unwrap_or(usual);
    let [opened, resumed] = play(seeds, Scenario::secured);
    assert!(resumed > 0 && opened > 2 * resumed, "{opened} sessions, {resumed} of them resumed");
}

#[test]
fn one_secured_seed_gives_one_transcript() {
    let scenario = Scenario::secured(number("LIGHTSHIP_SIM_SEED").unwrap_or(5));
    eprintln!("{scenario:?}");
    let report = scenario.play();
    eprintln!("{report:?}");
    assert_eq!(report, scenario.play());
}

#[test]
fn one_seed_gives_one_transcript() {
    let seed = number("LIGHTSHIP_SIM_SEED").unwrap_or(3);
    let scenario = Scenario::of_seed(seed);
    eprintln!("{scenario:?}");
    let report = scenario.play();
    eprintln!("{report:?}");
    assert_eq!(report, scenario.play());
}
