//! What people wrote: the file, the environment or flags, nothing checked but names and kinds.

use std::path::PathBuf;

use lightship_api::problem::without_values;
use serde::Deserialize;

use super::ConfigError;
use super::fault::toml_fault;
use super::fields::{FIELDS, Kind};

/// Every key, all optional; a flag, a variable or a line of the file sets one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Loopback only, devices without security allowed, no API token. Only a flag sets it.
    #[serde(skip)]
    pub dev: Option<bool>,
    /// `[listen]`
    pub listen: RawListen,
    /// `[security]`
    pub security: RawSecurity,
    /// `[registration]`
    pub registration: RawRegistration,
    /// `[queue]`
    pub queue: RawQueue,
    /// `[transmission]`
    pub transmission: RawTransmission,
    /// `[bootstrap]`
    pub bootstrap: RawBootstrap,
    /// `[api]`
    pub api: RawApi,
    /// `[limits]`
    pub limits: RawLimits,
    /// `[store]`
    pub store: RawStore,
    /// `[events]`
    pub events: RawEvents,
    /// `[trace]`
    pub trace: RawTrace,
    /// `[audit]`
    pub audit: RawAudit,
    /// `[models]`
    pub models: RawModels,
}

/// One text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"0.0.0.0:5683"`
    One(String),
    /// `["0.0.0.0:5683", "[::]:5683"]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// A single text.
    #[must_use]
    pub fn one(text: &str) -> OneOrMany {
        OneOrMany::One(text.to_owned())
    }

    /// All texts.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// One of several key pairs of the server, chosen by the name that a device asks for (SNI).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawServerKey {
    /// The names that it is for; `*.example.org` stands for one label.
    pub names: Vec<String>,
    /// Private key in PEM or DER.
    pub key_file: PathBuf,
    /// Certificates in PEM, the server's own first; left out: a raw public key only.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
}

/// Transmission parameters of some devices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTransmissionOfSome {
    /// Names of their endpoints; `nb-*` stands for all that begin so.
    pub endpoints: OneOrMany,
    /// As for all devices.
    pub ack_timeout_ms: Option<u64>,
    /// As for all devices.
    pub ack_random_percent: Option<u64>,
    /// As for all devices.
    pub max_retransmit: Option<u64>,
}

macro_rules! section {
    ($(#[doc = $about:literal] $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            #[doc = $about]
            #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            #[allow(missing_docs, reason = "each key is described once, in the table of fields")]
            pub struct $name { $(pub $field: Option<$kind>,)* }

            impl $name {
                fn under(self, higher: Self) -> Self {
                    Self { $($field: higher.$field.or(self.$field),)* }
                }
            }
        )*
    };
}

section! {
    /// Section `[listen]`, see [`super::sample`].
    RawListen {
        coap: OneOrMany,
        coaps: OneOrMany,
        bootstrap_coap: OneOrMany,
        bootstrap_coaps: OneOrMany,
        http: OneOrMany,
        shards: u64,
    }
    /// Section `[security]`, see [`super::sample`].
    RawSecurity {
        allow_nosec: bool,
        seal_key: String,
        seal_key_file: PathBuf,
        key_file: PathBuf,
        certificate_file: PathBuf,
        servers: Vec<RawServerKey>,
        trust_files: OneOrMany,
        endpoint_rules: OneOrMany,
        accept_trusted: bool,
        suites: OneOrMany,
        cbc: bool,
        cid: bool,
        rrc: bool,
        require_ems: bool,
        resumption_s: u64,
        sessions_max: u64,
        handshakes_max: u64,
        handshakes_per_address: u64,
        handshakes_per_network: u64,
        handshakes_a_minute_per_address: u64,
        handshakes_a_minute_per_network: u64,
        handshakes_a_minute_per_identity: u64,
        verdicts_max: u64,
        hand_over_s: u64,
        key_log_file: PathBuf,
    }
    /// Section `[registration]`, see [`super::sample`].
    RawRegistration { grace_s: u64, rebinding: String, }
    /// Section `[queue]`, see [`super::sample`].
    RawQueue { awake_window_s: u64, }
    /// Section `[transmission]`, see [`super::sample`].
    RawTransmission {
        ack_timeout_ms: u64,
        ack_random_percent: u64,
        max_retransmit: u64,
        devices: Vec<RawTransmissionOfSome>,
    }
    /// Section `[bootstrap]`, see [`super::sample`].
    RawBootstrap {
        packs: bool,
        tolerate_unknown_format: bool,
        session_timeout_s: u64,
        key_file: PathBuf,
        certificate_file: PathBuf,
        trust_files: OneOrMany,
    }
    /// Section `[api]`, see [`super::sample`].
    RawApi { token: String, token_file: PathBuf, hosts: OneOrMany, }
    /// Section `[limits]`, see [`super::sample`].
    RawLimits {
        body_bytes_max: u64,
        device_body_bytes_max: u64,
        connections_max: u64,
        request_timeout_s: u64,
        event_readers_max: u64,
        events_kept: u64,
        registrations_per_shard_max: u64,
        registers_a_minute_per_device: u64,
        registers_a_minute_per_address: u64,
        registers_a_minute_per_network: u64,
        inbox_len: u64,
        wait_max_s: u64,
    }
    /// Section `[store]`, see [`super::sample`].
    RawStore {
        folder: PathBuf,
        durability: String,
        relaxed_ms: u64,
        events_max_age_s: u64,
        events_max_mb: u64,
        gone_values_max_age_s: u64,
        free_min_mb: u64,
        cache_mb: u64,
    }
    /// Section `[events]`, see [`super::sample`].
    RawEvents { unchanged_updates_per_second: u64, }
    /// Section `[trace]`, see [`super::sample`].
    RawTrace { memory_mb: u64, }
    /// Section `[audit]`, see [`super::sample`].
    RawAudit { max_age_s: u64, max_entries: u64, }
    /// Section `[models]`, see [`super::sample`].
    RawModels { folder: PathBuf, }
}

impl RawConfig {
    /// Reads a file's text; `origin` names it in errors.
    ///
    /// # Errors
    /// When it is no TOML, or has keys that do not exist.
    pub fn from_toml(text: &str, origin: &str) -> Result<RawConfig, ConfigError> {
        toml::from_str(text).map_err(|error| wrong(origin, &toml_fault(text, &error)))
    }

    /// Reads variables such as `LIGHTSHIP_LISTEN__COAP`; others, without `__`, are not ours.
    ///
    /// # Errors
    /// When a variable names a key that does not exist, or its text is of the wrong kind.
    pub fn from_environment(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<RawConfig, ConfigError> {
        let mut table = toml::Table::new();
        for (name, text) in variables {
            // The one key that must be at hand in an emergency has a short name, too.
            let named = if name == "LIGHTSHIP_SEAL_KEY" { "LIGHTSHIP_SECURITY__SEAL_KEY" } else { &name };
            let Some((section, key)) =
                named.strip_prefix("LIGHTSHIP_").and_then(|name| name.split_once("__"))
            else {
                continue;
            };
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let field = FIELDS.iter().find(|field| field.section == section && field.key == key);
            let field = field.ok_or_else(|| wrong(&name, "there is no such key"))?;
            let value = match field.kind {
                Kind::Text => toml::Value::String(text),
                Kind::List => text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>().into(),
                Kind::Number => {
                    let number: i64 = text.parse().map_err(|_| wrong(&name, "expected a number"))?;
                    toml::Value::Integer(number)
                }
                Kind::Tables => return Err(wrong(&name, "this key can only stand in the file")),
                Kind::Flag => {
                    let flag: bool = text.parse().map_err(|_| wrong(&name, "expected true or false"))?;
                    toml::Value::Boolean(flag)
                }
            };
            let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(section) = entry.as_table_mut() {
                section.insert(key, value);
            }
        }
        table
            .try_into()
            .map_err(|error: toml::de::Error| wrong("environment", &without_values(error.message())))
    }

    /// This with everything replaced that `higher` sets.
    #[must_use]
    pub fn under(self, higher: RawConfig) -> RawConfig {
        RawConfig {
            dev: higher.dev.or(self.dev),
            listen: self.listen.under(higher.listen),
            security: self.security.under(higher.security),
            registration: self.registration.under(higher.registration),
            queue: self.queue.under(higher.queue),
            transmission: self.transmission.under(higher.transmission),
            bootstrap: self.bootstrap.under(higher.bootstrap),
            api: self.api.under(higher.api),
            limits: self.limits.under(higher.limits),
            store: self.store.under(higher.store),
            events: self.events.under(higher.events),
            trace: self.trace.under(higher.trace),
            audit: self.audit.under(higher.audit),
            models: self.models.under(higher.models),
        }
    }
}

fn wrong(origin: &str, message: &str) -> ConfigError {
    ConfigError::Syntax { origin: origin.to_owned(), message: message.to_owned() }
}
