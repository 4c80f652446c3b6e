//! What both roles need while a handshake runs; all of it is dropped when it is done.

mod transcript;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use lightship_platform::Instant;
use lightship_platform::crypto::{Crypto, Secret};

pub(crate) use self::transcript::Transcript;
use crate::client::Client;
use crate::flight::{Flight, Sender};
use crate::message::{Fragment, Kind, Message, write};
use crate::protection::Role;
use crate::reassembly::{Reassembly, Took};
use crate::record::{self, ContentType, Header};
use crate::schedule::{self, MasterSecret};
use crate::server::Server;
use crate::session::{self, Session};
use crate::{
    Alert, Answer, CertificateType, Cid, DropReason, Event, Facts, Failure, Fault, Host, Presented,
    Resumption, Suite, keylog,
};

/// Longest record of the new epoch that is kept until its keys are there, in bytes.
const EARLY_LEN_MAX: usize = 256;
/// How many of them.
const EARLY_MAX: usize = 2;
/// How many records that could be the peer's Finished may fail before the handshake does.
const BAD_FINISHED_MAX: u8 = 2;
/// How long the last flight can be asked for again: twice the life of a packet (RFC 6347 §4.2.4).
const LINGER_TIME: Duration = Duration::from_secs(240);

/// A reason to give up: what the peer is told, and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Abort(pub(crate) Alert, pub(crate) Fault);

impl Abort {
    pub(crate) const UNEXPECTED: Self = Self(Alert::UNEXPECTED_MESSAGE, Fault::BadMessage);
    pub(crate) const DECODE: Self = Self(Alert::DECODE_ERROR, Fault::BadMessage);
    pub(crate) const ILLEGAL: Self = Self(Alert::ILLEGAL_PARAMETER, Fault::BadMessage);
    pub(crate) const NOTHING_IN_COMMON: Self = Self(Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon);
    pub(crate) const INTERNAL: Self = Self(Alert::INTERNAL_ERROR, Fault::NothingInCommon);
    pub(crate) const OLD_VERSION: Self = Self(Alert::PROTOCOL_VERSION, Fault::OldVersion);
    pub(crate) const NO_EXTENDED_MASTER_SECRET: Self =
        Self(Alert::HANDSHAKE_FAILURE, Fault::NoExtendedMasterSecret);
}

/// What the two hellos agreed upon.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) suite: Suite,
    pub(crate) extended_master_secret: bool,
    pub(crate) encrypt_then_mac: bool,
    /// Our connection ID and the peer's, if connection IDs are used.
    pub(crate) cids: Option<(Cid, Cid)>,
    pub(crate) return_routability: bool,
    /// The longest plaintext that the peer takes, in bytes.
    pub(crate) peer_limit: Option<u16>,
    /// Whether that limit also holds for records without protection (RFC 6066 §4, unlike RFC 8449 §4).
    pub(crate) limits_all: bool,
    pub(crate) client_type: CertificateType,
    pub(crate) server_type: CertificateType,
    /// Whether the server gives a ticket.
    pub(crate) ticket: bool,
}

impl Terms {
    pub(crate) const fn new(suite: Suite) -> Self {
        Self {
            suite,
            extended_master_secret: false,
            encrypt_then_mac: false,
            cids: None,
            return_routability: false,
            peer_limit: None,
            limits_all: false,
            client_type: CertificateType::X509,
            server_type: CertificateType::X509,
            ticket: false,
        }
    }
}

/// A handshake that is running, or whose last flight may have to be sent again.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) common: Common,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Client(Client),
    Server(Server),
}

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
    is_peer_changed: bool,
    /// Records that could have been the peer's Finished, but were not authentic.
    bad_finished: u8,
    /// Records of the new epoch that came before its keys.
    early: Vec<Box<[u8]>>,
    deadline: Instant,
    retransmit_at: Option<Instant>,
    launched_at: Instant,
    wait: Duration,
    repeats: u8,
    /// The last message of the peer's flight that ours answers.
    answered: Option<u16>,
}

impl Handshake {
    pub(crate) fn client(host: &mut Host<'_>, connect: crate::Connect) -> Self {
        let mut common = Common::new(host, Role::Client, connect.own_cid);
        let client = Client::begin(&mut common, host, connect);
        Self { common, side: Side::Client(client) }
    }

    pub(crate) fn server(host: &mut Host<'_>, own_cid: Cid, session_id: &[u8], record_sequence: u64) -> Self {
        let mut common = Common::new(host, Role::Server, own_cid);
        common.plain_sequence = record_sequence;
        Self { common, side: Side::Server(Server::new(session_id)) }
    }

    /// Takes the first fragment of the ClientHello that brought the cookie.
    pub(crate) fn begin(&mut self, host: &mut Host<'_>, fragment: &Fragment<'_>) {
        self.common.next_message = fragment.sequence;
        self.common.inbound.expect(fragment.sequence);
        self.handle_fragment(host, fragment, false);
        self.drain(host);
    }

    /// Takes a record without protection.
    pub(crate) fn handle_plain(
        &mut self,
        host: &mut Host<'_>,
        content_type: ContentType,
        content: &[u8],
    ) -> Result<(), DropReason> {
        match content_type {
            ContentType::Handshake => self.handle_fragments(host, content, false),
            ContentType::ChangeCipherSpec if content == [1] => {
                self.common.is_peer_changed = true;
                self.open_early(host);
                Ok(())
            }
            ContentType::Alert => self.handle_alert(content),
            ContentType::ApplicationData => Err(DropReason::Early),
            ContentType::ChangeCipherSpec | ContentType::Cid | ContentType::ReturnRoutability => {
                Err(DropReason::Malformed)
            }
        }
    }

    /// Takes a record of the new epoch before the handshake is done; its bytes are decrypted in place.
    pub(crate) fn handle_protected(
        &mut self,
        host: &mut Host<'_>,
        record: &mut [u8],
        header: &Header,
    ) -> Result<(), DropReason> {
        let session = match &mut self.common.session {
            Some(session) if self.common.is_peer_changed => session,
            _ => return self.common.keep_early(record, header),
        };
        let opened = match session.open(host.crypto, record, header) {
            Ok(opened) => opened,
            Err(reason) => {
                // One may be anybody's; two, the second when the peer repeats itself, mean that the keys differ.
                // Data does not count: it may be of an older association with the same address.
                let may_be_finished =
                    matches!(header.content_type, ContentType::Handshake | ContentType::Cid);
                if reason == DropReason::BadMac && may_be_finished {
                    self.common.bad_finished += 1;
                    if self.common.bad_finished >= BAD_FINISHED_MAX {
                        self.common.fail(Abort(Alert::DECRYPT_ERROR, Fault::BadFinished));
                    }
                }
                return Err(reason);
            }
        };
        let content = record.get(opened.range).unwrap_or_default();
        match opened.content_type {
            ContentType::Handshake => self.handle_fragments(host, content, true),
            ContentType::Alert => self.handle_alert(content),
            ContentType::ApplicationData => Err(DropReason::Early),
            ContentType::ChangeCipherSpec | ContentType::Cid | ContentType::ReturnRoutability => {
                Err(DropReason::Malformed)
            }
        }
    }

    /// Takes the host's answer.
    pub(crate) fn answer(&mut self, host: &mut Host<'_>, answer: Answer) {
        if !core::mem::take(&mut self.common.is_asking) || self.common.is_over {
            return;
        }
        let result = match &mut self.side {
            Side::Client(_) => Client::answer(&answer),
            Side::Server(server) => server.answer(&mut self.common, host, answer),
        };
        match result {
            Ok(()) => self.common.rearm(host),
            Err(abort) => self.common.fail(abort),
        }
        self.drain(host);
        self.open_early(host);
    }

    pub(crate) fn handle_timeout(&mut self, host: &mut Host<'_>) {
        self.common.handle_timeout(host);
    }

    fn handle_fragments(
        &mut self,
        host: &mut Host<'_>,
        mut content: &[u8],
        protected: bool,
    ) -> Result<(), DropReason> {
        let mut result = if content.is_empty() { Err(DropReason::Handshake) } else { Ok(()) };
        while !content.is_empty() && !self.common.is_over {
            let Some((fragment, rest)) = Fragment::read(content) else { return Err(DropReason::Handshake) };
            content = rest;
            if !self.handle_fragment(host, &fragment, protected) {
                result = Err(DropReason::Handshake);
            }
            self.drain(host);
        }
        self.open_early(host);
        result
    }

    /// Whether the fragment was of use.
    fn handle_fragment(&mut self, host: &mut Host<'_>, fragment: &Fragment<'_>, protected: bool) -> bool {
        if fragment.kind == Kind::HelloVerifyRequest as u8 {
            let Side::Client(client) = &mut self.side else { return false };
            if !fragment.is_whole() || protected {
                return false;
            }
            if let Err(abort) = client.handle_verify(&mut self.common, host, fragment) {
                self.common.fail(abort);
            }
            return true;
        }
        if self.common.inbound.is_due(fragment) && !self.common.is_asking && !self.common.is_done {
            self.handle_message(host, fragment.raw, protected);
            return true;
        }
        let len_max = host.config.message_len_max;
        if fragment.len > len_max && fragment.sequence == self.common.inbound.next() {
            // Nobody will ever put this one together: say so instead of waiting for it.
            let is_certificate = fragment.kind == Kind::Certificate as u8;
            let alert = if is_certificate { Alert::BAD_CERTIFICATE } else { Alert::DECODE_ERROR };
            self.common.fail(Abort(alert, Fault::BadMessage));
            return false;
        }
        match self.common.inbound.take(fragment, protected, len_max) {
            Took::Kept => true,
            Took::Old => {
                self.common.repeat(host, fragment);
                true
            }
            Took::Refused => false,
        }
    }

    /// Uses the messages whose turn has come.
    fn drain(&mut self, host: &mut Host<'_>) {
        while !self.common.is_asking && !self.common.is_over && !self.common.is_done {
            let Some(whole) = self.common.inbound.pop() else { break };
            self.handle_message(host, &whole.bytes, whole.protected);
        }
    }

    fn handle_message(&mut self, host: &mut Host<'_>, raw: &[u8], protected: bool) {
        let kind = raw.first().copied().and_then(Kind::from_number);
        self.common.inbound.advance();
        let result = match kind {
            // A request for what is going on anyway is ignored and not part of the transcript (RFC 5246 §7.4.1.1).
            Some(Kind::HelloRequest) => Ok(()),
            Some(kind) if protected == (kind == Kind::Finished) => {
                let message = Message { kind, raw };
                match &mut self.side {
                    Side::Client(client) => client.handle(&mut self.common, host, message),
                    Side::Server(server) => server.handle(&mut self.common, host, message),
                }
            }
            _ => Err(Abort::UNEXPECTED),
        };
        if let Err(abort) = result {
            self.common.fail(abort);
        }
    }

    fn handle_alert(&mut self, content: &[u8]) -> Result<(), DropReason> {
        let (level, alert) = crate::alert::parse(content).ok_or(DropReason::Alert)?;
        if level == crate::alert::Level::Fatal || alert == Alert::CLOSE_NOTIFY {
            self.common.end(Failure::AlertReceived(alert));
        }
        Ok(())
    }

    fn open_early(&mut self, host: &mut Host<'_>) {
        let common = &mut self.common;
        if common.is_peer_changed && common.session.is_some() && !common.is_asking && !common.is_done {
            let own_cid_len = common.own_cid.bytes().len();
            for mut record in core::mem::take(&mut common.early) {
                let Ok(header) = record::parse(&record, 0, own_cid_len) else { continue };
                // What turns out to be forged is no worse than lost.
                let _ = self.handle_protected(host, &mut record, &header);
            }
        }
    }
}

impl Common {
    fn new(host: &mut Host<'_>, role: Role, own_cid: Cid) -> Self {
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
        self.answered = self.inbound.next().checked_sub(1);
        self.launched_at = host.now;
        self.wait = host.config.retransmit_first;
        self.repeats = 0;
        self.retransmit_at = Some(host.now + self.wait);
    }

    /// Goes on waiting for the peer, which the host's answer interrupted.
    fn rearm(&mut self, host: &Host<'_>) {
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

    fn end(&mut self, failure: Failure) {
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

    fn handle_timeout(&mut self, host: &Host<'_>) {
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
    fn repeat(&mut self, host: &Host<'_>, fragment: &Fragment<'_>) {
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

    fn keep_early(&mut self, record: &[u8], header: &Header) -> Result<(), DropReason> {
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
            let content = crate::alert::encode(alert);
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
