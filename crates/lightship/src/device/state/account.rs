//! An account as it stands in the state file: every resource of `/0` and `/1` by name. What is absent is absent there, too.

use crate::decode::hex;
use lightship_client::{
    Account, Array, ObjectLink, ResourceInstanceId, Retry, Secret, Security, SecurityMode, ShortServerId,
    Text, Tls, URI_LEN_MAX,
};
use lightship_lwm2m::ObjectInstanceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A struct of which every field may be absent in the file.
macro_rules! saved {
    ($name:ident { $($field:ident: $kind:ty,)* }) => {
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            $(#[serde(skip_serializing_if = "Option::is_none")] $field: Option<$kind>,)*
        }
    };
}

saved! {
    SavedAccount {
        short_server_id: u16,
        uri: String,
        security: SavedSecurity,
        server_instance: u16,
        lifetime_s: u32,
        default_pmin_s: u32,
        default_pmax_s: u32,
        disable_timeout_s: u32,
        notification_storing: bool,
        binding: String,
        apn_link: String,
        tls_alert: u8,
        last_bootstrapped_s: i64,
        priority: u32,
        initial_delay_s: u32,
        failure_block: bool,
        bootstrap_on_failure: bool,
        retry_count: u16,
        retry_timer_s: u32,
        retry_sequence_delay_s: u32,
        retry_sequence_count: u16,
        trigger: bool,
        preferred_transport: String,
        mute_send: bool,
        alternate_apn_links: BTreeMap<u16, String>,
        supported_versions: BTreeMap<u16, String>,
        confirmable_notifications: bool,
        profile_hash: u8,
    }
}

saved! {
    SavedSecurity {
        instance: u16,
        bootstrap: bool,
        mode: u8,
        identity_hex: String,
        server_key_hex: String,
        key_hex: String,
        hold_off_s: u32,
        account_timeout_s: u32,
        matching_type: u8,
        server_name: String,
        certificate_usage: u8,
        ciphersuites: BTreeMap<u16, u16>,
        groups: BTreeMap<u16, u16>,
        server_signatures: BTreeMap<u16, u16>,
        signatures: BTreeMap<u16, u16>,
        certificate_signatures: BTreeMap<u16, u16>,
        tls13_features: u32,
        server_extensions: u32,
        extensions: u32,
        oscore: String,
    }
}

impl From<&Account> for SavedAccount {
    fn from(account: &Account) -> Self {
        let link = |link: ObjectLink| link.to_string();
        Self {
            short_server_id: account.ssid.map(ShortServerId::get),
            uri: Some(account.uri.as_str().to_owned()),
            security: Some(SavedSecurity::from(&account.security)),
            server_instance: Some(account.server_instance.get()),
            lifetime_s: Some(account.lifetime_s),
            default_pmin_s: account.default_pmin_s,
            default_pmax_s: account.default_pmax_s,
            disable_timeout_s: account.disable_timeout_s,
            notification_storing: Some(account.notification_storing),
            binding: Some(account.binding.as_str().to_owned()),
            apn_link: account.apn_link.map(link),
            tls_alert: account.tls_alert,
            last_bootstrapped_s: account.last_bootstrapped_s,
            priority: account.priority,
            initial_delay_s: account.initial_delay_s,
            failure_block: account.failure_block,
            bootstrap_on_failure: account.bootstrap_on_failure,
            retry_count: account.retry.count,
            retry_timer_s: account.retry.timer_s,
            retry_sequence_delay_s: account.retry.sequence_delay_s,
            retry_sequence_count: account.retry.sequence_count,
            trigger: account.trigger,
            preferred_transport: account.preferred_transport.as_ref().map(|text| text.as_str().to_owned()),
            mute_send: account.mute_send,
            alternate_apn_links: account.alternate_apn_links.as_ref().map(|all| items(all, |one| link(*one))),
            supported_versions: account
                .supported_versions
                .as_ref()
                .map(|all| items(all, |text| text.as_str().to_owned())),
            confirmable_notifications: account.confirmable_notifications,
            profile_hash: account.profile_hash,
        }
    }
}

impl From<&Security> for SavedSecurity {
    fn from(security: &Security) -> Self {
        let secret = |secret: &Secret| (!secret.is_empty()).then(|| hex::print(secret.as_slice()));
        let numbers = |array: &Option<Array<u16, 4>>| array.as_ref().map(|all| items(all, |number| *number));
        Self {
            instance: Some(security.instance.get()),
            bootstrap: Some(security.bootstrap),
            mode: Some(security.mode.number()),
            identity_hex: secret(&security.identity),
            server_key_hex: secret(&security.server_key),
            key_hex: secret(&security.key),
            hold_off_s: security.hold_off_s,
            account_timeout_s: security.account_timeout_s,
            matching_type: security.matching_type,
            server_name: security.server_name.as_ref().map(|name| name.as_str().to_owned()),
            certificate_usage: security.certificate_usage,
            ciphersuites: numbers(&security.ciphersuites),
            groups: numbers(&security.tls.groups),
            server_signatures: numbers(&security.tls.server_signatures),
            signatures: numbers(&security.tls.signatures),
            certificate_signatures: numbers(&security.tls.certificate_signatures),
            tls13_features: security.tls.tls13_features,
            server_extensions: security.tls.server_extensions,
            extensions: security.tls.extensions,
            oscore: security.oscore.map(|link| link.to_string()),
        }
    }
}

impl TryFrom<&SavedAccount> for Account {
    type Error = String;

    fn try_from(saved: &SavedAccount) -> Result<Self, String> {
        let empty = SavedSecurity::default();
        let security = Security::try_from(saved.security.as_ref().unwrap_or(&empty))?;
        let uri = saved.uri.as_deref().ok_or("an account has no uri")?;
        let ssid = saved.short_server_id.map(|number| {
            ShortServerId::new(number).ok_or_else(|| format!("{number} is no Short Server ID"))
        });
        let ssid = ssid.transpose()?;
        if ssid.is_none() != security.bootstrap {
            return Err(format!(
                "the account of {uri} must have a short_server_id or be a Bootstrap-Server's"
            ));
        }
        let plain = Account::bootstrap("");
        Ok(Account {
            ssid,
            uri: text::<URI_LEN_MAX>(uri)?,
            security,
            server_instance: instance(saved.server_instance)?,
            lifetime_s: saved.lifetime_s.unwrap_or(plain.lifetime_s),
            default_pmin_s: saved.default_pmin_s,
            default_pmax_s: saved.default_pmax_s,
            disable_timeout_s: saved.disable_timeout_s,
            notification_storing: saved.notification_storing.unwrap_or(plain.notification_storing),
            binding: saved.binding.as_deref().map_or(Ok(plain.binding), text)?,
            apn_link: saved.apn_link.as_deref().map(link).transpose()?,
            tls_alert: saved.tls_alert,
            last_bootstrapped_s: saved.last_bootstrapped_s,
            priority: saved.priority,
            initial_delay_s: saved.initial_delay_s,
            failure_block: saved.failure_block,
            bootstrap_on_failure: saved.bootstrap_on_failure,
            retry: Retry {
                count: saved.retry_count,
                timer_s: saved.retry_timer_s,
                sequence_delay_s: saved.retry_sequence_delay_s,
                sequence_count: saved.retry_sequence_count,
            },
            trigger: saved.trigger,
            preferred_transport: saved.preferred_transport.as_deref().map(text).transpose()?,
            mute_send: saved.mute_send,
            alternate_apn_links: array(saved.alternate_apn_links.as_ref(), |text| link(text))?,
            supported_versions: array(saved.supported_versions.as_ref(), |version| text(version))?,
            confirmable_notifications: saved.confirmable_notifications,
            profile_hash: saved.profile_hash,
        })
    }
}

impl TryFrom<&SavedSecurity> for Security {
    type Error = String;

    fn try_from(saved: &SavedSecurity) -> Result<Self, String> {
        let mode = saved.mode.unwrap_or(SecurityMode::NoSec.number());
        let numbers =
            |saved: &Option<BTreeMap<u16, u16>>| array::<u16, _, 4>(saved.as_ref(), |number| Ok(*number));
        Ok(Security {
            instance: instance(saved.instance)?,
            bootstrap: saved.bootstrap.unwrap_or(false),
            mode: SecurityMode::from_number(mode).ok_or_else(|| format!("{mode} is no security mode"))?,
            identity: secret(saved.identity_hex.as_deref())?,
            server_key: secret(saved.server_key_hex.as_deref())?,
            key: secret(saved.key_hex.as_deref())?,
            hold_off_s: saved.hold_off_s,
            account_timeout_s: saved.account_timeout_s,
            matching_type: saved.matching_type,
            server_name: saved.server_name.as_deref().map(text).transpose()?,
            certificate_usage: saved.certificate_usage,
            ciphersuites: numbers(&saved.ciphersuites)?,
            tls: Tls {
                groups: numbers(&saved.groups)?,
                server_signatures: numbers(&saved.server_signatures)?,
                signatures: numbers(&saved.signatures)?,
                certificate_signatures: numbers(&saved.certificate_signatures)?,
                tls13_features: saved.tls13_features,
                server_extensions: saved.server_extensions,
                extensions: saved.extensions,
            },
            oscore: saved.oscore.as_deref().map(link).transpose()?,
        })
    }
}

fn items<T, S, const N: usize>(array: &Array<T, N>, save: impl Fn(&T) -> S) -> BTreeMap<u16, S> {
    array.iter().map(|(id, value)| (id.get(), save(value))).collect()
}

fn array<T, S, const N: usize>(
    saved: Option<&BTreeMap<u16, S>>,
    read: impl Fn(&S) -> Result<T, String>,
) -> Result<Option<Array<T, N>>, String> {
    let Some(saved) = saved else { return Ok(None) };
    let mut array = Array::new();
    for (id, value) in saved {
        let id = ResourceInstanceId::new(*id).ok_or("65535 is no resource instance")?;
        array.insert(id, read(value)?).map_err(|_| format!("more than {N} resource instances"))?;
    }
    Ok(Some(array))
}

fn instance(number: Option<u16>) -> Result<ObjectInstanceId, String> {
    ObjectInstanceId::new(number.unwrap_or(0)).ok_or_else(|| "65535 is no instance".to_owned())
}

/// A key is never part of what is said about it.
fn secret(hex_text: Option<&str>) -> Result<Secret, String> {
    let bytes = hex::parse(hex_text.unwrap_or_default()).map_err(|_| "a key is no hex".to_owned())?;
    Secret::new(&bytes).ok_or_else(|| "a key is too long".to_owned())
}

fn link(text: &str) -> Result<ObjectLink, String> {
    text.parse().map_err(|_| format!("{text:?} is no object link such as 21:0"))
}

fn text<const N: usize>(text: &str) -> Result<Text<N>, String> {
    if text.len() > N { Err(format!("{text:?} is longer than {N} bytes")) } else { Ok(Text::new(text)) }
}
