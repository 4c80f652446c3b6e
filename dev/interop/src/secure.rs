//! Foreign DTLS peers of which only the transport is theirs: the CoAP inside is put together and read here.

use crate::lightship::Serve;
use crate::process::{Process, last_lines, log_of_its_own, pause};
use crate::report::{Check, holds, same};
use crate::wire::{self, ACK, CON, CONTENT_FORMAT, GET, LOCATION_PATH, Message, POST};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long anything between two programs on one machine may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Pieces kept for a reader that does not come.
const PIECES_KEPT_MAX: usize = 1000;

/// A program that carries datagrams through DTLS.
pub(crate) enum Tunnel {
    /// `send HEX` and `data HEX`, a line each: the programs of `pion/` and `mbedtls/`.
    Lines(Process),
    /// Bytes as they are on standard input and output: command line tools.
    Bytes(Pipe),
}

impl Tunnel {
    /// Starts a program of ours on a foreign library and waits until it listens or is established.
    pub(crate) fn lines(command: Command, log: &Path, until: &str) -> Result<Self, String> {
        let mut process = Process::start(command, log)?;
        wait_for(&mut process, until)?;
        Ok(Self::Lines(process))
    }

    /// Starts a command line tool.
    pub(crate) fn bytes(command: Command, log: &Path) -> Result<Self, String> {
        Pipe::start(command, log).map(Self::Bytes)
    }

    /// The process ID of the program.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Lines(process) => process.id(),
            Self::Bytes(pipe) => pipe.child.id(),
        }
    }

    /// Waits for a line of that beginning.
    pub(crate) fn says(&mut self, start: &str) -> Result<String, String> {
        match self {
            Self::Lines(process) => wait_for(process, start),
            Self::Bytes(_) => Err("a tool that says nothing".to_owned()),
        }
    }

    /// Gives an order other than `send`.
    pub(crate) fn order(&mut self, line: &str) -> Check {
        match self {
            Self::Lines(process) => process.tell(line),
            Self::Bytes(_) => Err("a tool that takes no orders".to_owned()),
        }
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &Message) -> Check {
        let bytes = message.encode();
        match self {
            Self::Lines(process) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                process.tell(&format!("send {hex}"))
            }
            Self::Bytes(pipe) => pipe.send(&bytes),
        }
    }

    /// The next message.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<Message, String> {
        let bytes = match self {
            Self::Lines(process) => {
                process.wait_for("data", limit, |line| line.strip_prefix("data ").map(wire::hex))?
            }
            Self::Bytes(pipe) => pipe.receive(limit)?,
        };
        Message::decode(&bytes)
            .ok_or_else(|| format!("malformed: {bytes:02x?} ({})", String::from_utf8_lossy(&bytes)))
    }

    /// Sends a request and waits for its response.
    pub(crate) fn request(&mut self, request: &Message) -> Result<Message, String> {
        self.send(request)?;
        let end = Instant::now() + SOON;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let answer = self.receive(left)?;
            if answer.token == request.token && answer.code >= 0x40 {
                return Ok(answer);
            }
        }
        Err("no response".to_owned())
    }

    /// Registers as a device.
    pub(crate) fn register(&mut self, endpoint: &str) -> Result<String, String> {
        self.register_as(&format!("ep={endpoint}&"))
    }

    /// The same with these parameters before the others.
    pub(crate) fn register_as(&mut self, parameters: &str) -> Result<String, String> {
        let id = wire::fresh_id();
        let request = Message::new(CON, POST, id, &id.to_be_bytes())
            .path("/rd")
            .query(&format!("{parameters}lt=3000&lwm2m=1.1&b=U"))
            .number(CONTENT_FORMAT, 40)
            .payload(b"</>;ct=11542,</1/0>,</3/0>");
        let answer = self.request(&request)?;
        same("code of Register", &answer.code_text().as_str(), &"2.01")?;
        Ok(answer.joined(LOCATION_PATH))
    }

    /// Says that the device is still there.
    pub(crate) fn update(&mut self, location: &str) -> Check {
        let id = wire::fresh_id();
        let answer = self.request(&Message::new(CON, POST, id, &id.to_be_bytes()).path(location))?;
        same("code of Update", &answer.code_text().as_str(), &"2.04")
    }

    /// The same, repeated as a device would when no answer comes; how often it was sent.
    pub(crate) fn update_patiently(&mut self, location: &str) -> Result<u32, String> {
        let id = wire::fresh_id();
        let request = Message::new(CON, POST, id, &id.to_be_bytes()).path(location);
        for sent in 1..=5 {
            self.send(&request)?;
            let end = Instant::now() + Duration::from_secs(sent.into());
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                match self.receive(left) {
                    Ok(answer) if answer.token == request.token => return Ok(sent),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        Err("no answer to an Update that was sent five times".to_owned())
    }

    /// Answers one Read that our server is asked for meanwhile.
    pub(crate) fn serve_read(&mut self, serve: &Serve, endpoint: &str) -> Check {
        let rest = serve.rest.again();
        let path = format!("endpoints/{endpoint}/resources/3/0/0?format=text");
        let asked = std::thread::spawn(move || rest.operate("GET", &path, None, "2.05"));
        let request = self.receive(SOON)?;
        same("method", &request.code, &GET)?;
        let answer = Message::new(ACK, 0x45, request.id, &request.token).option(CONTENT_FORMAT, &[]);
        self.send(&answer.payload(b"by hand"))?;
        let read = asked.join().map_err(|_| "the request panicked")??;
        same("value", &read["content"]["value"].as_str(), &Some("by hand"))
    }

    /// Takes our device's Register, as a server.
    pub(crate) fn take_register(&mut self, endpoint: &str) -> Check {
        let end = Instant::now() + SOON * 2;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let request = self.receive(left)?;
            if request.code != POST || request.joined(wire::URI_PATH) != "/rd" {
                continue;
            }
            let named = request.options.iter().any(|(_, value)| value == format!("ep={endpoint}").as_bytes());
            holds(named, || format!("no ep={endpoint} in {request:?}"))?;
            let answer = Message::new(ACK, 0x41, request.id, &request.token);
            return self.send(&answer.option(LOCATION_PATH, b"rd").option(LOCATION_PATH, b"x1"));
        }
        Err("no Register".to_owned())
    }

    /// Reads a value of our device, as a server.
    pub(crate) fn read_device(&mut self) -> Check {
        let id = wire::fresh_id();
        let answer = self.request(&Message::new(CON, GET, id, &id.to_be_bytes()).path("/3/0/0"))?;
        same("code of Read", &answer.code_text().as_str(), &"2.05")?;
        holds(!answer.payload.is_empty(), || "an empty value".to_owned())
    }
}

fn wait_for(process: &mut Process, start: &str) -> Result<String, String> {
    process.wait_for(start, SOON, |line| {
        if line.starts_with(start) {
            Some(Ok(line.to_owned()))
        } else {
            line.starts_with("failed").then(|| Err(line.to_owned()))
        }
    })?
}

/// A program with bytes on its standard input and output; dropping it ends it.
pub(crate) struct Pipe {
    child: Child,
    input: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    log: PathBuf,
}

impl Pipe {
    fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let (errors, log) = log_of_its_own(log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let mut output = child.stdout.take().ok_or("no standard output")?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let (sender, pieces) = sync_channel(PIECES_KEPT_MAX);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, pieces, log })
    }

    fn send(&mut self, bytes: &[u8]) -> Check {
        self.input.write_all(bytes).and_then(|()| self.input.flush()).map_err(|error| error.to_string())?;
        // Two writes in a row could become one record.
        pause(Duration::from_millis(50));
        Ok(())
    }

    fn receive(&mut self, limit: Duration) -> Result<Vec<u8>, String> {
        let first = self.pieces.recv_timeout(limit);
        let mut whole =
            first.map_err(|_| format!("nothing within {limit:?}; it says: {}", last_lines(&self.log)))?;
        // Some tools write byte by byte.
        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(20)) {
            whole.extend(piece);
        }
        Ok(whole)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
