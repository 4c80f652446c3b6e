//! The object LwM2M Server (1): a view of the accounts, one instance each (TS_Core E.2).

use lightship_lwm2m::{
    ObjectId, ObjectInstanceId, ObjectVersion, ResourceId, ResourceInstanceId, Value, Version,
};

use crate::__derive;
use crate::account::{Account, is_version};
use crate::object::{
    Arguments, Field, Object, ObjectModel, Refusal, ResourceModel, Scalar, Sink, Slot, slots,
};

const OBJECT: __derive::Object = match __derive::object(1, Some((1, 2))) {
    Some(object) => object,
    None => panic!("object 1 version 1.2 is in the registry"),
};

const fn resource(id: u16) -> ResourceModel {
    match __derive::resource(OBJECT, id) {
        Some(resource) => resource,
        None => panic!("the resource is in the registry"),
    }
}

/// All resources of the object: 0 to 27 without a gap.
static RESOURCES: [ResourceModel; 28] = {
    let mut all = [resource(0); 28];
    let mut rest = all.as_mut_slice();
    let mut id = 0;
    while let Some((first, tail)) = rest.split_first_mut() {
        *first = resource(id);
        rest = tail;
        id += 1;
    }
    all
};

/// The last resource of the object in LwM2M 1.0 and in 1.1.
const LAST_1_0: u16 = 8;
const LAST_1_1: u16 = 23;
/// Letters of the bindings, with the Q of 1.0.
const BINDINGS: &str = "UMHTSNQ";

/// What a server asked for by executing a resource of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// `/1/x/4`
    Disable,
    /// `/1/x/8`
    Update,
    /// `/1/x/9`
    #[cfg(feature = "bootstrap")]
    Bootstrap,
}

/// The accounts as an object, for the time of one request.
pub(crate) struct ServerObject<'a> {
    pub(crate) accounts: &'a mut [Option<Account>],
    pub(crate) draft: Option<(usize, Account)>,
    /// Account and what it has to do.
    pub(crate) trigger: Option<(usize, Trigger)>,
    /// The LwM2M version of the server that looks, which gets the object's version of that release.
    pub(crate) version: Version,
}

impl ServerObject<'_> {
    fn position(&self, instance: ObjectInstanceId) -> Option<usize> {
        self.accounts.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|account| !account.is_bootstrap() && account.server_instance == instance)
        })
    }

    fn account(&self, instance: ObjectInstanceId) -> Result<&Account, Refusal> {
        let account = self.position(instance).and_then(|at| self.accounts.get(at));
        account.and_then(Option::as_ref).ok_or(Refusal::NotFound)
    }
}

slots! {
    Account;
    0 ssid;
    1 lifetime_s;
    2 default_pmin_s;
    3 default_pmax_s;
    5 disable_timeout_s;
    6 notification_storing;
    7 binding;
    10 apn_link;
    11 tls_alert;
    12 last_bootstrapped_s;
    13 priority;
    14 initial_delay_s;
    15 failure_block;
    16 bootstrap_on_failure;
    17 retry.count;
    18 retry.timer_s;
    19 retry.sequence_delay_s;
    20 retry.sequence_count;
    21 trigger;
    22 preferred_transport;
    23 mute_send;
    24 alternate_apn_links;
    25 supported_versions;
    27 profile_hash;
}

/// Default Notification Mode, a number that means yes or no.
const NOTIFICATION_MODE: u16 = 26;

/// Reads a resource of `/1` in an account.
pub(crate) fn read(account: &Account, resource: ResourceId, sink: &mut dyn Sink) -> Result<(), Refusal> {
    if resource.get() == NOTIFICATION_MODE {
        return account.confirmable_notifications.map(u8::from).read(sink);
    }
    slot(account, resource.get()).ok_or(Refusal::NotFound)?.read_slot(sink)
}

/// Writes a resource of `/1` in an account, also one that only bootstrap may write.
pub(crate) fn write(
    account: &mut Account,
    resource: ResourceId,
    item: Option<ResourceInstanceId>,
    value: Value<'_>,
) -> Result<(), Refusal> {
    let letters = |text: &str| !text.is_empty() && text.chars().all(|letter| BINDINGS.contains(letter));
    let fits = match (resource.get(), value) {
        (7 | 22, Value::String(text)) => letters(text),
        (17, Value::Integer(0) | Value::Unsigned(0)) => false,
        (25, Value::String(text)) => is_version(text),
        _ => true,
    };
    if !fits {
        return Err(Refusal::BadValue);
    }
    if resource.get() == NOTIFICATION_MODE {
        account.confirmable_notifications = Some(u8::from_value(value)? != 0);
        return Ok(());
    }
    slot_mut(account, resource.get()).ok_or(Refusal::NotFound)?.write_slot(item, value)
}

/// Removes an optional resource of `/1` from an account, or one of its resource instances.
pub(crate) fn clear(
    account: &mut Account,
    resource: ResourceId,
    item: Option<ResourceInstanceId>,
) -> Result<(), Refusal> {
    if resource.get() == NOTIFICATION_MODE {
        return account.confirmable_notifications.clear(item);
    }
    slot_mut(account, resource.get()).ok_or(Refusal::NotAllowed)?.clear_slot(item)
}

/// The object as a release has it.
pub(crate) fn model(release: Version) -> ObjectModel<'static> {
    let (version, last) = match release {
        Version::V1_0 => (ObjectVersion::V1_0, LAST_1_0),
        Version::V1_1 => (ObjectVersion::new(1, 1), LAST_1_1),
        Version::V1_2 => (OBJECT.version(), u16::MAX),
    };
    let known = RESOURCES.partition_point(|resource| resource.id.get() <= last);
    let resources = RESOURCES.get(..known).unwrap_or(&RESOURCES);
    ObjectModel { id: ObjectId::SERVER, version, multiple: true, resources }
}

impl Object for ServerObject<'_> {
    fn model(&self) -> ObjectModel<'_> {
        model(self.version)
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        let servers = self.accounts.iter().flatten().filter(|account| !account.is_bootstrap());
        servers.map(|account| account.server_instance).filter(|id| id.get() >= from).min()
    }

    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        read(self.account(instance)?, resource, sink)
    }

    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let position = self.position(instance).ok_or(Refusal::NotFound)?;
        self.draft = Some((position, self.account(instance)?.clone()));
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let (_, account) = self.draft.as_mut().ok_or(Refusal::Failed)?;
        write(account, resource, item, value)
    }

    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        let (_, account) = self.draft.as_mut().ok_or(Refusal::Failed)?;
        clear(account, resource, item)
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let (index, account) = self.draft.take().ok_or(Refusal::Failed)?;
        *self.accounts.get_mut(index).ok_or(Refusal::Failed)? = Some(account);
        Ok(())
    }

    fn abort(&mut self) {
        self.draft = None;
    }

    fn execute(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        _: Arguments<'_>,
    ) -> Result<(), Refusal> {
        let account = self.position(instance).ok_or(Refusal::NotFound)?;
        let trigger = match resource.get() {
            4 => Trigger::Disable,
            8 => Trigger::Update,
            #[cfg(feature = "bootstrap")]
            9 if self.accounts.iter().flatten().any(Account::is_bootstrap) => Trigger::Bootstrap,
            // /1/x/9 among others: there is no Bootstrap-Server account.
            _ => return Err(Refusal::NotAllowed),
        };
        self.trigger = Some((account, trigger));
        Ok(())
    }
}
