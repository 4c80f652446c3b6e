//! Fleets from the factory, through bootstrap and trouble, to calm.
//!
//! `LIGHTSHIP_SIM_FLEETS=10 cargo test -p lightship-sim --release --test fleet` plays ten of a thousand devices each. A build
//! that is not optimised plays small ones only, since a thousand take it some minutes.

use lightship_sim::fleet::Fleet;
use lightship_sim::security::Transport;

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation: run it with --release")]
fn fleets_of_a_thousand_end_registered_where_they_should() {
    let fleets = std::env::var("LIGHTSHIP_SIM_FLEETS").map_or(1, |text| text.parse().expect("a number"));
    for seed in 0..fleets {
        let report = Fleet::play(seed, 1000);
        eprintln!("fleet {seed}: {report:?}");
        assert!(report.bootstrapped >= 1000 && report.cut_short > 0, "{report:?}");
        assert!(report.executed > 100 && report.unanswered > 0 && report.died > 0, "{report:?}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation: run it with --release")]
fn secured_fleets_of_five_hundred_do_too() {
    let transport = Transport::Secured { cid: true, resumption: true };
    let report = Fleet::play_over(transport, 0, 500);
    eprintln!("secured fleet: {report:?}");
    assert!(report.bootstrapped >= 500 && report.cut_short > 0 && report.executed > 100, "{report:?}");
    assert!(report.resumed > 0 && report.opened > report.resumed + 1000, "{report:?}");
}

#[test]
fn small_secured_fleets_do_too() {
    for seed in 200..206 {
        let transport = Transport::Secured { cid: seed % 2 == 0, resumption: seed % 3 > 0 };
        let report = Fleet::play_over(transport, seed, 12);
        assert!(report.bootstrapped >= 12 && report.opened >= 28, "seed {seed}: {report:?}");
    }
}

#[test]
fn small_fleets_do_too_with_every_seed() {
    for seed in 100..115 {
        let report = Fleet::play(seed, 12);
        assert!(report.bootstrapped >= 12, "seed {seed}: {report:?}");
    }
}
