//! What the host tells the client about itself.

use core::time::Duration;

use lightship_coap as coap;
use lightship_lwm2m::Version;

use crate::object::Text;

/// Longest Endpoint Client Name in bytes.
pub const ENDPOINT_LEN_MAX: usize = 252;

/// Longest number for SMS in bytes.
pub const SMS_LEN_MAX: usize = 32;
/// Longest alternate path in bytes, without slashes around it.
pub const ALTERNATE_PATH_LEN_MAX: usize = 32;
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
    /// What stands before the path of every object, from registrations on (TS_Core 6.2.1, `rt="oma.lwm2m"`). Bootstrap does
    /// without it.
    pub alternate_path: Option<AlternatePath>,
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
    /// Defaults: LwM2M 1.2, binding U, neither SMS nor alternate path nor profile nor pack, CoAP parameters of RFC 7252, no
    /// sampling, answers within 60 s, two-way thresholds, Sends in SenML CBOR.
    pub fn new(endpoint: &str) -> Self {
        Config {
            endpoint: Text::new(endpoint),
            version: Version::LATEST,
            endpoint_by_identity: false,
            binding: Text::new("U"),
            sms: None,
            alternate_path: None,
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

    /// The alternate path; empty for none.
    pub(crate) fn root(&self) -> &str {
        self.alternate_path.as_ref().map_or("", AlternatePath::as_str)
    }
}

/// The path under which a device keeps its objects, in place of `/`: one or more segments, none of them a number, which would
/// look like an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternatePath(Text<ALTERNATE_PATH_LEN_MAX>);

impl AlternatePath {
    /// Takes `/lwm2m`; slashes around it do not matter. `None` for what is empty, too long, has a numeric segment or one of dots, or
    /// anything but letters, digits and `-._~`, which stand in links, URIs and names as they are.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let fits = |segment: &str| {
            let bytes = segment.as_bytes();
            !matches!(bytes, b"" | b"." | b"..")
                && bytes.iter().copied().all(plain)
                && !bytes.iter().all(u8::is_ascii_digit)
        };
        let legal = text.len() <= ALTERNATE_PATH_LEN_MAX && text.split('/').all(fits);
        legal.then(|| AlternatePath(Text::new(text)))
    }

    /// Without slashes around it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
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
