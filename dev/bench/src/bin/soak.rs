//! An hour of mixed load on a server that keeps what it is told, plain and over DTLS, awake and asleep, with loss, while REST
//! reads, writes, observes and leaves commands: memory must stay flat, and no descriptor may leak.
//!
//! `cargo run --release -p lightship-bench --bin soak [MINUTES]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lightship_bench::program::{Serve, faults, load_command, summary};
use lightship_bench::report::figure;
use serde_json::{Value, json};

/// What each fleet does, beside how long.
const FLEETS: [(&str, &[&str]); 3] = [
    (
        "awake",
        &[
            "--devices",
            "3000",
            "--rate",
            "600",
            "--loss",
            "1",
            "--ack-timeout",
            "0.5",
            "--max-retransmit",
            "6",
            "--threads",
            "1",
            "--mix",
            "update=40,change=5,send=15,notify=25,report=10,rejoin=3,register=2",
        ],
    ),
    (
        "asleep",
        &[
            "--devices",
            "1000",
            "--rate",
            "50",
            "--threads",
            "1",
            "--queue-mode",
            "--awake",
            "2",
            "--mix",
            "update=8,send=2",
        ],
    ),
    (
        "secured",
        &[
            "--devices",
            "200",
            "--rate",
            "100",
            "--loss",
            "1",
            "--ack-timeout",
            "0.5",
            "--max-retransmit",
            "6",
            "--threads",
            "1",
            "--psk-key",
            KEY,
            "--mix",
            "update=8,send=2,change=1",
        ],
    ),
];
const KEY: &str = "000102030405060708090a0b{n:08x}";
/// Devices that are observed.
const OBSERVED: u32 = 100;
/// Times that memory and descriptors are looked at.
const SAMPLES: u32 = 60;

fn main() -> io::Result<()> {
    let minutes: f64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(60.0);
    let span = Duration::from_secs_f64(minutes * 60.0);
    let folder = tempfile::tempdir()?;
    let store = folder.path().canonicalize()?.join("data");
    let data = store.to_str().ok_or_else(|| io::Error::other("a folder whose name is no text"))?;
    let server = Serve::start(&["--shards", "2", "--awake-window", "2", "--data", data])?;
    let rest = Rest::new(&server);
    for number in 0..200 {
        let credential = json!({
            "mode": "psk", "identity": format!("secured-{number}"), "key_hex": format!("000102030405060708090a0b{number:08x}"),
        });
        rest.put(&format!("credentials/secured-{number}"), &credential)?;
    }
    let mut fleets = Vec::new();
    for (name, flags) in FLEETS {
        let uri = if name == "secured" {
            format!("coaps://{}", server.coaps)
        } else {
            format!("coap://{}", server.coap)
        };
        let (pattern, duration) = (format!("{name}-{{n}}"), format!("{:.0}s", span.as_secs_f64()));
        let own = ["--name", &pattern, "--duration", &duration, "--ramp", "3s"];
        fleets.push((name, load_command(&uri, &[flags, &own].concat())?.spawn()?));
    }
    std::thread::sleep(Duration::from_secs(6));
    for number in 0..OBSERVED {
        rest.put(&format!("endpoints/awake-{number}/observations/3303/0/5700"), &json!({}))?;
    }
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let samples = std::thread::scope(|scope| {
        scope.spawn(|| rest.call_on(&stop, &calls));
        let samples = watch(&server, &store, span.saturating_sub(Duration::from_secs(8)));
        stop.store(true, Ordering::Relaxed);
        samples
    })?;
    let mut at_fault = 0;
    for (name, fleet) in fleets {
        let summary = summary(fleet)?;
        at_fault += faults(&summary);
        println!("{name}: {} {}", summary["answers"], summary["wrong_answers"]);
    }
    tell(&samples, at_fault, calls.load(Ordering::Relaxed));
    Ok(())
}

/// Looks at memory and descriptors again and again.
fn watch(server: &Serve, store: &Path, span: Duration) -> io::Result<Vec<(u64, usize)>> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    for number in 1..=SAMPLES {
        std::thread::sleep((span * number / SAMPLES).saturating_sub(begin.elapsed()));
        samples.push((server.resident()?, server.descriptors(store)?));
    }
    Ok(samples)
}

/// The last third of the time beside the second: the first is for warming up.
#[allow(clippy::cast_precision_loss, reason = "ratios to be read by people")]
fn tell(samples: &[(u64, usize)], at_fault: u64, calls: u64) {
    let third = samples.len() / 3;
    let (second, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let most = |part: &[(u64, usize)]| {
        let resident = part.iter().map(|(resident, _)| *resident).max().unwrap_or(0);
        (resident, part.iter().map(|(_, descriptors)| *descriptors).max().unwrap_or(0))
    };
    let (before, after) = (most(second), most(last));
    println!("| | second third | last third |\n|---|---|---|");
    println!("| resident memory, at most | {} KiB | {} KiB |", before.0 / 1024, after.0 / 1024);
    println!("| descriptors besides those of the store, at most | {} | {} |", before.1, after.1);
    println!("{calls} calls of REST");
    figure("soak-memory-growth", after.0 as f64 / before.0 as f64);
    figure("soak-descriptor-growth", after.1 as f64 - before.1 as f64);
    figure("soak-answers-at-fault", at_fault as f64);
    figure("soak-rest-calls", calls as f64);
}

/// The server's REST API.
struct Rest {
    agent: ureq::Agent,
    base: String,
}

impl Rest {
    fn new(server: &Serve) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60)));
        let agent = config.http_status_as_error(false).build().into();
        Self { agent, base: format!("http://{}/api/v1", server.http) }
    }

    fn put(&self, path: &str, body: &Value) -> io::Result<()> {
        let request =
            self.agent.put(format!("{}/{path}", self.base)).header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).map_err(io::Error::other)?;
        let text = answer.body_mut().read_to_string().map_err(io::Error::other)?;
        // A device may have been away at the moment: that is the server's answer to give.
        if answer.status().is_server_error() && answer.status() != 504 {
            return Err(io::Error::other(format!("{path}: {} {text}", answer.status())));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> io::Result<()> {
        let mut answer = self.agent.get(format!("{}/{path}", self.base)).call().map_err(io::Error::other)?;
        answer.body_mut().read_to_string().map_err(io::Error::other)?;
        Ok(())
    }

    /// Reads, writes, lists, and leaves commands for devices that sleep.
    fn call_on(&self, stop: &AtomicBool, calls: &AtomicU64) {
        let value = json!({"value": "K"});
        for turn in 0_u32.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let (awake, asleep) = (turn * 7 % 3000, turn * 11 % 1000);
            let done = match turn % 6 {
                0 => self.get(&format!("endpoints/awake-{awake}/resources/3/0?wait=2s")),
                1 => self.put(&format!("endpoints/awake-{awake}/resources/3303/0/5701?wait=2s"), &value),
                2 => self.put(&format!("endpoints/asleep-{asleep}/resources/3303/0/5701?queue=true"), &value),
                3 => self.get("endpoints?limit=50&filter=awake-1"),
                4 => self.get(&format!("endpoints/secured-{}/resources/3?wait=2s", turn % 200)),
                _ => self.get(&format!("endpoints/awake-{awake}/history/3303/0/5700?limit=20")),
            };
            match done {
                Ok(()) => calls.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    println!("REST: {error}");
                    0
                }
            };
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
