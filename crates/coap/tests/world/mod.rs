//! Two peers on a virtual network: a clock, and links that lose, repeat and reorder.

use std::collections::HashMap;

use lightship_coap::peer::{Buffer, Config, Incoming, NewRequest, Peer, PeerEvent, Ticket};
use lightship_coap::{Code, ContentFormat, Message};
use lightship_platform::{Duration, Instant, Rng as _, SeededRng};

/// How a link treats datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) loss_percent: u32,
    pub(crate) repeat_percent: u32,
    pub(crate) delay_min_ms: u32,
    pub(crate) delay_max_ms: u32,
}

/// One request that a side makes and what the other is to answer.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) method: Code,
    pub(crate) confirmable: bool,
    pub(crate) body_len: usize,
    pub(crate) answer_len: usize,
    /// How long the application thinks.
    pub(crate) think_ms: u32,
    pub(crate) begin_at_ms: u32,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Failed(lightship_coap::peer::Failure),
}

/// One side: a peer and an application that checks everything it sees.
pub(crate) struct Side<B: Buffer> {
    pub(crate) peer: Peer<B>,
    pub(crate) config: Config,
    jobs: Vec<Job>,
    next_job: usize,
    open: HashMap<lightship_coap::peer::ExchangeId, usize>,
    pub(crate) outcomes: Vec<Option<Outcome>>,
    /// How often each of the other side's jobs was delivered here.
    pub(crate) delivered: HashMap<usize, u32>,
    thinking: Vec<(Instant, Ticket, usize, usize)>,
    pub(crate) datagrams: u32,
}

/// A body that no part of can be confused with another.
pub(crate) fn body(job: usize, salt: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 16 * 31 + at + job * 7 + usize::from(salt)) as u8).collect()
}

impl<B: Buffer> Side<B> {
    pub(crate) fn new(rng: &mut SeededRng, config: Config, jobs: Vec<Job>) -> Self {
        Self {
            peer: Peer::new(rng),
            config,
            outcomes: vec![None; jobs.len()],
            jobs,
            next_job: 0,
            open: HashMap::new(),
            delivered: HashMap::new(),
            thinking: Vec::new(),
            datagrams: 0,
        }
    }

    fn begin_jobs(&mut self, now: Instant) {
        while let Some(job) = self.jobs.get(self.next_job).cloned() {
            if Instant::from_millis(job.begin_at_ms.into()) > now || !self.peer.can_send(&self.config) {
                return;
            }
            let index = self.next_job;
            let new = if job.confirmable { NewRequest::con(job.method) } else { NewRequest::non(job.method) };
            let id = self.peer.request(
                now,
                &self.config,
                new,
                |options| {
                    options.uri_query_fmt(format_args!("job={index}"));
                    options.uri_query_fmt(format_args!("answer={}", job.answer_len));
                    options.uri_query_fmt(format_args!("think={}", job.think_ms));
                    options.uri_path("some/where").content_format(ContentFormat::OPAQUE);
                },
                &body(index, 1, job.body_len),
            );
            assert!(self.open.insert(id.unwrap(), index).is_none());
            self.next_job += 1;
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        match self.peer.handle_input(now, &self.config, datagram) {
            Incoming::Nothing | Incoming::Dropped(_) => {}
            Incoming::Request(request) => {
                let job = query(&request.message, "job=");
                let is_first = request.message.block2().is_none_or(|block| block.unwrap().num() == 0);
                if is_first {
                    *self.delivered.entry(job).or_default() += 1;
                }
                let payload = self.peer.payload(request.body);
                assert_eq!(payload, body(job, 1, payload.len()), "a request's body arrives intact");
                let think = Duration::from_millis(query(&request.message, "think=") as u64);
                self.thinking.push((now + think, request.ticket, job, query(&request.message, "answer=")));
            }
            Incoming::Response(response) => {
                let job = self.open.remove(&response.exchange).expect("a response answers an open request");
                assert_eq!(self.outcomes[job], None, "a request ends once");
                let payload = self.peer.payload(response.body);
                assert_eq!(response.message.code(), Code::CONTENT, "{}", String::from_utf8_lossy(payload));
                assert_eq!(
                    payload,
                    body(job, 2, self.jobs[job].answer_len),
                    "a response's body arrives intact"
                );
                self.outcomes[job] = Some(Outcome::Answered);
            }
            Incoming::Notification(notification) => {
                // A response that comes after its request was given up.
                self.peer.reject(notification.ticket);
            }
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::RequestFailed { exchange, reason } => {
                    let job = self.open.remove(&exchange).expect("a failure belongs to an open request");
                    assert_eq!(self.outcomes[job], None, "a request ends once");
                    self.outcomes[job] = Some(Outcome::Failed(reason));
                }
                PeerEvent::ResponseLost => {}
                PeerEvent::Pong { .. }
                | PeerEvent::NotificationAcknowledged { .. }
                | PeerEvent::NotificationRejected { .. }
                | PeerEvent::NotificationTimedOut { .. } => panic!("unexpected {event:?}"),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.peer.poll_timeout(&self.config).is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now, &self.config);
            let next = self.peer.poll_timeout(&self.config);
            assert!(next.is_none_or(|at| at > now), "a timer that has ended does not end again");
        }
        while let Some(at) = self.thinking.iter().position(|(at, ..)| *at <= now) {
            let (_, ticket, job, len) = self.thinking.swap_remove(at);
            let options = |options: &mut lightship_coap::OptionWriter<'_>| {
                options.content_format(ContentFormat::OPAQUE);
            };
            self.peer
                .respond(now, &self.config, ticket, Code::CONTENT, options, &body(job, 2, len))
                .expect("there is room for the answer");
        }
        self.begin_jobs(now);
    }

    fn next_at(&self) -> Option<Instant> {
        let thinking = self.thinking.iter().map(|(at, ..)| *at).min();
        let job = self.jobs.get(self.next_job).filter(|_| self.peer.can_send(&self.config));
        let job = job.map(|job| Instant::from_millis(job.begin_at_ms.into()));
        [self.peer.poll_timeout(&self.config), thinking, job].into_iter().flatten().min()
    }
}

fn query(message: &Message<'_>, name: &str) -> usize {
    let part = message.uri_query().find_map(|part| part.strip_prefix(name)).unwrap();
    part.parse().unwrap()
}

/// Two sides and what is on its way between them.
pub(crate) struct World<A: Buffer, B: Buffer> {
    pub(crate) now: Instant,
    pub(crate) left: Side<A>,
    pub(crate) right: Side<B>,
    link: Link,
    rng: SeededRng,
    /// When, whether to the right, and what.
    on_the_way: Vec<(Instant, bool, Vec<u8>)>,
}

impl<A: Buffer, B: Buffer> World<A, B> {
    pub(crate) fn new(rng: SeededRng, link: Link, left: Side<A>, right: Side<B>) -> Self {
        Self { now: Instant::ZERO, left, right, link, rng, on_the_way: Vec::new() }
    }

    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) {
        for _ in 0..200_000 {
            self.left.tick(self.now);
            self.right.tick(self.now);
            self.drain();
            let on_the_way = self.on_the_way.iter().map(|(at, ..)| *at).min();
            let next = [on_the_way, self.left.next_at(), self.right.next_at()].into_iter().flatten().min();
            let Some(next) = next else { return };
            self.now = self.now.max(next);
            while let Some(at) = self.on_the_way.iter().position(|(at, ..)| *at <= self.now) {
                let (_, to_the_right, datagram) = self.on_the_way.swap_remove(at);
                if to_the_right {
                    self.right.input(self.now, &datagram);
                } else {
                    self.left.input(self.now, &datagram);
                }
                self.drain();
            }
        }
        panic!("it never ends");
    }

    fn drain(&mut self) {
        let mut out = [0; 1152];
        loop {
            self.left.events();
            self.right.events();
            if let Some(len) = self.left.peer.poll_transmit(&mut out) {
                self.left.datagrams += 1;
                self.send(true, &out[..len]);
            } else if let Some(len) = self.right.peer.poll_transmit(&mut out) {
                self.right.datagrams += 1;
                self.send(false, &out[..len]);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, to_the_right: bool, datagram: &[u8]) {
        assert!(Message::parse(datagram).is_ok(), "what is sent is well-formed");
        let copies = if self.rng.below(100) < self.link.repeat_percent { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.below(100) >= self.link.loss_percent {
                let spread = self.link.delay_max_ms - self.link.delay_min_ms + 1;
                let delay = self.link.delay_min_ms + self.rng.below(spread);
                let at = self.now + Duration::from_millis(delay.into());
                self.on_the_way.push((at, to_the_right, datagram.to_vec()));
            }
        }
    }
}
