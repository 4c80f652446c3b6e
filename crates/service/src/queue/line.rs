//! Line: where the commands of a device stand that wait, and where one stands that is moved.
//!
//! They go by priority, then by place. A place is a number with room between two of them, so that most moves change one
//! command; where the room is used up all of that priority get new places, in the order that they have.

use lightship_store::{CommandId, PLACE_STEP};

/// One command that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) id: CommandId,
    pub(crate) priority: i8,
    pub(crate) place: i64,
    /// The end of its pause, 0 for none; a move leaves it as it is.
    pub(crate) next_ms: i64,
}

/// Where a command shall stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Behind those that have this priority already.
    Priority(i8),
    First,
    Last,
    Before(CommandId),
    Behind(CommandId),
}

/// The commands that change for this one to stand there, as they are then; none if it stands there already, or if one of
/// the two is not in the line.
pub(crate) fn moved(line: &[Spot], id: CommandId, to: Target) -> Vec<Spot> {
    let Some(here) = line.iter().find(|spot| spot.id == id) else { return Vec::new() };
    let others: Vec<Spot> = line.iter().filter(|spot| spot.id != id).copied().collect();
    let find = |other: CommandId| others.iter().position(|spot| spot.id == other);
    // Between which two of the others: the place of the one that will stand behind it.
    let (at, priority) = match to {
        Target::Priority(priority) if priority == here.priority => return Vec::new(),
        Target::Priority(priority) => {
            (others.partition_point(|spot| spot.priority >= priority), Some(priority))
        }
        Target::First if line.first() == Some(here) => return Vec::new(),
        Target::Last if line.last() == Some(here) => return Vec::new(),
        Target::First => (0, others.first().map(|spot| spot.priority)),
        Target::Last => (others.len(), others.last().map(|spot| spot.priority)),
        Target::Before(other) => match find(other) {
            Some(at) => (at, others.get(at).map(|spot| spot.priority)),
            None => return Vec::new(),
        },
        Target::Behind(other) => match find(other) {
            Some(at) => (at + 1, others.get(at).map(|spot| spot.priority)),
            None => return Vec::new(),
        },
    };
    let priority = priority.unwrap_or(here.priority);
    let equal = |spot: Option<&Spot>| spot.filter(|spot| spot.priority == priority).map(|spot| spot.place);
    let before = at.checked_sub(1).and_then(|at| equal(others.get(at)));
    let behind = equal(others.get(at));
    let was_there = line.get(at).is_some_and(|spot| spot.id == id);
    if was_there && priority == here.priority {
        return Vec::new();
    }
    match between(before, behind) {
        Some(place) => vec![Spot { priority, place, ..*here }],
        None => spread(&others, at, Spot { priority, ..*here }),
    }
}

/// A place between two others; none where there is no room.
fn between(before: Option<i64>, behind: Option<i64>) -> Option<i64> {
    match (before, behind) {
        (None, None) => Some(0),
        (Some(before), None) => before.checked_add(PLACE_STEP),
        (None, Some(behind)) => behind.checked_sub(PLACE_STEP),
        (Some(before), Some(behind)) => {
            let half = behind.checked_sub(before)? / 2;
            (half > 0).then(|| before + half)
        }
    }
}

/// New places for all of a priority: the last one keeps its own, so that what comes later still goes behind it.
fn spread(others: &[Spot], at: usize, one: Spot) -> Vec<Spot> {
    let (ahead, rest) = others.split_at(at.min(others.len()));
    let equals = |spots: &[Spot]| -> Vec<Spot> {
        spots.iter().filter(|spot| spot.priority == one.priority).copied().collect()
    };
    let row: Vec<Spot> = equals(ahead).into_iter().chain([one]).chain(equals(rest)).collect();
    let last = row.iter().map(|spot| spot.place).max().unwrap_or(0);
    let from_last = (0_i64..).map(|n| last.saturating_sub(n.saturating_mul(PLACE_STEP)));
    let mut spread: Vec<Spot> =
        row.iter().rev().zip(from_last).map(|(spot, place)| Spot { place, ..*spot }).collect();
    spread.reverse();
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> CommandId {
        CommandId { number, writer: 1 }
    }

    fn spot(number: u64, priority: i8) -> Spot {
        Spot { id: id(number), priority, place: id(number).place(), next_ms: 7 }
    }

    fn sorted(mut line: Vec<Spot>) -> Vec<Spot> {
        line.sort_by_key(|spot| (std::cmp::Reverse(spot.priority), spot.place, spot.id.number));
        line
    }

    fn after(line: &[Spot], number: u64, to: Target) -> Vec<Spot> {
        let changed = moved(line, id(number), to);
        let kept = line.iter().filter(|spot| !changed.iter().any(|other| other.id == spot.id));
        sorted(kept.copied().chain(changed.iter().copied()).collect())
    }

    fn order(line: &[Spot]) -> Vec<u64> {
        line.iter().map(|spot| spot.id.number).collect()
    }

    #[test]
    fn a_command_goes_where_it_is_told_to() {
        let line = [spot(2, 5), spot(4, 5), spot(1, 0), spot(3, 0), spot(5, -1)];
        for (number, to, expected, priority) in [
            (3, Target::First, [3, 2, 4, 1, 5], 5),
            (2, Target::Last, [4, 1, 3, 5, 2], -1),
            (5, Target::Before(id(3)), [2, 4, 1, 5, 3], 0),
            (5, Target::Before(id(4)), [2, 5, 4, 1, 3], 5),
            (2, Target::Behind(id(3)), [4, 1, 3, 2, 5], 0),
            (2, Target::Behind(id(4)), [4, 2, 1, 3, 5], 5),
            (1, Target::Behind(id(4)), [2, 4, 1, 3, 5], 5),
            (1, Target::Priority(5), [2, 4, 1, 3, 5], 5),
            (1, Target::Priority(100), [1, 2, 4, 3, 5], 100),
            (2, Target::Priority(0), [4, 1, 3, 2, 5], 0),
            (2, Target::Priority(-100), [4, 1, 3, 5, 2], -100),
        ] {
            let now = after(&line, number, to);
            let here = now.iter().find(|spot| spot.id == id(number)).unwrap();
            assert_eq!(
                (order(&now), here.priority, here.next_ms),
                (expected.to_vec(), priority, 7),
                "{to:?}"
            );
            assert_eq!(moved(&line, id(number), to).len(), 1, "{to:?}");
        }
    }

    #[test]
    fn nothing_changes_for_one_that_stands_there() {
        let line = [spot(1, 0), spot(2, 0), spot(3, 0)];
        for (number, to) in [
            (1, Target::First),
            (3, Target::Last),
            (2, Target::Before(id(3))),
            (2, Target::Behind(id(1))),
            (2, Target::Priority(0)),
            (2, Target::Before(id(9))),
            (9, Target::First),
        ] {
            assert_eq!(moved(&line, id(number), to), [], "{number} {to:?}");
        }
        let unequal = [spot(2, 5), spot(1, 0)];
        assert_eq!(moved(&unequal, id(2), Target::First), [], "it keeps its priority");
        assert_eq!(moved(&unequal, id(1), Target::Last), []);
    }

    #[test]
    fn any_number_of_moves_finds_room_and_leaves_the_end_where_it_is() {
        let mut line = vec![spot(1, 0), spot(2, 0), spot(3, 0), spot(4, 0)];
        let end = line.last().unwrap().place;
        for turn in 0..200_u64 {
            // Always into the same gap, from both sides in turn.
            let number = 2 + turn % 2;
            line = after(&line, number, Target::Behind(id(1)));
            let expected = [1, number, 5 - number, 4];
            assert_eq!(order(&line), expected, "turn {turn}");
            assert_eq!(line.last().unwrap().place, end);
        }
        for turn in 0..200_u64 {
            let last = line.last().unwrap().id.number;
            line = after(&line, last, Target::First);
            assert_eq!(line.first().unwrap().id, id(last), "turn {turn}");
        }
        let extreme = [Spot { place: i64::MIN, ..spot(1, 0) }, Spot { place: i64::MAX, ..spot(2, 0) }];
        assert_eq!(order(&after(&extreme, 2, Target::First)), [2, 1]);
        assert_eq!(order(&after(&extreme, 1, Target::Last)), [2, 1]);
    }
}
