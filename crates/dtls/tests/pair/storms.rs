//! Every suite, credential, way of resumption and form of connection ID, in all weathers and through every size of datagram.

use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::{
    CertificateType, Cid, Connect, Credential, KeyExchange, Resumption, Suite, TicketKey, TicketKeys,
};
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;
use proptest::prelude::*;
use proptest::sample::select;

use crate::harness::{IDENTITY, KEY, Pair, Sessions, Side, Weather, config, judge, own_key};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resume {
    Not,
    BySessionId,
    ByTicket,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cids {
    /// The client does not know them.
    Unknown,
    /// The server does not know them.
    Refused,
    ServerOnly,
    ClientOnly,
    Both,
    Neither,
}

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) suite: Suite,
    pub(crate) certificates: bool,
    /// How often its certificate stands in a chain.
    pub(crate) chain_len: usize,
    pub(crate) client_authentication: bool,
    pub(crate) resume: Resume,
    pub(crate) cids: Cids,
    pub(crate) client_datagram: usize,
    pub(crate) server_datagram: usize,
    pub(crate) record_size_limit: Option<u16>,
    pub(crate) max_fragment_len: Option<u16>,
    pub(crate) is_lazy: bool,
    pub(crate) weather: Weather,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let weather = (any::<u64>(), 0..60_u32, 0..40_u32, 0..40_u32, 0..6_u32).prop_map(
        |(seed, troubled, loss, duplicate, reorder)| Weather { seed, troubled, loss, duplicate, reorder },
    );
    let kind = (select(Suite::ALL.to_vec()), any::<bool>(), any::<bool>());
    let resume = select(RESUMES.to_vec());
    let cids = select(CIDS.to_vec());
    let sizes = (200..1400_usize, 200..1400_usize);
    let limits = (prop::option::of(64..2000_u16), prop::option::of(select(vec![512_u16, 1024, 2048, 4096])));
    (kind, resume, cids, sizes, limits, any::<bool>(), weather).prop_map(
        |(kind, resume, cids, sizes, limits, is_lazy, weather)| Scene {
            suite: kind.0,
            certificates: kind.1,
            chain_len: 1,
            client_authentication: kind.2,
            resume,
            cids,
            client_datagram: sizes.0,
            server_datagram: sizes.1,
            record_size_limit: limits.0,
            max_fragment_len: limits.1,
            is_lazy,
            weather,
        },
    )
}

/// A session of this scene, begun anew or by resumption.
fn play(scene: &Scene, sessions: &Sessions, resume: Option<Resumption>, weather: &Weather) -> Pair {
    let mut client_config = config(scene.suite);
    client_config.datagram_len_max = scene.client_datagram;
    client_config.record_size_limit = scene.record_size_limit;
    client_config.max_fragment_len = scene.max_fragment_len;
    client_config.connection_id = scene.cids != Cids::Unknown;
    let mut server_config = config(scene.suite);
    server_config.datagram_len_max = scene.server_datagram;
    server_config.connection_id = scene.cids != Cids::Refused;
    server_config.client_authentication = scene.client_authentication;
    let mut own = own_key("lightship.example");
    own.chain = vec![own.chain.concat(); scene.chain_len];
    server_config.keys = vec![own_key("other.example"), own];
    if scene.resume == Resume::ByTicket {
        server_config.ticket_keys = Some(Arc::new(TicketKeys {
            current: TicketKey { name: *b"the name", key: Secret::new(&[7; 16]), since: Instant::ZERO },
            previous: None,
            lifetime: Duration::from_secs(86_400),
        }));
    }
    let device = own_key("device");
    let credential = match (scene.suite.key_exchange(), scene.certificates) {
        (KeyExchange::EcdheEcdsa, true) => {
            Credential::Certificates { key: device.key, chain: vec![device.chain.concat(); scene.chain_len] }
        }
        (KeyExchange::EcdheEcdsa, false) => Credential::RawPublicKey { key: device.key },
        _ => Credential::Psk { identity: IDENTITY.into(), key: Secret::new(KEY) },
    };
    let mut pair = Pair::new(
        Side::new(client_config, scene.weather.seed, judge(sessions)),
        Side::new(server_config, !scene.weather.seed, judge(sessions)),
    );
    pair.is_lazy = scene.is_lazy;
    pair.session_id = b"the session's ID".to_vec();
    if matches!(scene.cids, Cids::ServerOnly | Cids::Both | Cids::Unknown | Cids::Refused) {
        pair.server_cid = Cid::new(&[1, 2, 3, 4, 5, 6]).unwrap();
    }
    let own_cid = match scene.cids {
        Cids::ClientOnly | Cids::Both | Cids::Refused => Cid::new(&[9; 4]).unwrap(),
        _ => Cid::EMPTY,
    };
    pair.connect(Connect { credential, server_name: Some("lightship.example".into()), own_cid, resume });
    pair.run_through(weather);
    pair
}

fn check(scene: &Scene, pair: &mut Pair, is_resumed: bool) {
    assert!(pair.client.is_established(), "{:?}", pair.client.events);
    assert!(pair.server.is_established(), "{:?}", pair.server.events);
    let (client, server) = (pair.client.facts().unwrap(), pair.server.facts().unwrap());
    for facts in [client, server] {
        assert_eq!(facts.suite, scene.suite);
        assert_eq!(facts.resumed, is_resumed);
        assert!(facts.extended_master_secret);
        assert_eq!(facts.own_cid.is_some(), !matches!(scene.cids, Cids::Unknown | Cids::Refused));
    }
    assert_eq!((client.own_cid, client.peer_cid), (server.peer_cid, server.own_cid));
    assert_eq!(client.return_routability, server.return_routability);
    let with_keys = scene.suite.key_exchange() == KeyExchange::EcdheEcdsa && !is_resumed;
    let kind = if scene.certificates { CertificateType::X509 } else { CertificateType::RawPublicKey };
    assert_eq!(client.peer_certificate_type, with_keys.then_some(kind));
    assert_eq!(server.peer_certificate_type, (with_keys && scene.client_authentication).then_some(kind));
    let is_noted = scene.suite.key_exchange() != KeyExchange::EcdheEcdsa || scene.client_authentication;
    assert_eq!(*server.note, *if is_noted || is_resumed { &b"note"[..] } else { &[] });
    // A client is asked about keys and certificates only; what it said stays with the session.
    let is_asked = scene.suite.key_exchange() == KeyExchange::EcdheEcdsa;
    assert_eq!(*client.note, *if is_asked { &b"note"[..] } else { &[] });
    pair.assert_talks();
    // Nothing of the handshake is left when both sides have spoken.
    assert_eq!(pair.client.association.as_ref().unwrap().poll_timeout(), None);
    assert_eq!(pair.server.association.as_ref().unwrap().poll_timeout(), None);
}

pub(crate) const RESUMES: [Resume; 3] = [Resume::Not, Resume::BySessionId, Resume::ByTicket];
pub(crate) const CIDS: [Cids; 6] =
    [Cids::Unknown, Cids::Refused, Cids::ServerOnly, Cids::ClientOnly, Cids::Both, Cids::Neither];

/// Plays a scene and, if it says so, the session's resumption; gives the pair of the full handshake.
pub(crate) fn play_all(scene: &Scene) -> Pair {
    let sessions = Sessions::default();
    let mut pair = play(scene, &sessions, None, &scene.weather);
    check(scene, &mut pair, false);
    let resumption = pair.client.resumption().cloned().unwrap();
    match scene.resume {
        Resume::Not => return pair,
        Resume::BySessionId => {
            let kept = pair.server.resumption().cloned().unwrap();
            assert_eq!(kept.session_id, resumption.session_id);
            sessions.borrow_mut().insert(kept.session_id.clone(), kept);
        }
        Resume::ByTicket => assert!(!resumption.ticket.is_empty()),
    }
    let weather = Weather { seed: scene.weather.seed ^ 0x5555, ..scene.weather.clone() };
    let mut resumed = play(scene, &sessions, Some(resumption), &weather);
    check(scene, &mut resumed, true);
    pair
}

/// A scene of a quiet day.
pub(crate) fn plain(suite: Suite) -> Scene {
    Scene {
        suite,
        certificates: true,
        chain_len: 1,
        client_authentication: true,
        resume: Resume::Not,
        cids: Cids::ServerOnly,
        client_datagram: 1200,
        server_datagram: 1200,
        record_size_limit: None,
        max_fragment_len: None,
        is_lazy: false,
        weather: crate::harness::CALM,
    }
}

// Proves: DTL-01, DTL-13, DTL-14, DTL-15
#[test]
fn every_suite_goes_with_every_credential_resumption_and_connection_id_in_bad_weather() {
    let mut seed = 0;
    for suite in Suite::ALL {
        let with_keys = suite.key_exchange() == KeyExchange::EcdheEcdsa;
        for certificates in if with_keys { &[false, true][..] } else { &[false] } {
            for resume in RESUMES {
                for cids in CIDS {
                    seed += 1;
                    let weather = Weather { seed, troubled: 25, loss: 20, duplicate: 20, reorder: 3 };
                    let scene = Scene { certificates: *certificates, resume, cids, weather, ..plain(suite) };
                    play_all(&scene);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // Proves: DTL-01, DTL-13, DTL-14, DTL-15
    #[test]
    fn every_session_opens_in_every_weather(scene in scenes()) {
        play_all(&scene);
    }
}
