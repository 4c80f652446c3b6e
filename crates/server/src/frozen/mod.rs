//! An orderly restart: a shard as bytes, and a new one that goes on with them.
//!
//! What goes along are the registrations, their sessions and what those can be resumed with, the observations with their tokens, and
//! the message IDs of those with something going on. What does not are handshakes and requests under way. The bytes hold keys. They must
//! be used once: a record number that is used twice betrays what was encrypted (RFC 5288 §1, RFC 6655 §3).

mod bytes;
mod said;
mod stored;

use core::fmt;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use lightship_coap::MessageId;
use lightship_platform::Instant;
use zeroize::Zeroizing;

pub(crate) use self::bytes::{Reader, Writer};
pub use self::stored::{Stored, check_said};
use crate::devices::{Device, Talk};
use crate::observation::FrozenObservation;
use crate::presence::Sleep;
use crate::secure::Address;
use crate::slab::{Key, Keys};
use crate::{Details, Deviation, Deviations, Event, ObjectList, ObservationId, Party, Shard, Terms, Wanted};

/// The bytes are not those of a shard of this number, of this node and of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadFrozen;

impl fmt::Display for BadFrozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are not the bytes of a shard with this number, node and version")
    }
}

impl std::error::Error for BadFrozen {}

/// A shard as bytes. They hold keys, are erased when this is dropped, and are good for one [`Shard::thaw`] in all the world.
pub struct Frozen(Zeroizing<Vec<u8>>);

impl Frozen {
    /// Takes the bytes of [`Frozen::as_bytes`], which must be nowhere else by now.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be kept secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of the shard that it was; `None` if the bytes are not a shard's.
    #[must_use]
    pub fn shard(&self) -> Option<u8> {
        let mut reader = Reader::new(&self.0, Instant::ZERO);
        if reader.array()? == MAGIC { reader.u8() } else { None }
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frozen({} bytes)", self.0.len())
    }
}

/// A registration from before the restart.
struct FrozenDevice {
    random: u32,
    address: Address,
    party: Option<Arc<Party>>,
    session: Option<u32>,
    details: Details,
    registered_at: Instant,
    updated_at: Instant,
    proven: bool,
    allowance: u32,
    deviations: Deviations,
    sleep: Option<(Sleep, bool)>,
    message_id: Option<MessageId>,
    observations: Vec<FrozenObservation>,
}

const MAGIC: [u8; 4] = *b"LSH\x01";

impl Shard {
    /// The shard as bytes for a new one of the same number; it is over with this, without a word to anybody. What is under way ends
    /// unheard: requests, questions to the host, handshakes.
    #[must_use]
    pub fn freeze(mut self, now: Instant) -> Frozen {
        let mut writer = Writer::new(now);
        writer.raw(&MAGIC);
        writer.u8(self.config.shard);
        writer.u8(self.config.node);
        self.freeze_devices(&mut writer);
        self.sessions.freeze(&mut writer);
        Frozen(writer.finish())
    }

    /// Goes on with what another shard was when it was frozen, `elapsed` ago. To be called before anything else; each registration is
    /// told ([`Event::Restored`]). Whoever kept the bytes has erased them before.
    ///
    /// # Errors
    /// [`BadFrozen`]; the shard is as it was then.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub fn thaw(&mut self, now: Instant, elapsed: Duration, frozen: Frozen) -> Result<(), BadFrozen> {
        let mut reader = Reader::new(&frozen.0, now - elapsed);
        let ours = [self.config.shard, self.config.node];
        let is_ours = reader.array() == Some(MAGIC) && reader.array() == Some(ours);
        let mut thaw = || {
            let lists = reader.list(|reader| ObjectList::thaw(reader).map(Arc::new)).filter(|_| is_ours)?;
            let devices = reader.list(|reader| FrozenDevice::read(reader, &lists))?;
            let sessions = self.sessions.read(&mut reader)?;
            reader.is_at_end().then_some((devices, sessions))
        };
        let (devices, sessions) = thaw().ok_or(BadFrozen)?;
        self.sessions.thaw(now, sessions);
        for device in devices.into_iter().take(self.config.limits.registrations) {
            self.thaw_device(now, device);
        }
        Ok(())
    }

    fn freeze_devices(&mut self, writer: &mut Writer) {
        // Lists are shared by the devices of one kind, and stay so.
        let mut places = HashMap::new();
        let mut lists: Vec<&Arc<ObjectList>> = Vec::new();
        for (_, device) in self.devices.iter() {
            let list = &device.details.objects;
            places.entry(Arc::as_ptr(list)).or_insert_with(|| {
                lists.push(list);
                lists.len() - 1
            });
        }
        writer.len(lists.len());
        lists.iter().for_each(|list| list.freeze(writer));
        writer.len(self.devices.len());
        for (_, device) in self.devices.iter() {
            let list = places.get(&Arc::as_ptr(&device.details.objects)).copied().unwrap_or_default();
            self.freeze_device(device, list, writer);
        }
    }

    fn freeze_device(&self, device: &Device, list: usize, writer: &mut Writer) {
        writer.u32(device.random);
        writer.raw(&device.address.bytes());
        writer.maybe(self.devices.whole_party(device), |writer, party| party.freeze(writer));
        let session = device.session.and_then(|session| self.sessions.info(session));
        writer.maybe(session.map(|session| session.id.random), Writer::u32);
        writer.len(list);
        device.details.freeze(writer);
        writer.moment(device.registered_at);
        writer.moment(device.updated_at);
        let link = device.link().and_then(|link| self.links.get(link));
        writer.bool(link.map_or(device.proven, |link| link.proven));
        writer.u32(link.map_or(device.allowance(), |link| link.allowance));
        let deviations = device.deviations();
        let counts = deviations.counts();
        writer.len(counts.len());
        counts.iter().for_each(|count| writer.u16(*count));
        writer.maybe(device.sleep(), |writer, sleep| sleep.freeze(writer));
        writer.maybe(link.map(|link| link.peer.next_message_id().0), Writer::u16);
        let lasting = || device.observations.iter().copied().filter(|key| self.is_lasting(*key));
        writer.len(lasting().count());
        lasting().for_each(|key| self.freeze_observation(key, writer));
    }

    fn thaw_device(&mut self, now: Instant, frozen: FrozenDevice) {
        let FrozenDevice { details, party, observations, message_id, sleep, .. } = frozen;
        let taken =
            self.devices.by_endpoint(&details.endpoint).or_else(|| self.devices.by_random(frozen.random));
        let address = frozen.address.into();
        let same_address = self.devices.by_address(address).filter(|_| party.is_none());
        if taken.or(same_address).is_some() {
            return;
        }
        let session = frozen.session.and_then(|random| self.sessions.by_random(random));
        self.profiles.learn(&details.objects, &self.config.limits);
        let objects = self.devices.share_list(ObjectList::clone(&details.objects));
        let terms = self.devices.share_terms(Terms { objects, ..Terms::clone(&details.terms) });
        let details = Details { endpoint: details.endpoint, terms };
        let device = Device {
            random: frozen.random,
            address: session.map_or(address, |(_, address)| address).into(),
            session: session.map(|(session, _)| session).filter(|_| party.is_some()),
            party: None,
            details,
            registered_at: frozen.registered_at,
            updated_at: frozen.updated_at,
            expiry: None,
            is_asking: false,
            proven: frozen.proven,
            talk: Talk::Silent { allowance: frozen.allowance },
            rare: None,
            observations: Keys::default(),
            line: None,
        };
        let key = self.devices.insert(device, party.as_ref());
        if let Some(session) = session.and_then(|(session, _)| self.sessions.get_mut(session)) {
            session.held.device = key.index;
        }
        if let Some(device) = self.devices.get_mut(key) {
            device.merge_deviations(&frozen.deviations);
        }
        self.arm_expiry(frozen.updated_at, key);
        self.thaw_sleep(key, sleep);
        // A device with whom something was going on gets its link back, so that no message ID comes twice too soon.
        if let Some(id) = message_id
            && let Some(link) = self.link_of(now, key)
            && let Some(link) = self.links.get_mut(link)
        {
            link.peer.continue_message_ids(id);
        }
        let keys: Vec<_> =
            observations.into_iter().map(|frozen| self.thaw_observation(key, frozen)).collect();
        let named = |key: &Key<_>| {
            Some((ObservationId(key.to_bits()), Wanted::clone(&self.observations.get(*key)?.wanted)))
        };
        let observations = keys.iter().filter_map(named).collect();
        if let Some(device) = self.devices.get(key) {
            let registration = Box::new(self.shown(device));
            self.events.push_back(Event::Restored { registration, observations });
        }
        self.start_idle(now, key);
        if let Some(link) = self.devices.get(key).and_then(Device::link) {
            self.settle(now, link);
        }
    }

    fn thaw_sleep(&mut self, key: Key<Device>, sleep: Option<(Sleep, bool)>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        if let Some((mut sleep, is_awake)) = sleep.filter(|_| device.details.queue_mode) {
            if is_awake {
                sleep.stay_awake(&mut self.timers, key);
            }
            device.set_sleep(sleep);
        }
    }
}

impl FrozenDevice {
    fn read(reader: &mut Reader<'_>, lists: &[Arc<ObjectList>]) -> Option<Self> {
        Some(Self {
            random: reader.u32()?,
            address: Address::unpack(reader.array()?),
            party: reader.maybe(|reader| Party::thaw(reader).map(Arc::new))?,
            session: reader.maybe(Reader::u32)?,
            details: {
                let list = lists.get(usize::try_from(reader.u32()?).ok()?)?;
                Details::thaw(reader, list.clone())?
            },
            registered_at: reader.moment()?,
            updated_at: reader.moment()?,
            proven: reader.bool()?,
            allowance: reader.u32()?,
            deviations: {
                let mut deviations = Deviations::default();
                let counts = reader.list(Reader::u16)?;
                for (deviation, count) in Deviation::ALL.into_iter().zip(counts) {
                    deviations.raise(deviation, count);
                }
                deviations
            },
            sleep: reader.maybe(Sleep::thaw)?,
            message_id: reader.maybe(Reader::u16)?.map(MessageId),
            observations: reader.list(FrozenObservation::read)?,
        })
    }
}
