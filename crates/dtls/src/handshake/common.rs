//! What both roles need while a handshake runs.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use lightship_platform::Instant;
use lightship_platform::crypto::{Crypto, Secret};

use super::{Abort, Terms, Transcript};
use crate::flight::{Flight, Sender};
use crate::message::{Fragment, Kind, Message, write};
use crate::protection::Role;
use crate::reassembly::Reassembly;
use crate::record::{self, ContentType, Header};
use crate::schedule::{self, MasterSecret};
use crate::session::{self, Session};
use crate::{
    Alert, Cid, DropReason, Event, Facts, Failure, Fault, Host, Presented, Resumption, Suite, alert, keylog,
};

/// Longest record of the new epoch that is kept until its keys are there, in bytes.
const EARLY_LEN_MAX: usize = 256;
/// How many of them.
const EARLY_MAX: usize = 2;
/// How long the last flight can be asked for again: twice the life of a packet (RFC 6347 §4.2.4).
const LINGER_TIME: Duration = Duration::from_secs(240);

/// What both roles keep.
pub(crate) struct Common {
    pub(crate) role: Role,
    pub(crate) transcript: Transcript,
    pub(crate) inbound: Reassembly,
    pub(crate) flight: Flight,
    pub(crate) events: VecDeque<Event>,
    /// Whether the host is to answer before anything goes on.
    pub(crate) is_asking: bool,
    /// Whether both Finished are done.
    pub(crate) is_done: bool,
    /// Whether it failed.
    pub(crate) is_over: bool,
    /// An alert to be sent.
    notice: Option<Alert>,
    pub(crate) next_message: u16,
    pub(crate) plain_sequence: u64,
    pub(crate) client_random: [u8; 32],
    pub(crate) server_random: [u8; 32],
    pub(crate) terms: Terms,
    /// Our connection ID, if they turn out to be used.
    pub(crate) own_cid: Cid,
    pub(crate) master: Option<MasterSecret>,
    pub(crate) session: Option<Session>,
    pub(crate) session_id: Box<[u8]>,
    pub(crate) server_name: Option<String>,
    pub(crate) note: Box<[u8]>,
    /// The peer's public key, SubjectPublicKeyInfo in DER.
    pub(crate) peer_key: Box<[u8]>,
    pub(crate) is_resumed: bool,
    /// Whether the peer has changed to the new keys.
    pub(super) is_peer_changed: bool,
    /// Records that could have been the peer's Finished, but were not authentic.
    pub(super) bad_finished: u8,
    /// Records of the new epoch that came before its keys.
    pub(super) early: Vec<Box<[u8]>>,
    deadline: Instant,
    retransmit_at: Option<Instant>,
    launched_at: Instant,
    wait: Duration,
    repeats: u8,
    /// The last message of the peer's flight that ours answers.
    answered: Option<u16>,
}

impl Common {
    pub(super) fn new(host: &mut Host<'_>, role: Role, own_cid: Cid) -> Self {
        Self {
            role,
            transcript: Transcript::default(),
            inbound: Reassembly::default(),
            flight: Flight::default(),
            events: VecDeque::new(),
            is_asking: false,
            is_done: false,
            is_over: false,
            notice: None,
            next_message: 0,
            plain_sequence: 0,
            client_random: [0; 32],
            server_random: [0; 32],
            terms: Terms::new(Suite::PskAes128Ccm8),
            own_cid,
            master: None,
            session: None,
            session_id: Box::default(),
            server_name: None,
            note: Box::default(),
            peer_key: Box::default(),
            is_resumed: false,
            is_peer_changed: false,
            bad_finished: 0,
            early: Vec::new(),
            deadline: host.now + host.config.handshake_time,
            retransmit_at: None,
            launched_at: host.now,
            wait: host.config.retransmit_first,
            repeats: 0,
            answered: None,
        }
    }

    /// Bytes that are kept beside this.
    pub(super) fn kept_len(&self) -> usize {
        let early: usize = self.early.iter().map(|record| record.len()).sum();
        let name = self.server_name.as_ref().map_or(0, String::capacity);
        self.inbound.kept_len()
            + self.transcript.kept_len()
            + self.flight.kept_len()
            + early
            + name
            + self.session_id.len()
            + self.note.len()
            + self.peer_key.len()
    }

    /// Asks the host; nothing goes on before it answers.
    pub(crate) fn ask(&mut self, presented: Presented) {
        self.is_asking = true;
        self.retransmit_at = None;
        self.events.push_back(Event::Ask(presented));
    }

    /// Appends a message to the flight and to the transcript.
    pub(crate) fn write(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.write_unhashed(kind, body);
        self.transcript.add(self.flight.messages().get(start..).unwrap_or_default());
    }

    /// Appends a message to the flight and returns where it begins there.
    pub(crate) fn write_unhashed(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> usize {
        let out = self.flight.messages_mut();
        let start = out.len();
        write::message(out, kind, self.next_message, body);
        self.next_message = self.next_message.wrapping_add(1);
        start
    }

    /// Sends the flight, and again until the peer answers.
    pub(crate) fn launch(&mut self, host: &Host<'_>) {
        self.flight.rewind();
        self.flight.messages_mut().shrink_to_fit();
        self.answered = self.inbound.next().checked_sub(1);
        self.launched_at = host.now;
        self.wait = host.config.retransmit_first;
        self.repeats = 0;
        self.retransmit_at = Some(host.now + self.wait);
    }

    /// Goes on waiting for the peer, which the host's answer interrupted.
    pub(super) fn rearm(&mut self, host: &Host<'_>) {
        if !self.is_asking && !self.is_done && self.retransmit_at.is_none() {
            self.retransmit_at = Some(host.now + self.wait);
        }
    }

    /// Makes the master secret by the rule that was agreed upon. All messages up to ClientKeyExchange have been hashed.
    pub(crate) fn make_master(&mut self, crypto: &dyn Crypto, premaster: &Secret) {
        let master = if self.terms.extended_master_secret {
            schedule::extended_master_secret(crypto, premaster, &self.transcript.hash())
        } else {
            schedule::master_secret(crypto, premaster, &self.client_random, &self.server_random)
        };
        self.master = Some(master);
    }

    /// Makes the keys out of the master secret.
    pub(crate) fn make_keys(&mut self, crypto: &dyn Crypto) -> Result<(), Abort> {
        let master = self.master.as_ref().ok_or(Abort::INTERNAL)?;
        let terms = &self.terms;
        let (client_random, server_random) = (&self.client_random, &self.server_random);
        let keys = schedule::keys(
            crypto,
            master,
            client_random,
            server_random,
            terms.suite,
            terms.encrypt_then_mac,
            self.role,
        );
        let (own_cid, peer_cid) = terms.cids.unwrap_or_default();
        let terms = session::Terms {
            own_cid,
            peer_cid,
            peer_limit: terms.peer_limit,
            own_limit: terms.own_limit,
            return_routability: terms.return_routability,
        };
        self.session = Some(Session::new(keys, &terms));
        Ok(())
    }

    /// Writes ChangeCipherSpec and Finished.
    pub(crate) fn write_finished(&mut self, crypto: &dyn Crypto) -> Result<(), Abort> {
        let master = self.master.as_ref().ok_or(Abort::INTERNAL)?;
        let data = schedule::verify_data(crypto, master, self.role, &self.transcript.hash());
        self.flight.change_cipher();
        self.write(Kind::Finished, |out| out.extend_from_slice(&data));
        Ok(())
    }

    /// Checks the peer's Finished and takes it into the transcript.
    pub(crate) fn check_finished(&mut self, crypto: &dyn Crypto, message: &Message<'_>) -> Result<(), Abort> {
        let master = self.master.as_ref().ok_or(Abort::INTERNAL)?;
        let expected = schedule::verify_data(crypto, master, self.role.peer(), &self.transcript.hash());
        if !schedule::is_verified(&expected, message.body()) {
            return Err(Abort(Alert::DECRYPT_ERROR, Fault::BadFinished));
        }
        self.transcript.add(message.raw);
        Ok(())
    }

    /// Both Finished are done: the events tell it.
    pub(crate) fn complete(&mut self, host: &Host<'_>, resumable: Option<Resumption>) {
        self.is_done = true;
        self.retransmit_at = None;
        self.deadline = host.now + LINGER_TIME;
        self.early = Vec::new();
        self.inbound.clear();
        if host.config.key_log
            && let Some(master) = &self.master
        {
            self.events.push_back(Event::KeyLog(keylog::line(&self.client_random, master)));
        }
        if let Some(resumption) = resumable {
            self.events.push_back(Event::Resumable(resumption));
        }
        let terms = &self.terms;
        let peer_type = match (self.peer_key.is_empty(), self.role) {
            (true, _) => None,
            (false, Role::Client) => Some(terms.server_type),
            (false, Role::Server) => Some(terms.client_type),
        };
        self.events.push_back(Event::Established(Facts {
            suite: terms.suite,
            peer_certificate_type: peer_type,
            resumed: self.is_resumed,
            note: core::mem::take(&mut self.note),
            server_name: self.server_name.take(),
            own_cid: terms.cids.map(|(own, _)| own),
            peer_cid: terms.cids.map(|(_, peer)| peer),
            return_routability: terms.return_routability,
            extended_master_secret: terms.extended_master_secret,
        }));
        self.master = None;
        self.transcript = Transcript::default();
    }

    /// What the session can be resumed with.
    pub(crate) fn resumption(&self, ticket: Box<[u8]>) -> Option<Resumption> {
        Some(Resumption {
            session_id: self.session_id.clone(),
            ticket,
            master_secret: Secret::new(self.master.as_ref()?.bytes()),
            suite: self.terms.suite,
            extended_master_secret: self.terms.extended_master_secret,
            note: self.note.clone(),
        })
    }

    pub(crate) fn fail(&mut self, abort: Abort) {
        let Abort(alert, fault) = abort;
        self.notice = Some(alert);
        self.end(Failure::AlertSent(alert, fault));
    }

    /// Fails before the peer has heard of us, and lets it stay so.
    pub(crate) fn refuse(&mut self, abort: Abort) {
        self.fail(abort);
        self.notice = None;
    }

    pub(super) fn end(&mut self, failure: Failure) {
        if self.is_over || self.is_done {
            return;
        }
        self.is_over = true;
        self.is_asking = false;
        self.flight.stop();
        self.retransmit_at = None;
        self.early = Vec::new();
        self.inbound.clear();
        self.master = None;
        self.events.push_back(Event::Failed(failure));
    }

    /// Gives up by the host's will.
    pub(crate) fn cancel(&mut self) {
        self.notice = Some(Alert::USER_CANCELED);
        self.is_over = true;
        self.flight.stop();
    }

    /// When [`Common::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        Some(self.retransmit_at.map_or(self.deadline, |at| at.min(self.deadline)))
    }

    pub(super) fn handle_timeout(&mut self, host: &Host<'_>) {
        if self.is_over || self.is_done {
            return;
        }
        if host.now >= self.deadline {
            self.end(Failure::TimedOut);
        } else if self.retransmit_at.is_some_and(|at| host.now >= at) {
            if self.repeats >= host.config.retransmit_count {
                self.end(Failure::TimedOut);
                return;
            }
            self.repeats += 1;
            self.wait = self.wait.saturating_mul(2).min(host.config.retransmit_max);
            self.retransmit_at = Some(host.now + self.wait);
            self.launched_at = host.now;
            self.flight.rewind();
        }
    }

    /// Whether the last flight need not be kept any longer.
    pub(crate) fn is_past(&self, now: Instant) -> bool {
        self.is_done && now >= self.deadline
    }

    /// Whether the peer has said the last word, so that nothing of ours can be asked for again.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_done && (self.role == Role::Client) != self.is_resumed
    }

    /// Sends the last flight again, because the peer has sent again what it answers.
    pub(super) fn repeat(&mut self, host: &Host<'_>, fragment: &Fragment<'_>) {
        let is_end = fragment.offset + fragment.body.len() == fragment.len;
        if is_end && Some(fragment.sequence) == self.answered && !self.is_asking {
            self.repeat_last(host);
        }
    }

    /// Sends the last flight again, unless that has been done just now.
    pub(crate) fn repeat_last(&mut self, host: &Host<'_>) {
        if self.flight.is_sent() && host.now >= self.launched_at + host.config.retransmit_first / 4 {
            self.launched_at = host.now;
            self.flight.rewind();
        }
    }

    pub(super) fn keep_early(&mut self, record: &[u8], header: &Header) -> Result<(), DropReason> {
        let with_cid = header.content_type == ContentType::Cid;
        if header.epoch() != session::EPOCH || !(with_cid || header.content_type == ContentType::Handshake) {
            return Err(DropReason::Epoch);
        }
        let start = header.fragment.start - record::HEADER_LEN - header.cid.len();
        let bytes = record.get(start..header.end()).unwrap_or_default();
        if self.early.len() >= EARLY_MAX || bytes.len() > EARLY_LEN_MAX {
            return Err(DropReason::Epoch);
        }
        self.early.push(bytes.into());
        Ok(())
    }

    /// Writes the next datagram of the handshake: the flight, or an alert. `established` is the session if it has left here.
    pub(crate) fn write_datagram(
        &mut self,
        host: &mut Host<'_>,
        established: Option<&mut Session>,
        out: &mut [u8],
    ) -> Option<usize> {
        let len_max = out.len().min(host.config.datagram_len_max);
        let out = out.get_mut(..len_max)?;
        let session = established.or(self.session.as_mut());
        if let Some(alert) = self.notice.take() {
            let content = alert::encode(alert);
            return match session {
                Some(session) if self.flight.is_changed() => {
                    let start = session.headroom();
                    out.get_mut(start..start + content.len())?.copy_from_slice(&content);
                    session.seal(host.crypto, host.rng, ContentType::Alert, out, content.len()).ok()
                }
                _ => {
                    let sequence = self.plain_sequence;
                    self.plain_sequence += 1;
                    record::write_plain(out, ContentType::Alert, sequence, &content)
                }
            };
        }
        let limit = self.terms.peer_limit.filter(|_| self.terms.limits_all);
        let mut sender = Sender {
            crypto: host.crypto,
            rng: host.rng,
            session,
            plain_sequence: &mut self.plain_sequence,
            plain_len_max: limit.map_or(record::PLAIN_LEN_MAX, usize::from),
        };
        self.flight.write_datagram(&mut sender, out)
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("role", &self.role)
            .field("is_done", &self.is_done)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
