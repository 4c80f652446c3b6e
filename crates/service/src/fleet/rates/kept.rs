//! Rates in the store: each ring is cut into stretches of an hour's, a day's or a week's steps, a note each; what is written is the stretch
//! that still grows, and what leaves a ring leaves the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use lightship_api::Timestamp;
use lightship_lwm2m::readable::readable;
use lightship_store::{Fact, Note};
use serde::{Deserialize, Serialize};

use super::{REASONS_MAX, Rates, Ring, Row, SERIES, State};

/// A stretch as the store has it.
#[derive(Default, Serialize, Deserialize)]
struct Stretch {
    /// Why things failed; the counts of the rows are in this order.
    reasons: Vec<String>,
    rows: Vec<Kept>,
}

/// The number of a step, what was counted in it, and what failed; without the zeros at the ends.
#[derive(Serialize, Deserialize)]
struct Kept(i64, Vec<u32>, Vec<u32>);

/// What the store does not have yet; give it back once it has.
pub(in crate::fleet) struct Unwritten {
    pub(in crate::fleet) facts: Vec<Fact>,
    /// What it has then, for each ring.
    written: Vec<BTreeSet<i64>>,
}

impl Rates {
    /// Goes on with what a process before has counted.
    pub(in crate::fleet) fn go_on(&self, notes: &[Note], now: Timestamp) {
        let mut state = self.state();
        for (name, body) in notes {
            let mut numbers = name.rsplit('/').map(str::parse::<i64>);
            let (stretch, step_s) = (numbers.next(), numbers.next());
            let place = stretch.and_then(Result::ok).zip(step_s.and_then(Result::ok));
            match place.zip(serde_json::from_str::<Stretch>(body).ok()) {
                Some(((number, step_s), stretch)) => state.take(step_s, number, stretch, now),
                None => {
                    tracing::warn!(name = %readable(name), "a note about what was counted cannot be read")
                }
            }
        }
    }

    /// Stretches that have changed since they were written.
    pub(in crate::fleet) fn unwritten(&self) -> Unwritten {
        let state = self.state();
        let mut facts = Vec::new();
        let mut note = |ring: &Ring, number: i64, body: Option<Arc<str>>| {
            facts.push(Fact::Note { name: name(ring, number), body });
        };
        let written = state.rings.iter().map(|ring| {
            let all = ring.stretches();
            let known = ring.written.last().copied();
            ring.written.difference(&all).for_each(|gone| note(ring, *gone, None));
            // Only the last one that was written has grown since.
            for number in all.iter().filter(|number| known.is_none_or(|known| **number >= known)) {
                let body = serde_json::to_string(&state.stretch(ring, *number)).unwrap_or_default();
                note(ring, *number, Some(body.into()));
            }
            all
        });
        let written = written.collect();
        Unwritten { facts, written }
    }

    /// The store has taken it.
    pub(in crate::fleet) fn wrote(&self, unwritten: Unwritten) {
        let mut state = self.state();
        for (ring, written) in state.rings.iter_mut().zip(unwritten.written) {
            ring.written = written;
        }
    }
}

impl State {
    fn stretch(&self, ring: &Ring, number: i64) -> Stretch {
        let steps = number * STRETCH..(number + 1) * STRETCH;
        let rows = steps.filter_map(|step| {
            let row = ring.at(step)?;
            Some(Kept(step, without_end(&row.counts), without_end(&row.reasons)))
        });
        Stretch {
            reasons: self.reasons.iter().map(|(reason, _)| reason.clone()).collect(),
            rows: rows.collect(),
        }
    }

    fn take(&mut self, step_s: i64, number: i64, stretch: Stretch, now: Timestamp) {
        let places: Vec<usize> = stretch.reasons.iter().map(|reason| self.place_of(reason)).collect();
        let Some(ring) = self.rings.iter_mut().find(|ring| i64::from(ring.step_s) == step_s) else { return };
        ring.written.insert(number);
        let newest = ring.number(now);
        for Kept(step, counts, failed) in stretch.rows {
            // A clock that was put back would have to wait for what lies ahead.
            if step > newest {
                continue;
            }
            let mut row = Row { counts: [0; SERIES], reasons: Vec::new() };
            row.counts.iter_mut().zip(counts).for_each(|(count, kept)| *count = kept);
            for (place, count) in places.iter().zip(failed) {
                row.reasons.resize(row.reasons.len().max(place + 1), 0);
                if let Some(sum) = row.reasons.get_mut(*place) {
                    *sum = sum.saturating_add(count);
                }
            }
            ring.add(Timestamp((step + 1) * ring.step_ms()), &row);
        }
    }

    /// The place of a reason; of too many the later ones share the last.
    fn place_of(&mut self, reason: &str) -> usize {
        let known =
            |reasons: &[(String, u32)], reason: &str| reasons.iter().position(|(one, _)| one == reason);
        let reason = if self.reasons.len() < REASONS_MAX { reason } else { super::OTHER };
        known(&self.reasons, reason).unwrap_or_else(|| {
            self.reasons.push((reason.chars().take(super::REASON_LEN_MAX).collect(), 0));
            self.reasons.len() - 1
        })
    }
}

impl Ring {
    /// The stretches that it has something of.
    fn stretches(&self) -> BTreeSet<i64> {
        let len = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let steps = (self.newest - len + 1..=self.newest).filter(|step| self.at(*step).is_some());
        steps.map(|step| step.div_euclid(STRETCH)).collect()
    }
}

fn without_end(counts: &[u32]) -> Vec<u32> {
    let len = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    counts.get(..len).unwrap_or_default().to_vec()
}

fn name(ring: &Ring, number: i64) -> Arc<str> {
    format!("{PREFIX}{}/{number:012}", ring.step_s).into()
}

pub(in crate::fleet) const PREFIX: &str = "rates/";
/// Steps of a stretch: the longest ring has seventeen, or eighteen where it begins in the middle of one.
const STRETCH: i64 = 60;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lightship_api::EventType;

    use super::*;

    const BEGIN_MS: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(BEGIN_MS + seconds * 1000)
    }

    /// Writes into a store that is a map; how many notes were written.
    fn write(rates: &Rates, store: &mut BTreeMap<Arc<str>, Arc<str>>) -> usize {
        let unwritten = rates.unwritten();
        for fact in &unwritten.facts {
            let Fact::Note { name, body } = fact else { panic!("{fact:?}") };
            match body {
                Some(body) => drop(store.insert(name.clone(), body.clone())),
                None => drop(store.remove(name)),
            }
        }
        let count = unwritten.facts.len();
        rates.wrote(unwritten);
        count
    }

    #[test]
    fn another_process_shows_the_same_and_a_hole_where_none_was_running() {
        let (rates, mut store) = (Rates::new(), BTreeMap::new());
        for step in 1..=50_000 {
            rates.happened(EventType::Notified);
            if step % 100 == 0 {
                rates.failed(if step % 200 == 0 { "no answer" } else { "it refused" });
            }
            rates.step(at(step * 10));
            if step % 6 == 0 {
                let written = write(&rates, &mut store);
                assert!(written <= 9, "{written} notes in one minute");
            }
        }
        write(&rates, &mut store);
        let bytes: usize = store.values().map(|body| body.len()).sum();
        assert!(store.len() <= 7 + 25 + 18 && bytes < 200_000, "{} notes, {bytes} bytes", store.len());

        let (now, later) = (at(500_000), at(500_000 + 1200));
        let notes: Vec<Note> = store.into_iter().collect();
        let next = Rates::new();
        next.go_on(&notes, now);
        for minutes in [60, 1440, 10_080] {
            assert_eq!(next.shape(minutes, now), rates.shape(minutes, now), "{minutes} minutes");
        }
        next.happened(EventType::Notified);
        next.failed("it refused");
        next.step(later);
        let hour = next.shape(60, later);
        let notified = &hour.series["notified"];
        assert_eq!(notified[240..359], vec![None; 119], "nobody counted then");
        assert_eq!((notified[239], notified[359]), (Some(1), Some(1)));
        assert_eq!(hour.failures["it refused"][359], Some(1));
        // Of a process whose clock is behind, what lies ahead is not shown.
        let behind = Rates::new();
        behind.go_on(&notes, at(250_000));
        assert!(behind.state().rings.iter().all(|ring| ring.newest <= ring.number(at(250_000))));
    }
}
