//! The line that tells how it goes, on standard error.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use lightship_platform::Instant;

use super::settings::Settings;
use super::stats::histogram;
use super::worker::{Post, Score};

/// What is shown while a load runs.
pub(crate) struct Progress {
    is_quiet: bool,
    is_terminal: bool,
    devices: u32,
    shown_at: Option<Instant>,
    /// Right answers when they were last shown.
    shown_right: u64,
    sum: Sum,
    recent: Histogram<u64>,
}

#[derive(Default)]
struct Sum {
    registered: u32,
    under_way: u32,
    right: u64,
    wrong: u64,
    missing: u64,
}

impl Progress {
    /// Says first what is about to be done.
    pub(crate) fn new(is_quiet: bool, settings: &Settings) -> Self {
        if !is_quiet {
            say(&format!("{}\n", plan(settings)));
        }
        Self {
            is_quiet,
            is_terminal: std::io::stderr().is_terminal(),
            devices: settings.devices,
            shown_at: None,
            shown_right: 0,
            sum: Sum::default(),
            recent: histogram(),
        }
    }

    /// Takes the numbers of all threads.
    pub(crate) fn look(&mut self, posts: &[Arc<Post>]) {
        self.sum = Sum::default();
        for post in posts {
            let seen = post.look();
            self.sum.registered += seen.registered;
            self.sum.under_way += seen.under_way;
            self.sum.right += seen.right;
            self.sum.wrong += seen.wrong;
            self.sum.missing += seen.missing;
            // Histograms of one kind always add up.
            let _ = self.recent.add(&seen.recent);
        }
    }

    /// Shows how it goes, if it is time to.
    pub(crate) fn show(&mut self, since: Duration, now: Instant, score: Score, posts: &[Arc<Post>]) {
        let every = if self.is_terminal { Duration::from_secs(1) } else { Duration::from_secs(5) };
        let Some(shown_at) = self.shown_at else {
            self.shown_at = Some(now);
            return;
        };
        let span = now.saturating_duration_since(shown_at);
        if span < every && !(score == Score::Ramp && span >= Duration::from_millis(200) && self.is_quiet) {
            return;
        }
        self.look(posts);
        self.shown_at = Some(now);
        if !self.is_quiet {
            let line = self.line(since, span, score);
            say(&if self.is_terminal { format!("\r\x1b[K{line}") } else { format!("{line}\n") });
        }
        self.shown_right = self.sum.right;
        self.recent.reset();
    }

    fn line(&self, since: Duration, span: Duration, score: Score) -> String {
        #[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
        let rate = self.sum.right.saturating_sub(self.shown_right) as f64 / span.as_secs_f64();
        let what = match score {
            Score::Wait | Score::Ramp => "registering",
            Score::Run => "running",
            Score::Drain => "ending",
            Score::Leave | Score::Stop => "leaving",
        };
        format!(
            "{what} {:>4} s  {} of {} registered  {rate:.0} answers/s  p50 {}  p99 {}  {} under way  {} missing  {} wrong",
            since.as_secs(),
            self.sum.registered,
            self.devices,
            latency(self.recent.value_at_quantile(0.5)),
            latency(self.recent.value_at_quantile(0.99)),
            self.sum.under_way,
            self.sum.missing,
            self.sum.wrong,
        )
    }

    /// Whether nobody seems to be there: some devices have failed, none has succeeded in anything.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.sum.right == 0 && self.sum.wrong + self.sum.missing >= u64::from(self.devices.min(HOPELESS))
    }

    /// Devices that were registered when it last looked.
    pub(crate) fn registered(&self) -> u32 {
        self.sum.registered
    }

    /// Leaves the line.
    pub(crate) fn end(&self) {
        if self.is_terminal && !self.is_quiet {
            say("\r\x1b[K");
        }
    }
}

/// Microseconds as people read them.
pub(crate) fn latency(us: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "to be read by people")]
    let us = us as f64;
    match us {
        0.0..1e3 => format!("{us:.0} µs"),
        1e3..1e4 => format!("{:.2} ms", us / 1e3),
        1e4..1e6 => format!("{:.0} ms", us / 1e3),
        _ => format!("{:.1} s", us / 1e6),
    }
}

/// What is about to be done, and to whom.
fn plan(settings: &Settings) -> String {
    let threads = if settings.threads == 1 { "thread" } else { "threads" };
    let pace = match settings.rate {
        Some(rate) => format!("{rate} operations a second"),
        None => format!("{} operations under way at any time", settings.outstanding),
    };
    let seconds = settings.duration.as_secs_f64();
    format!(
        "{} devices at {} ({}), {} {threads}; {pace} for {seconds} s: {}",
        settings.devices,
        settings.server_text,
        settings.server,
        settings.threads,
        settings.mix.shares()
    )
}

/// Whoever does not listen misses it.
fn say(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Failures before the first success that show that nobody is there.
const HOPELESS: u32 = 10;
