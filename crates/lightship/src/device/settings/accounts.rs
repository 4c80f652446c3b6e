//! The accounts that a device is made with, its factory settings: from addresses alone, or with every resource that they can have.

use super::{Credentials, OneOrMany, RawSettings, SERVERS_MAX};
use crate::failure::Failure;
use lightship_client::{Account, Array, ResourceInstanceId, Retry, Text, URI_LEN_MAX};
use lightship_lwm2m::ShortServerId;
use lightship_net::client_driver::Target;
use serde::Deserialize;
use std::path::PathBuf;

/// An `[[account]]` of the file: resources of `/0` and `/1`. What is left out is absent, or as the settings of the device have it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct RawAccount {
    uri: String,
    /// The Bootstrap-Server's.
    bootstrap: bool,
    #[serde(alias = "hold_off")]
    hold_off: Option<u32>,
    #[serde(alias = "account_timeout")]
    account_timeout: Option<u32>,
    #[serde(alias = "short_server_id")]
    short_server_id: Option<u16>,
    lifetime: Option<u32>,
    binding: Option<String>,
    #[serde(alias = "default_pmin")]
    default_pmin: Option<u32>,
    #[serde(alias = "default_pmax")]
    default_pmax: Option<u32>,
    #[serde(alias = "disable_timeout")]
    disable_timeout: Option<u32>,
    #[serde(alias = "notification_storing")]
    notification_storing: Option<bool>,
    priority: Option<u32>,
    #[serde(alias = "initial_delay")]
    initial_delay: Option<u32>,
    #[serde(alias = "failure_block")]
    failure_block: Option<bool>,
    #[serde(alias = "bootstrap_on_failure")]
    bootstrap_on_failure: Option<bool>,
    #[serde(alias = "retry_count")]
    retry_count: Option<u16>,
    #[serde(alias = "retry_timer")]
    retry_timer: Option<u32>,
    #[serde(alias = "retry_sequence_delay")]
    retry_sequence_delay: Option<u32>,
    #[serde(alias = "retry_sequence_count")]
    retry_sequence_count: Option<u16>,
    #[serde(alias = "preferred_transport")]
    preferred_transport: Option<String>,
    #[serde(alias = "mute_send")]
    mute_send: Option<bool>,
    #[serde(alias = "confirmable_notifications")]
    confirmable_notifications: Option<bool>,
    trigger: Option<bool>,
    #[serde(alias = "supported_versions")]
    supported_versions: Vec<String>,
    #[serde(alias = "profile_hash")]
    profile_hash: Option<u8>,
    #[serde(alias = "psk_identity")]
    pub(super) psk_identity: Option<String>,
    #[serde(alias = "psk_key")]
    pub(super) psk_key: Option<String>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) trust: Option<PathBuf>,
    #[serde(alias = "rpk_key")]
    pub(super) rpk_key: Option<PathBuf>,
    #[serde(alias = "rpk_peer")]
    pub(super) rpk_peer: Option<PathBuf>,
    #[serde(alias = "server_name")]
    pub(super) server_name: Option<String>,
    #[serde(alias = "certificate_usage")]
    pub(super) certificate_usage: Option<u8>,
    #[serde(alias = "matching_type")]
    pub(super) matching_type: Option<u8>,
    pub(super) ciphersuites: Option<Vec<String>>,
}

/// The accounts of the settings: `account` alone, or `server` and `bootstrap`, or the server on this machine; and the certificates that
/// they trust.
pub(super) fn accounts(raw: &mut RawSettings) -> Result<(Vec<Account>, Vec<Vec<u8>>), Failure> {
    let servers = raw.server.take().map(OneOrMany::into_vec).unwrap_or_default();
    let bootstrap = raw.bootstrap.take();
    let plain = !servers.is_empty() || bootstrap.is_some();
    let listed = std::mem::take(&mut raw.account);
    if plain && !listed.is_empty() {
        return Err(Failure::usage(
            "accounts come from [[account]], or from server and bootstrap, not from both",
        ));
    }
    let listed = match (plain, listed.is_empty()) {
        (false, true) => vec![server("coap://127.0.0.1:5683".to_owned())],
        (false, false) => listed,
        (true, _) => {
            let bootstrap = bootstrap.map(|uri| RawAccount { bootstrap: true, ..server(uri) });
            bootstrap.into_iter().chain(servers.into_iter().map(server)).collect()
        }
    };
    if listed.len() > SERVERS_MAX {
        return Err(Failure::usage(format_args!("more than {SERVERS_MAX} accounts")));
    }
    if listed.iter().filter(|account| account.bootstrap).count() > 1 {
        return Err(Failure::usage("a device has one Bootstrap-Server at most"));
    }
    let mut accounts: Vec<Account> = Vec::new();
    let (mut trust, mut secured) = (Vec::new(), false);
    let mut next_ssid = 1;
    let usual = Credentials::from(&*raw);
    for listed in listed {
        let own = Credentials::from(&listed);
        let credentials = own.clone().or(&usual);
        let mut account = listed.account(raw, next_ssid)?;
        let uri = account.uri.as_str();
        if Target::parse(uri).is_ok_and(|target| target.is_secured()) {
            trust.extend(credentials.apply(&mut account)?);
            secured = true;
        } else if !own.is_empty() {
            return Err(Failure::usage(format_args!("{uri}: credentials are for coaps://")));
        }
        next_ssid += u16::from(!account.is_bootstrap());
        if accounts.iter().any(|other| other.ssid == account.ssid) {
            let ssid = account.ssid.map_or(0, ShortServerId::get);
            return Err(Failure::usage(format_args!("two accounts have the short-server-id {ssid}")));
        }
        accounts.push(account);
    }
    if !usual.is_empty() && !secured {
        return Err(Failure::usage("credentials are for servers behind coaps://, and there is none"));
    }
    trust.dedup();
    Ok((accounts, trust))
}

fn server(uri: String) -> RawAccount {
    RawAccount { uri, ..RawAccount::default() }
}

impl RawAccount {
    fn account(self, raw: &RawSettings, next_ssid: u16) -> Result<Account, Failure> {
        let uri = &self.uri;
        if uri.len() > URI_LEN_MAX {
            return Err(Failure::usage(format_args!("{uri}: more than {URI_LEN_MAX} bytes")));
        }
        Target::parse(uri).map_err(Failure::usage)?;
        if self.bootstrap {
            let mut account = Account::bootstrap(uri);
            account.security.hold_off_s = self.hold_off;
            account.security.account_timeout_s = self.account_timeout;
            return Ok(account);
        }
        if self.hold_off.is_some() || self.account_timeout.is_some() {
            return Err(Failure::usage(format_args!(
                "{uri}: hold-off and account-timeout are a Bootstrap-Server's"
            )));
        }
        let ssid = self.short_server_id.unwrap_or(next_ssid);
        let ssid = ShortServerId::new(ssid).ok_or_else(|| {
            Failure::usage(format_args!("{uri}: short-server-id {ssid}: expected 1 to 65534"))
        })?;
        let mut account = Account::new(ssid, uri).lifetime(self.lifetime.or(raw.lifetime).unwrap_or(300));
        if let Some(binding) = &self.binding {
            account.binding = text(uri, "binding", binding)?;
        }
        account.default_pmin_s = self.default_pmin;
        account.default_pmax_s = self.default_pmax;
        account.disable_timeout_s = self.disable_timeout;
        account.notification_storing = self.notification_storing.unwrap_or(account.notification_storing);
        account.priority = self.priority;
        account.initial_delay_s = self.initial_delay;
        account.failure_block = self.failure_block;
        account.bootstrap_on_failure = self.bootstrap_on_failure;
        account.retry = Retry {
            count: self.retry_count.or(raw.retry_count),
            timer_s: self.retry_timer.or(raw.retry_timer),
            sequence_delay_s: self.retry_sequence_delay.or(raw.retry_sequence_delay),
            sequence_count: self.retry_sequence_count.or(raw.retry_sequence_count),
        };
        if let Some(transport) = &self.preferred_transport {
            account.preferred_transport = Some(text(uri, "preferred-transport", transport)?);
        }
        // Absent would mean muted, and whoever writes "send" means it.
        account.mute_send = Some(self.mute_send.unwrap_or(false));
        account.confirmable_notifications = self.confirmable_notifications;
        account.trigger = self.trigger;
        account.profile_hash = self.profile_hash;
        account.supported_versions = versions(uri, &self.supported_versions)?;
        Ok(account)
    }
}

fn versions(uri: &str, texts: &[String]) -> Result<Option<Array<Text<8>, 4>>, Failure> {
    let mut versions = Array::new();
    for (version, id) in texts.iter().zip(0..) {
        let digits = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let id = ResourceInstanceId::new(id).filter(|_| digits && (3..=8).contains(&version.len()));
        let inserted = id.map(|id| versions.insert(id, Text::new(version)));
        if !matches!(inserted, Some(Ok(()))) {
            return Err(Failure::usage(format_args!(
                "{uri}: supported-versions {texts:?}: expected at most 4 versions such as 1.1"
            )));
        }
    }
    Ok((!texts.is_empty()).then_some(versions))
}

fn text<const N: usize>(uri: &str, name: &str, text: &str) -> Result<Text<N>, Failure> {
    let letters = !text.is_empty() && text.len() <= N && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if letters {
        Ok(Text::new(text))
    } else {
        Err(Failure::usage(format_args!("{uri}: {name} {text:?}: expected at most {N} letters such as U")))
    }
}
