//! Keys of session tickets that change with time (RFC 5077 §5.5), alike in all shards without a word between them.

use core::time::Duration;
use std::sync::Arc;

use lightship_dtls::{TicketKey, TicketKeys};
use lightship_platform::Instant;
use lightship_platform::crypto::{Crypto, Secret};

/// Where the keys of session tickets come from. Shards that are given the same one have the same keys at any time; a server and a
/// Bootstrap-Server are to be given different ones. From the keys of a day those of the days before cannot be told.
#[derive(Clone, Debug)]
pub struct TicketRotation {
    /// What the keys are derived from; replaced at each change by what is derived of it. 32 random bytes.
    pub secret: Secret,
    /// When the first key comes into use; on the clock of all shards.
    pub since: Instant,
    /// How long a key seals new tickets; no less than `lifetime` is taken, since only the key before is still known.
    pub period: Duration,
    /// How long a ticket is good.
    pub lifetime: Duration,
}

impl TicketRotation {
    /// The same from the end of its first period on: what later keys are made of, and nothing of the first.
    #[must_use]
    pub fn next(&self, crypto: &dyn Crypto) -> TicketRotation {
        let secret = Secret::new(&crypto.hmac_sha256(self.secret.bytes(), &[b"next"]));
        TicketRotation { secret, since: self.since + self.period(), ..*self }
    }

    /// How long a key really seals new tickets.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period.max(self.lifetime).max(PERIOD_MIN)
    }

    /// The keys of now, if they are others than `old`.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        crypto: &dyn Crypto,
        old: Option<&TicketKeys>,
    ) -> Option<Arc<TicketKeys>> {
        let period = self.period();
        let mut keys = old.cloned();
        let mut turns = 0;
        while keys.is_none() || now.saturating_duration_since(self.since) >= period {
            let previous = keys.map(|keys| keys.current);
            if previous.is_some() {
                let leap_to = now.max(self.since);
                *self = self.next(crypto);
                // Nobody sleeps for so many keys, but a clock may leap.
                if turns >= TURNS_MAX {
                    self.since = leap_to;
                }
                turns += 1;
            }
            keys = Some(TicketKeys { current: self.key(crypto), previous, lifetime: self.lifetime });
        }
        keys.filter(|_| old.is_none() || turns > 0).map(Arc::new)
    }

    fn key(&self, crypto: &dyn Crypto) -> TicketKey {
        let part = |what: &[u8]| crypto.hmac_sha256(self.secret.bytes(), &[what]);
        let name = part(b"name").first_chunk().copied().unwrap_or_default();
        let key = Secret::new(part(b"key").first_chunk::<16>().unwrap_or(&[0; 16]));
        TicketKey { name, key, since: self.since }
    }
}

/// A shorter period is taken for this one.
const PERIOD_MIN: Duration = Duration::from_secs(60);
/// Keys that are skipped one by one.
const TURNS_MAX: u32 = 1000;
