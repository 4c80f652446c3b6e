//! A virtual year of a device that sleeps.

use lightship_sim::network::Quality;
use lightship_sim::year::{DAYS, play};

#[test]
fn a_year_of_daily_wake_ups_is_one_registration_and_little_traffic() {
    let days = u64::from(DAYS);
    let quiet = play(false, Quality::PERFECT);
    assert_eq!(quiet.registrations, 1);
    // An Update and its answer each day, sometimes one more.
    assert!((days..=days * 3 / 2).contains(&quiet.up.messages), "{quiet:?}");
    // The Register was sent before the year began, its answer is counted.
    assert_eq!(quiet.up.messages + 1, quiet.down.messages, "{quiet:?}");
    assert!(quiet.awake_s < days * 200, "{quiet:?}");

    let reporting = play(true, Quality::PERFECT);
    assert_eq!(reporting.registrations, 1);
    assert!((days - 2..=days + 40).contains(&reporting.values), "about one a day: {reporting:?}");
    assert!(reporting.up.messages <= 5 * days / 2, "{reporting:?}");
    assert!(reporting.awake_s < days * 300, "{reporting:?}");

    let poor = play(true, Quality::POOR);
    assert!((days - 5..=days + 60).contains(&poor.values), "confirmed values are not lost: {poor:?}");
}
