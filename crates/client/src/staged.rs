//! The accounts while a Bootstrap-Server writes them: instances of objects 0 and 1, complete or not, apart from those in use
//! (TS_Core 6.1.7).

use alloc::{collections::BTreeMap, string::String};

use lightship_coap::Code;
use lightship_lwm2m::bootstrap::consistency::{Configuration, SecurityFacts, ServerFacts};
use lightship_lwm2m::format::{self, Decoder};
use lightship_lwm2m::object;
use lightship_lwm2m::{
    ObjectId, ObjectInstanceId, ObjectLink, OwnedValue, Path, ResourceId, ResourceInstanceId, ShortServerId,
    Value,
};

use crate::account::{Account, Secret, Security, SecurityMode, Tls};
use crate::event::Unusable;
use crate::object::{Array, Sink, Text};
use crate::server_object;

/// What a resource holds, by resource instance; a single one by 65535, which no instance has.
type Held = BTreeMap<u16, OwnedValue>;
/// Where a single value lies.
const SINGLE: u16 = u16::MAX;
/// The resources of an instance.
type Instance = BTreeMap<u16, Held>;

/// Objects 0 and 1 as they will be.
#[derive(Clone, Default)]
pub(crate) struct Staged {
    security: BTreeMap<u16, Instance>,
    servers: BTreeMap<u16, Instance>,
    /// The instances of object 1 that were written.
    touched: alloc::collections::BTreeSet<u16>,
}

// The values hold keys.
impl core::fmt::Debug for Staged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Staged({} of /0, {} of /1)", self.security.len(), self.servers.len())
    }
}

impl Staged {
    /// A copy of the accounts in use.
    pub(crate) fn of<'a>(accounts: impl Iterator<Item = &'a Account>) -> Self {
        let mut staged = Staged::default();
        for account in accounts {
            staged.security.insert(account.security.instance.get(), security_values(account));
            if !account.is_bootstrap() {
                staged.servers.insert(account.server_instance.get(), server_values(account));
            }
        }
        staged
    }

    /// The instance of object 0 that is the Bootstrap-Server's.
    pub(crate) fn bootstrap_instance(&self) -> Option<u16> {
        let is = |instance: &Instance| flag(instance, 1) == Some(true);
        self.security.iter().find(|(_, instance)| is(instance)).map(|(id, _)| *id)
    }

    fn table(&mut self, object: ObjectId) -> &mut BTreeMap<u16, Instance> {
        if object == ObjectId::SECURITY { &mut self.security } else { &mut self.servers }
    }

    /// Bootstrap-Write on object 0 or 1, at most `most` instances: whole, or not at all. Of a payload about more than `path` the
    /// rest is left out.
    pub(crate) fn write(
        &mut self,
        object: ObjectId,
        path: Path,
        decoder: Decoder<'_>,
        most: usize,
    ) -> Result<(), Code> {
        format::check(&decoder).map_err(|_| Code::BAD_REQUEST)?;
        let mut copy = self.clone();
        if let Some(instance) = path.instance_id() {
            copy.table(object).entry(instance.get()).or_default();
        }
        for entry in decoder {
            let entry = entry.map_err(|_| Code::BAD_REQUEST)?;
            if !path.contains(entry.path) {
                continue;
            }
            let Some(instance) = entry.path.instance_id() else { continue };
            let values = copy.table(object).entry(instance.get()).or_default();
            let Some(resource) = entry.path.resource_id() else { continue };
            // What is unknown is skipped (TS_Core 6.1.7.5).
            let Some(row) = object::resource(object, None, resource) else { continue };
            let Some(data_type) = row.data_type else { continue };
            if entry.value.is_container() {
                values.insert(resource.get(), Held::new());
                continue;
            }
            let value = entry.value.decode_owned(data_type).map_err(|_| Code::BAD_REQUEST)?;
            let item = entry.path.resource_instance_id().map_or(SINGLE, ResourceInstanceId::get);
            // Keys that the mode does not use may come empty, whatever length they would have.
            let absent = matches!(&value, OwnedValue::Opaque(bytes) if bytes.is_empty());
            let allowed = absent || row.range().allows(&value.as_value());
            if row.multiple == (item == SINGLE) || !allowed {
                return Err(Code::BAD_REQUEST);
            }
            values.entry(resource.get()).or_default().insert(item, value);
        }
        if copy.security.len() > most || copy.servers.len() > most {
            return Err(Code::INTERNAL_SERVER_ERROR);
        }
        if object == ObjectId::SERVER {
            for (id, values) in &copy.servers {
                server(*id, values, None).ok_or(Code::BAD_REQUEST)?;
            }
            let written = copy.servers.iter().filter(|(id, values)| self.servers.get(id) != Some(values));
            self.touched.extend(written.map(|(id, _)| *id));
            if let Some(instance) = path.instance_id() {
                self.touched.insert(instance.get());
            }
            copy.touched = core::mem::take(&mut self.touched);
        }
        *self = copy;
        Ok(())
    }

    /// Bootstrap-Delete: of one instance, or of all, but never of the Bootstrap-Server's account. Whether an instance that was
    /// named may be deleted.
    pub(crate) fn delete(&mut self, object: ObjectId, instance: Option<ObjectInstanceId>) -> bool {
        let own = self.bootstrap_instance();
        let kept = |id: u16| object == ObjectId::SECURITY && own == Some(id);
        match instance {
            Some(id) if kept(id.get()) => return false,
            Some(id) => drop(self.table(object).remove(&id.get())),
            None => self.table(object).retain(|id, _| kept(*id)),
        }
        true
    }

    /// The instances of object 0: ID, Short Server ID unless it is the Bootstrap-Server's, URI.
    pub(crate) fn security(&self) -> impl Iterator<Item = (u16, Option<ShortServerId>, &str)> {
        self.security.iter().map(|(id, instance)| {
            let own = flag(instance, 1) == Some(true);
            let ssid = number(instance, 10).filter(|_| !own).and_then(short_server_id);
            (*id, ssid, text(instance, 0).unwrap_or_default())
        })
    }

    /// The instances of object 1 with their Short Server IDs.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (u16, Option<ShortServerId>)> {
        self.servers.iter().map(|(id, instance)| (*id, number(instance, 0).and_then(short_server_id)))
    }

    /// Object 1 as accounts without their other half, to be read.
    pub(crate) fn as_accounts(&self) -> alloc::vec::Vec<Option<Account>> {
        self.servers.iter().map(|(id, values)| server(*id, values, None)).collect()
    }

    /// The accounts that this makes, the Bootstrap-Server's among them, or why it makes none.
    pub(crate) fn accounts(
        &self,
        has_access_control: bool,
        now_s: Option<i64>,
    ) -> Result<alloc::vec::Vec<Account>, Unusable> {
        let configuration = Configuration {
            security: self.security.iter().filter_map(|(id, values)| security_facts(*id, values)),
            servers: self.servers.iter().filter_map(|(id, values)| server_facts(*id, values)),
            oscore: core::iter::empty(),
            has_access_control,
        };
        configuration.check().map_err(Unusable::Inconsistent)?;
        let mut accounts = alloc::vec::Vec::new();
        for (id, values) in &self.security {
            let not_kept = Unusable::Security(*id);
            let security = security(*id, values).ok_or(not_kept)?;
            let uri = text(values, 0).ok_or(not_kept)?;
            if security.bootstrap {
                let mut account = Account::bootstrap(uri);
                account.security = security;
                accounts.push(account);
                continue;
            }
            let ssid = number(values, 10).ok_or(not_kept)?;
            let mut servers = self.servers.iter();
            let (server_id, values) =
                servers.find(|(_, values)| number(values, 0) == Some(ssid)).ok_or(not_kept)?;
            let mut account = server(*server_id, values, Some(uri)).ok_or(Unusable::Server(*server_id))?;
            account.security = security;
            if self.touched.contains(server_id) {
                account.last_bootstrapped_s = now_s.or(account.last_bootstrapped_s);
            }
            accounts.push(account);
        }
        Ok(accounts)
    }
}

fn one(instance: &Instance, resource: u16) -> Option<&OwnedValue> {
    instance.get(&resource)?.get(&SINGLE)
}

fn text(instance: &Instance, resource: u16) -> Option<&str> {
    if let OwnedValue::String(text) = one(instance, resource)? { Some(text) } else { None }
}

fn number(instance: &Instance, resource: u16) -> Option<i64> {
    match one(instance, resource)?.as_value() {
        Value::Integer(number) | Value::Time(number) => Some(number),
        Value::Unsigned(number) => i64::try_from(number).ok(),
        Value::String(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Opaque(_)
        | Value::ObjectLink(_)
        | Value::Corelnk(_) => None,
    }
}

fn flag(instance: &Instance, resource: u16) -> Option<bool> {
    if let OwnedValue::Boolean(flag) = one(instance, resource)? { Some(*flag) } else { None }
}

fn bytes(instance: &Instance, resource: u16) -> &[u8] {
    if let Some(OwnedValue::Opaque(bytes)) = one(instance, resource) { bytes } else { &[] }
}

fn link(instance: &Instance, resource: u16) -> Option<ObjectLink> {
    if let OwnedValue::ObjectLink(link) = one(instance, resource)? { Some(*link) } else { None }
}

fn short_server_id(number: i64) -> Option<ShortServerId> {
    u16::try_from(number).ok().and_then(ShortServerId::new)
}

fn small<T: TryFrom<i64>>(instance: &Instance, resource: u16) -> Option<T> {
    number(instance, resource).and_then(|number| T::try_from(number).ok())
}

fn security_facts(id: u16, values: &Instance) -> Option<SecurityFacts<'_>> {
    Some(SecurityFacts {
        instance: ObjectInstanceId::new(id)?,
        uri: text(values, 0),
        bootstrap: flag(values, 1),
        mode: number(values, 2),
        identity_len: bytes(values, 3).len(),
        server_key_len: bytes(values, 4).len(),
        key_len: bytes(values, 5).len(),
        short_server_id: number(values, 10),
        oscore: link(values, 17).and_then(|link| ObjectInstanceId::new(link.instance)),
    })
}

fn server_facts(id: u16, values: &Instance) -> Option<ServerFacts<'_>> {
    Some(ServerFacts {
        instance: ObjectInstanceId::new(id)?,
        short_server_id: number(values, 0),
        lifetime_s: number(values, 1),
        notification_storing: flag(values, 6),
        binding: text(values, 7),
    })
}

/// An instance of object 0 as half of an account. Keys that the mode does not use are left out.
fn security(id: u16, values: &Instance) -> Option<Security> {
    let mode = SecurityMode::from_number(small(values, 2)?)?;
    let secret = |resource| {
        let used = match mode {
            SecurityMode::NoSec => false,
            SecurityMode::Psk => resource != 4,
            SecurityMode::RawPublicKey | SecurityMode::Certificate | SecurityMode::Est => true,
        };
        Secret::new(if used { bytes(values, resource) } else { &[] })
    };
    Some(Security {
        instance: ObjectInstanceId::new(id)?,
        bootstrap: flag(values, 1)?,
        mode,
        identity: secret(3)?,
        server_key: secret(4)?,
        key: secret(5)?,
        hold_off_s: small(values, 11),
        account_timeout_s: small(values, 12),
        matching_type: small(values, 13),
        server_name: text(values, 14).map(Text::new),
        certificate_usage: small(values, 15),
        ciphersuites: numbers(values, 16)?,
        tls: Tls {
            groups: numbers(values, 18)?,
            server_signatures: numbers(values, 19)?,
            signatures: numbers(values, 20)?,
            certificate_signatures: numbers(values, 21)?,
            tls13_features: small(values, 22),
            server_extensions: small(values, 23),
            extensions: small(values, 24),
        },
        oscore: link(values, 17),
    })
}

/// An array of numbers of two bytes, if it is there; `None` for what is none.
fn numbers(values: &Instance, resource: u16) -> Option<Option<Array<u16, 4>>> {
    let Some(held) = values.get(&resource) else { return Some(None) };
    let mut numbers = Array::new();
    for (item, value) in held {
        let number = value.as_value().as_f64().filter(|number| (0.0..=65_535.0).contains(number))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
        numbers.insert(ResourceInstanceId::new(*item)?, number as u16).ok()?;
    }
    Some(Some(numbers))
}

/// An instance of object 1 as half of an account; `None` for a value that cannot be.
fn server(id: u16, values: &Instance, uri: Option<&str>) -> Option<Account> {
    let mut account = Account::new(ShortServerId::MIN, uri.unwrap_or_default());
    account.server_instance = ObjectInstanceId::new(id)?;
    for (resource, held) in values {
        let resource = ResourceId::new(*resource)?;
        for (item, value) in held {
            let item = ResourceInstanceId::new(*item);
            match server_object::write(&mut account, resource, item, value.as_value()) {
                // What this client does not have is none of its business.
                Ok(()) | Err(crate::object::Refusal::NotFound) => {}
                Err(_) => return None,
            }
        }
    }
    Some(account)
}

/// Copies what an object gives.
struct Copied(Held);

impl Sink for Copied {
    fn value(&mut self, value: Value<'_>) {
        self.0.insert(SINGLE, value.into_owned());
    }

    fn item(&mut self, id: ResourceInstanceId, value: Value<'_>) {
        self.0.insert(id.get(), value.into_owned());
    }
}

fn server_values(account: &Account) -> Instance {
    let mut values = Instance::new();
    for model in server_object::model(lightship_lwm2m::Version::LATEST).resources {
        let mut copied = Copied(Held::new());
        if server_object::read(account, model.id, &mut copied).is_ok() && !copied.0.is_empty() {
            values.insert(model.id.get(), copied.0);
        }
    }
    values
}

fn security_values(account: &Account) -> Instance {
    let mut values = Instance::new();
    let Security { mode, bootstrap, .. } = account.security;
    let security = &account.security;
    let mut put = |resource: u16, value: Option<OwnedValue>| {
        if let Some(value) = value {
            values.insert(resource, Held::from([(SINGLE, value)]));
        }
    };
    let integer = |number: Option<i64>| number.map(OwnedValue::Integer);
    let opaque = |secret: &Secret| Some(OwnedValue::Opaque(secret.as_slice().into()));
    put(0, Some(OwnedValue::String(String::from(account.uri.as_str()))));
    put(1, Some(OwnedValue::Boolean(bootstrap)));
    put(2, integer(Some(mode.number().into())));
    put(3, opaque(&security.identity));
    put(4, opaque(&security.server_key));
    put(5, opaque(&security.key));
    put(10, integer(account.ssid.map(|ssid| ssid.get().into())));
    put(11, integer(security.hold_off_s.map(i64::from)));
    put(12, integer(security.account_timeout_s.map(i64::from)));
    put(13, security.matching_type.map(|number| OwnedValue::Unsigned(number.into())));
    put(14, security.server_name.as_ref().map(|name| OwnedValue::String(String::from(name.as_str()))));
    put(15, security.certificate_usage.map(|number| OwnedValue::Unsigned(number.into())));
    put(17, security.oscore.map(OwnedValue::ObjectLink));
    let tls = &security.tls;
    let bitmaps = [(22, tls.tls13_features), (23, tls.server_extensions), (24, tls.extensions)];
    for (resource, bitmap) in bitmaps {
        put(resource, bitmap.map(|bits| OwnedValue::Unsigned(bits.into())));
    }
    let arrays = [
        (16, &security.ciphersuites),
        (18, &tls.groups),
        (19, &tls.server_signatures),
        (20, &tls.signatures),
        (21, &tls.certificate_signatures),
    ];
    for (resource, numbers) in arrays {
        if let Some(numbers) = numbers {
            let items = numbers.iter().map(|(id, number)| (id.get(), OwnedValue::Unsigned((*number).into())));
            values.insert(resource, items.collect());
        }
    }
    values
}
