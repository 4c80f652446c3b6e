//! One device and one server, with a network between them: for tests that look at every answer.

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

/// A datagram that arrives: when, in which order, whether at the server, and what.
type Arrival = (Instant, u64, bool, Vec<u8>);

/// A device with these objects, and a server.
pub struct Pair<O: Objects> {
    /// The time.
    pub now: Instant,
    /// The device.
    pub client: Client<O, HeapBuffer, 1, 8, 1024>,
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
        let mut rng = SeededRng::from_number(seed);
        let mut config = Config::new(NAME);
        config.version = version;
        let mut client = Client::new(config, objects, &mut rng);
        let ssid = ShortServerId::new(1).expect("a legal number");
        let mut account = Account::new(ssid, "coap://server").lifetime(86_400);
        account.confirmable_notifications = Some(true);
        change(&mut account);
        let account = client.add_account(account).expect("the first account fits");
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        let shard = Shard::new(lightship_server::Config::default(), secret);
        rng.fill(&mut secret);
        let network = Network::new(1, quality, SeededRng::new(secret));
        let now = Instant::from_secs(1000);
        let (agenda, events, wanted) = (BinaryHeap::new(), Vec::new(), Vec::new());
        let mut pair = Self { now, client, account, shard, network, wanted, events, agenda, order: 0 };
        pair.client.register(now, account);
        pair.drain();
        pair
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
        let wakes = [arrival, self.shard.poll_timeout(), self.client.poll_timeout()];
        let next = wakes.into_iter().flatten().min().filter(|at| *at <= end);
        let Some(next) = next else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if arrival.is_some_and(|at| at <= self.now) {
            if let Some(Reverse((_, _, to_server, mut bytes))) = self.agenda.pop() {
                if to_server {
                    self.shard.handle_input(self.now, self.network.address(0), &mut bytes);
                } else {
                    self.client.handle_input(self.now, self.account, &bytes);
                }
            }
        } else {
            self.shard.handle_timeout(self.now);
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

    /// Takes everything out of both engines.
    pub fn drain(&mut self) {
        loop {
            let mut buffer = [0; 1500];
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                self.post(false, &buffer[..transmit.len]);
            } else if let Some(transmit) = self.client.poll_transmit(&mut buffer) {
                self.post(true, &buffer[..transmit.len]);
            } else if let Some(event) = self.shard.poll_event() {
                match &event {
                    Event::AskRegister { ask, .. } => {
                        let answer = Answer::Accept { observations: self.wanted.clone() };
                        self.shard.answer(self.now, *ask, answer);
                    }
                    Event::AskDurable { ask, .. } => self.shard.answer(self.now, *ask, Answer::Stored),
                    _ => {}
                }
                self.events.push(event);
            } else if self.client.poll_event().is_none() {
                return;
            }
        }
    }

    fn post(&mut self, to_server: bool, bytes: &[u8]) {
        for at in self.network.send(self.now, 0) {
            self.order += 1;
            self.agenda.push(Reverse((at, self.order, to_server, bytes.to_vec())));
        }
    }
}
