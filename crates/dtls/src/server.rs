//! The server's part of a handshake, in the order of the protocol. It begins behind the cookie.
//!
//! ```text
//! ClientHello ─┬─ new ──────► ServerHello [Certificate] [ServerKeyExchange] [CertificateRequest] ServerHelloDone
//!              │                ──► [Certificate] ClientKeyExchange [CertificateVerify] Finished
//!              │                ──► [NewSessionTicket] Finished ──► done
//!              └─ resumed ──► ServerHello [NewSessionTicket] Finished ──► Finished ──► done
//! ```
//!
//! The host is asked for a session by its ID, whether to resume one, for the key of a PSK identity, and about certificates.

mod offer;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use lightship_platform::crypto::{Agreement, Secret};

use self::offer::{Choice, Offer};
use crate::handshake::{Abort, Common, Terms, present};
use crate::message::{ClientHello, ClientKeyExchange, Extension, Kind, Message, Signed, exchange, write};
use crate::record::VERSION;
use crate::schedule::{self, MasterSecret};
use crate::{
    Alert, Answer, CertificateType, Cid, Fault, Host, KeyExchange, OwnKey, Presented, Resumption, ticket,
};

/// Where a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Waits for the rest of ClientHello.
    Hello,
    /// The host looks a session up by its ID.
    SessionAsked,
    /// The host judges whether a session may be resumed.
    ResumeAsked,
    /// Waits for Certificate.
    Certificate,
    /// The host judges a key or certificates.
    CertificateAsked,
    /// Waits for ClientKeyExchange.
    KeyExchange,
    /// The host looks a PSK identity up.
    IdentityAsked,
    /// Waits for CertificateVerify.
    Verify,
    /// Waits for the client's Finished.
    Finished,
    /// Nothing more to come.
    Done,
}

/// What only a server keeps.
pub(crate) struct Server {
    step: Step,
    /// The ID that a new session gets.
    new_session_id: Box<[u8]>,
    offer: Option<Box<Offer>>,
    resume: Option<Resumption>,
    agreement: Option<Box<dyn Agreement>>,
    /// The agreed secret, while the host looks for the other half of the premaster secret.
    agreed: Option<Secret>,
}

impl Server {
    pub(crate) fn new(session_id: &[u8]) -> Self {
        Self {
            step: Step::Hello,
            new_session_id: session_id.get(..session_id.len().min(32)).unwrap_or_default().into(),
            offer: None,
            resume: None,
            agreement: None,
            agreed: None,
        }
    }

    pub(crate) fn handle(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: Message<'_>,
    ) -> Result<(), Abort> {
        match (self.step, message.kind) {
            (Step::Hello, Kind::ClientHello) => self.on_hello(common, host, &message),
            (Step::Certificate, Kind::Certificate) => self.on_certificate(common, &message),
            (Step::KeyExchange, Kind::ClientKeyExchange) => self.on_key_exchange(common, host, &message),
            (Step::Verify, Kind::CertificateVerify) => self.on_verify(common, host, &message),
            (Step::Finished, Kind::Finished) => self.on_finished(common, host, &message),
            _ => Err(Abort::UNEXPECTED),
        }
    }

    fn on_hello(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        let hello = ClientHello::read(message.body()).ok_or(Abort::DECODE)?;
        let offer = Offer::read(host, &hello)?;
        common.client_random = *hello.start.random;
        common.server_name = hello.extensions.server_name().ok_or(Abort::DECODE)?.map(Into::into);
        if offer.full.is_ok_and(|choice| choice.client_type.is_some()) {
            common.transcript.keep();
        }
        common.transcript.add(message.raw);
        let ticket = hello.extensions.body(Extension::SessionTicket).unwrap_or_default();
        let opened = match &host.config.ticket_keys {
            Some(keys) if !ticket.is_empty() => {
                ticket::open(keys, host.crypto, host.now, ticket, common.server_name.as_deref())
            }
            _ => None,
        };
        self.offer = Some(Box::new(offer));
        let session_id = hello.start.session_id;
        match opened {
            Some(resume) => {
                common.session_id = session_id.into();
                self.propose(common, host, resume)
            }
            None if ticket.is_empty() && !session_id.is_empty() => {
                common.session_id = session_id.into();
                self.step = Step::SessionAsked;
                common.ask(Presented::SessionId(session_id.into()));
                Ok(())
            }
            None => self.begin(common, host),
        }
    }

    pub(crate) fn answer(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        answer: Answer,
    ) -> Result<(), Abort> {
        match (self.step, answer) {
            (Step::SessionAsked, Answer::Resume(Some(resume))) => self.propose(common, host, resume),
            (Step::ResumeAsked, Answer::Accept { note }) => {
                common.note = note;
                self.resume(common, host)
            }
            // Without a session to resume a new one is made.
            (Step::SessionAsked | Step::ResumeAsked, _) => self.begin(common, host),
            (Step::IdentityAsked, Answer::Psk { key, note }) => {
                common.note = note;
                self.on_key(common, host, &key)
            }
            (Step::CertificateAsked, Answer::Accept { note }) => {
                common.note = note;
                self.step = Step::KeyExchange;
                Ok(())
            }
            (_, Answer::Refuse(alert)) => Err(Abort(alert, Fault::Refused)),
            _ => Err(Abort::INTERNAL),
        }
    }

    /// Asks whether a session that was found may be resumed, if it can be (RFC 7627 §5.3).
    fn propose(&mut self, common: &mut Common, host: &mut Host<'_>, resume: Resumption) -> Result<(), Abort> {
        let offer = self.offer.as_ref().ok_or(Abort::INTERNAL)?;
        let extended = offer.terms.extended_master_secret;
        if resume.extended_master_secret && !extended {
            return Err(Abort::NO_EXTENDED_MASTER_SECRET);
        }
        let is_fit = offer.has_suite(resume.suite)
            && extended == resume.extended_master_secret
            && resume.master_secret.bytes().len() == MasterSecret::LEN;
        if !is_fit {
            return self.begin(common, host);
        }
        self.step = Step::ResumeAsked;
        common.ask(Presented::Resumed(resume.note.clone()));
        self.resume = Some(resume);
        Ok(())
    }

    /// Goes on with an earlier session (RFC 5246 §7.3).
    fn resume(&mut self, common: &mut Common, host: &mut Host<'_>) -> Result<(), Abort> {
        let resume = self.resume.take().ok_or(Abort::INTERNAL)?;
        let offer = self.offer.take().ok_or(Abort::INTERNAL)?;
        common.is_resumed = true;
        common.master = MasterSecret::new(resume.master_secret.bytes());
        common.transcript.forget();
        common.terms = offer.terms(resume.suite, common.own_cid);
        common.terms.ticket = false;
        write_hello(common, host, &offer, None);
        common.make_keys(host.crypto)?;
        common.write_finished(host.crypto)?;
        common.launch(host);
        self.step = Step::Finished;
        Ok(())
    }

    /// Begins a new session.
    fn begin(&mut self, common: &mut Common, host: &mut Host<'_>) -> Result<(), Abort> {
        self.resume = None;
        let offer = self.offer.take().ok_or(Abort::INTERNAL)?;
        let choice = offer.full?;
        common.terms = offer.terms(choice.suite, common.own_cid);
        common.terms.client_type = choice.client_type.unwrap_or(CertificateType::X509);
        common.terms.server_type = choice.server_type;
        // Who gets a ticket needs no ID (RFC 5077 §3.4).
        let new_id = if common.terms.ticket { Box::default() } else { self.new_session_id.clone() };
        common.session_id = new_id;
        write_hello(common, host, &offer, Some(&choice));
        let own_key = choice.key.and_then(|index| host.config.keys.get(index));
        if let Some(own_key) = own_key {
            write_certificate(common, own_key, choice.server_type);
        }
        if let Some(group) = choice.group {
            let agreement = host.crypto.agreement(group, host.rng).map_err(|_| Abort::INTERNAL)?;
            write_key_exchange(common, host, &choice, own_key, agreement.share())?;
            self.agreement = Some(agreement);
        }
        if choice.client_type.is_some() {
            common.write(Kind::CertificateRequest, |out| {
                write::part8(out, &[exchange::ECDSA_SIGN]);
                write::part16(out, &exchange::ECDSA_SHA256.to_be_bytes());
                write::part16(out, &[]);
            });
        }
        common.write(Kind::ServerHelloDone, |_| ());
        common.launch(host);
        self.step = if choice.client_type.is_some() { Step::Certificate } else { Step::KeyExchange };
        Ok(())
    }

    fn on_certificate(&mut self, common: &mut Common, message: &Message<'_>) -> Result<(), Abort> {
        let presented = present(common, common.terms.client_type, message.body())?;
        // A client without a certificate sends an empty one (RFC 5246 §7.4.6).
        let presented = presented.ok_or(Abort(Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon))?;
        common.transcript.add(message.raw);
        self.step = Step::CertificateAsked;
        common.ask(presented);
        Ok(())
    }

    fn on_key_exchange(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        let key_exchange = common.terms.suite.key_exchange();
        let exchange = ClientKeyExchange::read(
            message.body(),
            key_exchange != KeyExchange::EcdheEcdsa,
            key_exchange != KeyExchange::Psk,
        );
        let exchange = exchange.ok_or(Abort::DECODE)?;
        common.transcript.add(message.raw);
        if let Some(agreement) = self.agreement.take() {
            let agreed = agreement.agree(exchange.share);
            self.agreed = Some(agreed.map_err(|_| Abort(Alert::ILLEGAL_PARAMETER, Fault::BadKeyShare))?);
        }
        if key_exchange == KeyExchange::EcdheEcdsa {
            let premaster = self.agreed.take().ok_or(Abort::INTERNAL)?;
            common.make_master(host.crypto, &premaster);
            if common.peer_key.is_empty() {
                common.make_keys(host.crypto)?;
                self.step = Step::Finished;
            } else {
                self.step = Step::Verify;
            }
            return Ok(());
        }
        if exchange.identity.is_empty() {
            return Err(Abort(Alert::UNKNOWN_PSK_IDENTITY, Fault::Refused));
        }
        self.step = Step::IdentityAsked;
        common.ask(Presented::PskIdentity(exchange.identity.into()));
        Ok(())
    }

    /// Goes on with the key that belongs to the identity.
    fn on_key(&mut self, common: &mut Common, host: &mut Host<'_>, key: &Secret) -> Result<(), Abort> {
        if key.bytes().is_empty() {
            return Err(Abort(Alert::UNKNOWN_PSK_IDENTITY, Fault::Refused));
        }
        let premaster = match self.agreed.take() {
            Some(agreed) => schedule::premaster_ecdhe_psk(&agreed, key.bytes()),
            None => schedule::premaster_psk(key.bytes()),
        };
        common.make_master(host.crypto, &premaster);
        common.make_keys(host.crypto)?;
        self.step = Step::Finished;
        Ok(())
    }

    /// The client proves that the key it presented is its own (RFC 5246 §7.4.8).
    fn on_verify(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        let signed = Signed::read(message.body()).ok_or(Abort::DECODE)?;
        if signed.algorithm != exchange::ECDSA_SHA256 {
            return Err(Abort::ILLEGAL);
        }
        host.crypto
            .verify_ecdsa(&common.peer_key, common.transcript.messages(), signed.signature)
            .map_err(|_| Abort(Alert::DECRYPT_ERROR, Fault::BadSignature))?;
        common.transcript.forget();
        common.transcript.add(message.raw);
        common.make_keys(host.crypto)?;
        self.step = Step::Finished;
        Ok(())
    }

    fn on_finished(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        common.check_finished(host.crypto, message)?;
        self.step = Step::Done;
        if common.is_resumed {
            common.complete(host, None);
            return Ok(());
        }
        let resumption = common.resumption(Box::default()).ok_or(Abort::INTERNAL)?;
        common.flight.clear();
        if let Some(keys) = host.config.ticket_keys.as_deref().filter(|_| common.terms.ticket) {
            let (own_cid, name) = (&common.own_cid, common.server_name.as_deref());
            let ticket = ticket::seal(keys, host, own_cid, &resumption, name);
            let ticket = ticket.ok_or(Abort::INTERNAL)?;
            let lifetime_s = u32::try_from(keys.lifetime.as_secs()).unwrap_or(u32::MAX);
            common.write(Kind::NewSessionTicket, |out| {
                out.extend_from_slice(&lifetime_s.to_be_bytes());
                write::part16(out, &ticket);
            });
        }
        common.write_finished(host.crypto)?;
        common.launch(host);
        let resumable = (!common.session_id.is_empty()).then_some(resumption);
        common.complete(host, resumable);
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("step", &self.step).finish_non_exhaustive()
    }
}

/// Writes ServerHello; `choice` is there for a new session.
fn write_hello(common: &mut Common, host: &mut Host<'_>, offer: &Offer, choice: Option<&Choice>) {
    host.rng.fill(&mut common.server_random);
    common.flight.clear();
    let random = common.server_random;
    let session_id = common.session_id.clone();
    let terms = common.terms.clone();
    common.write(Kind::ServerHello, |out| {
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&random);
        write::part8(out, &session_id);
        write::u16(out, terms.suite.number());
        out.push(0);
        let at = out.len();
        write::nested16(out, |out| write_extensions(out, offer, &terms, choice));
        if out.len() == at + 2 {
            out.truncate(at);
        }
    });
}

fn write_extensions(out: &mut Vec<u8>, offer: &Offer, terms: &Terms, choice: Option<&Choice>) {
    if terms.extended_master_secret {
        write::extension(out, Extension::ExtendedMasterSecret, |_| ());
    }
    if offer.renegotiation_info {
        write::extension(out, Extension::RenegotiationInfo, |out| out.push(0));
    }
    if let Some(choice) = choice {
        write_choice_extensions(out, offer, terms, choice);
    }
    if terms.encrypt_then_mac {
        write::extension(out, Extension::EncryptThenMac, |_| ());
    }
    if let Some((own_cid, _)) = &terms.cids {
        write::extension(out, Extension::ConnectionId, |out| write::part8(out, own_cid.bytes()));
    }
    if terms.return_routability {
        write::extension(out, Extension::ReturnRoutability, |_| ());
    }
    if let Some(limit) = offer.own_limit {
        write::extension(out, Extension::RecordSizeLimit, |out| write::u16(out, limit));
    } else if let Some(code) = offer.fragment_code {
        write::extension(out, Extension::MaxFragmentLength, |out| out.push(code));
    }
    if terms.ticket {
        write::extension(out, Extension::SessionTicket, |_| ());
    }
}

/// Those that only a new session has.
fn write_choice_extensions(out: &mut Vec<u8>, offer: &Offer, terms: &Terms, choice: &Choice) {
    if choice.is_named {
        write::extension(out, Extension::ServerName, |_| ());
    }
    if offer.names_client_type && choice.client_type.is_some() {
        write::extension(out, Extension::ClientCertificateType, |out| out.push(terms.client_type as u8));
    }
    if offer.names_server_type && choice.key.is_some() {
        write::extension(out, Extension::ServerCertificateType, |out| out.push(terms.server_type as u8));
    }
    if offer.point_formats && choice.group.is_some() {
        write::extension(out, Extension::PointFormats, |out| write::part8(out, &[0]));
    }
}

fn write_certificate(common: &mut Common, own_key: &OwnKey, certificate_type: CertificateType) {
    common.write(Kind::Certificate, |out| match certificate_type {
        CertificateType::RawPublicKey => write::part24(out, own_key.key.public_key()),
        CertificateType::X509 => write::nested24(out, |out| {
            own_key.chain.iter().for_each(|certificate| write::part24(out, certificate));
        }),
    });
}

/// Writes ServerKeyExchange: with a signature if there is a key, else behind an empty hint.
fn write_key_exchange(
    common: &mut Common,
    host: &mut Host<'_>,
    choice: &Choice,
    own_key: Option<&OwnKey>,
    share: &[u8],
) -> Result<(), Abort> {
    let group = choice.group.ok_or(Abort::INTERNAL)?;
    let mut parameters = Vec::with_capacity(4 + share.len());
    parameters.push(exchange::NAMED_CURVE);
    write::u16(&mut parameters, group as u16);
    write::part8(&mut parameters, share);
    let signature = match own_key {
        None => None,
        Some(own_key) => {
            let mut signed = Vec::with_capacity(64 + parameters.len());
            signed.extend_from_slice(&common.client_random);
            signed.extend_from_slice(&common.server_random);
            signed.extend_from_slice(&parameters);
            let signature = own_key.key.sign(host.rng, &signed);
            Some(signature.map_err(|_| Abort(Alert::INTERNAL_ERROR, Fault::BadSignature))?)
        }
    };
    common.write(Kind::ServerKeyExchange, |out| {
        if signature.is_none() {
            write::part16(out, &[]);
        }
        out.extend_from_slice(&parameters);
        if let Some(signature) = &signature {
            write::u16(out, exchange::ECDSA_SHA256);
            write::part16(out, signature);
        }
    });
    Ok(())
}

/// What is agreed about connection IDs: ours if the client knows them, and the client's.
fn agreed_cids(own_cid: Cid, peer_cid: Option<Cid>) -> Option<(Cid, Cid)> {
    peer_cid.map(|peer_cid| (own_cid, peer_cid))
}
