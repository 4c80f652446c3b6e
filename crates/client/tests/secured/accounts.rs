//! What `/0` says of handshakes, what servers are taken for, and what follows when they fail.

use core::time::Duration;

use crate::world::{IDENTITY, Server, World, own_key, psk_account};
use lightship_client::crypto::{Aead, Agreement, Crypto, CryptoError, Digest, Group, SigningKey};
use lightship_client::dtls::certificate::{Anchors, Refusal};
use lightship_client::dtls::{self, Alert, KeyExchange, Suite};
use lightship_client::{
    Account, Array, Config, Event, Failure, Keys, Phase, ResourceInstanceId, Secret, SecurityFailure,
    SecurityMode, ServerFault, SessionEnd, Text,
};
use lightship_coap::Code;
use lightship_platform::UnixTime;
use lightship_platform::crypto::RustCrypto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

fn numbers(all: &[u16]) -> Option<Array<u16, 4>> {
    let mut array = Array::new();
    for (number, id) in all.iter().zip(0..) {
        array.insert(ResourceInstanceId::new(id).expect("legal"), *number).expect("room");
    }
    Some(array)
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes).expect("short")
}

fn key(number: u8) -> Box<dyn SigningKey> {
    RustCrypto.signing_key(&[number; 32]).expect("a key")
}

/// An account with the device's key 1 for a server with that key.
fn rpk_account(server: u8) -> Account {
    let mut account = psk_account(1);
    account.security.mode = SecurityMode::RawPublicKey;
    account.security.key = secret(&[1; 32]);
    account.security.identity = secret(key(1).public_key());
    account.security.server_key = secret(key(server).public_key());
    account
}

/// A world whose server has the key 2.
fn rpk_world(account: Account) -> World {
    let mut world = World::with(Config::new(IDENTITY), vec![account]);
    world.server().config.keys = vec![own_key(key(2), Vec::new())];
    world
}

fn reason(world: &mut World) -> Option<SecurityFailure> {
    let mut reasons = world.events.drain(..).filter_map(|event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason),
        _ => None,
    });
    reasons.next()
}

/// Why there is no session with the server of this account.
fn refused(mut world: World) -> SecurityFailure {
    world.client.register(world.now, world.id);
    world.run();
    assert!(world.server().told.is_empty() && world.client.session(world.id).is_none());
    reason(&mut world).expect("a reason")
}

/// The body of the last ClientHello that the server got: suites, and extensions by number.
fn hello(server: &Server) -> (Vec<u16>, Vec<(u16, Vec<u8>)>) {
    let hello = server.datagrams.iter().rev().find(|datagram| datagram[0] == 22 && datagram[13] == 1);
    let mut rest = &hello.expect("a ClientHello")[13 + 12 + 2 + 32..];
    let mut take = |wide: bool| {
        let (len, head) =
            if wide { (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 2) } else { (rest[0].into(), 1) };
        let (field, tail) = rest[head..].split_at(len);
        rest = tail;
        field.to_vec()
    };
    let _session_id = take(false);
    let _cookie = take(false);
    let suites = take(true);
    let _compression = take(false);
    let extensions = take(true);
    let number = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
    let suites = suites.chunks(2).map(number).filter(|suite| *suite != 0x00ff).collect();
    let mut found = Vec::new();
    let mut rest = &extensions[..];
    while !rest.is_empty() {
        let len = usize::from(number(&rest[2..]));
        found.push((number(rest), rest[4..4 + len].to_vec()));
        rest = &rest[4 + len..];
    }
    (suites, found)
}

fn extension(server: &Server, number: u16) -> Option<Vec<u8>> {
    hello(server).1.into_iter().find(|(found, _)| *found == number).map(|(_, body)| body)
}

// Proves: DTL-02
#[test]
fn a_pre_shared_key_offers_the_mandatory_suite_and_none_with_cbc() {
    let mut world = World::registered();
    let (suites, _) = hello(world.server());
    assert!(suites.contains(&0xc0a8), "{suites:04x?}");
    for suite in suites {
        let suite = Suite::from_number(suite).expect("known");
        assert!(suite.aead().is_some() && suite.key_exchange() != KeyExchange::EcdheEcdsa, "{suite:?}");
    }
}

// Proves: DTL-08, DTL-19
#[test]
fn exactly_the_suites_and_groups_of_the_account_are_offered() {
    let mut account = psk_account(1);
    account.security.ciphersuites = numbers(&[0xd003, 0xc0a4]);
    account.security.tls.groups = numbers(&[0x1d]);
    let mut world = World::with(Config::new(IDENTITY), vec![account]);
    world.register();
    assert_eq!(hello(world.server()).0, [0xd003, 0xc0a4]);
    assert_eq!(extension(world.server(), 10), Some(vec![0, 2, 0, 0x1d]));
    // A suite with CBC is offered where the account says so, and only there.
    let mut account = psk_account(1);
    account.security.ciphersuites = numbers(&[0x00ae]);
    let mut world = World::with(Config::new(IDENTITY), vec![account]);
    world.server().config.suites = vec![Suite::PskAes128Cbc];
    world.register();
    assert_eq!(hello(world.server()).0, [0x00ae]);
    assert_eq!(world.client.session(world.id).map(|session| session.suite), Some(Suite::PskAes128Cbc));
}

// Proves: DTL-07, DTL-19
#[test]
fn extensions_are_used_as_the_account_says() {
    const SERVER_NAME: u16 = 0;
    const MAX_FRAGMENT_LENGTH: u16 = 1;
    const RECORD_SIZE_LIMIT: u16 = 28;
    const CONNECTION_ID: u16 = 54;
    let offered = |change: &dyn Fn(&mut Account)| {
        let mut account = psk_account(1);
        change(&mut account);
        let mut world = World::with(Config::new(IDENTITY), vec![account]);
        let config = &mut world.client.secure_transport_mut().expect("there").config;
        (config.max_fragment_len, config.record_size_limit) = (Some(1024), Some(1100));
        world.register();
        let all: Vec<u16> = hello(world.server()).1.iter().map(|(number, _)| *number).collect();
        [SERVER_NAME, MAX_FRAGMENT_LENGTH, RECORD_SIZE_LIMIT, CONNECTION_ID].map(|one| all.contains(&one))
    };
    assert_eq!(offered(&|_| {}), [true; 4]);
    assert_eq!(offered(&|account| account.security.tls.extensions = Some(0)), [false; 4]);
    let one = |bit: u32| move |account: &mut Account| account.security.tls.extensions = Some(1 << bit);
    assert_eq!(offered(&one(0)), [true, false, false, false]);
    assert_eq!(offered(&one(1)), [false, true, false, false]);
    assert_eq!(offered(&one(7)), [false, false, true, false]);
    assert_eq!(offered(&one(12)), [false, false, false, true]);
    assert_eq!(
        offered(&|account| account.security.tls.server_extensions = Some(1)),
        [true, false, false, false]
    );
    // Never an address.
    assert_eq!(offered(&|account| account.uri = Text::new("coaps://192.0.2.1")), [false, true, true, true]);
    assert!(!offered(&|account| account.uri = Text::new("coaps://[2001:db8::1]:99"))[0]);
}

// Proves: DTL-07
#[test]
fn the_server_name_is_the_host_unless_the_account_has_another() {
    let name = |change: &dyn Fn(&mut Account)| {
        let mut account = psk_account(1);
        change(&mut account);
        let mut world = World::with(Config::new(IDENTITY), vec![account]);
        world.register();
        world.server().facts().server_name.clone()
    };
    assert_eq!(name(&|_| {}).as_deref(), Some("server.example"));
    let other = |account: &mut Account| account.security.server_name = Some(Text::new("Other.example"));
    assert_eq!(name(&other).as_deref(), Some("other.example"));
}

// Proves: DTL-03
#[test]
fn long_identities_and_keys_work_and_each_byte_counts() {
    let account = |identity: &[u8], key: &[u8]| {
        let mut account = psk_account(1);
        account.security.identity = secret(identity);
        account.security.key = secret(key);
        account
    };
    let (identity, key) = ([0xff; 128], [0x5a; 64]);
    let world = |identity: &[u8], key: &[u8]| {
        let mut world = World::with(Config::new(IDENTITY), vec![account(identity, key)]);
        world.server().keys = vec![([0xff; 128].into(), [0x5a; 64].into())];
        world
    };
    world(&identity, &key).register();
    let mut other = identity;
    other[127] = 0xfe;
    let alert = |failure| match failure {
        SecurityFailure::Handshake(dtls::Failure::AlertReceived(alert)) => alert,
        other => panic!("{other:?}"),
    };
    assert_eq!(alert(refused(world(&other, &key))), Alert::UNKNOWN_PSK_IDENTITY);
    let mut other = key;
    other[63] = 0x5b;
    let mut world = world(&identity, &other);
    world.client.register(world.now, world.id);
    world.seconds(130);
    assert!(world.client.session(world.id).is_none() && world.server().told.is_empty());
    assert_eq!(
        refused(World::with(Config::new(IDENTITY), vec![account(b"x", &[1; 65])])),
        SecurityFailure::Key
    );
    assert_eq!(refused(World::with(Config::new(IDENTITY), vec![account(b"x", &[])])), SecurityFailure::Key);
}

#[test]
fn raw_public_keys_are_compared_as_they_are_or_by_their_digest() {
    let mut world = rpk_world(rpk_account(2));
    world.register();
    assert_eq!(
        world.client.session(world.id).map(|session| session.suite.key_exchange()),
        Some(KeyExchange::EcdheEcdsa)
    );
    let digests = [(1, Digest::Sha256, 32), (2, Digest::Sha384, 48), (3, Digest::Sha512, 64)];
    for (kind, digest, len) in digests {
        let by_digest = |server: u8| {
            let mut account = rpk_account(2);
            account.security.matching_type = Some(kind);
            account.security.server_key =
                secret(&RustCrypto.digest(digest, key(server).public_key()).unwrap()[..len]);
            account
        };
        rpk_world(by_digest(2)).register();
        assert_eq!(refused(rpk_world(by_digest(3))), SecurityFailure::Server(ServerFault::PublicKey));
    }
    let wrong = SecurityFailure::Server(ServerFault::PublicKey);
    assert_eq!(refused(rpk_world(rpk_account(3))), wrong);
    let mut nothing = rpk_account(2);
    nothing.security.server_key = Secret::default();
    assert_eq!(refused(rpk_world(nothing)), wrong, "nothing stands for nobody");
    let mut unknown = rpk_account(2);
    unknown.security.matching_type = Some(4);
    assert_eq!(refused(rpk_world(unknown)), wrong);
}

/// An authority, the device's certificate, and the server's.
struct Papers {
    root: Vec<u8>,
    device: (Vec<u8>, Vec<u8>),
    server: (Vec<u8>, Vec<u8>),
}

impl Papers {
    fn new(server_name: &str) -> Papers {
        let named = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).expect("parameters");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let root_key = KeyPair::generate().expect("a key");
        let mut params = named("Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&root_key).expect("a certificate");
        let issuer = Issuer::from_params(&params, &root_key);
        let signed = |mut params: CertificateParams| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2030, 1, 1);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            (certificate.der().to_vec(), key.serialize_der())
        };
        let mut server = CertificateParams::new(vec![server_name.to_owned()]).expect("parameters");
        server.distinguished_name.push(DnType::CommonName, server_name);
        Papers { root: root.der().to_vec(), device: signed(named(IDENTITY)), server: signed(server) }
    }

    fn account(&self, usage: Option<u8>, given: &[u8]) -> Account {
        let mut account = psk_account(1);
        account.security.mode = SecurityMode::Certificate;
        account.security.identity = secret(&self.device.0);
        account.security.key = secret(&self.device.1);
        account.security.certificate_usage = usage;
        account.security.server_key = secret(given);
        account
    }

    fn world(&self, account: Account) -> World {
        let mut world = World::with(Config::new(IDENTITY), vec![account]);
        let key = RustCrypto.signing_key(&self.server.1).expect("a key");
        world.server().config.keys = vec![own_key(key, vec![self.server.0.clone()])];
        world
    }
}

fn trust(world: &mut World, root: &[u8]) {
    let transport = world.client.secure_transport_mut().expect("there");
    transport.trust = Anchors::new([root]).expect("a certificate");
}

// Proves: DTL-06
#[test]
fn certificates_are_judged_by_usage_and_matching_type() {
    let papers = Papers::new("server.example");
    let (root, leaf) = (&papers.root[..], &papers.server.0[..]);
    let hash = RustCrypto.digest(Digest::Sha256, leaf).unwrap();
    // Usage, whether the root is in the device's store, what is given, matching type, and whether that will do.
    for (usage, stored, given, matching, fits) in [
        (Some(0), true, root, 0, true),
        (Some(0), false, root, 0, false),
        (Some(0), true, leaf, 0, false),
        (Some(1), true, leaf, 0, true),
        (Some(1), false, leaf, 0, false),
        (Some(1), true, root, 0, false),
        (Some(2), false, root, 0, true),
        (Some(2), true, leaf, 0, false),
        (Some(3), false, leaf, 0, true),
        (Some(3), true, root, 0, false),
        (None, false, leaf, 0, true),
        (None, false, &hash[..32], 1, true),
        (None, false, &hash[..32], 0, false),
        (Some(4), true, leaf, 0, false),
    ] {
        let mut account = papers.account(usage, given);
        account.security.matching_type = Some(matching).filter(|matching| *matching > 0);
        let mut world = papers.world(account);
        if stored {
            trust(&mut world, root);
        }
        if fits {
            world.register();
        } else {
            assert_eq!(
                refused(world),
                SecurityFailure::Server(ServerFault::Certificate),
                "{usage:?} {stored} {matching}"
            );
        }
    }
}

// Proves: DTL-06
#[test]
fn the_name_in_the_certificate_is_the_one_of_the_account_unless_the_certificate_itself_is_known() {
    let papers = Papers::new("other.example");
    let mut world = papers.world(papers.account(Some(2), &papers.root));
    world.client.register(world.now, world.id);
    world.run();
    assert!(matches!(world.client.refusal(world.id), Some(Refusal::Name { .. })));
    let mut account = papers.account(Some(2), &papers.root);
    account.security.server_name = Some(Text::new("other.example"));
    papers.world(account).register();
    papers.world(papers.account(Some(3), &papers.server.0)).register();
}

// Proves: SEC-10
#[test]
fn dates_count_only_for_a_device_that_knows_the_date() {
    let papers = Papers::new("server.example");
    let dated = |date: Option<i64>| {
        let mut world = papers.world(papers.account(Some(2), &papers.root));
        if let Some(date) = date {
            world.client.set_date(world.now, UnixTime::from_secs(date));
        }
        world
    };
    dated(None).register();
    dated(Some(1_767_225_600)).register();
    for wrong in [1_500_000_000, 2_000_000_000] {
        let mut world = dated(Some(wrong));
        world.client.register(world.now, world.id);
        world.run();
        let refusal = world.client.refusal(world.id).expect("refused");
        assert!(matches!(refusal, Refusal::Expired { .. } | Refusal::NotYetValid { .. }), "{refusal}");
        assert_eq!(world.client.account(world.id).and_then(|account| account.tls_alert), Some(45));
    }
}

#[test]
fn a_server_of_another_kind_is_refused() {
    let papers = Papers::new("server.example");
    // The device wants a raw public key, and the server has nothing else than its certificate: they agree on the key in it.
    let mut world = papers.world(rpk_account(2));
    world.client.register(world.now, world.id);
    world.run();
    assert_eq!(reason(&mut world), Some(SecurityFailure::Server(ServerFault::PublicKey)));
}

#[test]
fn keys_can_stay_with_the_host() {
    struct Element;
    impl Keys for Element {
        fn credential(&self, account: &Account) -> Option<dtls::Credential> {
            assert!(account.security.key.is_empty());
            Some(dtls::Credential::RawPublicKey { key: key(1).into() })
        }
    }
    let mut account = rpk_account(2);
    account.security.key = Secret::default();
    let mut world = rpk_world(account);
    world.client.secure_transport_mut().expect("there").keys = Some(Box::new(Element));
    world.register();
}

#[test]
fn accounts_that_contradict_themselves_come_to_nothing_and_say_why() {
    let changed = |change: &dyn Fn(&mut Account)| {
        let mut account = psk_account(1);
        change(&mut account);
        World::with(Config::new(IDENTITY), vec![account])
    };
    for (change, expected) in [
        (
            &(|account: &mut Account| account.uri = Text::new("coap://server.example"))
                as &dyn Fn(&mut Account),
            SecurityFailure::Scheme,
        ),
        (&|account| account.security.mode = SecurityMode::NoSec, SecurityFailure::Scheme),
        (&|account| account.security.mode = SecurityMode::Est, SecurityFailure::Mode(SecurityMode::Est)),
        (&|account| account.security.mode = SecurityMode::RawPublicKey, SecurityFailure::Key),
        (&|account| account.security.mode = SecurityMode::Certificate, SecurityFailure::Certificate),
        (&|account| account.security.ciphersuites = numbers(&[0xc0ae, 1]), SecurityFailure::NoSuite),
        (
            &|account| {
                *account = rpk_account(2);
                account.security.identity = secret(key(2).public_key());
            },
            SecurityFailure::KeyPair,
        ),
        (
            &|account| {
                *account = rpk_account(2);
                account.security.tls.signatures = numbers(&[0x0804]);
            },
            SecurityFailure::NoSignatureAlgorithm,
        ),
        (
            &|account| {
                account.security.ciphersuites = numbers(&[0xd003]);
                account.security.tls.groups = numbers(&[0x18]);
            },
            SecurityFailure::NoSuite,
        ),
    ] {
        let mut world = changed(change);
        world.client.register(world.now, world.id);
        world.run();
        assert!(world.server().datagrams.is_empty(), "{expected}: not a byte");
        assert!(world.events.contains(&Event::GaveUp(world.id)), "{expected}");
        assert_eq!(reason(&mut world), Some(expected));
    }
}

#[test]
fn without_a_library_nothing_secured_is_tried() {
    let mut rng = lightship_platform::SeededRng::from_number(1);
    let objects = (
        lightship_client::Single::new(lightship_client::objects::Device::new("Lightship", "bench", "1.0")),
        lightship_client::Multiple::new(),
    );
    let mut client = crate::world::TestClient::new(Config::new(IDENTITY), objects, &mut rng);
    let id = client.add_account(psk_account(1)).expect("room");
    client.register(lightship_platform::Instant::from_secs(1), id);
    assert_eq!(client.poll_transmit(&mut [0; 1280]), None);
    let reason = SecurityFailure::NoLibrary;
    assert_eq!(client.poll_event(), Some(Event::HandshakeFailed { account: id, reason }));
}

/// A world with a Bootstrap-Server as well, at which nothing has happened.
fn with_bootstrap_server(account: Account) -> World {
    let mut bootstrap = Account::bootstrap("coaps://bs.example");
    let instance = bootstrap.security.instance;
    bootstrap.security = psk_account(1).security;
    (bootstrap.security.instance, bootstrap.security.bootstrap) = (instance, true);
    World::with(Config::new(IDENTITY), vec![account, bootstrap])
}

// Proves: DTL-09
#[test]
fn an_alert_about_credentials_leads_to_bootstrap_and_a_passing_one_to_another_attempt() {
    // 115: trying again is of no use.
    let mut world = with_bootstrap_server(psk_account(1));
    world.servers[0].keys.clear();
    world.client.register(world.now, world.id);
    world.run();
    assert!(world.events.contains(&Event::GaveUp(world.id)), "{:?}", world.events);
    assert!(world.events.contains(&Event::BootstrapStarted), "{:?}", world.events);
    assert_eq!(world.client.account(world.id).and_then(|account| account.tls_alert), Some(115));
    assert_eq!(world.servers[1].told[0].path, "bs");
    // 40, for nothing in common: perhaps later.
    let mut world = with_bootstrap_server(psk_account(1));
    world.servers[0].config.suites = vec![Suite::EcdheEcdsaAes128Ccm8];
    world.client.register(world.now, world.id);
    world.run();
    let retries = |event: &Event| matches!(event, Event::Failed { reason: Failure::NotSecured, retry_in, .. } if *retry_in < Duration::from_secs(70));
    assert!(world.events.iter().any(retries), "{:?}", world.events);
    assert!(!world.events.contains(&Event::BootstrapStarted));
    assert_eq!(world.client.account(world.id).and_then(|account| account.tls_alert), Some(40));
    world.servers[0].config.suites = vec![Suite::PskAes128Ccm8];
    world.until_told();
    world.accept_register();
}

// Proves: SEC-06
#[test]
fn new_credentials_end_the_session_and_begin_another() {
    let mut world = World::registered();
    let mut security = world.client.account(world.id).expect("there").security.clone();
    security.key = secret(b"another key");
    world.server().keys = vec![(IDENTITY.into(), b"another key".to_vec())];
    world.client.set_security(world.now, world.id, security);
    world.run();
    assert!(world.events.contains(&Event::SessionEnded { account: world.id, reason: SessionEnd::Replaced }));
    world.update_and_answer(Code::CHANGED);
    let session = *world.client.session(world.id).expect("another");
    assert!(!session.resumed, "what the old key began is over");
    assert!(matches!(world.client.phase(world.id), Phase::Registered { .. }));
}

#[test]
fn a_library_without_curves_gcm_and_cbc_leaves_pre_shared_keys_and_ccm() {
    /// A library that knows no curve, no GCM and no CBC.
    struct Small;
    impl Crypto for Small {
        fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
            RustCrypto.hmac_sha256(key, parts)
        }
        fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError> {
            RustCrypto.digest(digest, bytes)
        }
        fn has_aead(&self, aead: Aead) -> bool {
            matches!(aead, Aead::Aes128Ccm8 | Aead::Aes128Ccm)
        }
        fn has_cbc(&self) -> bool {
            false
        }
        fn seal(
            &self,
            aead: Aead,
            key: &[u8],
            nonce: &[u8; 12],
            aad: &[u8],
            buffer: &mut [u8],
        ) -> Result<[u8; 16], CryptoError> {
            RustCrypto.seal(aead, key, nonce, aad, buffer)
        }
        fn open(
            &self,
            aead: Aead,
            key: &[u8],
            nonce: &[u8; 12],
            aad: &[u8],
            buffer: &mut [u8],
            tag: &[u8],
        ) -> Result<(), CryptoError> {
            RustCrypto.open(aead, key, nonce, aad, buffer, tag)
        }
        fn cbc_encrypt(&self, _: &[u8], _: &[u8; 16], _: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError)
        }
        fn cbc_decrypt(&self, _: &[u8], _: &[u8; 16], _: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError)
        }
        fn has_group(&self, _: Group) -> bool {
            false
        }
        fn agreement(
            &self,
            _: Group,
            _: &mut dyn lightship_platform::Rng,
        ) -> Result<Box<dyn Agreement>, CryptoError> {
            Err(CryptoError)
        }
        fn verify_ecdsa(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
            Err(CryptoError)
        }
        fn signing_key(&self, _: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
            Err(CryptoError)
        }
    }
    let mut world = World::new();
    let transport = world.client.secure_transport_mut().expect("there");
    transport.crypto = Box::new(Small);
    transport.config.suites = Suite::ALL.to_vec();
    world.register();
    let suites = hello(world.server()).0;
    assert_eq!(suites, [Suite::PskAes128Ccm8.number(), Suite::PskAes128Ccm.number()], "{suites:04x?}");
}
