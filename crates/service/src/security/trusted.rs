//! Trusted: authorities, and the verdicts on devices' chains that rest on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_dtls::certificate::{Anchors, ChainDigest, Refusal, Verdict, Verdicts};
use lightship_platform::UnixTime;
use lightship_platform::crypto::Crypto;

/// The authorities that devices' certificates may come from, as they were read once.
///
/// What was found rests on exactly these, and goes with them: where others count, they begin with nothing.
pub(crate) struct Trusted {
    pub(super) anchors: Anchors,
    verdicts: Mutex<Verdicts>,
}

/// How chains were judged.
#[derive(Default, Debug)]
pub(crate) struct Judged {
    /// With all their signatures, and good.
    pub(crate) checked: AtomicU64,
    /// By a verdict that was kept.
    pub(crate) recalled: AtomicU64,
    /// Refused.
    pub(crate) refused: AtomicU64,
}

impl Trusted {
    /// `verdicts_max`: how many verdicts are kept.
    pub(super) fn new(anchors: Anchors, verdicts_max: usize) -> Trusted {
        Trusted { anchors, verdicts: Mutex::new(Verdicts::new(verdicts_max)) }
    }

    /// Judges what a device presents. The lock is not held while signatures are checked.
    pub(super) fn judge(
        &self,
        crypto: &dyn Crypto,
        chain: &[Box<[u8]>],
        date: UnixTime,
        judged: &Judged,
    ) -> Result<Arc<Verdict>, Refusal> {
        let digest = ChainDigest::of(chain);
        let kept = self.verdicts().find(digest, date);
        if let Some(verdict) = kept {
            judged.recalled.fetch_add(1, Ordering::Relaxed);
            return Ok(verdict);
        }
        match Verdict::of_client(crypto, chain, &self.anchors, Some(date)) {
            Ok(verdict) => {
                judged.checked.fetch_add(1, Ordering::Relaxed);
                let verdict = Arc::new(verdict);
                self.verdicts().keep(digest, verdict.clone());
                Ok(verdict)
            }
            Err(refusal) => {
                judged.refused.fetch_add(1, Ordering::Relaxed);
                Err(refusal)
            }
        }
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lightship_platform::crypto::FastCrypto;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    use super::*;

    #[test]
    fn where_other_authorities_count_nothing_is_known_of_before() {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate().unwrap();
            (params.self_signed(&key).unwrap().der().to_vec(), Issuer::new(params, key))
        };
        let ((one, issuer), (two, _)) = (authority("one"), authority("two"));
        let device = CertificateParams::new(vec!["meter".to_owned()]).unwrap();
        let device = device.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let chain = [Box::from(device.der().as_ref())];
        let trusting = |all: &[&[u8]]| Trusted::new(Anchors::new(all.iter().copied()).unwrap(), 16);
        let judged = Judged::default();
        let today = UnixTime::from_secs(1_790_000_000);
        let judge = |trusted: &Trusted| trusted.judge(&FastCrypto, &chain, today, &judged).map(|_| ());
        let counts = || {
            [&judged.checked, &judged.recalled, &judged.refused].map(|count| count.load(Ordering::Relaxed))
        };
        let both = trusting(&[&one, &two]);
        assert_eq!((judge(&both), judge(&both), counts()), (Ok(()), Ok(()), [1, 1, 0]));
        let left = trusting(&[&two]);
        assert!(matches!(judge(&left), Err(Refusal::Untrusted { .. })));
        assert_eq!(counts(), [1, 1, 1]);
        // One who was judged by those before cannot bring his verdict to those behind.
        assert_eq!((judge(&both), judge(&left).is_err(), counts()), (Ok(()), true, [1, 2, 2]));
    }
}
