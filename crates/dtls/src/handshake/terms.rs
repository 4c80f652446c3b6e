//! What two hellos can agree upon, and why they may not.

use crate::{Alert, CertificateType, Cid, Fault, Suite};

/// A reason to give up: what the peer is told, and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Abort(pub(crate) Alert, pub(crate) Fault);

impl Abort {
    pub(crate) const UNEXPECTED: Self = Self(Alert::UNEXPECTED_MESSAGE, Fault::BadMessage);
    pub(crate) const DECODE: Self = Self(Alert::DECODE_ERROR, Fault::BadMessage);
    pub(crate) const ILLEGAL: Self = Self(Alert::ILLEGAL_PARAMETER, Fault::BadMessage);
    pub(crate) const NOTHING_IN_COMMON: Self = Self(Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon);
    pub(crate) const INTERNAL: Self = Self(Alert::INTERNAL_ERROR, Fault::NothingInCommon);
    pub(crate) const OLD_VERSION: Self = Self(Alert::PROTOCOL_VERSION, Fault::OldVersion);
    pub(crate) const NO_EXTENDED_MASTER_SECRET: Self =
        Self(Alert::HANDSHAKE_FAILURE, Fault::NoExtendedMasterSecret);
}

/// What the two hellos agreed upon.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) suite: Suite,
    pub(crate) extended_master_secret: bool,
    pub(crate) encrypt_then_mac: bool,
    /// Our connection ID and the peer's, if connection IDs are used.
    pub(crate) cids: Option<(Cid, Cid)>,
    pub(crate) return_routability: bool,
    /// The longest plaintext that the peer takes, in bytes.
    pub(crate) peer_limit: Option<u16>,
    /// The longest plaintext that we take, as the peer was told.
    pub(crate) own_limit: Option<u16>,
    /// Whether the peer's limit also holds for records without protection (RFC 6066 §4, unlike RFC 8449 §4).
    pub(crate) limits_all: bool,
    pub(crate) client_type: CertificateType,
    pub(crate) server_type: CertificateType,
    /// Whether the server gives a ticket.
    pub(crate) ticket: bool,
}

impl Terms {
    pub(crate) const fn new(suite: Suite) -> Self {
        Self {
            suite,
            extended_master_secret: false,
            encrypt_then_mac: false,
            cids: None,
            return_routability: false,
            peer_limit: None,
            own_limit: None,
            limits_all: false,
            client_type: CertificateType::X509,
            server_type: CertificateType::X509,
            ticket: false,
        }
    }
}

/// The limit in `record_size_limit` (RFC 8449 §4).
pub(crate) fn read_size_limit(body: &[u8]) -> Result<u16, Abort> {
    let limit = u16::from_be_bytes(body.try_into().map_err(|_| Abort::DECODE)?);
    if limit < 64 { Err(Abort::ILLEGAL) } else { Ok(limit) }
}
