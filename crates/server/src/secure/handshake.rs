//! Handshakes: begun behind a cookie, from a bounded pool, answered by the host, and opened or given up.

use std::net::SocketAddr;
use std::sync::Arc;

use lightship_dtls::cookie::Verdict;
use lightship_dtls::{Alert, Answer, Association, Cid, Facts, Failure, Fault, Resumption};
use lightship_platform::Instant;
use lightship_platform::crypto::{Secret, Sha256};
use zeroize::Zeroizing;

use super::SecurityLimits;
use super::address::Address;
use super::event::{Claim, Credential, HandshakeFailure, Presented, SecurityEvent, SessionEnd};
use super::party::KeyCheck;
use super::resume::{locator_of, session_id};
use super::session::{Marks, Session, Stage};
use super::sessions::{Core, Due, Happened, Sessions};
use crate::limits::{FAILURES_TOLD_A_MINUTE, PSK_IDENTITY_LEN_MAX};
use crate::slab::Key;
use crate::timer::TimerId;
use crate::{Ask, Certificate, Endpoints, Locator, Party, Principal, Whose};

/// What is kept while a handshake runs, beside the association's own.
#[derive(Default)]
pub(super) struct Handshake {
    /// The client's random: by it a repetition of the hello is told from a new one.
    random: [u8; 32],
    asked: Option<(Key<Question>, TimerId)>,
    /// What was presented last.
    claim: Option<Claim>,
    /// The note under which the session that is to be resumed was begun.
    shown: Option<Box<[u8]>>,
    /// Who was accepted, and under which note.
    accepted: Option<(Arc<Party>, Box<[u8]>)>,
    /// Why the host did not accept.
    refusal: Option<HandshakeFailure>,
    resumable: Option<Resumption>,
    /// The bytes that it was last seen to take.
    weight: usize,
}

/// A question about a credential.
pub(super) struct Question {
    /// The key of the session whose handshake waits.
    session: u64,
}

impl<T: Default> Sessions<T> {
    /// Decides about a ClientHello; returns the session that takes the datagram, if it is a repetition.
    pub(super) fn hello(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<Key<Session<T>>> {
        let core = self.core.as_mut()?;
        let mut answer = [0; ANSWER_LEN_MAX];
        let (cookies, mut host) = core.cookies_and_host(now);
        let address = Address::from(from);
        let hello = match cookies.judge(&mut host, &address.bytes(), datagram, &mut answer) {
            Verdict::Drop(reason) => {
                self.stats.dropped.count(reason);
                return None;
            }
            Verdict::Answer(len) => {
                self.stats.cookies_asked += 1;
                self.answer_unseen(from, answer, len);
                return None;
            }
            Verdict::Proven(hello) => hello,
            _ => return None,
        };
        let random = *hello.random();
        if let Some(pending) = self.table.pending_at(address) {
            let same = |handshake: &Handshake| handshake.random == random;
            if self.handshake(pending).is_some_and(same) {
                return Some(pending);
            }
            self.fail(now, pending, HandshakeFailure::Restarted);
        }
        let core = self.core.as_mut()?;
        if !self.budgets.take(now, address, &core.security.limits) {
            self.stats.handshakes_over_budget += 1;
            return None;
        }
        self.stats.handshakes_begun += 1;
        let ended = &self.ended;
        let random_part = self.table.fresh_random(&mut core.rng, |random| ended.get(random).is_some());
        let locator = Locator { shard: self.shard, node: self.node, random: random_part };
        // A hello in fragments does not say the name yet that belongs to the ID: its session gets none.
        let id = hello.server_name().map(|name| session_id(locator, self.id_tag, name));
        let id = id.filter(|_| core.security.limits.resumptions > 0);
        let id = id.as_ref().map_or(&[][..], <[u8; _]>::as_slice);
        let own_cid = Cid::new(&locator.to_bytes()).unwrap_or(Cid::EMPTY);
        let association = Association::accept(&mut core.host(now), hello, own_cid, id);
        let handshake = Handshake { random, ..Handshake::default() };
        let key = self.table.insert(Session {
            association,
            master: Zeroizing::new([0; 48]),
            random: random_part,
            id_random: random_part,
            address,
            party: None,
            opened_s: 0,
            marks: Marks(Marks::PROVEN),
            replayed: 0,
            dropped: 0,
            held: T::default(),
        });
        if let Some(busy) = self.table.make_busy(key) {
            busy.handshake = Some(handshake);
        }
        self.pool.push_back(key);
        self.keep_pool_small(now);
        self.stir(now, key, from);
        None
    }

    /// The oldest handshakes give way.
    fn keep_pool_small(&mut self, now: Instant) {
        let Some(max) = self.core.as_ref().map(|core| core.security.limits.handshakes.max(1)) else { return };
        while self.table.pending_len() > max {
            let Some(oldest) = self.pool.pop_front() else { return };
            if self.handshake(oldest).is_some() {
                self.fail(now, oldest, HandshakeFailure::Crowded);
            }
        }
        let table = &self.table;
        if self.pool.len() > 2 * max.max(64) {
            self.pool.retain(|key| table.get(*key).is_some_and(|session| session.stage() == Stage::Pending));
        }
    }

    /// Takes note of how big a handshake has become. Half of the bytes are for all alike, the other half for those that are bigger than
    /// their part of the first; while that one is full, such a one gives way. So small handshakes always have room, and all together
    /// never take more than the limit.
    pub(super) fn weigh(&mut self, now: Instant, key: Key<Session<T>>) {
        let Some(session) = self.table.get(key).filter(|session| session.stage() == Stage::Pending) else {
            return;
        };
        let weight = session.association.handshake_len();
        let handshake = self.table.busy_mut(key).and_then(|busy| busy.handshake.as_mut());
        let (Some(handshake), Some(core)) = (handshake, &self.core) else { return };
        let limits = &core.security.limits;
        self.pool_bytes = self.pool_bytes + weight - handshake.weight;
        self.pool_excess = self.pool_excess + excess(weight, limits) - excess(handshake.weight, limits);
        handshake.weight = weight;
        if self.pool_excess > limits.handshake_bytes / 2 && excess(weight, limits) > 0 {
            self.fail(now, key, HandshakeFailure::Crowded);
        }
    }

    /// A handshake is over, one way or the other.
    fn end_handshake(&mut self, key: Key<Session<T>>) -> Option<Handshake> {
        let handshake = self.table.busy_mut(key)?.handshake.take()?;
        self.pool_bytes -= handshake.weight;
        if let Some(core) = &self.core {
            self.pool_excess -= excess(handshake.weight, &core.security.limits);
        }
        Some(handshake)
    }

    fn handshake(&self, key: Key<Session<T>>) -> Option<&Handshake> {
        self.table.busy(key)?.handshake.as_ref()
    }

    fn handshake_mut(&mut self, key: Key<Session<T>>) -> Option<&mut Handshake> {
        self.table.busy_mut(key)?.handshake.as_mut()
    }

    /// The peer presents something; what only the host can judge becomes a question.
    pub(super) fn presented(
        &mut self,
        now: Instant,
        key: Key<Session<T>>,
        presented: lightship_dtls::Presented,
    ) {
        use lightship_dtls::Presented as Shown;
        if self.core.is_none() {
            return;
        }
        let (presented, claim) = match presented {
            Shown::SessionId(id) => return self.resume(now, key, &id),
            Shown::PskIdentity(identity) => {
                let claim = Claim::PskIdentity(identity.clone());
                (Presented::PskIdentity(identity), claim)
            }
            Shown::RawPublicKey(public_key) => {
                let sha256 = Sha256::of(&public_key);
                (Presented::RawPublicKey { public_key, sha256 }, Claim::RawPublicKey(sha256))
            }
            Shown::Certificates(chain) => {
                let claim = Claim::Certificate(chain.first().cloned().unwrap_or_default());
                (Presented::Certificates(chain), claim)
            }
            Shown::Resumed(note) => {
                let Some((principal, _)) = Principal::from_note(&note) else {
                    return self.refuse(now, key, Alert::ACCESS_DENIED, None);
                };
                if let Some(handshake) = self.handshake_mut(key) {
                    handshake.shown = Some(note);
                }
                (Presented::Resumed(principal.clone()), Claim::Resumed(principal))
            }
            _ => return self.refuse(now, key, Alert::INTERNAL_ERROR, None),
        };
        let unfit =
            matches!(&claim, Claim::PskIdentity(id) if id.is_empty() || id.len() > PSK_IDENTITY_LEN_MAX);
        let Some(handshake) = self.handshake_mut(key) else { return };
        handshake.claim = Some(claim);
        if unfit {
            let reason = "a PSK identity has 1 to 128 bytes".into();
            return self.refuse(
                now,
                key,
                Alert::UNKNOWN_PSK_IDENTITY,
                Some(HandshakeFailure::Refused(reason)),
            );
        }
        self.ask(now, key, presented);
    }

    fn ask(&mut self, now: Instant, key: Key<Session<T>>, presented: Presented) {
        self.forget_question(key);
        let Some(session) = self.table.get(key) else { return };
        let server_name = session.association.server_name().map(Into::into);
        let from = session.address.into();
        let question = self.questions.insert(Question { session: key.to_bits() });
        let timer = self.timers.arm(now + self.ask_timeout, Due::Ask(question));
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.asked = Some((question, timer));
        }
        let ask = Ask::credential(question.to_bits());
        let ask = SecurityEvent::AskCredential { ask, from, presented, server_name };
        self.happened.push_back(Happened::Told(ask));
    }

    fn forget_question(&mut self, key: Key<Session<T>>) {
        if let Some((question, timer)) = self.handshake_mut(key).and_then(|handshake| handshake.asked.take())
        {
            self.questions.remove(question);
            self.timers.cancel(timer);
        }
    }

    /// The host has not answered.
    pub(super) fn unanswered(&mut self, now: Instant, question: Key<Question>) {
        let Some(Question { session }) = self.questions.remove(question) else { return };
        let key = Key::from_bits(session);
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.asked = None;
        }
        self.refuse(now, key, Alert::INTERNAL_ERROR, Some(HandshakeFailure::Unanswered));
        self.stir_here(now, key);
    }

    /// The host's word on a credential; late and repeated ones are harmless.
    pub(crate) fn answer(&mut self, now: Instant, ask: Ask, credential: Credential) {
        let Some(session) = self.questions.get(Key::from_bits(ask.bits())).map(|question| question.session)
        else {
            return;
        };
        let key = Key::from_bits(session);
        self.forget_question(key);
        let (Some(handshake), Some(core)) = (self.handshake(key), self.core.as_ref()) else { return };
        match judge(handshake, credential, core) {
            Judged::Accepted(party, ..) if self.has_too_many(now, &party) => {
                self.stats.handshakes_metered += 1;
                self.refuse(now, key, Alert::USER_CANCELED, Some(too_many()));
            }
            Judged::Accepted(party, note, secret) => self.accept(now, key, party, note, secret),
            Judged::Refused(alert, reason) => {
                self.refuse(now, key, alert, Some(HandshakeFailure::Refused(reason)));
            }
            Judged::NotResumed => self.refuse(now, key, Alert::ACCESS_DENIED, None),
        }
        self.stir_here(now, key);
    }

    /// Whether an identity has had too many handshakes of late. Whoever claims it now has not proven it, and spends nothing.
    fn has_too_many(&mut self, now: Instant, party: &Party) -> bool {
        let Some(a_minute) = self.a_minute(party) else { return false };
        self.identities.look(now, &party.principal, a_minute).is_err()
    }

    /// How many handshakes an identity may have in a minute; many devices may share one that stands for no endpoint in particular.
    fn a_minute(&self, party: &Party) -> Option<u32> {
        party.endpoints.one()?;
        self.core.as_ref().map(|core| core.security.limits.handshakes_a_minute_per_identity)
    }

    fn accept(
        &mut self,
        now: Instant,
        key: Key<Session<T>>,
        party: Party,
        note: Box<[u8]>,
        secret: Option<Secret>,
    ) {
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.accepted = Some((Arc::new(party), note.clone()));
        }
        let answer = match secret {
            Some(key) => Answer::Psk { key, note },
            None => Answer::Accept { note },
        };
        self.say(now, key, answer);
    }

    fn refuse(&mut self, now: Instant, key: Key<Session<T>>, alert: Alert, reason: Option<HandshakeFailure>) {
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.accepted = None;
            handshake.refusal = reason;
        }
        self.say(now, key, Answer::Refuse(alert));
    }

    fn say(&mut self, now: Instant, key: Key<Session<T>>, answer: Answer) {
        if let (Some(session), Some(core)) = (self.table.get_mut(key), self.core.as_mut()) {
            session.association.answer(&mut core.host(now), answer);
        }
    }

    /// Looks up the session that the peer wants to resume: a live one, or one that has ended.
    fn resume(&mut self, now: Instant, key: Key<Session<T>>, id: &[u8]) {
        let server_name = self.table.get(key).and_then(|session| session.association.server_name());
        let resumption = self.resumption(id, server_name);
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.resumable.clone_from(&resumption);
        }
        self.say(now, key, Answer::Resume(resumption));
    }

    fn resumption(&self, id: &[u8], server_name: Option<&str>) -> Option<Resumption> {
        let locator = locator_of(id)?;
        let is_ours = (locator.shard, locator.node) == (self.shard, self.node);
        if !is_ours || session_id(locator, self.id_tag, server_name) != *id {
            return None;
        }
        let live = self.table.by_id(locator.random);
        let live = live.and_then(|key| Some((self.table.get(key)?, self.table.whole_party(key)?)));
        let (master, suite, extended_master_secret, party) = match live {
            Some((session, party)) if session.marks.has(Marks::RESUMABLE) => {
                let extended = session.marks.has(Marks::EXTENDED_MASTER_SECRET);
                (&session.master, session.suite()?, extended, party)
            }
            Some(_) => return None,
            None => {
                let ended = self.ended.get(locator.random)?;
                (&ended.master, ended.suite, ended.extended_master_secret, ended.party.clone())
            }
        };
        Some(Resumption {
            session_id: id.into(),
            ticket: Box::default(),
            master_secret: Secret::new(&master[..]),
            suite,
            extended_master_secret,
            note: party.principal.to_note(None)?,
        })
    }

    /// This session can be resumed with what is here.
    pub(super) fn resumable(&mut self, key: Key<Session<T>>, resumption: Resumption) {
        if let Some(handshake) = self.handshake_mut(key) {
            handshake.resumable = Some(resumption);
        }
    }

    /// A handshake is done.
    pub(super) fn established(&mut self, now: Instant, key: Key<Session<T>>, facts: Facts) {
        let Some(handshake) = self.end_handshake(key) else { return };
        if let Some((question, timer)) = handshake.asked {
            self.questions.remove(question);
            self.timers.cancel(timer);
        }
        let Some(address) = self.table.get(key).map(|session| session.address) else { return };
        self.budgets.give_back(address);
        // The note goes through the whole handshake, so that nobody is taken for whom the host accepted in an earlier step of it.
        let accepted = handshake.accepted.filter(|(_, note)| *note == facts.note);
        let Some((party, _)) = accepted else {
            tracing::error!("a handshake ended with somebody whom nobody has accepted");
            let reason = HandshakeFailure::Protocol(Failure::AlertSent(Alert::ACCESS_DENIED, Fault::Refused));
            return self.give_up(now, key, handshake.claim, reason);
        };
        if let Some(a_minute) = self.a_minute(&party)
            && self.identities.take(now, &party.principal, a_minute).is_err()
        {
            // Those that ran side by side were all let in.
            self.stats.handshakes_metered += 1;
            if let (Some(session), Some(core)) = (self.table.get_mut(key), self.core.as_mut()) {
                session.association.close(&mut core.host(now));
            }
            return self.give_up(now, key, handshake.claim, too_many());
        }
        let Some(session) = self.table.get_mut(key) else { return };
        session.set_suite(facts.suite);
        session.opened_s = u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        let has_cid = facts.own_cid.is_some_and(|cid| !cid.is_empty());
        for (mark, on) in [
            (Marks::CONNECTION_ID, has_cid),
            (Marks::RETURN_ROUTABILITY, facts.return_routability),
            (Marks::RESUMED, facts.resumed),
            (Marks::EXTENDED_MASTER_SECRET, facts.extended_master_secret),
        ] {
            session.marks.set(mark, on);
        }
        self.table.set_party(key, &party);
        let resumed = self.keep_secret(key, handshake.resumable, facts.resumed);
        let before = self.table.open(key);
        self.stats.opened(party.principal.mode(), facts.resumed);
        if let Some(session) = self.info(key) {
            self.happened.push_back(Happened::Opened { session, facts: Box::new(facts) });
        }
        self.replace(now, key, before, resumed);
        self.keep_table_small(now, key);
    }

    /// Keeps what the session can be resumed with; returns the session that was resumed, if it lives.
    fn keep_secret(
        &mut self,
        key: Key<Session<T>>,
        resumption: Option<Resumption>,
        resumed: bool,
    ) -> Option<Key<Session<T>>> {
        let resumption = resumption?;
        let locator = locator_of(&resumption.session_id)?;
        let older = self.table.by_id(locator.random).filter(|_| resumed);
        let session = self.table.get_mut(key)?;
        // One that was looked up and not resumed is no secret of this session's.
        if !resumed && session.random != locator.random {
            return None;
        }
        session.master.copy_from_slice(resumption.master_secret.bytes().get(..48)?);
        session.id_random = locator.random;
        session.marks.set(Marks::RESUMABLE, true);
        self.resumable += 1;
        if let Some(older) = older.and_then(|older| self.table.get_mut(older)) {
            self.resumable -= usize::from(older.marks.has(Marks::RESUMABLE));
            older.marks.set(Marks::RESUMABLE, false);
        }
        self.ended.remove(locator.random);
        self.trim_ended();
        older
    }

    /// Ends the sessions whose place a new one takes: the one that it resumed, and the one at its address, which nobody finds any
    /// more without a connection ID. One with a connection ID may be another device's that was at the address before.
    fn replace(
        &mut self,
        now: Instant,
        key: Key<Session<T>>,
        before: Option<Key<Session<T>>>,
        resumed: Option<Key<Session<T>>>,
    ) {
        let gone = before.filter(|before| {
            let parties = self.table.party(*before).zip(self.table.party(key));
            let is_same = parties.is_none_or(|(before, new)| before.is_same_principal(new));
            self.table.get(*before).is_some_and(|s| !s.marks.has(Marks::CONNECTION_ID) || is_same)
        });
        for older in resumed.into_iter().chain(gone).filter(|older| *older != key) {
            self.end(now, older, SessionEnd::Replaced);
        }
    }

    fn keep_table_small(&mut self, now: Instant, newest: Key<Session<T>>) {
        let Some(max) = self.core.as_ref().map(|core| core.security.limits.sessions.max(1)) else { return };
        while self.table.open_len() > max {
            match self.table.silent() {
                Some(key) if key == newest => {}
                Some(key) => self.end(now, key, SessionEnd::Crowded),
                None => return,
            }
        }
    }

    /// The association has given its handshake up.
    pub(super) fn protocol_failed(&mut self, now: Instant, key: Key<Session<T>>, failure: Failure) {
        let refusal = self.handshake_mut(key).and_then(|handshake| handshake.refusal.take());
        let reason = match failure {
            Failure::AlertSent(_, Fault::Refused) => refusal.unwrap_or(HandshakeFailure::Protocol(failure)),
            Failure::AlertReceived(_) | Failure::AlertSent(..) | Failure::TimedOut | _ => {
                HandshakeFailure::Protocol(failure)
            }
        };
        self.fail(now, key, reason);
    }

    /// A handshake comes to nothing.
    fn fail(&mut self, now: Instant, key: Key<Session<T>>, reason: HandshakeFailure) {
        self.forget_question(key);
        let Some(handshake) = self.end_handshake(key) else { return };
        if let Some(address) = self.table.get(key).map(|session| session.address) {
            self.budgets.give_back(address);
        }
        self.give_up(now, key, handshake.claim, reason);
    }

    fn give_up(
        &mut self,
        now: Instant,
        key: Key<Session<T>>,
        claimed: Option<Claim>,
        reason: HandshakeFailure,
    ) {
        let Some(session) = self.table.get(key) else { return };
        self.stats.failed(&reason);
        if self.identities.take(now, Told::of(&reason), FAILURES_TOLD_A_MINUTE).is_err() {
            self.stats.failures_untold += 1;
            return self.take_down(now, key);
        }
        let server_name = session.association.server_name().map(Into::into);
        let from = session.address.into();
        let failed = SecurityEvent::HandshakeFailed { from, claimed, server_name, reason };
        self.happened.push_back(Happened::Told(failed));
        self.take_down(now, key);
    }
}

impl<T: Default> Sessions<T> {
    /// Gives up the handshakes of those who were accepted under a credential that is gone now.
    pub(super) fn end_handshakes(&mut self, now: Instant, whose: &[Whose]) {
        let is = |key: &Key<Session<T>>| {
            let accepted = self.handshake(*key).and_then(|handshake| handshake.accepted.as_ref());
            accepted.is_some_and(|(party, _)| whose.iter().any(|one| one.is(party)))
        };
        let keys: Vec<_> = self.pool.iter().copied().filter(is).collect();
        for key in keys {
            if let (Some(session), Some(core)) = (self.table.get_mut(key), self.core.as_mut()) {
                session.association.close(&mut core.host(now));
            }
            self.fail(now, key, HandshakeFailure::Refused("the credential was taken away".into()));
        }
    }
}

fn too_many() -> HandshakeFailure {
    HandshakeFailure::Refused("its identity has made too many handshakes of late".into())
}

/// Failures that the host is told of, counted apart: in a flood of handshakes that are never finished it still hears of those that it
/// refused.
#[derive(Hash)]
enum Told {
    Refused,
    Broken,
    Abandoned,
}

impl Told {
    const fn of(reason: &HandshakeFailure) -> Self {
        match reason {
            HandshakeFailure::Refused(_) | HandshakeFailure::Unanswered => Self::Refused,
            HandshakeFailure::Protocol(Failure::TimedOut)
            | HandshakeFailure::Crowded
            | HandshakeFailure::Restarted => Self::Abandoned,
            HandshakeFailure::Protocol(_) => Self::Broken,
        }
    }
}

/// What comes of the host's answer.
enum Judged {
    /// Who it is, under which note, and with which key.
    Accepted(Party, Box<[u8]>, Option<Secret>),
    Refused(Alert, Arc<str>),
    /// No to a session that was to be resumed: a full handshake follows.
    NotResumed,
}

fn judge(handshake: &Handshake, credential: Credential, core: &Core) -> Judged {
    let accepted = |principal: Principal, endpoints, key: Option<Secret>| {
        let note = principal.to_note(key.as_ref().map(|key| core.key_check(key))).unwrap_or_default();
        Judged::Accepted(Party { principal, endpoints }, note, key)
    };
    match (handshake.claim.clone(), credential) {
        (Some(Claim::PskIdentity(identity)), Credential::Psk { key, endpoints })
            if (1..=PSK_LEN_MAX).contains(&key.bytes().len()) =>
        {
            accepted(Principal::Psk(identity), endpoints, Some(key))
        }
        (Some(Claim::RawPublicKey(sha256)), Credential::RawPublicKey { endpoints }) => {
            accepted(Principal::RawPublicKey(sha256), endpoints, None)
        }
        (
            Some(Claim::Certificate(certificate)),
            Credential::Certificate { common_name, names, endpoints },
        ) => {
            let sha256 = Sha256::of(&certificate);
            let certificate = Box::new(Certificate { sha256, common_name, names });
            accepted(Principal::Certificate(certificate), endpoints, None)
        }
        (Some(Claim::Resumed(principal)), Credential::Resumed { endpoints }) => {
            judge_resumed(handshake, principal, endpoints, None)
        }
        (Some(Claim::Resumed(principal)), Credential::Psk { key, endpoints }) => {
            judge_resumed(handshake, principal, endpoints, Some(core.key_check(&key)))
        }
        (Some(Claim::Resumed(_)), _) => Judged::NotResumed,
        (_, Credential::Refused { alert, reason }) => Judged::Refused(alert, reason),
        _ => {
            tracing::error!("the host's answer does not fit the credential that was presented");
            Judged::Refused(Alert::INTERNAL_ERROR, "the server's answer did not fit the credential".into())
        }
    }
}

/// A ticket names the key that it was given under; without one, the sessions of a key that was changed have been ended.
fn judge_resumed(
    handshake: &Handshake,
    principal: Principal,
    endpoints: Endpoints,
    check: Option<KeyCheck>,
) -> Judged {
    let Some(note) = handshake.shown.clone() else { return Judged::NotResumed };
    match Principal::from_note(&note) {
        Some((_, Some(then))) if check != Some(then) => Judged::NotResumed,
        Some(_) => Judged::Accepted(Party { principal, endpoints }, note, None),
        None => Judged::NotResumed,
    }
}

/// Longest key of a PSK identity, in bytes (RFC 4279 §5.3).
const PSK_LEN_MAX: usize = 64;

/// Room for what an address without a cookie is answered.
pub(super) const ANSWER_LEN_MAX: usize = 128;

/// What a handshake of that weight takes beyond its part.
fn excess(weight: usize, limits: &SecurityLimits) -> usize {
    weight.saturating_sub(limits.handshake_bytes / 2 / limits.handshakes.max(1))
}
