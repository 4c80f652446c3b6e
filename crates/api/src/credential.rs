//! How devices may prove who they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::Certificate;
use crate::endpoint::SecurityMode;
use crate::time::Timestamp;

/// How one device may prove who it is. Keys can be written, and are never shown.
///
/// What `mode` does not use is a mistake: `psk` takes an identity and a key, `rpk` a public key, `x509` a certificate, a name or neither,
/// `nosec` nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The device. Given by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How the device proves who it is; `nosec`: it need not, and may come without security.
    pub mode: SecurityMode,
    /// `psk`: the identity, 1 to 128 bytes of UTF-8; no two devices have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// `psk`: the identity in hex, in place of `identity`, for one that is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_hex: Option<String>,
    /// `psk`: the key, 1 to 64 bytes in hex; 16 random bytes or more are safe. Write-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hex: Option<String>,
    /// `psk`: whether a key is kept. Shown in the place of the key; written back without one, the key stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<bool>,
    /// `rpk`: the device's public key, SubjectPublicKeyInfo of a P-256 key in PEM. Shown as `public_key_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_pem: Option<String>,
    /// `rpk`: the same in hex of its DER, in place of `public_key_pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_hex: Option<String>,
    /// `rpk`: the SHA-256 of the SubjectPublicKeyInfo in hex; may be written in place of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_sha256: Option<String>,
    /// `x509`: exactly this certificate, in PEM, whoever issued it and however long it is valid. Shown as `certificate_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// `x509`: the SHA-256 of that certificate's DER in hex; may be written in place of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// `x509`: any certificate of a trusted authority that carries this name, as common name or as DNS name or URI of the subject. With neither name nor
    /// certificate: the device's endpoint name, found in the certificate by the server's rules (`security.endpoint_rules`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `x509`: what the certificate says that was written, where the whole of it was. Given by the server, for one device alone, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<Certificate>>,
    /// When it was put. Given by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub changed_at: Option<Timestamp>,
    /// What is allowed and yet not wise. Given by the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Credential {
    /// A credential of that mode with nothing else said.
    #[must_use]
    pub fn of(mode: SecurityMode) -> Credential {
        Credential {
            endpoint: None,
            mode,
            identity: None,
            identity_hex: None,
            key_hex: None,
            key_set: None,
            public_key_pem: None,
            public_key_hex: None,
            public_key_sha256: None,
            certificate_pem: None,
            certificate_sha256: None,
            name: None,
            certificate: None,
            changed_at: None,
            warnings: Vec::new(),
        }
    }

    /// A pre-shared key, in hex.
    #[must_use]
    pub fn psk(identity: impl Into<String>, key_hex: impl Into<String>) -> Credential {
        Credential {
            identity: Some(identity.into()),
            key_hex: Some(key_hex.into()),
            ..Credential::of(SecurityMode::Psk)
        }
    }
}

impl std::fmt::Debug for Credential {
    /// Without anything that could be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("endpoint", &self.endpoint)
            .field("mode", &self.mode)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// One page of credentials, ordered by endpoint name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credentials {
    /// The credentials of this page, without their keys.
    pub items: Vec<Credential>,
    /// Give this as `cursor` to get the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let credential = Credential::psk("me", "00112233445566778899aabbccddeeff");
        assert!(!format!("{credential:?}").contains("00112233"));
    }
}
