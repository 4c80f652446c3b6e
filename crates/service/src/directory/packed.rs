//! Packed: a device as the table keeps it. There are a million of these: what one costs is tested.
//!
//! Nearly all devices are silent, and listen always, and do what the standard says: whatever else there may be is behind
//! one pointer each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_api::{ObservingState, SecurityMode, Timestamp};
use lightship_lwm2m::{Endpoint, Format, Path};
use lightship_net::Clock;
use lightship_platform::Instant;
use lightship_server::{
    Address, Details, Deviations, Endpoints, Party, Presence, Principal, Registration, RegistrationId,
    SessionDrops, SessionInfo, Suite,
};
use lightship_store::WantedKey;

use super::{Before, Device, LastContent, Observed, Past};
use crate::core as shared;
use crate::deviation::Deviation;
use crate::filter::Facts;

/// A registered device in little space.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    details: Details,
    owner: Option<Arc<Party>>,
    session: Option<Box<Session>>,
    rare: Option<Box<Rare>>,
    observations: Box<[Seen]>,
    began: [Instant; 2],
    registered_at: Timestamp,
    updated_at: Timestamp,
    id: RegistrationId,
    address: Address,
    shard: u8,
    speaks: Option<Format>,
    list_format: Option<Format>,
    no_composites: bool,
    /// It is its own: a PSK identity that is its name, and speaks for it alone.
    owns_itself: bool,
}

/// Whose a registration is.
#[derive(Clone, Debug)]
enum Owner {
    /// It came without security.
    Nobody,
    /// See [`Packed::owns_itself`].
    Itself,
    Other(Arc<Party>),
}

/// What a secured device has while it can be reached. With whom and where is what the registration says.
#[derive(Clone, Debug)]
struct Session {
    opened_at: Instant,
    /// The date of that, as it was told first.
    opened: Timestamp,
    id: RegistrationId,
    dropped: SessionDrops,
    suite: Suite,
    connection_id: bool,
    return_routability: bool,
    resumed: bool,
    /// 0 for none.
    record_size_limit: u16,
}

/// What neither a device has that listens always, nor one that does what the standard says.
#[derive(Clone, Debug)]
struct Rare {
    sleep: Option<Sleep>,
    rest: Option<Box<Rest>>,
}

/// What a device in Queue Mode has.
#[derive(Clone, Debug)]
struct Sleep {
    presence: Presence,
    awake_until: Option<Timestamp>,
    expected_wake: Option<Timestamp>,
}

/// What few devices have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rest {
    deviations_counted: Deviations,
    commands_waiting: u64,
    made: BTreeSet<Path>,
    deleted: BTreeSet<Path>,
    deviations: BTreeMap<Deviation, u64>,
    deviations_before: BTreeMap<lightship_server::Deviation, u64>,
    /// Those of which nothing has been seen yet.
    format_left_open: BTreeSet<WantedKey>,
    asked: BTreeSet<WantedKey>,
}

/// What is known of one observation.
#[derive(Clone, Debug)]
struct Seen {
    key: Key,
    content: LastContent,
    #[expect(clippy::box_collection, reason = "few have one, and a thin pointer is half of a wide one")]
    reason: Option<Box<String>>,
    time: Moment,
    since: Moment,
    /// At most so many.
    notifications: u32,
    restarts: Restarts,
    marks: Marks,
}

/// A count of three bytes, which stays where it is when it is full.
#[derive(Clone, Copy, Debug)]
struct Restarts([u8; 3]);

impl Restarts {
    fn of(count: u64) -> Restarts {
        let [a, b, c, _] = u32::try_from(count).unwrap_or(u32::MAX).min(0xff_ffff).to_le_bytes();
        Restarts([a, b, c])
    }

    fn open(self) -> u64 {
        let Restarts([a, b, c]) = self;
        u32::from_le_bytes([a, b, c, 0]).into()
    }
}

/// How it is with an observation, in one byte.
#[derive(Clone, Copy, Debug)]
struct Marks(u8);

impl Marks {
    const ACTIVE: u8 = 1;
    const FAILED: u8 = 2;
    const FORMAT_LEFT_OPEN: u8 = 4;
    const ASKED: u8 = 8;

    fn of(state: ObservingState, format_left_open: bool, asked: bool) -> Marks {
        let state = match state {
            ObservingState::Active => Marks::ACTIVE,
            ObservingState::Pending => 0,
            ObservingState::Failed => Marks::FAILED,
        };
        let left_open = if format_left_open { Marks::FORMAT_LEFT_OPEN } else { 0 };
        Marks(state | left_open | if asked { Marks::ASKED } else { 0 })
    }

    fn state(self) -> ObservingState {
        match self.0 & (Marks::ACTIVE | Marks::FAILED) {
            Marks::ACTIVE => ObservingState::Active,
            0 => ObservingState::Pending,
            _ => ObservingState::Failed,
        }
    }

    fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }
}

#[derive(Clone, Debug)]
enum Key {
    Path(Path),
    #[expect(
        clippy::box_collection,
        reason = "few are found by a name, and a thin pointer is as long as a path"
    )]
    Name(Box<String>),
}

/// A moment, or the least one for none.
#[derive(Clone, Copy, Debug)]
struct Moment(i64);

impl Moment {
    const NONE: i64 = i64::MIN;

    fn of(time: Option<Timestamp>) -> Moment {
        Moment(time.map_or(Moment::NONE, |time| time.0))
    }

    fn open(self) -> Option<Timestamp> {
        (self.0 != Moment::NONE).then_some(Timestamp(self.0))
    }
}

impl Key {
    fn is(&self, key: &WantedKey) -> bool {
        match (self, key) {
            (Key::Path(this), WantedKey::Path(path)) => this == path,
            (Key::Name(this), WantedKey::Name(name)) => **this == *name,
            (Key::Path(_), WantedKey::Name(_)) | (Key::Name(_), WantedKey::Path(_)) => false,
        }
    }

    fn open(&self) -> WantedKey {
        match self {
            Key::Path(path) => WantedKey::Path(*path),
            Key::Name(name) => WantedKey::Name(name.as_str().to_owned()),
        }
    }
}

impl Seen {
    fn of(key: WantedKey, seen: Observed, format_left_open: bool, asked: bool) -> Seen {
        let key = match key {
            WantedKey::Path(path) => Key::Path(path),
            WantedKey::Name(name) => Key::Name(Box::new(name)),
        };
        Seen {
            key,
            content: seen.content,
            reason: seen.reason.map(Box::new),
            time: Moment::of(seen.time),
            since: Moment::of(seen.since),
            notifications: u32::try_from(seen.notifications).unwrap_or(u32::MAX),
            restarts: Restarts::of(seen.restarts),
            marks: Marks::of(seen.state, format_left_open, asked),
        }
    }

    fn open(self) -> (WantedKey, Observed) {
        let key = match self.key {
            Key::Path(path) => WantedKey::Path(path),
            Key::Name(name) => WantedKey::Name(*name),
        };
        let seen = Observed {
            state: self.marks.state(),
            reason: self.reason.map(|reason| *reason),
            content: self.content,
            time: self.time.open(),
            notifications: self.notifications.into(),
            since: self.since.open(),
            restarts: self.restarts.open(),
        };
        (key, seen)
    }

    /// Changes what is known, and leaves alone what it is of.
    fn change(&mut self, change: impl FnOnce(&mut Observed)) {
        let mut seen = Observed {
            state: self.marks.state(),
            reason: self.reason.take().map(|reason| *reason),
            content: std::mem::take(&mut self.content),
            time: self.time.open(),
            notifications: self.notifications.into(),
            since: self.since.open(),
            restarts: self.restarts.open(),
        };
        change(&mut seen);
        let marks = self.marks;
        self.marks = Marks::of(seen.state, marks.has(Marks::FORMAT_LEFT_OPEN), marks.has(Marks::ASKED));
        self.reason = seen.reason.map(Box::new);
        self.content = seen.content;
        self.time = Moment::of(seen.time);
        self.notifications = u32::try_from(seen.notifications).unwrap_or(u32::MAX);
        self.since = Moment::of(seen.since);
        self.restarts = Restarts::of(seen.restarts);
    }
}

impl Session {
    fn of(info: &SessionInfo, opened: Timestamp) -> Session {
        let SessionInfo { id, suite, opened_at, dropped, connection_id, return_routability, resumed, .. } =
            *info;
        let record_size_limit = info.record_size_limit.unwrap_or(0);
        Session {
            opened_at,
            opened,
            id,
            dropped,
            suite,
            connection_id,
            return_routability,
            resumed,
            record_size_limit,
        }
    }

    fn open(self, party: Arc<Party>, address: SocketAddr) -> (SessionInfo, Timestamp) {
        let info = SessionInfo {
            id: self.id,
            party,
            address,
            suite: self.suite,
            connection_id: self.connection_id,
            return_routability: self.return_routability,
            record_size_limit: Some(self.record_size_limit).filter(|limit| *limit > 0),
            resumed: self.resumed,
            opened_at: self.opened_at,
            dropped: self.dropped,
        };
        (info, self.opened)
    }
}

impl Owner {
    fn of(party: Arc<Party>, endpoint: &Endpoint) -> Owner {
        if party.endpoints.one() != Some(endpoint) {
            return Owner::Other(party);
        }
        if matches!(&party.principal, Principal::Psk(identity) if **identity == *endpoint.as_bytes()) {
            return Owner::Itself;
        }
        // The name is kept once.
        let endpoints = Endpoints::One(endpoint.clone());
        Owner::Other(Arc::new(Party { principal: party.principal.clone(), endpoints }))
    }

    /// The reverse of [`Owner::pack`].
    fn unpack(other: Option<Arc<Party>>, owns_itself: bool) -> Owner {
        match other {
            Some(party) => Owner::Other(party),
            None if owns_itself => Owner::Itself,
            None => Owner::Nobody,
        }
    }

    /// In less room: somebody else, and whether it is the device itself.
    fn pack(self) -> (Option<Arc<Party>>, bool) {
        match self {
            Owner::Nobody => (None, false),
            Owner::Itself => (None, true),
            Owner::Other(party) => (Some(party), false),
        }
    }

    fn open(self, endpoint: &Endpoint) -> Option<Arc<Party>> {
        match self {
            Owner::Nobody => None,
            Owner::Itself => Some(Arc::new(Party {
                principal: Principal::Psk(endpoint.as_bytes().into()),
                endpoints: Endpoints::One(endpoint.clone()),
            })),
            Owner::Other(party) => Some(party),
        }
    }
}

impl Packed {
    pub(super) fn of(device: Device) -> Packed {
        let Registration {
            id,
            address,
            party,
            session,
            details,
            registered_at,
            updated_at,
            presence,
            deviations,
            ..
        } = device.registration;
        let mut rest = Rest {
            deviations_counted: deviations,
            commands_waiting: device.commands_waiting,
            made: device.made,
            deleted: device.deleted,
            deviations: device.deviations,
            deviations_before: device.deviations_before,
            format_left_open: device.format_left_open,
            asked: device.asked,
        };
        let observations = device.observations.into_iter().map(|(key, seen)| {
            let (left_open, asked) = (rest.format_left_open.remove(&key), rest.asked.remove(&key));
            Seen::of(key, seen, left_open, asked)
        });
        let observations = observations.collect();
        let opened = device.session_opened;
        let session = session.map(|info| {
            // Whoever holds a registration with a session says when that was opened.
            let opened = opened.filter(|(id, _)| *id == info.id).map_or(Timestamp(0), |(_, opened)| opened);
            Box::new(Session::of(&info, opened))
        });
        let Device { awake_until, expected_wake, .. } = device;
        let sleep = match presence {
            Presence::Listening => None,
            Presence::Awake { .. } | Presence::Asleep { .. } => {
                Some(Sleep { presence, awake_until, expected_wake })
            }
        };
        let owner = party.map_or(Owner::Nobody, |party| Owner::of(party, &details.endpoint));
        let (owner, owns_itself) = owner.pack();
        let rest = (rest != Rest::default()).then(|| Box::new(rest));
        let is_rare = sleep.is_some() || rest.is_some();
        Packed {
            details,
            owner,
            session,
            rare: is_rare.then(|| Box::new(Rare { sleep, rest })),
            observations,
            began: [registered_at, updated_at],
            registered_at: device.registered_at,
            updated_at: device.updated_at,
            id,
            address: address.into(),
            shard: device.shard,
            speaks: device.speaks,
            list_format: device.list_format,
            no_composites: device.no_composites,
            owns_itself,
        }
    }

    /// It was heard, if it is that registration.
    pub(super) fn refreshed(
        &mut self,
        id: RegistrationId,
        at: Instant,
        awake_until: Instant,
        clock: Clock,
    ) -> Option<Before> {
        if self.id != id {
            return None;
        }
        let [registered_at, before] = self.began;
        self.began = [registered_at, at];
        self.updated_at = shared::timestamp(clock.date_of(at));
        self.heard(awake_until, clock);
        Some(Before { registered_at, updated_at: before })
    }

    pub(super) fn registered_at(&self) -> Instant {
        let [registered_at, _] = self.began;
        registered_at
    }

    pub(super) fn name(&self) -> &str {
        self.endpoint().as_str()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.details.endpoint
    }

    /// What a filter may ask.
    pub(super) fn facts(&self) -> Facts<'_> {
        let (made, deleted) =
            self.rest().map_or((None, None), |rest| (Some(&rest.made), Some(&rest.deleted)));
        let address: SocketAddr = self.address.into();
        Facts {
            name: self.name(),
            terms: &self.details,
            lost_since: None,
            asleep: self.sleep().is_some_and(|sleep| sleep.presence.is_asleep()),
            security: match &self.owner {
                Some(party) => crate::security::mode(party.principal.mode()),
                None if self.owns_itself => SecurityMode::Psk,
                None => SecurityMode::Nosec,
            },
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            address: address.ip(),
            made,
            deleted,
        }
    }

    fn sleep(&self) -> Option<&Sleep> {
        self.rare.as_ref()?.sleep.as_ref()
    }

    fn rest(&self) -> Option<&Rest> {
        self.rare.as_ref()?.rest.as_deref()
    }

    pub(super) fn details(&self) -> Details {
        self.details.clone()
    }

    /// It is heard until then, and something changes of an observation; gives the change back if it has none of that key.
    pub(super) fn reported<F: FnOnce(&mut Observed)>(
        &mut self,
        key: &WantedKey,
        until: Instant,
        clock: Clock,
        change: F,
    ) -> Result<(), F> {
        let Some(seen) = self.observations.iter_mut().find(|seen| seen.key.is(key)) else {
            return Err(change);
        };
        seen.change(change);
        self.heard(until, clock);
        Ok(())
    }

    /// Whoever is awake stays so until then.
    fn heard(&mut self, awake_until: Instant, clock: Clock) {
        if let Some(sleep) = self.rare.as_mut().and_then(|rare| rare.sleep.as_mut())
            && let Presence::Awake { until } = &mut sleep.presence
        {
            *until = awake_until.max(*until);
            sleep.awake_until = Some(shared::timestamp(clock.date_of(*until)));
        }
    }

    /// What was counted of it, as a registration at that shard takes it over.
    pub(super) fn past_at(&self, shard: u8) -> Past {
        self.past(self.shard != shard)
    }

    /// What was counted of it, as [`Past::of`] says; what its messages had in this registration is left out if another one goes on
    /// counting.
    pub(super) fn past(&self, with_present: bool) -> Past {
        let mut past = Past::default();
        if let Some(rest) = self.rest() {
            past.of_content.clone_from(&rest.deviations);
            past.of_messages.clone_from(&rest.deviations_before);
            let present = with_present.then(|| rest.deviations_counted.iter());
            for (kind, count) in present.into_iter().flatten() {
                *past.of_messages.entry(kind).or_default() += u64::from(count);
            }
        }
        let restarted = self.observations.iter().filter(|seen| seen.restarts.open() > 0);
        past.restarts = restarted.map(|seen| (seen.key.open(), seen.restarts.open())).collect();
        past
    }

    /// A copy to look at.
    pub(super) fn open(&self, clock: Clock) -> Device {
        self.clone().into_device(clock)
    }

    /// The device, to work with.
    pub(super) fn into_device(self, clock: Clock) -> Device {
        let Packed { details, owner, owns_itself, session, rare, observations, began, .. } = self;
        let (sleep, rest) = rare.map_or((None, None), |rare| (rare.sleep, rare.rest));
        let Rest {
            deviations_counted,
            commands_waiting,
            made,
            deleted,
            deviations,
            deviations_before,
            mut format_left_open,
            mut asked,
        } = rest.map(|rest| *rest).unwrap_or_default();
        let mut open = BTreeMap::new();
        for seen in observations {
            let (left_open, is_asked) =
                (seen.marks.has(Marks::FORMAT_LEFT_OPEN), seen.marks.has(Marks::ASKED));
            let (key, seen) = seen.open();
            format_left_open.extend(left_open.then(|| key.clone()));
            asked.extend(is_asked.then(|| key.clone()));
            open.insert(key, seen);
        }
        let (party, address) =
            (Owner::unpack(owner, owns_itself).open(&details.endpoint), self.address.into());
        let session = session.zip(party.clone()).map(|(session, party)| session.open(party, address));
        let (session, opened) = session.unzip();
        let session_opened = session.as_ref().map(|info: &SessionInfo| info.id).zip(opened);
        let presence = sleep.as_ref().map_or(Presence::Listening, |sleep| sleep.presence);
        let [registered_at, updated_at] = began;
        let (lifetime_s, endless) = (details.lifetime_s, details.lifetime_s == 0);
        let lifetime = core::time::Duration::from_secs(lifetime_s.into());
        let expires_at = Timestamp(self.updated_at.0.saturating_add(i64::from(lifetime_s) * 1000));
        Device {
            shard: self.shard,
            clock,
            session_opened,
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            expires_at: (!endless).then_some(expires_at),
            awake_until: sleep.as_ref().and_then(|sleep| sleep.awake_until),
            expected_wake: sleep.as_ref().and_then(|sleep| sleep.expected_wake),
            commands_waiting,
            speaks: self.speaks,
            made,
            deleted,
            list_format: self.list_format,
            no_composites: self.no_composites,
            observations: open,
            deviations,
            deviations_before,
            format_left_open,
            asked,
            registration: Registration {
                id: self.id,
                address,
                party,
                session,
                details,
                registered_at,
                updated_at,
                presence,
                deviations: deviations_counted,
                expires_at: (!endless).then(|| updated_at + lifetime),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_device_is_small() {
        assert!(size_of::<Option<Packed>>() <= 128, "{}", size_of::<Option<Packed>>());
        assert!(size_of::<Seen>() <= 64, "{}", size_of::<Seen>());
        assert!(size_of::<Session>() <= 40, "{}", size_of::<Session>());
    }

    #[test]
    fn an_observation_is_the_same_after_it_was_packed() {
        let keys =
            [WantedKey::Path("/3303/0/5700".parse().expect("a path")), WantedKey::Name("all".to_owned())];
        let states = [ObservingState::Active, ObservingState::Pending, ObservingState::Failed];
        for (key, state) in keys.iter().flat_map(|key| states.map(|state| (key, state))) {
            let seen = |restarts, notifications| Observed {
                state,
                reason: Some("because".to_owned()),
                time: Some(Timestamp(-5)),
                notifications,
                restarts,
                ..Observed::default()
            };
            let mut packed = Seen::of(key.clone(), seen(70_000, 7), false, true);
            packed.change(|seen| seen.notifications += 1);
            assert!(packed.marks.has(Marks::ASKED) && !packed.marks.has(Marks::FORMAT_LEFT_OPEN));
            assert!(packed.key.is(key));
            let (same, open) = packed.open();
            assert_eq!((&same, open.state, open.time, open.since), (key, state, Some(Timestamp(-5)), None));
            assert_eq!((open.restarts, open.notifications), (70_000, 8));
            assert_eq!(open.reason.as_deref(), Some("because"));
            // What counts on for ever stays where its room ends.
            let (_, full) = Seen::of(key.clone(), seen(u64::MAX, u64::MAX), true, false).open();
            assert_eq!((full.restarts, full.notifications), (0xff_ffff, u32::MAX.into()));
        }
    }

    #[test]
    fn a_party_is_the_same_after_it_was_packed() {
        let name = |name: &str| Endpoint::new(name).expect("a name");
        let psk = |identity: &[u8]| Principal::Psk(identity.into());
        for (principal, endpoints) in [
            (psk(b"lamp"), Endpoints::One(name("lamp"))),
            (psk(b"lamp"), Endpoints::One(name("pump"))),
            (psk(b"lamp"), Endpoints::Any),
            (psk(b"other"), Endpoints::One(name("lamp"))),
            (Principal::RawPublicKey([7; 32]), Endpoints::One(name("lamp"))),
        ] {
            let party = Arc::new(Party { principal, endpoints });
            let (other, owns_itself) = Owner::of(party.clone(), &name("lamp")).pack();
            assert_eq!(Owner::unpack(other, owns_itself).open(&name("lamp")), Some(party));
        }
    }
}
