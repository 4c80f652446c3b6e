//! What has been said so far: hashed as it comes, and kept only where it must be signed.

use alloc::vec::Vec;

use lightship_platform::crypto::Sha256;

/// All handshake messages so far, whole, in the order of their sending (RFC 6347 §4.2.6).
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    hash: Sha256,
    /// The messages themselves: signatures are made and checked over messages, not hashes, since a secure element may want it so.
    kept: Option<Vec<u8>>,
}

impl Transcript {
    /// Keeps the messages from here on until they are signed.
    pub(crate) fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// Keeps the messages no longer.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// Takes messages with their headers.
    pub(crate) fn add(&mut self, messages: &[u8]) {
        self.hash.update(messages);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(messages);
        }
    }

    /// The hash of all so far.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash.clone().finish()
    }

    /// Bytes that are kept.
    pub(crate) fn kept_len(&self) -> usize {
        self.kept.as_ref().map_or(0, Vec::capacity)
    }

    /// All so far, if it is kept.
    pub(crate) fn messages(&self) -> &[u8] {
        self.kept.as_deref().unwrap_or_default()
    }
}
