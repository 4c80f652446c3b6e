//! Verdicts on chains of certificates: kept, and never longer than what they rest on.

use std::time::Duration;

use serde_json::json;

use super::secured::{Identity, Secured};
use super::sessions::{put, trusting};
use super::support::{Server, eventually};

/// How many chains were judged with all signatures, by a verdict that was kept, and refused.
fn judged(server: &Server) -> [u64; 3] {
    let page = server.get("/metrics").body;
    ["checked", "recalled", "refused"].map(|how| {
        let name = format!("lightship_certificates_judged_total{{how=\"{how}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
    })
}

#[test]
fn a_device_that_comes_again_costs_no_signatures_of_authorities() {
    let root = Identity::authority("root");
    let (server, _folder) = trusting(&root, |_| {});
    put(&server, "meter", &json!({"mode": "x509"}));
    let meter = Identity::of(&root, "meter", |_| {});
    assert_eq!(Secured::connect(server.coaps(), meter.x509()).register("meter"), Some(0x41));
    assert_eq!(judged(&server), [1, 0, 0]);
    let mut device = Secured::connect(server.coaps(), meter.x509());
    assert_eq!(device.register("other"), Some(0x80), "a kept verdict widens nothing");
    assert_eq!(device.register("meter"), Some(0x41));
    assert_eq!(judged(&server), [1, 1, 0]);
    // Another one of the same name is another chain.
    let second = Identity::of(&root, "meter", |_| {});
    assert_eq!(Secured::connect(server.coaps(), second.x509()).register("meter"), Some(0x41));
    assert_eq!(judged(&server), [2, 1, 0]);
    // A stranger's is judged as often as it is shown.
    let stranger = Identity::of(&Identity::authority("root"), "meter", |_| {});
    for times in 1..=2 {
        assert!(Secured::connect(server.coaps(), stranger.x509()).facts.is_none());
        eventually(|| judged(&server) == [2, 1, times]);
    }
}

// Proves: SEC-06
#[test]
fn a_credential_that_is_taken_away_counts_at_once_whatever_was_found_of_the_chain() {
    let root = Identity::authority("root");
    let (server, _folder) = trusting(&root, |_| {});
    put(&server, "meter", &json!({"mode": "x509"}));
    let meter = Identity::of(&root, "meter", |_| {});
    let mut device = Secured::connect(server.coaps(), meter.x509());
    assert_eq!(device.register("meter"), Some(0x41));
    server.call("DELETE", "/api/v1/credentials/meter", "");
    assert!(device.is_over());
    assert!(Secured::connect(server.coaps(), meter.x509()).facts.is_none());
    eventually(|| judged(&server) == [1, 1, 0]);
    put(&server, "pump", &json!({"mode": "x509", "name": "meter"}));
    let mut device = Secured::connect(server.coaps(), meter.x509());
    assert_eq!(device.register("meter"), Some(0x80), "it stands for another endpoint now");
    assert_eq!(device.register("pump"), Some(0x41));
    assert_eq!(judged(&server), [1, 2, 0]);
}

#[test]
fn a_chain_that_has_expired_since_is_refused_with_the_reason() {
    let root = Identity::authority("root");
    let (server, _folder) = trusting(&root, |_| {});
    put(&server, "brief", &json!({"mode": "x509"}));
    let date_s = || u64::try_from(lightship_net::Clock::start().date().as_secs()).unwrap();
    let end_s = date_s() + 5;
    let brief = Identity::of(&root, "brief", |params| {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end_s);
    });
    for _ in 0..2 {
        assert_eq!(Secured::connect(server.coaps(), brief.x509()).register("brief"), Some(0x41));
    }
    assert_eq!(judged(&server), [1, 1, 0]);
    eventually(|| date_s() > end_s);
    assert!(Secured::connect(server.coaps(), brief.x509()).facts.is_none());
    eventually(|| server.get("/api/v1/security/failures").body.contains("expired on"));
    assert_eq!(judged(&server), [1, 1, 1]);
}

#[test]
fn without_room_each_chain_is_judged_anew() {
    let root = Identity::authority("root");
    let (server, _folder) = trusting(&root, |config| config.security.verdicts_max = 0);
    put(&server, "meter", &json!({"mode": "x509"}));
    let meter = Identity::of(&root, "meter", |_| {});
    for times in 1..=2 {
        assert_eq!(Secured::connect(server.coaps(), meter.x509()).register("meter"), Some(0x41));
        assert_eq!(judged(&server), [times, 0, 0]);
    }
}
