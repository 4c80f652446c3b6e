//! The object LwM2M Server (1): a view of the accounts, one instance each.

use lightship_lwm2m::{
    ObjectId, ObjectInstanceId, ObjectVersion, ResourceId, ResourceInstanceId, Value, Version,
};

use crate::__derive;
use crate::config::Account;
use crate::object::{Arguments, Field, Object, ObjectModel, Refusal, ResourceModel, Scalar, Sink};

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

static RESOURCES: [ResourceModel; 16] = [
    resource(0),
    resource(1),
    resource(2),
    resource(3),
    resource(4),
    resource(5),
    resource(6),
    resource(7),
    resource(8),
    resource(9),
    resource(17),
    resource(18),
    resource(19),
    resource(20),
    resource(23),
    resource(26),
];

/// What a server asked for by executing a resource of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// `/1/x/4`
    Disable,
    /// `/1/x/8`
    Update,
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
    fn account(&self, instance: ObjectInstanceId) -> Option<&Account> {
        self.accounts.get(usize::from(instance.get()))?.as_ref()
    }
}

impl Object for ServerObject<'_> {
    fn model(&self) -> ObjectModel<'_> {
        let (version, last) = match self.version {
            Version::V1_0 => (ObjectVersion::V1_0, 8),
            Version::V1_1 => (ObjectVersion::new(1, 1), 23),
            Version::V1_2 => (OBJECT.version(), u16::MAX),
        };
        let known = RESOURCES.partition_point(|resource| resource.id.get() <= last);
        let resources = RESOURCES.get(..known).unwrap_or(&RESOURCES);
        ObjectModel { id: ObjectId::SERVER, version, multiple: true, resources }
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        (from..)
            .map_while(ObjectInstanceId::new)
            .take(self.accounts.len())
            .find(|id| self.account(*id).is_some())
    }

    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        let account = self.account(instance).ok_or(Refusal::NotFound)?;
        match resource.get() {
            0 => account.ssid.get().read(sink),
            1 => account.lifetime_s.read(sink),
            2 => account.default_pmin_s.read(sink),
            3 => account.default_pmax_s.read(sink),
            5 => account.disable_timeout_s.read(sink),
            6 => account.notification_storing.read(sink),
            7 => account.binding.read(sink),
            17 => account.retry.count.read(sink),
            18 => account.retry.timer_s.read(sink),
            19 => account.retry.sequence_delay_s.read(sink),
            20 => account.retry.sequence_count.read(sink),
            23 => account.mute_send.read(sink),
            26 => u8::from(account.confirmable_notifications).read(sink),
            _ => Err(Refusal::NotFound),
        }
    }

    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let account = self.account(instance).ok_or(Refusal::NotFound)?.clone();
        self.draft = Some((usize::from(instance.get()), account));
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let (_, account) = self.draft.as_mut().ok_or(Refusal::Failed)?;
        match resource.get() {
            1 => account.lifetime_s.write(item, value),
            2 => account.default_pmin_s.write(item, value),
            3 => account.default_pmax_s.write(item, value),
            5 => account.disable_timeout_s.write(item, value),
            6 => account.notification_storing.write(item, value),
            7 => account.binding.write(item, value),
            17 => {
                account.retry.count = u16::from_value(value)?;
                if account.retry.count == 0 { Err(Refusal::BadValue) } else { Ok(()) }
            }
            18 => account.retry.timer_s.write(item, value),
            19 => account.retry.sequence_delay_s.write(item, value),
            20 => account.retry.sequence_count.write(item, value),
            23 => account.mute_send.write(item, value),
            26 => {
                account.confirmable_notifications = u8::from_value(value)? != 0;
                Ok(())
            }
            _ => Err(Refusal::NotFound),
        }
    }

    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        let (_, account) = self.draft.as_mut().ok_or(Refusal::Failed)?;
        match resource.get() {
            2 => account.default_pmin_s.clear(item),
            3 => account.default_pmax_s.clear(item),
            5 => account.disable_timeout_s.clear(item),
            23 => account.mute_send.clear(item),
            _ => Err(Refusal::NotAllowed),
        }
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
        self.account(instance).ok_or(Refusal::NotFound)?;
        let trigger = match resource.get() {
            4 => Trigger::Disable,
            8 => Trigger::Update,
            // /1/x/9 among others: there is no Bootstrap-Server account.
            _ => return Err(Refusal::NotAllowed),
        };
        self.trigger = Some((usize::from(instance.get()), trigger));
        Ok(())
    }
}
