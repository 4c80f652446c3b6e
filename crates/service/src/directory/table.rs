//! Table: every registered device, small, found by its name.

use std::hash::{BuildHasher, RandomState};

use lightship_net::Clock;
use lightship_platform::Instant;
use lightship_server::{Details, Index, RegistrationId};
use lightship_store::WantedKey;

use super::names::{Names, Place};
use super::packed::Packed;
use super::{Before, Device, Observed, Past};

/// The devices and their indexes.
#[derive(Debug)]
pub(super) struct Table {
    clock: Clock,
    /// In chunks, so that no insertion has to copy a table of a million.
    chunks: Vec<Vec<Option<Packed>>>,
    free: Vec<Place>,
    by_name: Index,
    names: Names,
    /// While many come at once, [`Table::names`] is left empty.
    is_filling: bool,
    hashes: RandomState,
}

/// A device on its way into the table: what needs no lock is done.
pub(super) struct Ready {
    packed: Packed,
    hash: u64,
}

impl Ready {
    pub(super) fn of(device: Device, hashes: &RandomState) -> Ready {
        let packed = Packed::of(device);
        let hash = hashes.hash_one(packed.name());
        Ready { packed, hash }
    }
}

impl Table {
    pub(super) fn new(clock: Clock) -> Table {
        Table {
            clock,
            chunks: Vec::new(),
            free: Vec::new(),
            by_name: Index::default(),
            names: Names::default(),
            is_filling: false,
            hashes: RandomState::new(),
        }
    }

    /// What makes devices ready for this table.
    pub(super) fn hashes(&self) -> RandomState {
        self.hashes.clone()
    }

    /// About so many come at once from now on: pages are empty until [`Table::filled`].
    pub(super) fn fill(&mut self, about: usize) {
        self.is_filling = true;
        self.names = Names::default();
        let (chunks, hashes) = (&self.chunks, &self.hashes);
        self.by_name.reserve(about, |place| hashes.hash_one(name_in(chunks, *place)));
    }

    /// All are there: puts the names in order, at once.
    pub(super) fn filled(&mut self) {
        if !std::mem::take(&mut self.is_filling) {
            return;
        }
        let places = (0..).zip(self.chunks.iter().flatten()).filter(|(_, slot)| slot.is_some());
        let places: Vec<Place> = places.map(|(place, _)| place).collect();
        let chunks = &self.chunks;
        self.names = Names::of(&places, |place| name_in(chunks, place));
    }

    /// Adds devices; of two of the same name the one stays that registered later, the other is given back.
    pub(super) fn insert_many(&mut self, devices: Vec<Ready>) -> Vec<Device> {
        let mut older = Vec::new();
        for Ready { packed, hash } in devices {
            let chunks = &self.chunks;
            let is_it = |place: &Place| name_in(chunks, *place) == packed.name();
            let Some(place) = self.by_name.find(hash, is_it).copied() else {
                self.add(packed, hash);
                continue;
            };
            let Some(slot) = self.slot_mut(place) else { continue };
            let is_older = slot.as_ref().is_some_and(|there| packed.registered_at() < there.registered_at());
            let old = if is_older { Some(packed) } else { slot.replace(packed) };
            older.extend(old.map(|old| old.into_device(self.clock)));
        }
        older
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place_of(name).is_some()
    }

    /// A device, if it is as it is wanted.
    pub(super) fn find_if(&self, name: &str, is_so: &mut dyn FnMut(&Packed) -> bool) -> Option<Device> {
        self.at(self.place_of(name)?).filter(|packed| is_so(packed)).map(|packed| packed.open(self.clock))
    }

    pub(super) fn get(&self, name: &str) -> Option<Device> {
        self.at(self.place_of(name)?).map(|packed| packed.open(self.clock))
    }

    /// What a device said when it registered.
    pub(super) fn details(&self, name: &str) -> Option<Details> {
        self.at(self.place_of(name)?).map(Packed::details)
    }

    /// Changes what is known of an observation of a device that is heard until then; gives the change back if nothing is known yet.
    pub(super) fn reported<F: FnOnce(&mut Observed)>(
        &mut self,
        name: &str,
        key: &WantedKey,
        until: Instant,
        change: F,
    ) -> Result<(), F> {
        let clock = self.clock;
        let slot = self.place_of(name).and_then(|place| self.slot_mut(place)?.as_mut());
        match slot {
            Some(packed) => packed.reported(key, until, clock, change),
            None => Ok(()),
        }
    }

    /// What was counted of a device; with what its messages had in its present registration, if that ends with it.
    pub(super) fn past(&self, name: &str, with_present: bool) -> Option<Past> {
        self.at(self.place_of(name)?).map(|packed| packed.past(with_present))
    }

    /// What was counted of it, as a registration at that shard takes it over.
    pub(super) fn past_at(&self, name: &str, shard: u8) -> Option<Past> {
        self.at(self.place_of(name)?).map(|packed| packed.past_at(shard))
    }

    /// Adds a device; gives back the one of the same name.
    pub(super) fn insert(&mut self, device: Device) -> Option<Device> {
        let packed = Packed::of(device);
        if let Some(place) = self.place_of(packed.name()) {
            let slot = self.slot_mut(place)?;
            return slot.replace(packed).map(|old| old.into_device(self.clock));
        }
        let hash = self.hashes.hash_one(packed.name());
        self.add(packed, hash);
        None
    }

    /// Adds a device whose name is not here.
    fn add(&mut self, packed: Packed, hash: u64) {
        let place = self.free.pop().unwrap_or_else(|| self.add_slot());
        if let Some(slot) = self.slot_mut(place) {
            *slot = Some(packed);
        }
        let (chunks, hashes) = (&self.chunks, &self.hashes);
        self.by_name.insert_unique(hash, place, |place| hashes.hash_one(name_in(chunks, *place)));
        if !self.is_filling {
            self.names.insert(place, |place| name_in(chunks, place));
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Device> {
        let place = self.place_of(name)?;
        let chunks = &self.chunks;
        if !self.is_filling {
            self.names.remove(place, |place| name_in(chunks, place));
        }
        self.by_name.remove(self.hashes.hash_one(name), place);
        self.free.push(place);
        let clock = self.clock;
        self.slot_mut(place)?.take().map(|packed| packed.into_device(clock))
    }

    /// Changes a device, but not its name.
    pub(super) fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Device) -> T) -> Option<T> {
        let (place, clock) = (self.place_of(name)?, self.clock);
        let slot = self.slot_mut(place)?;
        let mut device = slot.take()?.into_device(clock);
        let result = change(&mut device);
        *slot = Some(Packed::of(device));
        Some(result)
    }

    /// A device of that registration was heard.
    pub(super) fn refreshed(
        &mut self,
        name: &str,
        id: RegistrationId,
        at: Instant,
        awake_until: Instant,
    ) -> Option<Before> {
        let (place, clock) = (self.place_of(name)?, self.clock);
        self.slot_mut(place)?.as_mut()?.refreshed(id, at, awake_until, clock)
    }

    /// Shows devices behind `after`, in the order of names, until `each` wants no more; the name to go on behind, if there may be more.
    pub(super) fn walk(
        &self,
        text: &str,
        after: Option<&str>,
        each: &mut dyn FnMut(Place, &Packed) -> bool,
    ) -> Option<String> {
        let name_of = |place| name_in(&self.chunks, place);
        let last = self
            .names
            .walk(text, after, name_of, |place| self.at(place).is_none_or(|packed| each(place, packed)));
        last.map(|place| name_of(place).to_owned())
    }

    /// The name that so many others come before.
    pub(super) fn nth(&self, before: usize) -> Option<String> {
        self.names.nth(before).map(|place| name_in(&self.chunks, place).to_owned())
    }

    /// A copy of what is at a place.
    pub(super) fn open(&self, place: Place) -> Option<Device> {
        Some(self.at(place)?.open(self.clock))
    }

    fn place_of(&self, name: &str) -> Option<Place> {
        let is_it = |place: &Place| name_in(&self.chunks, *place) == name;
        self.by_name.find(self.hashes.hash_one(name), is_it).copied()
    }

    fn at(&self, place: Place) -> Option<&Packed> {
        at(&self.chunks, place)
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Option<Packed>> {
        let place = usize::try_from(place).ok()?;
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    fn add_slot(&mut self) -> Place {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("one has just been made");
        chunk.push(None);
        Place::try_from(before + chunk.len() - 1).expect("the shards' limits keep it below 2^32")
    }
}

fn at(chunks: &[Vec<Option<Packed>>], place: Place) -> Option<&Packed> {
    let place = usize::try_from(place).ok()?;
    chunks.get(place / CHUNK)?.get(place % CHUNK)?.as_ref()
}

fn name_in(chunks: &[Vec<Option<Packed>>], place: Place) -> &str {
    at(chunks, place).map_or("", Packed::name)
}

/// Devices in a chunk, which fills a block of 32 KiB.
const CHUNK: usize = (32 << 10) / size_of::<Option<Packed>>();

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use lightship_api as api;
    use lightship_api::{ObservingState, Timestamp};
    use lightship_lwm2m::{Binding, Endpoint, Path, Version};
    use lightship_platform::Instant;
    use lightship_server::{Details, Deviations, Locator, ObjectList, Presence, Registration, Terms};
    use lightship_store::WantedKey;

    use super::super::{LastContent, Observed};
    use super::*;

    fn device(endpoint: Endpoint, random: u32, terms: &Arc<Terms>, clock: Clock) -> Device {
        let path: Path = "/3303/0/5700".parse().expect("a path");
        let mut node = api::Node::new(api::Content::Value(21.5.into()));
        node.path = Some(path.to_string());
        node.kind = Some(api::ValueType::Float);
        let key = WantedKey::Path(path);
        let now = Some(Timestamp(1_800_000_000_000));
        let content = LastContent::of(&key, vec![node]);
        let seen =
            Observed { state: ObservingState::Active, content, time: now, since: now, ..Observed::default() };
        let registration = Registration {
            id: Locator { shard: 0, node: 0, random },
            address: ([10, 0, 0, 1], 5683).into(),
            party: None,
            session: None,
            details: Details { endpoint, terms: terms.clone() },
            registered_at: Instant::from_secs(1),
            updated_at: Instant::from_secs(1),
            presence: Presence::Listening,
            deviations: Deviations::default(),
            expires_at: Some(Instant::from_secs(86_401)),
        };
        Device { observations: BTreeMap::from([(key, seen)]), ..Device::new(0, registration, clock) }
    }

    /// What the directory keeps of a device with one observation, besides the name and the terms that it shares with the
    /// shard. With `LIGHTSHIP_WEIGH=1000000` it weighs so many and says what the process takes for each.
    #[test]
    #[allow(clippy::print_stderr, reason = "a measurement")]
    fn a_device_takes_little_room() {
        let number = std::env::var("LIGHTSHIP_WEIGH").ok().and_then(|number| number.parse().ok());
        let clock = Clock::start();
        let terms = Arc::new(Terms {
            version: Version::V1_1,
            lifetime_s: 86_400,
            binding: Binding::UDP,
            queue_mode: false,
            sms: None,
            attributes: Box::default(),
            objects: Arc::new(ObjectList::default()),
        });
        let name =
            |n: u32| Endpoint::new(&format!("urn:imei:{:015}", n.wrapping_mul(0x9e37_79b1))).expect("a name");
        let names: Vec<Endpoint> = (0..number.unwrap_or(20_000)).map(name).collect();
        let mut table = Table::new(clock);
        let before = resident();
        let counted = allocation_counter::measure(|| {
            for (random, name) in (0..).zip(&names) {
                table.insert(device(name.clone(), random, &terms, clock));
            }
        });
        let each = usize::try_from(counted.bytes_current).unwrap_or(usize::MAX) / names.len();
        if number.is_some() {
            let each = resident().saturating_sub(before) / names.len();
            eprintln!("{each} resident bytes each");
        }
        assert_eq!(table.len(), names.len());
        assert!(each <= 241, "{each}");
    }

    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        pages * 4096
    }
}
