//! What the host tells the client about itself.

use core::time::Duration;

use lightship_coap as coap;
use lightship_lwm2m::Version;

use crate::object::Text;

/// Longest Endpoint Client Name in bytes.
pub const ENDPOINT_LEN_MAX: usize = 252;

/// Longest number for SMS in bytes.
pub const SMS_LEN_MAX: usize = 32;
/// Longest Profile ID in bytes.
pub const PROFILE_LEN_MAX: usize = 72;

/// What concerns the device as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// Endpoint Client Name, sent as `ep`.
    pub endpoint: Text<ENDPOINT_LEN_MAX>,
    /// Highest enabler version to offer; a server that answers 4.12 is offered the next lower one.
    pub version: Version,
    /// Whether `ep` is left out for servers (since 1.1) that learn the name from the transport security of their account: only
    /// where the identity there is the same and always reaches the server.
    pub endpoint_by_identity: bool,
    /// Bindings of this device, sent as `b` to servers since 1.1 when there is no `/3/0/16`; 1.0 is told `/1/x/7`.
    pub binding: Text<8>,
    /// The number for SMS, sent as `sms`: digits without plus sign, or an external identifier.
    pub sms: Option<Text<SMS_LEN_MAX>>,
    /// Whether a registration names a profile instead of listing objects, where the server has learnt it (1.2).
    pub profile: Profile,
    /// CoAP parameters towards every server.
    pub coap: coap::Config,
    /// How often values that nobody announced as changed are looked at while they are observed; `None` = only after
    /// [`Client::objects_mut`](crate::Client::objects_mut). For objects that compute values when they are read.
    pub sample_every: Option<Duration>,
    /// How long an answer may stay open ([`Refusal::Later`](crate::Refusal::Later)) before the engine answers 5.03.
    pub answer_within: Duration,
    /// In which direction a threshold fires.
    pub thresholds: Thresholds,
    /// Whether the Bootstrap-Server is asked for a Bootstrap-Pack first (1.2), and for commands only when there is none.
    pub bootstrap_pack: bool,
    /// Queue Mode: the client sleeps between exchanges, and servers keep their requests for the time when it is awake.
    pub queue_mode: Option<QueueMode>,
    /// The format of Sends: SenML CBOR (112), SenML JSON (110), or LwM2M CBOR (11544), in place of which a server older than 1.2
    /// gets SenML CBOR.
    pub send_format: coap::ContentFormat,
}

impl Config {
    /// Defaults: LwM2M 1.2, binding U, neither SMS nor profile nor pack, CoAP parameters of RFC 7252, no sampling, answers within 60 s, two-way thresholds,
    /// Sends in SenML CBOR.
    pub fn new(endpoint: &str) -> Self {
        Config {
            endpoint: Text::new(endpoint),
            version: Version::LATEST,
            endpoint_by_identity: false,
            binding: Text::new("U"),
            sms: None,
            profile: Profile::None,
            coap: coap::Config::default(),
            sample_every: None,
            answer_within: Duration::from_secs(60),
            thresholds: Thresholds::BothWays,
            bootstrap_pack: false,
            queue_mode: None,
            send_format: coap::ContentFormat::SENML_CBOR,
        }
    }
}

/// How a client in Queue Mode sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueMode {
    /// How long the client listens after the last message in either direction: the same as the server assumes.
    pub awake: Duration,
    /// At the latest how often it wakes. `Some`: whatever becomes due while it sleeps waits for that moment, except what
    /// keeps a registration alive. `None`: whatever becomes due wakes it.
    pub wake_every: Option<Duration>,
}

impl Default for QueueMode {
    /// Awake for MAX_TRANSMIT_WAIT, 93 s; whatever becomes due wakes the client.
    fn default() -> Self {
        QueueMode { awake: Duration::from_secs(93), wake_every: None }
    }
}

/// What a registration says in place of a list of objects, as `pid` (TS_Core 6.2.1, since 1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// Always the list.
    None,
    /// A name that both sides know: `oma:` or `v:` and letters, digits and hyphens. The list follows only when the server does
    /// not know it, or when it changes.
    Named(Text<PROFILE_LEN_MAX>),
    /// A hash over objects, versions and instances, by the suite that `/1/x/27` prefers, else of 64 bits. The first registration
    /// says it along with the list; once a server accepted both, the hash alone is enough.
    #[cfg(feature = "profile-id")]
    Hashed,
}

/// In which direction the attributes `gt` and `lt` fire; the standard's text and its examples disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thresholds {
    /// A crossing fires in either direction, as the text says.
    BothWays,
    /// `gt` fires only upwards and `lt` only downwards, as the examples have it.
    OneWay,
}
