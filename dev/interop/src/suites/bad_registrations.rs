//! Sections F and G: registration parameters and object lists that no good device sends.

use super::bad_input::{ANSWER, Row, Target, good_register, reaction};
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, CON, Message, Socket};
use serde_json::json;
use std::time::Duration;

/// Processor time that a list of links of 60,000 bytes may take, in hundredths of a second.
const LIST_TICKS_MAX: u64 = 25;
const LIST: &[u8] = b"</1/0>,</3/0>";

fn register(query: &str, list: &[u8]) -> Message {
    bare(list).query(query)
}

fn bare(list: &[u8]) -> Message {
    Message::new(CON, wire::POST, 0x1234, &[0xaa, 0xbb])
        .path("/rd")
        .number(wire::CONTENT_FORMAT, 40)
        .payload(list)
}

fn with(name: &'static str, query: &str, right: &'static str) -> Row {
    (name, register(query, LIST).encode(), right)
}

fn listing(name: &'static str, list: &[u8], right: &'static str) -> Row {
    (name, register("ep=g&lt=60&lwm2m=1.1", list).encode(), right)
}

/// Rows of one message each.
pub(crate) fn rows() -> Vec<Row> {
    parameters().into_iter().chain(lists()).collect()
}

fn parameters() -> Vec<Row> {
    let good = || register("lt=60&lwm2m=1.1", LIST);
    let queried = |value: &[u8]| good().option(wire::URI_QUERY, value).encode();
    let unknown = (0..300).fold(good().query("ep=a"), |message, n| {
        message.option(wire::URI_QUERY, format!("p{n}=x").as_bytes())
    });
    let long = [b"ep=".to_vec(), vec![b'a'; 252]].concat();
    let location = |path: &str, query: &str| {
        Message::new(CON, wire::POST, 0x1234, &[0xaa, 0xbb]).path(path).query(query).encode()
    };
    vec![
        with("127-no-ep", "lt=60&lwm2m=1.1", "4.00"),
        with("128-empty-ep", "ep=&lt=60&lwm2m=1.1", "4.00"),
        with("129-ep-twice", "ep=a&ep=b&lt=60&lwm2m=1.1", "4.00"),
        ("130-ep-with-control-characters", queried(b"ep=a\0b\r\nc"), "4.00"),
        ("132-ep-not-utf8", queried(b"ep=\xff\xfe"), "4.00"),
        ("133-ep-of-252-bytes", queried(&long), "2.01|4.00"),
        with("134-lt-abc", "ep=a&lt=abc&lwm2m=1.1", "4.00"),
        with("134-lt-empty", "ep=a&lt=&lwm2m=1.1", "4.00"),
        with("134-lt-negative", "ep=a&lt=-1&lwm2m=1.1", "4.00"),
        with("134-lt-fraction", "ep=a&lt=1.5&lwm2m=1.1", "4.00"),
        with("134-lt-hex", "ep=a&lt=0x10&lwm2m=1.1", "4.00"),
        with("135-lt-beyond-32-bits", "ep=a&lt=4294967296&lwm2m=1.1", "4.00"),
        with("135-lt-beyond-64-bits", "ep=a&lt=99999999999999999999&lwm2m=1.1", "4.00"),
        with("136-lt-0", "ep=lt-zero&lt=0&lwm2m=1.1", "4.00|2.01"),
        with("137-lwm2m-9.9", "ep=a&lt=60&lwm2m=9.9", "4.12"),
        with("138-lwm2m-1", "ep=a&lt=60&lwm2m=1", "4.00|4.12"),
        with("138-lwm2m-1.1.1", "ep=a&lt=60&lwm2m=1.1.1", "4.00|4.12"),
        with("138-lwm2m-abc", "ep=a&lt=60&lwm2m=abc", "4.00|4.12"),
        with("138-lwm2m-1.", "ep=a&lt=60&lwm2m=1.", "4.00|4.12"),
        with("139-b-XYZ", "ep=a&lt=60&lwm2m=1.1&b=XYZ", "4.00"),
        with("140-b-UQ-with-1.1", "ep=a&lt=60&lwm2m=1.1&b=UQ", "4.00|2.01"),
        with("141-Q-with-1.0", "ep=a&lt=60&lwm2m=1.0&Q", "4.00|2.01"),
        with("142-sms-with-letters", "ep=a&lt=60&lwm2m=1.1&sms=abc", "4.00|2.01"),
        ("143-300-unknown-parameters", unknown.encode(), "4.00|4.13"),
        with("144-query-without-value", "ep=a&lt=60&lwm2m=1.1&noequal", "4.00|2.01"),
        (
            "146-text-instead-of-link-format",
            Message::new(CON, wire::POST, 0x1234, &[0xaa, 0xbb])
                .path("/rd")
                .number(wire::CONTENT_FORMAT, 0)
                .query("ep=a&lt=60&lwm2m=1.1")
                .payload(LIST)
                .encode(),
            "4.15|4.00",
        ),
        ("147-no-object-list", register("ep=a&lt=60&lwm2m=1.1", b"").encode(), "4.00"),
        ("149-update-of-rd-unknown", location("/rd/unknown", "lt=60"), "4.04|4.05"),
        ("149-update-of-rd-x-y", location("/rd/x/y", "lt=60"), "4.04|4.05"),
        ("149-update-of-another-shape", location("/rd/ffffffffffff", "lt=60"), "4.04|4.05"),
    ]
}

fn lists() -> Vec<Row> {
    vec![
        listing("153-empty-link", b"</1/0>,,</3/0>", "4.00"),
        listing("154-target-not-closed", b"</1/0", "4.00"),
        listing("155-no-brackets", b"1/0,3/0", "4.00"),
        listing("156-empty-attribute", b"</1/0>;", "4.00|2.01"),
        listing("157-attribute-without-value", b"</1/0>;ver", "2.01"),
        listing("158-quote-not-closed", b"</1/0>;ver=\"1.1", "4.00"),
        listing("159-instance-65536", b"</1/65536>", "4.00|2.01"),
        listing("160-negative-object", b"</-1/0>", "4.00|2.01"),
        listing("161-resource-link", b"</1/0/2>", "4.00|2.01"),
        listing("162-version-of-three-parts", b"</1>;ver=1.1.1", "4.00|2.01"),
        listing("163-ct-that-is-no-number", b"</>;ct=\"x y\"", "2.01|4.00"),
        listing("164-open-brackets", &[b'<'; 1000], "4.00"),
        listing("165-commas", &[b','; 1000], "4.00"),
        listing("166-not-utf8", b"\xff\xfe</1/0>", "4.00"),
    ]
}

/// Rows of several messages.
pub(crate) fn run(target: &Target<'_>, report: &mut Report) {
    for (name, endpoint) in [
        ("131-ep-like-a-path", "../../etc/passwd"),
        ("131-ep-like-sql", "'; DROP TABLE x;--"),
        ("131-ep-like-html", "<script>alert(1)</script>"),
        ("145-ep-percent-zz", "a%zz"),
        ("145-ep-percent-00", "a%00"),
    ] {
        report.case(&format!("bad-input/{name}"), || stored_as_text(target, endpoint));
    }
    report.case("bad-input/150-update-does-not-rename", || {
        let mut socket = Socket::open()?;
        let location = target.register(&mut socket, "named")?;
        let update = socket.draft(wire::POST).path(&location).query("ep=renamed");
        let code = socket.request(target.coap(), &update, ANSWER)?.code_text();
        holds(code == "4.00" || code == "2.04", || format!("expected 4.00 or 2.04, found {code}"))?;
        same("REST status of the new name", &target.serve.rest.get("endpoints/renamed")?.status, &404)?;
        target.serve.registered("named", Duration::ZERO).map(drop)
    });
    report.case("bad-input/151-locations-cannot-be-guessed", || locations_cannot_be_guessed(target));
    report.case("bad-input/152-thousand-registers-of-one-endpoint", || thousand_registers(target));
    for (name, list) in [("164-brackets-in-linear-time", b'<'), ("165-commas-in-linear-time", b',')] {
        report.case(&format!("bad-input/{name}"), || {
            let socket = Socket::open()?;
            let before = target.serve.process.ticks()?;
            let bytes = register("ep=g&lt=60&lwm2m=1.1", &vec![list; 60_000]).encode();
            let found = reaction(&socket, target.coap(), &bytes, "4.00|4.13|silent")?;
            holds(found.starts_with("4.") || found == "silent", || format!("found {found}"))?;
            target.still_serves()?;
            let ticks = target.serve.process.ticks()? - before;
            holds(ticks <= LIST_TICKS_MAX, || format!("{ticks} hundredths of a second of work"))
        });
    }
    report.case("bad-input/167-two-links-for-one-instance", || {
        let objects = objects_of(target, "twins", "</3/0>,</3/0>,</3>;ver=1.1")?;
        same("/3/0 listed", &objects.matches("\"/3/0\"").count(), &1)
    });
    report.case("bad-input/168-security-is-not-listed", || {
        let objects = objects_of(target, "open-heart", "</0/0>,</21/0>,</23/0>,</3/0>")?;
        let listed = ["\"/0", "\"/21", "\"/23"].into_iter().find(|path| objects.contains(path));
        holds(listed.is_none() && objects.contains("\"/3/0\""), || objects)
    });
}

/// Those that come too fast are told when to come again; of the others the last one is the registration.
fn thousand_registers(target: &Target<'_>) -> Check {
    let mut socket = Socket::open()?;
    let (mut last, mut accepted) = (String::new(), 0);
    for number in 0..1000 {
        let register = good_register(&mut socket, "eager");
        let answer = socket.request(target.coap(), &register, ANSWER)?;
        match answer.code_text().as_str() {
            "2.01" => {
                last = answer.joined(wire::LOCATION_PATH);
                accepted += 1;
            }
            "4.29" => {
                let wait = answer.first_number(wire::MAX_AGE).unwrap_or_default();
                holds((1..=60).contains(&wait), || format!("told to wait {wait} s"))?;
            }
            other => return Err(format!("Register {number} got {other}")),
        }
    }
    holds((12..500).contains(&accepted), || format!("{accepted} of a thousand were accepted"))?;
    let registration = target.serve.registered("eager", Duration::ZERO)?;
    let id = registration["registration_id"].as_str().unwrap_or_default().to_owned();
    holds(last.ends_with(&id) && !id.is_empty(), || format!("location {last}, registration {id}"))?;
    let list = target.serve.rest.get("endpoints?limit=1000")?;
    let count = list.body["items"]
        .as_array()
        .map_or(0, |all| all.iter().filter(|r| r["endpoint"] == "eager").count());
    same("registrations", &count, &1)
}

fn locations_cannot_be_guessed(target: &Target<'_>) -> Check {
    let mut locations = Vec::new();
    for number in 0..8 {
        locations.push(target.register(&mut Socket::open()?, &format!("guess-{number}"))?);
    }
    let tails: std::collections::BTreeSet<String> =
        locations.iter().map(|location| location.chars().rev().take(8).collect()).collect();
    same("different random parts", &tails.len(), &locations.len())?;
    let numbers: Vec<u64> =
        locations.iter().map(|l| u64::from_str_radix(&l[l.len() - 8..], 16).unwrap_or(0)).collect();
    let near = numbers.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1000).count();
    holds(near < 2, || format!("the locations follow each other: {locations:?}"))
}

fn objects_of(target: &Target<'_>, endpoint: &str, list: &str) -> Result<String, String> {
    let mut socket = Socket::open()?;
    let mut message = register(&format!("ep={endpoint}&lt=60&lwm2m=1.1"), list.as_bytes());
    message.id = socket.fresh_id();
    same("code", &socket.request(target.coap(), &message, ANSWER)?.code_text().as_str(), &"2.01")?;
    Ok(target.serve.registered(endpoint, Duration::ZERO)?["objects"].to_string())
}

// Proves: REG-48
fn stored_as_text(target: &Target<'_>, endpoint: &str) -> Check {
    let mut socket = Socket::open()?;
    let id = socket.fresh_id();
    let mut message =
        bare(LIST).query("lt=60&lwm2m=1.1").option(wire::URI_QUERY, format!("ep={endpoint}").as_bytes());
    message.id = id;
    same("code", &socket.request(target.coap(), &message, ANSWER)?.code_text().as_str(), &"2.01")?;
    let encoded: String = endpoint.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = target.serve.rest.get(&format!("endpoints/{encoded}"))?;
    same("REST status", &answer.status, &200)?;
    same("endpoint", &answer.body["endpoint"], &json!(endpoint))
}
