//! What keeps a server's state and event log: the candidates under our own load. Registrations are replaced at random, events
//! are appended, in commits that are on the disk before they count; the process is killed in the middle and opens again.
//!
//! `cargo run --release -p lightship-bench --features stores --bin stores -- BACKEND FOLDER [KEYS]`
//! `… -- BACKEND FOLDER full`, FOLDER being on a small file system with a file `ballast` in it: until it is full, and afterwards
//!
//! BACKEND is `fjall`, `redb`, `sqlite`, or, with `--features stores,rocksdb`, `rocksdb`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

mod backends;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backends::{Backend, Fjall, Put, Redb, Sqlite, Tree};

const KEYS: u64 = 1_000_000;
const VALUE_LEN: usize = 300;
/// A mixed phase takes so long before its figures are taken.
const MIXED: Duration = Duration::from_secs(10);
/// It goes on for this long, until it is killed.
const MORE: Duration = Duration::from_millis(700);
const READS: u64 = 100_000;
const PAGE: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let &[backend, folder, ref rest @ ..] = args.as_slice() else {
        println!("stores BACKEND FOLDER [KEYS | full]");
        return;
    };
    match backend {
        "fjall" => run::<Fjall>(backend, Path::new(folder), rest),
        "redb" => run::<Redb>(backend, Path::new(folder), rest),
        "sqlite" => run::<Sqlite>(backend, Path::new(folder), rest),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => run::<backends::Rocks>(backend, Path::new(folder), rest),
        other => println!("no backend {other}"),
    }
}

fn run<B: Backend>(backend: &str, folder: &Path, rest: &[&str]) {
    match *rest {
        ["full"] => full::<B>(folder),
        [keys, "fill"] => fill::<B>(folder, number(keys)),
        [keys, "mixed", rows] => mixed::<B>(folder, number(keys), number(rows)),
        [keys, "reopen", acknowledged] => reopen::<B>(folder, number(keys), number(acknowledged)),
        [] => all(backend, folder, KEYS),
        [keys] => all(backend, folder, number(keys)),
        _ => println!("what?"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Each phase is a process of its own.
fn all(backend: &str, folder: &Path, keys: u64) {
    let keys = keys.to_string();
    let phase = |rest: &[&str]| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(backend).arg(folder).arg(&keys).args(rest).stdout(Stdio::piped());
        command.spawn().expect("starts")
    };
    println!("{backend}, {keys} registrations of {VALUE_LEN} bytes");
    let mut acknowledged = 0;
    for rest in [vec!["fill"], vec!["mixed", "100"], vec!["mixed", "1000"]] {
        let mut child = phase(&rest);
        let mut killed_at = None;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("text");
            match line.strip_prefix("acknowledged ") {
                Some(text) => acknowledged = acknowledged.max(number(text)),
                None => println!("{line}"),
            }
            if line.starts_with("mixed") {
                killed_at = Some(Instant::now() + MORE);
            }
            if killed_at.is_some_and(|at| at <= Instant::now()) {
                let _ = child.kill();
            }
        }
        let _ = child.wait();
    }
    forget_pages(folder);
    for _ in 0..2 {
        let child = phase(&["reopen", &acknowledged.to_string()]);
        let output = child.wait_with_output().expect("ends");
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn fill<B: Backend>(folder: &Path, keys: u64) {
    let store = B::open(folder).expect("opens");
    let mut random = Random(1);
    let begin = Instant::now();
    let mut row = 0;
    while row < keys {
        let until = (row + 1000).min(keys);
        store.commit((row..until).map(|row| registration(row, &mut random)).collect()).expect("writes");
        row = until;
    }
    report("fill, 1000 a commit", keys, begin.elapsed(), folder);
}

fn mixed<B: Backend>(folder: &Path, keys: u64, rows: u64) {
    let store = B::open(folder).expect("opens");
    let mut random = Random(rows);
    let mut event = 0;
    while store.get(Tree::Events, &event_key(event + 1)).expect("reads").is_some() {
        event += 1;
    }
    let mut out = std::io::stdout().lock();
    let mut told = false;
    let (begin, mut times, mut written) = (Instant::now(), Vec::new(), 0);
    loop {
        let mut puts = Vec::new();
        for _ in 0..rows / 2 {
            puts.push(registration(random.next() % keys, &mut random));
            event += 1;
            puts.push(Put { tree: Tree::Events, key: event_key(event).into(), value: value(&mut random) });
        }
        written += rows;
        let at = Instant::now();
        store.commit(puts).expect("writes");
        times.push(at.elapsed());
        writeln!(out, "acknowledged {event}").expect("is read");
        if !told && begin.elapsed() > MIXED {
            told = true;
            times.sort();
            let part = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
            report(&format!("mixed, {rows} a commit"), written, begin.elapsed(), folder);
            println!("  p50 {:?}, p99 {:?}, p99.9 {:?}", part(500), part(990), part(999));
        }
    }
}

fn reopen<B: Backend>(folder: &Path, keys: u64, acknowledged: u64) {
    let begin = Instant::now();
    let store = B::open(folder).expect("opens");
    assert!(store.get(Tree::Registrations, &registration_key(0)).expect("reads").is_some());
    println!("reopened after kill -9, first read done: {:?}", begin.elapsed());
    let begin = Instant::now();
    let read = store.range(Tree::Registrations, &[], usize::MAX).expect("reads");
    println!("  all registrations: {:?}, {} rows, {} MB", begin.elapsed(), read.rows, read.bytes >> 20);
    assert_eq!(read.rows, keys);
    let events = store.range(Tree::Events, &[], usize::MAX).expect("reads").rows;
    let missing = (acknowledged - events.min(acknowledged) + 1..=acknowledged)
        .filter(|number| store.get(Tree::Events, &event_key(*number)).expect("reads").is_none())
        .count();
    println!("  events: {events}, acknowledged up to {acknowledged}, missing {missing}");
    let mut random = Random(7);
    let begin = Instant::now();
    for _ in 0..READS {
        let key = registration_key(random.next() % keys);
        assert!(store.get(Tree::Registrations, &key).expect("reads").is_some());
    }
    println!("  point reads: {:.0} /s", READS as f64 / begin.elapsed().as_secs_f64());
    let (begin, mut rows) = (Instant::now(), 0);
    for _ in 0..READS / 100 {
        rows +=
            store.range(Tree::Events, &event_key(random.next() % events.max(1)), PAGE).expect("reads").rows;
    }
    println!("  events in pages of {PAGE}: {:.0} /s", rows as f64 / begin.elapsed().as_secs_f64());
    let (begin, before) = (Instant::now(), disk_mb(folder));
    store.forget_below(&event_key(events / 2)).expect("deletes");
    let kept = store.range(Tree::Events, &[], usize::MAX).expect("reads").rows;
    println!("  half of the events forgotten: {:?}, {kept} kept", begin.elapsed());
    std::thread::sleep(Duration::from_secs(3));
    println!("  disk before {before} MB, 3 s after {} MB; memory {}", disk_mb(folder), memory());
}

/// Writes until nothing goes any more; then space returns.
fn full<B: Backend>(folder: &Path) {
    let ballast = folder.join("ballast");
    let store_folder = folder.join("store");
    let store = B::open(&store_folder).expect("opens");
    let mut random = Random(1);
    let mut event = 0;
    let error = loop {
        match try_events(&store, event, &mut random) {
            Ok(()) => event += 100,
            Err(error) => break error,
        }
    };
    println!("full after {event} events, {} MB: {error}", disk_mb(folder));
    println!("  tried again: {:?}", try_events(&store, event, &mut random));
    println!("  last one read: {:?}", store.get(Tree::Events, &event_key(event)));
    std::fs::remove_file(&ballast).expect("a file ballast");
    std::thread::sleep(Duration::from_secs(1));
    println!("  with space, same process: {:?}", try_events(&store, event, &mut random));
    let begin = Instant::now();
    drop(store);
    println!("  closed: {:?}", begin.elapsed());
    match B::open(&store_folder) {
        Ok(store) => {
            println!("  opened again: {:?}", begin.elapsed());
            let kept =
                (1..=event).filter(|n| store.get(Tree::Events, &event_key(*n)).is_ok_and(|v| v.is_some()));
            println!("  acknowledged {event}, kept {}", kept.count());
            println!("  written: {:?}", try_events(&store, event, &mut random));
        }
        Err(error) => println!("  cannot be opened: {error}"),
    }
}

fn try_events<B: Backend>(store: &B, after: u64, random: &mut Random) -> Result<(), String> {
    let event = |number: u64, value| Put { tree: Tree::Events, key: event_key(number).into(), value };
    store.commit((1..=100).map(|number| event(after + number, value(random))).collect())
}

fn report(what: &str, rows: u64, took: Duration, folder: &Path) {
    let rate = rows as f64 / took.as_secs_f64();
    println!("{what}: {rate:.0} rows/s, disk {} MB, memory {}", disk_mb(folder), memory());
}

/// What is resident now and was at most.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 10
    };
    format!("{} MB, at most {} MB", of("VmRSS:"), of("VmHWM:"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn disk_mb(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = files(folder).into_iter().filter_map(|path| path.metadata().ok());
    (files.map(|file| file.blocks()).sum::<u64>() * 512) >> 20
}

/// Lets the system forget what it has of these files in memory.
fn forget_pages(folder: &Path) {
    for path in files(folder) {
        if let Ok(file) = std::fs::File::open(path) {
            let _ = file.sync_all();
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

fn registration(number: u64, random: &mut Random) -> Put {
    Put { tree: Tree::Registrations, key: registration_key(number).into(), value: value(random) }
}

/// Names are in no order.
fn registration_key(number: u64) -> [u8; 24] {
    let mut key = *b"urn:dev:0000000000000000";
    key[8..].copy_from_slice(format!("{:016x}", Random(number + 1).next()).as_bytes());
    key
}

fn event_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Half text, half noise.
fn value(random: &mut Random) -> Vec<u8> {
    let mut value = b"</1/0>,</3/0>,</3303/0>,</3303/1>,".repeat(VALUE_LEN.div_ceil(34));
    value.truncate(VALUE_LEN);
    for chunk in value[..VALUE_LEN / 2].chunks_mut(8) {
        let bytes = random.next().to_le_bytes();
        chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
    value
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
