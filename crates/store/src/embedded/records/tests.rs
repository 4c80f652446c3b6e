use super::super::bundle::EventRow;
use super::*;

fn endpoint_of(name: &str) -> Endpoint {
    Endpoint::new(name).unwrap()
}

fn command_record() -> CommandRecord {
    CommandRecord {
        id: CommandId { number: 77, writer: 0xAB },
        endpoint: endpoint_of("urn:a"),
        state: CommandState::Refused,
        order: r#"{"operation":"read"}"#.into(),
        created_ms: 1,
        changed_ms: -2,
        not_after_ms: i64::MAX,
        priority: -3,
        place: -9,
        attempts: 4,
        attempts_max: 5,
        pause_ms: 6,
        next_ms: 7,
        reason: Some("because".into()),
        answer: None,
    }
}

fn new_event() -> NewEvent {
    NewEvent { at_ms: -5, endpoint: endpoint_of("b/%"), kind: "sent", body: "{}".into(), indexed: true }
}

/// Key, value, and whether it is read.
type Row = (Vec<u8>, Vec<u8>, fn(&[u8], &[u8]) -> bool);

fn rows() -> Vec<Row> {
    let registration = RegistrationRecord {
        endpoint: endpoint_of("urn:a"),
        id: 1,
        registered_ms: 2,
        updated_ms: 3,
        expires_ms: Some(4),
        said: [5, 6].into(),
    };
    let observation = WantedObservation {
        key: WantedKey::Name("mine".to_owned()),
        paths: vec!["/3/0/9".parse().unwrap()],
        accept: Some(110),
        attributes: vec!["pmin=1".to_owned()],
    };
    let credential = CredentialRecord {
        key: CredentialKey { set: CredentialSet::Bootstrap, endpoint: endpoint_of("c") },
        principal: Some([1].into()),
        sealed: [2, 3].into(),
        changed_ms: 4,
    };
    let template = DocumentKey::Template("t".to_owned());
    vec![
        (registration_key(&registration.endpoint).to_vec(), super::registration(&registration), |k, v| {
            read_registration(k, v).is_ok()
        }),
        (wanted_key(&endpoint_of("a"), &observation.key), wanted(&observation), |k, v| {
            read_wanted(k, v).is_ok()
        }),
        (number_key(77).to_vec(), command(&command_record()), |k, v| read_command(k, v).is_ok()),
        (document_key(&template), document("{}"), |k, v| read_document(k, v).is_ok()),
        (credential_key(&credential.key), super::credential(&credential), |k, v| {
            read_credential(k, v).is_ok()
        }),
        (number_key(9).to_vec(), event(&new_event()), |k, v| {
            EventRow::read(7, k, v).and_then(|row| row.event(9)).is_ok()
        }),
    ]
}

#[test]
fn what_is_written_is_read() {
    assert!(rows().iter().all(|(key, value, is_read)| is_read(key, value)));
    assert_eq!(read_command(&number_key(77), &command(&command_record())).unwrap(), command_record());
    let value = event(&new_event());
    let (read, indexed) = EventRow::read(7, &number_key(9), &value).unwrap().event(9).unwrap();
    assert_eq!(
        (read.cursor, read.at_ms, &*read.kind, &*read.body, indexed),
        (Cursor { writer: 7, number: 9 }, -5, "sent", "{}", true)
    );
    let key = index_key(&endpoint_of("b/%"), 9);
    assert_eq!(read_index(&key).unwrap(), (endpoint_of("b/%"), 9));
}

#[test]
fn a_command_of_an_older_program_is_read() {
    let record = command_record();
    let mut older = vec![1];
    let mut out = Encoder::new(&mut older);
    out.array(10).unwrap().u32(0xAB).unwrap().str("urn:a").unwrap().u8(3).unwrap();
    out.str(&record.order).unwrap().i64(1).unwrap().i64(-2).unwrap().i64(i64::MAX).unwrap();
    out.u32(4).unwrap().str("because").unwrap().null().unwrap();
    let now = CommandRecord {
        priority: 0,
        place: record.id.place(),
        attempts_max: u32::MAX,
        pause_ms: PAUSE_MS,
        next_ms: 0,
        ..record.clone()
    };
    assert_eq!(read_command(&number_key(77), &older).unwrap(), now);
    // One that nobody has moved is written as the program before this one wrote it.
    let unmoved = CommandRecord { place: record.id.place(), ..record };
    let row = command(&unmoved);
    assert_eq!((row[0], read_command(&number_key(77), &row).unwrap()), (2, unmoved));
}

#[test]
fn a_value_of_a_newer_program_is_refused() {
    for (key, mut value, is_read) in rows() {
        value[0] += 1;
        assert!(!is_read(&key, &value), "{value:02x?}");
    }
    let mut newer = command(&command_record());
    newer[0] = 9;
    let refused = read_command(&number_key(77), &newer).unwrap_err();
    assert_eq!(refused, "version 9, this program knows up to 3");
}

#[test]
fn every_damage_is_noticed_or_harmless() {
    for (key, value, is_read) in rows() {
        let is_text = is_read(&key, &[value.as_slice(), b"x"].concat());
        for end in 0..value.len() {
            // A text that is shorter is a text.
            assert!(!is_read(&key, &value[..end]) || (is_text && end > 0), "cut at {end}: {value:02x?}");
        }
        for at in 0..value.len() * 8 {
            let mut bent = value.clone();
            bent[at / 8] ^= 1 << (at % 8);
            let _ = is_read(&key, &bent); // must not panic or allocate without bound
        }
        for at in 0..key.len() * 8 {
            let mut bent = key.clone();
            bent[at / 8] ^= 1 << (at % 8);
            let _ = is_read(&bent, &value);
            let _ = is_read(&bent[..at / 8], &value);
        }
    }
}

#[test]
fn names_that_begin_alike_have_rows_of_their_own() {
    let of_a = of_endpoint(&endpoint_of("a"));
    assert!(index_key(&endpoint_of("a"), u64::MAX).starts_with(&of_a));
    assert!(!index_key(&endpoint_of("ab"), 1).starts_with(&of_a));
}
