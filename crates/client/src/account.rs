//! One server account: the facts of its Security (0) and Server (1) instances (TS_Core E.1, E.2).

use core::fmt;

use lightship_lwm2m::{ObjectInstanceId, ObjectLink, ShortServerId, Version};

use crate::object::{Array, Text};

/// Longest server URI in bytes, path and query included.
pub const URI_LEN_MAX: usize = 255;
/// Longest key, identity or certificate in bytes, without an allocator.
#[cfg(not(feature = "heap"))]
pub const SECRET_LEN_MAX: usize = 64;
/// Longest key, identity or certificate in bytes.
#[cfg(feature = "heap")]
pub const SECRET_LEN_MAX: usize = 8192;

/// Longest Server Name Indication in bytes, without an allocator.
#[cfg(not(feature = "heap"))]
pub const SERVER_NAME_LEN_MAX: usize = 64;
/// Longest Server Name Indication in bytes.
#[cfg(feature = "heap")]
pub const SERVER_NAME_LEN_MAX: usize = 255;

/// One server account, or the Bootstrap-Server's: an instance of Security (0) and, unless it is the Bootstrap-Server's, the
/// instance of Server (1) with the same Short Server ID.
///
/// Times are in seconds, as the standard's resources have them. Of the resources of `/1` that are `None` the standard's default
/// counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Short Server ID, `/0/x/10` and `/1/x/0`; `None` for the Bootstrap-Server.
    pub ssid: Option<ShortServerId>,
    /// Server URI, `/0/x/0`; its path and query stand before everything the client asks for there.
    pub uri: Text<URI_LEN_MAX>,
    /// The other resources of `/0`.
    pub security: Security,
    /// The instance of `/1`; [`Client::add_account`](crate::Client::add_account) chooses the lowest free one if this is taken.
    pub server_instance: ObjectInstanceId,
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
    /// APN Link, `/1/x/10`; kept for the host, which owns the modem.
    pub apn_link: Option<ObjectLink>,
    /// Last alert of DTLS, `/1/x/11`.
    pub tls_alert: Option<u8>,
    /// When the account was written by bootstrap, `/1/x/12`, in Unix seconds; needs [`Client::set_date`](crate::Client::set_date).
    pub last_bootstrapped_s: Option<i64>,
    /// Registration Priority Order, `/1/x/13`.
    pub priority: Option<u32>,
    /// Initial Registration Delay Timer, `/1/x/14`; 0 when absent.
    pub initial_delay_s: Option<u32>,
    /// Registration Failure Block, `/1/x/15`; false when absent.
    pub failure_block: Option<bool>,
    /// Bootstrap on Registration Failure, `/1/x/16`; true when absent.
    pub bootstrap_on_failure: Option<bool>,
    /// Retry timers, `/1/x/17` to `/1/x/20`.
    pub retry: Retry,
    /// Trigger, `/1/x/21`: whether the server may wake the device by SMS; kept for the host, which owns the modem.
    pub trigger: Option<bool>,
    /// Preferred Transport, `/1/x/22`.
    pub preferred_transport: Option<Text<1>>,
    /// Mute Send, `/1/x/23`: only `Some(false)` allows [`Client::send`](crate::Client::send).
    pub mute_send: Option<bool>,
    /// Alternate APN Links, `/1/x/24`; kept for the host.
    pub alternate_apn_links: Option<Array<ObjectLink, 2>>,
    /// Supported Server Versions, `/1/x/25`: the highest of them that the client speaks is offered.
    pub supported_versions: Option<Array<Text<8>, 4>>,
    /// Whether notifications are confirmable unless an attribute says otherwise, `/1/x/26`; false when absent.
    pub confirmable_notifications: Option<bool>,
    /// Profile ID Hash Algorithm, `/1/x/27`.
    pub profile_hash: Option<u8>,
}

impl Account {
    /// An account with lifetime 86400 s, binding U, notification storing on, Send muted and the standard's retry timers, without
    /// transport security.
    pub fn new(ssid: ShortServerId, uri: &str) -> Self {
        Account {
            ssid: Some(ssid),
            uri: Text::new(uri),
            security: Security::default(),
            server_instance: ObjectInstanceId::ZERO,
            lifetime_s: 86_400,
            default_pmin_s: None,
            default_pmax_s: None,
            disable_timeout_s: None,
            notification_storing: true,
            binding: Text::new("U"),
            apn_link: None,
            tls_alert: None,
            last_bootstrapped_s: None,
            priority: None,
            initial_delay_s: None,
            failure_block: None,
            bootstrap_on_failure: None,
            retry: Retry::default(),
            trigger: None,
            preferred_transport: None,
            mute_send: None,
            alternate_apn_links: None,
            supported_versions: None,
            confirmable_notifications: None,
            profile_hash: None,
        }
    }

    /// The account of a Bootstrap-Server, without transport security.
    pub fn bootstrap(uri: &str) -> Self {
        let mut account = Account::new(ShortServerId::MIN, uri);
        account.ssid = None;
        account.security.bootstrap = true;
        account
    }

    /// Sets the lifetime.
    #[must_use]
    pub fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime_s = seconds;
        self
    }

    /// Whether it is the Bootstrap-Server's.
    pub fn is_bootstrap(&self) -> bool {
        self.security.bootstrap
    }

    /// The highest version up to `at_most` that Supported Server Versions lists; `at_most` itself where there is no such list, or
    /// nothing in it that this client speaks.
    pub(crate) fn offer(&self, at_most: Version) -> Version {
        let listed = self.supported_versions.iter().flat_map(Array::iter);
        let known = listed.filter_map(|(_, text)| release(text.as_str()));
        known.filter(|version| *version <= at_most).max().unwrap_or(at_most)
    }
}

/// The release that `1.1` or `1.1.1` belongs to.
fn release(text: &str) -> Option<Version> {
    let version = text.get(..3)?;
    let rest = text.get(3..)?;
    version.parse().ok().filter(|_| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a text is a version as `/1/x/25` has them: `1.1` or `1.2.1`.
pub(crate) fn is_version(text: &str) -> bool {
    let number = |part: &str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.split('.').count();
    (2..=3).contains(&count) && text.split('.').all(number)
}

/// How the client and one server know each other: `/0/x` without the URI.
#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    /// The instance of `/0`; [`Client::add_account`](crate::Client::add_account) chooses the lowest free one if this is taken.
    pub instance: ObjectInstanceId,
    /// Bootstrap-Server, `/0/x/1`.
    pub bootstrap: bool,
    /// Security Mode, `/0/x/2`.
    pub mode: SecurityMode,
    /// Public Key or Identity, `/0/x/3`.
    pub identity: Secret,
    /// Server Public Key, `/0/x/4`.
    pub server_key: Secret,
    /// Secret Key, `/0/x/5`.
    pub key: Secret,
    /// Client Hold Off Time, `/0/x/11`.
    pub hold_off_s: Option<u32>,
    /// Bootstrap-Server Account Timeout, `/0/x/12`; 0 or absent = never.
    pub account_timeout_s: Option<u32>,
    /// Matching Type, `/0/x/13`: 0 when absent.
    pub matching_type: Option<u8>,
    /// Server Name Indication, `/0/x/14`.
    pub server_name: Option<Text<SERVER_NAME_LEN_MAX>>,
    /// Certificate Usage, `/0/x/15`: 3 when absent.
    pub certificate_usage: Option<u8>,
    /// Cipher suites, `/0/x/16`: these and no others are offered, in this order.
    pub ciphersuites: Option<Array<u16, 4>>,
    /// What else may be told about handshakes.
    #[cfg(feature = "heap")]
    pub tls: Tls,
    /// The OSCORE instance (21) of this account, `/0/x/17`.
    pub oscore: Option<ObjectLink>,
}

impl Default for Security {
    fn default() -> Self {
        Security {
            instance: ObjectInstanceId::ZERO,
            bootstrap: false,
            mode: SecurityMode::NoSec,
            identity: Secret::default(),
            server_key: Secret::default(),
            key: Secret::default(),
            hold_off_s: None,
            account_timeout_s: None,
            matching_type: None,
            server_name: None,
            certificate_usage: None,
            ciphersuites: None,
            #[cfg(feature = "heap")]
            tls: Tls::default(),
            oscore: None,
        }
    }
}

/// Features of handshakes, `/0/x/18` to `/0/x/24` (1.2). What is `None` is absent.
#[cfg(feature = "heap")]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    /// Groups to use by the client, `/0/x/18`: these and no others are offered, in this order.
    pub groups: Option<Array<u16, 4>>,
    /// Signature algorithms that the server supports, `/0/x/19`.
    pub server_signatures: Option<Array<u16, 4>>,
    /// Signature algorithms to use by the client, `/0/x/20`.
    pub signatures: Option<Array<u16, 4>>,
    /// Signature algorithms in certificates, `/0/x/21`.
    pub certificate_signatures: Option<Array<u16, 4>>,
    /// TLS 1.3 features to use by the client, `/0/x/22`; DTLS 1.2 has none of them.
    pub tls13_features: Option<u32>,
    /// Extensions that the server supports, `/0/x/23`.
    pub server_extensions: Option<u32>,
    /// Extensions to use by the client, `/0/x/24`.
    pub extensions: Option<u32>,
}

/// Security Mode, `/0/x/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityMode {
    /// 0: a pre-shared key.
    Psk,
    /// 1: raw public keys.
    RawPublicKey,
    /// 2: certificates.
    Certificate,
    /// 3: none.
    NoSec,
    /// 4: certificates by EST.
    Est,
}

impl SecurityMode {
    /// The number of the resource.
    pub const fn number(self) -> u8 {
        match self {
            SecurityMode::Psk => 0,
            SecurityMode::RawPublicKey => 1,
            SecurityMode::Certificate => 2,
            SecurityMode::NoSec => 3,
            SecurityMode::Est => 4,
        }
    }

    /// The mode of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => SecurityMode::Psk,
            1 => SecurityMode::RawPublicKey,
            2 => SecurityMode::Certificate,
            3 => SecurityMode::NoSec,
            4 => SecurityMode::Est,
            _ => return None,
        })
    }
}

/// A key, identity or certificate. It is never printed: `Debug` shows the length.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    #[cfg(not(feature = "heap"))]
    bytes: crate::object::Bytes<SECRET_LEN_MAX>,
    #[cfg(feature = "heap")]
    bytes: alloc::vec::Vec<u8>,
}

impl Secret {
    /// Copies the bytes; `None` when they are more than [`SECRET_LEN_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SECRET_LEN_MAX {
            return None;
        }
        Some(Secret {
            #[cfg(not(feature = "heap"))]
            bytes: crate::object::Bytes::new(bytes),
            #[cfg(feature = "heap")]
            bytes: bytes.into(),
        })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        #[cfg(not(feature = "heap"))]
        return self.bytes.as_slice();
        #[cfg(feature = "heap")]
        &self.bytes
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.as_slice().len())
    }
}

/// How a client goes on after a failed registration (TS_Core 6.2.1, `/1/x/17` to `/1/x/20`).
///
/// `count` attempts with `timer_s · 2^(attempt − 1)` between them are one sequence; `sequence_count` sequences with
/// `sequence_delay_s` between them. What is `None` is absent, and the default of the standard counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    /// Communication Retry Count, at least 1.
    pub count: Option<u16>,
    /// Communication Retry Timer.
    pub timer_s: Option<u32>,
    /// Communication Sequence Delay Timer.
    pub sequence_delay_s: Option<u32>,
    /// Communication Sequence Retry Count.
    pub sequence_count: Option<u16>,
}

impl Retry {
    /// All four set.
    pub const fn new(count: u16, timer_s: u32, sequence_delay_s: u32, sequence_count: u16) -> Self {
        Retry {
            count: Some(count),
            timer_s: Some(timer_s),
            sequence_delay_s: Some(sequence_delay_s),
            sequence_count: Some(sequence_count),
        }
    }

    /// Attempts of one sequence; 5 unless set.
    pub fn count(&self) -> u16 {
        self.count.unwrap_or(5).max(1)
    }

    /// Seconds after the first attempt, doubled after each further one; 60 unless set.
    pub fn timer_s(&self) -> u32 {
        self.timer_s.unwrap_or(60)
    }

    /// Seconds between sequences; 86400 unless set.
    pub fn sequence_delay_s(&self) -> u32 {
        self.sequence_delay_s.unwrap_or(86_400)
    }

    /// Sequences; 1 unless set.
    pub fn sequence_count(&self) -> u16 {
        self.sequence_count.unwrap_or(1)
    }
}
