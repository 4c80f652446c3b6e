//! `cargo xtask instructions`: counts the instructions of the hot paths and compares them with `dev/hot/instructions.txt`.
//!
//! Instructions, unlike time, are the same on a busy machine. A path is done so many times, and twice as many, under
//! valgrind's cachegrind; the difference is what one time takes, and what was prepared before does not count.
#![allow(clippy::print_stdout, reason = "the counts are what the command is for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::files;

const USAGE: &str = "\
usage: cargo xtask instructions [--renew] [PATH...]

Counts the instructions of the hot paths, or of those named, and fails when one takes 5 % more than dev/hot/instructions.txt says.
--renew writes what was counted there. Needs valgrind.";

/// What may be more than the baseline, in percent.
const GROWTH_MAX: f64 = 5.0;
/// How often a path is done in the shorter of the two runs.
const TIMES: u32 = 2_000;

const BASELINE: &str = "dev/hot/instructions.txt";
const HEADER: &str = "\
# Instructions that each hot path takes, once: counted and compared by `cargo xtask instructions`.
# After a change that is worth more of them, or that needs fewer: cargo xtask instructions --renew
";

/// Counts, compares, writes.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (options, named): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let renew = match options.as_slice() {
        [] => false,
        [option] if *option == "--renew" => true,
        _ => return Err(USAGE.to_owned()),
    };
    let root = files::root();
    let program = build(&root)?;
    let paths = output(Command::new(&program), "hot-path")?;
    let paths: Vec<&str> = paths.lines().collect();
    if let Some(unknown) = named.iter().find(|name| !paths.contains(&name.as_str())) {
        return Err(format!("no hot path named {unknown}; there are {}", paths.join(", ")));
    }
    let at = root.join(BASELINE);
    let mut baseline = std::fs::read_to_string(&at).map(|text| parse(&text)).unwrap_or_default();
    let mut faults = Vec::new();
    println!("| path | instructions | baseline | |\n|---|---|---|---|");
    for path in paths.iter().filter(|path| named.is_empty() || named.iter().any(|name| name == *path)) {
        let count = count(&program, path)?;
        let verdict = judge(count, baseline.get(*path).copied());
        let before = baseline.get(*path).map_or("–".to_owned(), ToString::to_string);
        println!("| {path} | {count} | {before} | {} |", verdict.as_ref().unwrap_or_else(|fault| fault));
        if renew {
            baseline.insert((*path).to_owned(), count);
        } else if let Err(fault) = verdict {
            faults.push(format!("{path}: {fault}"));
        }
    }
    if renew {
        baseline.retain(|path, _| paths.contains(&path.as_str()));
        let lines: String = baseline.iter().map(|(path, count)| format!("{path} {count}\n")).collect();
        std::fs::write(&at, format!("{HEADER}{lines}"))
            .map_err(|error| format!("{}: {error}", at.display()))?;
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Builds the program that does hot paths, and says where it is.
fn build(root: &Path) -> Result<std::path::PathBuf, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--quiet", "--package", "lightship-hot"]);
    // The target folder may be elsewhere.
    cargo.arg("--message-format=json-render-diagnostics").current_dir(root);
    let told = output(cargo, "cargo")?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.into())
    };
    told.lines().rev().find_map(executable).ok_or_else(|| "cargo named no program".to_owned())
}

/// The instructions that a path takes once.
fn count(program: &Path, path: &str) -> Result<u64, String> {
    let total = |times: u32| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
        valgrind.arg(program).args([path, &times.to_string()]);
        let done = valgrind.output().map_err(|error| format!("valgrind: {error}"))?;
        let told = String::from_utf8_lossy(&done.stderr);
        refs(&told).filter(|_| done.status.success()).ok_or_else(|| format!("{path}: {told}"))
    };
    Ok(total(2 * TIMES)?.saturating_sub(total(TIMES)?) / u64::from(TIMES))
}

/// The instructions in what cachegrind says: `==1== I   refs:      1,234,567`.
fn refs(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.contains(" refs:"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}

fn judge(count: u64, baseline: Option<u64>) -> Result<String, String> {
    let Some(baseline) = baseline else { return Err("has no baseline; --renew writes it".to_owned()) };
    #[allow(clippy::cast_precision_loss, reason = "percent, to be read by people")]
    let growth = 100.0 * (count as f64 - baseline as f64) / baseline.max(1) as f64;
    if growth > GROWTH_MAX {
        Err(format!("{growth:+.1} %; if it is worth that: cargo xtask instructions --renew"))
    } else {
        Ok(format!("{growth:+.1} %"))
    }
}

fn parse(text: &str) -> BTreeMap<String, u64> {
    let entry = |line: &str| {
        let (path, count) = line.split_once(' ')?;
        Some((path.to_owned(), count.trim().parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
}

fn output(mut command: Command, name: &str) -> Result<String, String> {
    let done = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !done.status.success() {
        return Err(format!("{name}: {}", done.status));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_cachegrind_says() {
        let told = "==7== Cachegrind, a cache and branch-prediction profiler\n==7== \n==7== I   refs:      235,882,850\n";
        assert_eq!(refs(told), Some(235_882_850));
        assert_eq!(refs("valgrind: not found"), None);
    }

    #[test]
    fn growth_beyond_the_bound_is_a_fault_and_so_is_no_baseline() {
        assert_eq!(judge(1050, Some(1000)), Ok("+5.0 %".to_owned()));
        assert_eq!(judge(700, Some(1000)), Ok("-30.0 %".to_owned()));
        assert!(judge(1051, Some(1000)).is_err_and(|fault| fault.contains("+5.1 %")));
        assert!(judge(1, None).is_err());
    }

    #[test]
    fn the_baseline_reads_back_what_was_written() {
        let text = format!("{HEADER}shard-update 4000\ntlv-decode 12\n");
        let read = parse(&text);
        assert_eq!(read.get("shard-update"), Some(&4000));
        assert_eq!(read.len(), 2);
    }
}
