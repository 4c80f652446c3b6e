//! A log with a damaged block: who reads it is told which events are missing, and has all others.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, Cursor, EmbeddedOptions, EmbeddedStore, EventsOf, Fact, Health, LogLimits, NewEvent, Store,
    Unreadable,
};

fn open(folder: &Path) -> EmbeddedStore {
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(|| 1_000));
    // A segment is a megabyte, and a table once another has begun.
    let log = LogLimits { bytes: 16 << 20, ..LogLimits::default() };
    EmbeddedStore::open(EmbeddedOptions { free_bytes_min: 0, log, ..options }).unwrap()
}

/// Text that no compression makes shorter.
fn noise(mut seed: u64, len: usize) -> String {
    let letter = |seed: u64| char::from(b'!' + u8::try_from(seed >> 40 & 63).unwrap());
    let next = |seed: &mut u64| {
        *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        letter(*seed)
    };
    (0..len).map(|_| next(&mut seed)).collect()
}

fn device(number: u64) -> Endpoint {
    Endpoint::new(&format!("device-{}", number % 5)).unwrap()
}

/// Events that are a row each, or bundled; 3 MB of them.
async fn fill(store: &EmbeddedStore, together: u64) -> u64 {
    let mut number = 0;
    while number < 6000 {
        let facts = (0..together).map(|_| {
            number += 1;
            let (endpoint, body) = (device(number), noise(number, 500).into());
            Fact::Happened(NewEvent { at_ms: 1_000, endpoint, kind: "sent", body, indexed: true })
        });
        store.commit(Batch { facts: facts.collect() }).await.unwrap();
    }
    number
}

fn tables(folder: &Path, found: &mut Vec<(u64, PathBuf)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tables(&path, found);
        } else if path.parent().is_some_and(|folder| folder.ends_with("tables")) {
            found.push((std::fs::metadata(&path).unwrap().len(), path));
        }
    }
}

/// Overwrites some bytes in the middle of the first large table: one of events.
fn damage(folder: &Path) {
    let mut found = Vec::new();
    tables(folder, &mut found);
    found.sort();
    let (len, path) = found.pop().unwrap();
    assert!(len > 500_000, "{len} bytes in {path:?}");
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(len / 2)).unwrap();
    file.write_all(&[0x5a; 64]).unwrap();
}

/// Walks the whole log; gives what cannot be read, and fails when a number is neither that nor an event, or comes twice.
async fn walk(store: &EmbeddedStore, newest: u64, page_len: usize) -> Vec<Unreadable> {
    let (mut after, mut next, mut unreadable) = (None, 1, Vec::new());
    while next <= newest {
        let page = store.events(after, page_len).await.unwrap();
        for event in &page.events {
            assert_eq!(event.cursor.number, next);
            assert_eq!((&event.endpoint, &*event.body), (&device(next), &*noise(next, 500)));
            next += 1;
        }
        if let Some(damaged) = page.unreadable {
            assert_eq!(damaged.first, next);
            assert!(damaged.last >= damaged.first);
            next = damaged.last + 1;
            unreadable.push(damaged);
        }
        assert!(!page.gap && page.next.number == next - 1, "{:?} before {next}", page.next);
        after = Some(page.next);
    }
    assert_eq!(next, newest + 1);
    unreadable
}

async fn is_told(together: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let newest = fill(&store, together).await;
    assert_eq!(walk(&store, newest, 64).await, []);
    drop(store);
    damage(folder.path());

    let store = open(folder.path());
    let unreadable = walk(&store, newest, 64).await;
    let [damaged] = unreadable.as_slice() else { panic!("{unreadable:?}") };
    let missing = damaged.last - damaged.first + 1;
    assert!(missing <= 600, "one block, or one bundle: {damaged:?}");
    assert_eq!(walk(&store, newest, 1000).await, unreadable);
    assert_eq!(store.unreadable(), unreadable, "it is known from now on");
    // Also for who begins in the middle of it.
    let inside = Cursor { writer: 7, number: damaged.first };
    let page = store.events(Some(inside), 10).await.unwrap();
    let rest = Unreadable { first: damaged.first + 1, ..*damaged };
    assert!(page.unreadable == Some(rest) || damaged.first == damaged.last, "{page:?}");

    // Of each device all others are found.
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: usize::MAX };
    let mut found = 0;
    for number in 0..5 {
        let of = store.events_of(&device(number), all).await.unwrap();
        found += of.events.len();
        let unreadable = of.unreadable.unwrap();
        assert!(damaged.first <= unreadable.first && unreadable.last <= damaged.last, "{unreadable:?}");
    }
    assert_eq!(u64::try_from(found).unwrap(), newest - missing);

    let report = store.check().unwrap();
    let (first, last) = (damaged.first, damaged.last);
    let cursor = |number| Cursor { writer: 7, number };
    let told = format!("events {} to {} cannot be read: ", cursor(first), cursor(last));
    assert!(report.problems.len() == 1 && report.problems[0].starts_with(&told), "{:?}", report.problems);
    assert!(!report.problems[0].contains("Error"), "{:?}", report.problems);
    assert_eq!((report.counts["events"], report.events), (newest - missing, Some((1, newest))));

    // It goes on being written to, and old events leave it.
    for _ in 0..40 {
        fill_some(&store).await;
    }
    assert_eq!(store.health(), Health::Good);
    assert!(store.events(Some(Cursor { writer: 7, number: 1 }), 1).await.unwrap().gap);
}

async fn fill_some(store: &EmbeddedStore) {
    let endpoint = device(0);
    let event = |_| NewEvent {
        at_ms: 1_000,
        endpoint: endpoint.clone(),
        kind: "sent",
        body: noise(1, 8000).into(),
        indexed: true,
    };
    store.commit(Batch { facts: (0..64).map(event).map(Fact::Happened).collect() }).await.unwrap();
}

#[tokio::test]
async fn a_damaged_block_of_single_events_takes_only_those_in_it() {
    is_told(8).await;
}

#[tokio::test]
async fn a_damaged_bundle_takes_only_the_events_in_it() {
    is_told(200).await;
}
