//! Scan: all registrations at once, read by several threads, each a stretch of the names at a time.
//!
//! Nobody knows how many rows lie between two names. So the stretches are many more than the threads, and each begins and
//! ends with a name that is there: a prefix that all share, or a gap, costs nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use fjall::{Keyspace, Slice};

use super::decoded;
use super::records;
use super::trees::{Tree, Trees, among, failed};
use crate::StoreError;
use crate::batch::RegistrationRecord;

/// From one key to another, both included.
struct Stretch {
    first: Slice,
    last: Slice,
}

/// Shows all registrations, so many at a time, from several threads; says how many there were.
pub(super) fn registrations(
    trees: &Trees,
    visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync),
) -> Result<u64, StoreError> {
    let tree = trees.tree(Tree::Registrations)?;
    let stretches = stretches(&tree).map_err(|error| among("registrations")(failed(trees.path(), error)))?;
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get()).min(THREADS_MAX);
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let read = || {
        let mut count = 0;
        while let Some(stretch) = stretches.get(next.fetch_add(1, Ordering::Relaxed))
            && !has_failed.load(Ordering::Relaxed)
        {
            let shown = show(trees, &tree, stretch, visit);
            count += shown.inspect_err(|_| has_failed.store(true, Ordering::Relaxed))?;
        }
        Ok(count)
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads.min(stretches.len())).map(|_| scope.spawn(read)).collect();
        let counts = readers
            .into_iter()
            .map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // All are waited for before the first failure is told.
        counts.collect::<Vec<Result<u64, StoreError>>>().into_iter().sum()
    })
}

fn show(
    trees: &Trees,
    tree: &Keyspace,
    stretch: &Stretch,
    visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync),
) -> Result<u64, StoreError> {
    let (mut chunk, mut count) = (Vec::with_capacity(CHUNK), 0);
    for row in tree.range(&stretch.first[..]..=&stretch.last[..]) {
        chunk.push(decoded(trees, row, records::read_registration).map_err(among("registrations"))?);
        count += 1;
        if chunk.len() == CHUNK {
            visit(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)));
        }
    }
    if !chunk.is_empty() {
        visit(chunk);
    }
    Ok(count)
}

/// Cuts the names in half again and again, the longest waiting first.
fn stretches(tree: &Keyspace) -> Result<Vec<Stretch>, fjall::Error> {
    let ends = tree.first_key_value().zip(tree.last_key_value());
    let Some((first, last)) = ends else { return Ok(Vec::new()) };
    let mut to_cut = VecDeque::from([Stretch { first: first.key()?, last: last.key()? }]);
    let mut whole = Vec::new();
    while to_cut.len() + whole.len() < STRETCHES
        && let Some(Stretch { first, last }) = to_cut.pop_front()
    {
        if first == last {
            whole.push(Stretch { first, last });
            continue;
        }
        let middle = middle(&first, &last);
        // What was written last hides what was before: where there was a name is still one, as nobody writes now.
        let below = tree.range(&first[..]..&middle[..]).next_back().map(fjall::Guard::key).transpose()?;
        let above = tree.range(&middle[..]..=&last[..]).next().map(fjall::Guard::key).transpose()?;
        to_cut.extend(below.map(|below| Stretch { first, last: below }));
        to_cut.extend(above.map(|above| Stretch { first: above, last }));
    }
    whole.extend(to_cut);
    Ok(whole)
}

/// A key behind `first` and not behind `last`, about in the middle by the eight bytes where they begin to differ. No key ends in a
/// zero byte, and `first` comes before `last`.
fn middle(first: &[u8], last: &[u8]) -> Vec<u8> {
    let common = first.iter().zip(last).take_while(|(one, other)| one == other).count();
    let number = |key: &[u8]| {
        let mut eight = [0; 8];
        eight.iter_mut().zip(key.iter().skip(common)).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(eight)
    };
    let (from, to) = (number(first), number(last));
    let middle = from + to.saturating_sub(from).div_ceil(2);
    let mut key = first.iter().take(common).copied().chain(middle.to_be_bytes()).collect::<Vec<u8>>();
    while key.last() == Some(&0) {
        key.pop();
    }
    key
}

/// Registrations that are shown together.
const CHUNK: usize = 4096;
/// Stretches that the names are cut into.
const STRETCHES: usize = 128;
const THREADS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use lightship_lwm2m::Endpoint;

    use super::*;
    use crate::{Batch, EmbeddedOptions, EmbeddedStore, Fact, Store};

    #[test]
    fn the_middle_lies_behind_the_first_and_not_behind_the_last() {
        let names = [
            "a",
            "a1",
            "aa",
            "b",
            "urn:1",
            "urn:10",
            "urn:100000000000",
            "urn:100000000001",
            "urn:2",
            "\u{fffd}",
        ];
        for (at, first) in names.iter().enumerate() {
            for last in &names[at + 1..] {
                let middle = middle(first.as_bytes(), last.as_bytes());
                assert!(
                    *first.as_bytes() < *middle && *middle <= *last.as_bytes(),
                    "{first} {middle:x?} {last}"
                );
            }
        }
        assert_eq!(middle(b"lamp-10", b"lamp-30"), b"lamp-20");
    }

    #[tokio::test]
    async fn every_registration_is_shown_once_however_names_are_spread() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions::new(folder.path().to_owned(), 7, Arc::new(|| 0));
        let store = EmbeddedStore::open(options).expect("opens");
        let read = |store: &EmbeddedStore| {
            let seen = Mutex::new(Vec::new());
            let count = store.each_registration(&|chunk| {
                assert!(chunk.is_sorted_by(|one, other| one.endpoint.as_str() < other.endpoint.as_str()));
                seen.lock().expect("no panic").extend(chunk.into_iter().map(|one| one.endpoint.to_string()));
            });
            let mut seen = seen.into_inner().expect("no panic");
            assert_eq!(count.expect("reads"), u64::try_from(seen.len()).expect("few"));
            seen.sort();
            seen
        };
        assert!(read(&store).is_empty());
        // Most lie close together behind a long beginning, some are the beginning of others, one is alone.
        let close = (0..5000).map(|n| format!("urn:dev:ops:0023C7-{n:09}"));
        let longer = (0..30).map(|n| format!("urn:{}", "z".repeat(n)));
        let mut names: Vec<String> = close.chain(longer).chain(["a".to_owned()]).collect();
        names.sort();
        for part in names.chunks(1000) {
            let facts = part.iter().map(|name| {
                Fact::Registered(Arc::new(RegistrationRecord {
                    endpoint: Endpoint::new(name).expect("a name"),
                    id: 1,
                    registered_ms: 1,
                    updated_ms: 1,
                    expires_ms: None,
                    said: [7; 8].into(),
                }))
            });
            store.commit(Batch { facts: facts.collect() }).await.expect("writes");
        }
        assert_eq!(read(&store), names);
    }
}
