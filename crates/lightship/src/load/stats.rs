//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use lightship_coap::Code;

use super::mix::Operation;

/// The parts of a load that are measured apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Devices register.
    Ramp,
    /// Devices do what the mix says.
    Run,
    /// Devices de-register.
    Leave,
}

impl Phase {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 3] = [Self::Ramp, Self::Run, Self::Leave];

    /// The name in summaries.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Run => "run",
            Self::Leave => "leave",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Ramp => 0,
            Self::Run => 1,
            Self::Leave => 2,
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Right,
    /// With another answer: that code, or a Reset (the code 0.00).
    Wrong(Code),
    /// Nobody answered any of the repetitions.
    Missing,
}

/// One operation in one phase. `begun = right + wrong + missing + unfinished`.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Operations begun.
    pub(crate) begun: u64,
    /// Those that were answered as they should.
    pub(crate) right: u64,
    /// Of them, those before the phase was over.
    pub(crate) in_time: u64,
    /// Those that were answered otherwise.
    pub(crate) wrong: u64,
    /// Those that nobody answered.
    pub(crate) missing: u64,
    /// Repetitions that were sent.
    pub(crate) repetitions: u64,
    /// Microseconds from when it was to begin to the right answer.
    pub(crate) latency: Option<Histogram<u64>>,
}

impl Tally {
    /// Those that were given up when the load was ended early.
    pub(crate) fn unfinished(&self) -> u64 {
        self.begun.saturating_sub(self.right + self.wrong + self.missing)
    }

    /// Counts how one ended.
    pub(crate) fn end(&mut self, outcome: Outcome, latency: Duration, in_time: u64) {
        match outcome {
            Outcome::Right => {
                self.right += 1;
                self.in_time += in_time;
                record(self.latency.get_or_insert_with(histogram), latency);
            }
            Outcome::Wrong(_) => self.wrong += 1,
            Outcome::Missing => self.missing += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.right += other.right;
        self.in_time += other.in_time;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.repetitions += other.repetitions;
        if let Some(latency) = &other.latency {
            // Histograms of one kind always add up.
            let _ = self.latency.get_or_insert_with(histogram).add(latency);
        }
    }
}

/// What the server asked of the devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Downlink {
    /// Read and Read-Composite.
    pub(crate) read: u64,
    /// Observe and Observe-Composite.
    pub(crate) observe: u64,
    /// Cancellations of these.
    pub(crate) cancel: u64,
    /// Discover.
    pub(crate) discover: u64,
    /// Every kind of Write, and Write-Attributes.
    pub(crate) write: u64,
    /// Execute.
    pub(crate) execute: u64,
    /// What these devices do not do.
    pub(crate) refused: u64,
    /// Requests that came once more, and were answered once more.
    pub(crate) repeated: u64,
    /// Datagrams to devices that slept: they were lost.
    pub(crate) asleep: u64,
}

impl Downlink {
    /// Names and numbers, in the order of the summary.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 9] {
        [
            ("read", self.read),
            ("observe", self.observe),
            ("cancel", self.cancel),
            ("discover", self.discover),
            ("write", self.write),
            ("execute", self.execute),
            ("refused", self.refused),
            ("repeated", self.repeated),
            ("asleep", self.asleep),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.observe += other.observe;
        self.cancel += other.cancel;
        self.discover += other.discover;
        self.write += other.write;
        self.execute += other.execute;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.asleep += other.asleep;
    }
}

/// All that one thread, or all of them, measured.
#[derive(Clone, Default)]
pub(crate) struct Stats {
    tallies: [[Tally; Operation::ALL.len()]; Phase::ALL.len()],
    /// Wrong answers by operation and code.
    pub(crate) wrong: BTreeMap<(Operation, u8), u64>,
    pub(crate) downlink: Downlink,
    /// Answers that came once more, as they do when datagrams are lost.
    pub(crate) repeated: u64,
    /// Messages that answer nothing, and datagrams that are none of the protocol.
    pub(crate) stray: u64,
    /// Datagrams lost on purpose, to the server and from it.
    pub(crate) lost: [u64; 2],
    /// Notifications that were due while no device was observed.
    pub(crate) unobserved: u64,
}

impl Stats {
    /// One operation in one phase.
    pub(crate) fn tally(&self, phase: Phase, operation: Operation) -> &Tally {
        &self.tallies[phase.index()][operation.index()]
    }

    /// The same, to be changed.
    pub(crate) fn tally_mut(&mut self, phase: Phase, operation: Operation) -> &mut Tally {
        &mut self.tallies[phase.index()][operation.index()]
    }

    /// Counts how an operation ended.
    pub(crate) fn end(
        &mut self,
        (phase, operation): (Phase, Operation),
        outcome: Outcome,
        latency: Duration,
        in_time: u64,
    ) {
        if let Outcome::Wrong(code) = outcome {
            *self.wrong.entry((operation, code.0)).or_default() += 1;
        }
        self.tally_mut(phase, operation).end(outcome, latency, in_time);
    }

    /// Every tally, with its phase and operation.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (Phase, Operation, &Tally)> {
        Phase::ALL.into_iter().flat_map(move |phase| {
            Operation::ALL.into_iter().map(move |operation| (phase, operation, self.tally(phase, operation)))
        })
    }

    /// A sum over all tallies.
    pub(crate) fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies().map(|(_, _, tally)| of(tally)).sum()
    }

    /// Adds what another thread measured.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.tallies.iter_mut().flatten().zip(other.tallies.iter().flatten()) {
            mine.add(theirs);
        }
        for (key, count) in &other.wrong {
            *self.wrong.entry(*key).or_default() += count;
        }
        self.downlink.add(&other.downlink);
        self.repeated += other.repeated;
        self.stray += other.stray;
        self.unobserved += other.unobserved;
        for (mine, theirs) in self.lost.iter_mut().zip(other.lost) {
            *mine += theirs;
        }
    }
}

/// Latencies in microseconds, from 1 µs to an hour, exact to 0.1 %.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order")
}

/// Adds a latency; what is out of bounds counts as the bound.
pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    let us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US);
    histogram.saturating_record(us.clamp(1, LATENCY_MAX_US));
}

const LATENCY_MAX_US: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_ends_in_one_way() {
        let mut stats = Stats::default();
        let key = (Phase::Run, Operation::Update);
        stats.tally_mut(key.0, key.1).begun = 5;
        stats.end(key, Outcome::Right, Duration::from_millis(2), 1);
        stats.end(key, Outcome::Right, Duration::from_secs(7200), 0);
        stats.end(key, Outcome::Wrong(Code::NOT_FOUND), Duration::ZERO, 0);
        stats.end(key, Outcome::Missing, Duration::ZERO, 0);
        let mut sum = stats.clone();
        sum.add(&stats);
        let tally = sum.tally(Phase::Run, Operation::Update);
        assert_eq!(
            (tally.right, tally.in_time, tally.wrong, tally.missing, tally.unfinished()),
            (4, 2, 2, 2, 2)
        );
        let latency = tally.latency.as_ref().expect("measured");
        assert_eq!(latency.len(), 4);
        assert!((1990..2010).contains(&latency.value_at_quantile(0.25)));
        assert!(latency.max() >= 3_599_000_000);
        assert_eq!(sum.wrong, BTreeMap::from([((Operation::Update, Code::NOT_FOUND.0), 2)]));
        assert_eq!(sum.sum(|tally| tally.begun), 10);
    }
}
