//! Does one of the hot paths so many times: to be counted or profiled from outside (`cargo xtask instructions`).
//!
//! `cargo run --release -p lightship-hot [NAME TIMES]`

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::process::ExitCode;

use lightship_hot::hot::HOT_PATHS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        HOT_PATHS.iter().for_each(|path| println!("{}", path.name));
        return ExitCode::SUCCESS;
    }
    let [name, times] = arguments.as_slice() else { return ExitCode::FAILURE };
    let path = HOT_PATHS.iter().find(|path| path.name == name);
    let (Some(path), Ok(times)) = (path, times.parse::<u32>()) else { return ExitCode::FAILURE };
    let mut act = (path.prepare)();
    for _ in 0..times {
        act();
    }
    ExitCode::SUCCESS
}
