//! Directory: who is registered, where, and what was last heard of what is observed.
//!
//! The table keeps devices packed, since there may be a million of them; whoever asks for one gets it unpacked.

mod last;
mod names;
mod order;
mod packed;
mod past;
mod search;
mod table;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lightship_api as api;
use lightship_api::{ObservingState, Timestamp};
use lightship_lwm2m::object::implied_version;
use lightship_lwm2m::{Endpoint, Format, ObjectVersion, Path};
use lightship_net::{Clock, Look};
use lightship_platform::Instant;
use lightship_server::{Details, Locator, Presence, Registration, RegistrationId};
use lightship_store::WantedKey;

pub(crate) use self::last::LastContent;
use self::past::{Past, Pasts};
pub(crate) use self::search::Seen;
use self::table::{Ready, Table};
pub(crate) use self::told::Kinds;
use crate::content;
use crate::core;
use crate::deviation::Deviation;
use crate::security;

/// All registered devices, by endpoint.
#[derive(Debug)]
pub(crate) struct Directory {
    devices: RwLock<Table>,
    /// Endpoints that have been allowed to register and whose registration is on its way here: the device may know of
    /// it already.
    arriving: Mutex<HashSet<Endpoint>>,
    past: Mutex<Pasts>,
}

/// One registered device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// The shard that has its registration.
    pub(crate) shard: u8,
    pub(crate) registration: Registration,
    pub(crate) clock: Clock,
    /// When its session was opened, so that this is always told in the same way.
    pub(crate) session_opened: Option<(Locator, Timestamp)>,
    pub(crate) registered_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Until when it counts as awake, for one in Queue Mode.
    pub(crate) awake_until: Option<Timestamp>,
    /// When it should show itself, if it sleeps.
    pub(crate) expected_wake: Option<Timestamp>,
    /// Durable commands that wait for it.
    pub(crate) commands_waiting: u64,
    /// The format it has understood or spoken last, of those that hold any level.
    pub(crate) speaks: Option<Format>,
    /// Instances that it has made for us since it listed what it has.
    pub(crate) made: BTreeSet<Path>,
    /// Instances that it has deleted for us since then.
    pub(crate) deleted: BTreeSet<Path>,
    /// The format in which it has taken a list of paths.
    pub(crate) list_format: Option<Format>,
    /// Whether it has shown that it does not know composite operations.
    pub(crate) no_composites: bool,
    pub(crate) observations: BTreeMap<WantedKey, Observed>,
    /// What its data had otherwise than it should, in this registration and those before it.
    pub(crate) deviations: BTreeMap<Deviation, u64>,
    /// The same of its messages, before the registration began to count.
    pub(crate) deviations_before: BTreeMap<lightship_server::Deviation, u64>,
    /// Observations whose formats are not for the journal to vary: it has done so, or a caller is at it.
    pub(crate) format_left_open: BTreeSet<WantedKey>,
    /// Observations that a caller is starting: their start is not the server's own doing.
    pub(crate) asked: BTreeSet<WantedKey>,
}

/// What is known of one observation in the present registration.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) state: ObservingState,
    pub(crate) reason: Option<String>,
    /// What is true now, and the moment of the last report.
    pub(crate) content: LastContent,
    pub(crate) time: Option<Timestamp>,
    pub(crate) notifications: u64,
    /// When it last became active.
    pub(crate) since: Option<Timestamp>,
    /// How often it became active without a caller asking for it, in this registration and those before it.
    pub(crate) restarts: u64,
}

impl Default for Observed {
    fn default() -> Observed {
        Observed {
            state: ObservingState::Pending,
            reason: None,
            content: LastContent::default(),
            time: None,
            notifications: 0,
            since: None,
            restarts: 0,
        }
    }
}

impl Directory {
    pub(crate) fn new(clock: Clock) -> Directory {
        Directory {
            devices: RwLock::new(Table::new(clock)),
            arriving: Mutex::default(),
            past: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, endpoint: &str) -> Option<Device> {
        self.read().get(endpoint)
    }

    /// Whether it is registered.
    pub(crate) fn has(&self, endpoint: &str) -> bool {
        self.read().has(endpoint)
    }

    /// What a device said when it registered.
    pub(crate) fn details(&self, endpoint: &str) -> Option<Details> {
        self.read().details(endpoint)
    }

    /// A device that is heard until then has reported: changes what is known of one of its observations.
    pub(crate) fn reported(
        &self,
        endpoint: &Endpoint,
        key: &WantedKey,
        until: Instant,
        change: impl FnOnce(&mut Observed),
    ) {
        let mut devices = self.write();
        let change = devices.reported(endpoint, key, until, change);
        if let Err(change) = change {
            // It is the first of that observation.
            devices.change(endpoint, |device| {
                let clock = device.clock;
                device.heard(until, |at| core::timestamp(clock.date_of(at)));
                change(device.observations.entry(key.clone()).or_default());
            });
        }
    }

    /// An endpoint has been allowed to register.
    pub(crate) fn arriving(&self, endpoint: &Endpoint) {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        if arriving.len() < ARRIVING_MAX {
            arriving.insert(endpoint.clone());
        }
    }

    /// Whether the registration of that endpoint is on its way here.
    pub(crate) fn is_arriving(&self, endpoint: &str) -> bool {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner).contains(endpoint)
    }

    /// It has come, or it will not.
    pub(crate) fn arrived(&self, endpoint: &str) {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    /// Takes a new registration in. Counts go on from the registration before it; what was heard
    /// under observations does not. `carried` says that those of messages came along with the registration. Gives the shard
    /// and the name of the registration whose place it takes.
    pub(crate) fn registered(&self, mut device: Device, carried: bool) -> Option<(u8, RegistrationId)> {
        let endpoint = device.registration.details.endpoint.clone();
        let past = self.past().take(&endpoint);
        let mut devices = self.write();
        if let Some(past) = devices.past(&endpoint, !carried).or(past) {
            device.deviations = past.of_content;
            device.deviations_before = past.of_messages;
            let again = |restarts| Observed { restarts, ..Observed::default() };
            device.observations = past.restarts.into_iter().map(|(key, count)| (key, again(count))).collect();
        }
        let before = devices.insert(device);
        drop(devices);
        self.arrived(endpoint.as_str());
        before.map(|before| (before.shard, before.registration.id))
    }

    /// Makes of a registration that is about to come what it will be after the present one, if there is one.
    pub(crate) fn announced(&self, device: &mut Device) {
        let endpoint = &device.registration.details.endpoint;
        // The counts of messages come along from a registration at the same shard.
        let present = self.read().past_at(endpoint, device.shard);
        if let Some(past) = present.or_else(|| self.past().find(endpoint).cloned()) {
            device.deviations = past.of_content;
            device.deviations_before = past.of_messages;
        }
    }

    /// About so many come at once from now on, from before a restart; nobody asks for pages until [`Directory::filled`].
    pub(crate) fn fill(&self, about: usize) {
        self.write().fill(about);
    }

    /// Takes in registrations from before a restart; gives back the older ones of endpoints that have two.
    pub(crate) fn restored(&self, devices: impl Iterator<Item = Device>) -> Vec<Device> {
        let hashes = self.read().hashes();
        let ready: Vec<Ready> = devices.map(|device| Ready::of(device, &hashes)).collect();
        self.write().insert_many(ready)
    }

    /// All from before the restart are there.
    pub(crate) fn filled(&self) {
        self.write().filled();
    }

    /// A device sent an Update that says nothing new; gives what stood before.
    pub(crate) fn refreshed(
        &self,
        endpoint: &str,
        id: RegistrationId,
        at: Instant,
        awake_until: Instant,
    ) -> Option<Before> {
        self.write().refreshed(endpoint, id, at, awake_until)
    }

    /// Counts what a device's data had otherwise than it should.
    pub(crate) fn deviated(&self, endpoint: &Endpoint, deviations: impl IntoIterator<Item = Deviation>) {
        let mut deviations = deviations.into_iter().peekable();
        if deviations.peek().is_some() {
            self.change(endpoint, None, |device| {
                for deviation in deviations {
                    *device.deviations.entry(deviation).or_default() += 1;
                }
            });
        }
    }

    /// Changes a device if that registration is still its present one.
    pub(crate) fn change<T>(
        &self,
        endpoint: &Endpoint,
        id: Option<RegistrationId>,
        change: impl FnOnce(&mut Device) -> T,
    ) -> Option<T> {
        let mut devices = self.write();
        devices.change(endpoint, |device| {
            id.is_none_or(|id| device.registration.id == id).then(|| change(device))
        })?
    }

    /// Removes a device if that registration is still its present one; what was counted waits for its return.
    pub(crate) fn remove(&self, registration: &Registration) -> Option<Device> {
        let endpoint = &registration.details.endpoint;
        let mut devices = self.write();
        if devices.get(endpoint)?.registration.id != registration.id {
            return None;
        }
        let mut device = devices.remove(endpoint)?;
        drop(devices);
        device.registration.deviations = registration.deviations;
        self.past().keep(endpoint, Past::of(&device));
        Some(device)
    }

    fn past(&self) -> MutexGuard<'_, Pasts> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.devices.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    /// One that is registered like this, and of which nothing else is known.
    pub(crate) fn new(shard: u8, registration: Registration, clock: Clock) -> Device {
        Device::at(clock.look(), shard, registration, clock)
    }

    /// The same for who has looked at the clocks.
    pub(crate) fn at(look: Look, shard: u8, registration: Registration, clock: Clock) -> Device {
        let date = |at| core::timestamp(look.date_of(at));
        let presence = registration.presence;
        let mut device = Device {
            shard,
            clock,
            session_opened: None,
            registered_at: date(registration.registered_at),
            updated_at: date(registration.updated_at),
            expires_at: registration.expires_at.map(date),
            awake_until: None,
            expected_wake: None,
            commands_waiting: 0,
            speaks: None,
            made: BTreeSet::new(),
            deleted: BTreeSet::new(),
            list_format: None,
            no_composites: false,
            observations: BTreeMap::new(),
            deviations: BTreeMap::new(),
            deviations_before: BTreeMap::new(),
            format_left_open: BTreeSet::new(),
            asked: BTreeSet::new(),
            registration,
        };
        device.date_session();
        device.present(presence, date);
        device
    }

    /// The version the device registered an Object with.
    pub(crate) fn object_version(&self, path: Path) -> ObjectVersion {
        object_version(&self.registration.details, path)
    }

    /// Objects and Object Instances that it has: what it listed, with what we know to have changed since.
    pub(crate) fn listed(&self) -> BTreeSet<Path> {
        let links = self.registration.details.objects.objects.iter().map(|link| link.path);
        let mut listed: BTreeSet<Path> = links.chain(self.made.iter().copied()).collect();
        for path in &self.deleted {
            // Its Object is there still, if without instances.
            if listed.remove(path) && !listed.iter().any(|other| other.object_id() == path.object_id()) {
                listed.insert(path.truncated(1));
            }
        }
        listed
    }

    /// Takes note of an instance that came or went by an order of ours; the device's next list has it, too.
    pub(crate) fn changed(&mut self, path: Path, is_there: bool) {
        let (to, from) =
            if is_there { (&mut self.made, &mut self.deleted) } else { (&mut self.deleted, &mut self.made) };
        from.remove(&path);
        if to.len() < CHANGES_MAX {
            to.insert(path);
        }
    }

    /// Takes the registration as it is now.
    pub(crate) fn hold(&mut self, registration: Registration) {
        self.registration = registration;
        self.date_session();
    }

    /// Notes when its session was opened, once.
    pub(crate) fn date_session(&mut self) {
        if let Some(info) = &self.registration.session
            && self.session_opened.is_none_or(|(id, _)| id != info.id)
        {
            self.session_opened = Some((info.id, core::timestamp(self.clock.date_of(info.opened_at))));
        }
    }

    fn session(&self) -> Option<api::Session> {
        let info = self.registration.session.as_ref()?;
        let (_, opened_at) = self.session_opened.filter(|(id, _)| *id == info.id)?;
        Some(security::session(info, opened_at, self.clock))
    }

    /// Takes note of whether it can be reached.
    pub(crate) fn present(&mut self, presence: Presence, date: impl Fn(Instant) -> Timestamp) {
        self.registration.presence = presence;
        (self.awake_until, self.expected_wake) = match presence {
            Presence::Awake { until } => (Some(date(until)), None),
            Presence::Asleep { expected, .. } => (None, expected.map(date)),
            Presence::Listening => (None, None),
        };
    }

    /// It has sent something, which keeps it awake until then; a message that wakes it comes with an event of its own.
    pub(crate) fn heard(&mut self, until: Instant, date: impl Fn(Instant) -> Timestamp) {
        if let Presence::Awake { until: known } = self.registration.presence {
            self.present(Presence::Awake { until: until.max(known) }, date);
        }
    }

    /// What its messages had otherwise than they should, in this registration and those before it.
    fn of_messages(&self) -> BTreeMap<lightship_server::Deviation, u64> {
        let mut counts = self.deviations_before.clone();
        for (kind, count) in self.registration.deviations.iter() {
            *counts.entry(kind).or_default() += u64::from(count);
        }
        counts
    }

    /// As the API shows it.
    pub(crate) fn shape(&self) -> api::Endpoint {
        let details = &self.registration.details;
        let presence = self.registration.presence;
        let objects = self.listed().into_iter().map(|path| api::ObjectEntry {
            path: path.to_string(),
            version: Some(object_version(details, path).to_string()),
        });
        let of_messages = self.of_messages().into_iter().map(|(kind, count)| (kind.to_string(), count));
        let of_content = self.deviations.iter().map(|(kind, count)| (kind.as_str().to_owned(), *count));
        api::Endpoint {
            endpoint: details.endpoint.to_string(),
            registration_id: self.registration.id.to_string(),
            lwm2m_version: details.version.to_string(),
            lifetime_s: details.lifetime_s,
            binding: details.binding.to_text(details.version, details.queue_mode).as_str().to_owned(),
            queue_mode: details.queue_mode,
            state: if presence.is_asleep() { api::PresenceState::Asleep } else { api::PresenceState::Awake },
            awake_until: self.awake_until,
            expected_wake: self.expected_wake,
            commands_waiting: self.commands_waiting,
            address: self.registration.address.to_string(),
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            security: security::facts(&self.registration),
            session: self.session(),
            objects: objects.collect(),
            alternate_path: Some(format!("/{}", details.objects.root)).filter(|path| path != "/"),
            content_formats: details.objects.formats.iter().copied().map(content::format_name).collect(),
            profile_id: details.objects.profile.as_deref().map(str::to_owned),
            sms: details.sms.as_deref().map(str::to_owned),
            attributes: details.attributes.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            deviations: of_messages.chain(of_content).collect(),
            transmission: None,
            values: BTreeMap::new(),
        }
    }
}

/// When a device had registered, and was heard, before it was heard again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    pub(crate) registered_at: Instant,
    pub(crate) updated_at: Instant,
}

/// The version a device registered an Object with; silence means what its LwM2M version implies.
pub(crate) fn object_version(details: &Details, path: Path) -> ObjectVersion {
    let Some(object) = path.object_id() else { return ObjectVersion::V1_0 };
    let links = details.objects.objects.iter();
    let same = links.filter(|link| link.path.object_id() == Some(object));
    let said = same.filter_map(|link| link.version).next();
    said.unwrap_or_else(|| implied_version(object, details.version))
}

/// Instances that came or went between two lists of a device.
const CHANGES_MAX: usize = 1024;
/// Endpoints remembered as being on their way.
const ARRIVING_MAX: usize = 65_536;
