//! Backlog: what is owed of commits that failed. It is written in its order, a stretch at a time, before anything that came later.
//!
//! An event, or a note, that is owed belongs to the fact before it, of which it tells: no stretch ends between them, and where there is no
//! room for both there is room for neither. Who is left out for want of room is still registered in the store: the next process finds it
//! there, and tells its end then.

use std::collections::VecDeque;

use lightship_store::Fact;

/// Facts that must come true as soon as the store takes them.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    facts: VecDeque<Fact>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Those of a commit that failed are owed again, before all others.
    pub(super) fn put_back(&mut self, owed: Vec<Fact>) {
        owed.into_iter().rev().for_each(|fact| self.facts.push_front(fact));
    }

    /// These are owed, too, behind all others; gives what there is no room for.
    pub(super) fn add(&mut self, mut owed: Vec<Fact>) -> Vec<Fact> {
        let mut kept = owed.len().min(OWED_MAX.saturating_sub(self.facts.len()));
        while kept > 0 && owed.get(kept).is_some_and(tells) {
            kept -= 1;
        }
        let left_out = owed.split_off(kept);
        self.facts.extend(owed);
        left_out
    }

    /// Takes the next facts that are written together.
    pub(super) fn stretch(&mut self) -> Vec<Fact> {
        let mut len = self.facts.len().min(STRETCH_LEN);
        while self.facts.get(len).is_some_and(tells) {
            len += 1;
        }
        self.facts.drain(..len).collect()
    }
}

/// Whether it belongs to the fact before it.
const fn tells(fact: &Fact) -> bool {
    matches!(fact, Fact::Happened(_) | Fact::Note { .. })
}

/// How many of these facts are events.
pub(super) fn events(facts: &[Fact]) -> u64 {
    let events = facts.iter().filter(|fact| matches!(fact, Fact::Happened(_))).count();
    u64::try_from(events).unwrap_or(u64::MAX)
}

/// Facts that are owed, at most; those of some 350,000 registrations that have expired.
const OWED_MAX: usize = 1 << 20;
/// Facts of one commit.
const STRETCH_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use lightship_lwm2m::Endpoint;
    use lightship_store::NewEvent;

    use super::*;

    /// The end of a registration: the fact, the note of who is lost, the event.
    fn end(number: usize) -> [Fact; 3] {
        let endpoint = Endpoint::new(&format!("d{number}")).expect("a name");
        let event = NewEvent {
            at_ms: 1,
            endpoint: endpoint.clone(),
            kind: "expired",
            body: "{}".into(),
            indexed: true,
        };
        let note = Fact::Note { name: format!("lost/{endpoint}").into(), body: Some("{}".into()) };
        [Fact::Deregistered { endpoint, id: 1 }, note, Fact::Happened(event)]
    }

    #[test]
    fn no_stretch_parts_an_end_from_its_event() {
        let ends: Vec<Fact> = (0..5000).flat_map(end).collect();
        let mut backlog = Backlog::default();
        assert!(backlog.add(ends.clone()).is_empty());
        let mut written = Vec::new();
        while !backlog.is_empty() {
            let stretch = backlog.stretch();
            assert!(matches!(stretch.last(), Some(Fact::Happened(_))));
            assert!(stretch.len() <= STRETCH_LEN + 2);
            written.extend(stretch);
        }
        assert_eq!(written, ends, "in their order");
    }

    #[test]
    fn what_failed_goes_first_again() {
        let mut backlog = Backlog::default();
        backlog.add(end(1).to_vec());
        let first = backlog.stretch();
        backlog.put_back(first);
        backlog.add(end(2).to_vec());
        assert_eq!(backlog.stretch(), [end(1), end(2)].concat());
    }

    #[test]
    fn where_there_is_no_room_for_an_end_and_its_event_neither_is_kept() {
        let ends: Vec<Fact> = (0..OWED_MAX / 3 + 10).flat_map(end).collect();
        let mut backlog = Backlog::default();
        let left_out = backlog.add(ends);
        assert!(matches!(left_out.first(), Some(Fact::Deregistered { .. })), "{:?}", left_out.first());
        assert_eq!((left_out.len() % 3, events(&left_out)), (0, 10));
        assert_eq!(backlog.add(end(7).to_vec()).len(), 3);
    }
}
