//! Directory: who is registered, where, and what was last heard of what is observed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lightship_api as api;
use lightship_api::{ObservingState, Timestamp};
use lightship_lwm2m::object::implied_version;
use lightship_lwm2m::{Endpoint, Format, ObjectVersion, Path};
use lightship_server::{Registration, RegistrationId};

/// All registered devices, by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    devices: RwLock<BTreeMap<Endpoint, Device>>,
    /// Endpoints that have been allowed to register and whose registration is on its way here: the device may know of
    /// it already.
    arriving: Mutex<BTreeSet<Endpoint>>,
}

/// One registered device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// The shard that has its registration.
    pub(crate) shard: u8,
    pub(crate) registration: Registration,
    pub(crate) registered_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The format it has understood or spoken last, of those that hold any level.
    pub(crate) speaks: Option<Format>,
    pub(crate) observations: BTreeMap<Path, Observed>,
}

/// What is known of one observation in the present registration.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) state: ObservingState,
    pub(crate) reason: Option<String>,
    pub(crate) content: Option<Vec<api::Node>>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) notifications: u64,
}

impl Default for Observed {
    fn default() -> Observed {
        Observed { state: ObservingState::Pending, reason: None, content: None, time: None, notifications: 0 }
    }
}

impl Directory {
    pub(crate) fn find(&self, endpoint: &str) -> Option<Device> {
        self.read().get(endpoint).cloned()
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

    /// Takes a new registration in; what was known of observations belongs to the old one.
    pub(crate) fn registered(&self, device: Device) {
        let endpoint = device.registration.details.endpoint.clone();
        self.write().insert(endpoint.clone(), device);
        self.arrived(endpoint.as_str());
    }

    /// Changes a device if that registration is still its present one.
    pub(crate) fn change<T>(
        &self,
        endpoint: &Endpoint,
        id: Option<RegistrationId>,
        change: impl FnOnce(&mut Device) -> T,
    ) -> Option<T> {
        let mut devices = self.write();
        let device = devices.get_mut(endpoint)?;
        id.is_none_or(|id| device.registration.id == id).then(|| change(device))
    }

    /// Removes a device if that registration is still its present one.
    pub(crate) fn remove(&self, endpoint: &Endpoint, id: RegistrationId) -> Option<Device> {
        let mut devices = self.write();
        if devices.get(endpoint)?.registration.id == id { devices.remove(endpoint) } else { None }
    }

    /// One page in the order of names: at most `limit` devices behind `after` whose name contains `filter`, and the
    /// name to go on behind, if there are more.
    pub(crate) fn page(
        &self,
        filter: &str,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<api::Endpoint>, Option<String>) {
        let devices = self.read();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut items: Vec<api::Endpoint> = Vec::new();
        for (name, device) in devices.range::<str, _>((start, Bound::Unbounded)) {
            if !name.as_str().contains(filter) {
                continue;
            }
            if items.len() == limit {
                let last = items.last().map(|last| last.endpoint.clone());
                return (items, last);
            }
            items.push(device.shape());
        }
        (items, None)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Endpoint, Device>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Endpoint, Device>> {
        self.devices.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    /// The version the device registered an Object with.
    pub(crate) fn object_version(&self, path: Path) -> ObjectVersion {
        object_version(&self.registration, path)
    }

    /// As the API shows it.
    pub(crate) fn shape(&self) -> api::Endpoint {
        let details = &self.registration.details;
        let objects = details.objects.objects.iter().map(|link| api::ObjectEntry {
            path: link.path.to_string(),
            version: Some(object_version(&self.registration, link.path).to_string()),
        });
        let deviations = self.registration.deviations.iter();
        api::Endpoint {
            endpoint: details.endpoint.to_string(),
            registration_id: self.registration.id.to_string(),
            lwm2m_version: details.version.to_string(),
            lifetime_s: details.lifetime_s,
            binding: details.binding.to_text(details.version, details.queue_mode).as_str().to_owned(),
            queue_mode: details.queue_mode,
            state: api::PresenceState::Awake,
            address: self.registration.address.to_string(),
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            security: api::Security {
                mode: api::SecurityMode::Nosec,
                identity: None,
                cipher_suite: None,
                cid: None,
            },
            objects: objects.collect(),
            attributes: details.attributes.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            deviations: deviations.map(|(kind, count)| (kind.to_string(), count.into())).collect(),
        }
    }
}

/// The version a device registered an Object with; silence means what its LwM2M version implies.
pub(crate) fn object_version(registration: &Registration, path: Path) -> ObjectVersion {
    let Some(object) = path.object_id() else { return ObjectVersion::V1_0 };
    let links = registration.details.objects.objects.iter();
    let same = links.filter(|link| link.path.object_id() == Some(object));
    let said = same.filter_map(|link| link.version).next();
    said.unwrap_or_else(|| implied_version(object, registration.details.version))
}

/// Endpoints remembered as being on their way.
const ARRIVING_MAX: usize = 65_536;
