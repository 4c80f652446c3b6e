//! The embedded store itself: registrations and events committed by many at once, then a kill, and how long it takes until
//! everything is back.
//!
//! `cargo run --release -p lightship-bench --bin stored -- [REGISTRATIONS]`
//! `… -- ready [REGISTRATIONS [FOLDER]]`: the time from the start of `lightship serve` to its `ready`, with so many stored; a folder
//! that is given is kept, and used as it is if there is one
//! `… -- full FOLDER`, FOLDER being on a small file system: it is filled, emptied and filled again, for some rounds

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lightship_bench::filled::{fill_as_served, name, now_ms, options, runtime};
use lightship_bench::program::binary;
use lightship_bench::report::figure;
use lightship_store::{
    Batch, EmbeddedOptions, EmbeddedStore, Fact, Health, LogLimits, NewEvent, RegistrationRecord, Store,
};

const REGISTRATIONS: u64 = 1_000_000;
/// What a device says of itself: version, binding, five objects with an instance or more.
const SAID_LEN: usize = 250;
const EVENT_LEN: usize = 220;
/// Who commits at once, and how many registrations each time.
const WRITERS: u64 = 8;
const BATCH: u64 = 128;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => all(REGISTRATIONS),
        ["full", folder] => full(Path::new(folder)),
        ["ready"] => ready(REGISTRATIONS, None),
        ["ready", registrations] => ready(registrations.parse().expect("a number"), None),
        ["ready", registrations, folder] => {
            ready(registrations.parse().expect("a number"), Some(Path::new(folder)));
        }
        ["fill", folder, registrations] => fill(Path::new(folder), registrations.parse().expect("a number")),
        [registrations] => all(registrations.parse().expect("a number")),
        _ => println!("stored [REGISTRATIONS | ready [REGISTRATIONS [FOLDER]] | full FOLDER]"),
    }
}

fn all(registrations: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["fill", &folder.path().display().to_string(), &registrations.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
        if line == "kill" {
            child.kill().expect("is there");
            break;
        }
        println!("{line}");
    }
    let _ = child.wait();
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let store = EmbeddedStore::open(options(folder.path())).expect("opens");
        let opened = begin.elapsed();
        let bytes = AtomicUsize::new(0);
        let count = store.each_registration(&|chunk| {
            bytes.fetch_add(chunk.iter().map(|record| record.said.len()).sum(), Ordering::Relaxed);
        });
        let (count, bytes) = (count.expect("reads"), bytes.into_inner());
        let took = begin.elapsed();
        assert_eq!(count, registrations);
        println!(
            "opened after a kill: {opened:?}; {count} registrations, {bytes} bytes said: {took:?} in all"
        );
        best = best.min(took);
    }
    figure("store-open-s", best.as_secs_f64());
    let store = EmbeddedStore::open(options(folder.path())).expect("opens");
    let begin = Instant::now();
    let report = store.check().expect("reads");
    println!("checked: {:?}, {:?}, {:?}", begin.elapsed(), report.counts, report.problems);
    assert_eq!(report.problems_count, 0);
}

/// Registrations and their events, and says `kill` in the middle of more.
fn fill(folder: &Path, registrations: u64) {
    let store = Arc::new(EmbeddedStore::open(options(folder)).expect("opens"));
    let runtime = runtime();
    let begin = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        runtime.spawn(async move {
            let mut times = Vec::new();
            for first in
                (writer * BATCH..registrations).step_by(usize::try_from(WRITERS * BATCH).unwrap_or(1))
            {
                let until = (first + BATCH).min(registrations);
                let facts = (first..until).flat_map(|number| [registered(number), event(number)]).collect();
                let at = Instant::now();
                store.commit(Batch { facts }).await.expect("writes");
                times.push(at.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        times.extend(runtime.block_on(writer).expect("no panic"));
    }
    let took = begin.elapsed();
    times.sort();
    let part = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let rate = registrations as f64 / took.as_secs_f64();
    println!("{rate:.0} registrations/s, each with an event, {WRITERS} at once commit {BATCH} each");
    println!("a commit: p50 {:?}, p99 {:?}", part(50), part(99));
    figure("store-registrations-per-s", rate);
    println!("kill");
    loop {
        let facts = (0..BATCH).flat_map(|number| [registered(number), event(number)]).collect();
        runtime.block_on(store.commit(Batch { facts })).expect("writes");
    }
}

fn registered(number: u64) -> Fact {
    Fact::Registered(Arc::new(RegistrationRecord {
        endpoint: name(number),
        id: number,
        registered_ms: 1_700_000_000_000,
        updated_ms: 1_700_000_000_000,
        expires_ms: Some(1_700_086_400_000),
        said: [7; SAID_LEN].into(),
    }))
}

fn event(number: u64) -> Fact {
    let body = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(EVENT_LEN - 40));
    let at_ms = now_ms();
    Fact::Happened(NewEvent {
        at_ms,
        endpoint: name(number),
        kind: "registered",
        body: body.into(),
        indexed: number.is_multiple_of(8),
    })
}

/// How long a server takes to be ready that goes on with many registrations after it was killed.
fn ready(registrations: u64, kept: Option<&Path>) {
    let own = tempfile::tempdir().expect("a folder");
    let folder = kept.unwrap_or(own.path());
    if !folder.join("store").exists() {
        fill_as_served(folder, registrations);
    }
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let (mut server, mut lines) = serve(folder);
        assert!(lines.any(|line| line == "ready"), "it gets ready");
        let took = begin.elapsed();
        best = best.min(took);
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
        let memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned();
        println!(
            "ready with {registrations} registrations after {took:?}, {memory}; CPU {}",
            cpu(server.id())
        );
        server.kill().expect("is there");
        server.wait().expect("ends");
    }
    figure("ready-s", best.as_secs_f64());
}

/// What each thread that had to do took of the CPU, on a busy machine the better measure.
fn cpu(process: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let took = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut times = rest.split_whitespace().skip(11).map_while(|text| text.parse::<u64>().ok());
        let ms = (times.next()? + times.next()?) * 10;
        (ms > 50).then(|| format!("{name} {ms} ms"))
    });
    took.collect::<Vec<_>>().join(", ")
}

fn serve(folder: &Path) -> (Child, impl Iterator<Item = String>) {
    let mut server = Command::new(binary().expect("lightship builds"))
        .args(["serve", "--dev", "--coap", "127.0.0.1:0", "--coaps", "none", "--http", "none"])
        .args(["--bootstrap-coap", "none", "--bootstrap-coaps", "none", "--data"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(server.stdout.take().expect("piped")).lines().map_while(Result::ok);
    (server, lines)
}

/// Fills the file system with registrations until nothing is taken, makes space, and looks whether all is there.
fn full(folder: &Path) {
    let log = LogLimits { bytes: 16 << 20, ..LogLimits::default() };
    let options = EmbeddedOptions { free_bytes_min: 0, log, ..options(&folder.join("data")) };
    let runtime = runtime();
    let store = EmbeddedStore::open(options.clone()).expect("opens");
    let (mut acknowledged, mut number) = (0, 0);
    for round in 1..=10 {
        let ballast = folder.join("ballast");
        let part = 2 + round % 3;
        fill_file(&ballast, free(folder) / part * (part - 1));
        let mut refused = 0;
        while refused < 20 {
            let facts = (number..number + BATCH).flat_map(|number| [registered(number), event(number)]);
            match runtime.block_on(store.commit(Batch { facts: facts.collect() })) {
                Ok(_) => {
                    number += BATCH;
                    acknowledged += BATCH;
                }
                Err(error) => {
                    if refused == 0 {
                        println!(
                            "round {round}: {acknowledged} acknowledged, then {error}: {:?}",
                            store.health()
                        );
                    }
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        std::fs::remove_file(&ballast).expect("was made");
        // What was acknowledged makes room for the next round, too.
        let begin = Instant::now();
        while store.health() != Health::Good {
            assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", store.health());
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("  good again after {:?}", begin.elapsed());
        let ids = Mutex::new(Vec::new());
        let take = |chunk: Vec<RegistrationRecord>| {
            ids.lock().expect("no panic").extend(chunk.iter().map(|record| record.id));
        };
        store.each_registration(&take).expect("reads");
        let mut ids = ids.into_inner().expect("no panic");
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(0..acknowledged), "{} of {acknowledged} are there", ids.len());
    }
    let report = store.check().expect("reads");
    assert_eq!(report.problems_count, 0, "{:?}", report.problems);
    drop(store);
    EmbeddedStore::open(options).expect("opens");
    println!("all that was acknowledged is there");
}

fn free(folder: &Path) -> u64 {
    let space = rustix::fs::statvfs(folder).expect("a folder");
    space.f_bavail * space.f_frsize
}

fn fill_file(path: &Path, bytes: u64) {
    let zeros = std::io::copy(
        &mut std::io::Read::take(std::io::repeat(1), bytes),
        &mut std::fs::File::create(path).expect("a file"),
    );
    zeros.expect("there is space");
}
