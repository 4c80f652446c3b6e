//! Rates: how often things happen, in rings of an hour, a day and a week. What counts is one addition; the rings are filled beside it,
//! and go into the store once a minute ([`kept`]).

mod kept;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lightship_api as api;
use lightship_api::{EventType, Handshake, HandshakeResult, Timestamp};

pub(super) use self::kept::PREFIX;
use crate::core::{Core, stopped};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    Registered,
    Updated,
    Notified,
    Sent,
    Deregistered,
    Expired,
    HandshakesFull,
    HandshakesResumed,
    HandshakesFailed,
    Operations,
    OperationsFailed,
}

/// The counters and their past.
#[derive(Debug)]
pub(crate) struct Rates {
    counts: [AtomicU64; SERIES],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Why things failed, and how often since the last step.
    reasons: Vec<(String, u32)>,
    before: [u64; SERIES],
    rings: [Ring; 3],
}

#[derive(Debug)]
struct Ring {
    step_s: u32,
    len: usize,
    /// The number of the newest step, counted from 1970.
    newest: i64,
    /// None where nobody counted: the server was not running.
    rows: VecDeque<Option<Row>>,
    /// The stretches that are in the store.
    written: BTreeSet<i64>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    counts: [u32; SERIES],
    /// By the place of the reason.
    reasons: Vec<u32>,
}

impl Rates {
    pub(crate) fn new() -> Rates {
        let ring =
            |(step_s, len)| Ring { step_s, len, newest: 0, rows: VecDeque::new(), written: BTreeSet::new() };
        let state = State { reasons: Vec::new(), before: [0; SERIES], rings: RINGS.map(ring) };
        Rates { counts: std::array::from_fn(|_| AtomicU64::new(0)), state: Mutex::new(state) }
    }

    pub(crate) fn count(&self, series: Series) {
        if let Some(counter) = self.counts.get(place(series)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what an event tells.
    pub(crate) fn happened(&self, kind: EventType) {
        let known = EVENTS.iter().find(|(known, _)| *known == kind);
        if let Some((_, series)) = known {
            self.count(*series);
        }
    }

    pub(crate) fn shook_hands(&self, handshake: &Handshake) {
        match handshake.result {
            HandshakeResult::Opened if handshake.resumed == Some(true) => {
                self.count(Series::HandshakesResumed)
            }
            HandshakeResult::Opened => self.count(Series::HandshakesFull),
            HandshakeResult::Failed => {
                self.count(Series::HandshakesFailed);
                // Without what a stranger has said of itself.
                let reason = handshake.reason.as_deref().unwrap_or("no reason is known");
                let reason = reason.split(['\'', '"', '(']).next().unwrap_or_default().trim();
                self.failed(reason);
            }
            _ => {}
        }
    }

    /// Counts why something failed; of many reasons the later ones are counted together.
    pub(crate) fn failed(&self, reason: &str) {
        let mut state = self.state();
        let reason = if state.reasons.len() < REASONS_MAX { reason } else { OTHER };
        match state.reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => state.reasons.push((reason.chars().take(REASON_LEN_MAX).collect(), 1)),
        }
    }

    /// A step has ended.
    pub(super) fn step(&self, end: Timestamp) {
        let mut state = self.state();
        let now: [u64; SERIES] =
            std::array::from_fn(|at| self.counts.get(at).map_or(0, |count| count.load(Ordering::Relaxed)));
        let State { reasons, before, rings } = &mut *state;
        let mut row = Row::default();
        for (count, (now, before)) in row.counts.iter_mut().zip(now.iter().zip(before.iter())) {
            *count = u32::try_from(now - before).unwrap_or(u32::MAX);
        }
        *before = now;
        row.reasons = reasons.iter_mut().map(|(_, count)| std::mem::take(count)).collect();
        rings.iter_mut().for_each(|ring| ring.add(end, &row));
    }

    /// What happened in the last minutes.
    pub(crate) fn shape(&self, minutes: u64, now: Timestamp) -> api::Rates {
        let state = self.state();
        let [hour, day, week] = &state.rings;
        let ring = match minutes {
            0..=60 => hour,
            61..=1440 => day,
            _ => week,
        };
        let steps = usize::try_from(minutes * 60 / u64::from(ring.step_s)).unwrap_or(1).clamp(1, ring.len);
        // The last step that is over.
        let last = ring.number(now) - 1;
        let first = last + 1 - i64::try_from(steps).unwrap_or(0);
        let column =
            |read: &dyn Fn(&Row) -> u32| (first..=last).map(|step| ring.at(step).map(read)).collect();
        let series = NAMES.iter().enumerate();
        let failures = state.reasons.iter().enumerate().map(|(at, (reason, _))| {
            (reason.clone(), column(&|row: &Row| row.reasons.get(at).copied().unwrap_or(0)))
        });
        let failures = failures
            .filter(|(_, counts): &(_, Vec<Option<u32>>)| counts.iter().flatten().any(|count| *count > 0));
        api::Rates {
            step_s: ring.step_s,
            from: Timestamp(first * ring.step_ms()),
            series: series
                .map(|(at, name)| {
                    ((*name).to_owned(), column(&|row: &Row| row.counts.get(at).copied().unwrap_or(0)))
                })
                .collect(),
            failures: failures.collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn step_ms(&self) -> i64 {
        i64::from(self.step_s) * 1000
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.step_ms())
    }

    /// Adds what happened before that moment to the step that it ends, or lies in.
    fn add(&mut self, end: Timestamp, row: &Row) {
        let number = self.number(Timestamp(end.0 - 1));
        if self.rows.is_empty() || number > self.newest + i64::try_from(self.len).unwrap_or(i64::MAX) {
            self.rows.clear();
            self.newest = number - 1;
        }
        while self.newest < number {
            self.rows.push_back(None);
            self.newest += 1;
            if self.rows.len() > self.len {
                self.rows.pop_front();
            }
        }
        // A clock that was put back adds to the newest.
        if let Some(newest) = self.rows.back_mut() {
            newest.get_or_insert_default().add(row);
        }
    }

    fn at(&self, number: i64) -> Option<&Row> {
        let from_end = usize::try_from(self.newest - number).ok()?;
        self.rows.get(self.rows.len().checked_sub(from_end + 1)?)?.as_ref()
    }
}

impl Row {
    fn add(&mut self, other: &Row) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.reasons.resize(self.reasons.len().max(other.reasons.len()), 0);
        for (count, more) in self.reasons.iter_mut().zip(&other.reasons) {
            *count = count.saturating_add(*more);
        }
    }
}

/// Fills the rings, each ten seconds.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let left_ms = STEP_MS - core.now().0.rem_euclid(STEP_MS);
        let end = Timestamp(core.now().0 + left_ms);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(left_ms.unsigned_abs())) => {}
            () = stopped(&mut stopping) => return,
        }
        core.fleet.rates.step(end);
        core.fleet.noise.step(end.0.rem_euclid(60_000) == 0);
    }
}

fn place(series: Series) -> usize {
    match series {
        Series::Registered => 0,
        Series::Updated => 1,
        Series::Notified => 2,
        Series::Sent => 3,
        Series::Deregistered => 4,
        Series::Expired => 5,
        Series::HandshakesFull => 6,
        Series::HandshakesResumed => 7,
        Series::HandshakesFailed => 8,
        Series::Operations => 9,
        Series::OperationsFailed => 10,
    }
}

const EVENTS: [(EventType, Series); 6] = [
    (EventType::Registered, Series::Registered),
    (EventType::Updated, Series::Updated),
    (EventType::Notified, Series::Notified),
    (EventType::Sent, Series::Sent),
    (EventType::Deregistered, Series::Deregistered),
    (EventType::Expired, Series::Expired),
];
const SERIES: usize = 11;
const NAMES: [&str; SERIES] = [
    "registered",
    "updated",
    "notified",
    "sent",
    "deregistered",
    "expired",
    "handshakes_full",
    "handshakes_resumed",
    "handshakes_failed",
    "operations",
    "operations_failed",
];
/// Seconds in a step, and steps: an hour, a day, a week.
const RINGS: [(u32, usize); 3] = [(10, 360), (60, 1440), (600, 1008)];
const STEP_MS: i64 = 10_000;
/// Reasons that are told apart.
const REASONS_MAX: usize = 32;
const REASON_LEN_MAX: usize = 120;
const OTHER: &str = "other reasons";

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN_MS: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(BEGIN_MS + seconds * 1000)
    }

    #[test]
    fn what_happens_lies_in_the_step_in_which_it_was_counted() {
        let rates = Rates::new();
        for step in 1..=30 {
            (0..step).for_each(|_| rates.happened(EventType::Notified));
            rates.happened(EventType::Asleep);
            if step % 10 == 0 {
                rates.failed("no answer");
            }
            rates.step(at(step * 10));
        }
        let hour = rates.shape(60, at(303));
        assert_eq!((hour.step_s, hour.from), (10, at(300 - 3600)));
        let notified = &hour.series["notified"];
        assert_eq!(notified.len(), 360);
        assert_eq!(notified[..330], vec![None; 330], "it was not running then");
        let counted: Vec<u32> = notified[330..].iter().map(|count| count.unwrap()).collect();
        assert_eq!(counted, (1..=30).collect::<Vec<u32>>());
        assert_eq!(hour.series["registered"][359], Some(0));
        assert_eq!(hour.failures.keys().collect::<Vec<_>>(), ["no answer"]);
        assert_eq!(hour.failures["no answer"][339], Some(1));
        let day = rates.shape(1440, at(303));
        assert_eq!(day.step_s, 60);
        let minutes: Vec<u32> = day.series["notified"].iter().flatten().copied().collect();
        assert_eq!(minutes, [21, 57, 93, 129, 165]);
        assert_eq!(rates.shape(5, at(300)).series["notified"].len(), 30);
        assert_eq!(rates.shape(10_080, at(300)).step_s, 600);
    }

    #[test]
    fn rings_and_reasons_have_an_end() {
        let rates = Rates::new();
        for step in 1..=800 {
            rates.failed(&format!("reason {step}"));
            rates.happened(EventType::Sent);
            rates.step(at(step * 10));
        }
        let hour = rates.shape(60, at(8000));
        assert_eq!(hour.series["sent"], vec![Some(1); 360]);
        assert_eq!(hour.failures.len(), 1, "all that is left is counted together");
        assert_eq!(hour.failures[OTHER], vec![Some(1); 360]);
        let state = rates.state();
        assert_eq!((state.reasons.len(), state.rings[0].rows.len()), (REASONS_MAX + 1, 360));
        drop(state);
        // After a long silence nothing of before is left, and what was not counted was not there.
        rates.step(at(8000 + 86_400));
        assert_eq!(rates.shape(60, at(8000 + 86_400)).series["sent"].iter().flatten().sum::<u32>(), 0);
    }
}
