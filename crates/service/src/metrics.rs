//! Counters in the text form of Prometheus. No label ever holds an endpoint.

mod security;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lightship_net::ShardStats;
use lightship_store::Store;

use crate::core::Core;

/// Everything that is counted now.
pub(crate) async fn text(core: &Core) -> String {
    let mut shards = Vec::new();
    for inbox in &core.inboxes {
        if let Ok(Ok(stats)) = tokio::time::timeout(PATIENCE, inbox.stats()).await {
            shards.push(stats);
        }
    }
    let mut page = Page::default();
    service(core, &mut page);
    commands(core, &mut page);
    engines(&shards, &mut page);
    sockets(&shards, &mut page);
    let mut secured = vec![("lwm2m", shards.iter().map(|shard| shard.engine.security).collect())];
    if let Some(inbox) = &core.bootstrap.inbox
        && let Ok(Ok((engine, _))) = tokio::time::timeout(PATIENCE, inbox.stats()).await
    {
        bootstrap(&engine, &mut page);
        secured.push(("bootstrap", vec![engine.security]));
    }
    security::write(&mut page, &secured);
    security::judged(&mut page, &core.gate.judged);
    page.text
}

fn service(core: &Core, page: &mut Page) {
    let counters = &core.counters;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    page.gauge("lightship_registered_endpoints", "Devices in the directory.", count(core.directory.len()));
    page.gauge("lightship_shards", "Shard threads.", count(core.inboxes.len()));
    page.gauge(
        "lightship_http_connections",
        "Open HTTP connections.",
        count(counters.http_connections.load(Ordering::Relaxed)),
    );
    page.gauge(
        "lightship_event_readers",
        "Readers of the event stream.",
        count(counters.event_readers.load(Ordering::Relaxed)),
    );
    page.counter(
        "lightship_http_requests_total",
        "HTTP requests.",
        counters.http_requests.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_http_problems_total",
        "HTTP requests answered with a problem.",
        counters.http_problems.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_event_readers_dropped_total",
        "Readers that were too slow.",
        counters.event_readers_dropped.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_undecoded_total",
        "Reports of devices that could not be decoded.",
        counters.undecoded.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_commits_total",
        "Batches of what happened that were written; each is one write, however much it holds.",
        counters.commits.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_events_total",
        "Events of devices that were written to the log.",
        counters.events.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_events_lost_total",
        "Events that were not written because the store failed; no device and no caller was told that they were.",
        counters.events_lost.load(Ordering::Relaxed),
    );
    let unreadable = core.store.unreadable().iter().map(|damaged| damaged.last - damaged.first + 1).sum();
    page.gauge(
        "lightship_events_unreadable",
        "Events of the log that readers found damaged on the disk since the start.",
        unreadable,
    );
    page.counter(
        "lightship_updates_unlogged_total",
        "Updates that said nothing new and were not told as events, since there were too many in a second.",
        counters.updates_unlogged.load(Ordering::Relaxed),
    );
    page.counter(
        "lightship_commits_failed_total",
        "Batches that the store did not take.",
        counters.commits_failed.load(Ordering::Relaxed),
    );
}

fn commands(core: &Core, page: &mut Page) {
    let counters = &core.counters.commands;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.labelled(
        "lightship_commands_total",
        "Durable commands by what became of them.",
        "state",
        &[
            ("queued", read(&counters.queued)),
            ("sent", read(&counters.sent)),
            ("done", read(&counters.done)),
            ("refused", read(&counters.refused)),
            ("expired", read(&counters.expired)),
            ("cancelled", read(&counters.cancelled)),
            ("superseded", read(&counters.superseded)),
        ],
    );
    let live = u64::try_from(core.queue.live()).unwrap_or(u64::MAX);
    page.gauge("lightship_commands_live", "Durable commands that wait or are on their way.", live);
}

fn engines(shards: &[ShardStats], page: &mut Page) {
    let sum = |read: fn(&lightship_server::Stats) -> u64| {
        shards.iter().map(|shard| read(&shard.engine)).sum::<u64>()
    };
    page.gauge("lightship_registrations", "Devices registered at the shards.", sum(|s| s.registrations));
    page.gauge("lightship_observations", "Observations kept.", sum(|s| s.observations));
    page.gauge(
        "lightship_requests_live",
        "Requests to devices that wait or are under way.",
        sum(|s| s.requests_live),
    );
    page.gauge("lightship_peers", "Addresses for which CoAP state is kept.", sum(|s| s.peers));
    page.labelled(
        "lightship_uplink_total",
        "Messages of devices by kind and result.",
        "kind",
        &[
            ("register", sum(|s| s.registers)),
            ("register_refused", sum(|s| s.registers_refused)),
            ("register_metered", sum(|s| s.registers_metered)),
            ("update", sum(|s| s.updates)),
            ("update_refused", sum(|s| s.updates_refused)),
            ("deregister", sum(|s| s.deregisters)),
            ("expired", sum(|s| s.expired)),
            ("send", sum(|s| s.sends)),
            ("notify", sum(|s| s.notifications)),
        ],
    );
    page.labelled(
        "lightship_requests_total",
        "Downlink requests by outcome.",
        "outcome",
        &[("taken", sum(|s| s.requests)), ("timed_out", sum(|s| s.requests_timed_out))],
    );
    page.labelled(
        "lightship_dropped_total",
        "Messages that were not followed, by reason.",
        "reason",
        &[
            ("malformed", sum(|s| s.malformed)),
            ("unusable", sum(|s| s.unusable)),
            ("unmatched", sum(|s| s.unmatched)),
            ("refused", sum(|s| s.refused_requests)),
            ("stranger", sum(|s| s.refused_strangers)),
            ("evicted", sum(|s| s.evicted_strangers)),
            ("stale_notification", sum(|s| s.notifications_stale)),
            ("unknown_notification", sum(|s| s.notifications_unknown)),
            ("refused_notification", sum(|s| s.notifications_refused)),
        ],
    );
    page.labelled(
        "lightship_busy_total",
        "Messages of devices answered 5.03, or not acknowledged, by reason; that of too many Registers from one place is register_metered.",
        "reason",
        &[
            ("no_room", sum(|s| s.busy_room)),
            ("too_many_wait", sum(|s| s.busy_asks)),
            ("changing", sum(|s| s.busy_changing)),
            ("store", sum(|s| s.busy_host)),
            ("store_too_slow", sum(|s| s.asks_unanswered)),
        ],
    );
    page.counter(
        "lightship_asks_unanswered_total",
        "Questions of shards that were not answered in time.",
        sum(|s| s.asks_unanswered),
    );
}

fn sockets(shards: &[ShardStats], page: &mut Page) {
    let sum = |read: fn(&lightship_net::SocketStats) -> u64| {
        shards.iter().map(|shard| read(&shard.sockets)).sum::<u64>()
    };
    page.labelled(
        "lightship_datagrams_total",
        "Datagrams by direction.",
        "direction",
        &[("in", sum(|s| s.received)), ("out", sum(|s| s.sent))],
    );
    page.labelled(
        "lightship_datagrams_lost_total",
        "Datagrams that went nowhere, by reason.",
        "reason",
        &[
            ("unusable", sum(|s| s.unusable)),
            ("unsent", sum(|s| s.unsent)),
            ("hand_over", sum(|s| s.hand_over_lost)),
            ("system", sum(|s| s.lost)),
        ],
    );
    page.gauge(
        "lightship_hellos_shed_level",
        "How much of the ClientHellos the system is told to drop, because more come than can be answered; 0 to 8 for each shard, added up.",
        sum(|s| s.shedding),
    );
    page.counter(
        "lightship_datagrams_handed_over_total",
        "Datagrams given to the shard that owns them.",
        sum(|s| s.handed_over),
    );
    page.counter("lightship_bugs_total", "Panics caught in shards: mistakes of ours.", sum(|s| s.bugs));
}

fn bootstrap(engine: &lightship_server::bootstrap::Stats, page: &mut Page) {
    page.gauge("lightship_bootstrap_sessions", "Bootstrap sessions under way.", engine.sessions);
    page.labelled(
        "lightship_bootstrap_sessions_total",
        "Bootstrap sessions by what became of them; requests that were refused began none.",
        "result",
        &[
            ("started", engine.started),
            ("finished", engine.finished),
            ("failed", engine.failed),
            ("displaced", engine.displaced),
            ("refused", engine.refused),
        ],
    );
    page.labelled(
        "lightship_bootstrap_commands_total",
        "Commands to devices that are bootstrapped.",
        "kind",
        &[("sent", engine.steps), ("repeated", engine.steps_repeated), ("pack", engine.packs)],
    );
    page.labelled(
        "lightship_bootstrap_dropped_total",
        "Messages to the Bootstrap-Server that were not followed, by reason.",
        "reason",
        &[("malformed", engine.malformed), ("unwanted", engine.dropped), ("withheld", engine.withheld)],
    );
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, about: &str, value: u64) {
        let _ = write!(self.text, "# HELP {name} {about}\n# TYPE {name} gauge\n{name} {value}\n");
    }

    fn counter(&mut self, name: &str, about: &str, value: u64) {
        let _ = write!(self.text, "# HELP {name} {about}\n# TYPE {name} counter\n{name} {value}\n");
    }

    fn head(&mut self, name: &str, about: &str, kind: &str) {
        let _ = write!(self.text, "# HELP {name} {about}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }

    fn labelled(&mut self, name: &str, about: &str, label: &str, values: &[(&str, u64)]) {
        let _ = write!(self.text, "# HELP {name} {about}\n# TYPE {name} counter\n");
        for (kind, value) in values {
            let _ = writeln!(self.text, "{name}{{{label}=\"{kind}\"}} {value}");
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
