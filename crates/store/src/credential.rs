//! Credential: how a device may prove who it is, as it is kept. What is secret in it only its owner can read.

use lightship_lwm2m::Endpoint;

/// For which server devices have it: those of the Bootstrap-Server are a set of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialSet {
    /// For the LwM2M Server.
    Server,
    /// For the Bootstrap-Server.
    Bootstrap,
}

/// Names a credential: a device has at most one in each set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey {
    /// Of which set.
    pub set: CredentialSet,
    /// Of which device.
    pub endpoint: Endpoint,
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Whose it is.
    pub key: CredentialKey,
    /// What a peer presents that has it, in a form of its owner; no two in a set are the same. `None`: nothing of its own.
    pub principal: Option<Box<[u8]>>,
    /// Everything else, sealed by its owner.
    pub sealed: Box<[u8]>,
    /// When it was put, in milliseconds since 1970.
    pub changed_ms: i64,
}
