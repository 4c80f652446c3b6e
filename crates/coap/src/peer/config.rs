//! What can be tuned about a conversation, and the spans that follow from it (RFC 7252 §4.8).

use lightship_platform::Duration;

use crate::block::BlockSize;
use crate::option::OptionNumber;

/// Every parameter of a [`Peer`](super::Peer); lent to each call, so that a million peers share one.
///
/// Changing a parameter while exchanges run is harmless: it counts from the next timer on.
#[derive(Clone, Debug)]
pub struct Config {
    /// ACK_TIMEOUT: the shortest first wait for an acknowledgement. Default 2 s; NB-IoT wants 4 s
    /// to 15 s.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR in percent: the first wait is chosen between 100 % and this much of
    /// `ack_timeout`. Default 150; values below 100 count as 100.
    pub ack_random_percent: u16,
    /// MAX_RETRANSMIT: how often a confirmable message is repeated before it counts as lost.
    /// Default 4.
    pub max_retransmit: u8,
    /// NSTART: how many requests and confirmable notifications may be open at a time. Default 1.
    pub nstart: u8,
    /// MAX_LATENCY: the longest time a datagram is expected to spend on its way. Default 100 s.
    pub max_latency: Duration,
    /// How long a request may wait for the application before it is acknowledged on its own, so
    /// that the other side stops repeating it. Default 1 s; keep it below `ack_timeout`.
    pub piggyback_within: Duration,
    /// How long to wait for the response after the request was acknowledged or, unconfirmed, was
    /// sent. Default 247 s; an application that knows better cancels earlier.
    pub response_within: Duration,
    /// The longest message we send, in bytes. Default 1152 (RFC 7252 §4.6). Where options leave too
    /// little room for a block, a smaller block is sent.
    pub message_len_max: usize,
    /// The block size for bodies we send, and the largest we ask for. Default 1024 bytes.
    pub block_size: BlockSize,
    /// Ask for `block_size` in the first request already, so that even the first block of the
    /// response fits a small buffer. Default: no.
    pub early_block2: bool,
    /// The largest body accepted, in bytes, whether in one message or in blocks. Default 64 KiB.
    pub body_len_max: usize,
    /// How much a heap-backed peer may hold in bodies and stored answers, in bytes. Default
    /// 256 KiB. A [`FixedBuffer`](super::FixedBuffer) is limited by its own size instead.
    pub buffer_len_max: usize,
    /// How many received message IDs a heap-backed peer remembers. Default 16; the oldest make
    /// room.
    pub seen_max: usize,
    /// Number of random bytes in a token, 1 to 7. Default 4, the least RFC 7252 §5.3.1 allows
    /// without transport security.
    pub token_len: u8,
    /// A byte put before the random bytes of each token, for whoever wants to sort incoming
    /// responses by it. Default none.
    pub token_prefix: Option<u8>,
    /// Whether answers that do not fit one message are kept for the other side to fetch block by
    /// block. Default yes; who answers with short messages only turns it off, and spares each
    /// request without a Block option the hash that would identify it.
    pub keep_answers: bool,
    /// The critical options that the application (or this crate) acts upon. A request with any
    /// other is refused with 4.02, or 5.05 for a proxy's. The default is what LwM2M needs.
    pub understood: &'static [OptionNumber],
}

/// The critical options of a plain LwM2M endpoint.
pub const UNDERSTOOD: &[OptionNumber] = &[
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK1,
    OptionNumber::BLOCK2,
];

impl Config {
    /// The standard's parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_percent: 150,
            max_retransmit: 4,
            nstart: 1,
            max_latency: Duration::from_secs(100),
            piggyback_within: Duration::from_secs(1),
            response_within: Duration::from_secs(247),
            message_len_max: 1152,
            block_size: BlockSize::MAX,
            early_block2: false,
            body_len_max: 64 * 1024,
            buffer_len_max: 256 * 1024,
            seen_max: 16,
            token_len: 4,
            token_prefix: None,
            keep_answers: true,
            understood: UNDERSTOOD,
        }
    }

    /// The room for a payload beside this token and these options, in bytes.
    pub(super) fn payload_room(&self, token_len: u8, options_len: usize) -> usize {
        /// Header, Block1, Block2, a size, an entity tag of four bytes, and the payload marker.
        const OVERHEAD: usize = 4 + 5 + 5 + 6 + 6 + 1;
        self.message_len_max.saturating_sub(OVERHEAD + usize::from(token_len) + options_len)
    }

    /// MAX_TRANSMIT_SPAN: from the first sending of a confirmable message to its last repetition;
    /// 45 s by default.
    #[must_use]
    pub fn max_transmit_span(&self) -> Duration {
        Duration::from_micros(self.transmit_span_us(0))
    }

    /// MAX_TRANSMIT_WAIT: from the first sending to giving up; 93 s by default.
    #[must_use]
    pub fn max_transmit_wait(&self) -> Duration {
        Duration::from_micros(self.transmit_span_us(1))
    }

    /// EXCHANGE_LIFETIME: how long a confirmable message's ID stays in use; 247 s by default.
    #[must_use]
    pub fn exchange_lifetime(&self) -> Duration {
        Duration::from_micros(self.exchange_lifetime_us())
    }

    /// NON_LIFETIME: how long a non-confirmable message's ID stays in use; 145 s by default.
    #[must_use]
    pub fn non_lifetime(&self) -> Duration {
        Duration::from_micros(self.non_lifetime_us())
    }

    pub(super) fn exchange_lifetime_us(&self) -> u64 {
        let there_and_back = micros(self.max_latency).saturating_mul(2);
        let span = self.transmit_span_us(0).saturating_add(there_and_back);
        span.saturating_add(micros(self.ack_timeout))
    }

    pub(super) fn non_lifetime_us(&self) -> u64 {
        self.transmit_span_us(0).saturating_add(micros(self.max_latency))
    }

    /// From the first sending to the last repetition and `more` waits, each twice as long as the one before. In microseconds,
    /// since this is asked for each message.
    fn transmit_span_us(&self, more: u32) -> u64 {
        let percent = u64::from(self.ack_random_percent.max(100));
        let first = micros(self.ack_timeout).saturating_mul(percent) / 100;
        let doublings = 1_u64.checked_shl(u32::from(self.max_retransmit) + more).unwrap_or(u64::MAX);
        first.saturating_mul(doublings - 1)
    }
}

fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(span.subsec_micros()))
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derived_spans_are_those_of_the_standard() {
        let config = Config::new();
        assert_eq!(config.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(config.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(config.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(config.non_lifetime(), Duration::from_secs(145));
    }

    #[test]
    fn absurd_parameters_saturate() {
        let config = Config { max_retransmit: 255, ack_timeout: Duration::MAX, ..Config::new() };
        assert!(config.exchange_lifetime() >= config.max_transmit_span());
    }
}
