//! Two CoAP peers, and a network between them that the script steers: it loses, repeats, reorders and delays.

use crate::script::Script;
use core::time::Duration;
use lightship_coap::peer::{CacheKey, ExchangeId, NewNotification, NewRequest, Ticket};
use lightship_coap::{BlockSize, Code, Config, HeapBuffer, Incoming, Message, Peer, PeerEvent};
use lightship_platform::{Instant, SeededRng};
use std::collections::HashMap;

const METHODS: [Code; 6] = [Code::GET, Code::POST, Code::PUT, Code::DELETE, Code::FETCH, Code::IPATCH];
const UNDER_WAY_MAX: usize = 64;

/// A request, known to the side that makes it and to the side that answers it.
struct Job {
    body_len: usize,
    answer_len: usize,
    delivered: u32,
    ended: bool,
}

struct Side {
    peer: Peer<HeapBuffer>,
    config: Config,
    open: HashMap<ExchangeId, usize>,
    waiting: Vec<(Ticket, usize)>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    jobs: Vec<Job>,
    /// When it was sent, to which side, and what.
    under_way: Vec<(Instant, usize, Vec<u8>)>,
}

fn body(job: usize, salt: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 16 * 31 + at + job * 7 + salt) % 256) as u8).collect()
}

/// The conversation that the script steers. Whatever the network does, each request ends once, is delivered at most
/// once, and bodies arrive intact.
pub(crate) fn pair(data: &[u8]) {
    let mut script = Script(data);
    let szx = |byte: Option<u8>| BlockSize::from_szx(byte.unwrap_or(0) % 7).unwrap_or(BlockSize::MAX);
    let sides = [1, 2].map(|seed| Side {
        peer: Peer::new(&mut SeededRng::from_number(seed)),
        // No message ID may be forgotten early here: the network keeps datagrams longer than a real one.
        config: Config { block_size: szx(script.byte()), nstart: 2, seen_max: 4096, ..Config::new() },
        open: HashMap::new(),
        waiting: Vec::new(),
    });
    let mut pair = Pair { now: Instant::from_secs(1), sides, jobs: Vec::new(), under_way: Vec::new() };
    while let Some(step) = script.byte() {
        let side = usize::from(step >> 7);
        let argument = usize::from(script.byte().unwrap_or(0));
        pair.step(side, step & 15, argument);
        pair.drain();
    }
    pair.finish();
}

impl Pair {
    fn step(&mut self, side: usize, what: u8, argument: usize) {
        match what {
            0..=2 => self.request(side, argument, usize::from(what) * 300),
            3 => self.answer(side, argument),
            4..=7 => self.deliver(0),
            8 => self.deliver(argument),
            9 if self.under_way.len() < UNDER_WAY_MAX => {
                if let Some(copy) = self.under_way.get(argument).cloned() {
                    self.under_way.push(copy);
                }
            }
            10 if argument < self.under_way.len() => drop(self.under_way.remove(argument)),
            11 => self.wait(Duration::from_millis(argument as u64 * 20)),
            12 => self.wait_for_timer(),
            13 => self.notify(side, argument),
            14 => {
                let exchange = self.sides[side].open.keys().min_by_key(|id| format!("{id:?}")).copied();
                if let Some(exchange) = exchange {
                    self.sides[side].peer.cancel(exchange);
                    let job = self.sides[side].open.remove(&exchange);
                    self.jobs[job.expect("it was found open")].ended = true;
                }
            }
            _ => {}
        }
    }

    fn request(&mut self, side: usize, argument: usize, more: usize) {
        let Side { peer, config, open, .. } = &mut self.sides[side];
        if !peer.can_send(config) {
            return;
        }
        let number = self.jobs.len();
        let method = METHODS[argument % METHODS.len()];
        let has_body = !matches!(method, Code::GET | Code::DELETE);
        let job = Job {
            body_len: if has_body { argument * 3 + more } else { 0 },
            answer_len: argument * 2 + more,
            delivered: 0,
            ended: false,
        };
        let new = NewRequest { confirmable: !argument.is_multiple_of(5), ..NewRequest::con(method) };
        let payload = body(number, 1, job.body_len);
        let id = peer.request(
            self.now,
            config,
            new,
            |options| {
                options.uri_query_fmt(format_args!("{number}"));
            },
            &payload,
        );
        assert!(open.insert(id.expect("there is room for a request"), number).is_none());
        self.jobs.push(job);
    }

    fn answer(&mut self, side: usize, argument: usize) {
        let Side { peer, config, waiting, .. } = &mut self.sides[side];
        if waiting.is_empty() {
            return;
        }
        let (ticket, job) = waiting.remove(argument % waiting.len());
        let payload = body(job, 2, self.jobs[job].answer_len);
        let _busy_or_too_old = peer.respond(self.now, config, ticket, Code::CONTENT, |_| {}, &payload);
    }

    fn notify(&mut self, side: usize, argument: usize) {
        let Side { peer, config, .. } = &mut self.sides[side];
        let new = NewNotification {
            key: argument as u32,
            token: lightship_coap::Token::EMPTY,
            cache_key: CacheKey::default(),
            code: Code::CONTENT,
            confirmable: argument.is_multiple_of(2),
        };
        let _busy = peer.notify(
            self.now,
            config,
            new,
            |options| {
                options.observe(argument as u32);
            },
            &[1; 20],
        );
    }

    fn deliver(&mut self, index: usize) {
        if index >= self.under_way.len() {
            return;
        }
        let (sent_at, side, datagram) = self.under_way.remove(index);
        // Nothing lives longer than MAX_LATENCY on any network.
        if self.now.saturating_duration_since(sent_at) > Duration::from_secs(100) {
            return;
        }
        let Side { peer, config, open, waiting } = &mut self.sides[side];
        match peer.handle_input(self.now, config, &datagram) {
            Incoming::Nothing | Incoming::Dropped(_) => {}
            Incoming::Request(request) => {
                let number: usize =
                    request.message.uri_query().next().and_then(|n| n.parse().ok()).expect("we put it there");
                let job = &mut self.jobs[number];
                if request.message.block2().is_none_or(|block| block.is_ok_and(|block| block.num() == 0)) {
                    job.delivered += 1;
                    assert!(job.delivered == 1, "a request is delivered once");
                }
                assert_eq!(
                    peer.payload(request.body),
                    body(number, 1, job.body_len),
                    "a request's body is intact"
                );
                waiting.push((request.ticket, number));
            }
            Incoming::Response(response) => {
                let number = open.remove(&response.exchange).expect("a response answers an open request");
                let job = &mut self.jobs[number];
                assert!(!job.ended, "a request ends once");
                job.ended = true;
                if response.message.code() == Code::CONTENT {
                    assert_eq!(
                        peer.payload(response.body),
                        body(number, 2, job.answer_len),
                        "a response's body is intact"
                    );
                }
            }
            Incoming::Notification(notification) => {
                if notification.message.observe().is_some() && datagram.len() % 2 == 0 {
                    peer.accept(notification.ticket);
                } else {
                    peer.reject(notification.ticket);
                }
            }
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        for Side { peer, config, .. } in &mut self.sides {
            peer.handle_timeout(self.now, config);
            assert!(
                peer.poll_timeout(config).is_none_or(|at| at > self.now),
                "a timer that ended ends again"
            );
        }
    }

    fn wait_for_timer(&mut self) {
        let next = self.sides.iter().filter_map(|side| side.peer.poll_timeout(&side.config)).min();
        if let Some(at) = next {
            self.wait(at.saturating_duration_since(self.now));
        }
    }

    fn drain(&mut self) {
        let mut out = [0; 1152];
        for (index, Side { peer, open, config, .. }) in self.sides.iter_mut().enumerate() {
            while let Some(event) = peer.poll_event() {
                if let PeerEvent::RequestFailed { exchange, .. } = event {
                    let number = open.remove(&exchange).expect("a failure belongs to an open request");
                    assert!(!self.jobs[number].ended, "a request ends once");
                    self.jobs[number].ended = true;
                }
            }
            while let Some(len) = peer.poll_transmit(&mut out) {
                assert!(Message::parse(&out[..len]).is_ok(), "what is sent is well-formed");
                if self.under_way.len() < UNDER_WAY_MAX {
                    self.under_way.push((self.now, 1 - index, out[..len].to_vec()));
                }
            }
            assert!(peer.buffered_len() <= config.buffer_len_max, "more is buffered than allowed");
        }
    }

    /// Plays on without further mischief until nothing is left to happen.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            self.drain();
            self.answer(0, 0);
            self.answer(1, 0);
            self.drain();
            let timers = self.sides.iter().any(|side| side.peer.poll_timeout(&side.config).is_some());
            match (self.under_way.is_empty(), timers) {
                (false, _) => self.deliver(0),
                (true, true) => self.wait_for_timer(),
                (true, false) => {
                    assert!(self.jobs.iter().all(|job| job.ended), "every request ends");
                    for side in &self.sides {
                        assert!(side.peer.is_idle() && side.peer.buffered_len() == 0, "nothing stays behind");
                    }
                    return;
                }
            }
        }
        panic!("it never ends");
    }
}
