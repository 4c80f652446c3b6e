//! A disk that refuses writes, and works again. Alone in its process: the limit that stands for a full disk is of all of it.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, EmbeddedOptions, EmbeddedStore, EventsOf, Fact, Health, NewEvent, RegistrationRecord, Store,
    StoreError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a file that grows beyond its limit sends to its process, which would end it.
const SIGXFSZ: i32 = 25;

fn now_ms() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn batch(round: u64) -> Batch {
    let endpoint = Endpoint::new("a").unwrap();
    let event = NewEvent {
        // Of now: the log forgets what is older than it is to be kept.
        at_ms: now_ms(),
        endpoint: endpoint.clone(),
        kind: "sent",
        body: round.to_string().into(),
        indexed: true,
    };
    let registration = RegistrationRecord {
        endpoint,
        id: round,
        registered_ms: 1,
        updated_ms: 1,
        expires_ms: None,
        said: [0; 500].into(),
    };
    Batch { facts: vec![Fact::Happened(event), Fact::Registered(Arc::new(registration))] }
}

fn files_may_grow(to: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: to.or(maximum), maximum }).unwrap();
}

async fn until_good(store: &EmbeddedStore) {
    for _ in 0..200 {
        if store.health() == Health::Good {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("ten seconds later: {:?}", store.health());
}

async fn holds(store: &EmbeddedStore, acknowledged: &[u64]) {
    let events = store.events(None, 10_000).await.unwrap().events;
    let rounds: Vec<u64> = events.iter().map(|event| event.body.parse().unwrap()).collect();
    assert_eq!(rounds, acknowledged, "each once, in order, and nothing that was refused");
    assert!((1..).zip(&events).all(|(number, event)| event.cursor.number == number), "without holes");
    let registration = store.registration(&Endpoint::new("a").unwrap()).await.unwrap().unwrap();
    assert_eq!(Some(&registration.id), acknowledged.last());
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: 10_000 };
    let found = store.events_of(&registration.endpoint, all).await.unwrap().events;
    assert_eq!(found.len(), acknowledged.len());
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers_by_itself() {
    let noticed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, noticed.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions::new(folder.path().to_owned(), 7, Arc::new(now_ms));
    let options = EmbeddedOptions { free_bytes_min: 0, ..options };
    let store = EmbeddedStore::open(options.clone()).unwrap();
    let mut acknowledged = Vec::new();
    let mut round = 0;
    for _ in 0..6 {
        for _ in 0..40 {
            round += 1;
            store.commit(batch(round)).await.unwrap();
            acknowledged.push(round);
        }
        files_may_grow(Some(512));
        let before = acknowledged.len();
        for _ in 0..40 {
            round += 1;
            match store.commit(batch(round)).await {
                Ok(_) => acknowledged.push(round),
                Err(StoreError::Unavailable { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(acknowledged.len() < before + 40, "nothing was refused");
        assert!(matches!(store.health(), Health::Failing { .. }));
        // What is there can be read meanwhile.
        holds(&store, &acknowledged).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(matches!(store.health(), Health::Failing { .. }), "it is still full");
        files_may_grow(None);
        until_good(&store).await;
        holds(&store, &acknowledged).await;
    }
    assert!(noticed.load(std::sync::atomic::Ordering::Relaxed));
    drop(store);
    holds(&EmbeddedStore::open(options).unwrap(), &acknowledged).await;
}
