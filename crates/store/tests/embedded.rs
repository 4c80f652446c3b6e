//! The backend on the disk keeps every promise of a store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, Durability, EmbeddedOptions, EmbeddedStore, Fact, Health, LogLimits, NewEvent, Store, StoreError,
    conformance,
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
