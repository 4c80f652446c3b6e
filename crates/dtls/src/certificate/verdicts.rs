//! Verdicts on the chains of devices, kept so that a device that comes again costs no signatures of authorities.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;

use lightship_platform::UnixTime;
use lightship_platform::crypto::{Crypto, Sha256};

use super::path::{self, Purpose};
use super::view::View;
use super::{Anchors, Names, Refusal, bounded};

/// What was found of the chain of a device that is trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The names in the device's certificate.
    pub names: Names,
    /// The first second at which all certificates of the chain are valid.
    pub from: UnixTime,
    /// The last second at which all of them are: the end of the first to expire.
    pub until: UnixTime,
}

impl Verdict {
    /// Judges the chain that a device presented, as [`verify_client`](super::verify_client) does.
    ///
    /// # Errors
    /// The reason why the device is not trusted.
    pub fn of_client(
        crypto: &dyn Crypto,
        chain: &[impl AsRef<[u8]>],
        trusted: &Anchors,
        date: Option<UnixTime>,
    ) -> Result<Self, Refusal> {
        let (leaf, others) = bounded(chain)?;
        let view = View::parse(leaf)?;
        view.p256_key()?;
        path::verify(crypto, (leaf, &view), &others, trusted, Purpose::Client, date)?;
        // Of all that were presented: one that is not on the path makes the verdict hold for a shorter time, never for a longer one.
        let others = others.iter().filter_map(|der| View::parse(der).ok()).map(|other| other.validity());
        let validity = others.fold(view.validity(), |(from, until), (not_before, not_after)| {
            (from.max(not_before), until.min(not_after))
        });
        let second = |since: core::time::Duration| {
            UnixTime::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
        };
        Ok(Self { names: view.names()?, from: second(validity.0), until: second(validity.1) })
    }

    /// Whether all certificates of the chain are valid then.
    #[must_use]
    pub fn holds_at(&self, date: UnixTime) -> bool {
        (self.from.as_secs()..=self.until.as_secs()).contains(&date.as_secs())
    }

    /// Whether it is small enough to be kept.
    fn is_small(&self) -> bool {
        let names = &self.names;
        let texts = names.common_name.iter().chain(&names.dns).chain(&names.uris);
        let len: usize = texts.map(|text| text.len() + size_of::<String>()).sum();
        len + names.addresses.len() * size_of::<core::net::IpAddr>() <= NAMES_LEN_MAX
    }
}

/// A chain as it was presented: every byte of every certificate, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChainDigest([u8; 32]);

impl ChainDigest {
    /// That of this chain.
    #[must_use]
    pub fn of(chain: &[impl AsRef<[u8]>]) -> Self {
        let mut hash = Sha256::new();
        for certificate in chain {
            let certificate = certificate.as_ref();
            // With the lengths, or the same bytes could be divided otherwise.
            hash.update(&u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(certificate);
        }
        Self(hash.finish())
    }
}

/// The last good verdicts, those of one set of authorities.
///
/// Whose authorities change makes a new value: a verdict has no meaning for others. Only good ones are kept, so that strangers
/// fill nothing; who finds none here is judged by [`Verdict::of_client`]. That the device has the private key is proven in each handshake
/// all the same, and for which endpoint it may speak is asked each time, too.
///
/// Two generations of half as many: when the young one is full the old one goes, and what is asked for becomes young again.
#[derive(Default, Debug)]
pub struct Verdicts {
    young: BTreeMap<ChainDigest, Arc<Verdict>>,
    old: BTreeMap<ChainDigest, Arc<Verdict>>,
    generation_max: usize,
}

impl Verdicts {
    /// Room for `count_max` of them, rounded down to an even number; with 0 or 1 none is kept. One takes 300 bytes, and 1 KiB
    /// where its names are long.
    #[must_use]
    pub fn new(count_max: usize) -> Self {
        Self { generation_max: count_max / 2, ..Self::default() }
    }

    /// The verdict on this chain, if it is kept and holds at this date.
    pub fn find(&mut self, chain: ChainDigest, date: UnixTime) -> Option<Arc<Verdict>> {
        let verdict = match self.young.get(&chain) {
            Some(verdict) => verdict.clone(),
            None => {
                let verdict = self.old.remove(&chain)?;
                self.insert(chain, verdict.clone());
                verdict
            }
        };
        verdict.holds_at(date).then_some(verdict)
    }

    /// Keeps a verdict on this chain.
    pub fn keep(&mut self, chain: ChainDigest, verdict: Arc<Verdict>) {
        if self.generation_max > 0 && verdict.is_small() {
            self.old.remove(&chain);
            self.insert(chain, verdict);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, chain: ChainDigest, verdict: Arc<Verdict>) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&chain) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(chain, verdict);
    }
}

/// Bytes of names in a verdict that is kept.
const NAMES_LEN_MAX: usize = 768;
