//! Configuration: one TOML file, the environment, flags; the later outranks the earlier.
//!
//! Two stages: [`RawConfig`] is what people wrote, [`Config`] is what holds. Unknown keys are errors everywhere.
//! A key `coap` in section `listen` is the variable `LIGHTSHIP_LISTEN__COAP`; lists are separated by commas there.

mod fault;
mod fields;
mod raw;
mod security;
mod transmission;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lightship_server::Rebinding;
use lightship_store::Durability;

pub use fault::toml_fault;
pub use fields::sample;
pub use raw::{
    OneOrMany, RawApi, RawAudit, RawBootstrap, RawConfig, RawEvents, RawLimits, RawListen, RawModels,
    RawQueue, RawRegistration, RawSecurity, RawServerKey, RawStore, RawTrace, RawTransmission,
    RawTransmissionOfSome,
};
pub use security::{Field, KeyPair, Rule, SealKey, Security};
pub use transmission::Transmissions;

/// What a server is to do; all invariants hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Who may come.
    pub security: Security,
    /// How long registrations live.
    pub registration: Registration,
    /// Queue Mode.
    pub queue: Queue,
    /// How long the server waits for devices, and how often it repeats.
    pub transmission: Transmissions,
    /// The Bootstrap-Server.
    pub bootstrap: Bootstrap,
    /// The REST API.
    pub api: Api,
    /// How much is allowed.
    pub limits: Limits,
    /// Where state is kept.
    pub store: Store,
    /// What is told.
    pub events: Events,
    /// The last messages.
    pub trace: Trace,
    /// Who changed what.
    pub audit: Audit,
    /// Object definitions.
    pub models: Models,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// CoAP over UDP; empty = off.
    pub coap: Vec<SocketAddr>,
    /// CoAP over DTLS; empty = off.
    pub coaps: Vec<SocketAddr>,
    /// Whether somebody asked for these; the usual one is left out where it is taken.
    pub coaps_said: bool,
    /// CoAP over DTLS for devices that bootstrap; empty = off.
    pub bootstrap_coaps: Vec<SocketAddr>,
    /// Whether somebody asked for these; the usual one is left out where it is taken.
    pub bootstrap_coaps_said: bool,
    /// CoAP over UDP for devices that bootstrap; empty = off.
    pub bootstrap_coap: Vec<SocketAddr>,
    /// Whether somebody asked for these; the usual one is left out where it is taken.
    pub bootstrap_coap_said: bool,
    /// REST and web UI; empty = off.
    pub http: Vec<SocketAddr>,
    /// Threads that serve devices, 1 to 64.
    pub shards: u8,
}

/// How long registrations live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// How much longer than its lifetime a registration is kept.
    pub grace: Duration,
    /// What an Update without security from another address than the registration's does.
    pub rebinding: Rebinding,
}

/// Queue Mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How long a device stays awake after it was heard.
    pub awake_window: Duration,
}

/// The Bootstrap-Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Whether devices of LwM2M 1.2 may have everything in one pack.
    pub packs: bool,
    /// Whether a device that prefers an unknown format is written in TLV; else it is refused.
    pub tolerate_unknown_format: bool,
    /// How long a session may take.
    pub session_timeout: Duration,
    /// What the Bootstrap-Server proves itself with.
    pub key: Option<KeyPair>,
    /// Files of authorities that it trusts; `None` = those of the server.
    pub trust_files: Option<Vec<PathBuf>>,
}

/// The REST API.
#[derive(Clone, PartialEq, Eq)]
pub struct Api {
    /// Callers must give this token; `None` = no token needed.
    pub token: Option<String>,
    /// Names, besides addresses and localhost, that the Host header may carry.
    pub hosts: Vec<String>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = if self.token.is_some() { "set" } else { "none" };
        f.debug_struct("Api").field("token", &token).field("hosts", &self.hosts).finish()
    }
}

/// How much is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body.
    pub body_bytes_max: usize,
    /// Bytes of one body that a device sends, in one message or in blocks.
    pub device_body_bytes_max: usize,
    /// HTTP connections at once.
    pub connections_max: usize,
    /// Seconds for the head of a request to arrive, and again for its body.
    pub request_timeout: Duration,
    /// Readers of the event stream at once.
    pub event_readers_max: usize,
    /// Events kept for readers that come back.
    pub events_kept: usize,
    /// Registrations a shard holds.
    pub registrations_per_shard_max: usize,
    /// Registers of one device in a minute at a shard; 0 = no limit.
    pub registers_a_minute_per_device: u32,
    /// Registers from one address in a minute at a shard; 0 = no limit.
    pub registers_a_minute_per_address: u32,
    /// Registers from one network in a minute at a shard; 0 = no limit.
    pub registers_a_minute_per_network: u32,
    /// Commands that may wait before a shard.
    pub inbox_len: usize,
    /// The longest `wait=` a caller may ask for.
    pub wait_max: Duration,
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Folder for what must survive a restart; `None` = memory only.
    pub folder: Option<PathBuf>,
    /// When whatever must last counts as written.
    pub durability: Durability,
    /// For how long events are kept.
    pub events_age_max: Duration,
    /// How many bytes of them.
    pub events_bytes_max: u64,
    /// For how long last known values of a device are kept that is not registered any more.
    pub gone_values_age_max: Duration,
    /// With less space than this nothing new is taken.
    pub free_bytes_min: u64,
    /// Memory for what was read from it.
    pub cache_bytes: u64,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Updates that say nothing new and are events all the same, in a second.
    pub unchanged_updates_per_second: u32,
}

/// The last messages of all devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Bytes for them, of all shards together; 0 = off.
    pub bytes: usize,
}

/// Who changed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// For how long entries are kept.
    pub age_max: Duration,
    /// How many of them.
    pub entries_max: usize,
}

impl Audit {
    /// For how long entries are kept, in milliseconds.
    #[must_use]
    pub fn age_max_ms(&self) -> i64 {
        i64::try_from(self.age_max.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Object definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// Folder of further OMA XML files, read at the start.
    pub folder: Option<PathBuf>,
}

fn store(raw: RawStore) -> Result<Store, ConfigError> {
    let of = |key: &'static str, value: Option<u64>, default: u64, min: u64, max: u64| {
        let value = value.unwrap_or(default);
        let is_legal = (min..=max).contains(&value);
        is_legal.then_some(value).ok_or_else(|| ConfigError::Value {
            key,
            message: format!("{value} is not within {min} to {max}"),
        })
    };
    let after_ms = of("store.relaxed_ms", raw.relaxed_ms, 100, 1, 60_000)?;
    let durability = match raw.durability.as_deref() {
        None | Some("always") => Durability::Always,
        Some("relaxed") => Durability::Relaxed { after_ms },
        Some(other) => {
            return Err(ConfigError::Value {
                key: "store.durability",
                message: format!("{other:?} is neither \"always\" nor \"relaxed\""),
            });
        }
    };
    let age_s = of("store.events_max_age_s", raw.events_max_age_s, 604_800, 60, 3_200_000_000)?;
    let gone_s = of("store.gone_values_max_age_s", raw.gone_values_max_age_s, 2_592_000, 60, 3_200_000_000)?;
    Ok(Store {
        folder: raw.folder,
        durability,
        events_age_max: Duration::from_secs(age_s),
        gone_values_age_max: Duration::from_secs(gone_s),
        events_bytes_max: of("store.events_max_mb", raw.events_max_mb, 1024, 16, 1 << 30)? << 20,
        free_bytes_min: of("store.free_min_mb", raw.free_min_mb, 128, 0, 1 << 30)? << 20,
        cache_bytes: of("store.cache_mb", raw.cache_mb, 16, 1, 1 << 20)? << 20,
    })
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or has keys that do not exist.
    #[error("{origin}: {message}")]
    Syntax {
        /// File or `environment`.
        origin: String,
        /// What and where.
        message: String,
    },
    /// A value is not allowed.
    #[error("{key}: {message}")]
    Value {
        /// `section.key`.
        key: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
}

impl Config {
    /// Joins file, environment and flags, then checks everything.
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: RawConfig,
    ) -> Result<Config, ConfigError> {
        let from_file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
                RawConfig::from_toml(&text, &path.display().to_string())?
            }
            None => RawConfig::default(),
        };
        Config::from_raw(from_file.under(RawConfig::from_environment(environment)?).under(flags))
    }

    /// For tests and `demo`: loopback, ports chosen by the system, no security, no token, memory only.
    ///
    /// # Panics
    /// Never: the values are constants.
    #[must_use]
    pub fn loopback() -> Config {
        let any = || Some(OneOrMany::one("127.0.0.1:0"));
        let listen = RawListen {
            coap: any(),
            coaps: any(),
            bootstrap_coap: any(),
            bootstrap_coaps: any(),
            http: any(),
            shards: None,
        };
        let raw = RawConfig { dev: Some(true), listen, ..RawConfig::default() };
        Config::from_raw(raw).expect("constants are allowed")
    }

    /// Checks what people wrote.
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn from_raw(raw: RawConfig) -> Result<Config, ConfigError> {
        let dev = raw.dev.unwrap_or(false);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards_default = u64::try_from(cores).unwrap_or(1).min(SHARDS_MAX);
        let coap_default = if dev { "127.0.0.1:5683" } else { "0.0.0.0:5683" };
        let bootstrap_default = if dev { "127.0.0.1:5783" } else { "0.0.0.0:5783" };
        let coaps_default = if dev { "127.0.0.1:5684" } else { "0.0.0.0:5684" };
        let bootstrap_coaps_default = if dev { "127.0.0.1:5784" } else { "0.0.0.0:5784" };
        let listen = Listen {
            coap: addresses("listen.coap", raw.listen.coap, coap_default)?,
            bootstrap_coap_said: raw.listen.bootstrap_coap.is_some(),
            bootstrap_coap: addresses("listen.bootstrap_coap", raw.listen.bootstrap_coap, bootstrap_default)?,
            coaps_said: raw.listen.coaps.is_some(),
            coaps: addresses("listen.coaps", raw.listen.coaps, coaps_default)?,
            bootstrap_coaps_said: raw.listen.bootstrap_coaps.is_some(),
            bootstrap_coaps: addresses(
                "listen.bootstrap_coaps",
                raw.listen.bootstrap_coaps,
                bootstrap_coaps_default,
            )?,
            http: addresses("listen.http", raw.listen.http, "127.0.0.1:8080")?,
            shards: u8::try_from(number("listen.shards", raw.listen.shards, shards_default, 1, SHARDS_MAX)?)
                .unwrap_or(1),
        };
        let all =
            [&listen.coap, &listen.coaps, &listen.bootstrap_coap, &listen.bootstrap_coaps, &listen.http];
        if dev && let Some(open) = all.into_iter().flatten().find(|a| !a.ip().is_loopback()) {
            let message = format!("{open} is not loopback, and dev allows loopback only");
            return Err(ConfigError::Value { key: "listen", message });
        }
        let seconds = |key, value, default, max| number(key, value, default, 0, max).map(Duration::from_secs);
        Ok(Config {
            security: Security::read(raw.security, dev)?,
            registration: Registration {
                grace: seconds("registration.grace_s", raw.registration.grace_s, 0, WEEK_S)?,
                rebinding: rebinding(raw.registration.rebinding.as_deref())?,
            },
            queue: Queue {
                awake_window: seconds("queue.awake_window_s", raw.queue.awake_window_s, 93, WEEK_S)?,
            },
            transmission: Transmissions::read(raw.transmission)?,
            bootstrap: Bootstrap {
                packs: raw.bootstrap.packs.unwrap_or(true),
                tolerate_unknown_format: raw.bootstrap.tolerate_unknown_format.unwrap_or(false),
                session_timeout: number(
                    "bootstrap.session_timeout_s",
                    raw.bootstrap.session_timeout_s,
                    900,
                    1,
                    WEEK_S,
                )
                .map(Duration::from_secs)?,
                key: security::key_pair(
                    "bootstrap.certificate_file",
                    raw.bootstrap.key_file,
                    raw.bootstrap.certificate_file,
                )?,
                trust_files: raw.bootstrap.trust_files.map(security::paths),
            },
            api: api(raw.api, dev, !listen.http.is_empty())?,
            limits: limits(&raw.limits)?,
            store: store(raw.store)?,
            events: events(&raw.events)?,
            trace: trace(&raw.trace)?,
            audit: audit(&raw.audit)?,
            models: Models { folder: raw.models.folder },
            listen,
        })
    }
}

fn rebinding(text: Option<&str>) -> Result<Rebinding, ConfigError> {
    match text {
        None | Some("refuse") => Ok(Rebinding::Refuse),
        Some("follow") => Ok(Rebinding::Follow),
        Some(other) => {
            let message = format!("{other:?} is neither \"refuse\" nor \"follow\"");
            Err(ConfigError::Value { key: "registration.rebinding", message })
        }
    }
}

fn events(raw: &RawEvents) -> Result<Events, ConfigError> {
    let key = "events.unchanged_updates_per_second";
    Ok(Events { unchanged_updates_per_second: rate(key, raw.unchanged_updates_per_second, 1000)? })
}

fn trace(raw: &RawTrace) -> Result<Trace, ConfigError> {
    let megabytes = number("trace.memory_mb", raw.memory_mb, 16, 0, 1024)?;
    Ok(Trace { bytes: usize::try_from(megabytes).unwrap_or(0) << 20 })
}

fn audit(raw: &RawAudit) -> Result<Audit, ConfigError> {
    let age_s = number("audit.max_age_s", raw.max_age_s, 90 * 86_400, 60, 3_200_000_000)?;
    let entries = number("audit.max_entries", raw.max_entries, 100_000, 100, 10_000_000)?;
    Ok(Audit {
        age_max: Duration::from_secs(age_s),
        entries_max: usize::try_from(entries).unwrap_or(usize::MAX),
    })
}

fn limits(raw: &RawLimits) -> Result<Limits, ConfigError> {
    let count = |key, value, default, max| {
        number(key, value, default, 1, max).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    };
    let seconds = |key, value, default, max| number(key, value, default, 1, max).map(Duration::from_secs);
    Ok(Limits {
        body_bytes_max: count("limits.body_bytes_max", raw.body_bytes_max, 4 << 20, 1 << 30)?,
        device_body_bytes_max: count(
            "limits.device_body_bytes_max",
            raw.device_body_bytes_max,
            4 << 20,
            1 << 30,
        )?,
        connections_max: count("limits.connections_max", raw.connections_max, 1024, 100_000)?,
        request_timeout: seconds("limits.request_timeout_s", raw.request_timeout_s, 10, 3600)?,
        event_readers_max: count("limits.event_readers_max", raw.event_readers_max, 256, 100_000)?,
        events_kept: count("limits.events_kept", raw.events_kept, 10_000, 10_000_000)?,
        registrations_per_shard_max: count(
            "limits.registrations_per_shard_max",
            raw.registrations_per_shard_max,
            1_000_000,
            10_000_000,
        )?,
        registers_a_minute_per_device: rate(
            "limits.registers_a_minute_per_device",
            raw.registers_a_minute_per_device,
            60,
        )?,
        registers_a_minute_per_address: rate(
            "limits.registers_a_minute_per_address",
            raw.registers_a_minute_per_address,
            12_000,
        )?,
        registers_a_minute_per_network: rate(
            "limits.registers_a_minute_per_network",
            raw.registers_a_minute_per_network,
            60_000,
        )?,
        inbox_len: count("limits.inbox_len", raw.inbox_len, 1024, 1_000_000)?,
        wait_max: seconds("limits.wait_max_s", raw.wait_max_s, 3600, WEEK_S)?,
    })
}

fn api(raw: RawApi, dev: bool, http: bool) -> Result<Api, ConfigError> {
    let token = match (raw.token, raw.token_file) {
        (Some(_), Some(_)) => {
            let message = "give either the token or a file with it".to_owned();
            return Err(ConfigError::Value { key: "api.token_file", message });
        }
        (Some(token), None) => Some(token),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::File { path, source })?;
            Some(text.trim().to_owned())
        }
        (None, None) => None,
    };
    match &token {
        Some(token) if token.len() < TOKEN_LEN_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) => {
            let message = format!("a token has at least {TOKEN_LEN_MIN} visible ASCII characters");
            return Err(ConfigError::Value { key: "api.token", message });
        }
        None if !dev && http => {
            let message =
                "the REST API needs a token: set api.token_file or the variable LIGHTSHIP_API__TOKEN; \
                           to try things out on loopback use --dev"
                    .to_owned();
            return Err(ConfigError::Value { key: "api.token", message });
        }
        _ => {}
    }
    let hosts = raw.hosts.map(OneOrMany::into_vec).unwrap_or_default();
    Ok(Api { token, hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect() })
}

fn addresses(
    key: &'static str,
    raw: Option<OneOrMany>,
    default: &str,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let texts = raw.unwrap_or_else(|| OneOrMany::one(default)).into_vec();
    if texts.iter().all(|text| text == "none") {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for text in texts {
        let address: SocketAddr = text.replace("localhost:", &format!("{}:", Ipv4Addr::LOCALHOST)).parse().map_err(|_| {
            let message =
                format!("{text:?} is no address; write it as 0.0.0.0:5683 or [::]:5683, or none alone to switch it off");
            ConfigError::Value { key, message }
        })?;
        if address.port() == 0 || !out.contains(&address) {
            out.push(address);
        }
    }
    Ok(out)
}

fn number(key: &'static str, raw: Option<u64>, default: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
    let value = raw.unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Value { key, message: format!("{value} is not within {min} to {max}") })
}

/// So many a minute; 0 = no limit.
fn rate(key: &'static str, raw: Option<u64>, default: u64) -> Result<u32, ConfigError> {
    number(key, raw, default, 0, 60_000_000).map(|a_minute| u32::try_from(a_minute).unwrap_or(u32::MAX))
}

const SHARDS_MAX: u64 = 64;
const TOKEN_LEN_MIN: usize = 16;
const WEEK_S: u64 = 7 * 86_400;

#[cfg(test)]
mod tests;
