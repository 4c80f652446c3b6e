//! Durable commands by the thousand over restarts: those that wait are all there afterwards, in their order, and each device is given
//! each of them once.
//!
//! 20 devices with 10 commands each by default; `dev/bench/commands` takes 1000 with 100 each, and says how long everything took.
#![cfg(unix)]

mod program;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lightship_api::CommandState;
use lightship_api::client::{Client, ClientError, DownlinkOptions};
use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, Token, Type};
use program::{PATIENCE, Server, eventually, now};

/// Callers at the same time.
const CALLERS: usize = 64;
/// A device that has nothing to do.
const PAUSE: Duration = Duration::from_millis(1);
/// More than the devices' time awake.
const UPDATE_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A device that sleeps until it is told to send an Update, and then does what it is told.
struct Device {
    name: String,
    socket: UdpSocket,
    location: String,
    message_id: u16,
    /// The message that was answered last, and the answer: it may come again.
    answered: Option<(MessageId, Vec<u8>)>,
    /// The numbers of the commands that came, in the order of their coming.
    received: Vec<usize>,
    heard_at: Instant,
}

impl Device {
    fn register(server: &Server, number: usize) -> Device {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server.coap).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        let name = format!("sleepy-{number}");
        let mut device = Device {
            name,
            socket,
            location: String::new(),
            message_id: 0,
            answered: None,
            received: Vec::new(),
            heard_at: now(),
        };
        let name = format!("ep={}", device.name);
        let register = device.request("rd", &["b=U", "Q", "lwm2m=1.1", "lt=86400", &name], b"</1/0>,</3/0>");
        let mut buffer = [0; 1500];
        device.socket.send(&register).expect("sent");
        while device.location.is_empty() {
            let len = device.socket.recv(&mut buffer).expect("an answer");
            let answer = Message::parse(&buffer[..len]).expect("CoAP");
            if answer.code() == Code::EMPTY {
                continue;
            }
            assert_eq!(answer.code(), Code::CREATED);
            device.location = answer.location_path().collect::<Vec<_>>().join("/");
            if answer.ty() == Type::Con {
                device.socket.send(&empty_ack(answer.message_id())).expect("sent");
            }
        }
        device.socket.set_nonblocking(true).expect("set");
        device
    }

    fn request(&mut self, path: &str, query: &[&str], body: &[u8]) -> Vec<u8> {
        self.message_id += 1;
        let mut buffer = [0; 1024];
        let token = Token::new(&self.message_id.to_be_bytes()).unwrap_or_default();
        let mut message = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(self.message_id), token);
        message.options().uri_path(path);
        if !body.is_empty() {
            message.options().content_format(ContentFormat::LINK);
        }
        for part in query {
            message.options().uri_query(part);
        }
        let len = message.finish_with(body).expect("there is room");
        buffer[..len].to_vec()
    }

    /// It wakes.
    fn update(&mut self) {
        let location = self.location.clone();
        let update = self.request(&location, &[], b"");
        self.heard_at = now();
        // The server may be away: it is asked again.
        let _ = self.socket.send(&update);
    }

    /// Says again that it is there, if it has not heard anything for so long that the server believes it asleep.
    fn stay_awake(&mut self) {
        if self.heard_at.elapsed() > UPDATE_EVERY {
            self.update();
        }
    }

    /// Does what it is told, as far as something has come; says whether it has.
    fn serve(&mut self) -> bool {
        let mut buffer = [0; 1500];
        // Nothing, or the server is away.
        let Ok(len) = self.socket.recv(&mut buffer) else { return false };
        self.heard_at = now();
        let request = Message::parse(&buffer[..len]).expect("CoAP");
        assert!(request.code().class() < 4, "{}: an Update is refused: {}", self.name, request.code());
        if request.ty() == Type::Con && request.code().class() >= 2 {
            let _ = self.socket.send(&empty_ack(request.message_id()));
            return true;
        }
        if request.code() != Code::POST {
            return true;
        }
        if let Some((_, answer)) = self.answered.as_ref().filter(|(id, _)| *id == request.message_id()) {
            let _ = self.socket.send(answer);
            return true;
        }
        let arguments = std::str::from_utf8(request.payload()).expect("text");
        let number = arguments.strip_prefix("0='").and_then(|rest| rest.strip_suffix('\''));
        self.received.push(number.and_then(|text| text.parse().ok()).expect("a number of ours"));
        let mut answer = [0; 32];
        let message =
            Encoder::new(&mut answer, Type::Ack, Code::CHANGED, request.message_id(), request.token());
        let len = message.finish().expect("there is room");
        let _ = self.socket.send(&answer[..len]);
        self.answered = Some((request.message_id(), answer[..len].to_vec()));
        true
    }
}

fn empty_ack(id: MessageId) -> Vec<u8> {
    let mut buffer = [0; 4];
    let len = Encoder::new(&mut buffer, Type::Ack, Code::EMPTY, id, Token::default()).finish();
    buffer[..len.expect("there is room")].to_vec()
}

/// How many devices, and how many commands for each.
fn size() -> (usize, usize) {
    let Ok(text) = std::env::var("LIGHTSHIP_COMMANDS") else { return (20, 10) };
    let numbers = text.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.expect("DEVICESxCOMMANDS")
}

fn start(coap: &str, http: &str, folder: &Path) -> Server {
    let (data, config) = (folder.join("data"), folder.join("lightship.toml"));
    let [data, config] = [data, config].map(|path| path.to_str().expect("UTF-8").to_owned());
    Server::start_at(coap, http, &["--data", &data, "--config", &config])
}

fn client(http: &str) -> Client {
    Client::new(&format!("http://{http}"), None)
}

/// Does something for each device, some at a time, and says how long all took.
fn each(what: &str, devices: usize, job: impl Fn(usize) + Sync) {
    let (begin, next) = (now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= devices {
                        return;
                    }
                    job(number);
                }
            });
        }
    });
    eprintln!("{what}: {:.2} s", begin.elapsed().as_secs_f64());
}

fn name(number: usize) -> String {
    format!("sleepy-{number}")
}

/// Queues all commands; gives their ids by device, in their order.
fn queue_all(http: &str, devices: usize, each_one: usize) -> Vec<Vec<String>> {
    let options =
        DownlinkOptions { queue: true, not_after: Some("24h".into()), ..DownlinkOptions::default() };
    let ids = Mutex::new(BTreeMap::new());
    each(&format!("{} commands queued, each on the disk", devices * each_one), devices, |number| {
        let client = client(http);
        let queue = |place: usize| {
            let arguments = format!("0='{place}'");
            match client.execute(&name(number), "/3/0/4", Some(&arguments), &options) {
                Err(ClientError::Queued(command)) => command.id,
                other => panic!("{other:?}"),
            }
        };
        let mine: Vec<String> = (0..each_one).map(queue).collect();
        ids.lock().expect("not poisoned").insert(number, mine);
    });
    ids.into_inner().expect("not poisoned").into_values().collect()
}

/// All commands wait, in the order in which they were queued.
fn all_wait(http: &str, ids: &[Vec<String>]) {
    each("all of them compared", ids.len(), |number| {
        let listed = client(http).commands(&name(number)).expect("a list").items;
        assert!(listed.iter().all(|command| command.state == CommandState::Waiting && command.attempts == 0));
        let mut found: Vec<String> = listed.into_iter().map(|command| command.id).collect();
        // The last one comes first, or last.
        if found.first() != ids[number].first() {
            found.reverse();
        }
        assert_eq!(found, ids[number]);
    });
}

/// Wakes all devices and lets them work until `enough` commands have come, or nothing waits any more.
fn work(http: &str, devices: &mut [Device], enough: usize) {
    let begin = now();
    devices.iter_mut().for_each(Device::update);
    let client = client(http);
    let share = devices.len().div_ceil(4);
    let (came, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let before: usize = devices.iter().map(|device| device.received.len()).sum();
    std::thread::scope(|scope| {
        for devices in devices.chunks_mut(share) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut busy = false;
                    for device in devices.iter_mut() {
                        let known = device.received.len();
                        busy |= device.serve();
                        device.stay_awake();
                        came.fetch_add(device.received.len() - known, Ordering::Relaxed);
                    }
                    if !busy {
                        std::thread::park_timeout(PAUSE);
                    }
                }
            });
        }
        let (mut last, mut moved_at) = (0, now());
        while before + came.load(Ordering::Relaxed) < enough && live(&client) > 0 {
            let so_far = came.load(Ordering::Relaxed);
            if so_far > last {
                (last, moved_at) = (so_far, now());
            }
            if moved_at.elapsed() > PATIENCE {
                break;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        over.store(true, Ordering::Relaxed);
    });
    let came = came.into_inner();
    eprintln!("{came} commands done by their devices: {:.2} s", begin.elapsed().as_secs_f64());
}

/// A number that the server shows about itself.
fn metric(client: &Client, name: &str) -> u64 {
    let text = client.text("/metrics").expect("metrics");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Commands that wait or are on their way.
fn live(client: &Client) -> u64 {
    metric(client, "lightship_commands_live")
}

// Proves: QUE-02
#[test]
fn all_commands_outlive_restarts_and_come_once_in_their_order() {
    let (number, each_one) = size();
    let all = number * each_one;
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[limits]\nregisters_a_minute_per_device = 0\n[queue]\nawake_window_s = 1\n";
    std::fs::write(folder.path().join("lightship.toml"), text).expect("written");
    let mut server = start("127.0.0.1:0", "127.0.0.1:0", folder.path());
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    let mut devices: Vec<Device> = (0..number).map(|number| Device::register(&server, number)).collect();
    for device in &devices {
        eventually("it sleeps", || {
            let shown = client(&http).endpoint(&device.name).ok()?;
            (serde_json::to_value(shown).ok()?["state"] == "asleep").then_some(())
        });
    }
    let ids = queue_all(&http, number, each_one);

    let begin = now();
    server.program.ask_to_end();
    assert!(server.program.await_end().success());
    let stopped = begin.elapsed();
    let begin = now();
    server = start(&coap, &http, folder.path());
    eprintln!(
        "stopped in order: {:.2} s; ready again: {:.2} s",
        stopped.as_secs_f64(),
        begin.elapsed().as_secs_f64()
    );
    all_wait(&http, &ids);

    server.program.kill();
    let begin = now();
    server = start(&coap, &http, folder.path());
    eprintln!("ready again after kill -9: {:.2} s", begin.elapsed().as_secs_f64());
    all_wait(&http, &ids);

    // And once more while the commands are on their way.
    work(&http, &mut devices, all / 2);
    server.program.kill();
    server = start(&coap, &http, folder.path());
    work(&http, &mut devices, all);
    let client = client(&http);
    eventually("none is left", || (live(&client) == 0).then_some(()));
    for device in &devices {
        assert!(device.received.is_sorted_by(|a, b| a < b), "{}: {:?}", device.name, device.received);
    }
    // Of what was on its way when the server was killed nobody knows whether it was done: it is not done again.
    let came: usize = devices.iter().map(|device| device.received.len()).sum();
    let given_up = metric(&client, "lightship_commands_total{state=\"expired\"");
    let missing = u64::try_from(all - came).expect("small");
    eprintln!(
        "{came} of {all} came once and in order; {given_up} were on their way at the kill and are given up"
    );
    server.program.ask_to_end();
    assert!(server.program.await_end().success());
    assert!(missing <= given_up && given_up <= u64::try_from(number).expect("small"));
}
