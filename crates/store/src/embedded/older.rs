//! A folder with registrations, wanted observations, commands and events in the first version of each, written byte by
//! byte, is opened by the program of today.

use std::path::Path;
use std::sync::{Arc, Mutex};

use lightship_lwm2m::Endpoint;

use super::trees::{Row, Sync, Tree, Trees};
use super::{EmbeddedStore, open};
use crate::batch::{Batch, Cursor, EventsOf, Fact, NewEvent, WantedKey, WantedObservation};
use crate::command::{CommandId, CommandState};
use crate::{EmbeddedOptions, Store};

const WRITER: u32 = 7;

/// The bytes of this are what lies on disks: they are never brought up to date.
fn rows() -> Vec<(Tree, &'static [u8], &'static [u8])> {
    vec![
        (Tree::Meta, b"format", b"\x01"),
        (Tree::Meta, b"log", b"\x00\x00\x00\x07"),
        (Tree::Meta, b"counts", b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        // Number, registered, updated, expires, what it said.
        (Tree::Registrations, b"dev", b"\x01\x85\x09\x19\x03\xe8\x19\x07\xd0\x19\x0b\xb8\x43abc"),
        (Tree::Registrations, b"for-ever", b"\x01\x85\x0a\x01\x02\xf6\x40"),
        // Format, attributes, paths.
        (Tree::Wanted, b"dev\0\0/3303/0/5700", b"\x01\x83\xf6\x81\x66pmin=5\x80"),
        // Writer, endpoint, state, order, created, changed, not after, attempts, reason, answer; nothing more.
        (
            Tree::Commands,
            b"\0\0\0\0\0\0\0\x03",
            b"\x01\x8a\x07\x63dev\x00\x62{}\x19\x03\xe8\x19\x03\xe9\x1a\x7f\xff\xff\xff\x02\xf6\xf6",
        ),
        (
            Tree::Commands,
            b"\0\0\0\0\0\0\0\x04",
            b"\x01\x8a\x07\x63dev\x03\x62{}\x01\x02\x03\x01\x67because\x62[]",
        ),
        // When, who, what, the body, whether it is found by its device; one event is one row.
        (Tree::Events, b"\0\0\0\0\0\0\0\x01", b"\x01\x85\x19\x03\xe8\x63dev\x6aregistered\x62{}\xf5"),
        (Tree::Events, b"\0\0\0\0\0\0\0\x02", b"\x01\x85\x19\x03\xe9\x63dev\x67updated\x62{}\xf4"),
        (Tree::Events, b"\0\0\0\0\0\0\0\x03", b"\x01\x85\x19\x03\xea\x63dev\x64sent\x69{\"v\":1.5}\xf5"),
        (Tree::Found, b"dev\0\0\0\0\0\0\0\0\x01", b"\0\0\0\0\0\0\x03\xe8"),
        (Tree::Found, b"dev\0\0\0\0\0\0\0\0\x03", b"\0\0\0\0\0\0\x03\xea"),
    ]
}

fn options(folder: &Path) -> EmbeddedOptions {
    EmbeddedOptions { free_bytes_min: 0, ..EmbeddedOptions::new(folder.to_owned(), 8, Arc::new(|| 1_000)) }
}

fn fill(folder: &Path) {
    open::make(folder).unwrap();
    let trees = Trees::open(&folder.join(open::STORE), options(folder).cache_bytes).unwrap();
    trees.begin_segment(1, 0).unwrap();
    let row =
        |(tree, key, value): (Tree, &[u8], &[u8])| Row { tree, key: key.into(), value: Some(value.into()) };
    trees.write(&rows().into_iter().map(row).collect::<Vec<_>>(), Sync::Now).unwrap();
}

async fn facts_are_there(store: &EmbeddedStore) {
    let found = Mutex::new(Vec::new());
    store.each_registration(&|some| found.lock().unwrap().extend(some)).unwrap();
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|record| record.id);
    let times = |n: usize| (found[n].registered_ms, found[n].updated_ms, found[n].expires_ms);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].endpoint.as_str(), found[0].id, times(0)), ("dev", 9, (1000, 2000, Some(3000))));
    assert_eq!((found[1].endpoint.as_str(), found[1].id, times(1)), ("for-ever", 10, (1, 2, None)));
    assert_eq!((&*found[0].said, &*found[1].said), (&b"abc"[..], &b""[..]));

    let dev = Endpoint::new("dev").unwrap();
    let key = WantedKey::Path("/3303/0/5700".parse().unwrap());
    let attributes = vec!["pmin=5".to_owned()];
    let wanted = WantedObservation { key, paths: Vec::new(), accept: None, attributes };
    assert_eq!(store.wanted(&dev).await.unwrap(), [wanted]);

    let commands = store.commands(&dev).await.unwrap();
    let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
    assert_eq!(ids, [3, 4].map(|number| CommandId { number, writer: WRITER }));
    let (waits, refused) = (&commands[0], &commands[1]);
    assert_eq!((waits.state, &*waits.order, waits.attempts), (CommandState::Waiting, "{}", 2));
    assert_eq!((waits.created_ms, waits.changed_ms, waits.not_after_ms), (1000, 1001, 0x7fff_ffff));
    assert_eq!((waits.priority, waits.attempts_max, waits.next_ms), (0, u32::MAX, 0), "as it was then");
    assert_eq!((refused.state, refused.reason.as_deref()), (CommandState::Refused, Some("because")));
    assert_eq!(refused.answer.as_deref(), Some("[]"));
    let live: Vec<_> = store.live_commands().await.unwrap().iter().map(|command| command.id).collect();
    assert_eq!((live, store.last_command().await.unwrap()), (vec![ids[0]], 4));
}

async fn kinds(store: &EmbeddedStore) -> (Vec<String>, Vec<String>) {
    let all = store.events(None, 10).await.unwrap();
    let dev = Endpoint::new("dev").unwrap();
    let which = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: 10 };
    let of = store.events_of(&dev, which).await.unwrap().events;
    let text = |events: &[Arc<crate::EventRecord>]| {
        events.iter().map(|event| format!("{} {} {}", event.cursor.number, event.kind, event.body)).collect()
    };
    (text(&all.events), text(&of))
}

#[tokio::test]
async fn a_folder_of_the_first_records_is_opened_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let old = ["1 registered {}", "2 updated {}", "3 sent {\"v\":1.5}"];
    {
        let store = EmbeddedStore::open(options(folder.path())).unwrap();
        let report = store.check().unwrap();
        assert_eq!((report.problems, report.events), (Vec::<String>::new(), Some((1, 3))));
        facts_are_there(&store).await;
        let (all, of) = kinds(&store).await;
        assert_eq!(all, old);
        assert_eq!(of, [old[2], old[0]], "newest first, without what is not found by its device");
        // The log goes on in the form of today, under its name.
        let event = || {
            let endpoint = Endpoint::new("dev").unwrap();
            Fact::Happened(NewEvent { at_ms: 1004, endpoint, kind: "sent", body: "[]".into(), indexed: true })
        };
        let newest = store.commit(Batch { facts: vec![event(), event()] }).await.unwrap();
        assert_eq!(newest, Cursor { writer: WRITER, number: 5 });
    }
    let store = EmbeddedStore::open(options(folder.path())).unwrap();
    facts_are_there(&store).await;
    let (all, of) = kinds(&store).await;
    assert_eq!(all, [&old[..], &["4 sent []", "5 sent []"]].concat());
    assert_eq!(of, ["5 sent []", "4 sent []", old[2], old[0]]);
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}
