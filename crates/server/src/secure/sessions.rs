//! The sessions of an engine: what comes in, what goes out, and how they end.
//!
//! The engine feeds datagrams, takes the data out of them record by record, hears what has happened ([`Happened`]), and lets what it
//! wants to send be sealed.

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_dtls::cookie::Cookies;
use lightship_dtls::{Alert, DropReason, Event, Facts, Failure, Host, Path, Record, SealError, Wear};
use lightship_platform::crypto::Secret;
use lightship_platform::{Instant, Rng as _, SeededRng};

use super::budget::Budgets;
use super::event::{CredentialEnd, SecurityEvent, SessionEnd};
use super::handshake::{ANSWER_LEN_MAX, Question};
use super::parties::PartyRef;
use super::party::KeyCheck;
use super::resume::{EndedSession, EndedSessions};
use super::session::{Marks, NewPath, Session, Stage, Table};
use super::steer::{cid_of, hello_of, is_handshake, is_protected};
use crate::devices::SecretHash;
use crate::limits::{AMPLIFICATION_MAX, METERED_IDENTITIES_MAX, STATELESS_MAX};
use crate::meter::Meter;
use crate::slab::{Key, Slab};
use crate::timer::Timers;
use crate::trace::{Recorder, TraceDrop, Way};
use crate::{Locator, Party, Security, SecurityStats, SessionDrops, SessionInfo, Whose};

/// All secured sessions of an engine, which keeps a `T` with each.
pub(crate) struct Sessions<T> {
    /// What it takes to speak DTLS; `None`: nothing is spoken.
    pub(super) core: Option<Core>,
    pub(super) shard: u8,
    pub(super) node: u8,
    pub(super) ask_timeout: Duration,
    /// Goes into session IDs, so that those of another run name nothing.
    pub(super) id_tag: u128,
    pub(super) table: Table<T>,
    pub(super) ended: EndedSessions,
    pub(super) budgets: Budgets,
    /// Handshakes by identity.
    pub(super) identities: Meter,
    /// Handshakes, the oldest first; those that are over are skipped when they come up.
    pub(super) pool: VecDeque<Key<Session<T>>>,
    /// Bytes that they take.
    pub(super) pool_bytes: usize,
    /// The bytes of these beyond the part of each.
    pub(super) pool_excess: usize,
    pub(super) questions: Slab<Question>,
    pub(super) timers: Timers<Due<T>>,
    pub(super) happened: VecDeque<Happened<T>>,
    pub(super) stats: SecurityStats,
    /// Open sessions that can be resumed by their ID.
    pub(super) resumable: usize,
    sending: VecDeque<Key<Session<T>>>,
    unseen: VecDeque<(SocketAddr, [u8; ANSWER_LEN_MAX], usize)>,
    sweep: Option<Instant>,
    now: Instant,
}

/// What a timer is for.
pub(crate) enum Due<T> {
    /// An association wants to go on.
    Association(Key<Session<T>>),
    /// The host has had long enough to answer.
    Ask(Key<Question>),
    /// The secrets of ended sessions are to be forgotten.
    Sweep,
}

impl<T> Clone for Due<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Due<T> {}

/// What the engine is told.
pub(crate) enum Happened<T> {
    /// To be handed on to the host.
    Told(SecurityEvent),
    /// A session is open.
    Opened { session: SessionInfo, facts: Box<Facts> },
    /// A session has ended; the engine gets back what it kept with it.
    Closed { key: Key<Session<T>>, session: SessionInfo, held: T, reason: SessionEnd },
    /// A session's peer is at another address, proven or not.
    Moved { key: Key<Session<T>>, to: SocketAddr, is_proven: bool, allowance: u32 },
}

/// A record on its way.
pub(crate) struct Sealed {
    pub(crate) to: SocketAddr,
    pub(crate) len: usize,
    /// The session's keys should be replaced at the next occasion that loses nothing.
    pub(crate) is_worn: bool,
}

/// The settings, and what cryptography needs.
pub(crate) struct Core {
    pub(super) security: Security,
    pub(super) rng: SeededRng,
    cookies: Option<Cookies>,
}

impl Core {
    pub(super) fn host(&mut self, now: Instant) -> Host<'_> {
        self.turn_ticket_keys(now);
        let Security { dtls, crypto, .. } = &self.security;
        Host { now, crypto: &**crypto, rng: &mut self.rng, config: dtls }
    }

    /// The keys of tickets are those of now.
    fn turn_ticket_keys(&mut self, now: Instant) {
        let Security { dtls, crypto, tickets: Some(tickets), .. } = &mut self.security else { return };
        if let Some(keys) = tickets.turn(now, &**crypto, dtls.ticket_keys.as_deref()) {
            Arc::make_mut(dtls).ticket_keys = Some(keys);
        }
    }

    pub(super) fn cookies_and_host(&mut self, now: Instant) -> (&mut Cookies, Host<'_>) {
        self.turn_ticket_keys(now);
        let Security { dtls, crypto, .. } = &self.security;
        let cookies = self.cookies.get_or_insert_with(|| Cookies::new(now, &mut self.rng));
        (cookies, Host { now, crypto: &**crypto, rng: &mut self.rng, config: dtls })
    }

    /// What is left in a ticket of the key that it was given under.
    pub(super) fn key_check(&self, key: &Secret) -> KeyCheck {
        let mac = self.security.crypto.hmac_sha256(key.bytes(), &[b"the key behind a session ticket"]);
        mac.first_chunk().copied().unwrap_or_default()
    }
}

impl<T: Default> Sessions<T> {
    pub(crate) fn new(
        security: Option<(Security, SeededRng)>,
        (shard, node): (u8, u8),
        ask_timeout: Duration,
        hashes: SecretHash,
    ) -> Self {
        let mut core = security.map(|(security, rng)| Core { security, rng, cookies: None });
        let mut id_tag = [0; 16];
        if let Some(core) = &mut core {
            core.rng.fill(&mut id_tag);
        }
        Self {
            core,
            shard,
            node,
            ask_timeout,
            id_tag: u128::from_be_bytes(id_tag),
            table: Table::new(hashes),
            ended: EndedSessions::new(hashes),
            budgets: Budgets::new(hashes),
            identities: Meter::new(METERED_IDENTITIES_MAX, hashes),
            pool: VecDeque::new(),
            pool_bytes: 0,
            pool_excess: 0,
            questions: Slab::new(),
            timers: Timers::new(),
            happened: VecDeque::new(),
            stats: SecurityStats::default(),
            resumable: 0,
            sending: VecDeque::new(),
            unseen: VecDeque::new(),
            sweep: None,
            now: Instant::ZERO,
        }
    }

    pub(crate) fn stats(&self) -> SecurityStats {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let live = self.table.open_len();
        SecurityStats {
            sessions: count(live),
            handshakes: count(self.table.pending_len()),
            handshake_bytes: count(self.pool_bytes),
            resumptions: count(self.ended.len() + self.resumable),
            ..self.stats
        }
    }

    /// What the engine keeps with the session that a datagram names by itself.
    pub(crate) fn held(&self, datagram: &[u8]) -> Option<T>
    where
        T: Copy,
    {
        let key = self.table.by_random(cid_of(datagram)?.random)?;
        Some(self.table.get(key)?.held)
    }

    pub(crate) fn get(&self, key: Key<Session<T>>) -> Option<&Session<T>> {
        self.table.get(key).filter(|session| session.stage() == Stage::Open)
    }

    pub(crate) fn get_mut(&mut self, key: Key<Session<T>>) -> Option<&mut Session<T>> {
        self.table.get_mut(key).filter(|session| session.stage() == Stage::Open)
    }

    /// Whether a session, or a handshake, is found by this address alone.
    pub(crate) fn needs_address(&self, address: SocketAddr) -> bool {
        let open = self.table.at_address(address.into()).and_then(|key| self.table.get(key));
        open.is_some_and(|session| !session.marks.has(Marks::CONNECTION_ID))
            || self.table.pending_at(address.into()).is_some()
    }

    /// The open sessions.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key<Session<T>>> {
        self.table.iter().filter(|(_, session)| session.stage() == Stage::Open).map(|(key, _)| key)
    }

    /// With whom an open session is.
    pub(crate) fn party(&self, key: Key<Session<T>>) -> Option<PartyRef<'_>> {
        self.get(key)?;
        self.table.party(key)
    }

    /// The same for the host.
    pub(crate) fn whole_party(&self, key: Key<Session<T>>) -> Option<Arc<Party>> {
        self.get(key)?;
        self.table.whole_party(key)
    }

    /// The random part of an open session's connection ID.
    pub(crate) fn random(&self, key: Key<Session<T>>) -> Option<u32> {
        Some(self.get(key)?.random)
    }

    /// An open session as the host sees it.
    pub(crate) fn info(&self, key: Key<Session<T>>) -> Option<SessionInfo> {
        let session = self.table.get(key)?;
        Some(SessionInfo {
            id: Locator { shard: self.shard, node: self.node, random: session.random },
            party: self.table.whole_party(key)?,
            address: session.address.into(),
            suite: session.suite()?,
            connection_id: session.marks.has(Marks::CONNECTION_ID),
            return_routability: session.marks.has(Marks::RETURN_ROUTABILITY),
            record_size_limit: session.association.peer_record_size_limit(),
            resumed: session.marks.has(Marks::RESUMED),
            opened_at: Instant::from_secs(session.opened_s.into()),
            dropped: SessionDrops {
                bad_mac: session.association.failures(),
                replayed: session.replayed,
                other: session.dropped,
            },
        })
    }

    /// The last moment that the sessions were told.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// What has happened since it was asked last.
    pub(crate) fn poll_happened(&mut self) -> Option<Happened<T>> {
        self.happened.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.timers.advance(now);
        while let Some(due) = self.timers.pop() {
            match due {
                Due::Association(key) => {
                    if let Some(busy) = self.table.busy_mut(key) {
                        busy.timer = None;
                    }
                    if let (Some(session), Some(core)) = (self.table.get_mut(key), self.core.as_mut()) {
                        session.association.handle_timeout(&mut core.host(now));
                    }
                    self.stir_here(now, key);
                }
                Due::Ask(question) => self.unanswered(now, question),
                Due::Sweep => {
                    self.sweep = None;
                    self.arm_sweep(now);
                }
            }
        }
    }

    /// Finds the session of a datagram, or deals with it at once: then there is none.
    pub(crate) fn input(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        trace: &mut Recorder,
    ) -> Option<Key<Session<T>>> {
        self.now = now;
        self.stats.datagrams_in += 1;
        let mut unseen =
            |why| trace.record_sealed(Way { address: from, session: 0, tag: 0, flags: 0 }, datagram, why);
        if self.core.is_none() {
            self.stats.dropped.no_session += 1;
            unseen(TraceDrop::NoSession);
            return None;
        }
        if let Some(locator) = cid_of(datagram) {
            let ours = (locator.shard, locator.node) == (self.shard, self.node);
            let found = self.table.by_random(locator.random).filter(|_| ours);
            if found.is_none() {
                self.stats.dropped.count(DropReason::ConnectionId);
                unseen(TraceDrop::UnknownConnectionId);
            }
            return found;
        }
        if hello_of(datagram).is_some() {
            return self.hello(now, from, datagram);
        }
        let address = from.into();
        let (pending, open) = (self.table.pending_at(address), self.table.at_address(address));
        // A handshake may run beside a session. Before it has keys it says things in the clear, then it says Finished.
        let is_of_handshake = !is_protected(datagram) || is_handshake(datagram);
        let found = if is_of_handshake { pending.or(open) } else { open.or(pending) };
        if found.is_none() {
            self.stats.dropped.count(DropReason::NoSession);
            unseen(TraceDrop::NoSession);
        }
        found
    }

    /// Where in the datagram the next data lies, decrypted; `None` at its end. `at` goes along.
    pub(crate) fn next_data(
        &mut self,
        now: Instant,
        key: Key<Session<T>>,
        from: SocketAddr,
        (datagram, at): (&mut [u8], &mut usize),
        trace: &mut Recorder,
    ) -> Option<Range<usize>> {
        while *at < datagram.len() {
            let begin = *at;
            let session = self.table.get_mut(key).filter(|session| session.stage() != Stage::Closing)?;
            let path = if session.address == from.into() { Path::Current } else { Path::New };
            let host = &mut self.core.as_mut()?.host(now);
            let record = session.association.handle_record(host, path, datagram, at)?;
            // Each record counts for itself, or many in one datagram would count that one many times.
            let len = at.saturating_sub(begin);
            let data = match record {
                Record::Dropped(reason) => {
                    self.stats.dropped.count(reason);
                    session.count_dropped(reason);
                    let way = Way { address: from, session: session.random, tag: 0, flags: 0 };
                    trace.record_sealed(way, datagram.get(begin..*at).unwrap_or_default(), reason.into());
                    // So many forgeries that one may succeed: the peer has to make new keys (RFC 9147 §4.5.3).
                    if reason == DropReason::BadMac && session.association.wear(host.config) == Wear::Out {
                        self.end(now, key, SessionEnd::Exhausted);
                    }
                    None
                }
                Record::Data { range, newest } => {
                    self.stats.records_in += 1;
                    // Nothing else can have come of it: so it is with nearly all.
                    if path == Path::Current && session.is_quiet() {
                        session.marks.set(Marks::HEARD, true);
                        return Some(range);
                    }
                    self.heard(key, path, from, len, newest);
                    Some(range)
                }
                Record::Handled | _ => {
                    self.heard(key, path, from, len, false);
                    None
                }
            };
            self.stir(now, key, from);
            if data.is_some() {
                return data;
            }
            if *at <= begin {
                return None;
            }
        }
        None
    }

    /// Takes note of where an authentic record came from.
    fn heard(&mut self, key: Key<Session<T>>, path: Path, from: SocketAddr, len: usize, newest: bool) {
        let Some(session) = self.table.get_mut(key) else { return };
        session.marks.set(Marks::HEARD, true);
        match path {
            Path::Current => {
                if let Some(path) = self.table.busy_mut(key).and_then(|busy| busy.new_path.as_mut()) {
                    path.newest &= !newest;
                }
            }
            Path::New => {
                let Some(busy) = self.table.make_busy(key) else { return };
                let other = busy.new_path.as_ref().is_some_and(|path| path.address != from);
                if other && newest {
                    busy.new_path = None;
                }
                let path =
                    busy.new_path.get_or_insert(NewPath { address: from, allowance: 0, newest: false });
                if path.address == from {
                    let more = u32::try_from(len).unwrap_or(u32::MAX).saturating_mul(AMPLIFICATION_MAX);
                    path.allowance = path.allowance.saturating_add(more);
                    path.newest |= newest;
                }
            }
        }
    }

    /// The same as [`Sessions::stir`] when nothing came.
    pub(super) fn stir_here(&mut self, now: Instant, key: Key<Session<T>>) {
        if let Some(address) = self.table.get(key).map(|session| session.address) {
            self.stir(now, key, address.into());
        }
    }

    /// After anything was done with an association: hears what it says, sets its timer, lets it send.
    pub(super) fn stir(&mut self, now: Instant, key: Key<Session<T>>, from: SocketAddr) {
        while let Some(event) = self.table.get_mut(key).and_then(|session| session.association.poll_event()) {
            if self.table.get(key).is_none_or(|session| session.stage() == Stage::Closing) {
                continue;
            }
            match event {
                Event::Ask(presented) => self.presented(now, key, presented),
                Event::Established(facts) => self.established(now, key, facts),
                Event::Resumable(resumption) => self.resumable(key, resumption),
                Event::Moved => self.moved(key, from),
                Event::Failed(failure) => self.protocol_failed(now, key, failure),
                Event::Closed(alert) => {
                    self.protocol_failed(now, key, Failure::AlertReceived(alert));
                    self.end(now, key, SessionEnd::ByPeer(alert));
                }
                Event::KeyLog(line) => self.happened.push_back(Happened::Told(SecurityEvent::KeyLog(line))),
                _ => {}
            }
        }
        self.weigh(now, key);
        self.arm(key);
        self.queue(key);
    }

    fn arm(&mut self, key: Key<Session<T>>) {
        let Some(session) = self.table.get_mut(key) else { return };
        let due = session.association.poll_timeout().filter(|_| session.stage() != Stage::Closing);
        let armed = self.table.busy(key).and_then(|busy| busy.timer);
        if armed.map(|(_, at)| at) != due {
            if let Some((timer, _)) = armed {
                self.timers.cancel(timer);
            }
            let timer = due.map(|due| (self.timers.arm(due, Due::Association(key)), due));
            if let Some(busy) = self.table.make_busy(key) {
                busy.timer = timer;
            }
        }
        if let Some(busy) = self.table.busy_mut(key) {
            // A check that came to nothing is over: the peer is where it was.
            busy.new_path.take_if(|_| busy.timer.is_none());
        }
        self.table.tidy(key);
    }

    fn queue(&mut self, key: Key<Session<T>>) {
        if let Some(session) = self.table.get_mut(key)
            && !session.marks.has(Marks::QUEUED)
        {
            session.marks.set(Marks::QUEUED, true);
            self.sending.push_back(key);
        }
    }

    /// The newest authentic record came from another address, and the way back is checked if the peer can do that.
    fn moved(&mut self, key: Key<Session<T>>, from: SocketAddr) {
        let busy = self.table.busy_mut(key);
        let Some(path) = busy.and_then(|busy| busy.new_path.take_if(|path| path.address == from)) else {
            return;
        };
        let Some(session) = self.table.get_mut(key) else { return };
        let is_proven = session.marks.has(Marks::RETURN_ROUTABILITY);
        session.marks.set(Marks::PROVEN, is_proven);
        self.table.move_to(key, from.into());
        self.stats.moved += 1;
        self.happened.push_back(Happened::Moved { key, to: from, is_proven, allowance: path.allowance });
    }

    /// Somebody at the session's address has answered.
    pub(crate) fn proven(&mut self, key: Key<Session<T>>) {
        if let Some(session) = self.table.get_mut(key) {
            session.marks.set(Marks::PROVEN, true);
        }
    }

    /// Ends an open session. The peer is told if the host wanted it, or if it would go on in vain.
    pub(crate) fn end(&mut self, now: Instant, key: Key<Session<T>>, reason: SessionEnd) {
        let (Some(info), Some(session)) = (self.info(key), self.table.get_mut(key)) else { return };
        if session.stage() != Stage::Open {
            return;
        }
        self.stats.closed(reason);
        let held = std::mem::take(&mut session.held);
        let tell = !matches!(reason, SessionEnd::ByPeer(_) | SessionEnd::Replaced);
        if tell && let Some(core) = self.core.as_mut() {
            session.association.close(&mut core.host(now));
        }
        let is_resumable = session.marks.has(Marks::RESUMABLE);
        self.resumable -= usize::from(is_resumable);
        // What a credential that is gone has opened is never resumed, nor what ended with an error (RFC 5246 §7.2).
        let is_lost = match reason {
            SessionEnd::Ended(_) => true,
            SessionEnd::ByPeer(alert) => alert != Alert::CLOSE_NOTIFY,
            SessionEnd::Replaced | SessionEnd::Crowded | SessionEnd::Exhausted | SessionEnd::Done => false,
        };
        let keep = is_resumable && !is_lost;
        if keep && let (Some(core), Some(suite)) = (&self.core, session.suite()) {
            let ended = EndedSession {
                id_random: session.id_random,
                master: session.master.clone(),
                suite,
                extended_master_secret: session.marks.has(Marks::EXTENDED_MASTER_SECRET),
                party: info.party.clone(),
            };
            let until = now + core.security.resumption_time;
            let max = core.security.limits.resumptions.saturating_sub(self.resumable);
            self.ended.insert(until, ended, max);
            self.arm_sweep(now);
        }
        self.happened.push_back(Happened::Closed { key, session: info, held, reason });
        self.take_down(now, key);
    }

    /// Takes a session out of everything; it stays until its last words are sent.
    pub(super) fn take_down(&mut self, _now: Instant, key: Key<Session<T>>) {
        self.table.begin_closing(key);
        self.arm(key);
        self.queue(key);
    }

    /// Lets ended sessions go whose place the open ones take: the limit is one for both.
    pub(super) fn trim_ended(&mut self) {
        if let Some(core) = &self.core {
            self.ended.trim(core.security.limits.resumptions.saturating_sub(self.resumable));
        }
    }

    pub(super) fn arm_sweep(&mut self, now: Instant) {
        let next = self.ended.expire(now);
        if self.sweep.is_none()
            && let Some(next) = next
        {
            self.timers.arm(next, Due::Sweep);
            self.sweep = Some(next);
        }
    }

    /// Ends the sessions of these, and forgets what they could be resumed with.
    pub(crate) fn end_sessions(&mut self, now: Instant, whose: &[Whose], why: CredentialEnd) {
        self.now = now;
        let is = |(key, session): &(Key<Session<T>>, &Session<T>)| {
            let is_meant = |party| whose.iter().any(|one| one.is_kept(party));
            session.stage() == Stage::Open && self.table.party(*key).is_some_and(is_meant)
        };
        let keys: Vec<_> = self.table.iter().filter(is).map(|(key, _)| key).collect();
        for key in keys {
            self.end(now, key, SessionEnd::Ended(why));
        }
        self.ended.forget(|party| whose.iter().any(|one| one.is(party)));
        self.end_handshakes(now, whose);
    }

    pub(super) fn answer_unseen(&mut self, to: SocketAddr, answer: [u8; ANSWER_LEN_MAX], len: usize) {
        if self.unseen.len() < STATELESS_MAX {
            self.unseen.push_back((to, answer, len));
        }
    }

    /// Writes the next datagram of the protocol itself.
    pub(crate) fn poll_transmit(&mut self, out: &mut [u8]) -> Option<(SocketAddr, usize)> {
        if let Some((to, answer, len)) = self.unseen.pop_front() {
            out.get_mut(..len)?.copy_from_slice(answer.get(..len)?);
            self.stats.datagrams_out += 1;
            return Some((to, len));
        }
        while let Some(key) = self.sending.front().copied() {
            let (Some(session), Some(core)) = (self.table.get_mut(key), self.core.as_mut()) else {
                self.sending.pop_front();
                continue;
            };
            if let Some(transmit) = session.association.poll_transmit(&mut core.host(self.now), out) {
                let here = session.address.into();
                let new_path = self.table.busy(key).and_then(|busy| busy.new_path.as_ref());
                let to = match (transmit.path, new_path) {
                    (Path::New, Some(path)) => path.address,
                    (Path::New | Path::Current, _) => here,
                };
                self.stats.datagrams_out += 1;
                return Some((to, transmit.len));
            }
            session.marks.set(Marks::QUEUED, false);
            let is_over = session.stage() == Stage::Closing;
            self.sending.pop_front();
            if is_over {
                self.table.remove(key);
            } else {
                self.arm(key);
            }
        }
        None
    }

    /// The place in `out` for data of a session, before [`Sessions::seal`].
    pub(crate) fn room<'a>(&self, key: Key<Session<T>>, out: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let association = &self.get(key)?.association;
        let begin = association.headroom();
        let end = out.len().checked_sub(TRAILER_LEN_MAX)?.min(begin + association.data_len_max());
        out.get_mut(begin..end)
    }

    /// Makes a record of the data in the place that [`Sessions::room`] gave, and says where it goes; `None` if it must not go.
    pub(crate) fn seal(&mut self, key: Key<Session<T>>, out: &mut [u8], len: usize) -> Option<Sealed> {
        let now = self.now;
        let session = self.table.get_mut(key).filter(|session| session.stage() == Stage::Open)?;
        let host = &mut self.core.as_mut()?.host(now);
        let len = match session.association.seal(host, out, len) {
            Ok(len) => len,
            Err(error) => {
                tracing::debug!(%error, "a message was not sent");
                if error == SealError::Exhausted {
                    self.end(now, key, SessionEnd::Exhausted);
                }
                return None;
            }
        };
        let is_worn = matches!(session.association.wear(host.config), Wear::Worn | Wear::Out);
        let mut to = session.address.into();
        if let Some(path) = self.table.busy_mut(key).and_then(|busy| busy.new_path.as_mut())
            && path.newest
        {
            let left = u32::try_from(len).ok().and_then(|len| path.allowance.checked_sub(len));
            let Some(left) = left else {
                self.stats.withheld += 1;
                return None;
            };
            path.allowance = left;
            to = path.address;
        }
        self.stats.records_out += 1;
        self.stats.datagrams_out += 1;
        Some(Sealed { to, len, is_worn })
    }

    /// The longest message that fits into one record for the session's peer.
    pub(crate) fn message_len_max(&self, key: Key<Session<T>>) -> usize {
        self.get(key).map_or(0, |session| session.association.data_len_max())
    }
}

/// What may stand behind the data in a record: content type, tag, padding of a block cipher and its MAC.
const TRAILER_LEN_MAX: usize = 64;
