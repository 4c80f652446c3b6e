//! The client: five verbs and a few commands around its servers, objects and observations.

#[cfg(feature = "bootstrap")]
mod bootstrap;
mod composite;
mod enrol;
mod keep;
#[cfg(not(feature = "dtls"))]
mod plain;
#[cfg(feature = "dtls")]
mod secured;
mod send;
mod serve;
mod sleep;
mod tick;

use core::time::Duration;

use lightship_coap::peer::{
    Buffer, ExchangeId, Failure as PeerFailure, NewNotification, NewRequest, Request as PeerRequest,
    Response, SendError, Ticket,
};
use lightship_coap::{Code, ContentFormat, Incoming, OptionWriter, Peer, PeerEvent};
use lightship_lwm2m::attributes::AttributeChange;
use lightship_lwm2m::{Attributes, ObjectInstanceId, Path, Version};
use lightship_platform::{Instant, Rng, UnixTime};

use crate::account::Account;
use crate::attributes::Attached;
use crate::body::Body;
use crate::config::Config;
use crate::dispatch::{self, Deny, Operation, Request, Success, World};
use crate::event::{AccountId, AskId, Event, Events, Failure, Transmit};
use crate::history::{History, Subject};
use crate::list;
use crate::object::{Objects, Refusal};
use crate::observe::{Action, News, Observation};
use crate::read::walk;
use crate::register::{Outcome, Phase, Registration, Step};
#[cfg(feature = "dtls")]
use crate::secure::{SecureTransport, Tunnel};
use crate::server_object::{ServerObject, Trigger};
use crate::snapshot::Snapshot;
use crate::uri::{Location, prefix};
#[cfg(not(feature = "dtls"))]
use plain::Tunnel;

/// How many answers may be open at a time.
const ASKS: usize = 4;

/// A LwM2M Client.
///
/// `O` is the set of its [`Objects`], `B` the memory of the CoAP conversation with each server. `SERVERS` is how many
/// accounts fit in, `OBSERVATIONS` how many paths all servers together can observe and attach attributes to, `BODY` the longest answer or
/// object list in bytes. What goes over a budget is refused with a CoAP error.
///
/// Drive it by five verbs: give it every datagram ([`Client::handle_input`]) and call [`Client::handle_timeout`] when
/// [`Client::poll_timeout`] says so; after each call take datagrams from [`Client::poll_transmit`] and events from
/// [`Client::poll_event`] until both return `None`. Values change through [`Client::objects_mut`]; the client notices.
#[derive(Debug)]
pub struct Client<
    O,
    B: Buffer,
    const SERVERS: usize = 1,
    const OBSERVATIONS: usize = 8,
    const BODY: usize = 1024,
> {
    config: Config,
    objects: O,
    accounts: [Option<Account>; SERVERS],
    links: [Link<B>; SERVERS],
    observations: [Option<Observation>; OBSERVATIONS],
    attached: Attached<OBSERVATIONS>,
    asks: [Option<Ask>; ASKS],
    sends: send::Sends,
    #[cfg(feature = "bootstrap")]
    bootstrap: bootstrap::Bootstrap,
    events: Events,
    /// What servers could not be told yet.
    history: History<BODY>,
    /// The date at [`Instant::ZERO`], in milliseconds since 1970, when the host knows it.
    date_at_zero_ms: Option<i64>,
    body: Body<BODY>,
    jitter: Jitter,
    /// Values, instances or accounts may have changed since they were looked at.
    touched: bool,
    sampled_at: Instant,
    /// The latest moment the host told.
    now: Instant,
    generation: u16,
    #[cfg(feature = "dtls")]
    transport: Option<SecureTransport>,
}

/// What the client knows of one server's side.
#[derive(Debug)]
struct Link<B: Buffer> {
    peer: Peer<B>,
    registration: Registration,
    location: Location,
    exchange: Option<ExchangeId>,
    /// What the server knows.
    told: enrol::Told,
    known: enrol::Known,
    turn: enrol::Turn,
    /// The client was registered there since it started.
    proven: bool,
    /// When the last message came or went.
    heard_at: Instant,
    /// In Queue Mode: asleep, and when it wakes by itself.
    asleep: Option<Instant>,
    /// The peer has an exchange open; what is to be sent waits for its end.
    busy: bool,
    /// The host said that nothing gets through.
    offline: bool,
    tunnel: Tunnel,
}

/// A request that an object answers later.
#[derive(Debug, Clone, Copy)]
struct Ask {
    generation: u16,
    account: u8,
    ticket: Ticket,
    path: Path,
    deadline: Instant,
    resume: Resume,
}

/// What happens when the answer comes.
#[derive(Debug, Clone, Copy)]
enum Resume {
    /// The values are there now: read them.
    Read { accept: Option<ContentFormat>, observe: Option<Option<Attributes>> },
    /// The answer is the outcome; this is its code.
    Finish(Code),
}

/// Numbers that only have to differ from device to device.
#[derive(Debug)]
struct Jitter(u32);

impl Rng for Jitter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            [*byte, ..] = self.0.to_le_bytes();
        }
    }
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// A client without accounts. `rng` seeds CoAP's tokens and message IDs and the jitter of retries.
    pub fn new(config: Config, objects: O, rng: &mut impl Rng) -> Self {
        let version = config.version;
        Client {
            config,
            objects,
            accounts: [const { None }; SERVERS],
            links: core::array::from_fn(|_| Link {
                peer: Peer::new(rng),
                registration: Registration::new(version),
                location: Location::default(),
                exchange: None,
                told: enrol::Told::default(),
                known: enrol::Known::default(),
                turn: enrol::Turn::Free,
                proven: false,
                heard_at: Instant::ZERO,
                asleep: None,
                busy: false,
                offline: false,
                tunnel: Tunnel::default(),
            }),
            observations: [const { None }; OBSERVATIONS],
            attached: Attached::new(),
            asks: [const { None }; ASKS],
            sends: send::Sends::default(),
            #[cfg(feature = "bootstrap")]
            bootstrap: bootstrap::Bootstrap::default(),
            events: Events::default(),
            history: History::new(),
            date_at_zero_ms: None,
            body: Body::new(),
            jitter: Jitter(rng.next_u32() | 1),
            touched: false,
            sampled_at: Instant::ZERO,
            now: Instant::ZERO,
            generation: 0,
            #[cfg(feature = "dtls")]
            transport: None,
        }
    }

    /// Adds an account: a server's, with which the client registers once [`Client::register`] is called, or the
    /// Bootstrap-Server's. Instance IDs of objects 0 and 1 that are taken are replaced by the lowest free ones.
    ///
    /// # Errors
    /// The account, when all `SERVERS` places are taken, another account has its Short Server ID, or there is a
    /// Bootstrap-Server already.
    #[allow(clippy::result_large_err, reason = "the caller's account comes back")]
    pub fn add_account(&mut self, mut account: Account) -> Result<AccountId, Account> {
        let wrong = account.ssid.is_none() != account.is_bootstrap();
        if wrong || self.accounts.iter().flatten().any(|present| present.ssid == account.ssid) {
            return Err(account);
        }
        let present = || self.accounts.iter().flatten();
        account.security.instance =
            lowest_free(account.security.instance, |id| present().any(|other| other.security.instance == id));
        account.server_instance = lowest_free(account.server_instance, |id| {
            present().any(|other| !other.is_bootstrap() && other.server_instance == id)
        });
        let place = self.accounts.iter_mut().zip(0..).find(|(slot, _)| slot.is_none());
        match place {
            Some((slot, index)) => {
                *slot = Some(account);
                self.touched = true;
                Ok(AccountId(index))
            }
            None => Err(account),
        }
    }

    /// Returns an account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.index())?.as_ref()
    }

    /// Returns the accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.accounts.iter().zip(0..).filter_map(|(slot, index)| Some((AccountId(index), slot.as_ref()?)))
    }

    /// Returns where the registration with a server stands.
    pub fn phase(&self, id: AccountId) -> Phase {
        self.links.get(id.index()).map_or(Phase::Idle, |link| link.registration.phase())
    }

    /// Returns the location that the server gave the registration, such as `rd/5a3f`; empty when there is none.
    pub fn location(&self, id: AccountId) -> impl Iterator<Item = &str> {
        self.links.get(id.index()).into_iter().flat_map(|link| link.location.segments())
    }

    /// Returns the objects.
    pub fn objects(&self) -> &O {
        &self.objects
    }

    /// Returns the objects to change values or instances; the client looks for what changed at the next call of
    /// [`Client::handle_timeout`], which [`Client::poll_timeout`] then wants at once.
    pub fn objects_mut(&mut self) -> &mut O {
        self.touched = true;
        &mut self.objects
    }

    /// Registers with a server, now and again after every failure, until [`Client::deregister`].
    ///
    /// The version offered first is the highest that the server is known to support, `/1/x/25`.
    pub fn register(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.account(id).filter(|account| !account.is_bootstrap()) else { return };
        let version = account.offer(self.config.version);
        self.with_link(id, |link| {
            if let Some(exchange) = link.exchange.take() {
                link.peer.cancel(exchange);
            }
            link.registration.start(now, version);
            (link.offline, link.asleep) = (false, None);
        });
        self.end_sends(id);
        self.go_away(id);
        self.settle(now);
    }

    /// Registers anew with every server: for a changed own address without transport security (TS_Core 6.2.2). Secure sessions
    /// are replaced before.
    pub fn reconnect(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            #[cfg(feature = "dtls")]
            self.lose_session(now, AccountId(index), crate::SessionEnd::Renewed);
            if self.phase(AccountId(index)) != Phase::Idle {
                self.register(now, AccountId(index));
            }
        }
    }

    /// Tells the date that it is at `now`; to be repeated when the host learns it better. With it values of the past are told
    /// with the date they are from, without it with their age.
    pub fn set_date(&mut self, now: Instant, date: UnixTime) {
        let since_zero = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.date_at_zero_ms = Some(date.as_millis().saturating_sub(since_zero));
    }

    /// Tells that nothing gets through to any server: nothing more is sent, and what were notifications is kept for later where
    /// the server wants that (`/1/x/6`). Ends with [`Client::online`] or [`Client::reconnect`].
    pub fn offline(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            self.with_link(AccountId(index), |link| {
                link.offline = true;
                // A handshake would only run out of time.
                link.tunnel.give_up();
            });
            self.go_away(AccountId(index));
        }
        self.settle(now);
    }

    /// Tells that servers can be reached again from the same address: registrations go on with an Update, observations with
    /// what was kept for them. From another address [`Client::reconnect`] is what is needed without transport security, and
    /// `Client::moved` with it.
    pub fn online(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            self.with_link(AccountId(index), |link| {
                if core::mem::take(&mut link.offline) {
                    link.registration.want_update();
                }
            });
        }
        self.settle(now);
    }

    /// Sends an Update to a server, even when nothing changed. Without a registration nothing happens.
    pub fn update(&mut self, now: Instant, id: AccountId) {
        self.with_link(id, |link| link.registration.want_update());
        self.settle(now);
    }

    /// De-registers from a server for good; [`Event::Deregistered`] follows.
    pub fn deregister(&mut self, now: Instant, id: AccountId) {
        self.leave(now, id, None);
        self.settle(now);
    }

    /// Attaches, changes or removes attributes of a path for one server, as if that server had written them.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a path that is not there, [`Refusal::NotAllowed`] for one that cannot be read,
    /// [`Refusal::BadValue`] for attributes that do not fit it, [`Refusal::Busy`] when there is no room.
    pub fn attach(
        &mut self,
        now: Instant,
        id: AccountId,
        path: Path,
        change: &AttributeChange,
    ) -> Result<(), Refusal> {
        let version = self.links.get(id.index()).ok_or(Refusal::NotFound)?.registration.version();
        let world = serve::world(self.config.root(), &mut self.objects, &mut self.accounts, id.0, version);
        let attached = self.attached.attach(&world, version, id.0, path, change);
        self.settle(now);
        attached.map_err(|code| match code {
            Code::NOT_FOUND => Refusal::NotFound,
            Code::METHOD_NOT_ALLOWED => Refusal::NotAllowed,
            Code::BAD_REQUEST => Refusal::BadValue,
            _ => Refusal::Busy,
        })
    }

    /// The attributes in force at a path for one server: attached there or inherited from above.
    pub fn attributes(&self, id: AccountId, path: Path) -> Attributes {
        self.attached.resolve(id.0, path)
    }

    /// Everything that is attached at present: for which server, where, what. To keep it over a restart and give it back to
    /// [`Client::attach`].
    pub fn attached(&self) -> impl Iterator<Item = (AccountId, Path, Attributes)> {
        self.attached.all().map(|(account, path, attributes)| (AccountId(account), path, attributes))
    }

    /// The configuration, to change it: what servers were told of it they hear of in an Update.
    pub fn config_mut(&mut self) -> &mut Config {
        self.touched = true;
        &mut self.config
    }

    /// Answers a request for which an object said [`Refusal::Later`]. After a Read or Observe `Ok` means that the values
    /// are there to be read now. A repeated or late answer is harmless.
    pub fn answer(&mut self, now: Instant, ask: AskId, answer: Result<(), Refusal>) {
        let slot = self.asks.get_mut(usize::from(ask.slot));
        let Some(found) = slot.and_then(|slot| slot.take_if(|found| found.generation == ask.generation))
        else {
            return;
        };
        self.now = now;
        self.touched = true;
        let account = AccountId(found.account);
        let outcome = match (answer, found.resume) {
            (Err(Refusal::Later), _) => Err(Deny::Later),
            (Err(refusal), _) => Err(Deny::from(refusal)),
            (Ok(()), Resume::Finish(code)) => Ok(Success::plain(code)),
            (Ok(()), Resume::Read { accept, .. }) => self.read_again(account, found.path, accept),
        };
        match outcome {
            Err(Deny::Later) => {
                // Still not: the question stays as it is.
                if let Some(slot) = self.asks.get_mut(usize::from(ask.slot)) {
                    *slot = Some(found);
                }
            }
            Err(Deny::With(code)) => self.respond(now, account, found.ticket, Success::plain(code), None),
            Ok(success) => {
                let observe = match found.resume {
                    Resume::Read { observe: Some(query), .. } => {
                        self.observe(now, account, found.ticket, found.path, success.format, query)
                    }
                    Resume::Read { .. } | Resume::Finish(_) => None,
                };
                self.respond(now, account, found.ticket, success, observe);
            }
        }
        self.settle(now);
    }

    /// Takes in a datagram that came from the server of an account; it is decrypted in place.
    ///
    /// A request from a server with which the client is not registered is ignored (TS_Core 6.2.1).
    pub fn handle_input(&mut self, now: Instant, from: AccountId, datagram: &mut [u8]) {
        #[cfg(feature = "dtls")]
        if self.is_secured(from) {
            self.take_in_secured(now, from, datagram);
            return self.settle(now);
        }
        self.take_in(now, from, datagram);
        self.settle(now);
    }

    /// Takes in a message.
    fn take_in(&mut self, now: Instant, from: AccountId, datagram: &[u8]) {
        let Some(link) = self.links.get_mut(from.index()) else { return };
        if self.accounts.get(from.index()).is_none_or(Option::is_none) {
            return;
        }
        let is_request = datagram.get(1).is_some_and(|code| Code(*code).is_request());
        #[cfg(feature = "bootstrap")]
        let (commands, deaf) = (
            self.accounts
                .get(from.index())
                .is_some_and(|slot| slot.as_ref().is_some_and(Account::is_bootstrap)),
            self.bootstrap.is_open(),
        );
        #[cfg(not(feature = "bootstrap"))]
        let (commands, deaf) = (false, false);
        // During a bootstrap the servers wait (TS_Core 6.1.7.1).
        if is_request && !commands && (deaf || !link.registration.is_registered()) {
            return;
        }
        self.stay_awake(now, from);
        let Some(link) = self.links.get_mut(from.index()) else { return };
        match link.peer.handle_input(now, &self.config.coap, datagram) {
            #[cfg(feature = "bootstrap")]
            Incoming::Request(request) if commands => self.serve_bootstrap(now, from, &request),
            Incoming::Request(request) => self.serve(now, from, &request),
            Incoming::Response(response) => self.on_response(now, from, &response),
            Incoming::Notification(notification) => link.peer.reject(notification.ticket),
            Incoming::Nothing | Incoming::Dropped(_) => {}
        }
    }

    /// Acts on all timers that have ended, and looks at values that may have changed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for link in &mut self.links {
            link.peer.handle_timeout(now, &self.config.coap);
        }
        self.tunnels_handle_timeout(now);
        let expired = |ask: &mut Ask| ask.deadline <= now;
        for index in 0..ASKS {
            if let Some(ask) = self.asks.get_mut(index).and_then(|slot| slot.take_if(expired)) {
                let late = Success::plain(Code::SERVICE_UNAVAILABLE);
                self.respond(now, AccountId(ask.account), ask.ticket, late, None);
            }
        }
        self.expire_sends(now);
        if self.sample_at().is_some_and(|at| at <= now) {
            self.sampled_at = now;
            self.touched = true;
        }
        self.settle(now);
    }

    /// Writes the next datagram into `out`, which should hold 1152 bytes, and 1280 where servers are behind coaps; `None` when
    /// there is none.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        let now = self.now;
        (0..u8::MAX).take(SERVERS).find_map(|index| {
            let to = AccountId(index);
            let len = self.transmit(to.index(), out)?;
            self.links.get_mut(to.index())?.heard_at = now;
            Some(Transmit { to, len })
        })
    }

    /// Returns what happened next; `None` when that was all.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop().or_else(|| self.observation_news())
    }

    /// Returns when [`Client::handle_timeout`] wants to be called; `None` when nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.touched {
            return Some(self.now);
        }
        let links = self.links.iter().filter_map(|link| {
            let waits = link.busy || link.offline || link.tunnel.is_connecting();
            let registration = link.registration.timeout().filter(|_| !waits);
            // An answer that stays away is not waited for beyond the lifetime.
            let expired = link.registration.expired_at().filter(|_| link.busy && !link.offline);
            let peer = link.peer.poll_timeout(&self.config.coap);
            let tunnel = link.tunnel.poll_timeout();
            [registration, expired, peer, tunnel, self.sleep_timeout(link)].into_iter().flatten().min()
        });
        let observations =
            self.observations.iter().flatten().filter(|observation| observation.runs()).filter_map(
                |observation| {
                    let attributes = self.effective(observation);
                    observation.timeout(&attributes, self.keeps(observation, &attributes))
                },
            );
        let asks = self.asks.iter().flatten().map(|ask| ask.deadline);
        #[cfg(feature = "bootstrap")]
        let asks = asks.chain(self.bootstrap.timeout());
        links.chain(observations).chain(asks).chain(self.sample_at()).chain(self.sends_expire_at()).min()
    }

    /// The LwM2M version negotiated with a server, or offered to it while there is no registration.
    fn version(&self, id: AccountId) -> Version {
        self.links.get(id.index()).map_or(self.config.version, |link| link.registration.version())
    }

    fn sample_at(&self) -> Option<Instant> {
        let every = self.config.sample_every?;
        self.observations.iter().flatten().find(|observation| observation.runs())?;
        Some(self.sampled_at + every)
    }

    /// Whether CoAP has to wait for a secure session.
    fn is_cut(&self, id: AccountId) -> bool {
        self.links.get(id.index()).is_some_and(|link| link.tunnel.is_cut(self.account(id)))
    }

    fn with_link(&mut self, id: AccountId, change: impl FnOnce(&mut Link<B>)) {
        if self.account(id).is_some()
            && let Some(link) = self.links.get_mut(id.index())
        {
            change(link);
        }
    }

    fn leave(&mut self, now: Instant, id: AccountId, back_after: Option<Duration>) {
        self.with_link(id, |link| {
            link.registration.leave(now, back_after);
            link.asleep = None;
        });
        self.end_sends(id);
        if back_after.is_some() {
            self.go_away(id);
        } else {
            self.pass_turn(id);
            self.end_observations(id);
            self.history.retain(|head| head.account != id.0 || head.subject == Subject::SEND);
        }
        if self.phase(id) == Phase::Idle {
            self.hang_up(id, now);
            self.events.push(Event::Deregistered(id));
        }
    }
}

/// The ID that is wanted, or the lowest that is not taken.
fn lowest_free(wanted: ObjectInstanceId, taken: impl Fn(ObjectInstanceId) -> bool) -> ObjectInstanceId {
    let candidates = core::iter::once(wanted).chain((0..u16::MAX).filter_map(ObjectInstanceId::new));
    candidates.into_iter().find(|id| !taken(*id)).unwrap_or(wanted)
}
