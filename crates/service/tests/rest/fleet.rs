//! The fleet: filters, pages, columns, tables, last known values.

use std::net::UdpSocket;

use lightship_service::Config;
use serde_json::{Value, json};

use crate::support::{Device, Message, Server, agreeable, eventually};

fn register(server: &Server, parameters: &str, links: &str) -> Device {
    Device::register_with(server, UdpSocket::bind("127.0.0.1:0").unwrap(), parameters, links, agreeable())
}

/// Three devices that differ in all that the directory knows.
fn fleet(server: &Server) -> [Device; 3] {
    [
        register(server, "ep=urn:imei:1&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>,</3303/0>"),
        register(server, "ep=urn:imei:2&lt=7200&lwm2m=1.2&b=U&Q", "</1/0>,</3/0>,</3303/1>"),
        register(server, "ep=pump-3&lt=60&lwm2m=1.0&b=U", "</1/0>,</3/0>,</5>"),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn names(server: &Server, filter: &str) -> Vec<String> {
    let page = server.get(&format!("/api/v1/endpoints?filter={}", encoded(filter))).json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["endpoint"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_filter_finds_devices_by_what_the_directory_knows() {
    let server = Server::start();
    let _fleet = fleet(&server);
    for (filter, found) in [
        ("", "pump-3 urn:imei:1 urn:imei:2"),
        ("imei", "urn:imei:1 urn:imei:2"),
        ("urn:imei:2", "urn:imei:2"),
        ("lwm2m:1.2", "urn:imei:2"),
        ("-lwm2m:1.2 urn", "urn:imei:1"),
        ("queue:true", "urn:imei:2"),
        ("lifetime>600", "urn:imei:2"),
        ("lifetime<=10m", "pump-3 urn:imei:1"),
        ("object:3303", "urn:imei:1 urn:imei:2"),
        ("object:3303/1", "urn:imei:2"),
        ("object:5", "pump-3"),
        ("security:nosec updated<10m registered<10m", "pump-3 urn:imei:1 urn:imei:2"),
        ("security:psk", ""),
        ("address:127.0.0.0/8 -address:127.0.0.1", ""),
        ("state:late", ""),
        ("state:awake imei:1", "urn:imei:1"),
    ] {
        assert_eq!(names(&server, filter).join(" "), found, "{filter}");
    }
    let wrong = server.get(&format!("/api/v1/endpoints?filter={}", encoded("imei stat:asleep")));
    assert_eq!((wrong.status, wrong.problem().as_str()), (400, "invalid-parameter"));
    let problem = wrong.json();
    assert_eq!(problem["pointer"], "filter:5-9");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean state?"), "{problem}");
}

#[test]
fn pages_go_on_by_name_and_by_place_and_are_counted() {
    let server = Server::start();
    let _fleet = fleet(&server);
    let get = |query: &str| server.get(&format!("/api/v1/endpoints?{query}")).json();
    let listed = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["endpoint"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = get("limit=2&count=true");
    assert_eq!((listed(&first).join(" ").as_str(), first["total"].as_u64()), ("pump-3 urn:imei:1", Some(3)));
    let second = get(&format!("limit=2&cursor={}", encoded(first["next"].as_str().unwrap())));
    assert_eq!((listed(&second).join(" ").as_str(), &second["next"]), ("urn:imei:2", &Value::Null));
    assert_eq!(listed(&get("offset=1&limit=1")), ["urn:imei:1"]);
    assert_eq!(listed(&get("offset=1&limit=5&filter=imei&count=true")), ["urn:imei:2"]);
    assert_eq!(get("filter=imei&count=true&limit=1")["total"], 2);
    assert_eq!(listed(&get("offset=3")), Vec::<String>::new());
    // The last one to register was the pump.
    assert_eq!(listed(&get("sort=registered&limit=1")), ["pump-3"]);
    let oldest = get("sort=-registered&limit=2");
    assert_eq!(listed(&oldest), ["urn:imei:1", "urn:imei:2"]);
    let rest = get(&format!("sort=-registered&limit=2&cursor={}", oldest["next"].as_str().unwrap()));
    assert_eq!(listed(&rest), ["pump-3"]);
    for wrong in ["sort=size", "offset=1&cursor=a", "columns=/3", "columns=x", "sort=updated&cursor=a"] {
        assert_eq!(server.get(&format!("/api/v1/endpoints?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn values_are_known_from_reads_writes_notifications_and_sends() {
    let server = Server::start();
    let [device, other, _third] = fleet(&server);
    let of = "/api/v1/endpoints/urn:imei:1";
    assert_eq!(server.get(&format!("{of}/values")).json()["items"], json!([]));
    assert_eq!(server.get("/api/v1/endpoints/nobody/values").status, 404);
    assert_eq!(server.get(&format!("{of}/resources/3/0")).status, 200);
    assert_eq!(server.call("PUT", &format!("{of}/resources/1/0/1"), r#"{"value": 77}"#).status, 200);
    assert_eq!(server.call("PUT", &format!("{of}/observations/3303/0/5700"), "").status, 200);
    let payload = b"[{\"n\":\"/3303/0/5601\",\"v\":-3.5}]".to_vec();
    let options = vec![(11, b"dp".to_vec()), (12, vec![110])];
    let sent = device.ask(&Message { kind: 0, code: 2, id: 900, token: vec![9], options, payload });
    assert_eq!(sent.code, 0x44, "2.04");
    let known = || {
        let items = server.get(&format!("{of}/values")).json()["items"].take();
        let line = |item: &Value| {
            format!(
                "{} {} {}",
                item["path"].as_str().unwrap(),
                item["value"],
                item["source"].as_str().unwrap()
            )
        };
        items.as_array().unwrap().iter().map(line).collect::<Vec<_>>().join(", ")
    };
    let all = "/1/0/1 77 write, /3/0/0 \"Acme\" read, /3/0/9 84 read, /3303/0/5601 -3.5 send, /3303/0/5700 21.0 notify";
    eventually(|| known() == all);
    let below = server.get(&format!("{of}/values?path=/3/0")).json();
    assert_eq!(below["items"].as_array().unwrap().len(), 2);
    assert_eq!(below["items"][1]["type"], "integer");

    let page = server.get("/api/v1/endpoints?columns=/3/0/0,/3/0/9&filter=imei").json();
    assert_eq!(page["items"][0]["values"]["/3/0/0"]["value"], "Acme");
    assert_eq!(page["items"][0]["values"]["/3/0/9"]["source"], "read");
    assert_eq!(page["items"][1].get("values"), None);
    for (filter, found) in [
        ("manufacturer:Acme", "urn:imei:1"),
        ("manufacturer:Ac*", "urn:imei:1"),
        ("battery<20", ""),
        ("battery>80", "urn:imei:1"),
        ("/3303/0/5601<0", "urn:imei:1"),
        ("-battery>80", "pump-3 urn:imei:2"),
    ] {
        assert_eq!(names(&server, filter).join(" "), found, "{filter}");
    }
    assert_eq!(server.get("/api/v1/endpoints?filter=battery%3E80&count=true").json()["total"], 1);
    assert_eq!(
        server.get("/api/v1/endpoints?filter=battery%3E80&sort=updated").json()["items"][0]["endpoint"],
        "urn:imei:1"
    );
    drop(other);
}

/// A body that came in chunks, whole.
fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((len, behind)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).expect("the length of a chunk");
        whole.push_str(&behind[..len]);
        rest = &behind[len + 2..];
    }
    whole
}

#[test]
fn the_fleet_is_a_table_for_other_programs() {
    let server = Server::start();
    let _fleet = fleet(&server);
    assert_eq!(server.get("/api/v1/endpoints/urn:imei:2/resources/3/0").status, 200);
    let table = server.get("/api/v1/endpoints?format=csv&columns=/3/0/0,/3/0/9");
    assert_eq!(table.status, 200);
    let text = unchunked(&table.body);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[0].starts_with("endpoint,state,") && lines[0].ends_with(",commands_waiting,/3/0/0,/3/0/9"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("\"pump-3\",awake,1.0,60,U,false,nosec,127.0.0.1:")
            && lines[1].ends_with(",0,,"),
        "{text}"
    );
    assert!(lines[3].ends_with(",0,\"Acme\",84"), "{text}");
    let some = server.get("/api/v1/endpoints?format=csv&limit=1&filter=imei");
    assert_eq!(unchunked(&some.body).lines().count(), 2, "{}", some.body);
}

#[test]
fn known_values_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |config: &mut Config| config.store.folder = Some(folder.path().to_owned());
    let server = Server::with(keep);
    let device = register(&server, "ep=lamp&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>");
    assert_eq!(server.get("/api/v1/endpoints/lamp/resources/3/0").status, 200);
    drop(device);
    drop(server);
    let server = Server::with(keep);
    eventually(|| server.get("/api/v1/endpoints/lamp/values").status == 200);
    let items = server.get("/api/v1/endpoints/lamp/values").json()["items"].take();
    assert_eq!((&items[0]["value"], &items[1]["value"]), (&json!("Acme"), &json!(84)));
}

#[test]
fn the_fleet_is_counted_by_what_devices_are() {
    let server = Server::start();
    let _fleet = fleet(&server);
    assert_eq!(server.get("/api/v1/endpoints/urn:imei:1/resources/3/0").status, 200);
    let mut fleet = json!({});
    eventually(|| {
        fleet = server.get("/api/v1/fleet").json();
        fleet["registered"] == 3 && fleet["models"].as_array().is_some_and(|models| !models.is_empty())
    });
    assert_eq!(
        (&fleet["awake"], &fleet["asleep"], &fleet["late"], &fleet["lost"]),
        (&json!(3), &json!(0), &json!(0), &json!(0))
    );
    assert_eq!(fleet["lwm2m"], json!({"1.0": 1, "1.1": 1, "1.2": 1}));
    assert_eq!(fleet["security"], json!({"nosec": 3}));
    assert_eq!(fleet["bindings"], json!({"U": 2, "UQ": 1}));
    assert_eq!(fleet["models"], json!([{"manufacturer": "Acme", "model": "", "count": 1}]));
    let noisiest: Vec<&str> =
        fleet["noisiest"].as_array().unwrap().iter().map(|one| one["endpoint"].as_str().unwrap()).collect();
    assert_eq!(noisiest, ["pump-3", "urn:imei:1", "urn:imei:2"], "each has registered once");
    let rates = server.get("/api/v1/fleet/rates?minutes=10").json();
    assert_eq!(
        (rates["step_s"].as_u64(), rates["series"]["registered"].as_array().unwrap().len()),
        (Some(10), 60)
    );
    assert_eq!(server.get("/api/v1/fleet/rates?minutes=10081").status, 400);
}

#[test]
fn a_device_that_expires_is_lost_until_it_comes_back() {
    let server = Server::start();
    let lamp = |lifetime_s: u32| {
        register(&server, &format!("ep=lamp&lt={lifetime_s}&lwm2m=1.1&b=U"), "</1/0>,</3/0>")
    };
    let device = lamp(1);
    eventually(|| server.get("/api/v1/fleet").json()["lost_devices"][0]["endpoint"] == "lamp");
    drop(device);
    let _back = lamp(600);
    eventually(|| server.get("/api/v1/fleet").json()["lost"] == 0);
}

#[test]
fn who_is_refused_is_shown_as_unknown() {
    let server = Server::with(|config| config.security.allow_nosec = false);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.coap).unwrap();
    let query = ["ep=stranger", "lt=600", "lwm2m=1.1", "b=U"].map(|text| (15, text.as_bytes().to_vec()));
    let options = [(11, b"rd".to_vec()), (12, vec![40])].into_iter().chain(query).collect();
    let register = Message { kind: 0, code: 2, id: 1, token: vec![1], options, payload: b"</3/0>".to_vec() };
    socket.send(&register.bytes()).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 256];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(Message::parse(&buffer[..len]).code, 0x83, "4.03");
    let mut unknown = json!([]);
    eventually(|| {
        unknown = server.get("/api/v1/fleet").json()["unknown"].take();
        !unknown.as_array().unwrap().is_empty()
    });
    assert_eq!((&unknown[0]["endpoint"], &unknown[0]["address"]), (&json!("stranger"), &json!("127.0.0.1")));
    assert!(!unknown[0]["reason"].as_str().unwrap().is_empty());
}
