//! After the handshake: new addresses, the check of the way back, hand-over, and what it all takes.

use lightship_dtls::{Alert, Association, Cid, Config, Event, Host, Path, Record, Suite, Wear};

use crate::harness::{self, From, Pair, Sessions, Side, judge, psk_connect};

fn config() -> Config {
    harness::config(Suite::PskAes128Ccm8)
}

/// A pair after its handshake. The server gives a connection ID.
fn established(config: &Config) -> Pair {
    let sessions = Sessions::default();
    let [client, server] = [1, 2].map(|seed| Side::new(config.clone(), seed, judge(&sessions)));
    let mut pair = Pair::new(client, server);
    pair.server_cid = Cid::new(b"locate").unwrap();
    pair.connect(psk_connect());
    pair.run();
    pair.assert_talks();
    pair.server.events.clear();
    pair.log.clear();
    pair
}

fn without_check() -> Config {
    Config { return_routability: false, ..config() }
}

fn enhanced() -> Config {
    Config { return_routability_enhanced: true, ..config() }
}

/// Gives what waits on the wire to the server as if it came by `path`; tells what its records were and what it sends where.
fn to_server(pair: &mut Pair, path: Path) -> (Vec<Record>, Vec<(Path, Vec<u8>)>) {
    let mut records = Vec::new();
    while let Some((from, mut datagram)) = pair.wire.pop_front() {
        assert_eq!(from, From::Client);
        let side = &mut pair.server;
        let mut host = Host { now: pair.now, crypto: pair.crypto, rng: &mut side.rng, config: &side.config };
        let association = side.association.as_mut().unwrap();
        let mut at = 0;
        while let Some(record) = association.handle_record(&mut host, path, &mut datagram, &mut at) {
            records.push(record);
        }
    }
    (records, from_server(pair))
}

fn from_server(pair: &mut Pair) -> Vec<(Path, Vec<u8>)> {
    let side = &mut pair.server;
    let mut host = Host { now: pair.now, crypto: pair.crypto, rng: &mut side.rng, config: &side.config };
    let association = side.association.as_mut().unwrap();
    let mut sent = Vec::new();
    let mut out = [0; 2048];
    while let Some(transmit) = association.poll_transmit(&mut host, &mut out) {
        sent.push((transmit.path, out[..transmit.len].to_vec()));
    }
    side.events.extend(std::iter::from_fn(|| association.poll_event()));
    sent
}

fn let_pass(pair: &mut Pair) -> Vec<(Path, Vec<u8>)> {
    let side = &mut pair.server;
    let association = side.association.as_mut().unwrap();
    pair.now = association.poll_timeout().expect("something to wait for");
    let mut host = Host { now: pair.now, crypto: pair.crypto, rng: &mut side.rng, config: &side.config };
    association.handle_timeout(&mut host);
    from_server(pair)
}

fn has_moved(pair: &Pair) -> bool {
    pair.server.events.iter().any(|event| matches!(event, Event::Moved))
}

/// Delivers to the client what the server sent; the client's answers then wait on the wire.
fn to_client(pair: &mut Pair, sent: Vec<(Path, Vec<u8>)>) {
    for (_, datagram) in sent {
        pair.deliver(From::Server, datagram);
    }
}

// Proves: DTL-15, DTL-16
#[test]
fn without_the_check_the_newest_record_moves_its_peer_at_once_and_late_ones_do_not() {
    let mut pair = established(&without_check());
    pair.send(From::Client, b"late");
    let late = pair.wire.pop_front().unwrap();
    pair.send(From::Client, b"newest");
    let (records, _) = to_server(&mut pair, Path::New);
    assert!(matches!(records[..], [Record::Data { newest: true, .. }]));
    assert!(has_moved(&pair));
    pair.server.events.clear();
    pair.wire.push_back(late);
    let (records, _) = to_server(&mut pair, Path::New);
    assert!(matches!(records[..], [Record::Data { newest: false, .. }]));
    assert!(!has_moved(&pair));
}

// Proves: DTL-11, DTL-16
#[test]
fn a_replayed_or_forged_record_moves_nobody() {
    for config in [config(), without_check()] {
        let mut pair = established(&config);
        pair.send(From::Client, b"once");
        let once = pair.wire[0].clone();
        to_server(&mut pair, Path::Current);
        let mut forged = once.clone();
        forged.1[10] += 1;
        for bad in [once, forged] {
            pair.wire.push_back(bad);
            let (records, sent) = to_server(&mut pair, Path::New);
            assert!(matches!(records[..], [Record::Dropped(_)]), "{records:?}");
            assert!(sent.is_empty() && !has_moved(&pair));
        }
    }
}

// Proves: DTL-16
#[test]
fn a_peer_has_moved_when_it_answers_at_its_new_address() {
    let mut pair = established(&config());
    pair.send(From::Client, b"from elsewhere");
    let (records, sent) = to_server(&mut pair, Path::New);
    assert!(matches!(records[..], [Record::Data { newest: true, .. }]), "data is taken meanwhile");
    assert!(!has_moved(&pair));
    assert!(matches!(sent[..], [(Path::New, _)]), "a challenge to the new address: {sent:?}");
    to_client(&mut pair, sent);
    let (_, sent) = to_server(&mut pair, Path::New);
    assert!(has_moved(&pair));
    assert!(sent.is_empty());
    assert_eq!(pair.server.association.as_ref().unwrap().poll_timeout(), None);
}

// Proves: DTL-16
#[test]
fn who_only_says_to_be_elsewhere_is_not_believed() {
    let mut pair = established(&config());
    pair.send(From::Client, b"with a forged sender");
    let (_, first) = to_server(&mut pair, Path::New);
    assert_eq!(first.len(), 1);
    let mut challenges = 1;
    while pair.server.association.as_ref().unwrap().poll_timeout().is_some() {
        challenges += let_pass(&mut pair).len();
    }
    assert_eq!(challenges, 3);
    assert!(!has_moved(&pair));
    // An answer that comes too late changes nothing, nor does one by the old address.
    to_client(&mut pair, first);
    to_server(&mut pair, Path::Current);
    assert!(!has_moved(&pair));
}

#[test]
fn a_peer_that_speaks_from_its_old_address_stays_there() {
    let mut pair = established(&config());
    pair.send(From::Client, b"forwarded by somebody");
    let (_, challenge) = to_server(&mut pair, Path::New);
    pair.send(From::Client, b"the next, by the usual way");
    to_server(&mut pair, Path::Current);
    assert_eq!(pair.server.association.as_ref().unwrap().poll_timeout(), None, "the check is given up");
    to_client(&mut pair, challenge);
    // The answer is the newest record and comes by the new path: it begins a check, but does not end one.
    let (_, sent) = to_server(&mut pair, Path::New);
    assert!(!has_moved(&pair));
    assert_eq!(sent.len(), 1);
}

#[test]
fn the_enhanced_check_asks_the_old_address_first() {
    // Alive: nobody moves.
    let mut pair = established(&enhanced());
    pair.send(From::Client, b"forwarded by somebody");
    let (_, sent) = to_server(&mut pair, Path::New);
    assert!(matches!(sent[..], [(Path::Current, _)]));
    to_client(&mut pair, sent);
    let (_, sent) = to_server(&mut pair, Path::Current);
    assert!(sent.is_empty() && !has_moved(&pair));
    // Dead: the new one is asked.
    let mut pair = established(&enhanced());
    pair.send(From::Client, b"from elsewhere");
    to_server(&mut pair, Path::New);
    let sent = let_pass(&mut pair);
    assert!(matches!(sent[..], [(Path::New, _)]));
    to_client(&mut pair, sent);
    to_server(&mut pair, Path::New);
    assert!(has_moved(&pair));
}

#[test]
fn a_thawed_association_goes_on_and_a_closed_one_does_not_freeze() {
    let mut pair = established(&config());
    let frozen = pair.server.association.take().unwrap().freeze().expect("it is established");
    pair.server.association = Some(Association::thaw(&frozen).expect("what was frozen"));
    pair.assert_talks();
    assert_eq!(pair.server.association.as_ref().unwrap().wear(&config()), Wear::Fresh);
    // In the middle of a check, too: it begins anew.
    pair.send(From::Client, b"from elsewhere");
    to_server(&mut pair, Path::New);
    let frozen = pair.server.association.take().unwrap().freeze().unwrap();
    pair.server.association = Some(Association::thaw(&frozen).unwrap());
    pair.send(From::Client, b"again");
    let (_, sent) = to_server(&mut pair, Path::New);
    to_client(&mut pair, sent);
    to_server(&mut pair, Path::New);
    assert!(has_moved(&pair));
    assert!(Association::thaw(&frozen[1..]).is_none());
    let side = &mut pair.client;
    let mut host = Host { now: pair.now, crypto: pair.crypto, rng: &mut side.rng, config: &side.config };
    let mut client = side.association.take().unwrap();
    client.close(&mut host);
    assert!(client.freeze().is_none());
}

/// 256 bytes a session is what a host has for all of it: the rest of it keeps the address, the party and the way to resume.
#[test]
fn an_idle_association_takes_120_bytes_and_nothing_besides() {
    assert!(size_of::<Association>() <= 120, "{}", size_of::<Association>());
    let mut pair = established(&config());
    // The heap that it keeps is behind one pointer, which its debug form shows.
    for check in [false, true] {
        if check {
            pair.send(From::Client, b"from elsewhere");
            let (_, sent) = to_server(&mut pair, Path::New);
            to_client(&mut pair, sent);
            to_server(&mut pair, Path::New);
        }
        let shown = format!("{:?}", pair.server.association);
        assert!(shown.contains("aside: None"), "{shown}");
        assert!(shown.contains("Short"), "the connection IDs lie inside: {shown}");
    }
}

// Proves: SEC-08
#[test]
fn an_association_prints_no_key() {
    let mut pair = established(&config());
    let shown = format!("{:?}", pair.server.association);
    let frozen = pair.server.association.take().unwrap().freeze().unwrap();
    let keys = &frozen[frozen.len() - 40..];
    for four in keys.windows(4) {
        let decimal = format!("{}, {}, {}, {}", four[0], four[1], four[2], four[3]);
        let hex: String = four.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&decimal) && !shown.contains(&hex), "{shown}");
    }
}

#[test]
fn nothing_is_sealed_after_the_end() {
    let mut pair = established(&config());
    let side = &mut pair.client;
    let mut host = Host { now: pair.now, crypto: pair.crypto, rng: &mut side.rng, config: &side.config };
    side.association.as_mut().unwrap().close(&mut host);
    pair.poll(From::Client);
    pair.run();
    assert!(pair.server.events.iter().any(|event| matches!(event, Event::Closed(Alert::CLOSE_NOTIFY))));
    assert!(!pair.server.is_established());
}
