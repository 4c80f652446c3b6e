//! Runs the real binary and talks to it: lines in, lines out, exit codes.

#![expect(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long anything may take; far more than it takes, because machines can be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `lightship`. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightship"));
    command
        .args(arguments)
        .env_remove("LIGHTSHIP_URL")
        .env_remove("LIGHTSHIP_TOKEN")
        .env_remove("LIGHTSHIP_LOG");
    command
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Program {
        Program::of(command(arguments))
    }

    /// Starts what was prepared with [`command`].
    pub(crate) fn of(mut command: Command) -> Program {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, lines) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        // Keeps the pipe empty; what it says is shown when a test fails.
        std::thread::spawn(move || {
            let mut text = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut text) {
                eprint!("{}", String::from_utf8_lossy(&text[..length]));
            }
        });
        let stdin = child.stdin.take();
        Program { child, stdin, lines, seen: Vec::new() }
    }

    /// Waits for a line that has `part` in it.
    pub(crate) fn await_line(&mut self, part: &str) -> String {
        let deadline = now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {part:?} ({error}); seen: {:#?}", self.seen),
            }
        }
    }

    /// Writes a line and waits for its answer.
    pub(crate) fn say(&mut self, line: &str) -> String {
        writeln!(self.stdin.as_mut().expect("open"), "{line}").expect("it reads");
        let deadline = now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(answer) if answer.starts_with("ok") || answer.starts_with("error") => return answer,
                Ok(event) => self.seen.push(event),
                Err(error) => panic!("no answer to {line:?} ({error}); seen: {:#?}", self.seen),
            }
        }
    }

    /// Writes lines and waits for no answer.
    pub(crate) fn type_ahead(&mut self, lines: &str) {
        writeln!(self.stdin.as_mut().expect("open"), "{lines}").expect("it reads");
    }

    /// The most memory that it has had at a time, in bytes, without the pages of its own program file, of which an unoptimised
    /// build has many; `None` where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
        };
        Some(field("VmHWM:")?.saturating_sub(field("RssFile:")?))
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// SIGKILL: no time to say goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        self.signal("-TERM");
    }

    /// A signal, as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let deadline = now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(now() < deadline, "it does not end; seen: {:#?}", self.seen);
            pause();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "the real program runs in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn pause() {
    std::thread::park_timeout(Duration::from_millis(50));
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(now() < deadline, "{what} does not come true");
        pause();
    }
}

/// A server and where it listens.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) coap: SocketAddr,
    /// The Bootstrap-Server, if `--bootstrap-coap` was given.
    pub(crate) bootstrap: Option<SocketAddr>,
    /// With security, if `--coaps` was given.
    pub(crate) coaps: Option<SocketAddr>,
    /// The Bootstrap-Server with security, if `--bootstrap-coaps` was given.
    pub(crate) bootstrap_coaps: Option<SocketAddr>,
    pub(crate) http: SocketAddr,
}

impl Server {
    /// On free ports.
    pub(crate) fn start(more: &[&str]) -> Server {
        Server::start_at("127.0.0.1:0", "127.0.0.1:0", more)
    }

    pub(crate) fn start_at(coap: &str, http: &str, more: &[&str]) -> Server {
        let fixed = ["serve", "--dev", "--shards", "2", "--coap", coap, "--http", http, "--log", "warn"];
        let given = |flag: &str| more.contains(&flag);
        let flags = ["--coaps", "--bootstrap-coap", "--bootstrap-coaps"];
        let others: Vec<&str> =
            flags.into_iter().filter(|flag| !given(flag)).flat_map(|flag| [flag, "none"]).collect();
        let mut program = Program::start(&[&fixed[..], &others, more].concat());
        let coap = address(&program.await_line("listening coap udp "));
        let mut listener = |flag: &str, name: &str| {
            given(flag).then(|| address(&program.await_line(&format!("listening {name} udp "))))
        };
        let coaps = listener("--coaps", "coaps");
        let bootstrap = listener("--bootstrap-coap", "bootstrap-coap");
        let bootstrap_coaps = listener("--bootstrap-coaps", "bootstrap-coaps");
        let http = address(&program.await_line("listening http tcp "));
        assert_eq!(program.await_line("ready"), "ready");
        Server { program, coap, bootstrap, coaps, bootstrap_coaps, http }
    }

    /// Runs `ctl` and gives everything it left.
    pub(crate) fn ctl_raw(&self, arguments: &[&str]) -> Output {
        let url = format!("http://{}", self.http);
        command(&[&["ctl", "--url", &url], arguments].concat())
            .stdin(Stdio::null())
            .output()
            .expect("ctl runs")
    }

    /// Runs `ctl` with something on its standard input; it must succeed.
    pub(crate) fn ctl_fed(&self, arguments: &[&str], input: &str) -> String {
        let url = format!("http://{}", self.http);
        let mut child = command(&[&["ctl", "--url", &url], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ctl runs");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "ctl {arguments:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs `ctl`, which must succeed, and gives its standard output.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.ctl_raw(arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "ctl {arguments:?}: {text}{error}");
        text
    }

    /// Runs `ctl --json`, which must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.ctl(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("ctl {arguments:?}: {error}: {text}"))
    }

    /// Runs `ctl`, which must fail with exit code 1, and gives what it says on standard error.
    pub(crate) fn ctl_refused(&self, arguments: &[&str]) -> String {
        let output = self.ctl_raw(arguments);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "ctl {arguments:?}: {text}{error}");
        error
    }

    /// A device that is registered here.
    pub(crate) fn device(&self, endpoint: &str, more: &[&str]) -> Program {
        let server = format!("coap://{}", self.coap);
        let fixed = ["device", "--endpoint", endpoint, "--server", &server];
        let mut device = Program::start(&[&fixed[..], more].concat());
        device.await_line("event registered ssid=1 location=/rd/");
        // The device hears of it a moment before the REST API does.
        eventually("the device is listed", || self.is_registered(endpoint).then_some(()));
        device
    }

    /// Waits until the last reported value of an observed path is this.
    pub(crate) fn await_reported(&self, endpoint: &str, path: &str, value: &serde_json::Value) {
        let deadline = now() + PATIENCE;
        loop {
            let found = self.json(&["observations", endpoint]);
            let items = found["items"].as_array().cloned().unwrap_or_default();
            let item = items.iter().find(|item| item["path"] == path);
            if item.is_some_and(|item| item["content"][0]["value"] == *value) {
                return;
            }
            assert!(now() < deadline, "{path} does not report {value}: {found}\n{}", self.ctl(&["events"]));
            pause();
        }
    }

    pub(crate) fn is_registered(&self, endpoint: &str) -> bool {
        self.ctl_raw(&["show", endpoint]).status.success()
    }
}

fn address(line: &str) -> SocketAddr {
    line.split(' ').next_back().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
}

/// A program that ends with its test.
pub(crate) struct Logged(Child);

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The real program with everything that it says in a file.
pub(crate) fn start_logged(arguments: &[&str], log: &Path) -> Logged {
    let file = std::fs::File::create(log).expect("a file");
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(file.try_clone().expect("a file")).stderr(file);
    Logged(command.spawn().expect("it runs"))
}

/// What stands behind `listening NAME … ` in a log, once it does.
pub(crate) fn listening(log: &Path, name: &str) -> String {
    eventually("it listens", || {
        let text = std::fs::read_to_string(log).ok()?;
        let line = text.lines().find(|line| line.starts_with(&format!("listening {name} ")))?;
        line.split_whitespace().last().map(str::to_owned)
    })
}
