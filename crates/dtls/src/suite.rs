//! The cipher suites.

use lightship_platform::crypto::{Aead, Crypto};

/// A cipher suite; the discriminant is its number in the IANA registry, which is also what `/0/x/16` holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Suite {
    /// TLS_PSK_WITH_AES_128_GCM_SHA256 (RFC 5487).
    PskAes128Gcm = 0x00a8,
    /// TLS_PSK_WITH_AES_128_CBC_SHA256 (RFC 5487); only where it is switched on.
    PskAes128Cbc = 0x00ae,
    /// TLS_PSK_WITH_AES_128_CCM (RFC 6655).
    PskAes128Ccm = 0xc0a4,
    /// TLS_PSK_WITH_AES_128_CCM_8 (RFC 6655).
    PskAes128Ccm8 = 0xc0a8,
    /// TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256 (RFC 5489); only where it is switched on.
    EcdhePskAes128Cbc = 0xc037,
    /// TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256 (RFC 8442).
    EcdhePskAes128Gcm = 0xd001,
    /// TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256 (RFC 8442).
    EcdhePskAes128Ccm8 = 0xd003,
    /// TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256 (RFC 8442).
    EcdhePskAes128Ccm = 0xd005,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 (RFC 5289); only where it is switched on.
    EcdheEcdsaAes128Cbc = 0xc023,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5289).
    EcdheEcdsaAes128Gcm = 0xc02b,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_CCM (RFC 7251).
    EcdheEcdsaAes128Ccm = 0xc0ac,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 (RFC 7251).
    EcdheEcdsaAes128Ccm8 = 0xc0ae,
}

/// How a suite comes by its premaster secret and proves who is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyExchange {
    /// A key that both sides know (RFC 4279 §2).
    Psk,
    /// The same, with forward secrecy (RFC 5489).
    EcdhePsk,
    /// Signed ephemeral keys: raw public keys and certificates (RFC 8422).
    EcdheEcdsa,
}

/// How a side presents its public key (RFC 7250 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum CertificateType {
    /// A chain of certificates.
    X509 = 0,
    /// The bare key.
    RawPublicKey = 2,
}

impl Suite {
    /// Every suite, the preferred first; those with CBC last.
    pub const ALL: [Self; 12] = [
        Self::EcdheEcdsaAes128Ccm8,
        Self::EcdheEcdsaAes128Gcm,
        Self::EcdheEcdsaAes128Ccm,
        Self::EcdhePskAes128Ccm8,
        Self::EcdhePskAes128Gcm,
        Self::EcdhePskAes128Ccm,
        Self::PskAes128Ccm8,
        Self::PskAes128Gcm,
        Self::PskAes128Ccm,
        Self::EcdheEcdsaAes128Cbc,
        Self::EcdhePskAes128Cbc,
        Self::PskAes128Cbc,
    ];

    /// The suite with this number, if it is one of ours.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// The number in the IANA registry.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The name in the IANA registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PskAes128Gcm => "TLS_PSK_WITH_AES_128_GCM_SHA256",
            Self::PskAes128Cbc => "TLS_PSK_WITH_AES_128_CBC_SHA256",
            Self::PskAes128Ccm => "TLS_PSK_WITH_AES_128_CCM",
            Self::PskAes128Ccm8 => "TLS_PSK_WITH_AES_128_CCM_8",
            Self::EcdhePskAes128Cbc => "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256",
            Self::EcdhePskAes128Gcm => "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256",
            Self::EcdhePskAes128Ccm8 => "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256",
            Self::EcdhePskAes128Ccm => "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256",
            Self::EcdheEcdsaAes128Cbc => "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
            Self::EcdheEcdsaAes128Gcm => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Self::EcdheEcdsaAes128Ccm => "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
            Self::EcdheEcdsaAes128Ccm8 => "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
        }
    }

    /// How keys are exchanged.
    #[must_use]
    pub const fn key_exchange(self) -> KeyExchange {
        match self {
            Self::PskAes128Gcm | Self::PskAes128Cbc | Self::PskAes128Ccm | Self::PskAes128Ccm8 => {
                KeyExchange::Psk
            }
            Self::EcdhePskAes128Cbc
            | Self::EcdhePskAes128Gcm
            | Self::EcdhePskAes128Ccm8
            | Self::EcdhePskAes128Ccm => KeyExchange::EcdhePsk,
            Self::EcdheEcdsaAes128Cbc
            | Self::EcdheEcdsaAes128Gcm
            | Self::EcdheEcdsaAes128Ccm
            | Self::EcdheEcdsaAes128Ccm8 => KeyExchange::EcdheEcdsa,
        }
    }

    /// The algorithm that protects records; `None` for the suites with CBC.
    #[must_use]
    pub const fn aead(self) -> Option<Aead> {
        match self {
            Self::PskAes128Ccm8 | Self::EcdhePskAes128Ccm8 | Self::EcdheEcdsaAes128Ccm8 => {
                Some(Aead::Aes128Ccm8)
            }
            Self::PskAes128Ccm | Self::EcdhePskAes128Ccm | Self::EcdheEcdsaAes128Ccm => Some(Aead::Aes128Ccm),
            Self::PskAes128Gcm | Self::EcdhePskAes128Gcm | Self::EcdheEcdsaAes128Gcm => Some(Aead::Aes128Gcm),
            Self::PskAes128Cbc | Self::EcdhePskAes128Cbc | Self::EcdheEcdsaAes128Cbc => None,
        }
    }

    /// Whether the library of cryptography has what protects the records.
    pub(crate) fn is_known_to(self, crypto: &dyn Crypto) -> bool {
        self.aead().map_or_else(|| crypto.has_cbc(), |aead| crypto.has_aead(aead))
    }
}
