//! Keys and certificates in the place of shared keys, tickets in the place of session IDs.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::secure::{Coaps as _, Device, HOME, config, connect, security, with};
use common::{Known, LIST, World, address, endpoint};
use lightship_coap::Code;
use lightship_dtls::{Cid, Config, Connect, Credential, OwnKey, TicketKey, TicketKeys};
use lightship_platform::Instant;
use lightship_platform::crypto::{Crypto, RustCrypto, Secret, Sha256, SigningKey};
use lightship_server::{
    Alert, Answer, CredentialEnd, Endpoints, Event, HandshakeFailure, Mode, Principal, Registrations,
    SecurityEvent, TicketRotation, Whose,
};
use rcgen::{CertificateParams, KeyPair};

/// A key and a certificate of its own.
fn own_key(name: &str) -> OwnKey {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new([name.to_owned()]).and_then(|params| params.self_signed(&key));
    OwnKey {
        names: Vec::new(),
        key: RustCrypto.signing_key(&key.serialize_der()).expect("a P-256 key").into(),
        chain: vec![certificate.expect("a certificate").der().to_vec()],
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::of(bytes).to_vec()
}

fn connect_with(credential: Credential) -> Connect {
    Connect { credential, server_name: Some("lightship.example".into()), own_cid: Cid::EMPTY, resume: None }
}

fn settings() -> lightship_server::Config {
    let mut security = security();
    security.dtls = Arc::new(Config { keys: vec![own_key("lightship.example")], ..Config::default() });
    lightship_server::Config { security: Some(security), ..config() }
}

fn raw(device: &OwnKey) -> Credential {
    Credential::RawPublicKey { key: device.key.clone() }
}

fn certified(device: &OwnKey) -> Credential {
    Credential::Certificates { key: device.key.clone(), chain: device.chain.clone() }
}

fn known(identity: &[u8], name: &str) -> Known {
    Known { identity: identity.to_vec(), key: Vec::new(), endpoints: Endpoints::One(endpoint(name)) }
}

fn public(key: &Arc<dyn SigningKey>) -> Vec<u8> {
    sha256(key.public_key())
}

// Proves: SEC-02
#[test]
fn devices_come_with_raw_public_keys_and_with_certificates() {
    for mode in [Mode::RawPublicKey, Mode::Certificate] {
        let device = own_key("lamp");
        let (credential, identity) = match mode {
            Mode::RawPublicKey => (raw(&device), public(&device.key)),
            _ => (certified(&device), device.chain[0].clone()),
        };
        let mut world = with(settings(), &[]);
        world.credentials = Some(vec![known(&identity, "lamp")]);
        let mut lamp =
            Device::open(&mut world, address(HOME), Config::default(), connect_with(credential.clone()));
        lamp.register_as(&mut world, "lamp");
        let session =
            world.registration("lamp").and_then(|registration| registration.session).expect("secured");
        assert_eq!(session.party.principal.mode(), mode);
        match &session.party.principal {
            Principal::RawPublicKey(sha256) => assert_eq!(sha256[..], identity),
            Principal::Certificate(certificate) => {
                assert_eq!(certificate.sha256[..], sha256(&device.chain[0]));
                assert_eq!(certificate.common_name.as_deref(), Some("lamp"));
            }
            other => panic!("{other}"),
        }
        let stats = world.shard.stats().security;
        assert_eq!(stats.opened_raw_public_key, u64::from(mode == Mode::RawPublicKey));
        assert_eq!(stats.opened_certificate, u64::from(mode == Mode::Certificate));
        let asked = world.events.iter().find_map(|event| match event {
            Event::Security(SecurityEvent::AskCredential { server_name, .. }) => server_name.clone(),
            _ => None,
        });
        assert_eq!(asked.as_deref(), Some("lightship.example"));
        // SEC-03 for them: another name is refused.
        let register = world.register_packet("ep=pump&lt=300&lwm2m=1.1", LIST);
        assert_eq!(lamp.ask(&mut world, &register), Code::BAD_REQUEST);
        // Resumed, they are who they were.
        let resume = Connect { resume: lamp.resumption(), ..connect_with(credential.clone()) };
        let again = Device::open(&mut world, address("192.0.2.1:77"), Config::default(), resume);
        assert!(again.is_resumed());
        // A key that nobody knows, and the right key after it was taken away.
        let stranger = own_key("lamp");
        let other = if mode == Mode::RawPublicKey { raw(&stranger) } else { certified(&stranger) };
        let whose = Whose::Principal(session.party.principal.clone());
        for (credential, after) in [(other, false), (credential, true)] {
            if after {
                world.credentials = Some(Vec::new());
                let whose = std::slice::from_ref(&whose);
                world.shard.end_sessions(world.now, whose, CredentialEnd::Untrusted, Registrations::Keep);
                world.drain();
            }
            world.take_events();
            let at = address("192.0.2.1:99");
            let mut device = Device::new(world.now, at, Config::default(), connect_with(credential));
            device.run(&mut world);
            assert!(device.failed() && !device.association.is_established());
            assert!(world.events.iter().any(|event| matches!(event,
                Event::Security(SecurityEvent::HandshakeFailed { reason: HandshakeFailure::Refused(reason), .. })
                    if &**reason == "unknown")));
        }
    }
}

// Proves: SEC-06
#[test]
fn a_credential_taken_away_between_the_answer_and_finished_opens_no_session() {
    let mut world = with(config(), &["lamp"]);
    let (lamp, _) = Device::register(&mut world, HOME, Config::default(), "lamp");
    let resume = Connect { resume: lamp.resumption(), ..connect("lamp") };
    let mut device = Device::new(world.now, address("192.0.2.1:7"), Config::default(), resume);
    for _ in 0..2 {
        let hello = device.poll(world.now).expect("a hello, then one with a cookie");
        world.secured(device.address, &hello);
        if world.shard.stats().security.handshakes == 0 {
            for datagram in world.to(device.address) {
                device.take(world.now, &datagram);
            }
        }
    }
    assert_eq!(world.shard.stats().security.handshakes, 1, "answered, and the server has said Finished");
    world.shard.end_sessions(
        world.now,
        &[Whose::Endpoint(endpoint("lamp"))],
        CredentialEnd::Changed,
        Registrations::Keep,
    );
    world.drain();
    world.take_events();
    device.run(&mut world);
    let stats = world.shard.stats().security;
    assert_eq!((stats.handshakes, stats.sessions, stats.resumptions), (0, 0, 0));
    assert!(
        !world
            .events
            .iter()
            .any(|event| { matches!(event, Event::Security(SecurityEvent::SessionOpened { .. })) })
    );
}

#[test]
fn an_answer_counts_once_and_however_late_while_the_handshake_waits() {
    let mut world = with(config(), &["lamp", "saw"]);
    let (mut saw, location) = Device::register(&mut world, "192.0.2.9:5684", Config::default(), "saw");
    world.take_events();
    world.credentials = None;
    let mut device = Device::new(world.now, address(HOME), Config::default(), connect("lamp"));
    device.run(&mut world);
    let ask = world.events.iter().find_map(|event| match event {
        Event::Security(SecurityEvent::AskCredential { ask, .. }) => Some(*ask),
        _ => None,
    });
    let ask = ask.expect("asked");
    world.pass(Duration::from_secs(9));
    // Whoever knows the credentials is slow, and nobody but the one who waits for them notices.
    let update = world.update_packet(&location, "");
    assert_eq!(saw.ask(&mut world, &update), Code::CHANGED);
    world.read_request("saw", "/3/0/1");
    assert_eq!(saw.hear(&mut world).len(), 1);
    assert!(!device.association.is_established());
    let answer = |name| {
        let key = Secret::new(common::secure::KEY);
        let endpoints = Endpoints::One(endpoint(name));
        Answer::Credential(lightship_server::Credential::Psk { key, endpoints })
    };
    for name in ["lamp", "pump"] {
        world.shard.answer(world.now, ask, answer(name));
        world.drain();
    }
    device.run(&mut world);
    assert!(device.association.is_established());
    let speaks_for = |name: &str| {
        let whose = Endpoints::One(endpoint(name));
        world.shard.sessions().filter(|(session, ..)| session.party.endpoints == whose).count()
    };
    assert_eq!(["lamp", "pump", "saw"].map(speaks_for), [1, 0, 1]);
}

fn ticket_keys(name: u8) -> TicketKeys {
    TicketKeys {
        current: TicketKey { name: [name; 8], key: Secret::new(&[name; 16]), since: Instant::ZERO },
        previous: None,
        lifetime: Duration::from_secs(86_400),
    }
}

fn with_tickets(names: &[&str]) -> World {
    let mut security = security();
    security.dtls = Arc::new(Config { ticket_keys: Some(Arc::new(ticket_keys(3))), ..Config::default() });
    security.limits.resumptions = 0;
    with(lightship_server::Config { security: Some(security), ..config() }, names)
}

#[test]
fn a_ticket_resumes_at_any_shard_with_the_keys_and_the_host_is_asked_again() {
    let mut world = with_tickets(&["lamp"]);
    let (lamp, _) = Device::register(&mut world, HOME, Config::default(), "lamp");
    let resumption = lamp.resumption().expect("a ticket");
    assert!(!resumption.ticket.is_empty());
    assert_eq!(world.shard.stats().security.resumptions, 0, "nothing is kept for it");
    let resume = || Connect { resume: Some(resumption.clone()), ..connect("lamp") };
    let mut elsewhere = with_tickets(&["lamp"]);
    let again = Device::open(&mut elsewhere, address(HOME), Config::default(), resume());
    assert!(again.is_resumed());
    // A ticket that came of a ticket is no better than the first, and none outlives its key.
    let second = again.resumption().unwrap_or_else(|| resumption.clone());
    for ticket in [resumption.clone(), second] {
        let mut changed = with_tickets(&["lamp"]);
        changed.credentials.as_mut().expect("answers")[0].key = b"another key".to_vec();
        let resume = Connect { resume: Some(ticket), ..connect("lamp") };
        let mut thief = Device::new(changed.now, address(HOME), Config::default(), resume);
        thief.run(&mut changed);
        assert!(!thief.is_resumed() && !thief.association.is_established());
    }
    let mut without = with_tickets(&["pump"]);
    let mut refused = Device::new(without.now, address(HOME), Config::default(), resume());
    refused.run(&mut without);
    assert!(refused.failed(), "a full handshake follows, and nobody knows the identity");
    assert_eq!(without.shard.stats().security.failed.refused, 1);
    let alert = refused.events.iter().find_map(|event| match event {
        lightship_dtls::Event::Failed(lightship_dtls::Failure::AlertReceived(alert)) => Some(*alert),
        _ => None,
    });
    assert_eq!(alert, Some(Alert::UNKNOWN_PSK_IDENTITY));
}

const DAY: Duration = Duration::from_secs(86_400);

/// A shard whose ticket keys change every day, a little after its clock begins.
fn with_rotation(secret: u8) -> World {
    let mut security = security();
    security.tickets = Some(TicketRotation {
        secret: Secret::new(&[secret; 32]),
        since: Instant::ZERO,
        period: DAY,
        lifetime: DAY,
    });
    security.limits.resumptions = 0;
    with(lightship_server::Config { security: Some(security), ..config() }, &["lamp"])
}

fn is_resumed(world: &mut World, resumption: &lightship_dtls::Resumption) -> bool {
    let resume = Connect { resume: Some(resumption.clone()), ..connect("lamp") };
    Device::open(world, address(HOME), Config::default(), resume).is_resumed()
}

#[test]
fn keys_of_tickets_change_daily_alike_in_all_shards_and_those_of_before_open_what_is_young_enough() {
    let [mut first, mut second, mut late] = [7, 7, 7].map(with_rotation);
    let mut other = with_rotation(8);
    let (lamp, _) = Device::register(&mut first, HOME, Config::default(), "lamp");
    let young = lamp.resumption().expect("a ticket");
    first.pass(DAY / 2);
    let lamp = Device::open(&mut first, address(HOME), Config::default(), connect("lamp"));
    let old = lamp.resumption().expect("a ticket");
    assert_eq!(young.ticket[..8], old.ticket[..8], "the name of the key");
    // The next day: the key before still opens what is not older than a day.
    for world in [&mut first, &mut second, &mut other] {
        world.pass(DAY * 5 / 4 - world.now.saturating_duration_since(Instant::ZERO));
    }
    let lamp = Device::open(&mut first, address(HOME), Config::default(), connect("lamp"));
    let new = lamp.resumption().expect("a ticket");
    assert_ne!(new.ticket[..8], old.ticket[..8], "the key has changed");
    for world in [&mut first, &mut second] {
        assert!(is_resumed(world, &old) && is_resumed(world, &new));
        assert!(!is_resumed(world, &young), "given more than a day ago");
    }
    assert!(!is_resumed(&mut other, &old) && !is_resumed(&mut other, &new), "keys of another server");
    // A shard that nobody spoke to for two days is in step, too, and the first key is gone.
    for world in [&mut first, &mut late] {
        world.pass(DAY * 17 / 8 - world.now.saturating_duration_since(Instant::ZERO));
        assert!(is_resumed(world, &new) && !is_resumed(world, &old));
    }
}
