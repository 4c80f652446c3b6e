//! A data folder with very many registrations, as a server would have written them.

#![allow(clippy::disallowed_methods, reason = "it writes the time of now")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use lightship_lwm2m::Endpoint;
use lightship_store::{Batch, EmbeddedOptions, EmbeddedStore, Fact, RegistrationRecord, Store};

use crate::program::{Serve, binary};

/// How a store in a folder is opened.
#[must_use]
pub fn options(folder: &Path) -> EmbeddedOptions {
    EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(now_ms))
}

/// The time, in milliseconds since 1970.
///
/// # Panics
/// Before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).unwrap_or(i64::MAX)
}

/// Threads for a store.
///
/// # Panics
/// When the system has none.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts")
}

/// The name of a device; they are in no order.
///
/// # Panics
/// Never.
#[must_use]
pub fn name(number: u64) -> Endpoint {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Endpoint::new(&format!("urn:dev:{mixed:016x}")).expect("a legal name")
}

/// Registrations as the server itself keeps them: one that it has written is the pattern of all.
///
/// # Panics
/// When something of that fails.
pub fn fill_as_served(folder: &Path, registrations: u64) {
    let pattern = pattern(folder);
    let store = EmbeddedStore::open(options(folder)).expect("opens");
    let runtime = runtime();
    // As many as the server has, if nobody says otherwise.
    let shards = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    for first in (0..registrations).step_by(1000) {
        let many = (first..registrations.min(first + 1000)).map(|number| {
            // A registration's name: shard, node, and four bytes of its own.
            let id = ((number % shards) << 40) | pattern.id & 0xff_0000_0000 | number;
            let said = from_address(&pattern.said, number);
            Fact::Registered(Arc::new(RegistrationRecord {
                endpoint: name(number),
                id,
                said,
                ..pattern.clone()
            }))
        });
        runtime.block_on(store.commit(Batch { facts: many.collect() })).expect("writes");
    }
}

/// A registration that a server has written.
fn pattern(folder: &Path) -> RegistrationRecord {
    let server = Serve::start(&["--data", &folder.display().to_string()]).expect("a server");
    let coap = format!("coap://{}", server.coap);
    let mut device = Command::new(binary().expect("lightship builds"))
        .args(["device", "--endpoint", "pattern", "--server", &coap])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(device.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("registered")), "the device registers");
    device.kill().expect("is there");
    device.wait().expect("ends");
    drop(server);
    let store = EmbeddedStore::open(options(folder)).expect("opens");
    let pattern = Mutex::new(None);
    let take = |chunk: Vec<_>| *pattern.lock().expect("no panic") = chunk.into_iter().next();
    store.each_registration(&take).expect("reads");
    pattern.into_inner().expect("no panic").expect("it was acknowledged")
}

/// The same, said from an address of its own: behind the version stand 16 bytes of IP address and the port.
fn from_address(said: &[u8], number: u64) -> Arc<[u8]> {
    let mut said = said.to_vec();
    said[14..17].copy_from_slice(&number.to_be_bytes()[5..]);
    said.into()
}
