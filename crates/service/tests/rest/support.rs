//! A server on loopback, a device made of hand-written CoAP, and an HTTP client that shows every byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lightship_service::{Config, Running, Service};
use lightship_store::{AnyStore, Faults, FaultyStore, MemoryStore, Options};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A server on ports of its own.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) http: SocketAddr,
    pub(crate) coap: SocketAddr,
    /// What its configuration asks callers for.
    pub(crate) token: Option<String>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::loopback();
        // Devices of tests start anew faster than any that there are.
        config.limits.registers_a_minute_per_device = 0;
        config.listen.shards = 2;
        change(&mut config);
        let token = config.api.token.clone();
        Server { token, ..Server::of(Service::start(config).unwrap()) }
    }

    /// A server whose store fails when it is told to.
    pub(crate) fn faulty(change: impl FnOnce(&mut Config)) -> (Server, Faults) {
        let mut config = Config::loopback();
        config.limits.registers_a_minute_per_device = 0;
        config.listen.shards = 2;
        change(&mut config);
        let (store, faults) = FaultyStore::new(MemoryStore::new(Options { writer: 7, ..Options::default() }));
        (Server::of(Service::start_with(config, AnyStore::Faulty(store)).unwrap()), faults)
    }

    /// The server dies, and what was on its disk by then is all that is left: a copy of the folder. Nothing is told to
    /// its store.
    pub(crate) fn crash(self, folder: &Path) -> TempDir {
        let left = tempfile::tempdir().unwrap();
        copy(folder, left.path());
        // It ends with the process.
        std::fs::remove_file(left.path().join("lock")).unwrap();
        std::mem::forget(self.running);
        left
    }

    fn of(running: Running) -> Server {
        Server { http: running.http().unwrap(), coap: running.coap().unwrap(), running, token: None }
    }

    pub(crate) fn coaps(&self) -> SocketAddr {
        self.running.coaps().unwrap()
    }

    pub(crate) fn get(&self, address: &str) -> Reply {
        self.call("GET", address, "")
    }

    /// One request on a connection of its own.
    pub(crate) fn call(&self, method: &str, address: &str, body: &str) -> Reply {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.raw(format!(
            "{method} {address} HTTP/1.1\r\nHost: localhost\r\n{length}Connection: close\r\n\r\n{body}"
        ))
    }

    /// These bytes on a connection of their own; the reply is what came until the server closed it.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request.as_ref());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Reply::parse(&bytes)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Waits until a device is registered under that name.
    pub(crate) fn wait_for(&self, endpoint: &str) {
        eventually(|| self.registration(endpoint).is_some());
    }

    /// The registration of a device, if it has one.
    fn registration(&self, endpoint: &str) -> Option<String> {
        let encoded: String = endpoint.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let bearer = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let bearer = bearer.unwrap_or_default();
        let request = format!(
            "GET /api/v1/endpoints/{encoded} HTTP/1.1\r\nHost: localhost\r\n{bearer}Connection: close\r\n\r\n"
        );
        let reply = self.raw(&request);
        (reply.status == 200).then(|| reply.json()["registration_id"].as_str().unwrap_or_default().to_owned())
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            std::fs::create_dir(to.join(&name)).unwrap();
            copy(&path, &to.join(&name));
        } else {
            std::fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

/// A GET by somebody who has nothing but the server's address.
pub(crate) fn get_at(http: SocketAddr, address: &str) -> Reply {
    call_at(http, "GET", address)
}

/// A PUT without a body, likewise.
pub(crate) fn put_at(http: SocketAddr, address: &str) -> Reply {
    call_at(http, "PUT", address)
}

fn call_at(http: SocketAddr, method: &str, address: &str) -> Reply {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Reply::parse(&bytes)
}

/// Tries until it holds, or fails after half a minute.
#[track_caller]
pub(crate) fn eventually(holds: impl FnMut() -> bool) {
    eventually_within(30, holds);
}

/// Tries until it holds, or fails after so many seconds.
#[track_caller]
pub(crate) fn eventually_within(seconds: u32, mut holds: impl FnMut() -> bool) {
    for _ in 0..seconds * 50 {
        if holds() {
            return;
        }
        pause(20);
    }
    panic!("it did not come true within {seconds} seconds");
}

pub(crate) fn pause(ms: u64) {
    std::thread::park_timeout(Duration::from_millis(ms));
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The end of the problem's type, after checking that it is a proper problem document.
    pub(crate) fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        assert!(json["title"].is_string(), "{self:?}");
        json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }
}

/// A CoAP message, as little of it as a test needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u8::try_from(self.token.len()).unwrap();
        let mut out = vec![0x40 | self.kind << 4 | length, self.code];
        out.extend(self.id.to_be_bytes());
        out.extend(&self.token);
        let mut previous = 0;
        for (number, value) in &self.options {
            let (delta, delta_more) = nibble(number - previous);
            let (len, len_more) = nibble(u16::try_from(value.len()).unwrap());
            out.push(delta << 4 | len);
            out.extend(delta_more.into_iter().chain(len_more).chain(value.iter().copied()));
            previous = *number;
        }
        if !self.payload.is_empty() {
            out.push(0xFF);
            out.extend(&self.payload);
        }
        out
    }

    pub(crate) fn parse(bytes: &[u8]) -> Message {
        let token_end = 4 + usize::from(bytes[0] & 15);
        let mut at = token_end;
        let mut options = Vec::new();
        let mut number = 0;
        while at < bytes.len() && bytes[at] != 0xFF {
            let (delta, len) = (bytes[at] >> 4, bytes[at] & 15);
            at += 1;
            let mut more = |nibble: u8| match nibble {
                13 => {
                    at += 1;
                    13 + u16::from(bytes[at - 1])
                }
                14 => {
                    at += 2;
                    269 + u16::from_be_bytes([bytes[at - 2], bytes[at - 1]])
                }
                small => u16::from(small),
            };
            number += more(delta);
            let len = usize::from(more(len));
            options.push((number, bytes[at..at + len].to_vec()));
            at += len;
        }
        let payload = bytes.get(at + 1..).unwrap_or_default().to_vec();
        let id = u16::from_be_bytes([bytes[2], bytes[3]]);
        Message {
            kind: bytes[0] >> 4 & 3,
            code: bytes[1],
            id,
            token: bytes[4..token_end].to_vec(),
            options,
            payload,
        }
    }

    pub(crate) fn path(&self) -> String {
        let parts = self.options.iter().filter(|(number, _)| *number == 11);
        parts.map(|(_, value)| format!("/{}", String::from_utf8_lossy(value))).collect()
    }

    pub(crate) fn option(&self, number: u16) -> Option<u64> {
        let value = self.options.iter().find(|(n, _)| *n == number)?;
        Some(value.1.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The acknowledgement with an answer in it.
    pub(crate) fn answer(&self, code: u8, format: Option<u16>, payload: &[u8]) -> Message {
        let options = format.map(|format| (12, format.to_be_bytes().to_vec())).into_iter().collect();
        Message { kind: 2, code, id: self.id, token: self.token.clone(), options, payload: payload.to_vec() }
    }
}

fn nibble(number: u16) -> (u8, Vec<u8>) {
    match number {
        0..13 => (u8::try_from(number).unwrap(), Vec::new()),
        13..269 => (13, vec![u8::try_from(number - 13).unwrap()]),
        _ => (14, (number - 269).to_be_bytes().to_vec()),
    }
}

/// How long devices that sleep are awake: a loaded machine comes to what waits for them meanwhile, and tests that wait for their
/// sleep do not take long.
pub(crate) const AWAKE: Duration = Duration::from_secs(2);

/// Message IDs of Registers; those of what tests send themselves are below.
static REGISTER_IDS: AtomicU16 = AtomicU16::new(10_000);

/// A device: registers, and answers what comes as its script says. `None` = silence; what was answered is not asked of
/// the script again.
pub(crate) struct Device {
    pub(crate) requests: Receiver<Message>,
    /// What the server answered to the device's own requests.
    pub(crate) answers: Receiver<Message>,
    stop: SyncSender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) type Script = Box<dyn FnMut(&Message) -> Option<Message> + Send>;

impl Device {
    /// Registers with `lwm2m=1.1` and a battery, a thermometer and a server object.
    pub(crate) fn register(server: &Server, name: &str, script: Script) -> Device {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Device::register_as(server, socket, name, "</1/0>,</3/0>,</3303/0>,</3303/7>", script)
    }

    /// Registers with that list of objects.
    pub(crate) fn register_as(
        server: &Server,
        socket: UdpSocket,
        name: &str,
        links: &str,
        script: Script,
    ) -> Device {
        Device::register_with(server, socket, &format!("ep={name}&lt=600&lwm2m=1.1&b=U"), links, script)
    }

    /// Registers with these parameters, the name first.
    pub(crate) fn register_with(
        server: &Server,
        socket: UdpSocket,
        parameters: &str,
        links: &str,
        mut script: Script,
    ) -> Device {
        socket.connect(server.coap).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let name = parameters.split('&').next().and_then(|first| first.strip_prefix("ep=")).unwrap();
        let mut options = vec![(11, b"rd".to_vec()), (12, vec![40])];
        options.extend(parameters.split('&').map(|query| (15, query.as_bytes().to_vec())));
        let payload = links.as_bytes().to_vec();
        // The system may give it the port of one that left, which may have had its name: its message is no repetition.
        let id = REGISTER_IDS.fetch_add(1, Ordering::Relaxed);
        let register = Message { kind: 0, code: 2, id, token: vec![1, 2], options, payload };
        let before = server.registration(name);
        socket.send(&register.bytes()).unwrap();
        let (seen, requests) = sync_channel(10_000);
        let (seen_answers, answers) = sync_channel(1000);
        let (stop, orders) = sync_channel::<Vec<u8>>(1000);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            let mut answered: HashMap<u16, Vec<u8>> = HashMap::new();
            loop {
                match orders.recv_timeout(Duration::ZERO) {
                    Ok(order) if order.is_empty() => return,
                    Ok(order) => drop(socket.send(&order)),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                let Ok(len) = socket.recv(&mut buffer) else { continue };
                let message = Message::parse(&buffer[..len]);
                if (64..192).contains(&message.code) {
                    let _ = seen_answers.try_send(message);
                } else if let Some(answer) = answered.get(&message.id) {
                    // A repetition of what was done gets the same answer (RFC 7252 §4.5).
                    socket.send(answer).unwrap();
                } else if (1..32).contains(&message.code) {
                    let (id, answer) = (message.id, script(&message));
                    // Seen before it is answered: who has the answer finds the request.
                    let _ = seen.try_send(message);
                    if let Some(answer) = answer {
                        socket.send(&answer.bytes()).unwrap();
                        answered.insert(id, answer.bytes());
                    }
                }
            }
        });
        // Under its own registration, not under one that was there before.
        eventually(|| server.registration(name).is_some_and(|now| before.as_ref() != Some(&now)));
        Device { requests, answers, stop, thread: Some(thread) }
    }

    /// Sends a message of its own accord.
    pub(crate) fn send(&self, message: &Message) {
        self.stop.send(message.bytes()).unwrap();
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&self, message: &Message) -> Message {
        self.send(message);
        loop {
            let answer =
                self.answers.recv_timeout(Duration::from_secs(10)).expect("an answer within ten seconds");
            if answer.token == message.token {
                return answer;
            }
        }
    }

    pub(crate) fn next_request(&self) -> Message {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request within ten seconds")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.stop.send(Vec::new());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers Reads with text 42, Observes with 21, everything else with 2.04.
pub(crate) fn agreeable() -> Script {
    Box::new(|request| {
        Some(match (request.code, request.option(6)) {
            (1, Some(0)) => {
                let mut answer = request.answer(0x45, Some(0), b"21");
                answer.options.insert(0, (6, vec![1]));
                answer
            }
            (1, _) if request.path() == "/3/0" => {
                request.answer(0x45, Some(11542), b"\xC4\x00Acme\xC1\x09\x54")
            }
            (1, _) => request.answer(0x45, Some(0), b"42"),
            _ => request.answer(0x44, None, b""),
        })
    })
}

/// A stream of events, read line by line.
pub(crate) struct Events {
    stream: TcpStream,
    text: String,
    heartbeats: usize,
}

const RETRY: &str = "retry: 1000\n\n";

impl Events {
    pub(crate) fn follow(server: &Server, query: &str, last: Option<&str>) -> Events {
        Events::at(server, &format!("/api/v1/events{query}"), last)
    }

    /// Any stream, by its address.
    pub(crate) fn at(server: &Server, address: &str, last: Option<&str>) -> Events {
        let mut stream = server.connect();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET {address} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Events { stream, text: String::new(), heartbeats: 0 };
        events.until(RETRY);
        assert!(events.text.starts_with("HTTP/1.1 200"), "{}", events.text);
        // Events may have come along already.
        let end = events.text.find(RETRY).unwrap() + RETRY.len();
        events.text.drain(..end);
        events
    }

    pub(crate) fn until(&mut self, mark: &str) {
        let mut buffer = [0; 4096];
        while !self.text.contains(mark) {
            let len = self.stream.read(&mut buffer).expect("the stream goes on");
            assert!(len > 0, "the stream ended after {:?}", self.text);
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            self.heartbeats += text.matches(": here").count();
            assert!(self.heartbeats < 3, "nothing but signs of life: {:?}", self.text);
            self.text.push_str(&text);
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Json {
        loop {
            self.until("\ndata: ");
            let from = self.text.find("\ndata: ").unwrap() + 7;
            if let Some(len) = self.text[from..].find("\n\n") {
                let json = serde_json::from_str(&self.text[from..from + len]).unwrap();
                self.text.drain(..from + len + 1);
                return json;
            }
            let mut buffer = [0; 4096];
            let len = self.stream.read(&mut buffer).expect("the stream goes on");
            self.text.push_str(&String::from_utf8_lossy(&buffer[..len]));
        }
    }
}
