//! What the host tells the client about itself.

use core::time::Duration;

use lightship_coap as coap;
use lightship_lwm2m::Version;

use crate::object::Text;

/// Longest Endpoint Client Name in bytes.
pub const ENDPOINT_LEN_MAX: usize = 252;

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
