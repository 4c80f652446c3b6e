//! Noise: which devices send the most. Counted in a table of bounded size (Misra and Gries 1982), and of much only every so many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lightship_api::NoisyDevice;
use lightship_lwm2m::Endpoint;

/// Who sends the most.
#[derive(Debug)]
pub(crate) struct Noise {
    seen: AtomicU64,
    /// Every so many are counted.
    every: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Endpoint, u64>,
    /// How many of this minute were counted.
    counted: u64,
    /// Of the minute before.
    last: Vec<NoisyDevice>,
    /// What was seen when this minute began.
    seen: u64,
}

impl Noise {
    pub(crate) fn new() -> Noise {
        Noise { seen: AtomicU64::new(0), every: AtomicU64::new(1), state: Mutex::default() }
    }

    /// Shows these, of a process before this one, until a minute is over.
    pub(super) fn go_on(&self, last: Vec<NoisyDevice>) {
        self.state().last = last;
    }

    /// A device has sent something.
    pub(crate) fn heard(&self, endpoint: &str) {
        let every = self.every.load(Ordering::Relaxed).max(1);
        if !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(every) {
            return;
        }
        let mut state = self.state();
        state.counted += 1;
        if state.counted > COUNTED_MAX {
            // More than in the minute before: of what comes now half as many are looked at.
            state.counted /= 2;
            self.every.store(every.saturating_mul(2), Ordering::Relaxed);
        }
        if let Some(count) = state.counts.get_mut(endpoint) {
            *count += every;
        } else if state.counts.len() < DEVICES_MAX
            && let Ok(endpoint) = Endpoint::new(endpoint)
        {
            state.counts.insert(endpoint, every);
        } else {
            // Each message that is taken away here was added before: it costs no more than that.
            state.counts.retain(|_, count| {
                *count = count.saturating_sub(every);
                *count > 0
            });
        }
    }

    /// A step has ended, and with it maybe a minute.
    pub(super) fn step(&self, is_minute: bool) {
        if !is_minute {
            return;
        }
        let mut state = self.state();
        state.last = state.loudest();
        state.counts.clear();
        state.counted = 0;
        let seen = self.seen.load(Ordering::Relaxed);
        self.every.store(((seen - state.seen) / COUNTED_MAX).max(1), Ordering::Relaxed);
        state.seen = seen;
    }

    /// The loudest of the last minute; in the first one, of what there is of it.
    pub(crate) fn loudest(&self) -> Vec<NoisyDevice> {
        let state = self.state();
        if state.last.is_empty() { state.loudest() } else { state.last.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn loudest(&self) -> Vec<NoisyDevice> {
        let mut all: Vec<(&Endpoint, u64)> = self.counts.iter().map(|(name, count)| (name, *count)).collect();
        all.sort_unstable_by(|a, b| (b.1, a.0.as_str()).cmp(&(a.1, b.0.as_str())));
        let shape = |(name, count): &(&Endpoint, u64)| NoisyDevice {
            endpoint: name.to_string(),
            messages_per_minute: *count,
        };
        all.iter().take(SHOWN).map(shape).collect()
    }
}

/// Devices that are counted at the same time: each that sends more than one in so many messages is among them.
const DEVICES_MAX: usize = 4096;
/// Messages of a minute that are counted, about.
const COUNTED_MAX: u64 = 60_000;
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Endpoint {
        Endpoint::new(&format!("d{number}")).expect("a name")
    }

    #[test]
    fn the_loudest_are_found_among_many() {
        let noise = Noise::new();
        for round in 0..20_000 {
            noise.heard(&name(10 + round));
            if round % 10 == 0 {
                noise.heard(&name(1));
            }
            if round % 20 == 0 {
                noise.heard(&name(2));
            }
        }
        let loudest = noise.loudest();
        let names: Vec<&str> = loudest.iter().map(|noisy| noisy.endpoint.as_str()).collect();
        assert_eq!(&names[..2], ["d1", "d2"]);
        assert!(noise.state().counts.len() <= DEVICES_MAX);
        noise.step(true);
        assert_eq!(noise.loudest(), loudest, "of the minute before");
    }
}
