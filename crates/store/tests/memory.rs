//! The memory backend keeps every promise of a store that does not outlive its process.

use lightship_store::{Limits, MemoryStore, Options, conformance};

#[tokio::test]
async fn the_memory_backend_conforms() {
    let options = Options { writer: 7, events_max: 8, limits: conformance::LIMITS, ..Options::default() };
    conformance::all(|| MemoryStore::new(options)).await;
}

#[tokio::test]
async fn the_log_is_bounded_by_bytes_too() {
    use lightship_store::{Batch, Fact, NewEvent, Store};
    let options = Options { event_bytes_max: 10_000, limits: Limits::default(), ..Options::default() };
    let store = MemoryStore::new(options);
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
