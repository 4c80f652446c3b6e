//! Registering: in which order, what each server is told, and what follows from its answers (TS_Core 6.2).

use lightship_lwm2m::uplink::{Register, Update};
use lightship_lwm2m::{Binding, ObjectId, ResourceId, ResourceInstanceId, Value};

use super::serve::world;
use super::*;
use crate::account::SecurityMode;
use crate::config::{PROFILE_LEN_MAX, Profile};
use crate::dispatch::World;
use crate::object::{Sink, Text};
use crate::register::Changes;

/// What a server knows of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    lifetime_s: u32,
    pub(super) list: u64,
    binding: Binding,
    queue_mode: bool,
    /// A number that changes when `sms` does.
    sms: u32,
}

impl Told {
    fn differs_from(&self, was: &Told) -> Changes {
        Changes {
            lifetime: self.lifetime_s != was.lifetime_s,
            objects: self.list != was.list,
            binding: (self.binding, self.queue_mode) != (was.binding, was.queue_mode),
            sms: self.sms != was.sms,
        }
    }
}

/// How far a server and the client have come with Profile IDs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// The list that the server learnt along with its ID.
    list: u64,
    /// The Register under way names a profile, and lists no objects.
    asked: bool,
    alone: bool,
    /// The server needs the list this time.
    with_list: bool,
    /// The server takes no profile.
    unwanted: bool,
}

/// Whose turn it is where accounts have an order (`/1/x/13`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has no order.
    Free,
    /// Others come first.
    Held,
    /// It is its turn.
    Now,
}

impl<B: Buffer> Link<B> {
    /// Takes the answer to a Register that named a profile. Gives the outcome if the next one has to say it otherwise.
    fn judge_profile(&mut self, now: Instant, code: Code) -> Option<Option<Outcome>> {
        if !core::mem::take(&mut self.known.asked) {
            return None;
        }
        match code {
            Code::CREATED => {
                self.known = Known { list: self.told.list, ..Known::default() };
                return None;
            }
            // The server cannot tell what the profile stands for, or does not know the parameter.
            Code::CONFLICT | Code::BAD_REQUEST if self.known.alone => self.known.with_list = true,
            Code::BAD_REQUEST => self.known.unwanted = true,
            _ => return None,
        }
        Some(self.registration.ask_otherwise(now, Failure::Refused(code)))
    }
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Registers with all servers as their accounts want it (TS_Core 6.2.1.1): those with a Registration Priority Order one after
    /// the other, the others at once; each after its Initial Registration Delay unless it was registered before.
    ///
    /// A server whose attempts all failed makes room for the next one, or, with Registration Failure Block, holds up those
    /// behind it.
    pub fn start(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            let id = AccountId(index);
            let Some(account) = self.account(id).filter(|account| !account.is_bootstrap()) else { continue };
            let (version, ordered) = (account.offer(self.config.version), account.priority.is_some());
            self.end_sends(id);
            self.go_away(id);
            self.with_link(id, |link| {
                if let Some(exchange) = link.exchange.take() {
                    link.peer.cancel(exchange);
                }
                (link.offline, link.asleep) = (false, None);
                link.turn = if ordered { Turn::Held } else { Turn::Free };
                link.registration.hold(version);
            });
            if !ordered {
                self.begin(now, id);
            }
        }
        self.next_turn(now);
        #[cfg(feature = "bootstrap")]
        if self.accounts().all(|(_, account)| account.is_bootstrap()) {
            self.now = now;
            self.bootstrap_soon();
        }
        self.settle(now);
    }

    /// Starts to register, after the initial delay.
    fn begin(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.account(id) else { return };
        let delay_s = account.initial_delay_s.unwrap_or(0);
        self.with_link(id, |link| {
            let delay = if link.proven { 0 } else { delay_s };
            let version = link.registration.version();
            link.registration.start(now + Duration::from_secs(delay.into()), version);
        });
    }

    /// Lets the first of the servers that wait for their turn begin, if nobody is at it.
    fn next_turn(&mut self, now: Instant) {
        if self.links.iter().any(|link| link.turn == Turn::Now) {
            return;
        }
        let held = self.links.iter().zip(&self.accounts).zip(0..u8::MAX);
        let waiting = held.filter(|((link, _), _)| link.turn == Turn::Held);
        let order = waiting.filter_map(|((_, account), index)| Some((account.as_ref()?.priority, index)));
        if let Some((_, index)) = order.min() {
            self.with_link(AccountId(index), |link| link.turn = Turn::Now);
            self.begin(now, AccountId(index));
        }
    }

    /// The next server may begin.
    pub(super) fn pass_turn(&mut self, id: AccountId) {
        let now = self.now;
        self.with_link(id, |link| link.turn = Turn::Free);
        self.next_turn(now);
    }

    /// All attempts of an account failed.
    fn gave_up(&mut self, id: AccountId) {
        self.events.push(Event::GaveUp(id));
        #[cfg(feature = "bootstrap")]
        self.bootstrap_after_failure(id);
        if self.account(id).is_some_and(|account| account.failure_block != Some(true)) {
            self.pass_turn(id);
        }
    }

    pub(super) fn on_response(&mut self, now: Instant, from: AccountId, response: &Response<'_>) {
        if self.hear_send(from, response.exchange, Ok(response.message.code())) {
            return;
        }
        let Some(link) = self.links.get_mut(from.index()) else { return };
        if link.exchange != Some(response.exchange) {
            return;
        }
        link.exchange = None;
        let Some(account) = self.accounts.get(from.index()).and_then(Option::as_ref) else { return };
        let mut code = response.message.code();
        #[cfg(feature = "bootstrap")]
        if account.is_bootstrap() {
            if !self.hear_pack(now, from, response) {
                self.hear_bootstrap(now, from, Ok(code));
            }
            return;
        }
        let registering = link.registration.phase() == Phase::Registering;
        if registering && code == Code::CREATED {
            match Location::new(&response.message) {
                Some(location) => link.location = location,
                // A location that is missing or does not fit makes the registration useless.
                None => code = Code::EMPTY,
            }
        }
        if registering && let Some(outcome) = link.judge_profile(now, code) {
            return self.conclude(from, outcome);
        }
        let slow_down = matches!(code, Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS);
        let max_age = slow_down.then(|| Duration::from_secs(response.message.max_age_s().into()));
        let wait = self.config.coap.max_transmit_wait();
        let outcome = if code == Code::EMPTY {
            link.registration.unanswered(now, Failure::Nonsense, account, &mut self.jitter)
        } else {
            link.registration.answered(now, code, max_age, account, wait, &mut self.jitter)
        };
        self.conclude(from, outcome);
    }

    /// Tells the host, and forgets what ended with a registration.
    pub(super) fn conclude(&mut self, id: AccountId, outcome: Option<Outcome>) {
        let event = match outcome {
            None => return,
            Some(Outcome::Registered) => Event::Registered(id),
            Some(Outcome::Updated) => Event::Updated(id),
            Some(Outcome::Postponed { reason, retry_in }) => {
                // Nothing ends with it.
                self.events.push(Event::Postponed { account: id, reason, retry_in });
                return;
            }
            Some(Outcome::Deregistered) => Event::Deregistered(id),
            Some(Outcome::Failed { reason, retry_in, .. }) => Event::Failed { account: id, reason, retry_in },
        };
        self.events.push(event);
        if !matches!(event, Event::Updated(_)) {
            self.end_sends(id);
            self.with_link(id, |link| link.asleep = None);
        }
        match outcome {
            Some(Outcome::Updated) => self.come_back(id),
            Some(Outcome::Registered) => self.begin_anew(id),
            Some(Outcome::Deregistered) if self.phase(id) == Phase::Idle => self.end_observations(id),
            _ => self.go_away(id),
        }
        match outcome {
            Some(Outcome::Registered) => {
                self.with_link(id, |link| link.proven = true);
                self.pass_turn(id);
            }
            Some(Outcome::Deregistered) => self.hang_up(id, self.now),
            Some(Outcome::Failed { gave_up: true, .. }) => self.gave_up(id),
            _ => {}
        }
        // The lifetime or the list may have changed since the request went out.
        self.touched = true;
    }

    /// Compares what each server was told with what is so.
    pub(super) fn compare_with_told(&mut self) {
        for (index, link) in self.links.iter_mut().enumerate() {
            if !link.registration.is_registered() {
                continue;
            }
            let version = link.registration.version();
            let world = world(self.config.root(), &mut self.objects, &mut self.accounts, 0, version);
            let Some(account) = world.server.accounts.get(index).and_then(Option::as_ref) else { continue };
            let is = told(&world, account, &self.config, version);
            link.registration.changed(is.differs_from(&link.told));
        }
    }

    /// Registers anew when the lifetime ended without an Update: nothing else may be sent before (TS_Core 6.2.2). So it also ends
    /// the wait for the answer to an Update.
    pub(super) fn expire(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if link.registration.has_expired(now) {
            let unanswered = link.busy;
            if let Some(exchange) = link.exchange.take() {
                link.peer.cancel(exchange);
            }
            let outcome = link.registration.again(now, Failure::Expired, None);
            self.conclude(id, outcome);
            if unanswered {
                // A server that did not answer until the end may have lost its sessions, in a crash for example: the Register goes
                // through a new one.
                self.renew_silent(now, id);
            }
        }
    }

    /// Sends the Register, Update or De-register that is due with one server.
    pub(super) fn step(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()).filter(|link| !link.offline) else { return };
        if link.busy || link.registration.timeout().is_none_or(|at| at > now) || !self.reach(now, id) {
            return;
        }
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if !link.peer.can_send(&self.config.coap) {
            link.busy = true;
            return;
        }
        let Some(step) = link.registration.step(now) else { return };
        let version = link.registration.version();
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, id.0, version);
        let Some(account) = world.server.accounts.get(id.index()).and_then(Option::as_ref) else { return };
        let is = told(&world, account, &self.config, version);
        let step = match step {
            Step::Update(changes) => Step::Update(changes.or(is.differs_from(&link.told))),
            Step::Register { .. } | Step::Deregister => step,
        };
        let pid = profile(&world, account, &self.config, version).filter(|_| !link.known.unwanted);
        let alone = pid.is_some()
            && !link.known.with_list
            && (matches!(self.config.profile, Profile::Named(_)) || link.known.list == is.list);
        let with_list = match step {
            Step::Register { .. } => !alone,
            Step::Update(changes) => changes.objects,
            Step::Deregister => false,
        };
        let len = if with_list { list::write(&world, version, &mut self.body) } else { Some(0) };
        let content = len.and_then(|len| self.body.get(..len));
        let method = if step == Step::Deregister { Code::DELETE } else { Code::POST };
        let pid = pid.as_ref().map(Text::as_str);
        let config = &self.config;
        let options = |options: &mut OptionWriter<'_>| {
            if step == (Step::Register { version }) {
                prefix(account.uri.as_str(), options);
            } else {
                link.location.write(options);
            }
            write_options(step, &is, pid, (account, config, version), options);
            if with_list {
                options.content_format(ContentFormat::LINK);
            }
        };
        let sent = match content {
            Some(content) => link.peer.request(now, &config.coap, NewRequest::con(method), options, content),
            None => Err(SendError::TooLarge),
        };
        match (sent, step) {
            (Ok(exchange), _) => {
                link.exchange = Some(exchange);
                if let Step::Register { .. } = step {
                    (link.known.asked, link.known.alone) = (pid.is_some(), alone);
                } else if with_list && pid.is_some() && step != Step::Deregister {
                    link.known.list = is.list;
                }
                link.told = is;
            }
            (Err(_), _) => {
                let outcome = link.registration.unanswered(now, Failure::TooLarge, account, &mut self.jitter);
                self.conclude(id, outcome);
            }
        }
    }
}

/// Adds path and query of a request of the registration interface, without what comes from the server's URI or location.
fn write_options(
    step: Step,
    is: &Told,
    pid: Option<&str>,
    (account, config, registered): (&Account, &Config, Version),
    options: &mut OptionWriter<'_>,
) {
    let sms = config.sms.as_ref().map(Text::as_str);
    match step {
        Step::Register { version } => {
            let secured = account.security.mode != SecurityMode::NoSec;
            let known = config.endpoint_by_identity && secured && version >= Version::V1_1;
            let register = Register {
                endpoint: Some(config.endpoint.as_str()).filter(|_| !known),
                lifetime_s: is.lifetime_s,
                version,
                binding: is.binding,
                queue_mode: is.queue_mode,
                sms,
                profile: pid,
                objects: None,
            };
            register.write_options(options);
        }
        Step::Update(changes) => {
            let update = Update {
                lifetime_s: Some(is.lifetime_s).filter(|_| changes.lifetime),
                binding: Some(is.binding).filter(|_| changes.binding),
                queue_mode: Some(is.queue_mode).filter(|_| changes.binding),
                sms: sms.filter(|_| changes.sms),
                profile: pid.filter(|_| changes.objects),
                objects: None,
            };
            update.write_options(registered, options);
        }
        Step::Deregister => {}
    }
}

/// What a server has to know.
fn told(world: &World<'_>, account: &Account, config: &Config, version: Version) -> Told {
    let (binding, queue_mode) = binding(world, account, config, version);
    let bytes = config.sms.iter().flat_map(|sms| sms.as_str().bytes());
    let sms = bytes.fold(0, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193).max(1));
    Told { lifetime_s: account.lifetime_s, list: list::fingerprint(world, version), binding, queue_mode, sms }
}

/// `b` and `Q`: what the device can, as `/3/0/16` has it; to 1.0 what the account wants, with `Q` in it.
fn binding(world: &World<'_>, account: &Account, config: &Config, version: Version) -> (Binding, bool) {
    let mut own = Own(None);
    if version == Version::V1_0 {
        own.0 = Some(account.binding);
    } else if let Some(device) = world.object(ObjectId::DEVICE) {
        // Without the resource the configuration says it.
        let _ = device.read(ObjectInstanceId::ZERO, SUPPORTED_BINDING, &mut own);
    }
    let text = own.0.unwrap_or(config.binding);
    let (binding, asleep) = Binding::parse(text.as_str(), version).unwrap_or_default();
    (binding, asleep || config.queue_mode.is_some())
}

const SUPPORTED_BINDING: ResourceId = match ResourceId::new(16) {
    Some(id) => id,
    None => panic!("a legal ID"),
};

struct Own(Option<Text<8>>);

impl Sink for Own {
    fn value(&mut self, value: Value<'_>) {
        if let Value::String(text) = value {
            self.0 = Some(Text::new(text));
        }
    }

    fn item(&mut self, _: ResourceInstanceId, _: Value<'_>) {}
}

/// The Profile ID, for servers that may be told one.
fn profile(
    world: &World<'_>,
    account: &Account,
    config: &Config,
    version: Version,
) -> Option<Text<{ PROFILE_LEN_MAX }>> {
    if version < Version::V1_2 {
        return None;
    }
    let _ = (world, account);
    match &config.profile {
        Profile::None => None,
        Profile::Named(name) => Some(*name),
        #[cfg(feature = "profile-id")]
        Profile::Hashed => crate::profile::hashed(world, account.profile_hash),
    }
}
