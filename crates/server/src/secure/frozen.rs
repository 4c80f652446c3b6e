//! Sessions as bytes, for an orderly restart.

use std::net::SocketAddr;
use std::sync::Arc;

use lightship_dtls::{Association, Suite};
use lightship_platform::Instant;
use zeroize::Zeroizing;

use super::address::Address;
use super::resume::EndedSession;
use super::session::{Marks, Session};
use super::sessions::Sessions;
use crate::Party;
use crate::frozen::{Reader, Writer};
use crate::slab::Key;

/// Sessions from before a restart.
pub(crate) struct FrozenSessions {
    tag: u128,
    open: Vec<FrozenSession>,
    ended: Vec<(Instant, EndedSession)>,
}

struct FrozenSession {
    association: Association,
    master: Zeroizing<[u8; 48]>,
    random: u32,
    id_random: u32,
    address: Address,
    party: Arc<Party>,
    opened_at: Instant,
    suite: Suite,
    marks: Marks,
}

/// What stays true of a session.
const LASTING: u16 = Marks::CONNECTION_ID
    | Marks::RETURN_ROUTABILITY
    | Marks::RESUMED
    | Marks::EXTENDED_MASTER_SECRET
    | Marks::RESUMABLE
    | Marks::AT_ADDRESS
    | Marks::PROVEN;

impl<T: Default> Sessions<T> {
    /// Writes the open sessions, which are over with this, and what ended ones can be resumed with.
    pub(crate) fn freeze(&mut self, writer: &mut Writer) {
        writer.raw(&self.id_tag.to_be_bytes());
        let keys: Vec<_> = self.keys().collect();
        for key in keys {
            self.freeze_one(key, writer);
        }
        writer.bool(false);
        for (until, ended) in self.ended.iter() {
            writer.bool(true);
            writer.moment(until);
            writer.u32(ended.id_random);
            writer.raw(&ended.master[..]);
            writer.u16(ended.suite as u16);
            writer.bool(ended.extended_master_secret);
            ended.party.freeze(writer);
        }
        writer.bool(false);
    }

    fn freeze_one(&mut self, key: Key<Session<T>>, writer: &mut Writer) {
        let marks = self.table.get(key).map(|session| session.marks.0 & LASTING).unwrap_or_default();
        let party = self.table.whole_party(key);
        self.table.begin_closing(key);
        let Some(session) = self.table.remove(key) else { return };
        let (Some(party), Some(suite)) = (party, session.suite()) else { return };
        let Some(association) = session.association.freeze().map(Zeroizing::new) else { return };
        writer.bool(true);
        writer.bytes(&association);
        writer.raw(&session.master[..]);
        writer.u32(session.random);
        writer.u32(session.id_random);
        writer.raw(&session.address.bytes());
        party.freeze(writer);
        writer.moment(Instant::from_secs(session.opened_s.into()));
        writer.u16(suite as u16);
        writer.u16(marks);
    }

    /// Reads what [`Sessions::freeze`] has written.
    pub(crate) fn read(&self, reader: &mut Reader<'_>) -> Option<FrozenSessions> {
        let tag = u128::from_be_bytes(reader.array()?);
        let mut open = Vec::new();
        while reader.bool()? {
            open.push(FrozenSession {
                association: Association::thaw(reader.bytes()?)?,
                master: Zeroizing::new(reader.array()?),
                random: reader.u32()?,
                id_random: reader.u32()?,
                address: Address::unpack(reader.array()?),
                party: Arc::new(Party::thaw(reader)?),
                opened_at: reader.moment()?,
                suite: Suite::from_number(reader.u16()?)?,
                marks: Marks(reader.u16()? & LASTING),
            });
        }
        let mut ended = Vec::new();
        while reader.bool()? {
            let until = reader.moment()?;
            ended.push((
                until,
                EndedSession {
                    id_random: reader.u32()?,
                    master: Zeroizing::new(reader.array()?),
                    suite: Suite::from_number(reader.u16()?)?,
                    extended_master_secret: reader.bool()?,
                    party: Arc::new(Party::thaw(reader)?),
                },
            ));
        }
        Some(FrozenSessions { tag, open, ended })
    }

    /// Goes on with the sessions of before.
    pub(crate) fn thaw(&mut self, now: Instant, frozen: FrozenSessions) {
        let Some(core) = self.core.as_ref() else { return };
        let (sessions_max, resumptions_max) =
            (core.security.limits.sessions, core.security.limits.resumptions);
        self.id_tag = frozen.tag;
        for one in frozen.open.into_iter().take(sessions_max) {
            if self.table.by_random(one.random).is_some() || self.table.by_id(one.id_random).is_some() {
                continue;
            }
            self.resumable += usize::from(one.marks.has(Marks::RESUMABLE));
            let mut session = Session {
                association: one.association,
                master: one.master,
                random: one.random,
                id_random: one.id_random,
                address: one.address,
                party: None,
                opened_s: u32::try_from(one.opened_at.as_micros() / 1_000_000).unwrap_or(u32::MAX),
                marks: one.marks,
                replayed: 0,
                dropped: 0,
                held: T::default(),
            };
            session.set_suite(one.suite);
            self.table.insert_open(session, &one.party);
        }
        for (until, ended) in frozen.ended {
            if until > now {
                self.ended.insert(until, ended, resumptions_max.saturating_sub(self.resumable));
            }
        }
        self.arm_sweep(now);
    }

    /// The open session with this random part in its connection ID, and where its peer is.
    pub(crate) fn by_random(&self, random: u32) -> Option<(Key<Session<T>>, SocketAddr)> {
        let key = self.table.by_random(random)?;
        Some((key, self.get(key)?.address()))
    }
}
