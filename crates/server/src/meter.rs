//! How much each identity and each source may ask for: token buckets in a table of fixed size.
//!
//! A place in the table belongs to whoever used it last. When all places that a newcomer could have are taken, the one who has spent
//! least gives way: so among any number of modest ones those who ask for too much stay known, and nobody pays for another.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use lightship_platform::Instant;

use crate::devices::SecretHash;

/// The buckets of many owners.
pub(crate) struct Meter {
    buckets: Box<[Bucket]>,
    hashes: SecretHash,
}

/// What one owner has spent.
#[derive(Clone, Copy, Default)]
struct Bucket {
    owner: u64,
    /// When all that was taken will have been given back, in microseconds.
    even_us: u64,
}

/// Places that an owner can have.
const WAYS: usize = 4;
/// What fits into a bucket is what flows into it in this time.
const SPAN_US: u64 = 60_000_000;

impl Meter {
    /// For so many owners at a time, rounded up to a multiple of four; each takes 16 bytes.
    pub(crate) fn new(owners: usize, hashes: SecretHash) -> Self {
        let len = owners.next_multiple_of(WAYS).max(WAYS);
        Self { buckets: vec![Bucket::default(); len].into_boxed_slice(), hashes }
    }

    /// Takes one from the owner's bucket, into which `a_minute` flow in a minute and no more fit (0: as many as he likes).
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub(crate) fn take(&mut self, now: Instant, owner: impl Hash, a_minute: u32) -> Result<(), Duration> {
        if a_minute == 0 {
            return Ok(());
        }
        let owner = self.hashes.hash_one(owner);
        let Some(bucket) = self.bucket(owner) else { return Ok(()) };
        let even_us = if bucket.owner == owner { bucket.even_us } else { 0 };
        *bucket = Bucket { owner, even_us: after_one(even_us, now, a_minute)? };
        Ok(())
    }

    /// Whether there is one in the owner's bucket; nothing is taken.
    ///
    /// # Errors
    /// As of [`Meter::take`].
    pub(crate) fn look(&mut self, now: Instant, owner: impl Hash, a_minute: u32) -> Result<(), Duration> {
        if a_minute == 0 {
            return Ok(());
        }
        let owner = self.hashes.hash_one(owner);
        let even_us = self.bucket(owner).filter(|bucket| bucket.owner == owner).map_or(0, |b| b.even_us);
        after_one(even_us, now, a_minute).map(drop)
    }

    /// The owner's bucket, or the one of who has spent least among those in his places.
    fn bucket(&mut self, owner: u64) -> Option<&mut Bucket> {
        let sets = u64::try_from(self.buckets.len() / WAYS).unwrap_or(1).max(1);
        let first = usize::try_from(owner % sets).unwrap_or(0) * WAYS;
        let places = self.buckets.get_mut(first..first + WAYS)?;
        places.iter_mut().min_by_key(|bucket| (bucket.owner != owner, bucket.even_us))
    }
}

/// When all is given back after one more is taken.
fn after_one(even_us: u64, now: Instant, a_minute: u32) -> Result<u64, Duration> {
    let now_us = now.as_micros();
    let next_us = even_us.max(now_us) + SPAN_US / u64::from(a_minute);
    let last_us = now_us + SPAN_US;
    if next_us <= last_us { Ok(next_us) } else { Err(Duration::from_micros(next_us - last_us)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(owners: usize) -> Meter {
        Meter::new(owners, SecretHash { secret: 1 })
    }

    #[test]
    fn an_owner_has_so_many_at_once_and_as_many_a_minute() {
        let mut meter = meter(64);
        let now = Instant::from_secs(100);
        for _ in 0..6 {
            assert_eq!(meter.take(now, "lamp", 6), Ok(()));
        }
        assert_eq!(meter.take(now, "lamp", 6), Err(Duration::from_secs(10)));
        assert_eq!(meter.take(now, "pump", 6), Ok(()), "others have their own");
        let later = now + Duration::from_secs(4);
        assert_eq!(meter.look(later, "lamp", 6), Err(Duration::from_secs(6)));
        let later = now + Duration::from_secs(10);
        assert_eq!((meter.look(later, "lamp", 6), meter.take(later, "lamp", 6)), (Ok(()), Ok(())));
        assert_eq!(meter.take(later, "lamp", 6), Err(Duration::from_secs(10)), "looking takes nothing");
        let much_later = now + Duration::from_secs(3600);
        let taken = (0..100).filter(|_| meter.take(much_later, "lamp", 6).is_ok()).count();
        assert_eq!(taken, 6, "no more than a minute's worth is saved up");
        assert!((0..1000).all(|_| meter.take(now, "free", 0).is_ok()), "0 is no limit");
    }

    #[test]
    fn who_has_spent_all_stays_known_among_a_million_modest_ones() {
        let mut meter = meter(64);
        let now = Instant::from_secs(100);
        assert!((0..6).all(|_| meter.take(now, "greedy", 6).is_ok()));
        for round in 0..1000_u32 {
            for modest in 0..1000 {
                assert_eq!(meter.take(now, round * 1000 + modest, 6), Ok(()), "nobody pays for another");
            }
            assert!(meter.take(now, "greedy", 6).is_err());
        }
        assert_eq!(meter.buckets.len(), 64);
    }
}
