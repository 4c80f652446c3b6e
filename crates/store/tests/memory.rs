//! The memory backend keeps every promise of a store.

use lightship_store::{MemoryStore, Options, conformance};

fn options(writer: u32) -> Options {
    Options {
        writer,
        events_max: 8,
        wanted_max: 5,
        commands_max: 4,
        commands_kept: 3,
        credentials_max: 6,
        ..Options::default()
    }
}

#[tokio::test]
async fn the_memory_backend_with_a_folder_conforms() {
    let parent = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let folder = |number: usize| Some(parent.path().join(number.to_string()));
    let count = || next.load(std::sync::atomic::Ordering::Relaxed);
    let fresh = || {
        next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        MemoryStore::open(Options { folder: folder(count()), ..options(7) }).unwrap()
    };
    let reopen = |store: MemoryStore| {
        drop(store);
        MemoryStore::open(Options { folder: folder(count()), ..options(8) }).unwrap()
    };
    conformance::all(fresh, reopen).await;
}

#[tokio::test]
async fn the_log_is_bounded_by_bytes_too() {
    use lightship_store::{Batch, Fact, NewEvent, Store};
    let store = MemoryStore::open(Options { event_bytes_max: 10_000, ..Options::default() }).unwrap();
    for number in 1..=100 {
        let record = NewEvent {
            at_ms: number,
            indexed: false,
            endpoint: lightship_lwm2m::Endpoint::new("a").unwrap(),
            kind: "notified",
            body: "x".repeat(1000).into(),
        };
        store.commit(Batch { facts: vec![Fact::Happened(record)] }).await.unwrap();
    }
    let kept = store.events(None, 1000).await.unwrap().events.len();
    assert!((5..10).contains(&kept), "{kept}");
}

#[test]
fn a_damaged_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wanted.cbor"), b"nonsense").unwrap();
    let error =
        MemoryStore::open(Options { folder: Some(folder.path().to_owned()), ..options(1) }).unwrap_err();
    assert!(error.to_string().contains("wanted.cbor"), "{error}");
}
