//! One device's data tree against the reference model, under loss, reorder and duplication.
//!
//! `LIGHTSHIP_SIM_SEED=17 cargo test -p lightship-sim --release --test model one_seed -- --nocapture` repeats seed 17;
//! `LIGHTSHIP_SIM_SEEDS=10000 cargo test -p lightship-sim --release --test model many_seeds` plays ten thousand.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lightship_sim::duel::Duel;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

// Proves: COA-02, COA-03, OBS-12
#[test]
fn many_seeds_answer_as_the_model_does() {
    let seeds = number("LIGHTSHIP_SIM_SEEDS").unwrap_or(1000);
    let next = AtomicU64::new(0);
    let failed: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let [answered, unanswered, notified] = [const { AtomicU32::new(0) }; 3];
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match catch_unwind(|| Duel::play(seed)) {
                Ok(duel) => {
                    answered.fetch_add(duel.answered, Ordering::Relaxed);
                    unanswered.fetch_add(duel.unanswered, Ordering::Relaxed);
                    notified.fetch_add(duel.notified, Ordering::Relaxed);
                }
                Err(_) => failed.lock().expect("nobody panics while holding it").push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().expect("nobody panics while holding it");
    failed.sort_unstable();
    assert!(failed.is_empty(), "seeds fail; repeat with LIGHTSHIP_SIM_SEED={}: {failed:?}", failed[0]);
    let (answered, unanswered, notified) =
        (answered.into_inner(), unanswered.into_inner(), notified.into_inner());
    eprintln!("{seeds} seeds: {answered} answers, {unanswered} without, {notified} values");
    // The network is bad enough to matter, and good enough to say something.
    assert!(answered > 10 * u32::try_from(seeds).unwrap_or(0) && unanswered > 0 && notified > 0);
}

#[test]
fn one_seed_is_one_story() {
    let seed = number("LIGHTSHIP_SIM_SEED").unwrap_or(1);
    let told = || {
        let duel = Duel::play(seed);
        (duel.answered, duel.unanswered, duel.notified)
    };
    assert_eq!(told(), told());
}
