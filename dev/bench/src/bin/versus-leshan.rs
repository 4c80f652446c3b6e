//! Updates per second of one shard of our server, and of a server on Leshan's library with all cores, under the same load.
//!
//! `cargo run --release -p lightship-bench --bin versus-leshan [SECONDS]`
//!
//! Leshan's library keeps each message for 247 seconds, as RFC 7252 says and as it does unless it is told otherwise: what comes in that
//! time must fit into its heap. So each of its turns has a server of its own and few seconds, and the best turn counts.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lightship_bench::program::{Serve, cpu_ms, faults, figure_of, load_command, summary};
use lightship_bench::report::figure;

/// Messages under way at once.
const OUTSTANDING: [&str; 3] = ["16", "64", "256"];
const HEAP: &str = "-Xmx6g";
/// The compiler of the Java machine wants to see the code run before it makes it fast.
const WARM_UP_S: &str = "8";
/// Longer than a load of so many seconds, its registrations and its end ever take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one turn gave.
struct Turn {
    outstanding: &'static str,
    per_second: f64,
    p99_ms: f64,
    /// Of the server's process, for each Update.
    cpu_us: f64,
}

fn main() -> io::Result<()> {
    let seconds = std::env::args().nth(1).unwrap_or_else(|| "8".to_owned());
    println!(
        "| server | under way | Updates per second | p99 | CPU of the server for each |\n|---|---|---|---|---|"
    );
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for outstanding in OUTSTANDING {
        let leshan = Leshan::start()?;
        let warm = updates(&leshan.uri, leshan.child.id(), outstanding, WARM_UP_S)?;
        let turn = if warm.is_some() {
            updates(&leshan.uri, leshan.child.id(), outstanding, &seconds)?
        } else {
            None
        };
        theirs.extend(told("Leshan 2.0.0-M18, all cores", outstanding, turn));
        drop(leshan);
        let server = Serve::start(&["--shards", "1"])?;
        let uri = format!("coap://{}", server.coap);
        ours.extend(told(
            "Lightship, one shard",
            outstanding,
            updates(&uri, server.id(), outstanding, &seconds)?,
        ));
    }
    let best = |turns: &[Turn]| turns.iter().map(|turn| turn.per_second).fold(f64::NAN, f64::max);
    let least = |turns: &[Turn]| turns.iter().map(|turn| turn.cpu_us).fold(f64::NAN, f64::min);
    figure("update-vs-leshan", best(&ours) / best(&theirs));
    figure("update-vs-leshan-by-cpu", least(&theirs) / least(&ours));
    Ok(())
}

fn told(name: &str, outstanding: &str, turn: Option<Turn>) -> Option<Turn> {
    match &turn {
        Some(Turn { outstanding, per_second, p99_ms, cpu_us }) => {
            println!("| {name} | {outstanding} | {per_second:.0} | {p99_ms:.1} ms | {cpu_us:.1} µs |");
        }
        None => println!("| {name} | {outstanding} | came to no end in time | – | – |"),
    }
    turn
}

/// One load; nothing if it comes to no end in time.
fn updates(uri: &str, server: u32, outstanding: &'static str, seconds: &str) -> io::Result<Option<Turn>> {
    let flags = ["--devices", "2000", "--mix", "update=1", "--threads", "2"];
    let mut command = load_command(uri, &flags)?;
    let before = cpu_ms(server)?;
    let mut load = command.args(["--outstanding", outstanding, "--duration", seconds]).spawn()?;
    let begin = Instant::now();
    let patience = Duration::from_secs(seconds.parse().unwrap_or(10)) + PATIENCE;
    // Its summary is shorter than what a pipe holds.
    while load.try_wait()?.is_none() {
        if begin.elapsed() > patience {
            load.kill()?;
            load.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let took_ms = cpu_ms(server)? - before;
    let summary = summary(load)?;
    if faults(&summary) > 0 {
        println!("{uri}: {}", summary["answers"]);
    }
    let figure = |name: &str| figure_of(&summary, "update", name);
    let missing = || io::Error::other("no Updates");
    let (per_second, p99_ms) = figure("per_second").zip(figure("p99")).ok_or_else(missing)?;
    let count = figure("right").ok_or_else(missing)?;
    Ok(Some(Turn { outstanding, per_second, p99_ms, cpu_us: took_ms * 1000.0 / count }))
}

/// `dev/interop/leshan/LeshanServer.java`, which tells nobody what happens.
struct Leshan {
    child: Child,
    uri: String,
}

impl Leshan {
    fn start() -> io::Result<Self> {
        let mut fetch = Command::new("cargo");
        fetch.args(["run", "--quiet", "-p", "lightship-interop", "--", "--class-path"]);
        let output = fetch.stderr(Stdio::inherit()).output()?;
        let class_path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            return Err(io::Error::other(class_path));
        }
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut java = Command::new("java");
        java.args([
            HEAP,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            &class_path,
            "LeshanServer",
        ]);
        java.args([&port.to_string(), "93000", "quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = java.stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let leshan = Self { child, uri: format!("coap://127.0.0.1:{port}") };
        for line in BufReader::new(output).lines() {
            if line?.contains("\"ready\"") {
                return Ok(leshan);
            }
        }
        Err(io::Error::other("Leshan's server did not become ready"))
    }
}

impl Drop for Leshan {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
