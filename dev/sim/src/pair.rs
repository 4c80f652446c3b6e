//! One device and its server, or servers, with a network between them: for tests that look at every answer.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use lightship_client::{Account, AccountId, Client, Config, Objects, Phase};
use lightship_coap::peer::HeapBuffer;
use lightship_lwm2m::{Endpoint, ShortServerId, Version};
use lightship_platform::{Instant, Rng, SeededRng};
use lightship_server::{
    Answer, Event, Operation, Outcome, Registration, Request, RequestId, Shard, Wanted, WhenAsleep,
};

use crate::network::{Network, Quality};

/// The device's name.
pub const NAME: &str = "urn:sim:pair";
/// How long a request may take before the server gives up.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How many servers a device may have here.
pub const SERVERS_MAX: usize = 2;

/// A datagram that arrives: when, in which order, between the device and which server, whether at the server, and what.
type Arrival = (Instant, u64, usize, bool, Vec<u8>);

/// Sees every datagram that is sent, before the network has its way: whether the device sent it, and what.
pub type Tap = Box<dyn FnMut(bool, &[u8])>;

/// A server, and what its host knows.
struct Server {
    account: AccountId,
    shard: Shard,
    wanted: Vec<Wanted>,
    events: Vec<Event>,
}

/// A device with these objects, and its servers, of which the tests speak as one at a time: [`Pair::turn_to`].
pub struct Pair<O: Objects> {
    /// The time.
    pub now: Instant,
    /// The device.
    pub client: Client<O, HeapBuffer, SERVERS_MAX, 32, 4096>,
    /// Its account at the server.
    pub account: AccountId,
    /// The server.
    pub shard: Shard,
    /// What lies between.
    pub network: Network,
    /// What the server's host wants to be observed at each registration.
    pub wanted: Vec<Wanted>,
    /// What the server's host was told and has not been taken yet.
    pub events: Vec<Event>,
    /// What the device's host was told and has not been taken yet.
    pub told: Vec<lightship_client::Event>,
    /// Looks on.
    pub tap: Option<Tap>,
    /// Which server the account, the shard, the wishes and the events are of.
    present: usize,
    /// The other servers; the present one's place is empty.
    others: Vec<Option<Server>>,
    agenda: BinaryHeap<Reverse<Arrival>>,
    order: u64,
}

impl<O: Objects> Pair<O> {
    /// Both, with the device on its way to register; `change` sees the account before.
    #[must_use]
    pub fn new(
        seed: u64,
        quality: Quality,
        version: Version,
        objects: O,
        change: impl FnOnce(&mut Account),
    ) -> Self {
        let mut account = account(1);
        change(&mut account);
        let mut config = Config::new(NAME);
        config.version = version;
        Self::with_servers(seed, quality, config, objects, vec![account])
    }

    /// A device with these accounts, and a server for each; the tests speak as the first.
    ///
    /// # Panics
    /// Without accounts, or with too many.
    #[must_use]
    pub fn with_servers(
        seed: u64,
        quality: Quality,
        config: Config,
        objects: O,
        accounts: Vec<Account>,
    ) -> Self {
        let mut rng = SeededRng::from_number(seed);
        let mut client = Client::new(config, objects, &mut rng);
        let mut secret = [0; 32];
        let mut servers = Vec::new();
        for account in accounts {
            let account = client.add_account(account).unwrap_or_else(|_| panic!("too many accounts"));
            rng.fill(&mut secret);
            let shard = Shard::new(lightship_server::Config::default(), secret);
            servers.push(Some(Server { account, shard, wanted: Vec::new(), events: Vec::new() }));
        }
        rng.fill(&mut secret);
        let network = Network::new(1, quality, SeededRng::new(secret));
        let now = Instant::from_secs(1000);
        let Server { account, shard, wanted, events } = servers[0].take().expect("at least one account");
        let mut pair = Self {
            now,
            client,
            account,
            shard,
            network,
            wanted,
            events,
            told: Vec::new(),
            tap: None,
            present: 0,
            others: servers,
            agenda: BinaryHeap::new(),
            order: 0,
        };
        for id in pair.client.accounts().map(|(id, _)| id).collect::<Vec<_>>() {
            pair.client.register(now, id);
        }
        pair.drain();
        pair
    }

    /// From now on [`Pair::account`], [`Pair::shard`] and the rest are those of this server.
    pub fn turn_to(&mut self, index: usize) {
        if let Some(other) = self.others[index].take() {
            let before = Server {
                account: core::mem::replace(&mut self.account, other.account),
                shard: core::mem::replace(&mut self.shard, other.shard),
                wanted: core::mem::replace(&mut self.wanted, other.wanted),
                events: core::mem::replace(&mut self.events, other.events),
            };
            self.others[self.present] = Some(before);
            self.present = index;
        }
    }

    /// Does something as each server in turn.
    fn each_server(&mut self, mut act: impl FnMut(&mut Self)) {
        let present = self.present;
        for index in 0..self.others.len() {
            self.turn_to(index);
            act(self);
        }
        self.turn_to(present);
    }

    /// Lets the device register, however long it takes.
    pub fn register(&mut self) {
        while !matches!(self.client.phase(self.account), Phase::Registered { .. }) {
            self.run(Duration::from_secs(1));
        }
    }

    /// The endpoint's name.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(NAME).expect("a legal name")
    }

    /// The registration as the server knows it.
    #[must_use]
    pub fn registration(&self) -> Option<Registration> {
        self.shard.registration(&self.endpoint())
    }

    /// Asks something of the device; [`Pair::outcome`] tells how it ended.
    pub fn ask(&mut self, operation: Operation, patience: Duration) -> RequestId {
        let request = Request::new(operation, self.now + patience);
        let id = self.shard.request(self.now, &self.endpoint(), request).expect("taken");
        self.drain();
        id
    }

    /// How a request ended, if it has.
    pub fn outcome(&mut self, id: RequestId) -> Option<Outcome> {
        let ended = |event: &Event| matches!(event, Event::RequestDone { id: done, .. } if *done == id);
        let at = self.events.iter().position(ended)?;
        match self.events.remove(at) {
            Event::RequestDone { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// Asks and waits.
    pub fn request(&mut self, operation: Operation) -> Outcome {
        let id = self.ask(operation, PATIENCE);
        loop {
            if let Some(outcome) = self.outcome(id) {
                return outcome;
            }
            assert!(self.step(self.now + PATIENCE), "a request ends");
        }
    }

    /// Observes and waits for the first value.
    pub fn observe(&mut self, wanted: Wanted) -> Outcome {
        let deadline = self.now + PATIENCE;
        let id = self
            .shard
            .observe(self.now, &self.endpoint(), wanted, deadline, WhenAsleep::Refuse)
            .expect("taken");
        self.drain();
        loop {
            let found = self.events.iter().find_map(|event| match event {
                Event::ObservationStarted { observation, response, .. } if *observation == id => {
                    Some(Outcome::Response(response.clone()))
                }
                Event::ObservationFailed { observation, outcome, .. } if *observation == id => {
                    Some(outcome.clone())
                }
                Event::ObservationEnded { observation, .. } if *observation == id => {
                    Some(Outcome::Deregistered)
                }
                _ => None,
            });
            if let Some(outcome) = found {
                return outcome;
            }
            assert!(self.step(deadline + Duration::from_secs(1)), "an attempt ends");
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
    }

    /// Lets the next thing happen, if it happens by `end`; otherwise it is `end` now.
    pub fn step(&mut self, end: Instant) -> bool {
        let arrival = self.agenda.peek().map(|Reverse((at, ..))| *at);
        let others = self.others.iter().flatten().filter_map(|server| server.shard.poll_timeout());
        let wakes = [arrival, self.shard.poll_timeout(), self.client.poll_timeout()];
        let next = wakes.into_iter().flatten().chain(others).min().filter(|at| *at <= end);
        let Some(next) = next else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if arrival.is_some_and(|at| at <= self.now) {
            if let Some(Reverse((_, _, server, to_server, mut bytes))) = self.agenda.pop() {
                let present = self.present;
                self.turn_to(server);
                if to_server {
                    self.shard.handle_input(self.now, self.network.address(0), &mut bytes);
                } else {
                    self.client.handle_input(self.now, self.account, &mut bytes);
                }
                self.turn_to(present);
            }
        } else {
            self.each_server(|pair| pair.shard.handle_timeout(pair.now));
            self.client.handle_timeout(self.now);
        }
        self.drain();
        true
    }

    /// Changes what the device measures, as its application would.
    pub fn change(&mut self, change: impl FnOnce(&mut O)) {
        change(self.client.objects_mut());
        self.drain();
    }

    /// Takes everything out of all engines.
    pub fn drain(&mut self) {
        let mut busy = true;
        while busy {
            busy = self.drain_client();
            self.each_server(|pair| busy |= pair.drain_server());
        }
    }

    fn drain_client(&mut self) -> bool {
        let mut busy = false;
        let mut buffer = [0; 1500];
        loop {
            if let Some(transmit) = self.client.poll_transmit(&mut buffer) {
                // Accounts are numbered as the servers are.
                self.post(transmit.to.index(), true, &buffer[..transmit.len]);
            } else if let Some(event) = self.client.poll_event() {
                self.told.push(event);
            } else {
                return busy;
            }
            busy = true;
        }
    }

    fn drain_server(&mut self) -> bool {
        let mut busy = false;
        let mut buffer = [0; 1500];
        loop {
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                self.post(self.present, false, &buffer[..transmit.len]);
            } else if let Some(event) = self.shard.poll_event() {
                match &event {
                    Event::AskRegister { ask, .. } => {
                        let answer = Answer::Accept { observations: self.wanted.clone() };
                        self.shard.answer(self.now, *ask, answer);
                    }
                    Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. } => {
                        self.shard.answer(self.now, *ask, Answer::Stored)
                    }
                    _ => {}
                }
                self.events.push(event);
            } else {
                return busy;
            }
            busy = true;
        }
    }

    fn post(&mut self, server: usize, to_server: bool, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap(to_server, bytes);
        }
        for at in self.network.send(self.now, 0) {
            self.order += 1;
            self.agenda.push(Reverse((at, self.order, server, to_server, bytes.to_vec())));
        }
    }
}

/// An account for a server with that Short Server ID: lifetime of a day, notifications confirmed.
///
/// # Panics
/// When there can be no such Short Server ID.
#[must_use]
pub fn account(ssid: u16) -> Account {
    let ssid = ShortServerId::new(ssid).expect("a legal number");
    let mut account = Account::new(ssid, "coap://server").lifetime(86_400);
    account.confirmable_notifications = true.into();
    account
}
