//! The fleet: filters, pages, columns, tables, last known values.

use std::net::UdpSocket;

use lightship_service::Config;
use serde_json::{Value, json};

use crate::support::{Device, Message, Server, agreeable, eventually, eventually_within};

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
fn what_was_counted_and_who_is_lost_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |config: &mut Config| config.store.folder = Some(folder.path().to_owned());
    let server = Server::with(keep);
    let brief = ["first", "second"]
        .map(|name| register(&server, &format!("ep={name}&lt=1&lwm2m=1.1&b=U"), "</1/0>,</3/0>"));
    let _stays = register(&server, "ep=third&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>");
    eventually(|| server.get("/api/v1/fleet").json()["lost"] == 2);
    let sum = |server: &Server, series: &str| -> u64 {
        let rates = server.get("/api/v1/fleet/rates?minutes=10080").json();
        rates["series"][series].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
    };
    let before = server.get("/api/v1/fleet").json();
    drop(brief);
    drop(server);

    let server = Server::with(keep);
    let fleet = server.get("/api/v1/fleet").json();
    assert_eq!((&fleet["lost"], &fleet["lost_devices"]), (&json!(2), &before["lost_devices"]));
    assert_eq!(fleet["noisiest"], before["noisiest"]);
    // The last step of a week's rates is told when it is over.
    let of_hour = server.get("/api/v1/fleet/rates?minutes=60").json();
    assert_eq!(of_hour["step_s"], 10);
    eventually_within(15, || {
        let rates = server.get("/api/v1/fleet/rates?minutes=60").json();
        let of = |series: &str| -> u64 {
            rates["series"][series].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
        };
        (of("registered"), of("expired")) == (3, 2)
    });
    assert!(sum(&server, "registered") <= 3);
    let _back = register(&server, "ep=first&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>");
    eventually(|| server.get("/api/v1/fleet").json()["lost"] == 1);
    // Who is lost is written with the event that says so: a crash takes nothing of it.
    let left = server.crash(folder.path());
    let server = Server::with(|config| config.store.folder = Some(left.path().to_owned()));
    let fleet = server.get("/api/v1/fleet").json();
    assert_eq!((&fleet["lost"], &fleet["lost_devices"][0]["endpoint"]), (&json!(1), &json!("second")));
}

#[test]
fn lost_devices_are_listed_as_they_were_known() {
    let server = Server::start();
    let lost = [("a-1", 1, "</3/0>,</3303/0>"), ("b-1", 1, "</3/0>"), ("b-2", 2, "</3/0>,</5/0>")];
    let lost = lost.map(|(name, lifetime_s, links)| {
        register(&server, &format!("ep={name}&lt={lifetime_s}&lwm2m=1.1&b=U"), links)
    });
    assert_eq!(server.get("/api/v1/endpoints/b-2/resources/3/0").status, 200);
    let _here = register(&server, "ep=here&lt=600&lwm2m=1.1&b=U", "</3/0>");
    eventually(|| server.get("/api/v1/fleet").json()["lost"] == 3);
    for (filter, found) in [
        ("state:lost", "a-1 b-1 b-2"),
        ("lost<1h", "a-1 b-1 b-2"),
        ("lost>1h", ""),
        ("state:lost b-", "b-1 b-2"),
        ("state:lost object:3303", "a-1"),
        ("state:lost lifetime>1", "b-2"),
        ("state:lost manufacturer:Acme", "b-2"),
        ("state:lost -lwm2m:1.1", ""),
        ("state:lost state:awake", ""),
        ("-state:lost", "here"),
        ("", "here"),
    ] {
        assert_eq!(names(&server, filter).join(" "), found, "{filter}");
    }
    let get = |query: &str| server.get(&format!("/api/v1/endpoints?filter=state:lost&{query}")).json();
    let first = get("limit=2&count=true&columns=/3/0/0");
    assert_eq!((&first["total"], &first["next"]), (&json!(3), &json!("b-1")));
    let device = &first["items"][0];
    assert_eq!(
        (&device["state"], &device["lifetime_s"], &device["queue_mode"]),
        (&json!("lost"), &json!(1), &json!(false))
    );
    let since = &server.get("/api/v1/fleet").json()["lost_devices"];
    let since = since.as_array().unwrap().iter().find(|one| one["endpoint"] == "a-1").unwrap();
    assert_eq!(device["expires_at"], since["since"]);
    let rest = get("limit=2&cursor=b-1&columns=/3/0/0");
    assert_eq!(rest["items"][0]["values"]["/3/0/0"]["value"], "Acme");
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(get("sort=-registered&limit=1")["items"][0]["endpoint"], "a-1");
    assert_eq!(get("sort=-registered&limit=1&cursor=1")["items"][0]["endpoint"], "b-1");
    assert_eq!(get("sort=/3/0/0&limit=1")["items"][0]["endpoint"], "b-2");
    assert!(
        unchunked(&server.get("/api/v1/endpoints?filter=state:lost&format=csv").body)
            .contains("\"b-1\",lost,")
    );
    drop(lost);
}

#[test]
fn what_is_known_of_a_device_goes_when_it_is_forgotten_or_gone_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(|config| {
        config.store.folder = Some(folder.path().to_owned());
        config.store.gone_values_age_max = std::time::Duration::from_secs(2);
    });
    let values = |name: &str| server.get(&format!("/api/v1/endpoints/{name}/values"));
    let known = |name: &str| values(name).json()["items"].as_array().map_or(0, Vec::len);
    let here = register(&server, "ep=here&lt=600&lwm2m=1.1&b=U", "</3/0>");
    let brief = register(&server, "ep=brief&lt=1&lwm2m=1.1&b=U", "</3/0>");
    let left = register(&server, "ep=left&lt=600&lwm2m=1.1&b=U", "</3/0>");
    for name in ["here", "left", "brief"] {
        assert_eq!(server.get(&format!("/api/v1/endpoints/{name}/resources/3/0")).status, 200, "{name}");
        assert_eq!(known(name), 2);
    }
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/left", "").status, 204);
    assert_eq!(values("left").status, 404, "forgotten with the device");
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/left", "").status, 404, "nothing is known of it");
    // One that is gone is forgotten by age, one that is here is not.
    eventually_within(20, || values("brief").status == 404);
    assert_eq!(known("here"), 2);
    assert_eq!(server.get("/api/v1/fleet").json()["lost"], 1);
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/brief", "").status, 204, "it was lost still");
    assert_eq!(server.get("/api/v1/fleet").json()["lost"], 0);
    drop((here, brief, left));
}

#[test]
fn devices_are_put_in_the_order_of_a_value() {
    let server = Server::start();
    let readings = [("a", Some("9")), ("b", Some("10")), ("c", None), ("d", Some("-2.5")), ("e", Some("10"))];
    let _devices = readings.map(|(name, reading)| {
        let answer =
            move |request: &Message| Some(request.answer(0x45, Some(0), reading.unwrap_or("").as_bytes()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let device = Device::register_with(
            &server,
            socket,
            &format!("ep={name}&lt=600&lwm2m=1.1&b=U"),
            "</3/0>,</3303/0>",
            Box::new(answer),
        );
        if reading.is_some() {
            assert_eq!(server.get(&format!("/api/v1/endpoints/{name}/resources/3303/0/5700")).status, 200);
        }
        device
    });
    let listed = |page: &Value| -> String {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["endpoint"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let get = |query: &str| server.get(&format!("/api/v1/endpoints?{query}")).json();
    for (sort, expected) in [("/3303/0/5700", "d a b e c"), ("-/3303/0/5700", "b e a d c")] {
        assert_eq!(listed(&get(&format!("sort={sort}&columns=/3303/0/5700"))), expected);
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&format!("sort={sort}&limit=2{cursor}"));
            pages.push(listed(&page));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encoded(next)),
                None => break,
            }
        }
        assert_eq!(pages.join(" "), expected);
        assert_eq!(listed(&get(&format!("sort={sort}&offset=2&limit=2"))), expected[4..7]);
        assert_eq!(listed(&get(&format!("sort={sort}&filter=/3303/0/5700%3E9"))), "b e");
    }
    let table = unchunked(&server.get("/api/v1/endpoints?sort=/3303/0/5700&format=csv").body);
    let first: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(first, ["\"d\"", "\"a\"", "\"b\"", "\"e\"", "\"c\""]);
    for wrong in ["sort=/3303", "sort=/3303/0/5700&cursor=5", "sort=-name"] {
        assert_eq!(server.get(&format!("/api/v1/endpoints?{wrong}")).status, 400, "{wrong}");
    }
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
