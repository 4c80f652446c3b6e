//! What a device shall be: the configuration file under the flags, and then the meaning of both.

mod access;
mod accounts;
mod credentials;

use self::access::{AccessEntry, RawAccess};
use self::accounts::RawAccount;
use self::credentials::Credentials;
use crate::cli::DeviceArguments;
use crate::failure::Failure;
use lightship_client::{
    ALTERNATE_PATH_LEN_MAX, Account, AlternatePath, Config, ENDPOINT_LEN_MAX, PROFILE_LEN_MAX, Profile,
    QueueMode, SMS_LEN_MAX, Text,
};
use lightship_coap::BlockSize;
use lightship_lwm2m::{Endpoint, ObjectId, Version};
use lightship_service::config::toml_fault;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Server accounts that one device can have.
pub(crate) const SERVERS_MAX: usize = 4;
/// Longest body that a server may send, for example a firmware image, in bytes.
const BODY_LEN_MAX: usize = 8 << 20;

/// How long the first flight of a handshake waits for an answer (RFC 7925 §11).
const DTLS_TIMEOUT_S: f64 = 9.0;
/// How often values that change by themselves, such as the clock, are looked at while they are observed.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Every setting as it was written, in a file or as flags; the keys are the flags' names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawSettings {
    endpoint: Option<String>,
    server: Option<OneOrMany>,
    bootstrap: Option<String>,
    #[serde(alias = "bootstrap_pack")]
    bootstrap_pack: Option<bool>,
    /// In the file only.
    account: Vec<RawAccount>,
    /// In the file only.
    access: Vec<RawAccess>,
    lifetime: Option<u32>,
    lwm2m: Option<String>,
    binding: Option<String>,
    #[serde(alias = "queue_mode")]
    queue_mode: Option<bool>,
    root: Option<String>,
    profile: Option<String>,
    sms: Option<String>,
    awake: Option<f64>,
    #[serde(alias = "wake_every")]
    wake_every: Option<f64>,
    #[serde(alias = "psk_identity")]
    psk_identity: Option<String>,
    #[serde(alias = "psk_key")]
    psk_key: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    trust: Option<PathBuf>,
    #[serde(alias = "rpk_key")]
    rpk_key: Option<PathBuf>,
    #[serde(alias = "rpk_peer")]
    rpk_peer: Option<PathBuf>,
    #[serde(alias = "server_name")]
    server_name: Option<String>,
    #[serde(alias = "certificate_usage")]
    certificate_usage: Option<u8>,
    #[serde(alias = "matching_type")]
    matching_type: Option<u8>,
    ciphersuites: Option<Vec<String>>,
    #[serde(alias = "no_cid")]
    no_cid: Option<bool>,
    /// In the file only: the other way round.
    cid: Option<bool>,
    #[serde(alias = "record_size_limit")]
    record_size_limit: Option<u16>,
    #[serde(alias = "max_fragment_length")]
    max_fragment_length: Option<u16>,
    #[serde(alias = "dtls_timeout")]
    dtls_timeout: Option<f64>,
    #[serde(alias = "key_log")]
    key_log: Option<PathBuf>,
    local: Option<String>,
    state: Option<PathBuf>,
    object: Option<OneOrMany>,
    #[serde(alias = "ack_timeout")]
    ack_timeout: Option<f64>,
    #[serde(alias = "ack_random_factor")]
    ack_random_factor: Option<f64>,
    #[serde(alias = "max_retransmit")]
    max_retransmit: Option<u8>,
    nstart: Option<u8>,
    #[serde(alias = "block_size")]
    block_size: Option<u16>,
    #[serde(alias = "retry_count")]
    retry_count: Option<u16>,
    #[serde(alias = "retry_timer")]
    retry_timer: Option<u32>,
    #[serde(alias = "retry_sequence_delay")]
    retry_sequence_delay: Option<u32>,
    #[serde(alias = "retry_sequence_count")]
    retry_sequence_count: Option<u16>,
    #[serde(alias = "virtual_clock")]
    virtual_clock: Option<bool>,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// What a device is to be; everything fits.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) accounts: Vec<Account>,
    /// The instances of object 2.
    pub(crate) access: Vec<AccessEntry>,
    pub(crate) local: Option<SocketAddr>,
    /// Objects with the number of further instances.
    pub(crate) objects: Vec<(ObjectId, u16)>,
    /// Where to keep what shall survive a restart.
    pub(crate) state: Option<PathBuf>,
    pub(crate) virtual_clock: bool,
    pub(crate) secure: Secure,
}

/// What concerns all servers behind coaps.
#[derive(Debug)]
pub(crate) struct Secure {
    /// The device's own trust anchors, in DER.
    pub(crate) trust: Vec<Vec<u8>>,
    /// Whether connection IDs are offered.
    pub(crate) cid: bool,
    /// The longest plaintext of a record that servers may send, in bytes; `None` leaves it to the standard.
    pub(crate) record_size_limit: Option<u16>,
    /// The longest plaintext of a record in both directions, in bytes, for servers that do not know the other limit.
    pub(crate) max_fragment_length: Option<u16>,
    /// How long the first flight waits for an answer.
    pub(crate) timeout: Duration,
    /// Where the secrets of sessions go.
    pub(crate) key_log: Option<PathBuf>,
}

impl Settings {
    /// A device that says what it is in code, not in flags.
    pub(crate) fn new(endpoint: &str, server: &str, lifetime_s: u32) -> Result<Self, Failure> {
        Self::from_raw(RawSettings::of(endpoint, server, lifetime_s))
    }

    /// The same with a pre-shared key in hex, whose identity is the endpoint.
    pub(crate) fn with_key(
        endpoint: &str,
        server: &str,
        lifetime_s: u32,
        key_hex: &str,
    ) -> Result<Self, Failure> {
        let (psk_identity, psk_key) = (Some(endpoint.to_owned()), Some(key_hex.to_owned()));
        let raw = RawSettings::of(endpoint, server, lifetime_s);
        Self::from_raw(RawSettings { psk_identity, psk_key, ..raw })
    }

    /// Joins file and flags and finds out what they mean.
    pub(crate) fn load(arguments: DeviceArguments) -> Result<Self, Failure> {
        let file = match &arguments.config {
            Some(path) => read_file(path)?,
            None => RawSettings::default(),
        };
        Self::from_raw(file.under(RawSettings::from(arguments)))
    }

    fn from_raw(mut raw: RawSettings) -> Result<Self, Failure> {
        let endpoint = raw.endpoint.as_deref().unwrap_or("lightship-device");
        Endpoint::new(endpoint)
            .map_err(|error| Failure::usage(format_args!("endpoint {endpoint:?}: {error}")))?;
        if endpoint.len() > ENDPOINT_LEN_MAX {
            return Err(Failure::usage(format_args!("endpoint: more than {ENDPOINT_LEN_MAX} bytes")));
        }
        let mut config = Config::new(endpoint);
        config.version = version(raw.lwm2m.as_deref().unwrap_or("1.2"))?;
        config.sample_every = Some(SAMPLE_EVERY);
        config.coap.body_len_max = BODY_LEN_MAX;
        config.coap.buffer_len_max = BODY_LEN_MAX + (1 << 20);
        raw.set_coap(&mut config)?;
        config.queue_mode = raw.queue_mode()?;
        config.bootstrap_pack = raw.bootstrap_pack.unwrap_or(false);
        config.alternate_path = raw.root.as_deref().map(root).transpose()?.flatten();
        config.profile = raw.profile.as_deref().map_or(Ok(Profile::None), profile)?;
        config.sms = raw.sms.as_deref().map(sms).transpose()?;
        let local = raw.local.as_deref().map(local_address).transpose()?;
        let objects = raw.object.take().map(OneOrMany::into_vec).unwrap_or_default();
        let objects = objects.iter().map(|text| object(text)).collect::<Result<_, _>>()?;
        let (accounts, trust) = accounts::accounts(&mut raw)?;
        let secure = Secure {
            trust,
            cid: !raw.no_cid.or(raw.cid.map(|cid| !cid)).unwrap_or(false),
            record_size_limit: raw.record_size_limit.map(record_size_limit).transpose()?,
            max_fragment_length: raw.max_fragment_length.map(max_fragment_length).transpose()?,
            timeout: seconds("dtls-timeout", raw.dtls_timeout.unwrap_or(DTLS_TIMEOUT_S))?,
            key_log: raw.key_log.take(),
        };
        let access = access::entries(&raw.access)?;
        let virtual_clock = raw.virtual_clock.unwrap_or(false);
        Ok(Self { config, accounts, access, local, objects, state: raw.state, virtual_clock, secure })
    }
}

fn read_file(path: &Path) -> Result<RawSettings, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    toml::from_str(&text)
        .map_err(|error| Failure::usage(format_args!("{}: {}", path.display(), toml_fault(&text, &error))))
}

fn version(text: &str) -> Result<Version, Failure> {
    [Version::V1_0, Version::V1_1, Version::V1_2]
        .into_iter()
        .find(|version| version.as_str() == text)
        .ok_or_else(|| Failure::usage(format_args!("lwm2m {text:?} is none of 1.0, 1.1 and 1.2")))
}

/// `hash`, or a name that the server knows already (TS_Core 6.2.1).
fn profile(text: &str) -> Result<Profile, Failure> {
    if text == "hash" {
        return Ok(Profile::Hashed);
    }
    let name = text.strip_prefix("oma:").or_else(|| text.strip_prefix("v:"));
    let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match name {
        Some(name) if !name.is_empty() && letters(name) && text.len() <= PROFILE_LEN_MAX => {
            Ok(Profile::Named(Text::new(text)))
        }
        _ => Err(Failure::usage(format_args!(
            "profile {text:?}: expected hash, or oma: or v: with letters, digits and hyphens behind it"
        ))),
    }
}

/// `/` is where the objects are anyway.
fn root(text: &str) -> Result<Option<AlternatePath>, Failure> {
    if text == "/" {
        return Ok(None);
    }
    AlternatePath::new(text).map(Some).ok_or_else(|| {
        Failure::usage(format_args!(
            "root {text:?}: expected a path such as /lwm2m of letters, digits and -._~, no segment a number, {ALTERNATE_PATH_LEN_MAX} bytes \
             at most"
        ))
    })
}

fn sms(text: &str) -> Result<Text<SMS_LEN_MAX>, Failure> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'+';
    if text.is_empty() || text.len() > SMS_LEN_MAX || !text.bytes().all(plain) {
        return Err(Failure::usage(format_args!(
            "sms {text:?}: expected digits without a plus sign, {SMS_LEN_MAX} at most"
        )));
    }
    Ok(Text::new(text))
}

fn local_address(text: &str) -> Result<SocketAddr, Failure> {
    let address = text.parse::<SocketAddr>().ok();
    let address = address.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)));
    address
        .ok_or_else(|| Failure::usage(format_args!("local {text:?} is no address such as 127.0.0.1:40000")))
}

fn object(text: &str) -> Result<(ObjectId, u16), Failure> {
    let (id, count) = text.split_once('=').unwrap_or((text, "1"));
    let id = id.trim().parse().ok().and_then(ObjectId::new);
    let (Some(id), Ok(count)) = (id, count.trim().parse::<u16>()) else {
        return Err(Failure::usage(format_args!("object {text:?} is neither ID nor ID=COUNT")));
    };
    if id == ObjectId::SECURITY || id == ObjectId::SERVER {
        return Err(Failure::usage(format_args!("object {id}: its instances come from --server")));
    }
    Ok((id, count))
}

/// RFC 8449 §4, with the longest plaintext that a record may have (RFC 6347).
fn record_size_limit(bytes: u16) -> Result<u16, Failure> {
    let legal = (64..=16384).contains(&bytes).then_some(bytes);
    legal.ok_or_else(|| Failure::usage(format_args!("record-size-limit {bytes}: expected 64 to 16384")))
}

/// RFC 6066 §4.
fn max_fragment_length(bytes: u16) -> Result<u16, Failure> {
    let legal = [512, 1024, 2048, 4096].contains(&bytes).then_some(bytes);
    legal.ok_or_else(|| {
        Failure::usage(format_args!("max-fragment-length {bytes}: expected 512, 1024, 2048 or 4096"))
    })
}

fn seconds(name: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| Failure::usage(format_args!("{name} {value}: expected seconds above 0")))
}

impl From<DeviceArguments> for RawSettings {
    fn from(flags: DeviceArguments) -> Self {
        let many = |texts: Vec<String>| (!texts.is_empty()).then_some(OneOrMany::Many(texts));
        Self {
            endpoint: flags.endpoint,
            server: many(flags.server),
            bootstrap: flags.bootstrap,
            bootstrap_pack: flags.bootstrap_pack.then_some(true),
            account: Vec::new(),
            access: Vec::new(),
            lifetime: flags.lifetime,
            lwm2m: flags.lwm2m,
            binding: flags.binding,
            queue_mode: flags.queue_mode.then_some(true),
            root: flags.root,
            profile: flags.profile,
            sms: flags.sms,
            awake: flags.awake,
            wake_every: flags.wake_every,
            psk_identity: flags.security.psk_identity,
            psk_key: flags.security.psk_key,
            cert: flags.security.cert,
            key: flags.security.key,
            trust: flags.security.trust,
            rpk_key: flags.security.rpk_key,
            rpk_peer: flags.security.rpk_peer,
            server_name: flags.security.server_name,
            certificate_usage: flags.security.certificate_usage,
            matching_type: flags.security.matching_type,
            ciphersuites: Some(flags.security.ciphersuites).filter(|suites| !suites.is_empty()),
            no_cid: flags.security.no_cid.then_some(true),
            cid: None,
            record_size_limit: flags.security.record_size_limit,
            max_fragment_length: flags.security.max_fragment_length,
            dtls_timeout: flags.security.dtls_timeout,
            key_log: flags.security.key_log,
            local: flags.local,
            state: flags.state,
            object: many(flags.object),
            ack_timeout: flags.coap.ack_timeout,
            ack_random_factor: flags.coap.ack_random_factor,
            max_retransmit: flags.coap.max_retransmit,
            nstart: flags.coap.nstart,
            block_size: flags.coap.block_size,
            retry_count: flags.coap.retry_count,
            retry_timer: flags.coap.retry_timer,
            retry_sequence_delay: flags.coap.retry_sequence_delay,
            retry_sequence_count: flags.coap.retry_sequence_count,
            virtual_clock: flags.virtual_clock.then_some(true),
        }
    }
}

impl RawSettings {
    fn of(endpoint: &str, server: &str, lifetime_s: u32) -> Self {
        Self {
            endpoint: Some(endpoint.to_owned()),
            server: Some(OneOrMany::One(server.to_owned())),
            lifetime: Some(lifetime_s),
            ..Self::default()
        }
    }

    /// This with everything replaced that `higher` sets; addresses in place of accounts.
    fn under(self, higher: Self) -> Self {
        let account =
            if higher.server.is_some() || higher.bootstrap.is_some() { Vec::new() } else { self.account };
        macro_rules! join {
            ($($field:ident)*) => { Self { account, access: self.access, $($field: higher.$field.or(self.$field),)* } };
        }
        join! {
            endpoint server bootstrap bootstrap_pack lifetime lwm2m binding queue_mode root profile sms awake wake_every psk_identity psk_key cert key trust rpk_key
            rpk_peer server_name certificate_usage matching_type ciphersuites no_cid cid record_size_limit max_fragment_length dtls_timeout key_log local state object ack_timeout ack_random_factor max_retransmit nstart block_size retry_count
            retry_timer retry_sequence_delay retry_sequence_count virtual_clock
        }
    }

    /// Whether the device sleeps, and how. `UQ` is how 1.0 writes Queue Mode.
    fn queue_mode(&self) -> Result<Option<QueueMode>, Failure> {
        let binding = self.binding.as_deref().unwrap_or("U");
        if !matches!(binding, "U" | "UQ") {
            return Err(Failure::usage(format_args!(
                "binding {binding:?}: only U (UDP) and UQ (UDP in Queue Mode) work in this version"
            )));
        }
        let wanted = self.queue_mode.unwrap_or(binding == "UQ");
        if !wanted && (self.awake.is_some() || self.wake_every.is_some()) {
            return Err(Failure::usage("awake and wake-every are for a device in queue-mode"));
        }
        let mut mode = QueueMode::default();
        if let Some(span) = self.awake {
            mode.awake = seconds("awake", span)?;
        }
        mode.wake_every = self.wake_every.map(|span| seconds("wake-every", span)).transpose()?;
        Ok(wanted.then_some(mode))
    }

    fn set_coap(&self, config: &mut Config) -> Result<(), Failure> {
        let coap = &mut config.coap;
        if let Some(value) = self.ack_timeout {
            coap.ack_timeout = seconds("ack-timeout", value)?;
            coap.piggyback_within = coap.piggyback_within.min(coap.ack_timeout / 2);
        }
        if let Some(factor) = self.ack_random_factor {
            let legal = (1.0..=10.0).contains(&factor);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "100 to 1000")]
            let percent = legal.then_some((factor * 100.0).round() as u16);
            coap.ack_random_percent = percent.ok_or_else(|| {
                Failure::usage(format_args!("ack-random-factor {factor}: expected 1 to 10"))
            })?;
        }
        if let Some(count) = self.max_retransmit {
            if count > 20 {
                return Err(Failure::usage(format_args!("max-retransmit {count}: expected 0 to 20")));
            }
            coap.max_retransmit = count;
        }
        if let Some(count) = self.nstart {
            if count == 0 {
                return Err(Failure::usage("nstart 0: expected 1 or more"));
            }
            coap.nstart = count;
        }
        if let Some(bytes) = self.block_size {
            let size = BlockSize::at_most(usize::from(bytes));
            if size.bytes() != usize::from(bytes) {
                return Err(Failure::usage(format_args!("block-size {bytes}: expected 16, 32, … 1024")));
            }
            coap.block_size = size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
