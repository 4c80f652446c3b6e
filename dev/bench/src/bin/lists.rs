//! How long lists, filters, searches and orders take with very many devices, and what devices notice of them.
//!
//! `cargo run --release -p lightship-bench --bin lists -- [REGISTRATIONS [FOLDER]]`; a folder that is given is kept, and used as it is if
//! there is one

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lightship_bench::filled::{fill_as_served, name, now_ms, options, runtime};
use lightship_bench::program::{Serve, faults, figure_of, load, load_command, summary};
use lightship_bench::report::figure;
use lightship_store::{Batch, EmbeddedStore, Fact, Store};
use serde_json::{Value as Json, json};

const REGISTRATIONS: u64 = 1_000_000;
const FLEET: [&str; 8] =
    ["--devices", "5000", "--mix", "update=8,send=1,change=1", "--threads", "1", "--outstanding", "64"];
/// How often each is asked.
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let registrations = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(REGISTRATIONS);
    let own = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| own.path().to_owned(), Into::into);
    if !folder.join("store").exists() {
        fill_as_served(&folder, registrations);
        fill_values(&folder, registrations);
    }
    let server = Serve::start(&["--data", &folder.display().to_string()])?;
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
    let ask = |address: &str| -> io::Result<(Json, Duration)> {
        let begin = Instant::now();
        let answer = agent.get(format!("http://{}/api/v1{address}", server.http)).call();
        let text =
            answer.and_then(|mut answer| answer.body_mut().read_to_string()).map_err(io::Error::other)?;
        let took = begin.elapsed();
        Ok((serde_json::from_str(&text).map_err(io::Error::other)?, took))
    };
    println!("| {registrations} devices, three values each | found | median | longest |\n|---|---|---|---|");
    let rare = name(registrations / 2).to_string();
    let (_, piece) = rare.split_at(12);
    let mut next = String::new();
    for (what, address) in questions(registrations, piece) {
        let (mut times, mut found) = (Vec::new(), String::new());
        for _ in 0..ROUNDS {
            let (page, took) = ask(&address)?;
            times.push(took.as_secs_f64() * 1e3);
            found = found_in(&page);
            if address.contains("sort=/3303") {
                page["next"].as_str().unwrap_or_default().clone_into(&mut next);
            }
        }
        show(what, &found, times);
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let (page, took) = ask(&format!("/endpoints?sort=/3303/0/5700&limit=100&cursor={next}"))?;
        times.push(took.as_secs_f64() * 1e3);
        page["next"].as_str().unwrap_or_default().clone_into(&mut next);
    }
    figure("list-by-value-ms", show("the pages after that, by cursor", "100", times));
    under_load(&server)
}

/// What people ask for.
fn questions(registrations: u64, piece: &str) -> Vec<(&'static str, String)> {
    let half = registrations / 2;
    vec![
        ("first page by name", "/endpoints?limit=100&count=true".to_owned()),
        ("a page in the middle", format!("/endpoints?limit=100&offset={half}")),
        ("a piece of one name", format!("/endpoints?filter={piece}&count=true")),
        ("a piece of no name", "/endpoints?filter=no-such-name&count=true".to_owned()),
        ("two letters, as the palette asks", "/endpoints?filter=7f&limit=8".to_owned()),
        ("`lwm2m:1.2`, counted", "/endpoints?filter=lwm2m:1.2&count=true&limit=100".to_owned()),
        ("`state:asleep`, which none is, counted", "/endpoints?filter=state:asleep&count=true".to_owned()),
        ("by last seen", "/endpoints?sort=updated&limit=100".to_owned()),
        ("`firmware:1.2.77`, first page", "/endpoints?filter=firmware:1.2.77&limit=100".to_owned()),
        ("by a number, `sort=/3303/0/5700`", "/endpoints?sort=/3303/0/5700&limit=100".to_owned()),
        ("by a text, `sort=-/3/0/3`", "/endpoints?sort=-/3/0/3&limit=100&columns=/3/0/3".to_owned()),
        (
            "by a number, of those with a piece",
            "/endpoints?sort=/3303/0/5700&filter=7f7&limit=100".to_owned(),
        ),
        ("`/models/3303/devices`", "/models/3303/devices".to_owned()),
        ("`/models/33000/devices`, which none has", "/models/33000/devices".to_owned()),
    ]
}

fn found_in(page: &Json) -> String {
    let items = page["items"].as_array().map_or(0, Vec::len);
    page["total"].as_u64().map_or_else(|| items.to_string(), |total| format!("{items} of {total}"))
}

/// Prints a line; gives the median.
fn show(what: &str, found: &str, mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let [median, longest] =
        [times.len() / 2, times.len() - 1].map(|at| times.get(at).copied().unwrap_or(f64::NAN));
    println!("| {what} | {found} | {median:.1} ms | {longest:.1} ms |");
    median
}

/// Values as the server keeps them.
fn fill_values(folder: &Path, registrations: u64) {
    let store = EmbeddedStore::open(options(folder)).expect("opens");
    let runtime = runtime();
    let now = now_ms();
    let value = |number: u64, path: &str, value: Json| {
        let body = json!({"v": value, "t": now, "s": "read"}).to_string().into_bytes();
        Fact::Value { endpoint: name(number), path: path.parse().expect("a path"), value: Some(body.into()) }
    };
    for first in (0..registrations).step_by(1000) {
        let facts = (first..registrations.min(first + 1000)).flat_map(|number| {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            [
                value(number, "/3/0/0", json!("Acme")),
                value(number, "/3/0/3", json!(format!("1.2.{}", mixed % 100))),
                value(
                    number,
                    "/3303/0/5700",
                    json!(f64::from(u32::try_from(mixed % 100_000).unwrap_or(0)) / 7.0),
                ),
            ]
        });
        runtime.block_on(store.commit(Batch { facts: facts.collect() })).expect("writes");
    }
}

/// What devices notice while two look through everything, again and again.
fn under_load(server: &Serve) -> io::Result<()> {
    let uri = format!("coap://{}", server.coap);
    let most = load(&uri, &[&FLEET[..], &["--duration", "6s", "--stay"]].concat())?;
    let rate: f64 =
        ["update", "send", "change"].iter().filter_map(|n| figure_of(&most, n, "per_second")).sum();
    let half = format!("{:.0}", rate / 2.0);
    let measured = || -> io::Result<Json> {
        summary(
            load_command(&uri, &[&FLEET[..], &["--duration", "8s", "--stay", "--rate", &half]].concat())?
                .spawn()?,
        )
    };
    let quiet = measured()?;
    let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let lookers = ["sort=/3303/0/5700", "filter=state:asleep&count=true", "sort=updated"].map(|query| {
        let (over, looks) = (over.clone(), looks.clone());
        let url = format!("http://{}/api/v1/endpoints?{query}", server.http);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if ureq::get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string()).is_ok() {
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    let looked_at = measured()?;
    over.store(true, Ordering::Relaxed);
    lookers.into_iter().for_each(|looker| drop(looker.join()));
    println!("\n| {half} messages a second, half of the most | p50 | p99 | faults |\n|---|---|---|---|");
    for (what, one) in [("nobody looks", &quiet), ("three look through everything, all the time", &looked_at)]
    {
        let at = |quantile: &str| figure_of(one, "update", quantile).unwrap_or(f64::NAN);
        println!("| an Update, {what} | {:.2} ms | {:.2} ms | {} |", at("p50"), at("p99"), faults(one));
    }
    println!("{} looks meanwhile", looks.load(Ordering::Relaxed));
    Ok(())
}
