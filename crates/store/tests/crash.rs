//! A process that is killed while it writes: what it was told is kept is there, whole, and the log goes on.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, CommandId, CommandRecord, CommandState, EmbeddedOptions, EmbeddedStore, Fact, LogLimits, NewEvent,
    RegistrationRecord, Store,
};

const ROUNDS: u64 = 50;
const WRITERS: u64 = 4;
const EVENT_LEN: usize = 60 << 10;
/// Tells the child where to write.
const FOLDER: &str = "LIGHTSHIP_CRASH_FOLDER";

fn open(folder: &Path) -> EmbeddedStore {
    let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(|| 1_000));
    // So little that segments come and go.
    let log = LogLimits { bytes: 16 << 20, ..LogLimits::default() };
    EmbeddedStore::open(EmbeddedOptions { free_bytes_min: 0, log, ..options }).unwrap()
}

fn name(writer: u64) -> Endpoint {
    Endpoint::new(&format!("device-{writer}")).unwrap()
}

/// Registration, command and event of one writer, all with the same number.
fn batch(writer: u64, id: u64) -> Batch {
    let endpoint = name(writer);
    let body = format!("{writer} {id} {}", "x".repeat(EVENT_LEN)).into();
    let event =
        NewEvent { at_ms: 1, endpoint: endpoint.clone(), kind: "sent", body, indexed: id.is_multiple_of(2) };
    let registration = RegistrationRecord {
        endpoint: endpoint.clone(),
        id,
        registered_ms: 1,
        updated_ms: 1,
        expires_ms: Some(2),
        said: [7; 300].into(),
    };
    let command = CommandRecord {
        id: CommandId { number: 1 + writer, writer: 1 },
        endpoint,
        state: CommandState::Waiting,
        order: id.to_string().into(),
        created_ms: 1,
        changed_ms: 1,
        not_after_ms: 1,
        priority: 0,
        place: 0,
        attempts: 0,
        attempts_max: 1,
        pause_ms: 1,
        next_ms: 0,
        reason: None,
        answer: None,
    };
    Batch {
        facts: vec![
            Fact::Registered(Arc::new(registration)),
            Fact::Commanded(Arc::new(command)),
            Fact::Happened(event),
        ],
    }
}

/// Writes until it is killed, and says each number that was acknowledged.
async fn write(store: &EmbeddedStore, writer: u64) {
    let before = store.registration(&name(writer)).await.unwrap();
    for id in before.map_or(1, |before| before.id + 1).. {
        store.commit(batch(writer, id)).await.unwrap();
        // One write: half a line is never said.
        std::io::stderr().write_all(format!("acknowledged {writer} {id}\n").as_bytes()).unwrap();
    }
}

async fn check(store: &EmbeddedStore, acknowledged: &BTreeMap<u64, u64>) -> u64 {
    let mut newest = BTreeMap::new();
    let mut after = None;
    let mut number = None;
    loop {
        let page = store.events(after, 1000).await.unwrap();
        assert!(!page.gap);
        for event in &page.events {
            let next = number.map_or(event.cursor.number, |number| number + 1);
            assert_eq!(event.cursor.number, next, "without gap or double");
            number = Some(next);
            let mut words = event.body.split(' ').map_while(|word| word.parse::<u64>().ok());
            let (writer, id) = (words.next().unwrap(), words.next().unwrap());
            if let Some(before) = newest.insert(writer, id) {
                assert_eq!(before + 1, id, "writer {writer}, in its order");
            }
        }
        if page.events.is_empty() {
            break;
        }
        after = Some(page.next);
    }
    for (writer, id) in acknowledged {
        assert!(newest.get(writer) >= Some(id), "{id} of {writer} was acknowledged, {newest:?} is there");
    }
    for (writer, id) in newest {
        let registration = store.registration(&name(writer)).await.unwrap().unwrap();
        assert_eq!(registration.id, id, "of one batch all is there");
        let command = store.command(CommandId { number: 1 + writer, writer: 1 }).await.unwrap().unwrap();
        assert_eq!(*command.order, *id.to_string());
    }
    store.newest().await.unwrap().number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let store = open(Path::new(&folder));
        let all = (0..WRITERS).map(|writer| write(&store, writer));
        let [a, b, c, d] = all.collect::<Vec<_>>().try_into().ok().unwrap();
        tokio::join!(a, b, c, d);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut events = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_at_any_moment_it_keeps_what_it_acknowledged", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut heard = |line: String| {
            let numbers = line.strip_prefix("acknowledged ").unwrap_or_else(|| panic!("{line}"));
            let (writer, id) = numbers.split_once(' ').unwrap();
            acknowledged.insert(writer.parse::<u64>().unwrap(), id.parse::<u64>().unwrap());
        };
        // It is open; from now on any moment will do.
        for _ in 0..=round * 13 % 12 {
            heard(lines.next().unwrap().unwrap());
        }
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_micros(round * 7919 % 10_000)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap().into_iter().for_each(&mut heard);
        let store = open(folder.path());
        events = check(&store, &acknowledged).await;
        if round % 10 == 9 {
            assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
        }
    }
    let oldest = open(folder.path()).head().unwrap().oldest;
    assert!(oldest > 1 && events > ROUNDS, "events came and went: {oldest} to {events}");
}
