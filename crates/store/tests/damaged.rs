//! A log with a damaged block: who reads it is told which events are missing, and has all others.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, Cursor, EmbeddedOptions, EmbeddedStore, Entry, EventsOf, Fact, Health, Importer, LogLimits,
    NewEvent, Store, StoreError, Unreadable,
};

fn options(folder: &Path) -> EmbeddedOptions {
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(|| 1_000));
    // A segment is a megabyte, and a table once another has begun.
    let log = LogLimits { bytes: 16 << 20, ..LogLimits::default() };
    EmbeddedOptions { free_bytes_min: 0, log, ..options }
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(options(folder)).unwrap()
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

    is_written_out(&store, newest, &unreadable).await;
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

fn entries(store: &EmbeddedStore) -> Vec<Entry> {
    let mut entries = Vec::new();
    let visit = |entry| {
        entries.push(entry);
        Ok::<_, StoreError>(())
    };
    store.each_entry(visit).unwrap();
    entries
}

/// What is written out names what is missing, and so does the store that is made of it, from its start on.
async fn is_written_out(store: &EmbeddedStore, newest: u64, unreadable: &[Unreadable]) {
    let (head, written) = (store.head().unwrap(), entries(store));
    let missing = written
        .iter()
        .filter_map(|entry| if let Entry::Missing(stretch) = entry { Some(*stretch) } else { None });
    assert_eq!(missing.collect::<Vec<_>>(), unreadable);

    let folder = tempfile::tempdir().unwrap();
    let mut importer = Importer::begin(&options(folder.path()), head).unwrap();
    written.iter().for_each(|entry| importer.push(entry.clone()).unwrap());
    importer.finish(head).unwrap();
    let made = open(folder.path());
    assert_eq!(made.unreadable(), unreadable, "it is known before anybody reads");
    assert_eq!(walk(&made, newest, 64).await, unreadable);
    assert_eq!(entries(&made), written);
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: usize::MAX };
    assert_eq!(made.events_of(&device(0), all).await.unwrap().unreadable, unreadable.first().copied());
    let newer = EventsOf { max: 10, ..all };
    assert_eq!(made.events_of(&device(0), newer).await.unwrap().unreadable, None, "it is further back");
    let report = made.check().unwrap();
    let cursor = |number| Cursor { writer: 7, number };
    let [Unreadable { first, last }] = unreadable else { panic!("{unreadable:?}") };
    let told = format!("events {} to {} are missing", cursor(*first), cursor(*last));
    assert_eq!(report.problems, [told]);
}

#[tokio::test]
async fn a_log_whose_end_was_missing_gives_no_number_twice() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(from.path());
    let newest = fill(&store, 8).await;
    let (head, mut written) = (store.head().unwrap(), entries(&store));
    let lost = Unreadable { first: newest - 9, last: newest };
    written.truncate(written.len() - 10);
    let mut importer = Importer::begin(&options(to.path()), head).unwrap();
    for entry in written {
        importer.push(entry).unwrap();
    }
    for wrong in [Unreadable { first: newest, ..lost }, Unreadable { last: 1, ..lost }] {
        assert!(importer.push(Entry::Missing(wrong)).is_err(), "{wrong:?}");
    }
    importer.push(Entry::Missing(lost)).unwrap();
    importer.finish(head).unwrap();
    let made = open(to.path());
    assert_eq!(walk(&made, newest, 64).await, [lost]);
    fill_some(&made).await;
    assert_eq!(made.newest().await.unwrap().number, newest + 64);
    drop(made);
    let made = open(to.path());
    assert_eq!(made.newest().await.unwrap().number, newest + 64, "after a restart, too");
    assert_eq!(made.unreadable(), [lost]);
}

#[tokio::test]
async fn a_log_with_a_damaged_end_goes_on_behind_it() {
    for together in [8, 200] {
        let folder = tempfile::tempdir().unwrap();
        let newest = filled_to_the_end(folder.path(), together).await;
        let body = noise(newest, 500);
        let mut found = Vec::new();
        tables(folder.path(), &mut found);
        let place = |bytes: Vec<u8>| bytes.windows(400).rposition(|part| *part == body.as_bytes()[50..450]);
        let (path, at) = found
            .into_iter()
            .find_map(|(_, path)| Some((path.clone(), place(std::fs::read(&path).unwrap())?)))
            .expect("the last event in a table");
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(u64::try_from(at).unwrap())).unwrap();
        file.write_all(&[0x5a; 64]).unwrap();

        let store = open(folder.path());
        let skipped = store.newest().await.unwrap().number;
        assert!((newest..newest + 512).contains(&skipped), "{newest} {skipped}");
        let unreadable = walk(&store, skipped, 64).await;
        let [damaged] = unreadable.as_slice() else { panic!("{unreadable:?}") };
        assert!((newest - 600..=newest).contains(&damaged.first) && damaged.last == skipped, "{damaged:?}");
        fill_some(&store).await;
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.newest().await.unwrap().number, skipped + 64);
        let page = store.events(Some(Cursor { writer: 7, number: skipped }), 100).await.unwrap();
        assert_eq!((page.events.len(), page.unreadable, page.gap), (64, None, false));
    }
}

/// Fills a store of one segment, until all of it is in tables.
async fn filled_to_the_end(folder: &Path, together: u64) -> u64 {
    let clock = Arc::new(AtomicI64::new(1_000));
    let now = clock.clone();
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(move || now.load(Ordering::Relaxed)));
    let store = EmbeddedStore::open(EmbeddedOptions { free_bytes_min: 0, ..options }).unwrap();
    let newest = fill(&store, together).await;
    // It comes out of memory in quiet times.
    for _ in 0..300 {
        clock.fetch_add(61_000, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut found = Vec::new();
        tables(folder, &mut found);
        if found.iter().any(|(len, _)| *len > 1_000_000) {
            return newest;
        }
    }
    panic!("no table was written");
}
