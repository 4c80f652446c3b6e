//! What came of a load, for people and for programs.

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
        let mut lines = self.table();
        let spans: Vec<String> = Phase::ALL
            .into_iter()
            .map(|phase| format!("{} {:.2} s", phase.name(), self.span(phase)))
            .collect();
        lines.push(format!("time       {}", spans.join(", ")));
        lines.extend(self.answers());
        let rows = self.stats.downlink.rows().into_iter().filter(|(_, count)| *count > 0);
        let asked: Vec<String> = rows.map(|(name, count)| format!("{name} {count}")).collect();
        if !asked.is_empty() {
            lines.push(format!("requests   {}", asked.join(", ")));
        }
        if self.stats.unobserved > 0 {
            let left_out = self.stats.unobserved;
            lines.push(format!(
                "warning    {left_out} notifications were left out: nobody was observed when they were due"
            ));
        }
        let ([to, from], counters) = (self.stats.lost, &self.counters);
        lines.push(format!(
            "datagrams  {} sent ({} B), {} received ({} B); lost on purpose {to} and {from}; not taken by the system {}",
            counters.sent, counters.sent_bytes, counters.received, counters.received_bytes, counters.unsent
        ));
        lines.join("\n")
    }

    /// One line for each operation in each phase.
    fn table(&self) -> Vec<String> {
        let row = |names: [&str; 2], counts: [String; 6], latencies: [String; 4]| {
            let [begun, right, wrong, missing, repeated, rate] = counts;
            let [p50, p99, p999, max] = latencies;
            format!(
                "{:<6} {:<11} {begun:>9} {right:>9} {wrong:>7} {missing:>7} {repeated:>8} {rate:>10}  {p50:>9} {p99:>9} {p999:>9} {max:>9}",
                names[0], names[1]
            )
        };
        let counts = ["begun", "right", "wrong", "missing", "repeated", "per second"];
        let latencies = ["p50", "p99", "p99.9", "max"];
        let head = row(["phase", "operation"], counts.map(str::to_owned), latencies.map(str::to_owned));
        let mut lines = vec![head];
        for (phase, operation, tally) in self.stats.tallies().filter(|(_, _, tally)| tally.begun > 0) {
            let [begun, right, wrong, missing, repeated] =
                [tally.begun, tally.right, tally.wrong, tally.missing, tally.repetitions]
                    .map(|count| count.to_string());
            let rate = format!("{:.1}", self.rate(phase, tally));
            let at = |quantile: f64| {
                let all = tally.latency.as_ref();
                all.map_or_else(|| "–".to_owned(), |all| latency(all.value_at_quantile(quantile)))
            };
            let counts = [begun, right, wrong, missing, repeated, rate];
            lines.push(row([phase.name(), operation.name()], counts, [0.5, 0.99, 0.999, 1.0].map(at)));
        }
        lines
    }

    /// How all operations ended, and what the wrong answers were.
    fn answers(&self) -> Vec<String> {
        let (missing, wrong) = self.faults();
        let right = self.stats.sum(|tally| tally.right);
        let unfinished = match self.stats.sum(Tally::unfinished) {
            0 => String::new(),
            count => format!(", {count} not waited for"),
        };
        let (repeated, stray) = (self.stats.repeated, self.stats.stray);
        let mut lines = vec![format!(
            "answers    {right} right, {missing} missing, {wrong} wrong{unfinished}; {repeated} came twice, {stray} stray"
        )];
        for ((operation, code), count) in &self.stats.wrong {
            lines.push(format!("           {count} × {operation} answered {}", code_text(*operation, *code)));
        }
        lines
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
