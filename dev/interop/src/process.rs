//! Programs under test and their peers: started, listened to line by line, ended.

use crate::report::{Check, holds};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of output kept for a reader that does not come; more than any case produces.
const LINES_KEPT_MAX: usize = 100_000;
/// Lines of each kind of output that an error message shows.
const LINES_SHOWN: usize = 5;

/// A running program; dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose standard error goes to `log`, see [`log_of_its_own`].
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let name = short_name(command.get_program());
        let (errors, log) = log_of_its_own(log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = sync_channel(LINES_KEPT_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { name, child, input, lines, seen: Vec::new(), log })
    }

    /// The process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to standard input.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("standard input is closed")?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .map_err(|error| format!("{}: {error}", self.name))
    }

    /// Waits for a line that `wanted` turns into something; other lines are remembered for error messages, which show the last ones of
    /// standard output and of standard error.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{}: no {what} within {limit:?}; {}", self.name, self.tail()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} ended while waiting for {what}; {}", self.name, self.tail()));
                }
            }
        }
    }

    /// Forgets what was printed so far.
    pub(crate) fn skip_output(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(line);
        }
    }

    fn tail(&self) -> String {
        let from = self.seen.len().saturating_sub(LINES_SHOWN);
        let printed = self.seen[from..].join(" | ");
        format!("last lines: {printed}; of its log: {}", last_lines(&self.log))
    }

    /// Ends the program at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Closes standard input and waits for the program to end by itself; its exit code.
    pub(crate) fn close_and_wait(&mut self, limit: Duration) -> Result<i32, String> {
        self.input = None;
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => return status.code().ok_or(format!("{} was ended by a signal", self.name)),
                None => pause(Duration::from_millis(20)),
            }
        }
        Err(format!("{} did not end within {limit:?}", self.name))
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time taken so far, in hundredths of a second.
    pub(crate) fn ticks(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/stat", self.id());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().map_err(|_| format!("{path}: {text}"))).sum()
    }

    /// Memory in KiB that is the process's own (`RssAnon`), and its number of threads, as the kernel counts them. Pages of files do not
    /// count: how much of the program itself has been touched grows with each new path through it, most of all in a build that is not
    /// optimised. The allocator takes from the kernel in segments, for each thread and size of block: what is measured has to have
    /// happened once before the first of two measurements.
    pub(crate) fn size(&self) -> Result<Size, String> {
        let path = format!("/proc/{}/status", self.id());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let number = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
                .ok_or(format!("{path} has no {key}"))
        };
        Ok(Size { resident_kib: number("RssAnon:")?, threads: number("Threads:")? })
    }
}

impl Process {
    /// Has no more threads than before, and its own memory has grown by no more than this, soon: a thread of a pool that waits for work
    /// ends after some seconds, and the allocator gives back what is free a little later. What leaks stays.
    pub(crate) fn has_not_grown(&self, before: Size, kib_max: u64) -> Check {
        eventually(Duration::from_secs(30), || {
            let after = self.size()?;
            let grown = after.resident_kib.saturating_sub(before.resident_kib);
            let is_as_before = after.threads <= before.threads && grown <= kib_max;
            holds(is_as_before, || format!("{before:?}, then {after:?}, of which {kib_max} KiB more may be"))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process takes of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
}

/// Creates the file for a program's standard error: of this name, or with a number in it where a program of this run has been given
/// that one already, so that none writes over the other's.
pub(crate) fn log_of_its_own(log: &Path) -> Result<(File, PathBuf), String> {
    static GIVEN: LazyLock<Mutex<HashMap<PathBuf, u32>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let times = given.entry(log.to_owned()).or_default();
    *times += 1;
    let own = if *times == 1 { log.to_owned() } else { log.with_extension(format!("{times}.log")) };
    let file = File::create(&own).map_err(|error| format!("{}: {error}", own.display()))?;
    Ok((file, own))
}

/// What a program wrote last.
pub(crate) fn last_lines(log: &Path) -> String {
    let said = std::fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "nothing".to_owned();
    }
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" | ")
}

fn short_name(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

/// Waits without an event to wait for: for other programs' timers only.
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Asks again and again until the answer is `Ok` or the limit is over; then the last `Err`.
pub(crate) fn eventually<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(found) => return Ok(found),
            Err(reason) if Instant::now() >= end => return Err(format!("still after {limit:?}: {reason}")),
            Err(_) => pause(Duration::from_millis(50)),
        }
    }
}

/// Runs a program to its end and returns its standard output; `Err` with both outputs when it failed.
pub(crate) fn output_of(command: &mut Command) -> Result<String, String> {
    let name = short_name(command.get_program());
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!(
        "{name}: {}: {} {}",
        output.status,
        text.trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
