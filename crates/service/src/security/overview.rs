//! Overview: how sessions are secured here.

use std::time::Duration;

use lightship_api::{CertificateFacts, SecurityOverview, ServerIdentity, ServerRole};
use lightship_dtls::{KeyExchange, Suite};

use super::encoded::der_of_pem;
use super::meaning;
use super::setup::certificate_facts;
use crate::core::Core;

/// What anybody may know who may use the API.
pub(crate) async fn overview(core: &Core) -> SecurityOverview {
    let security = &core.config.security;
    let (mut sessions, mut handshakes, mut handshake_bytes) = (0, 0, 0);
    for inbox in &core.inboxes {
        if let Ok(Ok(stats)) = tokio::time::timeout(PATIENCE, inbox.stats()).await {
            sessions += stats.engine.security.sessions;
            handshakes += stats.engine.security.handshakes;
            handshake_bytes += stats.engine.security.handshake_bytes;
        }
    }
    if let Some(inbox) = &core.bootstrap.inbox
        && let Ok(Ok((engine, _))) = tokio::time::timeout(PATIENCE, inbox.stats()).await
    {
        sessions += engine.security.sessions;
        handshakes += engine.security.handshakes;
        handshake_bytes += engine.security.handshake_bytes;
    }
    let has_key = core.gate.identities.iter().any(|one| one.server == ServerRole::Lwm2m);
    // Who has no key cannot sign.
    let usable = |suite: &&Suite| has_key || suite.key_exchange() != KeyExchange::EcdheEcdsa;
    let trusted = core.gate.trusted();
    SecurityOverview {
        allow_nosec: security.allow_nosec,
        cipher_suites: security.suites.iter().filter(usable).map(|suite| suite.name().to_owned()).collect(),
        cid: security.cid,
        rrc: security.rrc,
        key_log: security.key_log_file.is_some(),
        endpoint_rules: security.endpoint_rules.iter().map(ToString::to_string).collect(),
        identities: core.gate.identities.iter().map(|own| identity(core, own)).collect(),
        trust: { trusted.iter() }
            .map(|der| CertificateFacts {
                meaning: meaning::of_certificate(core, der).map(Box::new),
                ..certificate_facts(der)
            })
            .collect(),
        sessions,
        handshakes,
        handshake_bytes,
    }
}

/// With the meaning of its certificate, which changes with the day.
fn identity(core: &Core, own: &ServerIdentity) -> ServerIdentity {
    let mut own = own.clone();
    if let Some(certificate) = &mut own.certificate {
        let der = der_of_pem(&certificate.pem);
        certificate.meaning = der.and_then(|der| meaning::of_certificate(core, &der)).map(Box::new);
    }
    own
}

const PATIENCE: Duration = Duration::from_secs(1);
