//! What a ClientHello offers and what of it we take; kept while the host is asked, when the message itself is gone.

use lightship_platform::crypto::Group;

use super::agreed_cids;
use crate::handshake::{Abort, Terms, read_size_limit};
use crate::message::{ClientHello, Extension, Extensions, Reader, exchange};
use crate::{Alert, CertificateType, Cid, Config, Fault, Host, KeyExchange, OwnKey, Suite};

/// The suite number that stands for an empty `renegotiation_info` (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// What of a ClientHello we take.
pub(super) struct Offer {
    /// What a new session would use, or why there can be none.
    pub(super) full: Result<Choice, Abort>,
    /// The offered suites that we know: bit by position in [`Suite::ALL`].
    suites: u16,
    /// What does not depend on the suite; its suite means nothing.
    pub(super) terms: Terms,
    encrypt_then_mac: bool,
    peer_cid: Option<Cid>,
    pub(super) renegotiation_info: bool,
    pub(super) point_formats: bool,
    pub(super) names_client_type: bool,
    pub(super) names_server_type: bool,
    /// Our limit of records, if the client told its own.
    pub(super) own_limit: Option<u16>,
    pub(super) fragment_code: Option<u8>,
}

/// What a new session uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) suite: Suite,
    pub(super) group: Option<Group>,
    /// Which of our keys signs.
    pub(super) key: Option<usize>,
    /// Whether that key was chosen by the server's name.
    pub(super) is_named: bool,
    pub(super) server_type: CertificateType,
    /// What the client shall present; `None` for nothing.
    pub(super) client_type: Option<CertificateType>,
}

impl Offer {
    pub(super) fn read(host: &Host<'_>, hello: &ClientHello<'_>) -> Result<Self, Abort> {
        let config = host.config;
        let extensions = &hello.extensions;
        // Versions count downwards; a higher one than ours is answered with ours.
        match hello.start.version {
            [0xfe, minor] if minor <= 0xfd => {}
            _ => return Err(Abort::OLD_VERSION),
        }
        if !hello.start.compression.contains(&0) {
            return Err(Abort::ILLEGAL);
        }
        let info = extensions.body(Extension::RenegotiationInfo);
        if info.is_some_and(|body| body != [0]) {
            return Err(Abort::NOTHING_IN_COMMON);
        }
        let has_scsv = hello.start.suite_numbers().any(|number| number == RENEGOTIATION_SCSV);
        let mut terms = Terms::new(Suite::PskAes128Ccm8);
        terms.extended_master_secret = extensions.has(Extension::ExtendedMasterSecret);
        if config.require_extended_master_secret && !terms.extended_master_secret {
            return Err(Abort::NO_EXTENDED_MASTER_SECRET);
        }
        let peer_cid = read_cid(config, extensions)?;
        terms.return_routability =
            peer_cid.is_some() && config.return_routability && extensions.has(Extension::ReturnRoutability);
        terms.ticket = config.ticket_keys.is_some() && extensions.has(Extension::SessionTicket);
        let mut own_limit = None;
        let mut fragment_code = None;
        if let Some(body) = extensions.body(Extension::RecordSizeLimit) {
            terms.peer_limit = Some(read_size_limit(body)?);
            own_limit = Some(config.record_size_limit.unwrap_or(1 << 14));
            terms.own_limit = own_limit;
        } else if let Some(body) = extensions.body(Extension::MaxFragmentLength) {
            let (&code, _) = body.split_first().filter(|(_, rest)| rest.is_empty()).ok_or(Abort::DECODE)?;
            let len = 256_u16.checked_shl(code.into()).filter(|_| (1..=4).contains(&code));
            terms.peer_limit = Some(len.ok_or(Abort::ILLEGAL)?);
            terms.own_limit = len;
            terms.limits_all = true;
            fragment_code = Some(code);
        }
        let suites = hello
            .start
            .suite_numbers()
            .filter_map(position)
            .fold(0, |suites, position| suites | 1_u16 << position);
        let suites = suites
            & config
                .suites
                .iter()
                .filter(|suite| suite.is_known_to(host.crypto))
                .filter_map(|suite| position(suite.number()))
                .fold(0, |all, at| all | 1 << at);
        Ok(Self {
            full: choose(host, extensions, suites)?,
            suites,
            terms,
            encrypt_then_mac: extensions.has(Extension::EncryptThenMac),
            peer_cid,
            renegotiation_info: info.is_some() || has_scsv,
            point_formats: extensions.has(Extension::PointFormats),
            names_client_type: extensions.has(Extension::ClientCertificateType),
            names_server_type: extensions.has(Extension::ServerCertificateType),
            own_limit,
            fragment_code,
        })
    }

    /// Whether the client offers a suite that we accept.
    pub(super) fn has_suite(&self, suite: Suite) -> bool {
        position(suite.number()).is_some_and(|position| self.suites & 1 << position != 0)
    }

    /// The terms with this suite.
    pub(super) fn terms(&self, suite: Suite, own_cid: Cid) -> Terms {
        Terms {
            suite,
            encrypt_then_mac: self.encrypt_then_mac && suite.aead().is_none(),
            cids: agreed_cids(own_cid, self.peer_cid),
            ..self.terms.clone()
        }
    }
}

fn position(number: u16) -> Option<usize> {
    Suite::ALL.into_iter().position(|suite| suite.number() == number)
}

/// The connection ID that the client wants to see, if it and we use them; who wants one that is too long does without.
fn read_cid(config: &Config, extensions: &Extensions<'_>) -> Result<Option<Cid>, Abort> {
    let Some(body) = extensions.body(Extension::ConnectionId) else { return Ok(None) };
    let mut reader = Reader::new(body);
    let cid = reader.part8().filter(|_| reader.end().is_some()).ok_or(Abort::DECODE)?;
    Ok(Cid::new(cid).filter(|_| config.connection_id))
}

/// Chooses the first suite in our order for which everything else can be agreed upon too. The outer error is a malformed hello.
fn choose(host: &Host<'_>, extensions: &Extensions<'_>, suites: u16) -> Result<Result<Choice, Abort>, Abort> {
    let group = choose_group(host, extensions)?;
    let certificate = choose_certificate(host.config, extensions)?;
    let names_types =
        extensions.has(Extension::ServerCertificateType) || extensions.has(Extension::ClientCertificateType);
    let mut failure = Abort::NOTHING_IN_COMMON;
    for &suite in &host.config.suites {
        if position(suite.number()).is_none_or(|position| suites & 1 << position == 0) {
            continue;
        }
        let plain = Choice {
            suite,
            group: None,
            key: None,
            is_named: false,
            server_type: CertificateType::X509,
            client_type: None,
        };
        match (suite.key_exchange(), group, &certificate) {
            (KeyExchange::Psk, ..) => return Ok(Ok(plain)),
            (KeyExchange::EcdhePsk, Some(group), _) => return Ok(Ok(Choice { group: Some(group), ..plain })),
            (KeyExchange::EcdheEcdsa, Some(group), Some(certificate)) => {
                return Ok(Ok(Choice { suite, group: Some(group), ..*certificate }));
            }
            (KeyExchange::EcdheEcdsa, Some(_), None) => {
                let fault = if host.config.keys.is_empty() { Fault::NoKey } else { Fault::NothingInCommon };
                // RFC 7250 §4.2.
                failure = Abort(if names_types { Alert::UNSUPPORTED_CERTIFICATE } else { failure.0 }, fault);
            }
            (KeyExchange::EcdhePsk | KeyExchange::EcdheEcdsa, ..) => {}
        }
    }
    Ok(Err(failure))
}

fn choose_group(host: &Host<'_>, extensions: &Extensions<'_>) -> Result<Option<Group>, Abort> {
    let offered = extensions.numbers(Extension::SupportedGroups).ok_or(Abort::DECODE)?;
    let formats = extensions.bytes(Extension::PointFormats).ok_or(Abort::DECODE)?;
    // Uncompressed points are the only ones that anybody uses (RFC 8422 §5.1.2).
    if formats.is_some_and(|formats| !formats.contains(&0)) {
        return Err(Abort::ILLEGAL);
    }
    let mut groups = host.config.groups.iter().copied().filter(|group| host.crypto.has_group(*group));
    Ok(match offered {
        // Without the extension a client takes any (RFC 8422 §4); P-256 is the one that all have.
        None => groups.find(|group| *group == Group::Secp256r1),
        Some(offered) => groups.find(|group| offered.clone().any(|number| number == *group as u16)),
    })
}

/// Chooses one of our keys and how it is presented; the suite and the group of the answer mean nothing.
fn choose_certificate(config: &Config, extensions: &Extensions<'_>) -> Result<Option<Choice>, Abort> {
    let algorithms = extensions.numbers(Extension::SignatureAlgorithms).ok_or(Abort::DECODE)?;
    let server_types = extensions.bytes(Extension::ServerCertificateType).ok_or(Abort::DECODE)?;
    let client_types = extensions.bytes(Extension::ClientCertificateType).ok_or(Abort::DECODE)?;
    let name = extensions.server_name().ok_or(Abort::DECODE)?;
    if algorithms.is_some_and(|mut algorithms| !algorithms.any(|number| number == exchange::ECDSA_SHA256)) {
        return Ok(None);
    }
    const DEFAULT: &[u8] = &[CertificateType::X509 as u8];
    let known = |number: &u8| match *number {
        0 => Some(CertificateType::X509),
        2 => Some(CertificateType::RawPublicKey),
        _ => None,
    };
    let client_type = client_types.unwrap_or(DEFAULT).iter().find_map(known);
    if config.client_authentication && client_type.is_none() {
        return Ok(None);
    }
    let can_present =
        |key: &OwnKey, kind: CertificateType| kind == CertificateType::RawPublicKey || !key.chain.is_empty();
    // LwM2M knows raw keys on both sides or certificates on both (TS_Transport 5.2.8): who shows one kind and would take either
    // from us can as a rule check the same kind only. libcoap is such a client.
    let present = |key: &OwnKey| {
        let offered = server_types.unwrap_or(DEFAULT).iter().filter_map(known);
        let mut possible = offered.filter(|kind| can_present(key, *kind));
        let first = possible.next()?;
        let alike = (Some(first) == client_type).then_some(first);
        alike.or_else(|| possible.find(|kind| Some(*kind) == client_type)).or(Some(first))
    };
    let named = config.keys.iter().enumerate().find_map(|(index, key)| {
        let is_named = name.is_some_and(|name| key.names.iter().any(|pattern| is_match(pattern, name)));
        Some((index, present(key)?)).filter(|_| is_named)
    });
    let any = || config.keys.iter().enumerate().find_map(|(index, key)| Some((index, present(key)?)));
    Ok(named.or_else(any).map(|(index, server_type)| Choice {
        suite: Suite::EcdheEcdsaAes128Ccm8,
        group: None,
        key: Some(index),
        is_named: named.is_some(),
        server_type,
        client_type: client_type.filter(|_| config.client_authentication),
    }))
}

/// Whether a server's name is the one asked for; `*.` stands for one label.
fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(parent) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use lightship_platform::crypto::RustCrypto;
    use lightship_platform::{Instant, SeededRng};

    use super::*;
    use crate::message::write;

    /// Reads an offer of a hello with these extensions.
    fn offer(extensions: &[(Extension, &[u8])]) -> Result<Offer, Abort> {
        let mut body: Vec<u8> = vec![0xfe, 0xfd];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 0, 2, 0xc0, 0xa8, 1, 0]);
        write::nested16(&mut body, |out| {
            for (extension, content) in extensions {
                write::extension(out, *extension, |out| out.extend_from_slice(content));
            }
        });
        let config = Config { suites: vec![Suite::PskAes128Ccm8], ..Config::default() };
        let mut rng = SeededRng::from_number(1);
        let host = Host { now: Instant::ZERO, crypto: &RustCrypto, rng: &mut rng, config: &config };
        Offer::read(&host, &ClientHello::read(&body).ok_or(Abort::DECODE)?)
    }

    #[test]
    fn a_connection_id_that_is_too_long_is_done_without() {
        let cid_of = |len: u8| {
            let mut content = vec![len];
            content.resize(1 + usize::from(len), 9);
            let offer = offer(&[(Extension::ConnectionId, &content)]).expect("an offer");
            offer.terms(Suite::PskAes128Ccm8, Cid::EMPTY).cids.map(|(_, peer)| peer.bytes().len())
        };
        assert_eq!((cid_of(0), cid_of(20)), (Some(0), Some(20)));
        assert_eq!((cid_of(21), cid_of(255)), (None, None));
        assert!(offer(&[(Extension::ConnectionId, &[2, 1])]).is_err_and(|abort| abort == Abort::DECODE));
        assert!(offer(&[(Extension::ConnectionId, &[1, 1, 1])]).is_err_and(|abort| abort == Abort::DECODE));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let cases: [((Extension, &[u8]), Abort); 8] = [
            ((Extension::RecordSizeLimit, &[0, 63]), Abort::ILLEGAL),
            ((Extension::RecordSizeLimit, &[64]), Abort::DECODE),
            ((Extension::MaxFragmentLength, &[5]), Abort::ILLEGAL),
            ((Extension::MaxFragmentLength, &[]), Abort::DECODE),
            ((Extension::RenegotiationInfo, &[1, 1]), Abort::NOTHING_IN_COMMON),
            ((Extension::PointFormats, &[1, 1]), Abort::ILLEGAL),
            ((Extension::SupportedGroups, &[0, 1, 0]), Abort::DECODE),
            ((Extension::ServerName, &[0, 3, 0, 0, 0]), Abort::DECODE),
        ];
        for (extension, abort) in cases {
            assert_eq!(offer(&[extension]).err(), Some(abort), "{extension:?}");
        }
        let twice = [(Extension::ExtendedMasterSecret, &[][..]); 2];
        assert_eq!(offer(&twice).err(), Some(Abort::DECODE));
        assert!(offer(&[]).is_ok_and(|offer| offer.full.is_ok()));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(is_match("*.example", "a.example") && is_match("a.example", "A.EXAMPLE"));
        assert!(!is_match("*.example", "example") && !is_match("*.example", "b.a.example"));
        assert!(!is_match("*.example", ".example"));
    }
}
