use super::*;

use lightship_lwm2m::{Binding, Endpoint, Version};
use lightship_platform::Instant;
use lightship_server::{Details, Deviations, Presence, Registration, RegistrationId, Terms};
use lightship_store::{
    AuditRecord, Batch, CommandId, CommandRecord, CommandState, CredentialKey, CredentialRecord,
    CredentialSet, DocumentKey, Fact, NewEvent, RegistrationRecord, TokenRecord, WantedKey,
    WantedObservation,
};

fn endpoint_of(name: &str) -> Endpoint {
    Endpoint::new(name).unwrap()
}

/// What a device has said of itself.
fn said() -> Vec<u8> {
    let terms = Terms {
        version: Version::V1_1,
        lifetime_s: 300,
        binding: Binding::parse("U", Version::V1_1).unwrap().0,
        queue_mode: false,
        sms: None,
        attributes: Box::default(),
        objects: Arc::default(),
    };
    let moment = Instant::from_secs(1);
    let registration = Registration {
        id: RegistrationId { shard: 0, node: 0, random: 1 },
        address: "127.0.0.1:5683".parse().unwrap(),
        party: None,
        session: None,
        details: Details { endpoint: endpoint_of("urn:a"), terms: Arc::new(terms) },
        registered_at: moment,
        updated_at: moment,
        presence: Presence::Awake { until: moment },
        deviations: Deviations::default(),
        expires_at: None,
    };
    registration.said()
}

fn facts() -> Vec<Fact> {
    let credential = |set, name: &str, principal: Option<&[u8]>| {
        Fact::Credential(Arc::new(CredentialRecord {
            key: CredentialKey { set, endpoint: endpoint_of(name) },
            principal: principal.map(Into::into),
            sealed: [0, 255, 7].into(),
            changed_ms: -1,
        }))
    };
    let wanted = |key, paths: Vec<lightship_lwm2m::Path>, accept| Fact::Wanted {
        endpoint: endpoint_of("urn:a"),
        observation: WantedObservation { key, paths, accept, attributes: vec!["pmin=5".to_owned()] },
    };
    let temperature: lightship_lwm2m::Path = "/3303/0/5700".parse().unwrap();
    vec![
        Fact::Registered(Arc::new(RegistrationRecord {
            endpoint: endpoint_of("urn:a"),
            id: u64::MAX,
            registered_ms: 1,
            updated_ms: 2,
            expires_ms: None,
            said: said().into(),
        })),
        wanted(WantedKey::Path(temperature), Vec::new(), None),
        wanted(WantedKey::Name("both \"quoted\"".to_owned()), vec![temperature], Some(110)),
        Fact::Document { key: DocumentKey::Device(endpoint_of("ü/%\u{2028}")), body: "{\"a\": 1}".into() },
        Fact::Document { key: DocumentKey::Template("all".to_owned()), body: "[1,\n2]".into() },
        Fact::Document { key: DocumentKey::Template("text".to_owned()), body: "\"quoted\"".into() },
        Fact::Document { key: DocumentKey::Template("cut".to_owned()), body: "{\"a\":".into() },
        credential(CredentialSet::Server, "urn:a", Some(b"\0identity")),
        credential(CredentialSet::Bootstrap, "urn:a", Some(b"\0identity")),
        credential(CredentialSet::Server, "urn:b", None),
        Fact::Token(Arc::new(TokenRecord {
            id: "0a1b".into(),
            name: "Ann \"A\"".into(),
            role: "viewer".into(),
            digest: [255; 32],
            created_ms: 1,
            created_by: "configuration".into(),
            expires_ms: None,
        })),
        audited(1, Some("urn:a")),
        audited(u64::MAX, None),
    ]
}

fn audited(id: u64, name: Option<&str>) -> Fact {
    let endpoint = name.map(endpoint_of);
    Fact::Audited(Arc::new(AuditRecord { id, endpoint, body: r#"{"action":"create"}"#.into() }))
}

fn command(number: u64, state: CommandState) -> Fact {
    Fact::Commanded(Arc::new(CommandRecord {
        id: CommandId { number, writer: 0xAB },
        endpoint: endpoint_of("urn:a"),
        state,
        order: r#"{"operation":"read"}"#.into(),
        created_ms: 1,
        changed_ms: 2,
        not_after_ms: 3,
        priority: -4,
        place: if number == 1 { CommandId { number, writer: 0xAB }.place() } else { -9 },
        attempts: 5,
        attempts_max: 6,
        pause_ms: 7,
        next_ms: 8,
        reason: (number == 1).then(|| "because".into()),
        answer: (number == 2).then(|| r#"{"code":"2.05"}"#.into()),
    }))
}

fn event(number: i64) -> Fact {
    Fact::Happened(NewEvent {
        at_ms: number,
        endpoint: endpoint_of("urn:a"),
        kind: "sent",
        body: format!(r#"{{"type":"sent","value":{number}.50}}"#).into(),
        indexed: number % 3 == 0,
    })
}

fn filled(folder: &Path) {
    let store = EmbeddedStore::open(EmbeddedOptions { writer: 0xABC, ..options(folder) }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let commands = (1..).zip(CommandState::ALL).map(|(number, state)| command(number, state));
    let facts = facts().into_iter().chain(commands).chain((1..=5000).map(event)).collect();
    runtime.block_on(store.commit(Batch { facts })).unwrap();
}

fn exported(folder: &Path) -> String {
    let mut out = Vec::new();
    let Exported { lines, missing, .. } = export(folder, &mut out).unwrap();
    assert_eq!(missing, 0);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(u64::try_from(text.lines().count()).unwrap(), lines);
    text
}

#[test]
fn what_is_written_out_fills_another_folder_with_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let (from, to) = (parent.path().join("from"), parent.path().join("to"));
    filled(&from);
    let text = exported(&from);
    assert!(
        text.starts_with(r#"{"store":{"version":1,"log":"00000abc","oldest":1,"newest":5000}}"#),
        "{text:.80}"
    );
    assert!(text.contains(r#""body":{"type":"sent","value":7.50}}}"#), "events are readable as they were");
    assert!(text.contains(r#""body":{"a": 1}}}"#), "letter by letter");
    assert!(text.ends_with("{\"end\":{\"lines\":5022}}\n"));
    import(&to, &mut text.as_bytes()).unwrap();
    assert_eq!(exported(&to), text);
    let report = check(&to).unwrap();
    assert_eq!((report.problems, report.events), (Vec::new(), Some((1, 5000))));
    assert_eq!(report.counts.values().sum::<u64>(), 5020);
    // It goes on where the other one was.
    let store = EmbeddedStore::open(options(&to)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let newest = runtime.block_on(store.commit(Batch { facts: vec![event(1)] })).unwrap();
    assert_eq!(newest.to_string(), "00000abc-5001");
    let found = runtime.block_on(store.credential_presented(CredentialSet::Server, b"\0identity")).unwrap();
    assert_eq!(found.unwrap().key.endpoint, endpoint_of("urn:a"));
}

#[test]
fn a_log_that_has_lost_its_beginning_keeps_its_numbers() {
    let parent = tempfile::tempdir().unwrap();
    let (from, to) = (parent.path().join("from"), parent.path().join("to"));
    filled(&from);
    let text = exported(&from);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"event\":{\"number\":1,")).collect();
    let text = lines.join("\n").replace("\"oldest\":1", "\"oldest\":2").replace("5022", "5021");
    import(&to, &mut text.as_bytes()).unwrap();
    assert_eq!(check(&to).unwrap().events, Some((2, 5000)));
}

#[test]
fn what_was_missing_is_named_again_by_the_store_that_is_made_of_it() {
    let parent = tempfile::tempdir().unwrap();
    let (from, to) = (parent.path().join("from"), parent.path().join("to"));
    filled(&from);
    let text = exported(&from);
    let is_lost = |line: &&str| {
        ["\"number\":7,", "\"number\":8,"]
            .iter()
            .any(|number| line.contains(&format!("{{\"event\":{{{number}")))
    };
    let named = "{\"missing\":{\"first\":7,\"last\":8}}";
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_lost(line)).collect();
    let place = lines.iter().position(|line| line.starts_with("{\"event\":{\"number\":9,")).unwrap();
    lines.insert(place, named);
    let text = format!("{}\n", lines.join("\n").replace("5022", "5021"));
    import(&to, &mut text.as_bytes()).unwrap();
    let mut out = Vec::new();
    let written = export(&to, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!((written.lines, written.missing), (5021, 2));
    assert_eq!(written.stretches, ["events 00000abc-7 to 00000abc-8 cannot be read"]);
    assert_eq!(check(&to).unwrap().problems, ["events 00000abc-7 to 00000abc-8 are missing"]);
}

#[test]
fn what_is_cut_or_bent_fills_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let from = parent.path().join("from");
    filled(&from);
    let text = exported(&from);
    let said = |bent: &str, name: &str| {
        let to = parent.path().join(name);
        let error = import(&to, &mut bent.as_bytes()).unwrap_err().to_string();
        let opened = EmbeddedStore::open(options(&to)).err().map(|error| error.to_string());
        (error, opened.unwrap_or_else(|| "an empty store".to_owned()))
    };
    let cut = text.rsplit_once("{\"end\"").unwrap().0;
    let (error, opened) = said(cut, "cut");
    assert_eq!(error, "line 5022: the end is missing");
    assert!(opened.contains("has not come to its end"), "{opened}");
    assert!(opened.contains("remove it, and import again") && !opened.contains("backup"), "{opened}");
    let (error, _) = said(&text.replacen("\"priority\":-4", "\"priority\":\"high\"", 1), "bent");
    assert!(error.starts_with("line 5: invalid type: string \"high\", expected i8, at letter "), "{error}");
    let (error, _) = said(&text.replace("\"event\":{\"number\":77,", "\"event\":{\"number\":78,"), "hole");
    assert!(error.contains("event 78 comes in place of 77"), "{error}");
    let (error, _) = said(&text.replace("\"version\":1", "\"version\":2"), "newer");
    assert!(error.contains("version 2"), "{error}");
    let twice = text.lines().nth(1).unwrap();
    let (error, _) = said(&text.replacen(twice, &format!("{twice}\n{twice}"), 1), "twice");
    assert!(error.contains("twice"), "{error}");
    let (error, _) = said("", "empty");
    assert_eq!(error, "line 1: the end is missing");
    let (error, opened) = said(&format!("{text}{}", text.lines().nth(1).unwrap()), "more");
    assert!(error.starts_with("line 5023: there is more behind the end"), "{error}");
    assert!(opened.contains("has not come to its end"), "{opened}");
    let (error, _) = said(&format!("{text}\n\n{text}"), "two");
    assert!(error.starts_with("line 5025: there is more behind the end"), "{error}");
    // A store that is there is left alone.
    assert!(import(&from, &mut text.as_bytes()).unwrap_err().to_string().contains("a store already"));
    assert_eq!(exported(&from), text);
}

#[test]
fn what_a_device_said_is_read_when_a_store_is_checked() {
    for (said, told) in [
        (
            [&[9][..], &said()[1..]].concat(),
            "urn:a: what its device said has version 9, this program knows 1",
        ),
        (vec![1, 2, 255], "urn:a: what its device said cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(options(folder.path())).unwrap();
        let record = RegistrationRecord {
            endpoint: endpoint_of("urn:a"),
            id: 1,
            registered_ms: 1,
            updated_ms: 2,
            expires_ms: None,
            said: said.into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let facts = vec![Fact::Registered(Arc::new(record))];
        runtime.block_on(store.commit(Batch { facts })).unwrap();
        drop(store);
        let report = check(folder.path()).unwrap();
        assert_eq!((report.problems_count, report.problems), (1, vec![format!("registrations: {told}")]));
    }
}

#[test]
fn a_folder_without_a_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(check(folder.path()), Err(ArchiveError::Missing(_))));
    assert!(matches!(export(folder.path(), &mut Vec::new()), Err(ArchiveError::Missing(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_table_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    // Opened and closed until everything is in tables, then bent.
    let bent = bend(&folder.path().join("store"));
    assert!(bent > 0, "there are files to bend");
    match check(folder.path()) {
        Ok(report) => assert!(report.problems_count > 0, "{report:?}"),
        Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
    }
}

/// Turns a bit in the middle of each larger file.
fn bend(folder: &Path) -> usize {
    let mut bent = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            bent += bend(&path);
        } else if let Ok(mut bytes) = std::fs::read(&path) {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            if used > 10_000 {
                bytes[used / 2] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                bent += 1;
            }
        }
    }
    bent
}
