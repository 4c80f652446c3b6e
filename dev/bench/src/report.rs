//! How a program tells its figures to `cargo xtask bench`.

#![allow(clippy::print_stdout, reason = "the programs print")]

/// Prints a figure as one line of JSON; the goals stand in `dev/xtask/src/bench/parts.rs`.
pub fn figure(name: &str, value: f64) {
    println!("{}", serde_json::json!({ "figure": name, "value": value }));
}
