//! The life of an association.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use lightship_platform::Instant;

#[cfg(feature = "server")]
use crate::cookie::ProvenHello;
use crate::handshake::Handshake;
use crate::message::{Fragment, Kind};
use crate::record::{self, ContentType, Header};
use crate::rrc::{self, Rrc};
use crate::session::{Opened, Session};
use crate::{
    Alert, Answer, Cid, Config, Credential, DropReason, Event, Host, Resumption, SealError, Wear, alert,
};

#[cfg(test)]
#[cfg(feature = "server")]
mod late;
#[cfg(test)]
#[cfg(feature = "server")]
mod replay;

/// One DTLS association with one peer.
///
/// After any call that takes `&mut self` the host drains [`Association::poll_transmit`] and [`Association::poll_event`] until
/// both return `None`, then reads [`Association::poll_timeout`]. Equal calls give equal results.
#[derive(Debug)]
pub struct Association {
    /// The keys, from the end of the handshake on.
    session: Option<Session>,
    /// What an idle association has not; it pays for one pointer only.
    aside: Option<Box<Aside>>,
}

/// What is under way beside the records.
#[derive(Default, Debug)]
struct Aside {
    /// The handshake; after its end it is kept for its last flight, until the peer shows that it needs it no more.
    handshake: Option<Box<Handshake>>,
    /// What the host has not taken yet.
    events: Vec<Event>,
    /// Whether the peer receives where it says it is.
    rrc: Option<Box<Rrc>>,
    /// An alert to be sent under the keys.
    notice: Option<Alert>,
    /// Whether nothing can be sealed any longer.
    is_over: bool,
}

impl Aside {
    fn is_idle(&self) -> bool {
        let Self { handshake, events, rrc, notice, is_over } = self;
        handshake.is_none() && events.is_empty() && rrc.is_none() && notice.is_none() && !is_over
    }
}

/// How a client begins.
#[derive(Clone, Debug)]
pub struct Connect {
    /// What the client proves itself with.
    pub credential: Credential,
    /// The name for Server Name Indication (RFC 6066 §3); never an address.
    pub server_name: Option<String>,
    /// The connection ID that the server shall put into its records: `Cid::EMPTY` lets the server have one without needing one
    /// ourselves. Used if [`Config::connection_id`](crate::Config::connection_id) is on.
    pub own_cid: Cid,
    /// An earlier session to resume.
    pub resume: Option<Resumption>,
}

/// Whence a datagram came, or where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// The address of the association.
    Current,
    /// Another address; the host remembers which until the association says [`Event::Moved`] or hears from yet another.
    New,
}

/// A datagram that [`Association::poll_transmit`] has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// Where it goes.
    pub path: Path,
}

/// What a record turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Record {
    /// Application data, decrypted in place.
    Data {
        /// Where in the datagram it lies.
        range: Range<usize>,
        /// Whether no record was newer: only such a one may change the peer's address.
        newest: bool,
    },
    /// Something of the protocol itself.
    Handled,
    /// Nothing to be used.
    Dropped(DropReason),
}

impl Association {
    /// A client's association; the first flight is ready to be sent.
    pub fn connect(host: &mut Host<'_>, connect: Connect) -> Self {
        let mut association = Self::of(Handshake::client(host, connect));
        association.settle();
        association
    }

    /// A server's association with an address that has returned its cookie. `own_cid` is what the client shall put into its
    /// records if it knows connection IDs, and its first two bytes are readable in a ticket
    /// ([`TicketKeys::origin_of`](crate::TicketKeys::origin_of)); `session_id` is the ID that the session gets if it is a new one,
    /// 0 to 32 bytes.
    #[cfg(feature = "server")]
    pub fn accept(host: &mut Host<'_>, hello: ProvenHello<'_>, own_cid: Cid, session_id: &[u8]) -> Self {
        let mut handshake = Handshake::server(host, own_cid, session_id, hello.record_sequence);
        handshake.begin(host, &hello.fragment);
        let mut association = Self::of(handshake);
        association.settle();
        association
    }

    fn of(handshake: Handshake) -> Self {
        let aside = Aside { handshake: Some(Box::new(handshake)), ..Aside::default() };
        Self { session: None, aside: Some(Box::new(aside)) }
    }

    /// Takes the record of `datagram` that begins at `at` and moves `at` behind it; `None` at the end of the datagram.
    pub fn handle_record(
        &mut self,
        host: &mut Host<'_>,
        path: Path,
        datagram: &mut [u8],
        at: &mut usize,
    ) -> Option<Record> {
        if *at >= datagram.len() {
            return None;
        }
        let header = match record::parse(datagram, *at, self.own_cid_len()) {
            Ok(header) => header,
            Err(reason) => {
                *at = datagram.len();
                return Some(Record::Dropped(reason));
            }
        };
        *at = header.end();
        let handled = if header.epoch() == 0 {
            self.handle_plain(host, datagram, &header)
        } else if self.session.is_some() {
            self.handle_protected(host, path, datagram, &header)
        } else {
            match self.handshake_mut() {
                Some(handshake) => {
                    let handled = handshake.handle_protected(host, datagram, &header);
                    handled.map(|()| Record::Handled)
                }
                None => Err(DropReason::Epoch),
            }
        };
        self.settle();
        Some(handled.unwrap_or_else(Record::Dropped))
    }

    /// Takes a record without protection. After the handshake nothing in it counts.
    fn handle_plain(
        &mut self,
        host: &mut Host<'_>,
        datagram: &[u8],
        header: &Header,
    ) -> Result<Record, DropReason> {
        let content = datagram.get(header.fragment.clone()).unwrap_or_default();
        match self.handshake_mut() {
            Some(handshake) if !handshake.common.is_done && !handshake.common.is_over => {
                handshake.handle_plain(host, header.content_type, content).map(|()| Record::Handled)
            }
            // What the peer repeats because our last flight was lost; its Finished under the keys calls for that.
            Some(handshake)
                if handshake.common.is_done
                    && matches!(
                        header.content_type,
                        ContentType::Handshake | ContentType::ChangeCipherSpec
                    ) =>
            {
                Ok(Record::Handled)
            }
            _ => Err(match header.content_type {
                ContentType::Alert => DropReason::Alert,
                ContentType::Handshake | ContentType::ChangeCipherSpec => DropReason::Handshake,
                ContentType::ApplicationData | ContentType::Cid | ContentType::ReturnRoutability => {
                    DropReason::Epoch
                }
            }),
        }
    }

    /// Takes a record under the keys, after the handshake.
    fn handle_protected(
        &mut self,
        host: &mut Host<'_>,
        path: Path,
        datagram: &mut [u8],
        header: &Header,
    ) -> Result<Record, DropReason> {
        let session = self.session.as_mut().ok_or(DropReason::Epoch)?;
        let Opened { content_type, range, newest } = session.open(host.crypto, datagram, header)?;
        let is_checked = session.return_routability();
        match path {
            Path::New if newest && is_checked => self.check_path(host),
            Path::New if newest => self.push(Event::Moved),
            // The peer is still where it was.
            Path::Current if newest && content_type != ContentType::ReturnRoutability => self.stay(),
            Path::Current | Path::New => {}
        }
        let content = datagram.get(range.clone()).unwrap_or_default();
        match content_type {
            ContentType::ApplicationData => {
                // The peer uses the keys, so it has our last flight.
                self.drop_handshake();
                Ok(Record::Data { range, newest })
            }
            ContentType::Handshake => self.handle_late_handshake(host, content),
            ContentType::Alert => self.handle_alert(content),
            ContentType::ReturnRoutability if is_checked => {
                let rrc = self.aside_mut().rrc.get_or_insert_default();
                if rrc.handle(host.now, host.rng, path, content) == rrc::Outcome::Moved {
                    self.push(Event::Moved);
                }
                self.tidy();
                Ok(Record::Handled)
            }
            ContentType::ReturnRoutability => Ok(Record::Handled),
            ContentType::ChangeCipherSpec | ContentType::Cid => Err(DropReason::Malformed),
        }
    }

    /// Asks whether the peer receives at the new path, unless that is being asked already.
    fn check_path(&mut self, host: &mut Host<'_>) {
        let variant = if host.config.return_routability_enhanced {
            rrc::Variant::Enhanced
        } else {
            rrc::Variant::Basic
        };
        self.aside_mut().rrc.get_or_insert_default().begin(host.now, host.rng, variant);
    }

    /// Gives a check of the new path up.
    fn stay(&mut self) {
        if let Some(aside) = &mut self.aside {
            if let Some(rrc) = &mut aside.rrc {
                rrc.stay();
            }
            self.tidy();
        }
    }

    /// A handshake message after the handshake: the peer's Finished once more, or a wish for another handshake.
    fn handle_late_handshake(&mut self, host: &Host<'_>, content: &[u8]) -> Result<Record, DropReason> {
        let (fragment, _) = Fragment::read(content).ok_or(DropReason::Handshake)?;
        match Kind::from_number(fragment.kind) {
            Some(Kind::Finished) => {
                if let Some(handshake) = self.handshake_mut() {
                    handshake.common.repeat_last(host);
                }
                Ok(Record::Handled)
            }
            // Renegotiation is refused (RFC 5246 §7.2.2).
            Some(Kind::HelloRequest | Kind::ClientHello) => {
                self.aside_mut().notice = Some(Alert::NO_RENEGOTIATION);
                Ok(Record::Handled)
            }
            _ => Err(DropReason::Handshake),
        }
    }

    fn handle_alert(&mut self, content: &[u8]) -> Result<Record, DropReason> {
        let (level, alert) = alert::parse(content).ok_or(DropReason::Alert)?;
        if level == alert::Level::Fatal || alert == Alert::CLOSE_NOTIFY {
            if alert == Alert::CLOSE_NOTIFY && !self.is_over() {
                self.aside_mut().notice = Some(Alert::CLOSE_NOTIFY);
            }
            self.aside_mut().is_over = true;
            self.drop_handshake();
            self.push(Event::Closed(alert));
        }
        Ok(Record::Handled)
    }

    /// Lets the time pass.
    pub fn handle_timeout(&mut self, host: &mut Host<'_>) {
        if let Some(handshake) = self.handshake_mut() {
            handshake.handle_timeout(host);
            if handshake.common.is_past(host.now) {
                self.drop_handshake();
            }
        }
        if let Some(aside) = &mut self.aside {
            if let Some(rrc) = &mut aside.rrc {
                rrc.handle_timeout(host.now, host.rng);
            }
            self.tidy();
        }
        self.settle();
    }

    /// Writes the next datagram of the protocol itself into `out`.
    pub fn poll_transmit(&mut self, host: &mut Host<'_>, out: &mut [u8]) -> Option<Transmit> {
        if let Some(handshake) = self.aside.as_mut().and_then(|aside| aside.handshake.as_deref_mut())
            && let Some(len) = handshake.common.write_datagram(host, self.session.as_mut(), out)
        {
            return Some(Transmit { len, path: Path::Current });
        }
        if let Some((path, message)) = self.aside.as_mut().and_then(|aside| aside.rrc.as_mut()?.poll()) {
            self.tidy();
            let len = self.seal_own(host, ContentType::ReturnRoutability, &message, out)?;
            return Some(Transmit { len, path });
        }
        let content = alert::encode(self.aside.as_mut()?.notice.take()?);
        self.tidy();
        let len = self.seal_own(host, ContentType::Alert, &content, out)?;
        Some(Transmit { len, path: Path::Current })
    }

    /// Makes a record of something of the protocol itself.
    fn seal_own(
        &mut self,
        host: &mut Host<'_>,
        content_type: ContentType,
        content: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let session = self.session.as_mut()?;
        let start = session.headroom();
        out.get_mut(start..start + content.len())?.copy_from_slice(content);
        session.seal(host.crypto, host.rng, content_type, out, content.len()).ok()
    }

    /// The next thing the host should know or answer.
    pub fn poll_event(&mut self) -> Option<Event> {
        let events = &mut self.aside.as_mut()?.events;
        let event = (!events.is_empty()).then(|| events.remove(0));
        self.tidy();
        event
    }

    /// Bytes that a handshake under way takes, up to a few: what grows of it is what the peer sends, up to some ten thousand
    /// ([`Config::message_len_max`](crate::Config::message_len_max)). 0 without one.
    #[must_use]
    pub fn handshake_len(&self) -> usize {
        self.handshake().map_or(0, Handshake::kept_len)
    }

    /// When [`Association::handle_timeout`] has something to do; `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = self.handshake().and_then(|handshake| handshake.common.poll_timeout());
        let check = self.aside.as_ref().and_then(|aside| aside.rrc.as_ref()?.poll_timeout());
        handshake.into_iter().chain(check).min()
    }

    /// Answers the last [`Event::Ask`]; an answer to nothing is harmless.
    pub fn answer(&mut self, host: &mut Host<'_>, answer: Answer) {
        if let Some(handshake) = self.handshake_mut() {
            handshake.answer(host, answer);
        }
        self.settle();
    }

    /// The name that the client asked for (RFC 6066 §3), while the handshake runs; [`Facts::server_name`](crate::Facts) has it
    /// afterwards.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.handshake().and_then(|handshake| handshake.common.server_name.as_deref())
    }

    /// Whether application data may be sealed.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.session.is_some() && !self.is_over()
    }

    /// Whether it is established and nothing else is under way: no event, no time-out, nothing to send.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.session.is_some() && self.aside.is_none()
    }

    /// How many bytes stand before the data in a record.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.session.as_ref().map_or(0, Session::headroom)
    }

    /// The longest data that fits into one record for this peer, in bytes.
    #[must_use]
    pub fn data_len_max(&self) -> usize {
        self.session.as_ref().map_or(0, Session::content_len_max)
    }

    /// The longest plaintext of a record that the peer takes, in bytes, if it has told a limit (RFC 8449, RFC 6066 §4).
    #[must_use]
    pub fn peer_record_size_limit(&self) -> Option<u16> {
        self.session.as_ref()?.peer_limit()
    }

    /// Makes a record of the data that lies at `buffer[headroom..headroom + len]` and returns the record's length; it begins at 0.
    ///
    /// # Errors
    /// If the association is not established, the room does not suffice, or the keys are used up.
    pub fn seal(&mut self, host: &mut Host<'_>, buffer: &mut [u8], len: usize) -> Result<usize, SealError> {
        let is_over = self.is_over();
        match &mut self.session {
            Some(session) if !is_over => {
                if session.is_used_up(host.config.records_max) {
                    return Err(SealError::Exhausted);
                }
                session.seal(host.crypto, host.rng, ContentType::ApplicationData, buffer, len)
            }
            _ => Err(SealError::NotEstablished),
        }
    }

    /// Says `close_notify`, or gives a running handshake up; nothing can be sealed afterwards.
    pub fn close(&mut self, _host: &mut Host<'_>) {
        if self.is_over() {
            return;
        }
        let is_established = self.session.is_some();
        let aside = self.aside_mut();
        aside.is_over = true;
        if is_established {
            aside.notice = Some(Alert::CLOSE_NOTIFY);
            aside.handshake = None;
        } else if let Some(handshake) = self.handshake_mut() {
            handshake.common.cancel();
        }
    }

    /// How far the keys are used up. Once they are worn, a client should make a new association, and a server should end this one,
    /// when nothing is under way.
    #[must_use]
    pub fn wear(&self, config: &Config) -> Wear {
        self.session.as_ref().map_or(Wear::Fresh, |session| session.wear(config.records_max))
    }

    /// How many records of the peer, or of somebody in its name, were not authentic.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.session.as_ref().map_or(0, Session::failures)
    }

    /// The established association as bytes for a planned hand-over; `None` before it is established and after its end. These
    /// bytes hold keys. The association is over with this: a record number must never be used twice.
    #[must_use]
    pub fn freeze(self) -> Option<Vec<u8>> {
        let is_over = self.is_over();
        self.session.filter(|_| !is_over).map(Session::freeze)
    }

    /// An association out of the bytes of [`Association::freeze`]; `None` if they are not such bytes.
    #[must_use]
    pub fn thaw(frozen: &[u8]) -> Option<Self> {
        let session = Session::thaw(frozen)?;
        Some(Self { session: Some(session), aside: None })
    }

    /// Takes out of the handshake what has become of it.
    fn settle(&mut self) {
        let Some(handshake) = self.aside.as_mut().and_then(|aside| aside.handshake.as_deref_mut()) else {
            return;
        };
        let common = &mut handshake.common;
        let events = core::mem::take(&mut common.events);
        if common.is_done && self.session.is_none() {
            self.session = common.session.take();
            // Who has nothing to send again has nothing to keep.
            if common.is_answered() {
                self.drop_handshake();
            }
        } else if common.is_over {
            self.aside_mut().is_over = true;
        }
        for event in events {
            self.push(event);
        }
    }

    fn handshake(&self) -> Option<&Handshake> {
        self.aside.as_ref().and_then(|aside| aside.handshake.as_deref())
    }

    fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        self.aside.as_mut().and_then(|aside| aside.handshake.as_deref_mut())
    }

    fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    fn is_over(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.is_over)
    }

    fn drop_handshake(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.handshake = None;
            self.tidy();
        }
    }

    fn push(&mut self, event: Event) {
        self.aside_mut().events.push(event);
    }

    /// Keeps nothing aside when nothing is under way.
    fn tidy(&mut self) {
        self.aside.take_if(|aside| {
            aside.rrc.take_if(|rrc| rrc.is_idle());
            if aside.events.is_empty() {
                aside.events = Vec::new();
            }
            aside.is_idle()
        });
    }

    /// Length of the connection IDs in records to us.
    fn own_cid_len(&self) -> usize {
        match (&self.session, self.handshake()) {
            (Some(session), _) => session.own_cid().len(),
            (None, Some(handshake)) => handshake.common.own_cid.bytes().len(),
            (None, None) => 0,
        }
    }
}
