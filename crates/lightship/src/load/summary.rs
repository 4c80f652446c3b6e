//! What came of a load, for people and for programs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use lightship_coap::Code;
use lightship_net::fleet::FleetCounters;
use serde_json::{Value, json};

use super::mix::Operation;
use super::progress::latency;
use super::settings::Settings;
use super::stats::{Phase, Stats, Tally};
use super::worker::Left;

/// What came of a load.
pub(crate) struct Summary {
    settings: Arc<Settings>,
    spans: [Duration; 3],
    pub(crate) stats: Stats,
    counters: FleetCounters,
    registered: u32,
}

impl Summary {
    pub(crate) fn new(settings: Arc<Settings>, spans: [Duration; 3]) -> Self {
        Self { settings, spans, stats: Stats::default(), counters: FleetCounters::default(), registered: 0 }
    }

    /// Adds what one thread leaves; its statistics are added up by the conductor.
    pub(crate) fn add(&mut self, left: &Left) {
        self.registered += left.registered;
        self.counters.sent += left.counters.sent;
        self.counters.sent_bytes += left.counters.sent_bytes;
        self.counters.unsent += left.counters.unsent;
        self.counters.received += left.counters.received;
        self.counters.received_bytes += left.counters.received_bytes;
        self.counters.dropped += left.counters.dropped;
    }

    /// How many answers are missing, and how many wrong.
    pub(crate) fn faults(&self) -> (u64, u64) {
        (self.stats.sum(|tally| tally.missing), self.stats.sum(|tally| tally.wrong))
    }

    fn span(&self, phase: Phase) -> f64 {
        let at = Phase::ALL.iter().position(|known| *known == phase).unwrap_or(0);
        self.spans.get(at).map_or(0.0, Duration::as_secs_f64)
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
    fn rate(&self, phase: Phase, tally: &Tally) -> f64 {
        let span = self.span(phase);
        if span > 0.0 { tally.in_time as f64 / span } else { 0.0 }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = writeln!(
            text,
            "{:<6} {:<11} {:>9} {:>9} {:>7} {:>7} {:>8} {:>10}  {:>9} {:>9} {:>9} {:>9}",
            "phase",
            "operation",
            "begun",
            "right",
            "wrong",
            "missing",
            "repeated",
            "per second",
            "p50",
            "p99",
            "p99.9",
            "max"
        );
        for (phase, operation, tally) in self.stats.tallies().filter(|(_, _, tally)| tally.begun > 0) {
            let at = |quantile: f64| {
                tally
                    .latency
                    .as_ref()
                    .map_or_else(|| "–".to_owned(), |all| latency(all.value_at_quantile(quantile)))
            };
            let _ = writeln!(
                text,
                "{:<6} {:<11} {:>9} {:>9} {:>7} {:>7} {:>8} {:>10.1}  {:>9} {:>9} {:>9} {:>9}",
                phase.name(),
                operation.name(),
                tally.begun,
                tally.right,
                tally.wrong,
                tally.missing,
                tally.repetitions,
                self.rate(phase, tally),
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0),
            );
        }
        let spans: Vec<String> = Phase::ALL
            .into_iter()
            .map(|phase| format!("{} {:.2} s", phase.name(), self.span(phase)))
            .collect();
        let _ = writeln!(text, "time       {}", spans.join(", "));
        let (missing, wrong) = self.faults();
        let unfinished = self.stats.sum(Tally::unfinished);
        let _ = write!(
            text,
            "answers    {} right, {missing} missing, {wrong} wrong",
            self.stats.sum(|t| t.right)
        );
        if unfinished > 0 {
            let _ = write!(text, ", {unfinished} not waited for");
        }
        let _ = writeln!(text, "; {} came twice, {} stray", self.stats.repeated, self.stats.stray);
        for ((operation, code), count) in &self.stats.wrong {
            let _ =
                writeln!(text, "           {count} × {operation} answered {}", code_text(*operation, *code));
        }
        let asked: Vec<String> = self
            .stats
            .downlink
            .rows()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !asked.is_empty() {
            let _ = writeln!(text, "requests   {}", asked.join(", "));
        }
        if self.stats.unobserved > 0 {
            text.push_str("warning    notifications were left out: the server observes no device\n");
        }
        let [to, from] = self.stats.lost;
        let counters = &self.counters;
        let _ = write!(
            text,
            "datagrams  {} sent ({} B), {} received ({} B); lost on purpose {to} and {from}; not taken by the system {}",
            counters.sent, counters.sent_bytes, counters.received, counters.received_bytes, counters.unsent
        );
        text
    }

    /// For programs. Members are added, never renamed.
    pub(crate) fn json(&self) -> Value {
        let settings = &self.settings;
        let phases: Vec<Value> = Phase::ALL
            .into_iter()
            .map(|phase| {
                let operations: Vec<Value> = self
                    .stats
                    .tallies()
                    .filter(|(of, _, tally)| *of == phase && tally.begun > 0)
                    .map(|(_, operation, tally)| self.tally_json(phase, operation, tally))
                    .collect();
                json!({"phase": phase.name(), "seconds": self.span(phase), "operations": operations})
            })
            .collect();
        let (missing, wrong) = self.faults();
        let wrong_answers: Vec<Value> = self
            .stats
            .wrong
            .iter()
            .map(|((operation, code), count)| {
                json!({"operation": operation.name(), "code": code_text(*operation, *code), "count": count})
            })
            .collect();
        let downlink: serde_json::Map<String, Value> = self
            .stats
            .downlink
            .rows()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        let [lost_to, lost_from] = self.stats.lost;
        json!({
            "server": settings.server_text,
            "devices": settings.devices,
            "threads": settings.threads,
            "outstanding": settings.outstanding,
            "rate": settings.rate,
            "loss_percent": settings.loss_percent,
            "registered_at_end": self.registered,
            "phases": phases,
            "answers": {
                "right": self.stats.sum(|tally| tally.right),
                "missing": missing,
                "wrong": wrong,
                "unfinished": self.stats.sum(Tally::unfinished),
                "repeated": self.stats.repeated,
                "stray": self.stats.stray,
            },
            "wrong_answers": wrong_answers,
            "notifications_left_out": self.stats.unobserved,
            "downlink": downlink,
            "datagrams": {
                "sent": self.counters.sent,
                "sent_bytes": self.counters.sent_bytes,
                "received": self.counters.received,
                "received_bytes": self.counters.received_bytes,
                "not_taken": self.counters.unsent,
                "lost_on_purpose_to_server": lost_to,
                "lost_on_purpose_from_server": lost_from,
            },
        })
    }

    fn tally_json(&self, phase: Phase, operation: Operation, tally: &Tally) -> Value {
        let latency = tally.latency.as_ref().map(|all| {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds with fractions")]
            let ms = |us: u64| us as f64 / 1000.0;
            let at = |quantile: f64| ms(all.value_at_quantile(quantile));
            json!({
                "min": ms(all.min()),
                "mean": all.mean() / 1000.0,
                "p50": at(0.5),
                "p90": at(0.9),
                "p99": at(0.99),
                "p99.9": at(0.999),
                "max": ms(all.max()),
            })
        });
        json!({
            "operation": operation.name(),
            "begun": tally.begun,
            "right": tally.right,
            "wrong": tally.wrong,
            "missing": tally.missing,
            "unfinished": tally.unfinished(),
            "repetitions": tally.repetitions,
            "per_second": self.rate(phase, tally),
            "latency_ms": latency,
        })
    }
}

/// A wrong answer: its code, or what came in place of one.
fn code_text(operation: Operation, code: u8) -> String {
    match (operation, Code(code)) {
        (Operation::Handshake, _) => "alert".to_owned(),
        (_, Code::EMPTY) => "reset".to_owned(),
        (_, code) => code.to_string(),
    }
}
