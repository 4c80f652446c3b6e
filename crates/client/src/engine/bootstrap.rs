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

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lightship_lwm2m::bootstrap::consistency::Inconsistent;
use lightship_lwm2m::bootstrap::{
    self as interface, Command, InstanceListWriter, PackRequest, PreferredFormat,
};
use lightship_lwm2m::format::{self, Decoder, Format};
use lightship_lwm2m::{ObjectId, ShortServerId};

use super::*;
use crate::access;
use crate::event::Unusable;
use crate::object::Object;
use crate::staged::Staged;
use crate::write::in_range;

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

    /// For each object of the pack: what there is goes, what is in the pack comes.
    fn unpack(&mut self, format: Format, payload: &[u8]) -> Result<(), Code> {
        let decoder = format::decode(format, Path::ROOT, payload);
        format::check(&decoder).map_err(|_| Code::BAD_REQUEST)?;
        let mut objects: Vec<ObjectId> =
            decoder.clone().flatten().filter_map(|entry| entry.path.object_id()).collect();
        objects.sort_unstable();
        objects.dedup();
        if objects.is_empty() {
            return Err(Code::BAD_REQUEST);
        }
        for object in objects {
            let known = matches!(object, ObjectId::SECURITY | ObjectId::SERVER);
            if !known && find(&mut self.objects, object).is_none() {
                // What the device does not have is none of its business.
                continue;
            }
            self.delete(Path::object(object))?;
            self.write(Path::object(object), decoder.clone())?;
        }
        Ok(())
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

    /// Does what is commanded; gives what to answer, and after Finish the new accounts.
    fn obey(
        &mut self,
        now: Instant,
        from: AccountId,
        command: Command,
        incoming: &PeerRequest<'_>,
    ) -> Result<(Success, Option<Vec<Account>>), Code> {
        let plain = Success::plain(command.operation.success());
        match command.operation {
            interface::Operation::Finish => {
                let accounts = self.finish(now).map_err(|reason| {
                    self.events.push(Event::BootstrapUnusable(reason));
                    Code::NOT_ACCEPTABLE
                })?;
                Ok((plain, Some(accounts)))
            }
            interface::Operation::Discover => {
                let text = self.instances(command.path)?;
                let place = self.body.get_mut(..text.len()).ok_or(Code::INTERNAL_SERVER_ERROR)?;
                place.copy_from_slice(text.as_bytes());
                Ok((Success { format: Some(ContentFormat::LINK), len: text.len(), ..plain }, None))
            }
            interface::Operation::Read => {
                let staged = self.bootstrap.staged.as_ref().ok_or(Code::INTERNAL_SERVER_ERROR)?;
                let mut accounts = staged.as_accounts();
                let version = self.config.version;
                let world =
                    serve::world("", &mut self.objects, &mut accounts, access::BOOTSTRAP_SERVER, version);
                let accept = incoming.message.accept();
                match dispatch::read(&world, command.path, accept, version, &mut self.body) {
                    Ok((format, len)) => Ok((Success { format: Some(format), len, ..plain }, None)),
                    Err(Deny::With(code)) => Err(code),
                    Err(Deny::Later) => Err(Code::SERVICE_UNAVAILABLE),
                }
            }
            interface::Operation::Write => {
                let payload = self.links.get(from.index()).map(|link| link.peer.payload(incoming.body));
                let payload = Vec::from(payload.unwrap_or_default());
                let format = command.format.unwrap_or(Format::Tlv);
                self.write(command.path, format::decode(format, command.path, &payload))?;
                Ok((plain, None))
            }
            interface::Operation::Delete => {
                self.delete(command.path)?;
                Ok((plain, None))
            }
            _ => Err(Code::NOT_IMPLEMENTED),
        }
    }

    fn write(&mut self, path: Path, decoder: Decoder<'_>) -> Result<(), Code> {
        let object = path.object_id().ok_or(Code::BAD_REQUEST)?;
        if matches!(object, ObjectId::SECURITY | ObjectId::SERVER) {
            let staged = self.bootstrap.staged.as_mut().ok_or(Code::INTERNAL_SERVER_ERROR)?;
            return staged.write(object, path, decoder, SERVERS);
        }
        self.objects.serve_as(self.config.version);
        let target = find(&mut self.objects, object).ok_or(Code::BAD_REQUEST)?;
        write_object(target, path, &decoder)
    }

    fn delete(&mut self, path: Path) -> Result<(), Code> {
        let Some(staged) = self.bootstrap.staged.as_mut() else { return Err(Code::INTERNAL_SERVER_ERROR) };
        let accounts = |object: ObjectId| matches!(object, ObjectId::SECURITY | ObjectId::SERVER);
        if path.is_root() {
            staged.delete(ObjectId::SECURITY, None);
            staged.delete(ObjectId::SERVER, None);
        }
        match (path.object_id(), path.instance_id()) {
            (Some(object), instance) if accounts(object) => {
                if !staged.delete(object, instance) {
                    return Err(Code::BAD_REQUEST);
                }
            }
            (Some(ObjectId::DEVICE), Some(ObjectInstanceId::ZERO)) => return Err(Code::BAD_REQUEST),
            (Some(object), Some(instance)) => {
                if let Some(target) = find(&mut self.objects, object)
                    && target.instance_from(instance.get()) == Some(instance)
                {
                    target.delete(instance).map_err(|_| Code::BAD_REQUEST)?;
                }
            }
            (object, None) => {
                for index in 0..usize::from(u16::MAX) {
                    let Some(target) = self.objects.at_mut(index) else { break };
                    let id = target.model().id;
                    if object.is_none_or(|object| object == id) && id != ObjectId::DEVICE {
                        delete_all(target);
                    }
                }
            }
            (None, Some(_)) => {}
        }
        Ok(())
    }

    /// The answer to a Bootstrap-Discover.
    fn instances(&mut self, path: Path) -> Result<String, Code> {
        let staged = self.bootstrap.staged.as_ref().ok_or(Code::INTERNAL_SERVER_ERROR)?;
        let wanted = |object: ObjectId| path.object_id().is_none_or(|wanted| wanted == object);
        let mut list = InstanceListWriter::new(String::new(), self.config.version);
        let mut found = path.is_root();
        if wanted(ObjectId::SECURITY) {
            found = true;
            for (id, ssid, uri) in staged.security() {
                let entry = list.entry(path_to(ObjectId::SECURITY, id));
                if let Some(ssid) = ssid {
                    entry.short_server_id(ssid).uri(uri);
                }
            }
        }
        if wanted(ObjectId::SERVER) {
            found = true;
            for (id, ssid) in staged.servers() {
                let entry = list.entry(path_to(ObjectId::SERVER, id));
                if let Some(ssid) = ssid {
                    entry.short_server_id(ssid);
                }
            }
        }
        self.objects.serve_as(self.config.version);
        for index in 0..usize::from(u16::MAX) {
            let Some(object) = self.objects.at(index) else { break };
            let model = object.model();
            if !wanted(model.id) {
                continue;
            }
            found = true;
            let said = list::stated_version(model.id, model.version, self.config.version);
            if said.is_some() || object.instance_from(0).is_none() {
                let entry = list.entry(Path::object(model.id));
                if let Some(said) = said {
                    entry.version(said);
                }
            }
            let mut from = Some(0);
            while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
                list.entry(Path::instance(model.id, instance));
                from = instance.get().checked_add(1);
            }
        }
        if !found {
            return Err(Code::NOT_FOUND);
        }
        list.finish().map_err(|_| Code::INTERNAL_SERVER_ERROR)
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

fn path_to(object: ObjectId, instance: u16) -> Path {
    ObjectInstanceId::new(instance).map_or(Path::object(object), |instance| Path::instance(object, instance))
}

fn find(objects: &mut dyn Objects, id: ObjectId) -> Option<&mut dyn Object> {
    let known = (0..usize::from(u16::MAX)).map_while(|index| objects.at(index));
    let index = known.into_iter().position(|object| object.model().id == id)?;
    objects.at_mut(index)
}

fn delete_all(object: &mut dyn Object) {
    let mut from = Some(0);
    while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
        // What cannot be deleted stays, as the device itself (3) does.
        let _ = object.delete(instance);
        from = instance.get().checked_add(1);
    }
}

/// Bootstrap-Write on an object of the device: whether or not the instance exists and the resource may be written. All of it
/// is tried before the first change is made. Of a payload about more than `path` the rest is left out.
fn write_object(object: &mut dyn Object, path: Path, decoder: &Decoder<'_>) -> Result<(), Code> {
    format::check(decoder).map_err(|_| Code::BAD_REQUEST)?;
    let entries = || decoder.clone().flatten().filter(|entry| path.contains(entry.path));
    let mut ids: Vec<ObjectInstanceId> = path.instance_id().into_iter().collect();
    for entry in entries() {
        if let Some(id) = entry.path.instance_id()
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    for id in &ids {
        let written = write_instance(object, *id, decoder);
        let verified = written.and_then(|()| object.verify().map_err(refused));
        object.abort();
        verified?;
    }
    for id in ids {
        write_instance(object, id, decoder)?;
        object.commit().map_err(refused)?;
    }
    Ok(())
}

/// Opens a transaction on an instance, there or not, and puts in what the payload says of it.
fn write_instance(object: &mut dyn Object, id: ObjectInstanceId, payload: &Decoder<'_>) -> Result<(), Code> {
    let exists = object.instance_from(id.get()) == Some(id);
    let opened = if exists { object.edit(id) } else { object.create(id) };
    opened.map_err(refused)?;
    let here = Path::instance(object.model().id, id);
    let mut entries = payload.clone().flatten().filter(|entry| here.contains(entry.path));
    let written = entries.try_for_each(|entry| write_entry(object, &entry));
    if written.is_err() {
        object.abort();
    }
    written
}

fn write_entry(object: &mut dyn Object, entry: &format::Entry<'_>) -> Result<(), Code> {
    let Some(resource) = entry.path.resource_id() else { return Ok(()) };
    let model = object.model().resource(resource).copied();
    let Some((model, data_type)) = model.and_then(|model| Some((model, model.data_type?))) else {
        return Ok(());
    };
    let item = entry.path.resource_instance_id();
    if entry.value.is_container() {
        return object.clear(resource, None).map_err(refused);
    }
    if model.multiple == item.is_none() {
        return Err(Code::BAD_REQUEST);
    }
    let value = entry.value.decode_owned(data_type).map_err(|_| Code::BAD_REQUEST)?;
    if !in_range(&model, &value.as_value()) {
        return Err(Code::BAD_REQUEST);
    }
    object.write(resource, item, value.as_value()).map_err(refused)
}

fn refused(refusal: Refusal) -> Code {
    if refusal == Refusal::Busy { Code::INTERNAL_SERVER_ERROR } else { Code::BAD_REQUEST }
}
