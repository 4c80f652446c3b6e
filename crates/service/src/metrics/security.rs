//! Counters of secured sessions, of both servers.

use std::sync::atomic::{AtomicU64, Ordering};

use lightship_server::SecurityStats;

use super::Page;
use crate::security::Judged;

/// What both servers count: of each its name and the counters of its engines.
pub(super) fn write(page: &mut Page, servers: &[(&str, Vec<SecurityStats>)]) {
    let gauges: [(&str, &str, Read); 4] = [
        ("lightship_sessions", "Secure sessions.", |s| s.sessions),
        ("lightship_handshakes_running", "Handshakes under way.", |s| s.handshakes),
        ("lightship_handshake_bytes", "Memory of handshakes under way.", |s| s.handshake_bytes),
        ("lightship_resumptions", "Sessions that can be resumed by their ID.", |s| s.resumptions),
    ];
    for (name, about, read) in gauges {
        page.head(name, about, "gauge");
        for (server, stats) in servers {
            page.line(name, &[("server", server)], sum(stats, read));
        }
    }
    for (name, about, label, values) in COUNTERS {
        page.head(name, about, "counter");
        for (server, stats) in servers {
            for (value, read) in *values {
                page.line(name, &[("server", server), (label, value)], sum(stats, *read));
            }
        }
    }
}

/// How the certificates of devices were judged.
pub(super) fn judged(page: &mut Page, judged: &Judged) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.labelled(
        "lightship_certificates_judged_total",
        "Chains of certificates by how they were judged: with all signatures, by a verdict that was kept (security.verdicts_max), or refused.",
        "how",
        &[
            ("checked", read(&judged.checked)),
            ("recalled", read(&judged.recalled)),
            ("refused", read(&judged.refused)),
        ],
    );
}

fn sum(stats: &[SecurityStats], read: Read) -> u64 {
    stats.iter().map(read).sum()
}

type Read = fn(&SecurityStats) -> u64;
/// Name, meaning, label, and each value of the label with its counter.
type Counter = (&'static str, &'static str, &'static str, &'static [(&'static str, Read)]);

const COUNTERS: &[Counter] = &[
    (
        "lightship_handshakes_total",
        "Handshakes by what became of them.",
        "result",
        &[
            ("cookie_asked", |s| s.cookies_asked),
            ("begun", |s| s.handshakes_begun),
            ("over_budget", |s| s.handshakes_over_budget),
            ("metered", |s| s.handshakes_metered),
            ("opened_psk", |s| s.opened_psk),
            ("opened_rpk", |s| s.opened_raw_public_key),
            ("opened_x509", |s| s.opened_certificate),
            ("resumed", |s| s.opened_resumed),
            ("refused", |s| s.failed.refused),
            ("unanswered", |s| s.failed.unanswered),
            ("nothing_in_common", |s| s.failed.nothing_in_common),
            ("bad_proof", |s| s.failed.bad_proof),
            ("bad_message", |s| s.failed.bad_message),
            ("given_up_by_peer", |s| s.failed.by_peer),
            ("timed_out", |s| s.failed.timed_out),
            ("crowded", |s| s.failed.crowded),
            ("restarted", |s| s.failed.restarted),
        ],
    ),
    (
        "lightship_sessions_closed_total",
        "Secure sessions that ended, by reason.",
        "reason",
        &[
            ("by_peer", |s| s.closed_by_peer),
            ("replaced", |s| s.closed_replaced),
            ("by_server", |s| s.closed_by_host),
            ("crowded", |s| s.closed_crowded),
            ("exhausted", |s| s.closed_exhausted),
            ("done", |s| s.closed_done),
        ],
    ),
    (
        "lightship_records_dropped_total",
        "Records and secured datagrams that were dropped, by reason.",
        "reason",
        &[
            ("malformed", |s| s.dropped.malformed),
            ("too_long", |s| s.dropped.too_long),
            ("epoch", |s| s.dropped.epoch),
            ("replayed", |s| s.dropped.replayed),
            ("bad_mac", |s| s.dropped.bad_mac),
            ("connection_id", |s| s.dropped.connection_id),
            ("no_session", |s| s.dropped.no_session),
            ("handshake", |s| s.dropped.handshake),
            ("alert", |s| s.dropped.alert),
            ("early", |s| s.dropped.early),
            ("other", |s| s.dropped.other),
        ],
    ),
    (
        "lightship_secure_datagrams_total",
        "Secured datagrams by direction; those withheld were not sent to an address that is not checked yet.",
        "direction",
        &[("in", |s| s.datagrams_in), ("out", |s| s.datagrams_out), ("withheld", |s| s.withheld)],
    ),
    (
        "lightship_records_total",
        "Records with data by direction.",
        "direction",
        &[("in", |s| s.records_in), ("out", |s| s.records_out)],
    ),
    (
        "lightship_sessions_changed_total",
        "What happened to secure sessions.",
        "what",
        &[("moved", |s| s.moved)],
    ),
];
