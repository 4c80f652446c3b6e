//! What every backend must do, as checks that panic when it does not. A backend's tests call [`all`].

mod access;

use std::sync::{Arc, Mutex, PoisonError};

use lightship_lwm2m::{Endpoint, Path};

use crate::{
    Batch, CommandId, CommandRecord, CommandState, CredentialKey, CredentialRecord, CredentialSet, Cursor,
    DocumentKey, EventPage, EventsOf, Fact, Limits, NewEvent, RegistrationRecord, Store, StoreError,
    WantedObservation,
};

/// What is kept of everything but events by the stores that are checked.
pub const LIMITS: Limits = Limits {
    wanted_max: 5,
    commands_max: 4,
    commands_kept: 3,
    command_bytes_max: 16 << 20,
    documents_max: 100,
    credentials_max: 6,
    tokens_max: 3,
    audit_max: 6,
    audit_age_ms: 100_000,
};

/// Runs every check of one process. `fresh` gives an empty store with [`LIMITS`] that keeps 8 events, its log having the
/// name 7.
///
/// # Panics
/// When the backend breaks a promise.
pub async fn all<S: Store>(fresh: impl Fn() -> S) {
    events_come_back_in_order(&fresh()).await;
    a_slow_reader_is_told_of_its_gap(&fresh()).await;
    a_cursor_of_another_writer_is_a_gap(&fresh()).await;
    events_of_a_device_come_newest_first(&fresh()).await;
    registrations_are_kept_by_device(&fresh()).await;
    a_batch_is_all_or_nothing(&fresh()).await;
    wanted_observations_are_kept_by_path(&fresh()).await;
    commands_are_kept_in_their_order(&fresh()).await;
    documents_are_kept_by_key(&fresh()).await;
    credentials_are_kept_by_device_and_by_what_is_presented(&fresh()).await;
    nobody_presents_what_another_presents(&fresh()).await;
    values_are_kept_by_device_and_path(&fresh()).await;
    notes_are_kept_by_name(&fresh()).await;
    batches_of_many_writers_are_numbered_without_holes(&fresh()).await;
    access::tokens_are_kept_by_id(&fresh()).await;
    access::what_was_done_comes_newest_first(&fresh()).await;
    access::old_entries_leave(&fresh()).await;
}

/// Runs every check of a backend whose facts outlive the process. `reopen` gives what was closed to another process.
///
/// # Panics
/// When the backend breaks a promise.
pub async fn outliving<S: Store>(fresh: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    documents_outlive_the_process(fresh(), &reopen).await;
    credentials_outlive_the_process(fresh(), &reopen).await;
    values_and_notes_outlive_the_process(fresh(), &reopen).await;
    facts_outlive_the_process(fresh(), &reopen).await;
    a_refused_batch_leaves_nothing_behind(fresh(), &reopen).await;
    the_log_goes_on_in_the_next_process(fresh(), &reopen).await;
    a_hand_over_is_given_once(fresh(), &reopen).await;
    the_newest_keys_of_tickets_are_kept(fresh(), &reopen).await;
    commands_outlive_the_process(fresh(), &reopen).await;
    access::tokens_outlive_the_process(fresh(), &reopen).await;
    access::what_was_done_outlives_the_process(fresh(), &reopen).await;
}

fn command(number: u64, endpoint_name: &str, state: CommandState) -> Fact {
    Fact::Commanded(Arc::new(CommandRecord {
        id: CommandId { number, writer: 7 },
        endpoint: endpoint(endpoint_name),
        state,
        order: "{}".into(),
        created_ms: 1,
        changed_ms: 2,
        not_after_ms: 3,
        priority: -7,
        place: -8,
        attempts: 1,
        attempts_max: u32::MAX,
        pause_ms: 60_000,
        next_ms: i64::MAX,
        reason: None,
        answer: None,
    }))
}

async fn numbers<S: Store>(store: &S, name: &str) -> Vec<u64> {
    let commands = store.commands(&endpoint(name)).await.expect("reads");
    commands.iter().map(|record| record.id.number).collect()
}

async fn commands_are_kept_in_their_order<S: Store>(store: &S) {
    assert_eq!(store.last_command().await.expect("reads"), 0);
    let facts = vec![
        command(2, "a", CommandState::Waiting),
        command(1, "a", CommandState::Waiting),
        command(3, "b", CommandState::Waiting),
    ];
    store.commit(Batch { facts }).await.expect("stores");
    assert_eq!((numbers(store, "a").await, numbers(store, "b").await), (vec![1, 2], vec![3]));
    store.commit(Batch { facts: vec![command(1, "a", CommandState::Done)] }).await.expect("stores");
    let kept = store.command(CommandId { number: 1, writer: 7 }).await.expect("reads").expect("is kept");
    assert_eq!(kept.state, CommandState::Done);
    assert_eq!(store.command(CommandId { number: 1, writer: 8 }).await.expect("reads"), None);
    let live = store.live_commands().await.expect("reads");
    assert_eq!(live.iter().map(|record| record.id.number).collect::<Vec<_>>(), [2, 3]);
    // Four may wait; what has ended does not count.
    let more = |numbers: std::ops::RangeInclusive<u64>| Batch {
        facts: numbers.map(|number| command(number, "c", CommandState::Waiting)).collect(),
    };
    assert!(matches!(store.commit(more(4..=6)).await, Err(StoreError::Full { .. })));
    store.commit(more(4..=5)).await.expect("stores");
    assert_eq!((numbers(store, "c").await, store.last_command().await.expect("reads")), (vec![4, 5], 5));
    // Three that have ended are kept.
    let facts = (2..=5).map(|number| command(number, "a", CommandState::Cancelled)).collect();
    store.commit(Batch { facts }).await.expect("stores");
    assert_eq!(store.command(CommandId { number: 1, writer: 7 }).await.expect("reads"), None);
    assert!(store.live_commands().await.expect("reads").is_empty());
}

async fn commands_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let facts = vec![command(1, "a", CommandState::Done), command(2, "a", CommandState::Sent)];
    store.commit(Batch { facts }).await.expect("stores");
    let store = reopen(store);
    assert_eq!(numbers(&store, "a").await, [1, 2]);
    assert_eq!(store.live_commands().await.expect("reads").len(), 1);
    assert_eq!(store.last_command().await.expect("reads"), 2);
}

async fn events_come_back_in_order<S: Store>(store: &S) {
    assert_eq!(store.newest().await.expect("reads"), at(0));
    assert!(store.events(None, 10).await.expect("reads").events.is_empty());
    write_events(store, 1..=5).await;
    let page = store.events(Some(at(1)), 3).await.expect("reads");
    let numbers: Vec<_> = page.events.iter().map(|event| event.cursor.number).collect();
    assert_eq!((numbers, page.gap, page.next), (vec![2, 3, 4], false, at(4)));
    let rest = store.events(Some(page.next), 100).await.expect("reads");
    assert_eq!(rest.next, at(5));
    assert_eq!(store.events(Some(at(5)), 100).await.expect("reads").next, at(5));
    assert_eq!(store.newest().await.expect("reads"), at(5));
}

async fn documents_are_kept_by_key<S: Store>(store: &S) {
    let put = |key: &DocumentKey, body: &str| Fact::Document { key: key.clone(), body: body.into() };
    let [a, b, all] = document_keys();
    let facts = vec![put(&all, "t"), put(&b, "1"), put(&a, "2"), put(&b, "3")];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(store.document(&b).await.expect("reads").as_deref(), Some("3"), "the last one counts");
    assert_eq!(store.document(&DocumentKey::Template("a".to_owned())).await.expect("reads"), None);
    let listed: Vec<_> =
        store.documents(None, 10).await.expect("reads").into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed, [a.clone(), b.clone(), all.clone()], "devices before templates");
    assert_eq!(store.documents(Some(&a), 1).await.expect("reads"), [(b.clone(), "3".into())]);
    let facts = vec![Fact::NoDocument { key: b.clone() }, Fact::NoDocument { key: b.clone() }];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(store.document(&b).await.expect("reads"), None);
}

async fn documents_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let [a, _, all] = document_keys();
    let facts = vec![
        Fact::Document { key: a.clone(), body: "1".into() },
        Fact::Document { key: all.clone(), body: "2".into() },
    ];
    store.commit(Batch { facts }).await.expect("writes");
    let store = reopen(store);
    assert_eq!(store.documents(None, 10).await.expect("reads"), [(a, "1".into()), (all, "2".into())]);
}

async fn credentials_are_kept_by_device_and_by_what_is_presented<S: Store>(store: &S) {
    let (server, bootstrap) = (CredentialSet::Server, CredentialSet::Bootstrap);
    let facts = vec![
        credential(server, "b", Some("two"), "B"),
        credential(server, "a", Some("one"), "A"),
        credential(server, "c", None, "C"),
        credential(bootstrap, "a", Some("one"), "of the Bootstrap-Server"),
    ];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(presented(store, server, "one").await.as_deref(), Some("A"));
    assert_eq!(presented(store, bootstrap, "one").await.as_deref(), Some("of the Bootstrap-Server"));
    assert_eq!(presented(store, bootstrap, "two").await, None);
    assert_eq!(listed(store, server, None).await, ["a", "b", "c"]);
    assert_eq!(listed(store, server, Some("a")).await, ["b", "c"]);
    assert_eq!(listed(store, bootstrap, None).await, ["a"]);
    let page = store.credentials(server, None, 2).await.expect("reads");
    assert_eq!(page.len(), 2);
    // Presented otherwise from now on.
    let facts = vec![credential(server, "a", Some("three"), "A2")];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(presented(store, server, "one").await, None);
    assert_eq!(presented(store, server, "three").await.as_deref(), Some("A2"));
    let key = CredentialKey { set: server, endpoint: endpoint("a") };
    assert!(store.credential(&key).await.expect("reads").is_some());
    let facts = vec![Fact::NoCredential { key: key.clone() }, Fact::NoCredential { key: key.clone() }];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(store.credential(&key).await.expect("reads"), None);
    assert_eq!(presented(store, server, "three").await, None);
    assert_eq!(presented(store, bootstrap, "one").await.as_deref(), Some("of the Bootstrap-Server"));
}

async fn nobody_presents_what_another_presents<S: Store>(store: &S) {
    let server = CredentialSet::Server;
    store.commit(Batch { facts: vec![credential(server, "a", Some("x"), "A")] }).await.expect("writes");
    let facts = vec![credential(server, "c", Some("y"), "C"), credential(server, "b", Some("x"), "B")];
    let taken = store.commit(Batch { facts }).await;
    assert!(matches!(&taken, Err(StoreError::Taken { by }) if *by == endpoint("a")), "{taken:?}");
    assert_eq!(listed(store, server, None).await, ["a"], "all or nothing");
    // Its own it may keep, and one that is given up another may take, in the same batch.
    let facts = vec![
        credential(server, "a", Some("x"), "A2"),
        Fact::NoCredential { key: CredentialKey { set: server, endpoint: endpoint("a") } },
        credential(server, "b", Some("x"), "B"),
    ];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(presented(store, server, "x").await.as_deref(), Some("B"));
    let many = ["c", "d", "e", "f", "g", "h"].map(|name| credential(server, name, None, "many"));
    let full = store.commit(Batch { facts: many.to_vec() }).await;
    assert!(matches!(full, Err(StoreError::Full { max: 6, .. })), "{full:?}");
}

async fn credentials_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let server = CredentialSet::Server;
    let facts = vec![credential(server, "a", Some("x"), "A"), credential(server, "b", None, "B")];
    store.commit(Batch { facts }).await.expect("writes");
    let gone = Fact::NoCredential { key: CredentialKey { set: server, endpoint: endpoint("b") } };
    store.commit(Batch { facts: vec![gone] }).await.expect("writes");
    let store = reopen(store);
    assert_eq!(listed(&store, server, None).await, ["a"]);
    assert_eq!(presented(&store, server, "x").await.as_deref(), Some("A"));
}

fn value(name: &str, at: &str, value: Option<&str>) -> Fact {
    let path = at.parse().expect("a path");
    Fact::Value { endpoint: endpoint(name), path, value: value.map(|value| value.as_bytes().into()) }
}

fn values<S: Store>(store: &S, name: &str, below: &str) -> Vec<String> {
    let found = store.values(&endpoint(name), below.parse().expect("a path")).expect("values");
    found.iter().map(|(path, value)| format!("{path}={}", String::from_utf8_lossy(value))).collect()
}

async fn values_are_kept_by_device_and_path<S: Store>(store: &S) {
    let facts = vec![
        value("b", "/3/0/9", Some("1")),
        value("a", "/33/0/9", Some("2")),
        value("a", "/3/0/10", Some("3")),
        value("a", "/3/0/9", Some("4")),
        value("a", "/3/0/9", Some("5")),
        value("a", "/3/0/7/1", Some("6")),
        value("ab", "/3/0/9", Some("7")),
        value("a", "/3/0/11", Some("8")),
        value("a", "/3/0/11", None),
        value("a", "/3/0/12", None),
    ];
    store.commit(Batch { facts }).await.expect("values");
    assert_eq!(values(store, "a", "/"), ["/3/0/7/1=6", "/3/0/9=5", "/3/0/10=3", "/33/0/9=2"]);
    assert_eq!(values(store, "a", "/3"), ["/3/0/7/1=6", "/3/0/9=5", "/3/0/10=3"]);
    assert_eq!(values(store, "a", "/3/0/9"), ["/3/0/9=5"]);
    assert_eq!(values(store, "c", "/"), Vec::<String>::new());
    let keys = [("a", "/3/0/10"), ("c", "/3/0/9"), ("b", "/3/0/9"), ("a", "/3/0/11")];
    let keys = keys.map(|(name, at)| (endpoint(name), at.parse().expect("a path")));
    let found = store.values_at(&keys).expect("values");
    let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
    assert_eq!(found, [Some(&b"3"[..]), None, Some(b"1"), None]);
    let mut all = Vec::new();
    let mut note = |name: &str, path: Path, _: &[u8]| {
        all.push(format!("{name} {path}"));
        all.len() < 5
    };
    store.each_value(None, &mut note).expect("values");
    assert_eq!(all, ["a /3/0/7/1", "a /3/0/9", "a /3/0/10", "a /33/0/9", "ab /3/0/9"]);
    for (behind, expected) in
        [("a", vec!["ab", "b"]), ("aa", vec!["ab", "b"]), ("ab", vec!["b"]), ("b", vec![])]
    {
        let mut names = Vec::new();
        let mut note = |name: &str, _: Path, _: &[u8]| {
            names.push(name.to_owned());
            true
        };
        store.each_value(Some(&endpoint(behind)), &mut note).expect("values");
        assert_eq!(names, expected, "behind {behind}");
    }
}

async fn notes_are_kept_by_name<S: Store>(store: &S) {
    let note = |name: &str, body: Option<&str>| Fact::Note { name: name.into(), body: body.map(Arc::from) };
    let facts =
        vec![note("b/2", Some("x")), note("b/1", Some("y")), note("b/1", Some("z")), note("c/1", Some("w"))];
    store.commit(Batch { facts }).await.expect("notes");
    let found = store.notes("b/").await.expect("notes");
    let found: Vec<_> = found.iter().map(|(name, body)| (&**name, &**body)).collect();
    assert_eq!(found, [("b/1", "z"), ("b/2", "x")]);
    let found = store.notes_at(&["c/1", "b/", "b/1"].map(Arc::from)).expect("notes");
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("w"), None, Some("z")]);
    store.commit(Batch { facts: vec![note("b/1", None), note("b/3", None)] }).await.expect("gone");
    assert_eq!(store.notes("b/").await.expect("notes").len(), 1);
}

async fn values_and_notes_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let note = Fact::Note { name: "b/1".into(), body: Some("x".into()) };
    store.commit(Batch { facts: vec![value("a", "/3/0/9", Some("1")), note] }).await.expect("both");
    let store = reopen(store);
    assert_eq!(values(&store, "a", "/"), ["/3/0/9=1"]);
    assert_eq!(store.notes("b/").await.expect("notes").len(), 1);
}

fn credential(set: CredentialSet, name: &str, principal: Option<&str>, sealed: &str) -> Fact {
    Fact::Credential(Arc::new(CredentialRecord {
        key: CredentialKey { set, endpoint: endpoint(name) },
        principal: principal.map(|text| text.as_bytes().into()),
        sealed: sealed.as_bytes().into(),
        changed_ms: 1,
    }))
}

async fn presented<S: Store>(store: &S, set: CredentialSet, principal: &str) -> Option<String> {
    let found = store.credential_presented(set, principal.as_bytes()).await.expect("reads");
    found.map(|record| String::from_utf8_lossy(&record.sealed).into_owned())
}

async fn listed<S: Store>(store: &S, set: CredentialSet, after: Option<&str>) -> Vec<String> {
    let page = store.credentials(set, after.map(endpoint).as_ref(), 10).await.expect("reads");
    page.iter().map(|record| record.key.endpoint.to_string()).collect()
}

fn document_keys() -> [DocumentKey; 3] {
    let device = |name| DocumentKey::Device(endpoint(name));
    [device("a"), device("b"), DocumentKey::Template("all".to_owned())]
}

async fn a_slow_reader_is_told_of_its_gap<S: Store>(store: &S) {
    write_events(store, 1..=20).await;
    let page = store.events(Some(at(2)), 100).await.expect("reads");
    assert!(page.gap);
    assert_eq!(page.events.first().map(|event| event.cursor.number), Some(13), "8 events are kept");
    let page = store.events(Some(at(12)), 100).await.expect("reads");
    assert!(!page.gap, "nothing is missing after 12");
}

async fn a_cursor_of_another_writer_is_a_gap<S: Store>(store: &S) {
    write_events(store, 1..=3).await;
    for cursor in [Cursor { writer: 6, number: 2 }, at(4)] {
        let page = store.events(Some(cursor), 100).await.expect("reads");
        assert!(page.gap && page.events.len() == 3, "{cursor}");
    }
}

async fn events_of_a_device_come_newest_first<S: Store>(store: &S) {
    let newest = store.commit(Batch { facts: (1..=5).map(event).collect() }).await.expect("writes");
    assert_eq!(newest, at(5), "who writes hears how far the log is");
    let other =
        NewEvent { at_ms: 3500, endpoint: endpoint("b"), kind: "sent", body: "b".into(), indexed: true };
    let unfound = NewEvent { endpoint: endpoint("a"), indexed: false, ..other.clone() };
    let facts = vec![Fact::Happened(other), Fact::Happened(unfound)];
    assert_eq!(store.commit(Batch { facts }).await.expect("writes"), at(7));
    let read = async |which: EventsOf| {
        let events = store.events_of(&endpoint("a"), which).await.expect("reads").events;
        events.iter().map(|event| event.cursor.number).collect::<Vec<_>>()
    };
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: 100 };
    assert_eq!(read(all).await, [5, 4, 3, 2, 1]);
    assert_eq!(read(EventsOf { from_ms: 2000, to_ms: 4000, ..all }).await, [3, 2]);
    assert_eq!(read(EventsOf { before: Some(at(4)), max: 2, ..all }).await, [3, 2]);
    let of_b = store.events_of(&endpoint("b"), all).await.expect("reads").events;
    assert_eq!(of_b.iter().map(|event| (&*event.kind, &*event.body)).collect::<Vec<_>>(), [("sent", "b")]);
}

async fn registrations_are_kept_by_device<S: Store>(store: &S) {
    let facts = vec![registered("b", 2), registered("a", 1), registered("b", 3)];
    store.commit(Batch { facts }).await.expect("writes");
    let leased = |id| Fact::Leased { endpoint: endpoint("a"), id, expires_ms: 77 };
    store.commit(Batch { facts: vec![leased(9)] }).await.expect("writes");
    let expires =
        async || store.registration(&endpoint("a")).await.expect("reads").expect("is kept").expires_ms;
    assert_eq!(expires().await, Some(60_000), "of another registration");
    store.commit(Batch { facts: vec![leased(1)] }).await.expect("writes");
    assert_eq!(expires().await, Some(77));
    assert_eq!(registration_ids(store), [1, 3]);
    let gone = |id| Fact::Deregistered { endpoint: endpoint("b"), id };
    store.commit(Batch { facts: vec![gone(2)] }).await.expect("writes");
    assert_eq!(registration_ids(store), [1, 3], "it has another by now");
    store.commit(Batch { facts: vec![gone(3)] }).await.expect("writes");
    assert_eq!(registration_ids(store), [1]);
    assert_eq!(store.registration(&endpoint("b")).await.expect("reads"), None);
}

fn registered(name: &str, id: u64) -> Fact {
    Fact::Registered(Arc::new(RegistrationRecord {
        endpoint: endpoint(name),
        id,
        registered_ms: 1,
        updated_ms: 2,
        expires_ms: Some(60_000),
        said: [1, 2, 3].into(),
    }))
}

fn registration_ids<S: Store>(store: &S) -> Vec<u64> {
    let ids = Mutex::new(Vec::new());
    let take = |chunk: Vec<RegistrationRecord>| {
        ids.lock().unwrap_or_else(PoisonError::into_inner).extend(chunk.iter().map(|record| record.id));
    };
    let count = store.each_registration(&take).expect("reads");
    let mut ids = ids.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(usize::try_from(count).ok(), Some(ids.len()));
    ids.sort_unstable();
    ids
}

async fn a_batch_is_all_or_nothing<S: Store>(store: &S) {
    let mut facts = vec![event(1)];
    facts.extend((0..6).map(|number| want("a", number)));
    let result = store.commit(Batch { facts }).await;
    assert!(matches!(result, Err(StoreError::Full { .. })), "6 are wanted, 5 are allowed: {result:?}");
    assert_eq!(store.newest().await.expect("reads"), at(0));
    assert!(store.wanted(&endpoint("a")).await.expect("reads").is_empty());
}

async fn wanted_observations_are_kept_by_path<S: Store>(store: &S) {
    let other = Fact::Wanted {
        endpoint: endpoint("a"),
        observation: WantedObservation {
            key: path(2).into(),
            paths: Vec::new(),
            accept: Some(60),
            attributes: vec!["pmin=5".to_owned()],
        },
    };
    let facts = vec![want("a", 2), want("b", 2), want("a", 1), other];
    store.commit(Batch { facts }).await.expect("writes");
    let wanted = store.wanted(&endpoint("a")).await.expect("reads");
    assert_eq!(
        wanted.iter().map(|one| (one.key.clone(), one.accept)).collect::<Vec<_>>(),
        [(path(1).into(), None), (path(2).into(), Some(60))]
    );
    let mut devices = Vec::new();
    store.each_wanted(&mut |endpoint| devices.push(endpoint)).expect("reads");
    assert_eq!(devices, [endpoint("a"), endpoint("b")]);
    let gone = Fact::Unwanted { endpoint: endpoint("a"), key: path(2).into() };
    store.commit(Batch { facts: vec![gone.clone(), gone] }).await.expect("writes");
    assert_eq!(store.wanted(&endpoint("a")).await.expect("reads").len(), 1);
    assert_eq!(store.wanted(&endpoint("b")).await.expect("reads").len(), 1);
}

async fn facts_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    store.commit(Batch { facts: vec![want("a", 1), event(1), registered("a", 4)] }).await.expect("writes");
    let store = reopen(store);
    assert_eq!(store.wanted(&endpoint("a")).await.expect("reads").len(), 1);
    assert_eq!(registration_ids(&store), [4]);
}

async fn a_refused_batch_leaves_nothing_behind<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let document =
        |body: &str| Fact::Document { key: DocumentKey::Template("t".to_owned()), body: body.into() };
    let server = CredentialSet::Server;
    let facts = vec![credential(server, "a", Some("x"), "A"), document("before"), registered("a", 1)];
    store.commit(Batch { facts }).await.expect("writes");
    let facts = vec![
        event(1),
        document("after"),
        registered("a", 2),
        want("a", 1),
        command(1, "a", CommandState::Waiting),
        credential(server, "a", Some("y"), "A2"),
        credential(server, "b", Some("y"), "B"),
    ];
    let refused = store.commit(Batch { facts }).await;
    assert!(matches!(refused, Err(StoreError::Taken { .. })), "{refused:?}");
    // One that is taken, behind it.
    store.commit(Batch { facts: vec![registered("b", 3)] }).await.expect("writes");
    let check = async |store: &S| {
        assert_eq!(registration_ids(store), [1, 3]);
        assert_eq!(store.newest().await.expect("reads"), at(0));
        assert!(store.wanted(&endpoint("a")).await.expect("reads").is_empty());
        assert!(store.live_commands().await.expect("reads").is_empty());
        assert_eq!(presented(store, server, "x").await.as_deref(), Some("A"));
        assert_eq!(presented(store, server, "y").await, None);
        let kept = store.document(&DocumentKey::Template("t".to_owned())).await.expect("reads");
        assert_eq!(kept.as_deref(), Some("before"));
    };
    check(&store).await;
    check(&reopen(store)).await;
}

async fn the_log_goes_on_in_the_next_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    write_events(&store, 1..=6).await;
    let store = reopen(store);
    assert_eq!(store.newest().await.expect("reads"), at(6), "with its name and its numbers");
    let page = store.events(Some(at(2)), 100).await.expect("reads");
    let numbers = |page: &EventPage| page.events.iter().map(|event| event.cursor.number).collect::<Vec<_>>();
    assert_eq!((numbers(&page), page.gap), (vec![3, 4, 5, 6], false));
    assert_eq!(page.events.first().map(|event| event.body.to_string()).as_deref(), Some("event 3"));
    write_events(&store, 7..=10).await;
    let page = store.events(Some(at(4)), 100).await.expect("reads");
    assert_eq!((numbers(&page), page.gap), ((5..=10).collect(), false), "from both processes");
    let all = EventsOf { before: None, from_ms: 0, to_ms: i64::MAX, max: 3 };
    let found = store.events_of(&endpoint("a"), all).await.expect("reads").events;
    assert_eq!(found.iter().map(|event| event.cursor.number).collect::<Vec<_>>(), [10, 9, 8]);
    let page = store.events(Some(at(1)), 100).await.expect("reads");
    assert!(page.gap && page.events.len() == 8, "8 are kept");
}

async fn batches_of_many_writers_are_numbered_without_holes<S: Store>(store: &S) {
    let one = |name: &'static str| {
        let event =
            NewEvent { at_ms: 1, endpoint: endpoint(name), kind: "sent", body: name.into(), indexed: false };
        store.commit(Batch { facts: vec![Fact::Happened(event.clone()), Fact::Happened(event)] })
    };
    let full = store.commit(Batch { facts: (0..6).map(|number| want("a", number)).collect() });
    let (a, b, full, c) = tokio::join!(one("a"), one("b"), full, one("c"));
    assert!(matches!(full, Err(StoreError::Full { .. })), "among the others: {full:?}");
    let newest = [a, b, c].map(|cursor| cursor.expect("writes").number).into_iter().max();
    assert_eq!(newest, Some(6));
    let page = store.events(None, 100).await.expect("reads");
    let bodies: Vec<_> = page.events.iter().map(|event| (event.cursor.number, &*event.body)).collect();
    assert_eq!(bodies.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(bodies.chunks(2).all(|pair| pair.first().map(|p| p.1) == pair.last().map(|p| p.1)), "{bodies:?}");
}

async fn a_hand_over_is_given_once<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    assert_eq!(store.take_hand_over().await.expect("reads"), None);
    store.leave_hand_over([1].into()).await.expect("writes");
    store.leave_hand_over([2, 3].into()).await.expect("writes");
    let store = reopen(store);
    assert_eq!(store.take_hand_over().await.expect("reads"), Some(vec![2, 3]), "the last one counts");
    assert_eq!(store.take_hand_over().await.expect("reads"), None);
    let store = reopen(store);
    assert_eq!(store.take_hand_over().await.expect("reads"), None, "nor to a process after");
}

async fn the_newest_keys_of_tickets_are_kept<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    assert_eq!(store.ticket_keys().await.expect("reads"), None);
    store.keep_ticket_keys([1].into()).await.expect("writes");
    store.keep_ticket_keys([2, 3].into()).await.expect("writes");
    let store = reopen(store);
    for _ in 0..2 {
        assert_eq!(store.ticket_keys().await.expect("reads"), Some(vec![2, 3]), "as often as it is asked");
    }
}

async fn write_events<S: Store>(store: &S, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        store.commit(Batch { facts: vec![event(number)] }).await.expect("writes");
    }
}

fn event(number: u64) -> Fact {
    let body = Arc::from(format!("event {number}"));
    let at_ms = i64::try_from(number).expect("a small number") * 1000;
    Fact::Happened(NewEvent { at_ms, endpoint: endpoint("a"), kind: "updated", body, indexed: true })
}

fn want(name: &str, number: u16) -> Fact {
    let observation = WantedObservation {
        key: path(number).into(),
        paths: Vec::new(),
        accept: None,
        attributes: Vec::new(),
    };
    Fact::Wanted { endpoint: endpoint(name), observation }
}

fn at(number: u64) -> Cursor {
    Cursor { writer: 7, number }
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint::new(name).expect("a legal name")
}

fn path(number: u16) -> Path {
    Path::from_numbers(&[3, 0, number]).expect("a legal path")
}
