//! What the whole `lightship serve` keeps in memory for each device: so many register with 30 object instances, one Resource of each is
//! observed, and then nothing is heard of them until the answers kept for repetitions are gone (247 s).
//!
//! `cargo run --release -p lightship-bench --bin resident [DEVICES [secured]]`, 1 000 000 without and 200 000 with sessions if nothing is
//! said

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lightship_bench::program::{Serve, binary, load};
use lightship_bench::report::figure;
use lightship_lwm2m::Endpoint;
use lightship_store::{Batch, EmbeddedOptions, EmbeddedStore, Fact, Store, WantedKey, WantedObservation};

/// Names of 24 characters.
const NAME: &str = "urn:imei:{n:015}";
const KEY: &str = "000102030405060708090a0b{n:08x}";
/// 30 Object Instances.
const OBJECTS: [&str; 8] = ["1", "3", "4", "5", "3303=8", "3304=8", "3301=5", "3311=5"];
/// Longer than answers are kept for repetitions.
const IDLE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Facts of a commit, and rows of an import.
const AT_ONCE: u32 = 5000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let secured = arguments.iter().any(|word| word == "secured");
    let devices = arguments.iter().find_map(|word| word.parse().ok());
    let devices: u32 = devices.unwrap_or(if secured { 200_000 } else { 1_000_000 });
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    want_observations(&data, devices)?;
    let server = Serve::start(&["--data", &data.display().to_string()])?;
    if secured {
        import_credentials(&server, folder.path(), devices)?;
    }
    let before = server.resident()?;
    println!("before the first device: {} MB", before >> 20);
    let uri = if secured { format!("coaps://{}", server.coaps) } else { format!("coap://{}", server.coap) };
    let number = devices.to_string();
    let mut flags = vec!["--devices", &number, "--name", NAME, "--stay", "--mix", "update=1"];
    // The last Observes are answered while a few Updates come.
    flags.extend(["--rate", "10", "--duration", "10s", "--outstanding", "512", "--retry", "1"]);
    flags.extend(OBJECTS.iter().flat_map(|object| ["--object", object]));
    if secured {
        flags.extend(["--psk-key", KEY]);
    }
    let begin = Instant::now();
    let summary = load(&uri, &flags)?;
    println!("{devices} devices came in {:.1?}: {}", begin.elapsed(), summary["answers"]);
    let each = |bytes: u64| bytes as f64 / f64::from(devices);
    let quiet = Instant::now();
    loop {
        let resident = server.resident()?;
        let all = each(resident);
        println!(
            "{:3.0} s later: {} MB, {all:.0} bytes each, {:.0} without what it took before the first",
            quiet.elapsed().as_secs_f64(),
            resident >> 20,
            each(resident.saturating_sub(before))
        );
        if quiet.elapsed() > IDLE {
            figure(if secured { "resident-secured" } else { "resident-plain" }, all);
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    show_shares(&server)?;
    Ok(())
}

/// Counts what is registered and observed, and what of the memory is not the heap's.
fn show_shares(server: &Serve) -> Result<(), Box<dyn Error>> {
    let metrics = ureq::get(format!("http://{}/metrics", server.http)).call()?.body_mut().read_to_string()?;
    for name in
        ["lightship_registrations ", "lightship_observations ", "lightship_sessions ", "lightship_peers "]
    {
        let line = metrics.lines().find(|line| line.starts_with(name));
        println!("{}", line.unwrap_or(name));
    }
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", server.id()))?;
    for line in rollup.lines().filter(|line| ["Rss:", "Anonymous:"].iter().any(|name| line.starts_with(name)))
    {
        println!("{line}");
    }
    Ok(())
}

fn endpoint(number: u32) -> String {
    format!("urn:imei:{number:015}")
}

/// Wants one Resource of each device.
fn want_observations(folder: &Path, devices: u32) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = EmbeddedStore::open(EmbeddedOptions::new(folder.to_owned(), 1, Arc::new(|| 0)))?;
    let path: lightship_lwm2m::Path = "/3303/0/5700".parse()?;
    let observation = WantedObservation {
        key: WantedKey::Path(path),
        paths: Vec::new(),
        accept: None,
        attributes: Vec::new(),
    };
    let mut next = 0;
    while next < devices {
        let until = devices.min(next + AT_ONCE);
        let fact = |number| {
            let endpoint = Endpoint::new(&endpoint(number)).map_err(|error| error.to_string())?;
            Ok(Fact::Wanted { endpoint, observation: observation.clone() })
        };
        let facts = (next..until).map(fact).collect::<Result<_, String>>()?;
        runtime.block_on(store.commit(Batch { facts }))?;
        next = until;
    }
    Ok(())
}

/// Tells the server the key of each device.
fn import_credentials(server: &Serve, folder: &Path, devices: u32) -> Result<(), Box<dyn Error>> {
    let file = folder.join("credentials.csv");
    let mut next = 0;
    while next < devices {
        let until = devices.min(next + AT_ONCE);
        let mut table = String::from("endpoint,mode,identity,key_hex\n");
        for number in next..until {
            let name = endpoint(number);
            writeln!(table, "{name},psk,{name},000102030405060708090a0b{number:08x}")?;
        }
        std::fs::write(&file, table)?;
        let mut import = Command::new(binary()?);
        import.args(["ctl", "--url", &format!("http://{}", server.http), "credentials", "import"]);
        let output = import.arg(&file).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        next = until;
    }
    Ok(())
}
