//! The outcome of every case, a line each, and the sum at the end.

use std::io::Write;
use std::time::{Duration, Instant};

/// What a case says when it does not pass.
pub(crate) type Check = Result<(), String>;

/// Collects outcomes and prints them as they come.
pub(crate) struct Report {
    only: Vec<String>,
    passed: Vec<String>,
    failed: Vec<String>,
    began: Instant,
}

impl Report {
    /// A report of the cases whose name begins with one of `only`, or of all.
    pub(crate) fn new(only: Vec<String>) -> Self {
        Self { only, passed: Vec::new(), failed: Vec::new(), began: Instant::now() }
    }

    /// Whether any case of this suite is wanted.
    pub(crate) fn wants(&self, suite: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|only| only.starts_with(suite) || suite.starts_with(only.as_str()))
    }

    /// Runs one case, unless it is not asked for.
    pub(crate) fn case(&mut self, name: &str, check: impl FnOnce() -> Check) {
        let part_of = |only: &String| name.starts_with(only.as_str()) || only.starts_with(name);
        if !self.only.is_empty() && !self.only.iter().any(part_of) {
            return;
        }
        let began = Instant::now();
        let outcome = check();
        let took = began.elapsed();
        match outcome {
            Ok(()) => {
                self.passed.push(name.to_owned());
                say(&format!("ok    {name}{}", shown(took)));
            }
            Err(reason) => {
                say(&format!("FAIL  {name}{}: {reason}", shown(took)));
                self.failed.push(name.to_owned());
            }
        }
    }

    /// An empty report of the same cases, for a suite that runs beside others.
    pub(crate) fn part(&self) -> Self {
        Self { only: self.only.clone(), passed: Vec::new(), failed: Vec::new(), began: Instant::now() }
    }

    /// Takes over what a part found.
    pub(crate) fn join(&mut self, part: Self) {
        self.passed.extend(part.passed);
        self.failed.extend(part.failed);
    }

    /// Whether every case is wanted.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty()
    }

    /// The names of the cases that passed so far.
    pub(crate) fn passed(&self) -> &[String] {
        &self.passed
    }

    /// Says that a suite is through.
    pub(crate) fn footline(&self, suite: &str) {
        say(&format!(
            "-- {suite}: {} passed, {} failed, {} s",
            self.passed.len(),
            self.failed.len(),
            self.began.elapsed().as_secs()
        ));
    }

    /// Prints the sum as the last line; says whether all passed.
    pub(crate) fn finish(self) -> bool {
        for name in &self.failed {
            say(&format!("failed: {name}"));
        }
        say(&format!("-- all: {} s", self.began.elapsed().as_secs()));
        say(&format!("{} passed, {} failed", self.passed.len(), self.failed.len()));
        self.failed.is_empty() && !self.passed.is_empty()
    }
}

fn shown(took: Duration) -> String {
    if took < Duration::from_secs(1) { String::new() } else { format!(" ({:.1} s)", took.as_secs_f64()) }
}

/// One line to standard output. A closed pipe ends the run's audience, not the run.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// `Err` with both sides when they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Check {
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

/// `Err` with the text when the condition does not hold.
pub(crate) fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(otherwise()) }
}
