//! A thread of the load: one engine, its sockets, the clock.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use lightship_net::Clock;
use lightship_net::fleet::{Fleet, FleetCounters};
use lightship_platform::Instant;

use super::engine::{Engine, Part, Stage};
use super::ledger;
use super::settings::Settings;
use super::stats::{Stats, histogram};

/// What the conductor and one thread tell each other.
pub(crate) struct Post {
    /// What the conductor wants, as a [`Score`].
    wanted: AtomicU8,
    /// The last of these that the thread has done all for.
    finished: AtomicU8,
    seen: Mutex<Seen>,
}

/// What a thread shows while it works.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) registered: u32,
    pub(crate) under_way: u32,
    pub(crate) begun: u64,
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    pub(crate) missing: u64,
    /// Latencies since they were last taken out.
    pub(crate) recent: Histogram<u64>,
}

/// The course of a load; it goes on in this order and may leave parts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Score {
    Wait,
    Ramp,
    Run,
    Drain,
    Leave,
    Stop,
}

impl Score {
    const ALL: [Self; 6] = [Self::Wait, Self::Ramp, Self::Run, Self::Drain, Self::Leave, Self::Stop];

    fn number(self) -> u8 {
        Self::ALL.iter().position(|score| *score == self).and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
    }

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Stop)
    }

    /// The stage of the engines; `None` before the first and after the last.
    const fn stage(self) -> Option<Stage> {
        match self {
            Self::Wait | Self::Stop => None,
            Self::Ramp => Some(Stage::Ramp),
            Self::Run => Some(Stage::Run),
            Self::Drain => Some(Stage::Drain),
            Self::Leave => Some(Stage::Leave),
        }
    }
}

impl Post {
    pub(crate) fn new() -> Self {
        Self {
            wanted: AtomicU8::new(Score::Wait.number()),
            finished: AtomicU8::new(Score::Wait.number()),
            seen: Mutex::new(Seen {
                registered: 0,
                under_way: 0,
                begun: 0,
                right: 0,
                wrong: 0,
                missing: 0,
                recent: histogram(),
            }),
        }
    }

    /// Asks the thread to go on.
    pub(crate) fn want(&self, score: Score) {
        self.wanted.store(score.number(), Ordering::Release);
    }

    /// Whether the thread has done all that belongs to that part.
    pub(crate) fn has_finished(&self, score: Score) -> bool {
        self.finished.load(Ordering::Acquire) == score.number()
    }

    /// What the thread showed last; the latencies are taken out.
    pub(crate) fn look(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let copy = seen.clone();
        seen.recent.reset();
        copy
    }

    fn show(&self, engine: &mut Engine) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        engine.take_recent(&mut seen.recent);
        let stats = engine.stats();
        seen.begun = stats.sum(|tally| tally.begun);
        seen.right = stats.sum(|tally| tally.right);
        seen.wrong = stats.sum(|tally| tally.wrong);
        seen.missing = stats.sum(|tally| tally.missing);
        seen.registered = engine.registered();
        seen.under_way = engine.under_way();
    }
}

/// What a thread leaves.
pub(crate) struct Left {
    pub(crate) stats: Stats,
    pub(crate) counters: FleetCounters,
    pub(crate) registered: u32,
}

/// What a thread works with.
pub(crate) struct Worker {
    pub(crate) settings: Arc<Settings>,
    pub(crate) part: Part,
    pub(crate) fleet: Fleet,
    pub(crate) post: Arc<Post>,
    pub(crate) ledger: Option<Arc<File>>,
    pub(crate) clock: Clock,
    pub(crate) seed: [u8; 32],
}

impl Worker {
    /// Works until the conductor says stop.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the system refuses to wait for datagrams.
    pub(crate) fn run(mut self) -> io::Result<Left> {
        let mut engine = Engine::new(self.settings, self.part, self.clock.now(), self.seed);
        let mut score = Score::Wait;
        let mut show_at = Instant::ZERO;
        loop {
            let now = self.clock.now();
            let wanted = Score::of(self.post.wanted.load(Ordering::Acquire));
            if wanted != score {
                score = wanted;
                if let Some(stage) = score.stage() {
                    engine.enter(stage, now);
                }
            }
            if score == Score::Stop {
                break;
            }
            engine.drive(now, self.clock.date());
            // What was promised is written before anything else happens.
            if let (Some(lines), Some(file)) = (engine.take_ledger(), &self.ledger) {
                ledger::append(file, lines)?;
            }
            engine.poll_transmit(|device, datagram| self.fleet.push(device, datagram));
            self.fleet.flush();
            if now >= show_at {
                show_at = now + SHOW_EVERY;
                self.post.show(&mut engine);
            }
            if engine.is_finished() && !self.post.has_finished(score) {
                self.post.show(&mut engine);
                self.post.finished.store(score.number(), Ordering::Release);
            }
            let now = self.clock.now();
            let wait = engine.poll_timeout().map_or(WAIT_MAX, |at| at.saturating_duration_since(now));
            let clock = self.clock;
            self.fleet.receive(wait.min(WAIT_MAX), |device, datagram| {
                engine.handle_input(clock.now(), device, datagram);
            })?;
        }
        self.post.show(&mut engine);
        if let (Some(lines), Some(file)) = (engine.take_ledger(), &self.ledger) {
            ledger::append(file, lines)?;
        }
        Ok(Left {
            stats: engine.stats().clone(),
            counters: self.fleet.counters(),
            registered: engine.registered(),
        })
    }
}

/// How long to wait at most, so that the conductor is heard.
const WAIT_MAX: Duration = Duration::from_millis(20);
const SHOW_EVERY: Duration = Duration::from_millis(100);
