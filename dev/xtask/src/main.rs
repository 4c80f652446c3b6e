//! I am the workshop's tool box: `cargo xtask <command>`.
//!
//! I may: read and write files of this repository, start cargo and other programs.
//! I must not: be a dependency of any room, or hold knowledge that a room needs at run time.
//! My invariants: one command per module · a check names file and line and says what to do · what I generate is
//! the same bytes for the same input.
//! Start reading at: [`COMMANDS`], then the module of the command.

mod bench;
mod conformance;
mod dependencies;
mod edges;
mod files;
mod instructions;
mod interop;
mod no_std;
mod orphans;
mod proofs;
mod registry;
mod source;
mod tidy;

use std::process::ExitCode;

/// What the tool box can do, as its help shows it.
const COMMANDS: &str = "\
usage: cargo xtask <command> [options]

  tidy                      check the house rules that a machine can check
  proofs [--check] [--requirements FILE]
                            write docs/proofs.md from the tests' `Proves:` marks, or check that it is fresh
  conformance [--check]     write docs/conformance.md from the tests' `Case:` marks, or check that it is fresh
  registry --from DIR [--check]
                            write the object definition tables from OMA's XML files, or check that they are fresh
  no-std [--limit BYTES]    build the device side for a Cortex-M4 and print its sizes (Debian's rustc-web)
  bench [--list] [--strict] [PART...]
                            run the measurements behind BENCHMARKS.md and write the table of goals and figures
  instructions [--renew] [PATH...]
                            count the instructions of the hot paths and compare them with the baseline (valgrind)
  interop [options]         build the program and run it against foreign peers (see dev/interop/README.md)
";

/// What a command reports when it does not succeed: the text for standard error.
pub(crate) type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", &[] as &[String]),
    };
    let outcome = match command {
        "bench" => bench::run(rest),
        "tidy" => tidy::run(rest),
        "proofs" => proofs::run(rest),
        "conformance" => conformance::run(rest),
        "instructions" => instructions::run(rest),
        "interop" => interop::run(rest),
        "no-std" => no_std::run(rest),
        "registry" => registry::run(rest),
        "" | "help" | "--help" | "-h" => Err(COMMANDS.to_owned()),
        other => Err(format!("no command named {other}\n\n{COMMANDS}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            if command.is_empty() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
