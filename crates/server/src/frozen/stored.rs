//! A registration as it outlives a crash: what its device said, as bytes that the host keeps, and the way back.
//!
//! ```text
//! version(1) address(18) party deviations terms
//! ```
//! The terms come last, so that devices of one kind end in the same bytes, and those are read once.

use std::collections::HashMap;
use std::sync::Arc;

use lightship_coap::ContentFormat;
use lightship_lwm2m::{Binding, Endpoint, ObjectVersion, Path, Version};
use lightship_platform::Instant;

use super::{Reader, Writer};
use crate::devices::{Device, Rare, SecretHash, Talk};
use crate::limits::AMPLIFICATION_MAX;
use crate::presence::Sleep;
use crate::secure::Address;
use crate::slab::Keys;
use crate::{
    Details, Deviation, Deviations, Event, ObjectLink, ObjectList, Party, Registration, RegistrationId,
    Shard, Terms,
};

/// A registration out of a store.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// Whose it is.
    pub endpoint: Endpoint,
    /// Its name, by which its device updates it.
    pub id: RegistrationId,
    /// When the device registered.
    pub registered_at: Instant,
    /// What [`Registration::said`] gave.
    pub said: &'a [u8],
}

/// Terms by the bytes that hold them.
type Kinds<'a> = HashMap<&'a [u8], Arc<Terms>, SecretHash>;

/// What the bytes hold.
struct Said {
    address: Address,
    party: Option<Arc<Party>>,
    deviations: Deviations,
    details: Details,
}

impl Registration {
    /// All of it that outlives a crash beside its endpoint, its name and its times, for [`Shard::restore`]. There are no keys in it.
    #[must_use]
    pub fn said(&self) -> Vec<u8> {
        self.said_with(&self.details.terms.packed())
    }

    /// The same for who has its terms packed already, as those of all devices of its kind.
    #[must_use]
    pub fn said_with(&self, terms: &[u8]) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.registered_at, HEAD_LEN_USUAL + terms.len());
        writer.u8(VERSION);
        writer.raw(&Address::from(self.address).bytes());
        writer.maybe(self.party.as_ref(), |writer, party| party.freeze(writer));
        let counts = self.deviations.counts();
        writer.len(counts.len());
        counts.iter().for_each(|count| writer.u16(*count));
        writer.raw(terms);
        writer.finish_open()
    }
}

/// Whether what a store has of a registration can be read, as [`Shard::restore`] will; for who looks a store through.
///
/// # Errors
/// Why not, in plain words.
pub fn check_said(endpoint: &Endpoint, said: &[u8]) -> Result<(), String> {
    if let Some(version) = said.first().filter(|version| **version != VERSION) {
        return Err(format!("what its device said has version {version}, this program knows {VERSION}"));
    }
    let terms = |reader: &mut Reader<'_>| Terms::unpack(reader, Arc::new).map(Arc::new);
    // It holds one thing: nobody can make it slow.
    let mut kinds = Kinds::with_hasher(SecretHash { secret: 0 });
    let read = Said::read(endpoint.clone(), said, &mut kinds, terms);
    read.map(|_| ()).ok_or_else(|| "what its device said cannot be read".to_owned())
}

impl Terms {
    /// What [`Registration::said`] ends with.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Instant::ZERO, SAID_LEN_USUAL);
        self.pack(&mut writer);
        writer.finish_open()
    }

    fn pack(&self, writer: &mut Writer) {
        writer.text(self.version.as_str());
        writer.u32(self.lifetime_s);
        writer.text(&self.binding.to_string());
        writer.bool(self.queue_mode);
        writer.maybe(self.sms.as_deref(), Writer::text);
        writer.len(self.attributes.len());
        for (name, value) in &self.attributes {
            writer.text(name);
            writer.text(value);
        }
        self.objects.pack(writer);
    }

    fn unpack(reader: &mut Reader<'_>, share: impl FnOnce(ObjectList) -> Arc<ObjectList>) -> Option<Self> {
        Some(Self {
            version: reader.text()?.parse().ok()?,
            lifetime_s: reader.u32()?,
            binding: Binding::parse(reader.text()?, Version::V1_1)?.0,
            queue_mode: reader.bool()?,
            sms: reader.maybe(Reader::text)?.map(Into::into),
            attributes: reader.list(|reader| Some((reader.text()?.into(), reader.text()?.into())))?.into(),
            objects: share(ObjectList::unpack(reader).filter(|_| reader.is_at_end())?),
        })
    }
}

impl Said {
    fn read<'a>(
        endpoint: Endpoint,
        said: &'a [u8],
        known: &mut Kinds<'a>,
        terms: impl FnOnce(&mut Reader<'a>) -> Option<Arc<Terms>>,
    ) -> Option<Self> {
        let mut reader = Reader::new(said, Instant::ZERO);
        if reader.u8()? != VERSION {
            return None;
        }
        let address = Address::unpack(reader.array()?);
        let party = reader.maybe(|reader| Party::thaw(reader).map(Arc::new))?;
        let mut deviations = Deviations::default();
        let counts = reader.list(Reader::u16)?;
        for (deviation, count) in Deviation::ALL.into_iter().zip(counts) {
            deviations.raise(deviation, count);
        }
        let packed = reader.rest();
        let terms = match known.get(packed) {
            Some(terms) => terms.clone(),
            None => known.entry(packed).or_insert(terms(&mut reader)?).clone(),
        };
        let details = Details { endpoint, terms };
        Some(Self { address, party, deviations, details })
    }
}

impl ObjectList {
    fn pack(&self, writer: &mut Writer) {
        writer.text(&self.root);
        writer.len(self.formats.len());
        self.formats.iter().for_each(|format| writer.u16(format.0));
        writer.maybe(self.profile.as_deref(), Writer::text);
        writer.len(self.objects.len());
        for link in &self.objects {
            // No object and no instance has this number (TS_Core 7.3).
            let mut numbers = link.path.numbers().chain([u16::MAX; 2]);
            writer.u16(numbers.next().unwrap_or(u16::MAX));
            writer.u16(numbers.next().unwrap_or(u16::MAX));
            writer.maybe(link.version, |writer, version| {
                writer.u8(version.major);
                writer.u8(version.minor);
            });
        }
    }

    fn unpack(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            root: reader.text()?.into(),
            formats: reader.list(|reader| reader.u16().map(ContentFormat))?.into(),
            profile: reader.maybe(Reader::text)?.map(Into::into),
            objects: reader
                .list(|reader| {
                    let numbers = [reader.u16()?, reader.u16()?];
                    let len = numbers.iter().take_while(|number| **number != u16::MAX).count();
                    let path = Path::from_numbers(numbers.get(..len)?)?;
                    let version = reader
                        .maybe(|reader| Some(ObjectVersion { major: reader.u8()?, minor: reader.u8()? }))?;
                    Some(ObjectLink { path, version })
                })?
                .into(),
        })
    }
}

impl Shard {
    /// Goes on with registrations out of a store, after a crash: each lives a whole lifetime from now, has no session, and sleeps if it is
    /// one that does. Says how many there are now ([`Event::Restored`]); those that are not ours, cannot be read, or are registered here
    /// already are left out. To be called before anything else but [`Shard::thaw`]; many at a time are cheaper than each alone.
    pub fn restore<'a>(&mut self, now: Instant, stored: impl IntoIterator<Item = Stored<'a>>) -> u64 {
        let mut kinds = HashMap::with_hasher(self.devices.hashes());
        let mut count = 0;
        for one in stored {
            count += u64::from(self.restore_one(now, one, &mut kinds).is_some());
        }
        count
    }

    fn restore_one<'a>(&mut self, now: Instant, stored: Stored<'a>, kinds: &mut Kinds<'a>) -> Option<()> {
        let Stored { endpoint, id, registered_at, said } = stored;
        let is_ours = id.shard == self.config.shard && id.node == self.config.node;
        let is_known = self.devices.by_endpoint(&endpoint).is_some();
        if !is_ours || is_known || self.devices.by_random(id.random).is_some() {
            return None;
        }
        let read_terms = |reader: &mut Reader<'a>| {
            let share = |list: ObjectList| {
                self.profiles.learn(&list, &self.config.limits);
                self.devices.share_list(list)
            };
            let terms = Terms::unpack(reader, share)?;
            Some(self.devices.share_terms(terms))
        };
        let said = Said::read(endpoint, said, kinds, read_terms).or_else(|| {
            tracing::warn!(%id, "a registration of before cannot be read; its device registers anew");
            None
        })?;
        let Said { address, party, deviations, details } = said;
        let is_there = party.is_none() && self.devices.by_address(address.into()).is_some();
        if is_there || self.devices.len() >= self.config.limits.registrations {
            return None;
        }
        let sleep = details.queue_mode.then(|| Sleep::asleep(now));
        let is_rare = sleep.is_some() || deviations != Deviations::default();
        // As much as its Register would have earned it.
        let allowance = u32::try_from(stored_len(&details)).unwrap_or(0).saturating_mul(AMPLIFICATION_MAX);
        let device = Device {
            random: id.random,
            address,
            party: None,
            session: None,
            details,
            registered_at,
            updated_at: now,
            expiry: None,
            proven: false,
            is_asking: false,
            talk: Talk::Silent { allowance },
            rare: is_rare.then(|| Box::new(Rare { sleep, deviations })),
            observations: Keys::default(),
            line: None,
        };
        let key = self.devices.insert(device, party.as_ref());
        self.arm_expiry(now, key);
        let registration = Box::new(self.shown(self.devices.get(key)?));
        self.events.push_back(Event::Restored { registration, observations: Box::default() });
        Some(())
    }
}

/// About how long the Register was that said this.
fn stored_len(details: &Details) -> usize {
    details.endpoint.len() + 8 * details.objects.objects.len() + 64
}

const VERSION: u8 = 1;
const SAID_LEN_USUAL: usize = 512;
/// What stands before the terms.
const HEAD_LEN_USUAL: usize = 128;
