//! The whole program as a process: its server, and its load against any server.

#![allow(clippy::disallowed_methods, reason = "the stop-watch")]

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running `lightship serve`; dropping it ends it.
pub struct Serve {
    child: Child,
    /// Where it listens for devices, as `127.0.0.1:40000`.
    pub coap: String,
    /// The same with DTLS.
    pub coaps: String,
    /// Where its REST API is.
    pub http: String,
}

impl Serve {
    /// Starts it on free ports of 127.0.0.1, without limits on how often a device may register.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(more: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(["--log", "error", "serve", "--dev", "--coap", "127.0.0.1:0", "--coaps", "127.0.0.1:0"]);
        command.args(["--http", "127.0.0.1:0", "--bootstrap-coap", "none", "--bootstrap-coaps", "none"]);
        command.args(more).stdin(Stdio::null()).stdout(Stdio::piped());
        for limit in ["DEVICE", "ADDRESS", "NETWORK"] {
            command.env(format!("LIGHTSHIP_LIMITS__REGISTERS_A_MINUTE_PER_{limit}"), "0");
        }
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut serve = Self { child, coap: String::new(), coaps: String::new(), http: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["listening", "coap", _, at] => at.clone_into(&mut serve.coap),
                ["listening", "coaps", _, at] => at.clone_into(&mut serve.coaps),
                ["listening", "http", _, at] => at.clone_into(&mut serve.http),
                ["ready"] => return Ok(serve),
                _ => {}
            }
        }
        Err(io::Error::other("the server did not become ready"))
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When it runs no longer, or the system does not tell.
    pub fn resident(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("the system does not tell"))
    }

    /// How many descriptors it has open, without those of files that are in its data folder: the store keeps tables open, more
    /// while there is more to keep. One of a file that has been deleted counts.
    ///
    /// # Errors
    /// As with [`Serve::resident`].
    pub fn descriptors(&self, data: &Path) -> io::Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            // One that is closed meanwhile leads nowhere.
            let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
            count += usize::from(!(target.starts_with(data) && target.exists()));
        }
        Ok(count)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has taken of the CPU, with all its threads, in milliseconds.
///
/// # Errors
/// When it runs no longer, or the system does not tell.
pub fn cpu_ms(process: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: the 12th and 13th are the ticks of user and system, 10 ms each.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let mut ticks = behind.split_whitespace().skip(11).map_while(|text| text.parse::<f64>().ok());
    let both = ticks.next().zip(ticks.next());
    both.map(|(user, system)| (user + system) * 10.0)
        .ok_or_else(|| io::Error::other("the system does not tell"))
}

/// A command that runs a load with a summary in JSON.
///
/// # Errors
/// As with [`binary`].
pub fn load_command(server: &str, more: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(["load", "--quiet", "--json", "--server", server]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// Runs a load to its end and gives its summary.
///
/// # Errors
/// When it fails: nobody could register.
pub fn load(server: &str, more: &[&str]) -> io::Result<Value> {
    summary(load_command(server, more)?.spawn()?)
}

/// Waits for the end of a load and gives its summary.
///
/// # Errors
/// As with [`load`].
pub fn summary(load: Child) -> io::Result<Value> {
    let output = load.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("the load ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// How many answers are missing or wrong.
#[must_use]
pub fn faults(summary: &Value) -> u64 {
    ["missing", "wrong", "unfinished"].iter().filter_map(|kind| summary["answers"][kind].as_u64()).sum()
}

/// A figure of one operation in the phase `run`: `per_second`, or a latency in milliseconds such as `p99`.
#[must_use]
pub fn figure_of(summary: &Value, operation: &str, figure: &str) -> Option<f64> {
    let run = summary["phases"].as_array()?.iter().find(|phase| phase["phase"] == "run")?;
    let item = run["operations"].as_array()?.iter().find(|item| item["operation"] == operation)?;
    item[figure].as_f64().or_else(|| item["latency_ms"][figure].as_f64())
}

/// The program beside this one, built anew, or the one that the variable `LIGHTSHIP_PROGRAM` names.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> io::Result<PathBuf> {
    use std::sync::OnceLock;
    static BUILT: OnceLock<bool> = OnceLock::new();
    if let Some(program) = std::env::var_os("LIGHTSHIP_PROGRAM") {
        return Ok(program.into());
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or_else(|| io::Error::other("no folder"))?;
    let built = BUILT.get_or_init(|| {
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "-p", "lightship", "--release"]);
        build.status().is_ok_and(|status| status.success())
    });
    if *built { Ok(folder.join("lightship")) } else { Err(io::Error::other("the program does not build")) }
}
