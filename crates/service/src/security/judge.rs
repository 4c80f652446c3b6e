//! Judge: is what a peer presents known, and for which endpoint may it speak?

use lightship_dtls::Alert;
use lightship_dtls::certificate::{self, Names};
use lightship_lwm2m::Endpoint;
use lightship_platform::crypto::{Secret, Sha256};
use lightship_server::{Certificate, Credential, Endpoints, Presented, Principal};
use lightship_store::CredentialSet;

use super::credential::Proof;
use super::encoded::{hex, readable};
use super::keeper::{KeepError, Kept};
use crate::config::{Field, Rule};
use crate::core::Core;

/// The answer to a question of an engine.
pub(super) async fn judge(core: &Core, set: CredentialSet, presented: &Presented) -> Credential {
    let judged = match presented {
        Presented::PskIdentity(identity) => {
            by_identity(core, set, identity).await.map(|(key, endpoints)| Credential::Psk { key, endpoints })
        }
        Presented::RawPublicKey { sha256, .. } => {
            by_public_key(core, set, sha256).await.map(|endpoints| Credential::RawPublicKey { endpoints })
        }
        Presented::Certificates(chain) => by_certificates(core, set, chain).await,
        Presented::Resumed(principal) => resumed(core, set, principal, true).await,
        _ => Err(Refused::new(Alert::ACCESS_DENIED, "this kind of credential is not known")),
    };
    judged
        .unwrap_or_else(|refused| Credential::Refused { alert: refused.alert, reason: refused.reason.into() })
}

/// No, and why.
struct Refused {
    alert: Alert,
    reason: String,
}

impl Refused {
    fn new(alert: Alert, reason: impl Into<String>) -> Refused {
        Refused { alert, reason: reason.into() }
    }
}

impl From<KeepError> for Refused {
    fn from(error: KeepError) -> Refused {
        tracing::error!(%error, "a credential cannot be looked up");
        Refused::new(Alert::INTERNAL_ERROR, "the store of credentials does not answer")
    }
}

async fn by_identity(
    core: &Core,
    set: CredentialSet,
    identity: &[u8],
) -> Result<(Secret, Endpoints), Refused> {
    let unknown = |more: &str| {
        let text = format!("unknown PSK identity '{}'{more}", shown(identity));
        Refused::new(Alert::UNKNOWN_PSK_IDENTITY, text)
    };
    match core.keeper.presented(&core.store, set, &tagged(b'P', identity)).await? {
        Some(Kept { endpoint, proof: Proof::Psk { key, .. }, .. }) => {
            Ok((key, psk_endpoints(core, set, identity, endpoint).await?))
        }
        Some(_) | None => Err(unknown(elsewhere(core, set, &tagged(b'P', identity)).await)),
    }
}

async fn by_public_key(core: &Core, set: CredentialSet, sha256: &[u8; 32]) -> Result<Endpoints, Refused> {
    match core.keeper.presented(&core.store, set, &tagged(b'K', sha256)).await? {
        Some(Kept { endpoint, proof: Proof::RawPublicKey { .. }, .. }) => Ok(endpoints(core, endpoint)),
        Some(_) | None => {
            let more = elsewhere(core, set, &tagged(b'K', sha256)).await;
            let text = format!("unknown raw public key {}{more}", hex(sha256));
            Err(Refused::new(Alert::CERTIFICATE_UNKNOWN, text))
        }
    }
}

/// A hint for people who have put a credential into the wrong set.
async fn elsewhere(core: &Core, set: CredentialSet, principal: &[u8]) -> &'static str {
    let (other, hint) = match set {
        CredentialSet::Server => (CredentialSet::Bootstrap, " (the Bootstrap-Server knows it)"),
        CredentialSet::Bootstrap => (CredentialSet::Server, " (the LwM2M Server knows it)"),
    };
    let found = core.keeper.presented(&core.store, other, principal).await;
    if matches!(found, Ok(Some(_))) { hint } else { "" }
}

async fn by_certificates(
    core: &Core,
    set: CredentialSet,
    chain: &[Box<[u8]>],
) -> Result<Credential, Refused> {
    let untrusted = |refusal: certificate::Refusal| Refused::new(refusal.alert(), refusal.to_string());
    let own = chain.first().ok_or_else(|| untrusted(certificate::Refusal::NoCertificate))?;
    let sha256 = Sha256::of(own);
    let pinned = core.keeper.presented(&core.store, set, &tagged(b'C', &sha256)).await?;
    let credential = match pinned {
        Some(kept) => {
            certificate::public_key(own).map_err(untrusted)?;
            credential_of(&certificate::names(own).map_err(untrusted)?, endpoints(core, kept.endpoint))
        }
        None => {
            let trust = core.gate.trust(set);
            if trust.anchors.is_empty() {
                let text = "certificates are not known one by one here, and no authority is trusted";
                return Err(Refused::new(Alert::UNKNOWN_CA, text));
            }
            let (date, judged) = (core.clock.date(), &core.gate.judged);
            let verdict = trust.judge(&*core.crypto, chain, date, judged).map_err(untrusted)?;
            let endpoints = by_subject(core, set, &Subject::of(&verdict.names)).await?;
            core.gate.is_checked(set, sha256, verdict.until);
            credential_of(&verdict.names, endpoints)
        }
    };
    core.gate.remember(sha256, chain);
    Ok(credential)
}

fn credential_of(names: &Names, endpoints: Endpoints) -> Credential {
    Credential::Certificate {
        common_name: names.common_name.as_deref().map(Into::into),
        names: names.dns.iter().chain(&names.uris).map(|name| name.as_str().into()).collect(),
        endpoints,
    }
}

/// Whether somebody who was accepted before the restart still would be; what was checked of a certificate is taken as it was.
pub(super) async fn again(core: &Core, principal: &Principal) -> Result<(), (Alert, String)> {
    let judged = resumed(core, CredentialSet::Server, principal, false).await;
    judged.map(|_| ()).map_err(|refused| (refused.alert, refused.reason))
}

/// `anew`: a session begins, so that the path of a certificate must have been checked since the process began.
async fn resumed(
    core: &Core,
    set: CredentialSet,
    principal: &Principal,
    anew: bool,
) -> Result<Credential, Refused> {
    let endpoints = match principal {
        // With the key of today: a ticket does not outlive the key that it was given under.
        Principal::Psk(identity) => {
            let (key, endpoints) = by_identity(core, set, identity).await?;
            return Ok(Credential::Psk { key, endpoints });
        }
        Principal::RawPublicKey(sha256) => by_public_key(core, set, sha256).await,
        Principal::Certificate(kept) => {
            let pinned = core.keeper.presented(&core.store, set, &tagged(b'C', &kept.sha256)).await?;
            match pinned {
                Some(kept) => Ok(endpoints(core, kept.endpoint)),
                None if anew && !core.gate.may_resume(set, kept.sha256, core.clock.date()) => {
                    let text = "its certificate has to be shown again";
                    Err(Refused::new(Alert::ACCESS_DENIED, text))
                }
                None => by_subject(core, set, &Subject::of_principal(kept)).await,
            }
        }
        _ => Err(Refused::new(Alert::ACCESS_DENIED, "this kind of credential is not known")),
    };
    endpoints.map(|endpoints| Credential::Resumed { endpoints })
}

/// The endpoint that a trusted certificate stands for.
async fn by_subject(core: &Core, set: CredentialSet, subject: &Subject<'_>) -> Result<Endpoints, Refused> {
    for name in subject.all() {
        if let Some(kept) = core.keeper.presented(&core.store, set, &tagged(b'N', name.as_bytes())).await? {
            return Ok(endpoints(core, kept.endpoint));
        }
    }
    let mut wrong = None;
    for name in subject.endpoints(&core.config.security.endpoint_rules) {
        match core.keeper.find(&core.store, set, &name).await?.map(|kept| kept.proof) {
            Some(Proof::EndpointNamed) => return Ok(endpoints(core, name)),
            None if core.config.security.accept_trusted => return Ok(endpoints(core, name)),
            None => {
                wrong = wrong.or(Some(format!("there is no credential for '{}'", readable(name.as_bytes()))))
            }
            Some(_) => {
                wrong = Some(format!(
                    "'{}' has another credential than a trusted certificate with its name",
                    readable(name.as_bytes())
                ));
            }
        }
    }
    let reason = wrong.unwrap_or_else(|| "the certificate names no endpoint".to_owned());
    Err(Refused::new(Alert::ACCESS_DENIED, reason))
}

/// What a certificate says of its owner.
pub(super) struct Subject<'a> {
    common_name: Option<&'a str>,
    dns: Vec<&'a str>,
    uris: Vec<&'a str>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(names: &'a Names) -> Subject<'a> {
        Subject {
            common_name: names.common_name.as_deref(),
            dns: names.dns.iter().map(String::as_str).collect(),
            uris: names.uris.iter().map(String::as_str).collect(),
        }
    }

    /// No host name has a colon, and every URI has one.
    pub(super) fn of_principal(kept: &'a Certificate) -> Subject<'a> {
        let names = || kept.names.iter().map(|name| &**name);
        Subject {
            common_name: kept.common_name.as_deref(),
            dns: names().filter(|name| !name.contains(':')).collect(),
            uris: names().filter(|name| name.contains(':')).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a str> {
        self.common_name.into_iter().chain(self.dns.clone()).chain(self.uris.clone())
    }

    /// The endpoints that the rules find, in their order.
    pub(super) fn endpoints(&self, rules: &[Rule]) -> Vec<Endpoint> {
        let mut found: Vec<Endpoint> = Vec::new();
        for rule in rules {
            let Rule::Of { field, before, behind } = rule else { continue };
            let values: Vec<&str> = match field {
                Field::Identity => Vec::new(),
                Field::CommonName => self.common_name.into_iter().collect(),
                Field::DnsName => self.dns.clone(),
                Field::Uri => self.uris.clone(),
            };
            let names =
                values.iter().filter_map(|value| Endpoint::new(&format!("{before}{value}{behind}")).ok());
            for name in names.collect::<Vec<_>>() {
                if found.len() < NAMES_MAX && !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        found
    }

    /// Every name, for people.
    pub(super) fn names(&self) -> Vec<String> {
        self.all().map(|name| shown(name.as_bytes())).collect()
    }

    /// For people.
    pub(super) fn shown(&self) -> Option<String> {
        let name = self.all().next();
        name.map(|name| shown(name.as_bytes()))
    }
}

/// The endpoint of a PSK identity: the one that the credential is kept under, unless a rule makes another of it.
async fn psk_endpoints(
    core: &Core,
    set: CredentialSet,
    identity: &[u8],
    own: Endpoint,
) -> Result<Endpoints, Refused> {
    let rules = &core.config.security.endpoint_rules;
    let pattern = rules.iter().find_map(|rule| match rule {
        Rule::Of { field: Field::Identity, before, behind } => Some((before, behind)),
        Rule::Of { .. } | Rule::Any => None,
    });
    let Some((before, behind)) = pattern else { return Ok(endpoints(core, own)) };
    let text = std::str::from_utf8(identity).ok();
    let name =
        text.and_then(|text| Endpoint::new(&format!("{before}{text}{behind}")).ok()).ok_or_else(|| {
            let text = format!("PSK identity '{}' makes no endpoint name by the rules", shown(identity));
            Refused::new(Alert::ACCESS_DENIED, text)
        })?;
    // Nobody takes by a rule what another has by a credential of its own.
    if name != own && core.keeper.find(&core.store, set, &name).await?.is_some() {
        let text = format!("'{}' has a credential of its own", shown(name.as_bytes()));
        return Err(Refused::new(Alert::ACCESS_DENIED, text));
    }
    Ok(endpoints(core, name))
}

fn endpoints(core: &Core, own: Endpoint) -> Endpoints {
    if core.config.security.endpoint_rules.contains(&Rule::Any) {
        Endpoints::Any
    } else {
        Endpoints::One(own)
    }
}

/// What a stranger says, short enough for a line.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = readable(bytes);
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX).chain(['…']).collect()
}

/// As [`Proof::principal`] tags it.
pub(super) fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

/// The device of a principal in the words of a claim, if a credential says so; for the history.
pub(super) async fn owner(core: &Core, set: CredentialSet, principal: &[u8]) -> Option<Endpoint> {
    core.keeper.presented(&core.store, set, principal).await.ok()?.map(|kept| kept.endpoint)
}

/// Names of a certificate that are tried as endpoints.
const NAMES_MAX: usize = 16;
const SHOWN_CHARS_MAX: usize = 160;
