//! Every bound of the shard, by name.
//!
//! A shard's memory is at most what these numbers and the number of registered devices say, whatever arrives.

use core::time::Duration;

/// Bounds that an operator may set; the defaults serve a fleet of up to a million small devices a shard.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Registered devices; beyond it a Register gets 5.03.
    pub registrations: usize,
    /// Addresses without a registration that may be in the middle of something (a Register under way, its answer
    /// kept for repetitions); the oldest gives way to a new one.
    pub strangers: usize,
    /// Registers that wait for the host's answer; beyond it 5.03.
    pub asks: usize,
    /// Downlink requests waiting for one device, the one under way included; observations to start count too.
    pub line: usize,
    /// Downlink requests of all devices together.
    pub requests: usize,
    /// Observations of one device.
    pub observations_per_device: usize,
    /// Bytes of one body that arrives in blocks from a device (a Send, a long answer).
    pub body: usize,
    /// Bytes of the body of a Register or Update: the list of objects.
    pub register_body: usize,
    /// Bytes of one body that we send to a device (a firmware image is the longest).
    pub request_body: usize,
    /// Object links kept of one registration.
    pub links: usize,
    /// Registration parameters kept that the server does not know.
    pub attributes: usize,
    /// Profile IDs of which the list is kept; 0 = every device must send its own.
    pub profiles: usize,
    /// Addresses whose datagrams are handed to another shard.
    pub forwards: usize,
    /// Registers of one device in a minute, in the long run; as many more may come at once, and beyond it a Register gets 4.29 with
    /// the time to wait. The device is who has proven its name, or without security the name at that address. 0 = no limit.
    pub registers_a_minute_per_device: u32,
    /// Registers from one address in a minute, in the same way; beyond it 5.03. Loopback has no limit, since whoever comes from there
    /// speaks for others. 0 = no limit.
    pub registers_a_minute_per_address: u32,
    /// The same for one network (/24 or /56).
    pub registers_a_minute_per_prefix: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations: 1_000_000,
            strangers: 4096,
            asks: 4096,
            line: 128,
            requests: 65_536,
            observations_per_device: 64,
            body: 1 << 20,
            register_body: 16 << 10,
            request_body: 16 << 20,
            links: 512,
            attributes: 16,
            profiles: 1024,
            forwards: 4096,
            registers_a_minute_per_device: 60,
            registers_a_minute_per_address: 12_000,
            registers_a_minute_per_prefix: 60_000,
        }
    }
}

/// Longest Endpoint Client Name, in bytes (the length of a CoAP option, less `ep=`).
pub const ENDPOINT_LEN_MAX: usize = 252;

/// Longest datagram that the shard makes: what RFC 7252 §4.6 calls safe without knowing the path.
pub const DATAGRAM_LEN_MAX: usize = 1280;

/// Longest answer to an address that has not registered and gets no state (a refusal, a Reset).
pub const STATELESS_LEN_MAX: usize = 64;

/// How many times the bytes received from an address are sent there at most, before it has answered anything
/// (RFC 9175 §2.6, RFC 7252 §11.3).
pub const AMPLIFICATION_MAX: u32 = 3;

/// A request with more payload than this is preceded by a ping where the address has not answered anything yet.
pub const UNPROVEN_PAYLOAD_MAX: usize = 64;

/// Rules for the transmission parameters of some devices ([`Transmission`](crate::Transmission)).
pub const TRANSMISSIONS_MAX: usize = 64;

/// Stateless answers that wait to be sent; by the drain rule one input makes one.
pub const STATELESS_MAX: usize = 64;

/// A device in Queue Mode may be silent under an observation for so long at least before it is started anew: it sends
/// a confirmable notification once a day (RFC 7641 §4.5), or when it wakes next, and each start costs it energy.
pub const SLEEPER_REFRESH_MIN: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// MAX_TRANSMIT_SPAN of RFC 7252 §4.8.2: a copy of a notification comes no later after the first one.
pub(crate) const TRANSMIT_SPAN_MAX: Duration = Duration::from_secs(45);

/// How long an observation whose start was crossed runs before it is started once more. Periods of a device are whole
/// seconds: half a one beside them nothing crosses again.
pub(crate) const CROSSED_SETTLE: Duration = Duration::from_millis(5500);

/// First pause before a wanted observation that failed is tried again; doubles up to [`OBSERVE_RETRY_MAX`].
pub const OBSERVE_RETRY_MIN: Duration = Duration::from_secs(5);

/// Longest pause between two attempts to start a wanted observation.
pub const OBSERVE_RETRY_MAX: Duration = Duration::from_secs(15 * 60);

/// About what a record takes besides its data, where it is weighed whether it may be sent.
pub(crate) const RECORD_OVERHEAD: usize = 40;

/// Devices, addresses and networks whose Registers are counted at a time, in 16 bytes each.
pub(crate) const METERED_MAX: usize = 8192;

/// Identities whose handshakes are counted at a time, in 16 bytes each.
pub(crate) const METERED_IDENTITIES_MAX: usize = 4096;

/// Handshakes that came to nothing of which the host is told in a minute, of each of three kinds (refused; broken; abandoned); as many may
/// come at once. Beyond it they are counted only: strangers must not keep the host busy.
pub const FAILURES_TOLD_A_MINUTE: u32 = 6000;

/// Longest PSK identity that is looked up, in bytes; longer ones are refused without asking (RFC 4279 §5.3 demands 128).
pub const PSK_IDENTITY_LEN_MAX: usize = 128;
