//! `lightship load`: simulated devices by the hundred thousand, and what a server makes of them.
//!
//! The device engine of `client` knows objects, accounts and access; a device here is a few dozen bytes that speak the same
//! CoAP. `engine.rs` has the devices of one thread, `worker.rs` gives it sockets and time, and here stands the conductor.

mod content;
mod device;
mod engine;
mod ledger;
mod mix;
mod pattern;
mod progress;
mod settings;
mod stats;
mod summary;
mod wheel;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lightship_net::Clock;
use lightship_net::fleet::Fleet;
use lightship_platform::Instant;

use self::engine::Part;
use self::progress::Progress;
use self::settings::Settings;
use self::stats::Stats;
use self::summary::Summary;
use self::worker::{Left, Post, Score, Worker};
use crate::cli::LoadArguments;
use crate::failure::Failure;
use crate::output;

/// Runs the command.
pub(crate) fn run(arguments: &LoadArguments) -> Result<(), Failure> {
    let settings = Arc::new(Settings::new(arguments)?);
    if arguments.print_credentials {
        return print_credentials(&settings);
    }
    let mut load = Load::start(&settings)?;
    let mut progress = Progress::new(arguments.quiet, &settings);
    let verdict = load.conduct(&mut progress);
    progress.end();
    let summary = load.finish()?;
    if let Some(file) = &arguments.report {
        std::fs::write(file, format!("{:#}\n", summary.json()))
            .map_err(|error| Failure::failed(format_args!("{}: {error}", file.display())))?;
    }
    if arguments.json {
        output::exactly(&format!("{:#}", summary.json()))?;
    } else {
        output::line(&summary.text())?;
    }
    verdict?;
    let (missing, wrong) = summary.faults();
    if arguments.strict && missing + wrong > 0 {
        return Err(Failure::failed(format_args!("{missing} answers are missing, {wrong} are wrong")));
    }
    Ok(())
}

/// What a server must know of the devices, for its REST API or another way in.
fn print_credentials(settings: &Settings) -> Result<(), Failure> {
    let Some(secure) = &settings.secure else { return Ok(()) };
    for number in settings.first..=settings.first + (settings.devices - 1) {
        let line = serde_json::json!({
            "endpoint": settings.name.of(number),
            "mode": "psk",
            "identity": secure.identity.of(number),
            "key_hex": secure.key.of(number),
        });
        output::exactly(&line.to_string())?;
    }
    Ok(())
}

/// A load that runs.
struct Load {
    settings: Arc<Settings>,
    clock: Clock,
    posts: Vec<Arc<Post>>,
    threads: Vec<JoinHandle<io::Result<Left>>>,
    interrupts: Arc<AtomicUsize>,
    /// How long ramp, run and leave took.
    spans: [Duration; 3],
}

impl Load {
    fn start(settings: &Arc<Settings>) -> Result<Self, Failure> {
        let failed =
            |what: &str, error: &dyn std::fmt::Display| Failure::failed(format_args!("{what}: {error}"));
        let clock = Clock::start();
        let ledger = settings.ledger.as_deref().map(ledger::open).transpose();
        let ledger = ledger.map_err(|error| failed("--ledger", &error))?.map(Arc::new);
        let interrupts = Arc::new(AtomicUsize::new(0));
        catch_interrupts(&interrupts).map_err(|error| failed("signals", &error))?;
        let mut load = Self {
            settings: Arc::clone(settings),
            clock,
            posts: Vec::new(),
            threads: Vec::new(),
            interrupts,
            spans: [Duration::ZERO; 3],
        };
        for part in parts(settings) {
            let fleet = Fleet::open(settings.server, settings.origin, part.devices)
                .map_err(|error| failed("the sockets of the devices", &error))?;
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| failed("random numbers", &error))?;
            let post = Arc::new(Post::new());
            let worker = Worker {
                settings: Arc::clone(settings),
                part,
                fleet,
                post: Arc::clone(&post),
                ledger: ledger.clone(),
                clock,
                seed,
            };
            let thread = std::thread::Builder::new()
                .name(format!("load-{}", part.thread))
                .spawn(move || worker.run())
                .map_err(|error| failed("threads", &error))?;
            load.posts.push(post);
            load.threads.push(thread);
        }
        Ok(load)
    }

    /// Leads the threads through the load.
    fn conduct(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        self.spans[0] = self.play(Score::Ramp, Instant::NEVER, progress);
        let registered = progress.registered();
        if registered > 0 && !self.is_interrupted() {
            let end = self.clock.now() + self.settings.duration;
            self.spans[1] = self.play(Score::Run, end, progress);
        }
        self.play(Score::Drain, Instant::NEVER, progress);
        if !self.settings.stay {
            self.spans[2] = self.play(Score::Leave, Instant::NEVER, progress);
        }
        if registered == 0 && self.interrupts.load(Ordering::Relaxed) == 0 {
            let server = &self.settings.server_text;
            return Err(Failure::failed(format_args!("no device could register at {server}")));
        }
        Ok(())
    }

    /// One part of it: until all threads have finished it, or until `end`; returns how long it took.
    fn play(&self, score: Score, end: Instant, progress: &mut Progress) -> Duration {
        let begin = self.clock.now();
        self.posts.iter().for_each(|post| post.want(score));
        loop {
            let now = self.clock.now();
            progress.show(now.saturating_duration_since(begin), now, score, &self.posts);
            let all = self.posts.iter().all(|post| post.has_finished(score));
            let is_broken = self.threads.iter().any(JoinHandle::is_finished);
            let hopeless = score == Score::Ramp && progress.is_hopeless();
            if all || now >= end || is_broken || hopeless || self.is_over(score) {
                progress.look(&self.posts);
                return now.saturating_duration_since(begin);
            }
            std::thread::park_timeout(LOOK_EVERY.min(end.saturating_duration_since(now)));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 0
    }

    /// The first interrupt ends what was begun in good order, the second at once.
    fn is_over(&self, score: Score) -> bool {
        let interrupts = self.interrupts.load(Ordering::Relaxed);
        interrupts > usize::from(score >= Score::Drain)
    }

    /// Stops the threads and adds up what they measured.
    fn finish(self) -> Result<Summary, Failure> {
        self.posts.iter().for_each(|post| post.want(Score::Stop));
        let mut stats = Stats::default();
        let mut summary = Summary::new(Arc::clone(&self.settings), self.spans);
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(left)) => {
                    stats.add(&left.stats);
                    summary.add(&left);
                }
                Ok(Err(error)) => return Err(Failure::failed(format_args!("a thread of the load: {error}"))),
                Err(_) => return Err(Failure::failed("a thread of the load panicked")),
            }
        }
        summary.stats = stats;
        Ok(summary)
    }
}

/// Shares the devices out among the threads.
fn parts(settings: &Settings) -> impl Iterator<Item = Part> {
    let threads = u32::from(settings.threads);
    let share = move |of: u32, thread: u32| of / threads + u32::from(thread < of % threads);
    let (devices, outstanding, mut first) = (settings.devices, settings.outstanding, settings.first);
    (0..settings.threads).map(move |thread| {
        let number = u32::from(thread);
        let part = Part {
            thread,
            threads: settings.threads,
            first,
            devices: share(devices, number),
            window: share(outstanding, number).max(1),
        };
        first += part.devices;
        part
    })
}

/// Counts interrupts instead of dying of them.
#[cfg(unix)]
fn catch_interrupts(count: &Arc<AtomicUsize>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let count = Arc::clone(count);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// These systems end the load at once.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the same shape as on systems where it can fail")]
fn catch_interrupts(_count: &Arc<AtomicUsize>) -> io::Result<()> {
    Ok(())
}

/// How often the conductor looks, and with that how exact the length of a part is.
const LOOK_EVERY: Duration = Duration::from_millis(5);
