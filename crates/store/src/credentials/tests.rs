use std::fs;

use super::*;

fn record(endpoint: &str, principal: &[u8], sealed: &[u8]) -> Change {
    let key = CredentialKey { set: CredentialSet::Server, endpoint: Endpoint::new(endpoint).unwrap() };
    let principal = Some(principal.into());
    Change::Put(Arc::new(CredentialRecord { key, principal, sealed: sealed.into(), changed_ms: 7 }))
}

fn make(credentials: &mut Credentials, changes: &[Change]) {
    credentials.check(changes, 1000).unwrap();
    let frame = credentials.frame(changes).unwrap();
    frame.write().unwrap();
    changes.iter().for_each(|change| credentials.apply(change));
    credentials.written(&frame, changes.len());
}

fn names(credentials: &Credentials) -> Vec<String> {
    let page = credentials.page(CredentialSet::Server, None, 100);
    page.iter().map(|record| record.key.endpoint.to_string()).collect()
}

#[test]
fn nobody_else_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::open(folder.path()).unwrap();
    make(&mut credentials, &[record("a", b"1", b"sealed")]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_was_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let mut credentials = Credentials::open(folder.path()).unwrap();
    make(&mut credentials, &[record("a", b"1", b"one"), record("b", b"2", b"two")]);
    let two = fs::metadata(&path).unwrap().len();
    make(&mut credentials, &[record("c", b"3", b"three")]);
    let bytes = fs::read(&path).unwrap();
    let head = head().len();
    for end in head..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        let expected: &[&str] = if (end as u64) < two { &[] } else { &["a", "b"] };
        let mut found = Credentials::open(folder.path()).unwrap();
        assert_eq!(names(&found), expected, "cut at {end}");
        // What comes next stands behind whole frames only.
        make(&mut found, &[record("d", b"4", b"four")]);
        assert!(names(&Credentials::open(folder.path()).unwrap()).contains(&"d".to_owned()), "cut at {end}");
    }
}

#[test]
fn damage_before_the_last_frame_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::open(folder.path()).unwrap();
    make(&mut credentials, &[record("a", b"1", b"one")]);
    make(&mut credentials, &[record("b", b"2", b"two")]);
    let bytes = fs::read(folder.path().join(FILE)).unwrap();
    let first = head().len() + 4;
    for at in first..first + SUM_LEN {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        assert_eq!(decode(&bent).unwrap_err(), "a frame is damaged");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << bit;
            let _ = decode(&bent); // must not panic or allocate without bound
        }
    }
    assert!(decode(b"something else").is_err());
    let mut newer = bytes;
    newer[NAME.len()] = VERSION + 1;
    assert!(decode(&newer).unwrap_err().contains("version 2"));
}

#[test]
fn a_file_of_many_changes_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::open(folder.path()).unwrap();
    for number in 0..REWRITE_MIN + 10 {
        make(&mut credentials, &[record("a", b"1", number.to_string().as_bytes())]);
    }
    let len = fs::metadata(folder.path().join(FILE)).unwrap().len();
    assert!(len < 1000, "{len} bytes for one credential");
    make(
        &mut credentials,
        &[Change::Gone(CredentialKey { set: CredentialSet::Server, endpoint: Endpoint::new("a").unwrap() })],
    );
    assert!(names(&Credentials::open(folder.path()).unwrap()).is_empty());
}

#[test]
fn a_frame_that_could_not_be_written_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::open(folder.path()).unwrap();
    // Left behind by a disk that was full, say: nobody was told.
    credentials.frame(&[record("lost", b"9", &[7; 500])]).unwrap().write().unwrap();
    make(&mut credentials, &[record("a", b"1", b"one")]);
    assert_eq!(names(&Credentials::open(folder.path()).unwrap()), ["a"]);
}
