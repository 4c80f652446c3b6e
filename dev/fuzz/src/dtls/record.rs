//! Records at an established association: whatever comes, only what the peer sealed is handed up, each once.

use super::{DATAGRAM_LEN_MAX, Side, connect, settings};
use crate::script::Script;
use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Association, Cid, Path, Record};
use lightship_platform::Instant;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

type Frozen = (Vec<u8>, Vec<u8>);

/// Associations after their handshakes, by suite and connection IDs: shaking hands for each input would take the time of twenty.
static FROZEN: LazyLock<Mutex<HashMap<(u8, u8), Frozen>>> = LazyLock::new(Mutex::default);

const CIDS: [(&[u8], &[u8]); 4] =
    [(b"", b""), (b"server", b""), (b"server", b"dev"), (b"a very long one here", b"and another of them")];

/// A client and a server that trust each other.
fn pair(suite: u8, cids: u8) -> (Side, Side) {
    let (client_config, server_config, credential) = settings(suite, if cids == 0 { 8 } else { 6 });
    let (mut client, mut server) = (Side::new(client_config, 1), Side::new(server_config, 2));
    let mut all = FROZEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (frozen_client, frozen_server) = all.entry((suite, cids)).or_insert_with(|| {
        let (server_cid, client_cid) = CIDS[usize::from(cids)];
        let cid = |bytes| Cid::new(bytes).expect("short enough");
        let now = Instant::from_secs(10);
        let mut cookies = Cookies::new(now, &mut server.rng);
        connect(&mut client, now, credential, cid(client_cid), None);
        for _ in 0..10 {
            for datagram in client.drain(now, true) {
                if server.association.is_none() {
                    let mut out = [0; 256];
                    let mut host = Side::host(now, &mut server.rng, &server.config);
                    match cookies.judge(&mut host, b"from", &datagram, &mut out) {
                        Verdict::Proven(hello) => {
                            let made = Association::accept(&mut host, hello, cid(server_cid), &[]);
                            server.association = Some(made);
                        }
                        Verdict::Answer(len) => drop(client.receive(now, Path::Current, &mut out[..len])),
                        other => panic!("{other:?}"),
                    }
                } else {
                    server.receive(now, Path::Current, &mut datagram.clone());
                }
            }
            for mut datagram in server.drain(now, true) {
                client.receive(now, Path::Current, &mut datagram);
            }
        }
        let freeze = |side: &mut Side| {
            let association = side.association.take().expect("it was made");
            association.freeze().expect("the handshake is done")
        };
        (freeze(&mut client), freeze(&mut server))
    });
    client.association = Association::thaw(frozen_client);
    server.association = Association::thaw(frozen_server);
    (client, server)
}

/// Two bytes choose suite, connection IDs and the order of CBC; then come steps.
pub(crate) fn records(data: &[u8]) {
    let mut script = Script(data);
    let suite = script.byte().unwrap_or(0) % 12;
    let more = script.byte().unwrap_or(0);
    let (mut client, mut server) = pair(suite, more & 3);
    if more & 4 != 0 {
        thawed(&mut client, &mut server, &mut script);
    }
    let mut now = Instant::from_secs(20);
    let mut genuine: Vec<(Vec<u8>, Vec<u8>, bool)> = Vec::new();
    while let Some(step) = script.byte() {
        let path = if step & 0x80 != 0 { Path::New } else { Path::Current };
        match step & 7 {
            // Something genuine is made.
            0 | 1 if genuine.len() < 64 => {
                let content = vec![step; usize::from(script.byte().unwrap_or(0))];
                if let Some(record) = client.seal(now, &content) {
                    genuine.push((record, content, false));
                }
            }
            // It arrives, perhaps again, perhaps with other bytes.
            2 => {
                let at = usize::from(script.byte().unwrap_or(0));
                let Some(record) = genuine.get_mut(at) else { continue };
                let records = server.receive(now, path, &mut record.0.clone());
                if let [Record::Data { .. }] = records[..] {
                    assert!(!record.2, "a record is handed up once");
                    assert_eq!(server.received.last(), Some(&record.1), "as it was sealed");
                    record.2 = true;
                }
            }
            3 | 4 => forge(&mut server, now, path, &genuine, step & 7 == 3, &mut script),
            5 => {
                let mut datagram = script.piece().unwrap_or_default().to_vec();
                datagram.truncate(DATAGRAM_LEN_MAX);
                let before = server.received.len();
                server.receive(now, path, &mut datagram);
                assert_eq!(server.received.len(), before, "what nobody sealed is not handed up");
            }
            6 => {
                now += core::time::Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 50);
                let mut host = Side::host(now, &mut server.rng, &server.config);
                if let Some(association) = &mut server.association {
                    association.handle_timeout(&mut host);
                    assert!(association.poll_timeout().is_none_or(|at| at > now), "time has passed");
                }
            }
            // What the server says reaches the client, and the other way round.
            _ => {
                for mut datagram in server.drain(now, true) {
                    client.receive(now, Path::Current, &mut datagram);
                }
                for mut datagram in client.drain(now, true) {
                    server.receive(now, path, &mut datagram);
                }
            }
        }
    }
    server.drain(now, true);
    // Nothing of all this has ended or confused the association.
    let (up, down) = (client.seal(now, b"still there"), server.seal(now, b"still here"));
    server.receive(now, Path::Current, &mut up.expect("the keys are good"));
    client.receive(now, Path::Current, &mut down.expect("the keys are good"));
    assert_eq!(server.received.last().map(Vec::as_slice), Some(&b"still there"[..]));
    assert_eq!(client.received.last().map(Vec::as_slice), Some(&b"still here"[..]));
}

/// A genuine record arrives with one byte changed, or cut.
fn forge(
    server: &mut Side,
    now: Instant,
    path: Path,
    genuine: &[(Vec<u8>, Vec<u8>, bool)],
    changes: bool,
    script: &mut Script<'_>,
) {
    let at = usize::from(script.byte().unwrap_or(0));
    let place = usize::from(script.byte().unwrap_or(0));
    let flip = script.byte().unwrap_or(0);
    let Some((record, _, _)) = genuine.get(at) else { return };
    let mut forged = record.clone();
    let len = forged.len();
    if changes {
        forged[place % len] ^= flip.max(1);
    } else {
        forged.truncate(place % len);
    }
    let before = server.received.len();
    server.receive(now, path, &mut forged);
    assert_eq!(server.received.len(), before, "what was changed is not handed up");
}

/// Both sides go through a hand-over; and a hand-over of other bytes is harmless.
fn thawed(client: &mut Side, server: &mut Side, script: &mut Script<'_>) {
    let place = usize::from(script.byte().unwrap_or(0));
    let flip = script.byte().unwrap_or(0);
    for side in [client, server] {
        let Some(mut frozen) = side.association.take().and_then(Association::freeze) else { return };
        side.association = Association::thaw(&frozen);
        // With MAC-then-encrypt, which two of ours never agree upon.
        if frozen[1] == 4 {
            let mut other = frozen.clone();
            other[1] = 3;
            side.association = Association::thaw(&other);
        }
        let len = frozen.len();
        frozen[place % len] ^= flip;
        frozen.truncate(len - usize::from(flip & 1) * (place % len));
        if let Some(mut wrong) = Association::thaw(&frozen) {
            let mut datagram = vec![25; 100];
            let mut host = Side::host(Instant::from_secs(20), &mut side.rng, &side.config);
            wrong.handle_record(&mut host, Path::Current, &mut datagram, &mut 0);
            let mut buffer = [0; 256];
            let _worn_or_narrow = wrong.seal(&mut host, &mut buffer, 5);
        }
    }
}
