//! `kill -9` at random moments under load, again and again: nothing that was acknowledged is missing afterwards.
//!
//! Each round the server is killed while `lightship load` and a caller of durable commands are at it; the load is frozen (SIGSTOP) while
//! the new server is compared with what was acknowledged by then, and goes on afterwards. Three kills by default; fifty with
//! `dev/bench/kills`. The same with a disk that is full now and then: `dev/bench/disk-full`.
#![cfg(unix)]

mod program;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lightship_api::client::{Client, ClientError, DownlinkOptions};
use lightship_api::{AttributesBody, CommandState};
use program::{Program, Server, eventually};
use serde_json::Value as Json;

const DEVICES: usize = 120;
/// Devices that are observed, so that they have something to notify.
const OBSERVED: usize = 40;

/// What the ledger says of a device's registration.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    /// The last state that the server has acknowledged: location and lifetime, or none.
    registered: Option<(String, u64)>,
    /// What was begun after that, each of which may be so or not: a device that was not answered begins the next.
    open: Vec<Open>,
}

#[derive(Clone, Debug, PartialEq)]
enum Open {
    Register(u64),
    Change(u64),
    Deregister,
}

/// All that the ledger says.
#[derive(Default)]
struct Ledger {
    devices: BTreeMap<String, Told>,
    /// Values of Sends and of notifications that were acknowledged, each a number of its own, as its bits.
    values: BTreeSet<u64>,
    /// Executes that devices have carried out, by their arguments.
    executed: HashMap<String, u32>,
}

impl Ledger {
    fn read(path: &Path) -> Ledger {
        let text = std::fs::read_to_string(path).expect("a ledger");
        // The last line may be half written: the load is frozen at any moment.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut ledger = Ledger::default();
        for line in whole.lines() {
            ledger.take(&serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        ledger
    }

    fn take(&mut self, line: &Json) {
        let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
        let told = self.devices.entry(text("device")).or_default();
        let lifetime = || line["lifetime_s"].as_u64().expect("a lifetime");
        match (text("operation").as_str(), text("state").as_str()) {
            ("register", "begun") => told.open.push(Open::Register(lifetime())),
            ("change", "begun") => told.open.push(Open::Change(lifetime())),
            ("deregister", "begun") => told.open.push(Open::Deregister),
            ("register" | "change", "acknowledged") => {
                *told = Told { registered: Some((text("location"), lifetime())), open: Vec::new() };
            }
            ("deregister", "acknowledged") => *told = Told::default(),
            ("send" | "notify", "acknowledged") => {
                self.values.insert(line["value"].as_f64().expect("a value").to_bits());
            }
            ("execute", "received") => *self.executed.entry(text("payload_hex")).or_default() += 1,
            ("write", "received") => {}
            other => panic!("a line that nobody knows: {other:?}"),
        }
    }
}

/// Whether the server may have this of the device.
fn agrees(told: &Told, kept: Option<&(String, u64)>) -> bool {
    let may_be = |open: &Open| match (open, kept) {
        (Open::Register(lifetime), Some((_, kept))) => kept == lifetime,
        (Open::Change(lifetime), Some((location, kept))) => {
            let known = told.registered.as_ref().is_some_and(|(known, _)| known == location);
            kept == lifetime && known
        }
        (Open::Deregister, kept) => kept.is_none(),
        (Open::Register(_) | Open::Change(_), None) => false,
    };
    kept == told.registered.as_ref() || told.open.iter().any(may_be)
}

/// The log as far as it was read: its numbers have neither holes nor repetitions.
#[derive(Default)]
struct Log {
    last: Option<(String, u64)>,
    values: BTreeSet<u64>,
}

impl Log {
    fn read_on(&mut self, server: &Server) -> usize {
        let after =
            self.last.as_ref().map_or("0".to_owned(), |(writer, number)| format!("{writer}-{number}"));
        let text = server.ctl(&["events", "--json", "--after", &after]);
        for line in text.lines() {
            let event: Json = serde_json::from_str(line).expect("an event a line");
            assert_ne!(event["type"], "gap", "{line}");
            let (writer, number) = event["id"].as_str().and_then(|id| id.split_once('-')).expect("a cursor");
            let number: u64 = number.parse().expect("a number");
            let before = self.last.replace((writer.to_owned(), number));
            let expected = before.map_or((writer.to_owned(), 1), |(writer, number)| (writer, number + 1));
            assert_eq!((writer.to_owned(), number), expected, "the log goes on without hole or double");
            if event["type"] == "sent" || event["type"] == "notified" {
                let content = event["content"].as_array().cloned().unwrap_or_default();
                self.values
                    .extend(content.iter().filter_map(|node| node["value"].as_f64()).map(f64::to_bits));
            }
        }
        text.lines().count()
    }
}

fn kept(client: &Client) -> BTreeMap<String, (String, u64)> {
    let (mut all, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = client.endpoints(None, cursor.as_deref()).expect("a page");
        for item in page.items {
            let location = format!("rd/{}", item.registration_id);
            all.insert(item.endpoint, (location, u64::from(item.lifetime_s)));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

/// How many commands are looked at after a kill, the newest: of those that have ended the server keeps 10,000. The ones before
/// were looked at after the kills before.
const COMMANDS_COMPARED: usize = 9000;

/// Puts durable commands in without a pause; remembers those that were taken.
fn command_all_the_time(http: &str, stop: &AtomicBool, taken: &Mutex<Vec<(String, String)>>) {
    let client = Client::new(http, None);
    let queue = DownlinkOptions { queue: true, not_after: Some("24h".into()), ..DownlinkOptions::default() };
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let (device, arguments) = (format!("load-{}", number % DEVICES), format!("0='{number}'"));
        match client.execute(&device, "/3303/0/5605", Some(&arguments), &queue) {
            Err(ClientError::Queued(command)) => {
                taken.lock().expect("not poisoned").push((command.id, arguments));
            }
            // The server is away, or the device is not registered now.
            _ => pause(Duration::from_millis(5)),
        }
        pause(Duration::from_millis(2));
    }
}

fn pause(span: Duration) {
    std::thread::park_timeout(span);
}

/// Wherever the server is in its work then.
fn random_pause(round: u32) {
    let mut seed = u64::from(std::process::id()) << 32 | u64::from(round);
    seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    seed = (seed ^ seed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    pause(Duration::from_millis(400 + seed % 900));
}

fn configure(folder: &Path) {
    let text =
        "[limits]\nregisters_a_minute_per_device = 0\n[store]\nfree_min_mb = 0\nevents_max_mb = 1024\n";
    std::fs::write(folder.join("lightship.toml"), text).expect("written");
}

fn server_at(coap: &str, http: &str, folder: &Path) -> Server {
    let (data, config) = (folder.join("data"), folder.join("lightship.toml"));
    let [data, config] = [data, config].map(|path| path.to_str().expect("UTF-8").to_owned());
    Server::start_at(coap, http, &["--data", &data, "--config", &config])
}

fn start_load(server: &Server, ledger: &Path) -> Program {
    let uri = format!("coap://{}", server.coap);
    let devices = DEVICES.to_string();
    Program::start(&[
        "load",
        "--server",
        &uri,
        "--devices",
        &devices,
        "--outstanding",
        "60",
        "--rate",
        "1500",
        "--mix",
        "change=4,send=4,notify=3,update=2,rejoin=1",
        "--duration",
        "1h",
        "--ledger",
        ledger.to_str().expect("UTF-8"),
        "--ack-timeout",
        "0.3",
        "--max-retransmit",
        "2",
        "--retry",
        "0.2",
        "--stay",
        "--quiet",
    ])
}

fn observe_some(server: &Server) {
    let client = Client::new(&format!("http://{}", server.http), None);
    for number in 0..OBSERVED {
        let device = format!("load-{number}");
        eventually("it is observed", || {
            let attributes = AttributesBody::default();
            client.observe(&device, "/3303/0/5700", &attributes, &DownlinkOptions::default()).ok()
        });
    }
}

/// Compares a server after a crash with what was acknowledged before.
fn compare(server: &Server, ledger: &Ledger, log: &mut Log, taken: &[(String, String)], round: u32) {
    let client = Client::new(&format!("http://{}", server.http), None);
    let kept = kept(&client);
    for (device, told) in &ledger.devices {
        assert!(
            agrees(told, kept.get(device)),
            "round {round}, {device}: {told:?}, kept {:?}",
            kept.get(device)
        );
    }
    let events = log.read_on(server);
    let missing: Vec<_> = ledger.values.difference(&log.values).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged, and not in the log: {missing:?}");
    for (id, _) in &taken[taken.len().saturating_sub(COMMANDS_COMPARED)..] {
        let command = client.command(id).unwrap_or_else(|error| panic!("round {round}, {id}: {error}"));
        assert_ne!(command.state, CommandState::Superseded);
    }
    let twice: Vec<_> = ledger.executed.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "round {round}: executed more than once: {twice:?}");
    eprintln!(
        "kill {round}: {} registrations, {} events more, {} values, {} commands, {} executes",
        kept.len(),
        events,
        ledger.values.len(),
        taken.len(),
        ledger.executed.len()
    );
}

#[test]
fn nothing_acknowledged_is_missing_after_a_kill() {
    let kills = std::env::var("LIGHTSHIP_KILLS").ok().map_or(3, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger.jsonl");
    configure(folder.path());
    let mut server = server_at("127.0.0.1:0", "127.0.0.1:0", folder.path());
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    let load = start_load(&server, &ledger);
    observe_some(&server);
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let caller = std::thread::spawn({
        let (url, stop, taken) = (format!("http://{http}"), stop.clone(), taken.clone());
        move || command_all_the_time(&url, &stop, &taken)
    });
    let mut log = Log::default();
    for round in 1..=kills {
        random_pause(round);
        let known = taken.lock().expect("not poisoned");
        server.program.kill();
        load.signal("-STOP");
        let before = Ledger::read(&ledger);
        server = server_at(&coap, &http, folder.path());
        compare(&server, &before, &mut log, &known, round);
        drop(known);
        load.signal("-CONT");
    }
    stop.store(true, Ordering::Relaxed);
    caller.join().expect("it ends");
    assert!(!log.values.is_empty() && !taken.lock().expect("not poisoned").is_empty(), "there was a load");
    server.program.ask_to_end();
    assert!(server.program.await_end().success());
}

/// Fills the file system until nothing more goes.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file");
    let mut chunk = vec![0x5a; 1 << 20];
    while !chunk.is_empty() {
        if file.write_all(&chunk).is_err() {
            chunk.truncate(chunk.len() / 2);
        }
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    // A disk of its own, which only root can give it: dev/bench/disk-full.
    let Some(folder) = std::env::var_os("LIGHTSHIP_SMALL_DISK") else { return };
    let folder = Path::new(&folder);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let ledger = elsewhere.path().join("ledger.jsonl");
    configure(folder);
    let server = server_at("127.0.0.1:0", "127.0.0.1:0", folder);
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    let client = Client::new(&format!("http://{http}"), None);
    let load = start_load(&server, &ledger);
    observe_some(&server);
    for round in 1..=3 {
        random_pause(round);
        let filler = folder.join("filler");
        fill(&filler);
        let reason = eventually("it is told that the disk is full", || client.text("/readyz").err());
        eprintln!("full {round}: {reason}");
        pause(Duration::from_secs(2));
        assert!(client.text("/healthz").is_ok() && client.endpoints(None, None).is_ok(), "reads go on");
        std::fs::remove_file(&filler).expect("removed");
        eventually("it takes work again", || client.text("/readyz").ok());
    }
    random_pause(0);
    server.program.kill();
    load.signal("-STOP");
    let before = Ledger::read(&ledger);
    let server = server_at(&coap, &http, folder);
    compare(&server, &before, &mut Log::default(), &[], 0);
    assert!(before.values.len() > 100, "there was a load");
    server.program.kill();
    drop(load);
    ends_are_told(folder);
}

/// Registrations that expire while the disk is full are told when it is not, or by the process after one that was killed meanwhile.
fn ends_are_told(folder: &Path) {
    let data = folder.join("ends");
    std::fs::create_dir(&data).expect("a folder");
    configure(&data);
    let filler = folder.join("filler");
    let mut server = server_at("127.0.0.1:0", "127.0.0.1:0", &data);
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    let told = |server: &Server, name: &str| -> Vec<String> {
        let events = server.ctl(&["events", "--type", "registered,expired", "--endpoint", name, "--json"]);
        let kind = |line: &str| serde_json::from_str::<Json>(line).expect("JSON")["type"].to_string();
        events.lines().map(kind).collect()
    };
    for (name, is_killed) in [("stays", false), ("killed", true)] {
        let device = server.device(name, &["--lifetime", "4"]);
        fill(&filler);
        let client = Client::new(&format!("http://{http}"), None);
        eventually("it is told that the disk is full", || client.text("/readyz").err());
        device.kill();
        eventually("it expires", || (!server.is_registered(name)).then_some(()));
        if is_killed {
            server.program.kill();
            std::fs::remove_file(&filler).expect("removed");
            server = server_at(&coap, &http, &data);
        } else {
            assert_eq!(told(&server, name), ["\"registered\""]);
            std::fs::remove_file(&filler).expect("removed");
        }
        let both = ["\"registered\"", "\"expired\""];
        eventually("its end is told", || (told(&server, name) == both).then_some(()));
        eprintln!("{name}: told");
    }
    assert!(server.ctl(&["events", "--json"]).lines().all(|line| !line.contains("\"gap\"")));
}
