//! Seal: what the store keeps of secrets can be read with the sealing key alone.
//!
//! ```text
//! version(1)  name of the key(8)  salt(16)  ciphertext  tag(16)
//! ```
//! Each seal has a key of its own, made of the sealing key and a random salt; so no nonce is ever used twice.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lightship_platform::crypto::{Aead, Crypto, Secret};

use super::encoded::{bytes_of_hex, hex};

/// Seals and opens with one key.
#[derive(Clone)]
pub(crate) struct Sealer {
    crypto: Arc<dyn Crypto>,
    key: Secret,
    /// Tells seals of this key from those of others.
    name: [u8; NAME_LEN],
}

/// Why the sealing key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The file of the key cannot be read or made.
    #[error("the sealing key {path} cannot be read or made")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key is no key.
    #[error("{origin}: a sealing key is 32 bytes, or 64 hex digits")]
    Malformed {
        /// Where it was read.
        origin: String,
    },
    /// What is kept was sealed with another key.
    #[error(
        "the credentials in {folder} were sealed with another key than {origin}; give the key that they were sealed with (--seal-key or LIGHTSHIP_SEAL_KEY)"
    )]
    Wrong {
        /// Where the credentials are.
        folder: PathBuf,
        /// Where the key comes from.
        origin: String,
    },
    /// There are sealed credentials and no key.
    #[error(
        "the credentials in {folder} are sealed, and their key {path} is gone; give it with --seal-key or LIGHTSHIP_SEAL_KEY"
    )]
    Gone {
        /// Where the credentials are.
        folder: PathBuf,
        /// Where the key was.
        path: PathBuf,
    },
    /// What is kept can be read with the key, and makes no sense.
    #[error("the credential of {endpoint:?} is damaged")]
    Damaged {
        /// Whose it is.
        endpoint: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    System(#[source] io::Error),
}

/// Why something cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Another key sealed it.
    OtherKey,
    /// It was changed, or belongs to something else.
    Damaged,
}

/// A key and where it was read.
pub(crate) struct KeyFound {
    pub(crate) key: Secret,
    pub(crate) origin: String,
}

impl Sealer {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, key: Secret) -> Sealer {
        let whole = crypto.hmac_sha256(key.bytes(), &[b"lightship seal name"]);
        let mut name = [0; NAME_LEN];
        name.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        Sealer { crypto, key, name }
    }

    /// Seals bytes that belong to `whose`.
    pub(crate) fn seal(&self, whose: &[u8], bytes: &[u8]) -> Result<Box<[u8]>, SealError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|error| SealError::System(io::Error::other(error)))?;
        let key = self.key_of(&salt);
        let mut out = [&[VERSION], self.name.as_slice(), &salt, bytes].concat();
        let sealed = out.get_mut(HEAD_LEN..).unwrap_or_default();
        let tag = self.crypto.seal(Aead::Aes256Gcm, key.bytes(), &NONCE, whose, sealed);
        // A key of the right length is always taken.
        let tag = tag.map_err(|error| SealError::System(io::Error::other(error)))?;
        out.extend_from_slice(&tag);
        Ok(out.into())
    }

    /// Opens what belongs to `whose`.
    pub(crate) fn open(&self, whose: &[u8], sealed: &[u8]) -> Result<Secret, OpenError> {
        let parts = || {
            let rest = sealed.strip_prefix(&[VERSION])?;
            let (name, rest) = rest.split_first_chunk::<NAME_LEN>()?;
            let (salt, rest) = rest.split_first_chunk::<SALT_LEN>()?;
            let (bytes, tag) = rest.split_last_chunk::<TAG_LEN>()?;
            Some((name, salt, bytes, tag))
        };
        let (name, salt, bytes, tag) = parts().ok_or(OpenError::Damaged)?;
        if *name != self.name {
            return Err(OpenError::OtherKey);
        }
        let key = self.key_of(salt);
        let mut bytes = bytes.to_vec();
        let opened = self.crypto.open(Aead::Aes256Gcm, key.bytes(), &NONCE, whose, &mut bytes, tag);
        let secret = Secret::new(&bytes);
        bytes.fill(0);
        opened.map(|()| secret).map_err(|_| OpenError::Damaged)
    }

    /// A name of a secret, the same for the same secret, that says nothing about it to whoever lacks the sealing key.
    pub(crate) fn name_of(&self, secret: &Secret) -> [u8; 32] {
        self.crypto.hmac_sha256(self.key.bytes(), &[b"lightship secret", secret.bytes()])
    }

    /// The key of one seal.
    fn key_of(&self, salt: &[u8; SALT_LEN]) -> Secret {
        Secret::new(&self.crypto.hmac_sha256(self.key.bytes(), &[b"lightship seal", salt]))
    }
}

/// A key out of a text or a file: 32 bytes as they are, or 64 hex digits.
pub(crate) fn parse(bytes: &[u8], origin: &str) -> Result<KeyFound, SealError> {
    let of_text = || bytes_of_hex(std::str::from_utf8(bytes).ok()?.trim());
    let key = if bytes.len() == SEAL_KEY_LEN { Some(bytes.to_vec()) } else { of_text() };
    let key = key.filter(|key| key.len() == SEAL_KEY_LEN);
    let key = key.ok_or_else(|| SealError::Malformed { origin: origin.to_owned() })?;
    Ok(KeyFound { key: Secret::new(&key), origin: origin.to_owned() })
}

/// The key in a file that somebody named.
pub(crate) fn read(path: &Path) -> Result<KeyFound, SealError> {
    let bytes = fs::read(path).map_err(|source| SealError::File { path: path.to_owned(), source })?;
    parse(&bytes, &path.display().to_string())
}

/// The key in the folder of the credentials; made there if nothing is sealed yet.
pub(crate) fn read_or_make(folder: &Path, is_sealed: bool) -> Result<KeyFound, SealError> {
    let path = folder.join(KEY_FILE);
    match fs::metadata(&path) {
        Ok(_) => return read(&path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SealError::File { path, source: error });
        }
        Err(_) if is_sealed => return Err(SealError::Gone { folder: folder.to_owned(), path }),
        Err(_) => {}
    }
    let key = fresh()?;
    write(folder, &path, &key).map_err(|source| SealError::File { path: path.clone(), source })?;
    tracing::info!(path = %path.display(), "made a key that seals the credentials kept here; who has both can read them");
    Ok(KeyFound { key, origin: path.display().to_string() })
}

/// A key that nobody else has.
pub(crate) fn fresh() -> Result<Secret, SealError> {
    let mut bytes = [0; SEAL_KEY_LEN];
    getrandom::fill(&mut bytes).map_err(|error| SealError::System(io::Error::other(error)))?;
    let key = Secret::new(&bytes);
    bytes.fill(0);
    Ok(key)
}

fn write(folder: &Path, path: &Path, key: &Secret) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(format!("{}\n", hex(key.bytes())).as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(folder)?.sync_all()
}

const KEY_FILE: &str = "seal.key";
const VERSION: u8 = 1;
const NAME_LEN: usize = 8;
const SALT_LEN: usize = 16;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + NAME_LEN + SALT_LEN;
const SEAL_KEY_LEN: usize = 32;
/// Each key is used once, so this may be any.
const NONCE: [u8; Aead::NONCE_LEN] = [0; Aead::NONCE_LEN];

#[cfg(test)]
mod tests {
    use lightship_platform::crypto::FastCrypto;

    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(Arc::new(FastCrypto), Secret::new(&[byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_for_its_owner_and_unchanged() {
        let sealed = sealer(1).seal(b"a", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(sealer(1).open(b"a", &sealed).unwrap().bytes(), b"secret");
        assert_eq!(sealer(2).open(b"a", &sealed).unwrap_err(), OpenError::OtherKey);
        assert_eq!(sealer(1).open(b"b", &sealed).unwrap_err(), OpenError::Damaged);
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(sealer(1).open(b"a", &bent).is_err(), "changed at {at}");
            assert!(sealer(1).open(b"a", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_is_sealed_differently_each_time() {
        let sealer = sealer(1);
        assert_ne!(sealer.seal(b"a", b"secret").unwrap(), sealer.seal(b"a", b"secret").unwrap());
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = read_or_make(folder.path(), false).unwrap();
        assert_eq!(read_or_make(folder.path(), true).unwrap().key, made.key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_that_is_gone_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = read_or_make(folder.path(), true) else { panic!("made one") };
        assert!(error.to_string().contains("seal.key is gone"), "{error}");
        assert!(!folder.path().join(KEY_FILE).exists());
    }

    #[test]
    fn keys_are_read_as_bytes_and_as_hex() {
        let hex = "07".repeat(32);
        for text in [&[7; 32][..], hex.as_bytes(), format!("{hex}\n").as_bytes()] {
            assert_eq!(parse(text, "x").unwrap().key.bytes(), [7; 32]);
        }
        for bad in [&b""[..], b"07", &[7; 31], "0g".repeat(32).as_bytes()] {
            assert!(parse(bad, "x").is_err());
        }
    }
}
