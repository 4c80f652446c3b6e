//! What the host tells the client about itself and its servers.

use core::time::Duration;

use lightship_coap as coap;
use lightship_lwm2m::{ShortServerId, Version};

use crate::object::Text;

/// Longest Endpoint Client Name in bytes.
pub const ENDPOINT_LEN_MAX: usize = 252;
/// Longest server URI in bytes, path and query included.
pub const URI_LEN_MAX: usize = 255;

/// What concerns the device as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// Endpoint Client Name, sent as `ep`.
    pub endpoint: Text<ENDPOINT_LEN_MAX>,
    /// Highest enabler version to offer; a server that answers 4.12 is offered the next lower one.
    pub version: Version,
    /// Bindings of this device, sent as `b`; the same as `/3/0/16`.
    pub binding: Text<8>,
    /// CoAP parameters towards every server.
    pub coap: coap::Config,
    /// How often values that nobody announced as changed are looked at while they are observed; `None` = only after
    /// [`Client::objects_mut`](crate::Client::objects_mut). For objects that compute values when they are read.
    pub sample_every: Option<Duration>,
    /// How long an answer may stay open ([`Refusal::Later`](crate::Refusal::Later)) before the engine answers 5.03.
    pub answer_within: Duration,
    /// In which direction a threshold fires.
    pub thresholds: Thresholds,
    /// The format of Sends: SenML CBOR (112), SenML JSON (110), or LwM2M CBOR (11544), in place of which a server older than 1.2
    /// gets SenML CBOR.
    pub send_format: coap::ContentFormat,
}

impl Config {
    /// Defaults: LwM2M 1.2, binding U, CoAP parameters of RFC 7252, no sampling, answers within 60 s, two-way thresholds,
    /// Sends in SenML CBOR.
    pub fn new(endpoint: &str) -> Self {
        Config {
            endpoint: Text::new(endpoint),
            version: Version::LATEST,
            binding: Text::new("U"),
            coap: coap::Config::default(),
            sample_every: None,
            answer_within: Duration::from_secs(60),
            thresholds: Thresholds::BothWays,
            send_format: coap::ContentFormat::SENML_CBOR,
        }
    }
}

/// In which direction the attributes `gt` and `lt` fire; the standard's text and its examples disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thresholds {
    /// A crossing fires in either direction, as the text says.
    BothWays,
    /// `gt` fires only upwards and `lt` only downwards, as the examples have it.
    OneWay,
}

/// One server account: the facts of its Security (0) and Server (1) instances.
///
/// Times are in seconds, as the standard's resources have them.
#[derive(Debug, Clone)]
pub struct Account {
    /// Short Server ID, `/1/x/0`.
    pub ssid: ShortServerId,
    /// Server URI, `/0/x/0`; its path and query stand before everything the client asks for there.
    pub uri: Text<URI_LEN_MAX>,
    /// Lifetime of the registration, `/1/x/1`; 0 = for ever (1.2).
    pub lifetime_s: u32,
    /// Default pmin, `/1/x/2`.
    pub default_pmin_s: Option<u32>,
    /// Default pmax, `/1/x/3`.
    pub default_pmax_s: Option<u32>,
    /// Disable Timeout, `/1/x/5`; 86400 when absent.
    pub disable_timeout_s: Option<u32>,
    /// Notification Storing, `/1/x/6`.
    pub notification_storing: bool,
    /// Binding, `/1/x/7`.
    pub binding: Text<8>,
    /// Mute Send, `/1/x/23`: only `Some(false)` allows [`Client::send`](crate::Client::send).
    pub mute_send: Option<bool>,
    /// Whether notifications are confirmable unless an attribute says otherwise, `/1/x/26`.
    pub confirmable_notifications: bool,
    /// Retry timers, `/1/x/17` to `/1/x/20`.
    pub retry: Retry,
}

impl Account {
    /// An account with lifetime 86400 s, binding U, notification storing on, Send muted and the standard's retry timers.
    pub fn new(ssid: ShortServerId, uri: &str) -> Self {
        Account {
            ssid,
            uri: Text::new(uri),
            lifetime_s: 86_400,
            default_pmin_s: None,
            default_pmax_s: None,
            disable_timeout_s: None,
            notification_storing: true,
            binding: Text::new("U"),
            mute_send: None,
            confirmable_notifications: false,
            retry: Retry::default(),
        }
    }

    /// Sets the lifetime.
    #[must_use]
    pub fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime_s = seconds;
        self
    }
}

/// How a client goes on after a failed registration (TS_Core 6.2.1, `/1/x/17` to `/1/x/20`).
///
/// `count` attempts with `timer_s · 2^(attempt − 1)` between them are one sequence; `sequence_count` sequences with
/// `sequence_delay_s` between them. After the last one the client keeps trying with the last delay, since a device
/// without a Bootstrap-Server has nobody else to turn to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Communication Retry Count, at least 1.
    pub count: u16,
    /// Communication Retry Timer.
    pub timer_s: u32,
    /// Communication Sequence Delay Timer.
    pub sequence_delay_s: u32,
    /// Communication Sequence Retry Count.
    pub sequence_count: u16,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { count: 5, timer_s: 60, sequence_delay_s: 86_400, sequence_count: 1 }
    }
}
