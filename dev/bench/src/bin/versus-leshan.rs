//! Updates per second of one shard of our server, and of a server on Leshan's library with all cores, under the same load.
//!
//! `cargo run --release -p lightship-bench --bin versus-leshan [SECONDS]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use lightship_bench::program::{Serve, faults, figure_of, load};
use lightship_bench::report::figure;

/// Turns of each; of Leshan's the best counts, of ours the middle one.
const TURNS: usize = 3;

fn main() -> io::Result<()> {
    let seconds = std::env::args().nth(1).unwrap_or_else(|| "10".to_owned());
    let theirs = Leshan::start()?;
    let ours = Serve::start(&["--shards", "1"])?;
    let ours_uri = format!("coap://{}", ours.coap);
    // The compiler of the Java machine wants to see the code run before it makes it fast.
    updates(&theirs.uri, "15")?;
    let mut rates = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        rates.0.push(updates(&theirs.uri, &seconds)?);
        rates.1.push(updates(&ours_uri, &seconds)?);
    }
    println!("| server | Updates per second | p99 |\n|---|---|---|");
    for (name, turns) in
        [("Leshan 2.0.0-M18, all cores", &mut rates.0), ("Lightship, one shard", &mut rates.1)]
    {
        turns.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (rate, p99) in turns {
            println!("| {name} | {rate:.0} | {p99:.1} ms |");
        }
    }
    let best = rates.0.last().map_or(f64::NAN, |turn| turn.0);
    let middle = rates.1.get(TURNS / 2).map_or(f64::NAN, |turn| turn.0);
    figure("update-vs-leshan", middle / best);
    Ok(())
}

/// Updates per second and their p99 in milliseconds.
fn updates(uri: &str, seconds: &str) -> io::Result<(f64, f64)> {
    let flags = [
        "--devices",
        "2000",
        "--mix",
        "update=1",
        "--outstanding",
        "128",
        "--threads",
        "2",
        "--duration",
        seconds,
    ];
    let summary = load(uri, &flags)?;
    if faults(&summary) > 0 {
        println!("{uri}: {}", summary["answers"]);
    }
    figure_of(&summary, "update", "per_second")
        .zip(figure_of(&summary, "update", "p99"))
        .ok_or_else(|| io::Error::other("no Updates"))
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
            "-Xmx2g",
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
