//! `lightship load` against the real server: everything is answered, and the numbers add up.

mod program;

use program::{Server, command, eventually};
use serde_json::Value;
use std::process::{Output, Stdio};

fn load(arguments: &[&str]) -> Output {
    command(&[&["load"], arguments].concat()).stdin(Stdio::null()).output().expect("it runs")
}

/// Runs a load that must succeed, and gives its summary.
fn summary(arguments: &[&str]) -> Value {
    let output = load(&[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}{error}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// The operation in that phase.
fn operation<'a>(summary: &'a Value, phase: &str, name: &str) -> &'a Value {
    let phases = summary["phases"].as_array().expect("phases");
    let phase = phases.iter().find(|item| item["phase"] == phase).expect("the phase");
    let operations = phase["operations"].as_array().expect("operations");
    operations.iter().find(|item| item["operation"] == name).unwrap_or_else(|| panic!("no {name} in {phase}"))
}

/// Whatever was begun has ended, and the sums are those of the parts.
fn adds_up(summary: &Value) {
    let (mut begun, mut ended, mut repetitions) = (0, 0, 0);
    for phase in summary["phases"].as_array().expect("phases") {
        for item in phase["operations"].as_array().expect("operations") {
            let ends = ["right", "wrong", "missing", "unfinished"].map(|end| number(&item[end]));
            assert_eq!(number(&item["begun"]), ends.iter().sum::<u64>(), "{item}");
            let latency = &item["latency_ms"];
            let at = |name: &str| latency[name].as_f64().unwrap_or_else(|| panic!("no {name} in {item}"));
            let order = ["min", "p50", "p90", "p99", "p99.9", "max"].map(at);
            assert!(order.is_sorted() && order[0] > 0.0, "{item}");
            begun += number(&item["begun"]);
            ended += ends.iter().sum::<u64>();
            repetitions += number(&item["repetitions"]);
        }
    }
    let answers = &summary["answers"];
    let sum: u64 = ["right", "wrong", "missing", "unfinished"].iter().map(|end| number(&answers[*end])).sum();
    assert_eq!((begun, ended), (sum, sum));
    let datagrams = &summary["datagrams"];
    if summary["server"].as_str().expect("text").starts_with("coap:") {
        let answered = ["read", "observe", "cancel", "discover", "write", "execute", "refused", "repeated"];
        let answered: u64 = answered.iter().map(|name| number(&summary["downlink"][*name])).sum();
        let sent = number(&datagrams["sent"]) + number(&datagrams["lost_on_purpose_to_server"]);
        assert_eq!(sent, begun + repetitions + answered, "{summary}");
    }
}

#[test]
fn some_hundred_devices_with_loss_are_all_answered() {
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let summary = summary(&[
        "--server",
        &uri,
        "--devices",
        "300",
        "--duration",
        "2s",
        "--loss",
        "10",
        "--ack-timeout",
        "0.1",
        "--max-retransmit",
        "8",
        "--mix",
        "update=5,change=2,send=2,rejoin=1",
        "--rate",
        "400",
        "--threads",
        "2",
    ]);
    adds_up(&summary);
    assert_eq!(summary["answers"]["missing"], 0, "{summary}");
    assert_eq!(summary["answers"]["wrong"], 0, "{summary}");
    assert_eq!(summary["answers"]["unfinished"], 0, "{summary}");
    assert_eq!(summary["registered_at_end"], 0);
    let ramp = operation(&summary, "ramp", "register");
    assert_eq!(ramp["right"], 300);
    assert!(number(&ramp["repetitions"]) > 0, "{ramp}");
    for name in ["update", "change", "send", "deregister", "register"] {
        assert!(number(&operation(&summary, "run", name)["right"]) > 0, "{name}: {summary}");
    }
    // The open loop began what it was asked to: 400 a second for 2 s, and a Register after each De-register.
    let begun = ["update", "change", "send", "deregister"]
        .map(|name| number(&operation(&summary, "run", name)["begun"]));
    assert!((790..=810).contains(&begun.iter().sum::<u64>()), "{summary}");
    for way in ["lost_on_purpose_to_server", "lost_on_purpose_from_server"] {
        assert!(number(&summary["datagrams"][way]) > 50, "{summary}");
    }
    assert!(server.json(&["endpoints"])["items"].as_array().expect("a list").is_empty());
}

#[test]
fn devices_stay_and_answer_the_server() {
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let mut fleet = program::Program::start(&[
        "load",
        "--server",
        &uri,
        "--devices",
        "20",
        "--name",
        "meter-{n:03}",
        "--first",
        "100",
        "--duration",
        "1h",
        "--rate",
        "50",
        "--mix",
        "notify=1,update=1",
        "--stay",
        "--threads",
        "1",
        "--object",
        "3=1",
        "--object",
        "3303=2",
    ]);
    eventually("the fleet is registered", || {
        (server.json(&["endpoints"])["items"].as_array().expect("a list").len() == 20).then_some(())
    });
    let shown = server.json(&["show", "meter-119"]);
    assert_eq!(shown["lwm2m_version"], "1.1");
    assert!(shown["address"].as_str().expect("an address").starts_with("127."), "{shown}");
    assert!(server.ctl(&["read", "meter-107", "/3/0/2"]).contains("meter-107"));
    assert!(server.ctl(&["read", "meter-107", "/3303"]).contains("5701"));
    assert!(server.ctl(&["discover", "meter-107", "/3303/1"]).contains("/3303/1/5700"));
    server.ctl(&["write", "meter-107", "/3303/0/5701", "K"]);
    server.ctl(&["exec", "meter-107", "/3/0/5"]);
    server.ctl(&["observe", "meter-108", "/3303/0/5700"]);
    eventually("its notifications arrive", || {
        let reports = server.json(&["observations", "meter-108"]);
        reports["items"][0]["content"][0]["value"].as_f64().filter(|value| *value > 10.0)
    });
    let composite = server.ctl(&["composite", "read", "meter-109", "/3/0/9", "/3303/0/5700"]);
    assert!(composite.contains("/3303/0/5700"), "{composite}");
    // The first interrupt ends it in good order.
    fleet.signal("-INT");
    assert_eq!(fleet.await_end().code(), Some(0));
    assert_eq!(server.json(&["endpoints"])["items"].as_array().expect("a list").len(), 20);
}

const KEY: &str = "000102030405060708090a0b{n:08x}";

/// Tells the server what the fleet will prove itself with, as the fleet prints it.
fn admit(server: &Server, arguments: &[&str]) {
    let output = load(&[arguments, &["--print-credentials"]].concat());
    assert_eq!(output.status.code(), Some(0));
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |member: &str| line[member].as_str().expect("text").to_owned();
        assert_eq!(line["mode"], "psk");
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key.hex");
        std::fs::write(&key, text("key_hex")).expect("written");
        let key = key.to_str().expect("UTF-8");
        let put = [
            "credentials",
            "put",
            &text("endpoint"),
            "--psk-identity",
            &text("identity"),
            "--psk-key-file",
            key,
        ];
        server.ctl(&put);
    }
}

#[test]
fn devices_with_pre_shared_keys_have_connection_ids() {
    let server = Server::start(&["--coaps", "127.0.0.1:0"]);
    let uri = format!("coaps://{}", server.coaps.expect("listens"));
    let fleet = ["--server", &uri, "--devices", "12", "--psk-identity", "id-{n}", "--psk-key", KEY];
    admit(&server, &fleet);
    let run = ["--duration", "1s", "--loss", "5", "--ack-timeout", "0.1", "--max-retransmit", "8", "--stay"];
    let first = summary(&[&fleet[..], &run].concat());
    adds_up(&first);
    assert_eq!((&first["answers"]["missing"], &first["answers"]["wrong"]), (&0.into(), &0.into()), "{first}");
    assert_eq!(operation(&first, "ramp", "handshake")["right"], 12);
    assert!(number(&operation(&first, "run", "update")["right"]) > 12);
    let security = &server.json(&["show", "load-3"])["security"];
    assert_eq!((&security["mode"], &security["identity"]), (&"psk".into(), &"id-3".into()), "{security}");
    assert!(security["cid"].as_str().is_some_and(|cid| !cid.is_empty()), "{security}");
    assert!(security["cipher_suite"].as_str().expect("a suite").contains("CCM_8"), "{security}");
    let without = summary(&[&fleet[..], &["--duration", "0", "--stay", "--no-cid"]].concat());
    assert_eq!(operation(&without, "ramp", "register")["right"], 12);
    assert!(server.json(&["show", "load-3"])["security"]["cid"].is_null());
    // Another key is refused, and that is not an answer that is right.
    let other = load(&[
        "--server",
        &uri,
        "--devices",
        "2",
        "--psk-identity",
        "id-{n}",
        "--psk-key",
        "00{n:02x}",
        "--json",
    ]);
    assert_eq!(other.status.code(), Some(1));
    let other: Value = serde_json::from_slice(&other.stdout).expect("a summary all the same");
    assert_eq!(other["wrong_answers"][0]["code"], "alert", "{other}");
}

#[test]
fn the_ledger_holds_what_was_acknowledged() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ledger.jsonl");
    let uri = format!("coap://{}", server.coap);
    let summary = summary(&[
        "--server",
        &uri,
        "--devices",
        "30",
        "--duration",
        "1s",
        "--rate",
        "200",
        "--mix",
        "change=2,send=2,update=1,rejoin=1",
        "--stay",
        "--ledger",
        file.to_str().expect("UTF-8"),
        "--report",
        folder.path().join("r.json").to_str().expect("UTF-8"),
    ]);
    adds_up(&summary);
    let report = std::fs::read_to_string(folder.path().join("r.json")).expect("the report");
    assert_eq!(serde_json::from_str::<Value>(&report).expect("JSON"), summary);
    let text = std::fs::read_to_string(&file).expect("the ledger");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let count = |operation: &str, state: &str| {
        lines.iter().filter(|line| line["operation"] == operation && line["state"] == state).count()
    };
    for name in ["change", "send", "deregister"] {
        let right = number(&operation(&summary, "run", name)["right"]);
        assert_eq!(u64::try_from(count(name, "acknowledged")).expect("few"), right, "{name}");
    }
    assert_eq!(count("change", "begun"), count("change", "acknowledged"));
    assert_eq!(count("update", "acknowledged"), 0);
    let mut values: Vec<u64> =
        lines.iter().filter(|line| line["operation"] == "send").map(|line| number(&line["value"])).collect();
    let sent = values.len();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), sent, "every value is another");
    // The server holds what the last line of each device says.
    for device in ["load-0", "load-17", "load-29"] {
        let last = |line: &&Value| line["device"] == device && line["lifetime_s"].is_u64();
        let line = lines.iter().rev().find(last).expect("a line");
        let shown = server.json(&["show", device]);
        assert_eq!(shown["lifetime_s"], line["lifetime_s"], "{line} {shown}");
        let location = line["location"].as_str().expect("a location");
        assert_eq!(location.strip_prefix("rd/"), shown["registration_id"].as_str(), "{line}");
    }
}

#[test]
fn the_summary_for_people_says_the_same() {
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let output = load(&["--server", &uri, "--devices", "10", "--duration", "300ms", "--strict"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let plan = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{plan}");
    assert!(
        plan.contains(&format!("10 devices at {uri}")) && plan.contains("update 80 %, send 20 %"),
        "{plan}"
    );
    for part in
        ["phase", "p99.9", "ramp   register", "run    update", "leave  deregister", "0 missing, 0 wrong"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let quiet = load(&["--server", &uri, "--devices", "10", "--duration", "100ms", "--quiet"]);
    assert!(quiet.stderr.is_empty() && !quiet.stdout.is_empty());
}

#[test]
fn events_are_printed_to_their_end_while_more_come_all_the_time() {
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let busy =
        ["load", "--server", &uri, "--devices", "5", "--rate", "50", "--mix", "send=1", "--duration", "1h"];
    let fleet = program::Program::start(&busy);
    let sends = || server.ctl(&["events", "--type", "sent"]).lines().count();
    eventually("devices send", || (sends() > 50).then_some(()));
    let began = program::now();
    assert!(server.ctl(&["events"]).lines().count() > 50);
    let took = program::now() - began;
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    drop(fleet);
}

#[test]
fn what_was_asked_for_and_left_out_is_told_as_it_was_asked_for() {
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json").display().to_string();
    let fleet = ["--server", &uri, "--devices", "5", "--threads", "1", "--report", &report];
    let asked = ["--mix", "notify=3,rejoin=1", "--rate", "200", "--duration", "500ms"];
    let output = load(&[&fleet[..], &asked].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (told, plan) = (text(output.stdout), text(output.stderr));
    assert!(plan.contains("1 thread; 200 operations") && plan.contains("notify 75 %, rejoin 25 %"), "{plan}");
    let summary = std::fs::read_to_string(&report).expect("the report");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let left_out = number(&summary["notifications_left_out"]);
    assert!(left_out > 0, "{summary}");
    let warning = format!("{left_out} notifications were left out: nobody was observed when they were due");
    assert!(told.contains(&warning), "{told}");
}

#[test]
fn where_nobody_answers_it_says_so_soon() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let uri = format!("coap://{}", socket.local_addr().expect("bound"));
    let flags =
        ["--server", &uri, "--devices", "50", "--ack-timeout", "0.05", "--max-retransmit", "1", "--json"];
    let output = load(&flags);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(error.contains(&format!("no device could register at {uri}")), "{error}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary all the same");
    assert!(number(&summary["answers"]["missing"]) >= 10 && summary["answers"]["right"] == 0, "{summary}");
}

/// The members of the summary, which programs rely on: they are added to, never renamed.
#[test]
fn the_shape_of_the_summary_is_kept() {
    fn members(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(name, value)| members(value, &format!("{path}.{name}"), out));
            }
            Value::Array(items) => {
                items.iter().take(1).for_each(|item| members(item, &format!("{path}[]"), out))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                out.push(path.trim_start_matches('.').to_owned());
            }
        }
    }
    let server = Server::start(&[]);
    let uri = format!("coap://{}", server.coap);
    let summary = summary(&["--server", &uri, "--devices", "3", "--duration", "50ms"]);
    let mut found = Vec::new();
    members(&summary, "", &mut found);
    for wanted in SHAPE.split_whitespace() {
        assert!(found.iter().any(|name| name == wanted), "{wanted} is not in {found:#?}");
    }
}

const SHAPE: &str = "server devices threads outstanding rate loss_percent registered_at_end notifications_left_out \
    phases[].phase phases[].seconds phases[].operations[].operation phases[].operations[].begun phases[].operations[].right \
    phases[].operations[].wrong phases[].operations[].missing phases[].operations[].unfinished \
    phases[].operations[].repetitions phases[].operations[].per_second phases[].operations[].latency_ms.min \
    phases[].operations[].latency_ms.mean phases[].operations[].latency_ms.p50 phases[].operations[].latency_ms.p90 \
    phases[].operations[].latency_ms.p99 phases[].operations[].latency_ms.p99.9 phases[].operations[].latency_ms.max \
    answers.right answers.missing answers.wrong answers.unfinished answers.repeated answers.stray \
    downlink.read downlink.observe downlink.cancel downlink.discover downlink.write downlink.execute downlink.refused \
    downlink.repeated downlink.asleep datagrams.sent datagrams.sent_bytes datagrams.received datagrams.received_bytes \
    datagrams.not_taken datagrams.lost_on_purpose_to_server datagrams.lost_on_purpose_from_server";
