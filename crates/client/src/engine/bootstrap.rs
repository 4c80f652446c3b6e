//! The client's side of a bootstrap: asking for it, taking commands, and the new accounts at the end (TS_Core 6.1).
//!
//! ```text
//!          bootstrap()          hold-off          2.04, or a command           Finish, consistent
//!   Idle ────────────► Waiting ─────────► Asking ───────────────────► Open ─────────────────────► Idle, new accounts
//!                         ▲                  │                         │
//!                         └──────────────────┴─────────────────────────┘
//!                            refused, silence: everything as it was
//! ```
//!
//! From the first command to Finish all changes are one transaction: accounts in a copy, the other objects by
//! [`Objects::bootstrap_begins`] and [`Objects::bootstrap_ends`].

mod commands;

use alloc::boxed::Box;
use alloc::vec::Vec;

use lightship_lwm2m::bootstrap::consistency::Inconsistent;
use lightship_lwm2m::bootstrap::{self as interface, Command, PackRequest, PreferredFormat};
use lightship_lwm2m::format::Format;
use lightship_lwm2m::{ObjectId, ShortServerId};

use super::*;
use crate::access;
use crate::event::Unusable;
use crate::staged::Staged;

/// The first pause after a bootstrap that failed; it doubles up to a day.
const RETRY_FIRST: Duration = Duration::from_secs(60);
const RETRY_DOUBLINGS: u32 = 10;
const RETRY_MAX: Duration = Duration::from_secs(86_400);

/// Where a bootstrap stands.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    stage: Stage,
    staged: Option<Box<Staged>>,
    failures: u32,
    /// What was asked for is a pack.
    asked_pack: bool,
    /// There is no pack to be had for this attempt.
    no_pack: bool,
    /// Until then a Finish can be the repetition of the one that ended the last session.
    finished_until: Option<Instant>,
    /// When the Bootstrap-Server's account is to be forgotten (`/0/x/12`).
    purge_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Idle,
    /// The request goes out then.
    Waiting(Instant),
    /// The request goes out once there is a secure session.
    Connecting,
    /// Asked, or commanded; without a command it fails then.
    Open(Instant),
}

impl Bootstrap {
    /// Whether a session is under way.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Idle | Stage::Connecting => None,
            Stage::Waiting(at) | Stage::Open(at) => Some(at),
        };
        stage.into_iter().chain(self.purge_at).min()
    }
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Asks the Bootstrap-Server for a configuration, after the hold-off time of its account; false when there is no such account.
    ///
    /// What comes of it is told by [`Event::BootstrapFinished`] or [`Event::BootstrapFailed`]. Without any server to fall back on the
    /// client asks again by itself.
    pub fn bootstrap(&mut self, now: Instant) -> bool {
        let Some((_, account)) = self.bootstrap_account() else { return false };
        let hold_off = Duration::from_secs(account.security.hold_off_s.unwrap_or(0).into());
        if self.bootstrap.stage == Stage::Idle {
            self.bootstrap.stage = Stage::Waiting(now + hold_off);
        }
        self.settle(now);
        true
    }

    /// Whether a bootstrap is under way or going to be.
    pub fn is_bootstrapping(&self) -> bool {
        self.bootstrap.stage != Stage::Idle
    }

    fn bootstrap_account(&self) -> Option<(AccountId, &Account)> {
        self.accounts().find(|(_, account)| account.is_bootstrap())
    }

    /// Does what is due.
    pub(super) fn bootstrap_step(&mut self, now: Instant) {
        if self.bootstrap.purge_at.is_some_and(|at| at <= now) {
            self.purge();
        }
        let Some((id, _)) = self.bootstrap_account() else { return };
        match self.bootstrap.stage {
            Stage::Waiting(at) if at <= now => self.ask_for_bootstrap(now, id),
            Stage::Connecting => self.ask_for_bootstrap(now, id),
            Stage::Open(at) if at <= now => self.bootstrap_failed(now, id, Failure::Timeout),
            Stage::Idle | Stage::Waiting(_) | Stage::Open(_) => {}
        }
    }

    fn ask_for_bootstrap(&mut self, now: Instant, id: AccountId) {
        self.bootstrap.stage = Stage::Connecting;
        if !self.reach(now, id) {
            return;
        }
        let Some(account) = self.accounts.get(id.index()).and_then(Option::as_ref) else { return };
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if !link.peer.can_send(&self.config.coap) {
            return;
        }
        let preferred_format = match self.config.version {
            Version::V1_0 => PreferredFormat::Unsaid,
            Version::V1_1 | Version::V1_2 => PreferredFormat::Known(Format::SenmlCbor),
        };
        let secured = account.security.mode != crate::account::SecurityMode::NoSec;
        let known = self.config.endpoint_by_identity && secured;
        let endpoint = Some(self.config.endpoint.as_str()).filter(|_| !known);
        let pack =
            self.config.bootstrap_pack && !self.bootstrap.no_pack && self.config.version >= Version::V1_2;
        let own = Path::instance(ObjectId::SECURITY, account.security.instance);
        let oscore =
            account.security.oscore.and_then(|link| Path::from_numbers(&[link.object, link.instance]));
        let mut list = [0; 32];
        let account_text = interface::account_text(core::iter::once(own).chain(oscore), &mut list);
        let options = |options: &mut OptionWriter<'_>| {
            prefix(account.uri.as_str(), options);
            if pack {
                let accept = Format::SenmlCbor;
                PackRequest { endpoint, accept, account: account_text }.write_options(options);
            } else {
                interface::Request { endpoint, preferred_format }.write_options(options);
            }
        };
        let method = if pack { Code::GET } else { Code::POST };
        self.bootstrap.asked_pack = pack;
        let sent = link.peer.request(now, &self.config.coap, NewRequest::con(method), options, &[]);
        match sent {
            Ok(exchange) => {
                link.exchange = Some(exchange);
                self.events.push(Event::BootstrapStarted);
                self.open(now);
            }
            Err(_) => self.bootstrap_failed(now, id, Failure::TooLarge),
        }
    }

    /// A session begins, or goes on: the time for the next command runs from here.
    fn open(&mut self, now: Instant) {
        self.bootstrap.stage = Stage::Open(now + self.config.coap.exchange_lifetime());
        self.bootstrap.finished_until = None;
        if self.bootstrap.staged.is_none() {
            let staged = Staged::of(self.accounts.iter().flatten());
            self.bootstrap.staged = Some(Box::new(staged));
            self.objects.bootstrap_begins();
        }
    }

    /// The response to the request, if it is that.
    pub(super) fn hear_bootstrap(&mut self, now: Instant, id: AccountId, answer: Result<Code, Failure>) {
        if core::mem::take(&mut self.bootstrap.asked_pack) {
            // Whatever is wrong with packs, commands are the other way (TS_Core 6.1.7.7).
            return self.ask_without_pack(now, id);
        }
        match answer {
            Ok(Code::CHANGED) => {}
            Ok(code) => self.bootstrap_failed(now, id, Failure::Refused(code)),
            Err(reason) => self.bootstrap_failed(now, id, reason),
        }
    }

    /// Takes the content of a pack: all at once, or nothing of it.
    pub(super) fn hear_pack(&mut self, now: Instant, id: AccountId, response: &Response<'_>) -> bool {
        let content = response.message.code() == Code::CONTENT;
        if !self.bootstrap.asked_pack || !content {
            return false;
        }
        self.bootstrap.asked_pack = false;
        let format = response.message.content_format().and_then(|number| Format::from_number(number.0));
        let format = format.filter(|format| PackRequest::FORMATS.contains(format));
        let payload = self.links.get(id.index()).map(|link| Vec::from(link.peer.payload(response.body)));
        let unpacked = match (format, payload) {
            (Some(format), Some(payload)) => self.unpack(format, &payload),
            _ => Err(Code::UNSUPPORTED_CONTENT_FORMAT),
        };
        match unpacked.ok().and_then(|()| self.finish(now).ok()) {
            Some(accounts) => self.take_over(now, accounts),
            None => self.ask_without_pack(now, id),
        }
        true
    }

    /// Goes back to how everything was, and asks for commands at once.
    fn ask_without_pack(&mut self, now: Instant, id: AccountId) {
        if self.bootstrap.staged.take().is_some() {
            self.objects.bootstrap_ends(false);
            self.touched = true;
        }
        self.bootstrap.no_pack = true;
        self.bootstrap.stage = Stage::Waiting(now);
        self.ask_for_bootstrap(now, id);
    }

    fn bootstrap_failed(&mut self, now: Instant, id: AccountId, reason: Failure) {
        if self.bootstrap.staged.take().is_some() {
            self.objects.bootstrap_ends(false);
            self.touched = true;
        }
        self.with_link(id, |link| {
            if let Some(exchange) = link.exchange.take() {
                link.peer.cancel(exchange);
            }
        });
        let pause =
            RETRY_FIRST.saturating_mul(1 << self.bootstrap.failures.min(RETRY_DOUBLINGS)).min(RETRY_MAX);
        self.bootstrap.failures = self.bootstrap.failures.saturating_add(1);
        // Whoever has servers that take it needs nothing further.
        self.hang_up(id, now);
        let has_servers = (0..u8::MAX)
            .take(SERVERS)
            .any(|index| matches!(self.phase(AccountId(index)), Phase::Registered { .. }));
        let retry_in = (!has_servers).then_some(pause);
        self.bootstrap.no_pack = false;
        self.bootstrap.stage = retry_in.map_or(Stage::Idle, |pause| Stage::Waiting(now + pause));
        self.events.push(Event::BootstrapFailed { reason, retry_in });
    }

    /// There is no secure session with the Bootstrap-Server, or none any more.
    #[cfg(feature = "dtls")]
    pub(super) fn no_way_to_bootstrap(&mut self, now: Instant, id: AccountId) {
        if matches!(self.bootstrap.stage, Stage::Connecting | Stage::Open(_)) {
            self.bootstrap_failed(now, id, Failure::NotSecured);
        }
    }

    /// A request of the Bootstrap-Server.
    pub(super) fn serve_bootstrap(&mut self, now: Instant, from: AccountId, incoming: &PeerRequest<'_>) {
        let refuse = |code| Success::plain(code);
        let command = Command::parse(&incoming.message).map_err(|refused| refused.code());
        if !self.bootstrap.is_open() {
            // Who heard none of the answers to a Finish says it anew; everything else nobody asked for (the push of LwM2M 1.0
            // is not taken).
            let finish = command.is_ok_and(|command| command.operation == interface::Operation::Finish);
            let again = finish && self.bootstrap.finished_until.is_some_and(|until| now < until);
            let code = if again { interface::Operation::Finish.success() } else { Code::BAD_REQUEST };
            return self.respond(now, from, incoming.ticket, Success::plain(code), None);
        }
        self.open(now);
        let outcome = command.and_then(|command| self.obey(now, from, command, incoming));
        let finished = matches!(outcome, Ok((_, Some(_))));
        match outcome {
            Ok((success, accounts)) => {
                self.respond(now, from, incoming.ticket, success, None);
                if let Some(accounts) = accounts {
                    self.take_over(now, accounts);
                }
            }
            Err(code) => self.respond(now, from, incoming.ticket, refuse(code), None),
        }
        if finished {
            self.bootstrap.failures = 0;
            self.bootstrap.finished_until = Some(now + self.config.coap.exchange_lifetime());
        }
    }

    /// The accounts that the session made, if they can be used.
    fn finish(&mut self, now: Instant) -> Result<Vec<Account>, Unusable> {
        let date_s = self.date_ms(now).map(|ms| ms / 1000);
        let has = |objects: &O, id: ObjectId| {
            let known = (0..usize::from(u16::MAX)).map_while(|index| objects.at(index));
            known.into_iter().any(|object| object.model().id == id)
        };
        let device = has(&self.objects, ObjectId::DEVICE);
        let access_control = has(&self.objects, ObjectId::ACCESS_CONTROL);
        let nothing = Unusable::Inconsistent(Inconsistent::NoServer);
        let accounts = self.bootstrap.staged.as_ref().ok_or(nothing)?.accounts(access_control, date_s)?;
        if !device {
            return Err(Unusable::Device);
        }
        if accounts.len() > SERVERS { Err(Unusable::Accounts) } else { Ok(accounts) }
    }

    /// Puts the new accounts into the place of the old ones, and registers where something is new.
    fn take_over(&mut self, now: Instant, accounts: Vec<Account>) {
        self.bootstrap.staged = None;
        self.bootstrap.stage = Stage::Idle;
        self.bootstrap.no_pack = false;
        self.touched = true;
        // Its association ends, but not before it could repeat its last request.
        if let Some((id, _)) = self.bootstrap_account() {
            self.hang_up(id, now + self.config.coap.exchange_lifetime());
        }
        let mut fresh = Vec::new();
        let before: Vec<ShortServerId> = self.accounts().filter_map(|(_, account)| account.ssid).collect();
        for index in (0..u8::MAX).take(SERVERS) {
            let id = AccountId(index);
            let Some(old) = self.account(id) else { continue };
            let new = accounts.iter().find(|new| new.ssid == old.ssid);
            let same_session = new.is_some_and(|new| new.uri == old.uri && new.security == old.security);
            let bootstraps = old.is_bootstrap();
            match new {
                Some(new) => {
                    if let Some(slot) = self.accounts.get_mut(id.index()) {
                        *slot = Some(new.clone());
                    }
                    if !same_session && !bootstraps {
                        self.reset(id);
                        fresh.push(id);
                    }
                }
                None => self.forget_account(id),
            }
        }
        for new in accounts {
            if self.accounts.iter().flatten().any(|present| present.ssid == new.ssid) {
                continue;
            }
            if let Some(index) = self.accounts.iter().position(Option::is_none)
                && let Ok(number) = u8::try_from(index)
                && let Some(slot) = self.accounts.get_mut(index)
            {
                *slot = Some(new);
                self.reset(AccountId(number));
                fresh.push(AccountId(number));
            }
        }
        let remains = |ssid| self.accounts().any(|(_, present)| present.ssid == Some(ssid));
        let gone: Vec<_> = before.into_iter().filter(|ssid| !remains(*ssid)).collect();
        for ssid in gone {
            let mut world = serve::world(
                self.config.root(),
                &mut self.objects,
                &mut self.accounts,
                0,
                self.config.version,
            );
            access::server_removed(&mut world, ssid);
        }
        self.objects.bootstrap_ends(true);
        let timeout_s = self.bootstrap_account().and_then(|(_, account)| account.security.account_timeout_s);
        self.bootstrap.purge_at =
            timeout_s.filter(|seconds| *seconds > 0).map(|seconds| now + Duration::from_secs(seconds.into()));
        self.events.push(Event::BootstrapFinished);
        self.events.push(Event::AccountsChanged);
        if !fresh.is_empty() || !self.is_registered_anywhere() {
            self.start(now);
        }
    }

    pub(super) fn is_registered_anywhere(&self) -> bool {
        self.links.iter().any(|link| link.registration.is_registered())
    }

    /// The account time-out is over: the client stands on its own feet.
    fn purge(&mut self) {
        self.bootstrap.purge_at = None;
        if let Some((id, _)) = self.bootstrap_account() {
            self.bootstrap.stage = Stage::Idle;
            self.forget_account(id);
            self.events.push(Event::AccountsChanged);
        }
    }

    /// An account is gone: its server counts as one that was left.
    fn forget_account(&mut self, id: AccountId) {
        self.reset(id);
        self.attached.forget_account(id.0);
        if let Some(slot) = self.accounts.get_mut(id.index()) {
            *slot = None;
        }
    }

    /// Forgets everything that has to do with a server's sessions.
    fn reset(&mut self, id: AccountId) {
        self.end_sends(id);
        self.end_observations(id);
        self.history.retain(|head| head.account != id.0);
        for slot in &mut self.asks {
            slot.take_if(|ask| ask.account == id.0);
        }
        let version = self.config.version;
        if let Some(link) = self.links.get_mut(id.index()) {
            if let Some(exchange) = link.exchange.take() {
                link.peer.cancel(exchange);
            }
            link.registration = Registration::new(version);
            link.location = Location::default();
            (link.told, link.known) = (enrol::Told::default(), enrol::Known::default());
            (link.turn, link.proven, link.asleep, link.offline) = (enrol::Turn::Free, false, None, false);
            #[cfg(feature = "dtls")]
            link.tunnel.forget();
        }
    }

    /// The last attempt of an account to register failed: another configuration may help (`/1/x/16`).
    pub(super) fn bootstrap_after_failure(&mut self, id: AccountId) {
        let wants = self.account(id).is_some_and(|account| account.bootstrap_on_failure != Some(false));
        if wants && !self.is_registered_anywhere() && self.bootstrap.stage == Stage::Idle {
            self.bootstrap_soon();
        }
    }

    /// As [`Client::bootstrap`], for a call that settles by itself.
    pub(super) fn bootstrap_soon(&mut self) {
        let Some((_, account)) = self.bootstrap_account() else { return };
        let hold_off = Duration::from_secs(account.security.hold_off_s.unwrap_or(0).into());
        if self.bootstrap.stage == Stage::Idle {
            self.bootstrap.stage = Stage::Waiting(self.now + hold_off);
        }
    }
}
