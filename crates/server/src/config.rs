//! How a shard behaves.

use core::time::Duration;

use crate::{Limits, Security, Transmission};

/// The settings of one shard; plain values, all of them legal.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number, the first byte of its locators.
    pub shard: u8,
    /// How many shards there are; datagrams for locators of other numbers are nobody's.
    pub shards: u8,
    /// This node's number, the second byte of its locators.
    pub node: u8,
    /// The transmission parameters of CoAP (RFC 7252 §4.8).
    pub coap: lightship_coap::Config,
    /// Other ones for some devices, the first that fits; at most [`TRANSMISSIONS_MAX`](crate::limits::TRANSMISSIONS_MAX).
    pub transmissions: Vec<Transmission>,
    /// What it takes to speak coaps; `None`: what comes to [`Shard::handle_secured_input`](crate::Shard::handle_secured_input) is
    /// dropped.
    pub security: Option<Security>,
    /// How long the host may think about a question; then the answer is no.
    pub ask_timeout: Duration,
    /// How long after its lifetime a registration still stands.
    pub registration_grace: Duration,
    /// How long a device in Queue Mode listens after its last message (TS_Transport 6.5 advises MAX_TRANSMIT_WAIT);
    /// devices and server must be set alike.
    pub awake_window: Duration,
    /// Whether a Register or Update with a parameter that the server does not know gets 4.00 (the letter of the
    /// standard); otherwise it is kept and shown.
    pub strict_parameters: bool,
    /// What an Update without security from another address than the registration's does.
    pub rebinding: Rebinding,
    /// An observation under which nothing came for so long is started anew at the next Update: the device may have
    /// lost it. The standard has a device send something under each once a day (RFC 7641 §4.5); one in Queue Mode gets
    /// [`SLEEPER_REFRESH_MIN`](crate::limits::SLEEPER_REFRESH_MIN) at least.
    pub observation_refresh: Duration,
    /// Bytes for the last messages of all devices ([`Shard::trace`](crate::Shard::trace)); 0 = nothing is recorded.
    pub trace_bytes: usize,
    /// Every bound.
    pub limits: Limits,
}

/// Whether a device without security may move to another address by an Update.
///
/// The standard wants a new Register then (TS_Transport 6.4.1); behind a NAT that forgets quickly, moving saves
/// the device from registering anew each time, at the price that whoever learns a location can move the device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Rebinding {
    /// The Update gets 4.04 and the device registers anew.
    #[default]
    Refuse,
    /// The Update moves the registration to its address.
    Follow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shard: 0,
            shards: 1,
            node: 0,
            coap: lightship_coap::Config::default(),
            transmissions: Vec::new(),
            security: None,
            ask_timeout: Duration::from_secs(10),
            registration_grace: Duration::ZERO,
            awake_window: Duration::from_secs(93),
            strict_parameters: false,
            rebinding: Rebinding::default(),
            observation_refresh: Duration::from_secs(60 * 60),
            trace_bytes: 4 << 20,
            limits: Limits::default(),
        }
    }
}
