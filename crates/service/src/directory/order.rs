//! Order: very many names put in order at once, by several threads.
//!
//! A few of the names are borders. Each thread deals its share of the devices out among the stretches between them, then each puts one
//! stretch in order.

use std::thread;

use super::names::Place;

/// Puts devices in the order of their names, which are all different, in stretches; `finish` is called for each stretch by a thread
/// of its own.
pub(super) fn in_order<'a, T: Send>(
    places: &[Place],
    name_of: impl Fn(Place) -> &'a str + Sync,
    finish: impl Fn(Vec<Place>) -> T + Sync,
) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get()).min(THREADS_MAX);
    let borders = borders(places, threads, &name_of);
    let stretch_of = |place| borders.partition_point(|border| *border <= name_of(place));
    let deal_out = |share: &[Place]| {
        let mut stretches = vec![Vec::new(); borders.len() + 1];
        for place in share {
            if let Some(stretch) = stretches.get_mut(stretch_of(*place)) {
                stretch.push(*place);
            }
        }
        stretches
    };
    let share_len = places.len().div_ceil(threads).max(1);
    let shares = at_once(places.chunks(share_len).map(|share| || deal_out(share)));
    let finish_one = |number: usize| {
        let mut stretch: Vec<Place> =
            shares.iter().filter_map(|share| share.get(number)).flatten().copied().collect();
        sort(&mut stretch, 0, &name_of);
        finish(stretch)
    };
    let finish_one = &finish_one;
    at_once((0..=borders.len()).map(|number| move || finish_one(number)))
}

/// Names that cut all into about equal stretches, one less than those.
fn borders<'a>(places: &[Place], stretches: usize, name_of: impl Fn(Place) -> &'a str) -> Vec<&'a str> {
    let step = places.len() / SAMPLES + 1;
    let mut samples: Vec<&str> = places.iter().step_by(step).map(|place| name_of(*place)).collect();
    samples.sort_unstable();
    (1..stretches).filter_map(|part| samples.get(samples.len() * part / stretches).copied()).collect()
}

/// Does all of it, each in a thread of its own.
fn at_once<T: Send, F: FnOnce() -> T + Send>(work: impl Iterator<Item = F>) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = work.map(|work| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Sorts names that are equal before `from`: by eight bytes, which are compared without a look at the names, then those that have the
/// same by the next eight.
fn sort<'a>(places: &mut [Place], from: usize, name_of: &impl Fn(Place) -> &'a str) {
    let eight = |place: Place| {
        let mut eight = [0; 8];
        eight.iter_mut().zip(name_of(place).bytes().skip(from)).for_each(|(to, byte)| *to = byte);
        u64::from_be_bytes(eight)
    };
    let mut keyed: Vec<(u64, Place)> = places.iter().map(|place| (eight(*place), *place)).collect();
    keyed.sort_unstable_by_key(|(eight, _)| *eight);
    places.iter_mut().zip(&keyed).for_each(|(to, (_, place))| *to = *place);
    let mut rest = places;
    for same in keyed.chunk_by(|one, other| one.0 == other.0) {
        let (equal, behind) = rest.split_at_mut(same.len());
        rest = behind;
        if equal.len() > FEW && same.first().is_some_and(|(eight, _)| eight & 0xff != 0) {
            sort(equal, from + 8, name_of);
        } else {
            equal.sort_unstable_by(|one, other| name_of(*one).cmp(name_of(*other)));
        }
    }
}

const THREADS_MAX: usize = 8;
/// Names among which borders are chosen.
const SAMPLES: usize = 2000;
/// So many names are compared as they are.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_kinds_come_in_their_order() {
        // Some differ early, some late, some are the beginning of others.
        let late = (0..3000_u32).map(|n| format!("urn:dev:ops:{:06}", n * 7919 % 3000));
        let early = (0..200_u32).map(|n| format!("{}:lamp", n * 77 % 200));
        let longer = (0..40_usize).map(|n| format!("urn:{}", "x".repeat(n * 7 % 40)));
        let table: Vec<String> = late.chain(early).chain(longer).collect();
        let name_of = |place: Place| table[place as usize].as_str();
        for len in [0, 1, 2, 3, 1000, table.len()] {
            let places: Vec<Place> = (0..).take(len).collect();
            let stretches = in_order(&places, name_of, |stretch| stretch);
            let got: Vec<&str> = stretches.into_iter().flatten().map(name_of).collect();
            let mut expected: Vec<&str> = table[..len].iter().map(String::as_str).collect();
            expected.sort_unstable();
            assert_eq!(got, expected);
        }
    }
}
