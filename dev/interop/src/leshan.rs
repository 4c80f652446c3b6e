//! Leshan's library as a device and as a server, each behind lines of text.

use crate::process::Process;
use crate::report::{Check, same};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A Java program on a busy machine takes its time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The standard's MAX_TRANSMIT_WAIT.
const AWAKE_USUALLY: Duration = Duration::from_secs(93);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A program on Leshan's library. It lives for seconds: compiled lightly and collected plainly, it takes half of the CPU.
pub(crate) fn java(class_path: &str, program: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path, program]);
    command
}

/// A device on Leshan's library.
pub(crate) struct LeshanDevice {
    pub(crate) process: Process,
}

impl LeshanDevice {
    /// Registers at `uri`.
    pub(crate) fn start(
        class_path: &str,
        logs: &Path,
        uri: &str,
        endpoint: &str,
        lifetime_s: u32,
    ) -> Result<Self, String> {
        Self::start_with(class_path, logs, uri, endpoint, lifetime_s, &[])
    }

    /// The same with flags, see `leshan/LeshanDevice.java`.
    pub(crate) fn start_with(
        class_path: &str,
        logs: &Path,
        uri: &str,
        endpoint: &str,
        lifetime_s: u32,
        flags: &[&str],
    ) -> Result<Self, String> {
        let mut command = java(class_path, "LeshanDevice");
        command.args([uri, endpoint, &lifetime_s.to_string()]).args(flags);
        Ok(Self { process: Process::start(command, &logs.join(format!("{endpoint}.log")))? })
    }

    /// Waits for a line that begins like this.
    pub(crate) fn says(&mut self, start: &str, limit: Duration) -> Result<String, String> {
        self.process.wait_for(start, limit, |line| line.starts_with(start).then(|| line.to_owned()))
    }

    /// Waits for its first registration.
    pub(crate) fn registered(&mut self) -> Result<String, String> {
        self.says("registered", START_LIMIT)
    }
}

/// A server on Leshan's library.
pub(crate) struct LeshanServer {
    pub(crate) process: Process,
    endpoint: String,
    /// Events that came before the answer to an order.
    pub(crate) overtaken: VecDeque<Value>,
}

impl LeshanServer {
    /// Listens on loopback at `port`; its requests go to `endpoint`.
    pub(crate) fn start(class_path: &str, logs: &Path, port: u16, endpoint: &str) -> Result<Self, String> {
        Self::start_awake(class_path, logs, port, endpoint, AWAKE_USUALLY)
    }

    /// The same; takes devices in Queue Mode for awake so long.
    pub(crate) fn start_awake(
        class_path: &str,
        logs: &Path,
        port: u16,
        endpoint: &str,
        awake: Duration,
    ) -> Result<Self, String> {
        let awake = awake.as_millis().to_string();
        Self::start_with(class_path, logs, port, endpoint, &[&awake])
    }

    /// The same with all its arguments, see `leshan/LeshanServer.java`.
    pub(crate) fn start_with(
        class_path: &str,
        logs: &Path,
        port: u16,
        endpoint: &str,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut command = java(class_path, "LeshanServer");
        command.arg(port.to_string()).args(arguments);
        let mut process = Process::start(command, &logs.join(format!("{endpoint}-server.log")))?;
        process.wait_for("ready", START_LIMIT, |line| line.contains("\"ready\"").then_some(()))?;
        Ok(Self { process, endpoint: endpoint.to_owned(), overtaken: VecDeque::new() })
    }

    /// From now on its requests go to another device.
    pub(crate) fn set_endpoint(&mut self, endpoint: &str) {
        endpoint.clone_into(&mut self.endpoint);
    }

    /// Waits for an event about the endpoint.
    pub(crate) fn event(&mut self, name: &str, limit: Duration) -> Result<Value, String> {
        self.process.wait_for(name, limit, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == name).then_some(line)
        })
    }

    /// Gives an order and returns the answer line. Events that come before it are put into `overtaken`.
    pub(crate) fn order(&mut self, mut request: Value) -> Result<Value, String> {
        request["endpoint"] = json!(self.endpoint);
        self.process.tell(&request.to_string())?;
        let overtaken = &mut self.overtaken;
        self.process.wait_for("answer", ANSWER_LIMIT, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            if line["event"].is_null() {
                return Some(line);
            }
            overtaken.push_back(line);
            None
        })
    }

    /// Gives an order whose answer must carry this code.
    pub(crate) fn expect(&mut self, request: Value, code: &str) -> Result<Value, String> {
        let shown = request.to_string();
        let answer = self.order(request)?;
        let found = answer["code"].as_str().unwrap_or_default();
        if found == code { Ok(answer) } else { Err(format!("{shown}: expected {code}, got {answer}")) }
    }

    /// Reads one value and compares it.
    pub(crate) fn reads(&mut self, path: &str, format: &str, value: &str) -> Check {
        let answer = self.expect(json!({"op": "read", "path": path, "format": format}), "2.05")?;
        same(&format!("{path} in {format}"), &answer["content"][path].as_str().unwrap_or_default(), &value)
    }
}

/// A bootstrap server on Leshan's library.
pub(crate) struct LeshanBootstrap {
    pub(crate) process: Process,
}

impl LeshanBootstrap {
    /// Listens on loopback at `port`.
    pub(crate) fn start(class_path: &str, log: &Path, port: u16) -> Result<Self, String> {
        Self::start_with(class_path, log, port, &[])
    }

    /// The same with flags, see `leshan-bootstrap/LeshanBootstrapServer.java`.
    pub(crate) fn start_with(
        class_path: &str,
        log: &Path,
        port: u16,
        flags: &[&str],
    ) -> Result<Self, String> {
        let mut command = java(class_path, "LeshanBootstrapServer");
        command.arg(port.to_string()).args(flags);
        let mut process = Process::start(command, log)?;
        process.wait_for("ready", START_LIMIT, |line| line.contains("\"ready\"").then_some(()))?;
        Ok(Self { process })
    }

    /// Gives it what one device is to get, see `leshan-bootstrap/LeshanBootstrapServer.java`.
    pub(crate) fn configure(&mut self, configuration: &Value) -> Check {
        self.process.tell(&configuration.to_string())?;
        self.process.wait_for("answer", ANSWER_LIMIT, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let refused = || Err(line["error"].to_string());
            line["event"].is_null().then(|| if line["configured"] == true { Ok(()) } else { refused() })
        })?
    }

    /// The steps of the next session until it finished; `Err` when it failed.
    pub(crate) fn session(&mut self, limit: Duration) -> Result<Vec<Value>, String> {
        let mut steps = Vec::new();
        self.process.wait_for("end of a session", limit, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            match line["event"].as_str() {
                Some("asked" | "step") => {
                    steps.push(line);
                    None
                }
                Some("finished") => Some(Ok(())),
                Some("failed" | "no-config" | "unauthorized") => Some(Err(format!("{line} after {steps:?}"))),
                _ => None,
            }
        })??;
        Ok(steps)
    }
}
