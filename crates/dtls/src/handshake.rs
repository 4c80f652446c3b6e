//! A handshake that runs: what comes is put in order and handed to the role's machine. All of it is dropped when it is done.

mod common;
mod presented;
mod terms;
mod transcript;

pub(crate) use self::common::Common;
pub(crate) use self::presented::present;
pub(crate) use self::terms::{Abort, Terms, read_size_limit};
pub(crate) use self::transcript::Transcript;
#[cfg(feature = "server")]
use crate::Cid;
use crate::client::Client;
use crate::message::{Fragment, Kind, Message};
use crate::protection::Role;
use crate::reassembly::Took;
use crate::record::{self, ContentType, Header};
#[cfg(feature = "server")]
use crate::server::Server;
use crate::{Alert, Answer, DropReason, Failure, Fault, Host, alert};

/// How many records that could be the peer's Finished may fail before the handshake does.
const BAD_FINISHED_MAX: u8 = 2;

/// A handshake that is running, or whose last flight may have to be sent again.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) common: Common,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Client(Client),
    #[cfg(feature = "server")]
    Server(Server),
}

impl Handshake {
    pub(crate) fn client(host: &mut Host<'_>, connect: crate::Connect) -> Self {
        let mut common = Common::new(host, Role::Client, connect.own_cid);
        let client = Client::begin(&mut common, host, connect);
        Self { common, side: Side::Client(client) }
    }

    #[cfg(feature = "server")]
    pub(crate) fn server(host: &mut Host<'_>, own_cid: Cid, session_id: &[u8], record_sequence: u64) -> Self {
        let mut common = Common::new(host, Role::Server, own_cid);
        common.plain_sequence = record_sequence;
        Self { common, side: Side::Server(Server::new(session_id)) }
    }

    /// Takes the first fragment of the ClientHello that brought the cookie.
    #[cfg(feature = "server")]
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

    /// Bytes that it takes, all in all but for a few.
    pub(crate) fn kept_len(&self) -> usize {
        size_of::<Self>() + self.common.kept_len()
    }

    /// Takes the host's answer.
    pub(crate) fn answer(&mut self, host: &mut Host<'_>, answer: Answer) {
        if !core::mem::take(&mut self.common.is_asking) || self.common.is_over {
            return;
        }
        let result = match &mut self.side {
            Side::Client(_) => Client::answer(&mut self.common, answer),
            #[cfg(feature = "server")]
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
            let client = match &mut self.side {
                Side::Client(client) => client,
                #[cfg(feature = "server")]
                Side::Server(_) => return false,
            };
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
                    #[cfg(feature = "server")]
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
        let (level, alert) = alert::parse(content).ok_or(DropReason::Alert)?;
        // What no server of today has a reason to say leads a client nowhere (TS_Transport 5.2.8).
        let odd = matches!(alert.0, 30 | 41 | 60 | 110);
        if odd && matches!(self.side, Side::Client(_)) {
            return Err(DropReason::Alert);
        }
        if level == alert::Level::Fatal || alert == Alert::CLOSE_NOTIFY {
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
