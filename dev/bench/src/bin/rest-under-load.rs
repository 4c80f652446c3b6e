//! How long a REST read of an awake device takes while devices load the server with half of what it bears.
//!
//! `cargo run --release -p lightship-bench --bin rest-under-load [SECONDS]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lightship_bench::program::{Serve, binary, faults, figure_of, load, load_command, summary};
use lightship_bench::report::figure;

/// Reads a second, at set times: a stall shows in all that fall into it.
const READS_PER_SECOND: u32 = 50;
const FLEET: [&str; 6] = ["--devices", "5000", "--mix", "update=8,send=1,change=1", "--threads", "2"];

fn main() -> io::Result<()> {
    let seconds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    let server = Serve::start(&["--shards", "2"])?;
    let uri = format!("coap://{}", server.coap);
    let device = Device::start(&uri)?;
    let quiet = reads(&server, Duration::from_secs(5))?;
    let most = load(&uri, &[&FLEET[..], &["--duration", "8s", "--outstanding", "256", "--stay"]].concat())?;
    let operations = ["update", "send", "change"];
    let rate: f64 = operations.iter().filter_map(|name| figure_of(&most, name, "per_second")).sum();
    let half = format!("{:.0}", rate / 2.0);
    let duration = format!("{}s", seconds + 4);
    let fleet =
        load_command(&uri, &[&FLEET[..], &["--duration", &duration, "--rate", &half]].concat())?.spawn()?;
    // Until the fleet is registered again.
    std::thread::sleep(Duration::from_secs(2));
    let loaded = reads(&server, Duration::from_secs(seconds))?;
    let under = summary(fleet)?;
    drop(device);
    println!("| what | p50 | p99 | max |\n|---|---|---|---|");
    for (name, all) in [("nothing else", &quiet), ("half of the maximum load", &loaded)] {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|quantile| at(all, quantile));
        println!("| REST read, {name} | {p50:.2} ms | {p99:.2} ms | {max:.2} ms |");
    }
    let p99 = figure_of(&under, "update", "p99").unwrap_or(f64::NAN);
    println!(
        "maximum {rate:.0}/s; under half of it Updates had p99 {p99:.2} ms, {} answers at fault",
        faults(&under)
    );
    figure("rest-read-p99-ms", at(&loaded, 0.99));
    Ok(())
}

/// Milliseconds of each read, from when it was to begin, ascending.
fn reads(server: &Serve, span: Duration) -> io::Result<Vec<f64>> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into();
    let url = format!("http://{}/api/v1/endpoints/awake/resources/3/0/9", server.http);
    let every = Duration::from_secs(1) / READS_PER_SECOND;
    let mut all = Vec::new();
    let begin = Instant::now();
    for number in 0.. {
        let intended = every * number;
        if intended >= span {
            break;
        }
        std::thread::sleep(intended.saturating_sub(begin.elapsed()));
        let answer = agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        let text = answer.map_err(io::Error::other)?;
        if !text.contains("\"2.05\"") {
            return Err(io::Error::other(text));
        }
        all.push((begin.elapsed() - intended).as_secs_f64() * 1e3);
    }
    all.sort_by(f64::total_cmp);
    Ok(all)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into a short list"
)]
fn at(sorted: &[f64], quantile: f64) -> f64 {
    let index = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(index.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// A device of ours, which answers at once; dropping it ends it.
struct Device(Child);

impl Device {
    fn start(uri: &str) -> io::Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(["device", "--endpoint", "awake", "--server", uri, "--lifetime", "3600"]);
        let device = Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        std::thread::sleep(Duration::from_secs(2));
        Ok(device)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
