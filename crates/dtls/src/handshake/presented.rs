//! What the peer presents of itself.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Abort, Common};
use crate::message::{certificate_chain, raw_public_key};
use crate::{Alert, CertificateType, Fault, Presented, spki};

/// What a Certificate message presents, and its key for the signature to come; `None` if it presents nothing.
pub(crate) fn present(
    common: &mut Common,
    certificate_type: CertificateType,
    body: &[u8],
) -> Result<Option<Presented>, Abort> {
    let bad = Abort(Alert::BAD_CERTIFICATE, Fault::BadMessage);
    match certificate_type {
        CertificateType::RawPublicKey => {
            let key = raw_public_key(body).ok_or(Abort::DECODE)?;
            if key.is_empty() {
                return Ok(None);
            }
            if !spki::is_p256(key) {
                return Err(bad);
            }
            common.peer_key = key.into();
            Ok(Some(Presented::RawPublicKey(key.into())))
        }
        CertificateType::X509 => {
            let mut chain = Vec::new();
            for certificate in certificate_chain(body).ok_or(Abort::DECODE)? {
                if chain.len() == CHAIN_MAX {
                    return Err(bad);
                }
                chain.push(Box::from(certificate.ok_or(Abort::DECODE)?));
            }
            let Some(end_entity) = chain.first() else { return Ok(None) };
            let key = spki::of_certificate(end_entity).ok_or(bad)?;
            if !spki::is_p256(key) {
                return Err(Abort(Alert::UNSUPPORTED_CERTIFICATE, Fault::NothingInCommon));
            }
            common.peer_key = key.into();
            Ok(Some(Presented::Certificates(chain)))
        }
    }
}

/// How many certificates a peer may present.
const CHAIN_MAX: usize = 10;
