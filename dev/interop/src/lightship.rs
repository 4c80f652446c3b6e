//! The program under test: its server and its device.

use crate::process::{Process, eventually};
use crate::rest::Rest;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take until a device has done what it was told.
const OBEY_LIMIT: Duration = Duration::from_secs(30);

/// What REST asks for outside `--dev`.
const TOKEN: &str = "interop-token-of-this-run";

/// Where the program is and where logs go.
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    pub(crate) logs: PathBuf,
}

impl Program {
    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// A command that runs the program.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--log").arg("info");
        command
    }
}

/// A running `lightship serve`.
pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) coap: SocketAddr,
    /// Where it listens for devices with DTLS.
    pub(crate) coaps: Option<SocketAddr>,
    /// Where it listens for devices that bootstrap.
    pub(crate) bootstrap: Option<SocketAddr>,
    /// The same with DTLS.
    pub(crate) bootstrap_coaps: Option<SocketAddr>,
    pub(crate) rest: Rest,
}

impl Serve {
    /// On free ports of loopback.
    pub(crate) fn start(program: &Program, name: &str, more: &[&str]) -> Result<Self, String> {
        Self::start_at(program, name, "127.0.0.1:0", "127.0.0.1:0", more)
    }

    /// With the role of a Bootstrap-Server as well.
    pub(crate) fn start_bootstrap(program: &Program, name: &str) -> Result<Self, String> {
        let mut command = program.command();
        command.args(["serve", "--dev", "--coap", "127.0.0.1:0", "--http", "127.0.0.1:0", "--coaps", "none"]);
        command.args(["--bootstrap-coap", "127.0.0.1:0", "--bootstrap-coaps", "none"]);
        Self::from_command(program, name, command)
    }

    /// For devices with DTLS, at a free port of loopback; `security` is the text of that section of the configuration.
    pub(crate) fn start_secure(program: &Program, name: &str, security: &str) -> Result<Self, String> {
        Self::start_secure_at(program, name, "127.0.0.1:0", security, &[])
    }

    /// The same at an address, with more flags.
    pub(crate) fn start_secure_at(
        program: &Program,
        name: &str,
        coaps: &str,
        security: &str,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut command = Self::secure_command(program, name, security)?;
        command.args(["--coap", "127.0.0.1:0", "--coaps", coaps, "--bootstrap-coap", "none"]);
        command.args(["--bootstrap-coaps", "none"]).args(more);
        Self::started(program, name, command)
    }

    /// With both roles, at free ports of loopback.
    pub(crate) fn start_secure_bootstrap(program: &Program, name: &str, text: &str) -> Result<Self, String> {
        let mut command = Self::secure_command(program, name, text)?;
        command.args(["--coap", "127.0.0.1:0", "--coaps", "127.0.0.1:0", "--bootstrap-coap", "none"]);
        command.args(["--bootstrap-coaps", "127.0.0.1:0"]);
        Self::started(program, name, command)
    }

    fn secure_command(program: &Program, name: &str, security: &str) -> Result<Command, String> {
        let config = program.logs.join(format!("{name}.toml"));
        let text = format!("[security]\n{security}\n");
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = program.command();
        command.arg("serve").arg("--config").arg(&config).args(["--http", "127.0.0.1:0"]);
        command.env("LIGHTSHIP_API__TOKEN", TOKEN);
        Ok(command)
    }

    fn started(program: &Program, name: &str, command: Command) -> Result<Self, String> {
        let mut serve = Self::from_command(program, name, command)?;
        serve.rest.token = Some(TOKEN);
        Ok(serve)
    }

    /// Where devices with DTLS come.
    pub(crate) fn secure(&self) -> Result<SocketAddr, String> {
        self.coaps.ok_or_else(|| "serve printed no `listening coaps udp` line".to_owned())
    }

    /// At given addresses.
    pub(crate) fn start_at(
        program: &Program,
        name: &str,
        coap: &str,
        http: &str,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut command = program.command();
        command.args(["serve", "--dev", "--coap", coap, "--http", http, "--coaps", "none"]);
        command.args(["--bootstrap-coap", "none", "--bootstrap-coaps", "none"]).args(more);
        Self::from_command(program, name, command)
    }

    /// Not in `--dev`: devices come from another host, without security, and REST wants a token.
    pub(crate) fn start_open(program: &Program, name: &str, coap: &str) -> Result<Self, String> {
        let mut command = program.command();
        command.args(["serve", "--coap", coap, "--http", "127.0.0.1:0", "--coaps", "none"]);
        command.args(["--bootstrap-coap", "none", "--bootstrap-coaps", "none"]);
        command.env("LIGHTSHIP_SECURITY__ALLOW_NOSEC", "true").env("LIGHTSHIP_API__TOKEN", TOKEN);
        let mut serve = Self::from_command(program, name, command)?;
        serve.rest.token = Some(TOKEN);
        Ok(serve)
    }

    fn from_command(program: &Program, name: &str, command: Command) -> Result<Self, String> {
        let mut process = Process::start(command, &program.log(name))?;
        let mut coap = None;
        let mut http = None;
        let (mut coaps, mut bootstrap, mut bootstrap_coaps) = (None, None, None);
        process.wait_for("`ready`", START_LIMIT, |line| {
            let address = line.rsplit(' ').next().and_then(|text| text.parse::<SocketAddr>().ok());
            if line.starts_with("listening coap udp") {
                coap = coap.or(address);
            } else if line.starts_with("listening coaps udp") {
                coaps = coaps.or(address);
            } else if line.starts_with("listening bootstrap-coaps udp") {
                bootstrap_coaps = bootstrap_coaps.or(address);
            } else if line.starts_with("listening bootstrap-coap udp") {
                bootstrap = bootstrap.or(address);
            } else if line.starts_with("listening http") {
                http = http.or(address);
            }
            (line == "ready").then_some(())
        })?;
        let coap = coap.ok_or("serve printed no `listening coap udp` line")?;
        let http = http.ok_or("serve printed no `listening http` line")?;
        Ok(Self { process, coap, coaps, bootstrap, bootstrap_coaps, rest: Rest::new(http) })
    }

    /// Waits until an endpoint is registered, and returns its registration.
    pub(crate) fn registered(&self, endpoint: &str, limit: Duration) -> Result<serde_json::Value, String> {
        eventually(limit, || {
            let answer = self.rest.get(&format!("endpoints/{endpoint}"))?;
            if answer.status == 200 { Ok(answer.body) } else { Err(format!("{endpoint} is not registered")) }
        })
    }

    /// Waits until an endpoint is no longer registered.
    pub(crate) fn gone(&self, endpoint: &str, limit: Duration) -> Result<(), String> {
        eventually(limit, || {
            let answer = self.rest.get(&format!("endpoints/{endpoint}"))?;
            if answer.status == 404 { Ok(()) } else { Err(format!("{endpoint} is still registered")) }
        })
    }
}

/// A running `lightship device`.
pub(crate) struct Device {
    pub(crate) process: Process,
}

impl Device {
    /// Registers at `server` under `endpoint`.
    pub(crate) fn start(
        program: &Program,
        server: &str,
        endpoint: &str,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut command = program.command();
        command.args(["device", "--server", server, "--endpoint", endpoint]).args(more);
        Self::from_command(program, endpoint, command)
    }

    /// From a command that somebody else prepared.
    pub(crate) fn from_command(program: &Program, name: &str, command: Command) -> Result<Self, String> {
        Ok(Self { process: Process::start(command, &program.log(name))? })
    }

    /// Waits for an event by its name.
    pub(crate) fn event(&mut self, name: &str, limit: Duration) -> Result<String, String> {
        let start = format!("event {name}");
        self.process.wait_for(&start, limit, |line| line.starts_with(&start).then(|| line.to_owned()))
    }

    /// Gives a command and returns the rest of its `ok` line.
    pub(crate) fn obey(&mut self, command: &str) -> Result<String, String> {
        self.process.tell(command)?;
        self.process.wait_for("answer", OBEY_LIMIT, |line| {
            if let Some(rest) = line.strip_prefix("ok") {
                Some(Ok(rest.trim().to_owned()))
            } else {
                line.strip_prefix("error").map(|rest| Err(format!("{command}:{rest}")))
            }
        })?
    }
}

/// The default place of the program, by profile.
pub(crate) fn default_binary(target: &Path, debug: bool) -> PathBuf {
    target.join(if debug { "debug" } else { "release" }).join("lightship")
}
