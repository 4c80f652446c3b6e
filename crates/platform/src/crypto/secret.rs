//! Bytes that nobody may see.

use alloc::boxed::Box;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A secret: erased when dropped, compared in constant time, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// A copy of `bytes`; erasing the original is its owner's.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {} // by its only field

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().ct_eq(other.bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_secret_is_compared_but_not_printed() {
        let secret = Secret::new(b"hunter2");
        assert_eq!(secret, Secret::new(b"hunter2"));
        assert_ne!(secret, Secret::new(b"hunter3"));
        assert_ne!(secret, Secret::new(b"hunter"));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
