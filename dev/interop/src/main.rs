//! I am the judge: I run Lightship against LwM2M and CoAP programs that others wrote, and against malformed input.
//!
//! I may: start programs, fetch the published peers, open sockets on loopback and make network namespaces.
//! I must not: share code with the rooms I judge; what I send and read I put together by hand or leave to the peers.
//! My invariants: every check is a named case that passes or fails · what is missing fails, it is not skipped ·
//! the last line is the sum.
//! Start reading at: `suites/mod.rs`, then the suite that interests you.

#![expect(
    clippy::disallowed_methods,
    reason = "the judge waits for programs whose timers it does not control"
)]

mod leshan;
mod lightship;
mod process;
mod report;
mod rest;
mod suites;
mod tools;
mod wire;
mod wire_namespace;

use report::{Report, say};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use suites::World;

const USAGE: &str = "\
usage: cargo xtask interop [--debug | --program FILE] [--only PREFIX]... [--list]

  --debug         use the debug build of the program
  --program FILE  use this program
  --only PREFIX   run only the cases whose name begins like this (repeatable)
  --list          name the suites
";

struct Options {
    program: PathBuf,
    only: Vec<String>,
    list: bool,
}

fn main() -> ExitCode {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = target_folder(&source);
    let options = match parse(std::env::args().skip(1), &target) {
        Ok(options) => options,
        Err(problem) => {
            say(&format!("{problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    if options.list {
        suites::ALL.iter().for_each(|(name, _)| say(name));
        return ExitCode::SUCCESS;
    }
    let cache = target.join("interop");
    let logs = cache.join("logs");
    if let Err(error) = std::fs::create_dir_all(&logs) {
        say(&format!("{}: {error}", logs.display()));
        return ExitCode::FAILURE;
    }
    let world = World {
        program: lightship::Program { binary: options.program, logs },
        folders: tools::Folders { source, cache },
    };
    let mut report = Report::new(options.only);
    for (name, run) in suites::ALL {
        if report.wants(name) {
            report.headline(name);
            run(&world, &mut report);
        }
    }
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn target_folder(source: &Path) -> PathBuf {
    let default = source.ancestors().nth(2).unwrap_or(source).join("target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(default, PathBuf::from)
}

fn parse(mut arguments: impl Iterator<Item = String>, target: &Path) -> Result<Options, String> {
    let mut options =
        Options { program: lightship::default_binary(target, false), only: Vec::new(), list: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--debug" => options.program = lightship::default_binary(target, true),
            "--program" => options.program = PathBuf::from(value()?),
            "--only" => options.only.push(value()?),
            "--list" => options.list = true,
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(options)
}
