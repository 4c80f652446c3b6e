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

mod coverage;
mod keys;
mod leshan;
mod lightship;
mod ports;
mod process;
mod relay;
mod report;
mod rest;
mod secure;
mod sides;
mod suites;
mod tools;
mod wire;
mod wire_dtls;
mod wire_namespace;

use report::{Report, say};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use suites::World;

const USAGE: &str = "\
usage: cargo xtask interop [--debug | --program FILE] [--only PREFIX]... [--jobs N] [--list]

  --debug         use the debug build of the program
  --program FILE  use this program
  --only PREFIX   run only the cases whose name begins like this (repeatable)
  --jobs N        run so many suites at a time (default: one per core, 2 to 4)
  --list          name the suites
  --class-path    fetch and build the programs on Leshan's library and print their class path, for benchmarks
  --write-coverage  write coverage.md and run nothing
";

struct Options {
    program: PathBuf,
    only: Vec<String>,
    list: bool,
    class_path: bool,
    write_coverage: bool,
    jobs: usize,
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
        suites::ALL.iter().chain([&suites::IDLE]).for_each(|(name, _)| say(name));
        return ExitCode::SUCCESS;
    }
    let page = source.join("coverage.md");
    if options.write_coverage {
        return match coverage::write(&page) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                say(&problem);
                ExitCode::FAILURE
            }
        };
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
    if options.class_path {
        let class_path = tools::leshan_class_path(&world.folders);
        say(class_path.as_ref().unwrap_or_else(|problem| problem));
        return if class_path.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut report = Report::new(options.only);
    play(&world, &mut report, options.jobs);
    coverage::check(&mut report, &page);
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the wanted suites, so many at a time; each has processes and ports of its own.
fn play(world: &World, report: &mut Report, jobs: usize) {
    let wanted: Vec<_> = suites::ALL.iter().filter(|(name, _)| report.wants(name)).collect();
    let next = AtomicUsize::new(0);
    let patient = report.wants(suites::IDLE.0);
    let parts: Vec<Report> = std::thread::scope(|scope| {
        let mut part = report.part();
        let idle = patient.then(|| {
            scope.spawn(move || {
                (suites::IDLE.1)(world, &mut part);
                part.footline(suites::IDLE.0);
                part
            })
        });
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                let mut part = report.part();
                let (next, wanted) = (&next, &wanted);
                scope.spawn(move || {
                    while let Some((name, run)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut suite = part.part();
                        run(world, &mut suite);
                        suite.footline(name);
                        part.join(suite);
                    }
                    part
                })
            })
            .chain(idle)
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let whole = parts.len() == jobs.max(1) + usize::from(patient);
    parts.into_iter().for_each(|part| report.join(part));
    if !whole {
        report.case("every-suite-ends", || Err("a suite panicked".to_owned()));
    }
}

fn target_folder(source: &Path) -> PathBuf {
    let default = source.ancestors().nth(2).unwrap_or(source).join("target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(default, PathBuf::from)
}

fn parse(mut arguments: impl Iterator<Item = String>, target: &Path) -> Result<Options, String> {
    // Suites mostly wait for each other's programs; more of them at once than this makes them late.
    let jobs = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    let program = lightship::default_binary(target, false);
    let mut options =
        Options { program, only: Vec::new(), list: false, class_path: false, write_coverage: false, jobs };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--debug" => options.program = lightship::default_binary(target, true),
            "--program" => options.program = PathBuf::from(value()?),
            "--only" => options.only.push(value()?),
            "--list" => options.list = true,
            "--class-path" => options.class_path = true,
            "--write-coverage" => options.write_coverage = true,
            "--jobs" => {
                options.jobs = value()?.parse().map_err(|_| format!("{argument} needs a number"))?;
            }
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(options)
}
