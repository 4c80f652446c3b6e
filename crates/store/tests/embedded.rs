//! The backend on the disk keeps every promise of a store.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, Cursor, Durability, EmbeddedOptions, EmbeddedStore, EventsOf, Fact, LogLimits, NewEvent, Store,
    StoreError, conformance,
};

fn options(folder: &Path, writer: u32) -> EmbeddedOptions {
    EmbeddedOptions {
        free_bytes_min: 0,
        ..EmbeddedOptions::new(folder.to_owned(), writer, Arc::new(|| 1_000))
    }
}

async fn conforms(durability: Durability) {
    let parent = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let open = |writer| {
        let folder = parent.path().join(next.load(Ordering::Relaxed).to_string());
        let log = LogLimits { events: 8, ..LogLimits::default() };
        let options =
            EmbeddedOptions { durability, log, limits: conformance::LIMITS, ..options(&folder, writer) };
        EmbeddedStore::open(options).unwrap()
    };
    let fresh = || {
        next.fetch_add(1, Ordering::Relaxed);
        open(7)
    };
    let reopen = |store: EmbeddedStore| {
        drop(store);
        open(8)
    };
    conformance::all(fresh).await;
    conformance::outliving(fresh, reopen).await;
}

#[tokio::test]
async fn the_embedded_backend_conforms() {
    conforms(Durability::Always).await;
}

#[tokio::test]
async fn the_embedded_backend_conforms_when_it_syncs_later() {
    conforms(Durability::Relaxed { after_ms: 5 }).await;
}

fn event(at_ms: i64, len: usize) -> Fact {
    let endpoint = Endpoint::new("a").unwrap();
    Fact::Happened(NewEvent { at_ms, endpoint, kind: "sent", body: "x".repeat(len).into(), indexed: true })
}

#[test]
fn a_second_process_is_refused_and_told_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedStore::open(options(folder.path(), 7)).unwrap();
    let second = EmbeddedStore::open(options(folder.path(), 7)).unwrap_err();
    assert!(
        matches!(second, StoreError::InUse { by: Some(pid), .. } if pid == std::process::id()),
        "{second:?}"
    );
    assert!(
        second.to_string().ends_with(&format!("is in use by another process, number {}", std::process::id()))
    );
    drop(first);
    EmbeddedStore::open(options(folder.path(), 7)).unwrap();
}

#[test]
fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(options(folder.path(), 7)).unwrap());
    let mode = std::fs::metadata(folder.path().join("store")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn files_of_before_are_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("commands.cbor"), b"something").unwrap();
    let refused = EmbeddedStore::open(options(folder.path(), 7)).unwrap_err();
    assert!(refused.to_string().contains("commands.cbor"), "{refused}");
}

#[tokio::test]
async fn old_events_leave_by_size_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
    let clock = now.clone();
    let log = LogLimits { age_ms: 16_000_000, bytes: 16 << 20, ..LogLimits::default() };
    let options = EmbeddedOptions {
        log,
        now_ms: Arc::new(move || clock.load(Ordering::Relaxed)),
        ..options(folder.path(), 7)
    };
    let store = EmbeddedStore::open(options).unwrap();
    let batch = || Batch { facts: (0..64).map(|_| event(1_000, 16 << 10)).collect() };
    for _ in 0..40 {
        store.commit(batch()).await.unwrap();
    }
    let first = Cursor { writer: 7, number: 1 };
    let page = store.events(Some(first), 1).await.unwrap();
    let oldest = page.events[0].cursor.number;
    assert!(page.gap && (1000..2000).contains(&oldest), "16 of 40 MB are kept, roughly: {oldest}");
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: usize::MAX };
    let found = store.events_of(&Endpoint::new("a").unwrap(), all).await.unwrap().events;
    // The oldest may have left between the two.
    let numbers: Vec<u64> = found.iter().map(|event| event.cursor.number).collect();
    let oldest_found = *numbers.last().unwrap();
    assert!(oldest_found >= oldest && oldest_found < 2000, "none is found that is gone: {oldest_found}");
    assert!(numbers.iter().copied().eq((oldest_found..=40 * 64).rev()), "and all that are there");
    // Later nothing of it is left but what the last segment holds, and then not even that.
    now.store(1_000_000_000, Ordering::Relaxed);
    let mut left = found.len();
    for _ in 0..100 {
        if left < 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        store.commit(Batch { facts: vec![event(1_000_000_000, 1)] }).await.unwrap();
        left = store.events(None, 10_000).await.unwrap().events.len();
        if store.events(None, 1).await.unwrap().events[0].at_ms > 1_000 {
            break;
        }
    }
    assert!(store.events(None, 1).await.unwrap().events[0].at_ms > 1_000, "{left} events are left");
    let newest = store.newest().await.unwrap();
    assert!(newest.number > 40 * 64, "numbers go on");
}

/// Files of a folder that the process holds open although they are deleted.
fn deleted_and_open(folder: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let files = links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    files.filter(|file| file.starts_with(folder) && file.to_string_lossy().ends_with(" (deleted)")).count()
}

/// Otherwise each takes a descriptor, and its room on the disk.
#[tokio::test]
async fn files_of_events_that_have_left_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let log = LogLimits { bytes: 4 << 20, ..LogLimits::default() };
    let store = EmbeddedStore::open(EmbeddedOptions { log, ..options(&path, 7) }).unwrap();
    let first = Cursor { writer: 7, number: 0 };
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: usize::MAX };
    for _ in 0..24 {
        store.commit(Batch { facts: (0..64).map(|_| event(1_000, 16 << 10)).collect() }).await.unwrap();
        // Somebody reads all that there is, from its files.
        store.events_of(&Endpoint::new("a").unwrap(), all).await.unwrap();
        store.events(Some(first), 10_000).await.unwrap();
    }
    assert!(store.events(Some(first), 1).await.unwrap().gap, "most of it has left");
    let mut open = deleted_and_open(&path);
    for _ in 0..100 {
        if open == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        open = deleted_and_open(&path);
    }
    panic!("{open} files that are deleted are open");
}

/// Few events in a batch are a row each, many are bundled: nobody who reads sees a difference.
#[tokio::test]
async fn single_and_bundled_events_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(options(folder.path(), 7)).unwrap();
    let sizes = [1, 200, 3, 15, 16, 17, 1500, 2, 40];
    let name = |number: u64| format!("device-{}", number % 7);
    let mut number = 0;
    for size in sizes {
        let facts = (0..size).map(|_| {
            number += 1;
            let endpoint = Endpoint::new(&name(number)).unwrap();
            let (at_ms, body) = (i64::try_from(number).unwrap(), number.to_string().into());
            Fact::Happened(NewEvent {
                at_ms,
                endpoint,
                kind: "sent",
                body,
                indexed: !number.is_multiple_of(5),
            })
        });
        store.commit(Batch { facts: facts.collect() }).await.unwrap();
    }
    for is_opened_again in [false, true] {
        if is_opened_again {
            drop(store);
            store = EmbeddedStore::open(options(folder.path(), 7)).unwrap();
        }
        assert_eq!(store.newest().await.unwrap().number, number);
        for after in [0, 1, 2, 100, 201, 202, 235, 1000, number - 1, number] {
            for max in [1, 10, usize::MAX] {
                let page = store.events(Some(Cursor { writer: 7, number: after }), max).await.unwrap();
                let last = number.min(after.saturating_add(u64::try_from(max).unwrap()));
                let numbers: Vec<u64> = page.events.iter().map(|event| event.cursor.number).collect();
                assert!(!page.gap && numbers.iter().copied().eq(after + 1..=last), "{max} after {after}");
                assert!(page.events.iter().all(|event| *event.body == *event.cursor.number.to_string()));
            }
        }
        for (device, before, (from_ms, to_ms), max) in [
            (0, None, (0, i64::MAX), usize::MAX),
            (3, None, (0, i64::MAX), 50),
            (3, Some(230), (0, i64::MAX), 20),
            (6, Some(1000), (100, 700), usize::MAX),
            (1, None, (1790, 1795), usize::MAX),
        ] {
            let which =
                EventsOf { before: before.map(|number| Cursor { writer: 7, number }), from_ms, to_ms, max };
            let found = store.events_of(&Endpoint::new(&name(device)).unwrap(), which).await.unwrap().events;
            let is_wanted = |number: &u64| {
                let at_ms = i64::try_from(*number).unwrap();
                number % 7 == device && !number.is_multiple_of(5) && (from_ms..to_ms).contains(&at_ms)
            };
            let wanted: Vec<u64> =
                (1..before.unwrap_or(number + 1)).rev().filter(is_wanted).take(max).collect();
            assert_eq!(found.iter().map(|event| event.cursor.number).collect::<Vec<_>>(), wanted);
        }
        let report = store.check().unwrap();
        assert_eq!(
            (report.problems, report.counts["events"], report.events),
            (vec![], number, Some((1, number)))
        );
        let mut entries = 0;
        let counted = store.each_entry::<StoreError>(|entry| {
            entries += u64::from(matches!(entry, lightship_store::Entry::Event { .. }));
            Ok(())
        });
        counted.unwrap();
        assert_eq!(entries, number);
    }
}

/// Bytes of the tables on the disk.
fn tables_len(folder: &Path) -> u64 {
    let mut len = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        // A table may go meanwhile, when it is merged with another.
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        if path.is_dir() {
            len += tables_len(&path);
        } else if path.parent().is_some_and(|parent| parent.ends_with("tables")) {
            len += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    len
}

#[tokio::test]
async fn what_was_written_leaves_memory_when_it_is_quiet_and_is_there_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
    let clock = now.clone();
    let options = EmbeddedOptions {
        now_ms: Arc::new(move || clock.load(Ordering::Relaxed)),
        ..options(folder.path(), 7)
    };
    let store = EmbeddedStore::open(options.clone()).unwrap();
    for n in 0..100 {
        store.commit(Batch { facts: vec![event(n, 10_000)] }).await.unwrap();
    }
    let before = tables_len(folder.path());
    // The writer looks once a second; it is quiet after a minute without anything.
    for _ in 0..600 {
        now.fetch_add(10_000, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if tables_len(folder.path()) > before {
            break;
        }
    }
    assert!(tables_len(folder.path()) > before);
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: 1000 };
    let is_there = async |store: &EmbeddedStore| {
        let found = store.events_of(&Endpoint::new("a").unwrap(), all).await.unwrap().events;
        assert_eq!((found.len(), store.events(None, 1000).await.unwrap().events.len()), (100, 100));
    };
    is_there(&store).await;
    store.commit(Batch { facts: vec![event(0, 10)] }).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(options).unwrap();
    assert_eq!(store.events(None, 1000).await.unwrap().events.len(), 101);
}
