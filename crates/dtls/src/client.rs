//! The client's part of a handshake, in the order of the protocol.
//!
//! ```text
//! ClientHello ──► [HelloVerifyRequest ──► ClientHello with cookie]
//!   ──► ServerHello ─┬─ new ──────► [Certificate] [ServerKeyExchange] [CertificateRequest] ServerHelloDone
//!                    │                ──► [Certificate] ClientKeyExchange [CertificateVerify] Finished
//!                    │                ──► [NewSessionTicket] Finished ──► done
//!                    └─ resumed ──► [NewSessionTicket] Finished ──► Finished ──► done
//! ```

mod hello;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use lightship_platform::crypto::{Group, Secret, SigningKey};

use crate::handshake::{Abort, Common, Terms, present};
use crate::message::{
    CertificateRequest, Extension, Fragment, HelloVerifyRequest, Kind, Message, NewSessionTicket,
    ServerHello, ServerKeyExchange, Signed, exchange, write,
};
use crate::record::VERSION;
use crate::schedule::{self, MasterSecret};
use crate::{
    Alert, Answer, CertificateType, Connect, Credential, Fault, Host, KeyExchange, Resumption, Suite,
};

/// How many cookies a client returns before it gives up.
const COOKIES_MAX: u8 = 4;

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Waits for ServerHello or HelloVerifyRequest.
    Hello,
    /// Waits for Certificate.
    Certificate,
    /// Waits for ServerKeyExchange, or in plain PSK for what follows it.
    KeyExchange,
    /// Waits for CertificateRequest or ServerHelloDone.
    Request,
    /// Waits for ServerHelloDone.
    HelloDone,
    /// Waits for the server's Finished, a ticket perhaps before it.
    Finished,
    /// Nothing more to come.
    Done,
}

/// What only a client keeps.
pub(crate) struct Client {
    step: Step,
    credential: Credential,
    resume: Option<Resumption>,
    cookie: Box<[u8]>,
    cookies: u8,
    /// The extensions that were offered.
    offered: Vec<Extension>,
    /// The server's share.
    share: Option<(Group, Box<[u8]>)>,
    /// Whether the server wants our certificate.
    is_requested: bool,
    ticket: Box<[u8]>,
}

impl Client {
    pub(crate) fn begin(common: &mut Common, host: &mut Host<'_>, connect: Connect) -> Self {
        host.rng.fill(&mut common.client_random);
        common.server_name = connect.server_name;
        let mut client = Self {
            step: Step::Hello,
            credential: connect.credential,
            resume: connect.resume,
            cookie: Box::default(),
            cookies: 0,
            offered: Vec::new(),
            share: None,
            is_requested: false,
            ticket: Box::default(),
        };
        let suites = client.suites(host);
        client.resume = client.resume.take().filter(|resume| {
            suites.contains(&resume.suite) && resume.master_secret.bytes().len() == MasterSecret::LEN
        });
        if let Some(resume) = &client.resume {
            common.session_id = resume.session_id.clone();
            if common.session_id.is_empty() && !resume.ticket.is_empty() {
                // By echoing it the server says that it took the ticket (RFC 5077 §3.4).
                let mut id = [0; 16];
                host.rng.fill(&mut id);
                common.session_id = id.into();
            }
        }
        client.send_hello(common, host);
        client
    }

    /// Returns a cookie. Such a request is recognised whatever its number, since its sender does not count.
    pub(crate) fn handle_verify(
        &mut self,
        common: &mut Common,
        host: &Host<'_>,
        fragment: &Fragment<'_>,
    ) -> Result<(), Abort> {
        let request = HelloVerifyRequest::read(fragment.body).ok_or(Abort::DECODE)?;
        if self.step != Step::Hello || *request.cookie == *self.cookie {
            return Ok(());
        }
        self.cookies += 1;
        if self.cookies > COOKIES_MAX {
            return Err(Abort::UNEXPECTED);
        }
        self.cookie = request.cookie.into();
        common.inbound.expect(fragment.sequence.wrapping_add(1));
        self.send_hello(common, host);
        Ok(())
    }

    pub(crate) fn handle(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: Message<'_>,
    ) -> Result<(), Abort> {
        match (self.step, message.kind) {
            (Step::Hello, Kind::ServerHello) => self.on_server_hello(common, host, &message),
            (Step::Certificate, Kind::Certificate) => self.on_certificate(common, &message),
            (Step::KeyExchange, Kind::ServerKeyExchange) => self.on_key_exchange(common, host, &message),
            (Step::Request, Kind::CertificateRequest) => self.on_request(common, &message),
            (Step::Request | Step::HelloDone, Kind::ServerHelloDone) => {
                self.on_hello_done(common, host, &message)
            }
            (Step::KeyExchange, Kind::ServerHelloDone)
                if common.terms.suite.key_exchange() == KeyExchange::Psk =>
            {
                self.on_hello_done(common, host, &message)
            }
            (Step::Finished, Kind::NewSessionTicket) if common.terms.ticket => {
                let ticket = NewSessionTicket::read(message.body()).ok_or(Abort::DECODE)?;
                self.ticket = ticket.ticket.into();
                common.transcript.add(message.raw);
                Ok(())
            }
            (Step::Finished, Kind::Finished) => self.on_finished(common, host, &message),
            _ => Err(Abort::UNEXPECTED),
        }
    }

    fn on_server_hello(
        &mut self,
        common: &mut Common,
        host: &Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        let hello = ServerHello::read(message.body()).ok_or(Abort::DECODE)?;
        if hello.version != VERSION {
            return Err(Abort::OLD_VERSION);
        }
        let suite = Suite::from_number(hello.suite).filter(|suite| self.suites(host).contains(suite));
        let suite = suite.ok_or(Abort::ILLEGAL)?;
        if hello.compression != 0 {
            return Err(Abort::ILLEGAL);
        }
        common.terms = self.agree(host.config, common, suite, &hello)?;
        common.server_random = *hello.random;
        let is_resumed = !common.session_id.is_empty() && *hello.session_id == *common.session_id;
        let key_exchange = suite.key_exchange();
        if key_exchange == KeyExchange::EcdheEcdsa && !is_resumed {
            common.transcript.keep();
        }
        common.transcript.add(common.flight.messages());
        common.transcript.add(message.raw);
        match self.resume.take().filter(|_| is_resumed) {
            Some(resume) => {
                check_resumed(&resume, &common.terms)?;
                common.is_resumed = true;
                common.note = resume.note.clone();
                self.ticket = resume.ticket.clone();
                common.master = MasterSecret::new(resume.master_secret.bytes());
                common.make_keys(host.crypto)?;
                self.step = Step::Finished;
            }
            None => {
                common.session_id = hello.session_id.into();
                self.step = if key_exchange == KeyExchange::EcdheEcdsa {
                    Step::Certificate
                } else {
                    Step::KeyExchange
                };
            }
        }
        Ok(())
    }

    fn on_certificate(&mut self, common: &mut Common, message: &Message<'_>) -> Result<(), Abort> {
        let is_raw = matches!(self.credential, Credential::RawPublicKey { .. });
        let wanted = if is_raw { CertificateType::RawPublicKey } else { CertificateType::X509 };
        if common.terms.server_type != wanted {
            return Err(Abort(Alert::UNSUPPORTED_CERTIFICATE, Fault::NothingInCommon));
        }
        let presented = present(common, wanted, message.body())?
            .ok_or(Abort(Alert::BAD_CERTIFICATE, Fault::BadMessage))?;
        common.transcript.add(message.raw);
        self.step = Step::KeyExchange;
        common.ask(presented);
        Ok(())
    }

    /// Takes what the host says about the server's key or certificates.
    pub(crate) fn answer(common: &mut Common, answer: Answer) -> Result<(), Abort> {
        match answer {
            Answer::Accept { note } => {
                common.note = note;
                Ok(())
            }
            Answer::Refuse(alert) => Err(Abort(alert, Fault::Refused)),
            Answer::Psk { .. } | Answer::Resume(_) => Err(Abort::INTERNAL),
        }
    }

    fn on_key_exchange(
        &mut self,
        common: &mut Common,
        host: &Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        let body = message.body();
        let key_exchange = common.terms.suite.key_exchange();
        let read = match key_exchange {
            KeyExchange::Psk => ServerKeyExchange::read_psk(body),
            KeyExchange::EcdhePsk => ServerKeyExchange::read_ecdhe_psk(body),
            KeyExchange::EcdheEcdsa => ServerKeyExchange::read_ecdhe_ecdsa(body),
        };
        let exchange = read.ok_or(Abort::DECODE)?;
        if let Some((group, share)) = exchange.share {
            let known = |known: &&Group| **known as u16 == group && host.crypto.has_group(**known);
            let group = host.config.groups.iter().find(known).ok_or(Abort::ILLEGAL)?;
            self.share = Some((*group, share.into()));
        }
        if let Some(Signed { algorithm, signature }) = exchange.signed {
            if algorithm != exchange::ECDSA_SHA256 {
                return Err(Abort::ILLEGAL);
            }
            let mut signed = Vec::with_capacity(64 + exchange.parameters.len());
            signed.extend_from_slice(&common.client_random);
            signed.extend_from_slice(&common.server_random);
            signed.extend_from_slice(exchange.parameters);
            host.crypto
                .verify_ecdsa(&common.peer_key, &signed, signature)
                .map_err(|_| Abort(Alert::DECRYPT_ERROR, Fault::BadSignature))?;
        }
        common.transcript.add(message.raw);
        self.step = if key_exchange == KeyExchange::EcdheEcdsa { Step::Request } else { Step::HelloDone };
        Ok(())
    }

    fn on_request(&mut self, common: &mut Common, message: &Message<'_>) -> Result<(), Abort> {
        let request = CertificateRequest::read(message.body()).ok_or(Abort::DECODE)?;
        let is_raw = matches!(self.credential, Credential::RawPublicKey { .. });
        let takes_raw = common.terms.client_type == CertificateType::RawPublicKey;
        if !request.takes_ecdsa() || is_raw != takes_raw {
            return Err(Abort::NOTHING_IN_COMMON);
        }
        self.is_requested = true;
        common.transcript.add(message.raw);
        self.step = Step::HelloDone;
        Ok(())
    }

    fn on_hello_done(
        &mut self,
        common: &mut Common,
        host: &mut Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        if !message.body().is_empty() {
            return Err(Abort::DECODE);
        }
        common.transcript.add(message.raw);
        common.flight.clear();
        let key = self.signing_key().filter(|_| self.is_requested);
        if let Some(key) = &key {
            self.write_certificate(common, &**key);
        }
        let agreed = match self.share.take() {
            None => None,
            Some((group, share)) => {
                let agreement = host.crypto.agreement(group, host.rng).map_err(|_| Abort::INTERNAL)?;
                let own: Box<[u8]> = agreement.share().into();
                let secret = agreement
                    .agree(&share)
                    .map_err(|_| Abort(Alert::ILLEGAL_PARAMETER, Fault::BadKeyShare))?;
                Some((own, secret))
            }
        };
        let own_share = agreed.as_ref().map(|(own, _)| &**own);
        let premaster =
            self.write_key_exchange(common, own_share, agreed.as_ref().map(|(_, secret)| secret))?;
        common.make_master(host.crypto, &premaster);
        if let Some(key) = key {
            let signature = key
                .sign(host.rng, common.transcript.messages())
                .map_err(|_| Abort(Alert::INTERNAL_ERROR, Fault::BadSignature))?;
            common.write(Kind::CertificateVerify, |out| {
                write::u16(out, exchange::ECDSA_SHA256);
                write::part16(out, &signature);
            });
        }
        common.transcript.forget();
        common.make_keys(host.crypto)?;
        common.write_finished(host.crypto)?;
        common.launch(host);
        self.step = Step::Finished;
        Ok(())
    }

    fn signing_key(&self) -> Option<alloc::sync::Arc<dyn SigningKey>> {
        match &self.credential {
            Credential::Psk { .. } => None,
            Credential::RawPublicKey { key } | Credential::Certificates { key, .. } => Some(key.clone()),
        }
    }

    fn write_certificate(&self, common: &mut Common, key: &dyn SigningKey) {
        common.write(Kind::Certificate, |out| match &self.credential {
            Credential::Certificates { chain, .. } => write::nested24(out, |out| {
                chain.iter().for_each(|certificate| write::part24(out, certificate));
            }),
            Credential::Psk { .. } | Credential::RawPublicKey { .. } => {
                write::part24(out, key.public_key());
            }
        });
    }

    /// Writes ClientKeyExchange and returns the premaster secret.
    fn write_key_exchange(
        &self,
        common: &mut Common,
        share: Option<&[u8]>,
        agreed: Option<&Secret>,
    ) -> Result<Secret, Abort> {
        common.write(Kind::ClientKeyExchange, |out| {
            if let Credential::Psk { identity, .. } = &self.credential {
                write::part16(out, identity);
            }
            if let Some(share) = share {
                write::part8(out, share);
            }
        });
        match (&self.credential, agreed, common.terms.suite.key_exchange()) {
            (Credential::Psk { key, .. }, None, KeyExchange::Psk) => Ok(schedule::premaster_psk(key.bytes())),
            (Credential::Psk { key, .. }, Some(agreed), KeyExchange::EcdhePsk) => {
                Ok(schedule::premaster_ecdhe_psk(agreed, key.bytes()))
            }
            (_, Some(agreed), KeyExchange::EcdheEcdsa) => Ok(agreed.clone()),
            _ => Err(Abort::INTERNAL),
        }
    }

    fn on_finished(
        &mut self,
        common: &mut Common,
        host: &Host<'_>,
        message: &Message<'_>,
    ) -> Result<(), Abort> {
        common.check_finished(host.crypto, message)?;
        self.step = Step::Done;
        if common.is_resumed {
            common.flight.clear();
            common.write_finished(host.crypto)?;
            common.launch(host);
        }
        let ticket = core::mem::take(&mut self.ticket);
        let resumable =
            if ticket.is_empty() && common.session_id.is_empty() { None } else { common.resumption(ticket) };
        common.complete(host, resumable);
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("step", &self.step).finish_non_exhaustive()
    }
}

/// A resumed session goes on under the terms that it began with (RFC 5246 §7.4.1.3, RFC 7627 §5.3).
fn check_resumed(resume: &Resumption, terms: &Terms) -> Result<(), Abort> {
    if resume.suite != terms.suite {
        return Err(Abort::ILLEGAL);
    }
    if resume.extended_master_secret != terms.extended_master_secret {
        return Err(Abort::NO_EXTENDED_MASTER_SECRET);
    }
    Ok(())
}
