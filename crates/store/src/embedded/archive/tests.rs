//! A store is written out with a hole, or with a row that makes no sense: what is told of it, and what comes all the same.

use super::*;
use std::sync::Arc;

use super::super::trees::{Row, Sync};
use crate::batch::{Batch, Fact, NewEvent};
use crate::{EmbeddedOptions, Store};

const NEWEST: u64 = 38;
/// The events of the one bundle.
const BUNDLE: RangeInclusive<u64> = 6..=35;

fn device() -> Endpoint {
    Endpoint::new("dev").unwrap()
}

/// Five events by themselves, a bundle, three by themselves.
async fn filled(folder: &std::path::Path) -> EmbeddedStore {
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(|| 1_000));
    let store = EmbeddedStore::open(EmbeddedOptions { free_bytes_min: 0, ..options }).unwrap();
    let event = || NewEvent { at_ms: 1, endpoint: device(), kind: "sent", body: "{}".into(), indexed: true };
    for together in [5, BUNDLE.count(), 3] {
        let facts = (0..together).map(|_| Fact::Happened(event())).collect();
        store.commit(Batch { facts }).await.unwrap();
    }
    store
}

fn row(tree: Tree, key: &[u8], value: Option<&[u8]>) -> Row {
    Row { tree, key: key.into(), value: value.map(Into::into) }
}

fn event_row(number: u64, value: Option<&[u8]>) -> Row {
    row(Tree::Events, &records::number_key(number), value)
}

/// The bundle, with the first byte of one of its events turned into what none begins with.
fn bent(store: &EmbeddedStore, number: u64) -> Row {
    let trees = store.shared.readable().unwrap();
    let first = *BUNDLE.start();
    let mut value = trees.get(Tree::Events, &records::number_key(first)).unwrap().unwrap().to_vec();
    let place = usize::try_from(number - first).unwrap();
    let end_of_before = 3 + 4 * (place - 1);
    let end = u32::from_be_bytes(*value[end_of_before..].first_chunk().unwrap());
    value[3 + 4 * BUNDLE.count() + usize::try_from(end).unwrap()] ^= 0xff;
    event_row(first, Some(&value))
}

/// What is missing, by its numbers; fails when the log is not told once and in order.
fn missing(store: &EmbeddedStore) -> Vec<(u64, u64)> {
    let (mut next, mut missing) = (1, Vec::new());
    let visit = |entry| {
        let (first, last) = if let Entry::Event { event, indexed: true } = &entry {
            (event.cursor.number, event.cursor.number)
        } else if let Entry::Missing(Unreadable { first, last }) = entry {
            missing.push((first, last));
            (first, last)
        } else {
            panic!("{entry:?}")
        };
        assert_eq!(first, next, "in order, each once");
        next = last + 1;
        Ok::<_, StoreError>(())
    };
    store.each_entry(visit).unwrap();
    assert_eq!(next, NEWEST + 1);
    missing
}

#[tokio::test]
async fn what_is_damaged_or_not_there_is_named_in_its_place() {
    let garbage = Some(&[9, 9][..]);
    let whole = (*BUNDLE.start(), *BUNDLE.end());
    for (rows, expected) in [
        (vec![], vec![]),
        (vec![event_row(1, None)], vec![(1, 1)]),
        (vec![event_row(3, None)], vec![(3, 3)]),
        (vec![event_row(NEWEST, None)], vec![(NEWEST, NEWEST)]),
        (vec![event_row(3, garbage)], vec![(3, 3)]),
        (vec![event_row(3, Some(&[]))], vec![(3, 3)]),
        (vec![event_row(3, garbage), event_row(4, None)], vec![(3, 4)]),
        (vec![event_row(2, garbage), event_row(4, None)], vec![(2, 2), (4, 4)]),
        (vec![event_row(whole.0, None)], vec![whole]),
        (vec![event_row(whole.0, garbage)], vec![whole]),
        (vec![event_row(5, None), event_row(whole.0, garbage)], vec![(5, whole.1)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path()).await;
        store.shared.readable().unwrap().write(&rows, Sync::Now).unwrap();
        assert_eq!(missing(&store), expected, "{rows:?}");
    }
}

#[tokio::test]
async fn a_bundle_is_written_out_but_for_what_is_damaged_in_it() {
    for number in [7, 20, *BUNDLE.end()] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path()).await;
        let row = bent(&store, number);
        store.shared.readable().unwrap().write(&[row], Sync::Now).unwrap();
        assert_eq!(missing(&store), [(number, number)]);
    }
}

#[tokio::test]
async fn a_fact_that_makes_no_sense_ends_it_and_is_named_as_people_know_it() {
    let value = records::value_key(&device(), "/3/0/9".parse().unwrap());
    for (tree, key, told) in [
        (Tree::Registrations, b"dev\xc3\xbc".to_vec(), "registrations: devü: version 9"),
        (
            Tree::Wanted,
            b"dev\0\0/3303/0/5700".to_vec(),
            r"wanted observations: dev\0\0/3303/0/5700: version 9",
        ),
        (Tree::Commands, records::number_key(513).to_vec(), "commands: 513: version 9"),
        (Tree::Documents, b"\x01dev".to_vec(), "bootstrap documents: dev: version 9"),
        (Tree::Credentials, b"\x01machine".to_vec(), "credentials: machine: version 9"),
        (Tree::Values, value, "last values: dev"),
        (Tree::Notes, b"lost".to_vec(), "notes: lost: version 9"),
        (Tree::Tokens, b"0a1b".to_vec(), "tokens: 0a1b: version 9"),
        (
            Tree::Audit,
            records::number_key(1_795_342_935_576 << 16).to_vec(),
            "audit entries: 117659594625908736: version 9",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path()).await;
        store.shared.readable().unwrap().write(&[row(tree, &key, Some(&[9, 9]))], Sync::Now).unwrap();
        let error = store.each_entry(|_| Ok::<_, StoreError>(())).unwrap_err();
        assert!(error.is_damage() && error.reason().starts_with(told), "{}", error.reason());
        let problems = store.check().unwrap().problems;
        assert!(problems.iter().any(|problem| problem.starts_with(told)), "{problems:?}");
    }
}

#[tokio::test]
async fn whoever_wants_no_more_gets_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    store.shared.readable().unwrap().write(&[event_row(3, None)], Sync::Now).unwrap();
    for stop_at in [2, 3, 4] {
        let mut seen = 0;
        let visit = |_| {
            seen += 1;
            let full = StoreError::Full { what: "entries", max: 1 };
            if seen < stop_at { Ok(()) } else { Err(full) }
        };
        assert!(matches!(store.each_entry(visit), Err(StoreError::Full { .. })));
        assert_eq!(seen, stop_at);
    }
}
