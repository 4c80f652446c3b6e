//! A log with a damaged block: whoever reads it is told which events are missing, and goes on behind them.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lightship_api::{Content, Event, EventType, Node, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_store::{Batch, EmbeddedOptions, EmbeddedStore, Fact, LogLimits, NewEvent, Store};

use crate::support::{Events, Server};

const COUNT: u64 = 6000;

fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Text that no compression makes shorter.
fn noise(mut seed: u64) -> String {
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        char::from(b'A' + u8::try_from(seed >> 40 & 15).unwrap())
    };
    (0..700).map(|_| next()).collect()
}

fn sent(number: u64) -> Fact {
    let now = Timestamp(now_ms());
    let endpoint = format!("device-{}", number % 5);
    let mut event = Event::new(String::new(), now, EventType::Sent, endpoint.clone());
    let mut node = Node::new(Content::Value(number.into()));
    node.path = Some("/3303/0/5700".to_owned());
    event.content = Some(vec![node]);
    event.reason = Some(noise(number));
    Fact::Happened(NewEvent {
        at_ms: now.0,
        endpoint: Endpoint::new(&endpoint).unwrap(),
        kind: "sent",
        body: serde_json::to_string(&event).unwrap().into(),
        indexed: true,
    })
}

/// A log of some megabytes, in which a block is damaged.
fn damaged(folder: &Path) {
    // A segment is a megabyte, and a table once another has begun.
    let log = LogLimits { bytes: 16 << 20, ..LogLimits::default() };
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(now_ms));
    let store = EmbeddedStore::open(EmbeddedOptions { log, ..options }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for round in 0..COUNT / 8 {
        let facts = (1..=8).map(|number| sent(8 * round + number)).collect();
        runtime.block_on(store.commit(Batch { facts })).unwrap();
    }
    drop(store);
    let mut found = Vec::new();
    tables(folder, &mut found);
    found.sort();
    let (len, path) = found.pop().unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(len / 2)).unwrap();
    file.write_all(&[0x5a; 64]).unwrap();
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

fn number(event: &serde_json::Value) -> u64 {
    event["id"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn a_damaged_block_is_told_by_its_cursors_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path());
    let server = Server::with(|config| {
        config.store.folder = Some(folder.path().to_owned());
        config.store.events_bytes_max = 16 << 20;
    });
    assert!(server.get("/metrics").body.contains("\nlightship_events_unreadable 0\n"));
    let mut events = Events::follow(&server, "?after=0&type=sent", None);
    let (mut next, mut gaps) = (1, Vec::new());
    while next <= COUNT {
        let event = events.event();
        if event["type"] == "gap" {
            let first = server.get("/readyz").json()["warnings"][0].as_str().unwrap().to_owned();
            let reason = event["reason"].as_str().unwrap().to_owned();
            assert_eq!(first, reason);
            let named = format!("events 00000007-{next} to {} are damaged", event["id"].as_str().unwrap());
            assert!(reason.starts_with(&named), "{reason}");
            gaps.push((next, number(&event)));
        } else {
            assert_eq!(number(&event), next, "{event}");
        }
        next = number(&event) + 1;
    }
    let [(first, last)] = gaps.as_slice() else { panic!("{gaps:?}") };
    let missing = last - first + 1;
    let told = format!("\nlightship_events_unreadable {missing}\n");
    assert!(server.get("/metrics").body.contains(&told), "{told}");
    assert_eq!(server.get("/readyz").status, 200, "it serves all the same");
    // Who comes back does not meet it again.
    let mut again = Events::follow(&server, "?type=sent", Some(&format!("00000007-{last}")));
    assert_eq!(number(&again.event()), last + 1);

    let mut found = 0;
    for device in 0..5 {
        for what in ["log", "history/3303/0/5700"] {
            let mut cursor = String::new();
            let mut warned = false;
            loop {
                let page =
                    server.get(&format!("/api/v1/endpoints/device-{device}/{what}?limit=1000{cursor}"));
                assert_eq!(page.status, 200, "{page:?}");
                let page = page.json();
                found += u64::try_from(page["items"].as_array().unwrap().len()).unwrap();
                warned |= page["warning"].as_str().is_some_and(|warning| warning.contains(" are damaged "));
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert!(warned, "{what} of device-{device}");
        }
    }
    assert_eq!(found, 2 * (COUNT - missing), "everything else is told");
}
