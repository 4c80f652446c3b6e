//! The client's hello, and what it makes of the server's.

use alloc::vec::Vec;

use super::Client;
use crate::handshake::{Abort, Common, Terms, read_size_limit};
use crate::message::{Extension, Kind, Reader, ServerHello, exchange, write};
use crate::record::VERSION;
use crate::{Alert, CertificateType, Cid, Config, Credential, Fault, Host, KeyExchange, Suite};

/// The suite number that stands for an empty `renegotiation_info` (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

impl Client {
    /// The suites that fit the credential and the library of cryptography, as configured.
    pub(super) fn suites(&self, host: &Host<'_>) -> Vec<Suite> {
        // No key protects nothing.
        if matches!(&self.credential, Credential::Psk { key, .. } if key.bytes().is_empty()) {
            return Vec::new();
        }
        let has_group = host.config.groups.iter().any(|group| host.crypto.has_group(*group));
        let fits = |suite: &Suite| match (suite.key_exchange(), &self.credential) {
            (KeyExchange::Psk, Credential::Psk { .. }) => true,
            (KeyExchange::EcdhePsk, Credential::Psk { .. })
            | (KeyExchange::EcdheEcdsa, Credential::RawPublicKey { .. } | Credential::Certificates { .. }) => {
                has_group
            }
            _ => false,
        };
        host.config
            .suites
            .iter()
            .copied()
            .filter(|suite| suite.is_known_to(host.crypto) && fits(suite))
            .collect()
    }

    pub(super) fn send_hello(&mut self, common: &mut Common, host: &Host<'_>) {
        let suites = self.suites(host);
        if suites.is_empty() {
            common.refuse(Abort::NOTHING_IN_COMMON);
            return;
        }
        common.flight.clear();
        let random = common.client_random;
        let session_id = common.session_id.clone();
        let own_cid = common.own_cid;
        let server_name = common.server_name.clone();
        let mut offered = Vec::new();
        let cookie = &self.cookie;
        common.write_unhashed(Kind::ClientHello, |out| {
            out.extend_from_slice(&VERSION);
            out.extend_from_slice(&random);
            write::part8(out, &session_id);
            write::part8(out, cookie);
            write::nested16(out, |out| {
                suites.iter().for_each(|suite| write::u16(out, suite.number()));
                write::u16(out, RENEGOTIATION_SCSV);
            });
            write::part8(out, &[0]);
            write::nested16(out, |out| {
                let mut extensions = Extensions { out, offered: &mut offered };
                self.write_extensions(&mut extensions, host, &suites, &own_cid, server_name.as_deref());
            });
        });
        self.offered = offered;
        common.launch(host);
    }

    fn write_extensions(
        &self,
        extensions: &mut Extensions<'_>,
        host: &Host<'_>,
        suites: &[Suite],
        own_cid: &Cid,
        server_name: Option<&str>,
    ) {
        let config = host.config;
        if let Some(name) = server_name.filter(|name| !name.is_empty() && name.len() <= 255) {
            extensions.add(Extension::ServerName, |out| {
                write::nested16(out, |out| {
                    out.push(0);
                    write::part16(out, name.as_bytes());
                });
            });
        }
        if let Some(code) = config.max_fragment_len.and_then(fragment_code) {
            extensions.add(Extension::MaxFragmentLength, |out| out.push(code));
        }
        if suites.iter().any(|suite| suite.key_exchange() != KeyExchange::Psk) {
            extensions.add(Extension::SupportedGroups, |out| {
                write::nested16(out, |out| {
                    let known = config.groups.iter().filter(|group| host.crypto.has_group(**group));
                    known.for_each(|group| write::u16(out, *group as u16));
                });
            });
            extensions.add(Extension::PointFormats, |out| write::part8(out, &[0]));
        }
        if suites.iter().any(|suite| suite.key_exchange() == KeyExchange::EcdheEcdsa) {
            extensions.add(Extension::SignatureAlgorithms, |out| {
                write::part16(out, &exchange::ECDSA_SHA256.to_be_bytes());
            });
        }
        if matches!(self.credential, Credential::RawPublicKey { .. }) {
            let raw = CertificateType::RawPublicKey as u8;
            extensions.add(Extension::ClientCertificateType, |out| write::part8(out, &[raw]));
            extensions.add(Extension::ServerCertificateType, |out| write::part8(out, &[raw]));
        }
        if suites.iter().any(|suite| suite.aead().is_none()) {
            extensions.add(Extension::EncryptThenMac, |_| ());
        }
        extensions.add(Extension::ExtendedMasterSecret, |_| ());
        if let Some(limit) = config.record_size_limit {
            extensions.add(Extension::RecordSizeLimit, |out| write::u16(out, limit));
        }
        let ticket = self.resume.as_ref().map(|resume| &*resume.ticket).unwrap_or_default();
        if config.request_ticket || !ticket.is_empty() {
            extensions.add(Extension::SessionTicket, |out| out.extend_from_slice(ticket));
        }
        if config.connection_id {
            extensions.add(Extension::ConnectionId, |out| write::part8(out, own_cid.bytes()));
            if config.return_routability {
                extensions.add(Extension::ReturnRoutability, |_| ());
            }
        }
    }

    /// What the extensions of a ServerHello agree to.
    pub(super) fn agree(
        &self,
        config: &Config,
        common: &Common,
        suite: Suite,
        hello: &ServerHello<'_>,
    ) -> Result<Terms, Abort> {
        let extensions = &hello.extensions;
        let was_offered = |extension: &Extension| {
            // Offered by its suite number.
            *extension == Extension::RenegotiationInfo || self.offered.contains(extension)
        };
        if extensions.has_unknown || !extensions.present().all(|extension| was_offered(&extension)) {
            return Err(Abort(Alert::UNSUPPORTED_EXTENSION, Fault::BadMessage));
        }
        if extensions.body(Extension::RenegotiationInfo).is_some_and(|body| body != [0]) {
            return Err(Abort(Alert::HANDSHAKE_FAILURE, Fault::BadMessage));
        }
        let mut terms = Terms::new(suite);
        terms.extended_master_secret = extensions.has(Extension::ExtendedMasterSecret);
        if config.require_extended_master_secret && !terms.extended_master_secret {
            return Err(Abort::NO_EXTENDED_MASTER_SECRET);
        }
        terms.encrypt_then_mac = suite.aead().is_none() && extensions.has(Extension::EncryptThenMac);
        terms.ticket = extensions.has(Extension::SessionTicket);
        if let Some(body) = extensions.body(Extension::ConnectionId) {
            let mut reader = Reader::new(body);
            let cid = reader.part8().filter(|_| reader.end().is_some()).ok_or(Abort::DECODE)?;
            // We could not write a longer one into our records.
            let cid = Cid::new(cid).ok_or(Abort::NOTHING_IN_COMMON)?;
            terms.cids = Some((common.own_cid, cid));
        }
        terms.return_routability = terms.cids.is_some() && extensions.has(Extension::ReturnRoutability);
        match (extensions.body(Extension::RecordSizeLimit), extensions.body(Extension::MaxFragmentLength)) {
            (None, None) => {}
            (Some(limit), None) => {
                terms.peer_limit = Some(read_size_limit(limit)?);
                terms.own_limit = config.record_size_limit;
            }
            (None, Some(code)) => {
                let asked = config.max_fragment_len.and_then(fragment_code);
                if asked.is_none_or(|asked| code != [asked]) {
                    return Err(Abort::ILLEGAL);
                }
                terms.peer_limit = config.max_fragment_len;
                terms.own_limit = config.max_fragment_len;
                terms.limits_all = true;
            }
            (Some(_), Some(_)) => return Err(Abort::ILLEGAL),
        }
        if suite.key_exchange() == KeyExchange::EcdheEcdsa {
            terms.client_type = self.certificate_type(extensions.body(Extension::ClientCertificateType))?;
            terms.server_type = self.certificate_type(extensions.body(Extension::ServerCertificateType))?;
        }
        Ok(terms)
    }

    /// The certificate type that a server chose; it must be the one that was offered.
    fn certificate_type(&self, body: Option<&[u8]>) -> Result<CertificateType, Abort> {
        let wanted = match self.credential {
            Credential::RawPublicKey { .. } => CertificateType::RawPublicKey,
            Credential::Psk { .. } | Credential::Certificates { .. } => CertificateType::X509,
        };
        match body {
            None => Ok(CertificateType::X509),
            Some([number]) if *number == wanted as u8 => Ok(wanted),
            Some(_) => Err(Abort::ILLEGAL),
        }
    }
}

/// Extensions being written, and which they were.
struct Extensions<'a> {
    out: &'a mut Vec<u8>,
    offered: &'a mut Vec<Extension>,
}

impl Extensions<'_> {
    fn add(&mut self, extension: Extension, body: impl FnOnce(&mut Vec<u8>)) {
        write::extension(self.out, extension, body);
        self.offered.push(extension);
    }
}

/// The code for a maximum fragment length (RFC 6066 §4).
fn fragment_code(len: u16) -> Option<u8> {
    Some(match len {
        512 => 1,
        1024 => 2,
        2048 => 3,
        4096 => 4,
        _ => return None,
    })
}
