//! Prints what a year of a sleeping device costs on the air: `cargo run --release -p lightship-sim --example year`.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use lightship_sim::network::Quality;
use lightship_sim::year::{DAYS, play};

#[allow(clippy::cast_precision_loss, reason = "counters of a year")]
fn main() {
    println!(
        "| {DAYS} days, daily wake-up, lifetime 24 h | messages up / down a day | bytes up / down a day | radio on a day | notifications |"
    );
    println!("|---|---|---|---|---|");
    for (name, reports, quality) in [
        ("registration alone", false, Quality::PERFECT),
        ("and a value measured each hour, observed, stored, told each day", true, Quality::PERFECT),
        ("the same, a tenth of all datagrams lost", true, Quality::POOR),
    ] {
        let year = play(reports, quality);
        let daily = |count: u64| count as f64 / f64::from(DAYS);
        println!(
            "| {name} | {:.2} / {:.2} | {:.1} / {:.1} | {:.0} s | {} |",
            daily(year.up.messages),
            daily(year.down.messages),
            daily(year.up.bytes),
            daily(year.down.bytes),
            daily(year.awake_s),
            year.values,
        );
    }
}
