//! History: what a device has told, page by page, as JSON and as a table.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::{Device, Message, Reply, Server, agreeable, eventually};

const HISTORY: &str = "/api/v1/endpoints/source/history";

/// A Send of SenML JSON.
fn send(device: &Device, id: u16, pack: &str) {
    let options = vec![(11, b"dp".to_vec()), (12, vec![110])];
    let message =
        Message { kind: 0, code: 2, id, token: id.to_be_bytes().to_vec(), options, payload: pack.into() };
    assert_eq!(device.ask(&message).code, 0x44, "{pack}");
}

fn values(reply: &Reply) -> Vec<Json> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["items"].as_array().unwrap().iter().map(|item| item["value"].clone()).collect()
}

fn source(server: &Server) -> Device {
    let links = "</1/0>,</3/0>,</3303/0>,</3303/7>";
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    Device::register_as(server, socket, "source", links, agreeable())
}

#[test]
fn what_a_device_told_is_found_with_its_times() {
    let server = Server::start();
    let device = source(&server);
    assert_eq!(server.call("PUT", "/api/v1/endpoints/source/observations/3303/0/5700", "").status, 200);
    let token = device.next_request().token;
    for number in 1..=3_u8 {
        let options = vec![(6, vec![number + 1]), (12, vec![])];
        let id = 100 + u16::from(number);
        let payload = format!("2{number}.5").into_bytes();
        device.send(&Message { kind: 1, code: 0x45, id, token: token.clone(), options, payload });
    }
    // Kept while it was out of reach: three moments of two Resources, with the device's own times.
    send(
        &device,
        7,
        r#"[{"bn":"/3303/0/","bt":1700000000,"n":"5700","v":1},{"n":"5700","v":2,"t":60},
            {"n":"5700","v":3,"t":120},{"n":"5701","vs":"C","t":60}]"#,
    );
    let read = server.get("/api/v1/endpoints/source/resources/3303/0/5700?queue=true&format=text");
    let command = format!("/api/v1/commands/{}", read.json()["id"].as_str().unwrap());
    eventually(|| server.get(&command).json()["state"] == "done");

    let all = server.get(&format!("{HISTORY}/3303/0/5700"));
    assert_eq!(values(&all), [42.0, 3.0, 2.0, 1.0, 23.5, 22.5, 21.5, 21.0]);
    let all = all.json();
    assert_eq!(
        (&all["endpoint"], &all["path"], all.get("next")),
        (&json!("source"), &json!("/3303/0/5700"), None)
    );
    let sources: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| &item["source"]).collect();
    assert_eq!(
        sources,
        ["command_done", "sent", "sent", "sent", "notified", "notified", "notified", "observed"]
    );
    let second = &all["items"][2];
    assert_eq!((&second["time"], &second["type"]), (&json!("2023-11-14T22:14:20.000Z"), &json!("float")));
    assert!(second["received_at"].as_str() > Some("2026"), "{second}");
    let notified = &all["items"][4];
    assert_eq!(notified["time"], notified["received_at"], "it told no time of its own");
    assert!(notified["event"].as_str().unwrap().contains('-'), "{notified}");

    // An instance has all Resources below it, a moment and a span narrow it down.
    let instance = server.get(&format!("{HISTORY}/3303/0"));
    assert_eq!(instance.json()["items"].as_array().unwrap().len(), 9);
    let early = server.get(&format!("{HISTORY}/3303?to=2024-01-01T00:00:00Z"));
    assert_eq!(values(&early), [json!(3.0), json!(2.0), json!("C"), json!(1.0)]);
    let minute = "from=2023-11-14T22:14:20Z&to=2023-11-14T22:15:20Z";
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/0/5700?{minute}"))), [2.0]);
    assert_eq!(
        values(&server.get(&format!("{HISTORY}/3303/0/5700?from=1h"))),
        [42.0, 23.5, 22.5, 21.5, 21.0]
    );
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/7"))), [0.0; 0]);

    // Of a device that has left, too.
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/source", "").status, 204);
    eventually(|| server.get("/api/v1/endpoints/source").status == 404);
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/0/5701"))), ["C"]);
    assert_eq!(values(&server.get(&format!("{HISTORY}/3/0/9"))), [0.0; 0]);
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_double() {
    let server = Server::start();
    let device = source(&server);
    let many: Vec<String> =
        (0..10).map(|n| format!(r#"{{"n":"/3303/0/5700","v":{n},"t":{}}}"#, 1_700_000_000 + n)).collect();
    send(&device, 7, &format!("[{}]", many.join(",")));
    send(&device, 8, r#"[{"n":"/3303/0/5700","v":10}]"#);
    for limit in [1, 3, 4, 11, 12] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{HISTORY}/3303/0/5700?limit={limit}{cursor}"));
            let found = values(&page);
            assert!(found.len() <= limit, "{page:?}");
            seen.extend(found.iter().map(|value| value.as_f64().unwrap()));
            match page.json().get("next") {
                Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, (0..=10).rev().map(f64::from).collect::<Vec<_>>(), "{limit} a page");
    }
    // A table says in its head where to go on.
    let table = server.get(&format!("{HISTORY}/3303/0/5700?limit=4&format=csv"));
    assert!(table.head.contains("content-type: text/csv"), "{table:?}");
    let link = table.head.lines().find_map(|line| line.strip_prefix("link: <?")).unwrap();
    let (address, rest) = link.split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    let second = server.get(&format!("{HISTORY}/3303/0/5700?{address}"));
    let column = |table: &Reply| -> Vec<String> {
        table.body.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().to_owned()).collect()
    };
    assert_eq!(
        (column(&table).join(" "), column(&second).join(" ")),
        ("10.0 9.0 8.0 7.0".into(), "6.0 5.0 4.0 3.0".into())
    );
}

#[test]
fn a_table_holds_texts_that_no_program_calculates() {
    let server = Server::start();
    let device = source(&server);
    send(
        &device,
        7,
        r#"[{"n":"/3303/0/5750","vs":"=HYPERLINK(\"x\",\"y\"),\nz"},{"n":"/3303/0/5700","v":-1.5}]"#,
    );
    let request = |accept: &str| {
        server.raw(format!(
            "GET {HISTORY}/3303/0 HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        ))
    };
    for accept in ["text/csv", "text/csv;q=0.9, */*"] {
        let table = request(accept);
        assert!(table.head.contains("content-type: text/csv"), "{accept}: {table:?}");
        let (header, rows) = table.body.split_once("\r\n").unwrap();
        assert_eq!(header, "time,received_at,path,type,value,source,event");
        assert!(rows.contains(",/3303/0/5700,float,-1.5,sent,"), "{rows}");
        let text = "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\"),\nz\"";
        assert!(rows.contains(&format!(",/3303/0/5750,string,{text},sent,")), "{rows}");
    }
    for accept in ["*/*", "application/json", "application/json, text/csv", "image/png"] {
        assert!(request(accept).head.contains("content-type: application/json"), "{accept}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = Server::start();
    let device = source(&server);
    send(&device, 7, r#"[{"n":"/3303/0/5700","v":1}]"#);
    let newest = server.get(&format!("{HISTORY}/3303/0/5700?limit=1")).json();
    let event = newest["items"][0]["event"].as_str().unwrap().to_owned();
    let writer = event.split('-').next().unwrap();
    for query in [
        "limit=0".to_owned(),
        "limit=10001".to_owned(),
        "limit=-1".to_owned(),
        "limit=18446744073709551616".to_owned(),
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z".to_owned(),
        "from=1h&to=2h".to_owned(),
        "from=yesterday".to_owned(),
        "to=2026-13-01T00:00:00Z".to_owned(),
        "from=".to_owned(),
        "format=xml".to_owned(),
        "cursor=".to_owned(),
        "cursor=1".to_owned(),
        "cursor=../../etc".to_owned(),
        format!("cursor={event}.x"),
        format!("cursor={event}.-1"),
        format!("cursor={event}.01"),
        format!("cursor={event}.99999999999999999999"),
        format!("cursor={writer}-999999"),
        format!("cursor={writer}-18446744073709551615.1"),
        "cursor=00000000-1".to_owned(),
        "page=2".to_owned(),
        "limit=1&limit=2".to_owned(),
    ] {
        let reply = server.get(&format!("{HISTORY}/3303/0/5700?{query}"));
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (400, "invalid-parameter"),
            "{query}: {reply:?}"
        );
    }
    for path in ["3303/x", "3303/0/5700/0/0", "65536", "3303//0", "3303/", "%2F3303", "-1", "3303/0/65535"] {
        let reply = server.get(&format!("{HISTORY}/{path}"));
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid-path"), "{path}: {reply:?}");
    }
    for method in ["PUT", "POST", "DELETE"] {
        assert_eq!(server.call(method, &format!("{HISTORY}/3303/0"), "").status, 405);
    }
    for name in ["nobody", "%00", "a%0Db"] {
        let reply = server.get(&format!("/api/v1/endpoints/{name}/history/3303/0"));
        assert_eq!((reply.status, reply.problem().as_str()), (404, "endpoint-not-registered"), "{name}");
    }
    // A place that is past all values of an event tells nothing twice.
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/0/5700?cursor={event}.7"))), [0.0; 0]);
    // A time that no calendar has does not make the log unreadable.
    send(&device, 9, r#"[{"n":"/3303/0/5700","v":2,"t":1e30},{"n":"/3303/0/5700","v":3,"t":-1e30}]"#);
    let absurd = server.get(&format!("{HISTORY}/3303/0/5700")).json();
    let times: Vec<_> = absurd["items"].as_array().unwrap().iter().map(|item| &item["time"]).collect();
    assert_eq!(
        (times[0], times[1]),
        (&json!("9999-12-31T23:59:59.999Z"), &json!("0000-01-01T00:00:00.000Z"))
    );
}

#[test]
fn the_log_and_its_readers_go_on_over_a_restart() {
    use crate::support::Events;
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start();
    let device = source(&server);
    let mut live = Events::follow(&server, "?type=sent", None);
    for n in 1..=3 {
        send(&device, 10 + n, &format!(r#"[{{"n":"/3303/0/5700","v":{n}}}]"#));
    }
    let read = live.event();
    assert_eq!(read["content"][0]["value"], 1.0);
    let last = read["id"].as_str().unwrap().to_owned();
    let page = server.get(&format!("{HISTORY}/3303/0/5700?limit=1")).json();
    let cursor = page["next"].as_str().unwrap().to_owned();
    drop(live);
    server.running.stop();
    drop(device);

    let server = start();
    // Where the reader was is a place in the same log: nothing is missing, nothing is there twice.
    let mut again = Events::follow(&server, "?type=sent", Some(&last));
    let device = source(&server);
    // Its registration of before was there already.
    assert_eq!(device.answers.recv_timeout(Duration::from_secs(10)).unwrap().code, 0x41);
    send(&device, 20, r#"[{"n":"/3303/0/5700","v":4}]"#);
    let seen: Vec<_> = (0..3).map(|_| again.event()["content"][0]["value"].clone()).collect();
    assert_eq!(seen, [2.0, 3.0, 4.0]);
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/0/5700"))), [4.0, 3.0, 2.0, 1.0]);
    assert_eq!(values(&server.get(&format!("{HISTORY}/3303/0/5700?cursor={cursor}"))), [2.0, 1.0]);
    // From the oldest on, numbers have no holes.
    let mut all = Events::follow(&server, "?after=0", None);
    let number = |id: &Json| -> u64 { id.as_str().unwrap().split_once('-').unwrap().1.parse().unwrap() };
    let numbers: Vec<u64> = (0..6).map(|_| number(&all.event()["id"])).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_log_of_a_device_is_read_backwards_page_by_page() {
    const LOG: &str = "/api/v1/endpoints/source/log";
    let server = Server::start();
    let device = source(&server);
    for number in 0..5_u16 {
        send(&device, 20 + number, &format!(r#"[{{"n":"/3303/0/5700","v":{number}}}]"#));
    }
    let kinds = |reply: &Reply| -> Vec<String> {
        assert_eq!(reply.status, 200, "{reply:?}");
        let items = reply.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect()
    };
    eventually(|| kinds(&server.get(LOG)).len() == 6);
    let all = server.get(LOG);
    assert_eq!(kinds(&all), ["sent", "sent", "sent", "sent", "sent", "registered"], "newest first");
    assert_eq!(all.json().get("next"), None);
    assert_eq!(all.json()["items"][0]["content"][0]["value"], 4.0);
    assert!(all.json()["items"][0]["id"].as_str().unwrap().contains('-'), "it has the id of the stream");
    assert_eq!(kinds(&server.get(&format!("{LOG}?type=registered,expired"))), ["registered"]);

    let mut values = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = server.get(&format!("{LOG}?limit=2{cursor}")).json();
        values
            .extend(page["items"].as_array().unwrap().iter().map(|item| item["content"][0]["value"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(values, [json!(4.0), json!(3.0), json!(2.0), json!(1.0), json!(0.0), Json::Null]);

    assert_eq!(server.get(&format!("{LOG}?cursor=000000ff-1")).status, 400, "of another log");
    assert_eq!(server.get(&format!("{LOG}?type=eaten")).status, 400);
    assert_eq!(server.get(&format!("{LOG}?from=1h&to=2h")).status, 400);
    assert_eq!(server.get("/api/v1/endpoints/nobody/log").status, 404);
    let updates = server.get(&format!("{LOG}?type=updated"));
    assert!(updates.status == 400 && updates.body.contains("the stream of events has them"), "{updates:?}");
    assert_eq!(server.get(&format!("{LOG}?type=registered,updated")).status, 200);
}
