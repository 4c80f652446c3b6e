//! A peer's own small source of unguessable numbers, fixed by the seed it was made with.
//!
//! A full generator would cost more memory than all else an idle peer keeps, so numbers are the
//! outputs of SipHash-2-4, a keyed pseudo-random function, over a counter; 128 bits of key come
//! from the [`Rng`] at construction.

use lightship_platform::{Duration, Rng};

use super::config::Config;
use crate::code::{MessageId, Token};

#[derive(Debug)]
pub(super) struct Random {
    key: (u64, u64),
    /// Numbers drawn so far.
    drawn: u32,
    /// Tokens drawn so far.
    tokens: u32,
    next_message_id: u16,
}

/// Keeps the uses of one key apart.
mod purpose {
    pub(super) const NUMBER: u64 = 1;
    pub(super) const TOKEN: u64 = 2;
}

impl Random {
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        let key = (rng.next_u64(), rng.next_u64());
        let [high, low, ..] = rng.next_u32().to_be_bytes();
        Self { key, drawn: 0, tokens: 0, next_message_id: u16::from_be_bytes([high, low]) }
    }

    /// Message IDs count up from a random start (RFC 7252 §4.4), so none is used twice within
    /// 65536 messages.
    pub(super) const fn message_id(&mut self) -> MessageId {
        let id = self.next_message_id;
        self.next_message_id = id.wrapping_add(1);
        MessageId(id)
    }

    pub(super) const fn peek_message_id(&self) -> MessageId {
        MessageId(self.next_message_id)
    }

    pub(super) const fn set_message_id(&mut self, id: MessageId) {
        self.next_message_id = id.0;
    }

    /// A token that this peer has not used before.
    ///
    /// A counter runs through a keyed permutation (a Feistel network), so that tokens look random
    /// and yet cannot repeat before all of their length were used (RFC 9175 §4.2).
    pub(super) fn token(&mut self, config: &Config) -> Token {
        let count = self.tokens;
        self.tokens = count.wrapping_add(1);
        let len = usize::from(config.token_len.clamp(1, 7));
        let half_bits = 4 * u32::from(config.token_len.clamp(1, 7));
        let mask = (1_u64 << half_bits) - 1;
        let (mut left, mut right) = (u64::from(count) >> half_bits & mask, u64::from(count) & mask);
        for round in 0..4 {
            let mixed = self.hash(&[purpose::TOKEN | u64::from(half_bits) << 8 | round << 16, right]);
            (left, right) = (right, left ^ (mixed & mask));
        }
        let word = (left << half_bits | right).to_be_bytes();
        let mut bytes = [0; Token::LEN_MAX];
        let mut at = 0;
        if let (Some(prefix), Some(place)) = (config.token_prefix, bytes.first_mut()) {
            *place = prefix;
            at = 1;
        }
        if let (Some(place), Some(word)) = (bytes.get_mut(at..at + len), word.get(word.len() - len..)) {
            place.copy_from_slice(word);
        }
        Token::new(bytes.get(..at + len).unwrap_or(&[])).unwrap_or_default()
    }

    /// A first timeout between ACK_TIMEOUT and ACK_TIMEOUT · ACK_RANDOM_FACTOR, in milliseconds.
    pub(super) fn first_timeout_ms(&mut self, config: &Config) -> u32 {
        let least = millis(config.ack_timeout);
        let extra = u64::from(config.ack_random_percent.max(100) - 100);
        let spread = u64::from(least).saturating_mul(extra) / 100;
        let number = self.hash(&[purpose::NUMBER, u64::from(self.drawn)]);
        self.drawn = self.drawn.wrapping_add(1);
        // The bias of a remainder is of no concern in a timeout.
        let chosen = number % spread.saturating_add(1);
        least.saturating_add(u32::try_from(chosen).unwrap_or(u32::MAX))
    }

    /// A starting point for hashes that outsiders cannot foresee.
    pub(super) const fn hasher(&self) -> SipHasher {
        SipHasher::new(self.key)
    }

    fn hash(&self, words: &[u64]) -> u64 {
        let mut hasher = self.hasher();
        for word in words {
            hasher.write(&word.to_le_bytes());
        }
        hasher.finish()
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// SipHash-2-4 (Aumasson and Bernstein), fed piece by piece.
#[derive(Clone, Debug)]
pub(super) struct SipHasher {
    state: [u64; 4],
    /// Bytes not yet mixed in, lowest first.
    tail: u64,
    tail_len: u32,
    total: u8,
}

impl SipHasher {
    pub(super) const fn new((k0, k1): (u64, u64)) -> Self {
        Self {
            state: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            tail_len: 0,
            total: 0,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.tail_len == 0
                && let Some((&word, after)) = rest.split_first_chunk()
            {
                self.mix(u64::from_le_bytes(word));
                self.total = self.total.wrapping_add(8);
                rest = after;
                continue;
            }
            self.tail |= u64::from(byte) << (8 * self.tail_len);
            self.tail_len += 1;
            self.total = self.total.wrapping_add(1);
            rest = after;
            if self.tail_len == 8 {
                self.mix(self.tail);
                (self.tail, self.tail_len) = (0, 0);
            }
        }
    }

    pub(super) fn finish(mut self) -> u64 {
        self.mix(self.tail | u64::from(self.total) << 56);
        let [v0, v1, v2, v3] = &mut self.state;
        *v2 ^= 0xff;
        for _ in 0..4 {
            sip_round(v0, v1, v2, v3);
        }
        *v0 ^ *v1 ^ *v2 ^ *v3
    }

    const fn mix(&mut self, word: u64) {
        let [v0, v1, v2, v3] = &mut self.state;
        *v3 ^= word;
        sip_round(v0, v1, v2, v3);
        sip_round(v0, v1, v2, v3);
        *v0 ^= word;
    }
}

const fn sip_round(v0: &mut u64, v1: &mut u64, v2: &mut u64, v3: &mut u64) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lightship_platform::SeededRng;
    extern crate std;
    use std::collections::HashSet;

    #[test]
    fn the_hash_is_siphash_2_4() {
        // From the reference implementation's vectors: key 00..0f, input 00..len-1.
        let key = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let input: std::vec::Vec<u8> = (0..15).collect();
        let hash = |len: usize| {
            let mut hasher = SipHasher::new(key);
            let (one, two) = input[..len].split_at(len / 3);
            hasher.write(one);
            hasher.write(two);
            hasher.finish()
        };
        assert_eq!(hash(0), 0x726f_db47_dd0e_0e31);
        assert_eq!(hash(15), 0xa129_ca61_49be_45e5);
    }

    // Proves: COA-16
    #[test]
    fn tokens_do_not_repeat_and_do_not_count() {
        let mut random = Random::new(&mut SeededRng::from_number(1));
        let config = Config { token_len: 2, ..Config::new() };
        let mut seen = HashSet::new();
        for _ in 0..65_536 {
            assert!(seen.insert(random.token(&config)));
        }
        let again = random.token(&config);
        assert!(seen.contains(&again), "all tokens of two bytes were used");
        let mut tokens = seen.iter().take(8).map(|token| token.as_bytes()[0]);
        let first = tokens.next().unwrap();
        assert!(tokens.any(|byte| byte != first));
    }

    #[test]
    fn a_token_begins_with_the_prefix_asked_for() {
        let mut random = Random::new(&mut SeededRng::from_number(1));
        let config = Config { token_len: 7, token_prefix: Some(0x5a), ..Config::new() };
        let token = random.token(&config);
        assert_eq!((token.len(), token.as_bytes()[0]), (8, 0x5a));
        assert_ne!(token, random.token(&config));
    }

    // Proves: COA-02
    #[test]
    fn the_first_timeout_lies_between_2_and_3_seconds_and_varies() {
        let mut random = Random::new(&mut SeededRng::from_number(1));
        let config = Config::new();
        let drawn: std::vec::Vec<u32> = (0..1000).map(|_| random.first_timeout_ms(&config)).collect();
        assert!(drawn.iter().all(|ms| (2_000..=3_000).contains(ms)));
        assert!(drawn.iter().min().unwrap() < &2_050 && drawn.iter().max().unwrap() > &2_950);
    }
}
