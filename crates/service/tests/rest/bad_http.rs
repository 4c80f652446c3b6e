//! Bad input over HTTP: a short problem document, no effect on devices, no growth.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::time::Duration;

use lightship_api::routes::Answer;

use crate::support::{Device, Message, Server, agreeable, eventually, pause};

#[test]
fn unknown_names_and_addresses_are_404() {
    let server = Server::start();
    let _device = Device::register(&server, "there", agreeable());
    for name in
        ["nobody", "a%2Fb", "%00", "..", ".", "x%3Fy", "x%23y", "%2e%2e%2fetc", "there%2F..", "%E2%82%AC"]
    {
        let reply = server.get(&format!("/api/v1/endpoints/{name}"));
        assert_eq!((reply.status, reply.problem().as_str()), (404, "endpoint-not-registered"), "{name}");
        let reply = server.get(&format!("/api/v1/endpoints/{name}/resources/3/0"));
        assert_eq!(reply.status, 404, "{name}");
    }
    for address in
        ["/api/v1/nothing", "/api/v2/endpoints", "/../../etc/passwd", "/assets/../index.html", "/x", "//"]
    {
        assert_eq!(server.get(address).status, 404, "{address}");
    }
    for broken in ["%FF", "there%", "%4", "%zz"] {
        let reply = server.get(&format!("/api/v1/endpoints/{broken}"));
        assert_eq!((reply.status, reply.problem().as_str()), (400, "malformed-request"), "{broken}");
    }
}

#[test]
fn a_name_is_decoded_once() {
    let server = Server::start();
    let _device = Device::register(&server, "urn:a/b c%2F?#", agreeable());
    assert_eq!(
        server.get("/api/v1/endpoints/urn%3Aa%2Fb%20c%252F%3F%23").json()["endpoint"],
        "urn:a/b c%2F?#"
    );
    assert_eq!(server.get("/api/v1/endpoints/urn%3Aa%2Fb%20c%2F%3F%23").status, 404);
}

#[test]
fn every_address_of_the_document_is_served() {
    let server = Server::start();
    for route in lightship_api::routes::ROUTES.iter().filter(|route| route.answer != Answer::EventStream) {
        let address =
            route.path.replace("{path}", "3/0/9").replace("{objectId}", "3").replace(['{', '}'], "");
        let reply = server.call(route.method, &address, "");
        assert_ne!(reply.status, 405, "{} {address}", route.method);
        let unknown = reply.status == 404 && reply.problem() == "not-found";
        assert!(!unknown && reply.status != 0, "{} {address}: {reply:?}", route.method);
    }
}

#[test]
fn unknown_methods_are_405_with_allow() {
    let server = Server::start();
    for (method, address, allowed) in [
        ("POST", "/api/v1/endpoints", "get"),
        ("PUT", "/api/v1/endpoints/x", "delete"),
        ("BREW", "/api/v1/endpoints/x/resources/3/0", "patch"),
        ("GET", "/api/v1/endpoints/x/execute/3/0/4", "post"),
        ("DELETE", "/api/v1/models", "post"),
        ("TRACE", "/metrics", "get"),
        ("POST", "/", "get"),
        ("DELETE", "/index.html", "head"),
    ] {
        let reply = server.call(method, address, "");
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (405, "method-not-allowed"),
            "{method} {address}"
        );
        let allow = reply.head.lines().find(|line| line.starts_with("allow:")).unwrap_or_default();
        assert!(allow.contains(allowed), "{method} {address}: {allow:?}");
    }
}

#[test]
fn bodies_that_are_no_nodes_are_refused_and_reach_nobody() {
    let server = Server::start();
    let device = Device::register(&server, "safe", agreeable());
    let address = "/api/v1/endpoints/safe/resources/3/0/9";
    let deep = "[".repeat(500) + &"]".repeat(500);
    let deep_object = "{\"resources\":{\"1\":".repeat(500);
    for (body, status) in [
        ("{\"value\": 1", 400),
        ("", 400),
        ("[]", 400),
        ("null", 400),
        ("\u{0}", 400),
        ("{\"value\": 1} x", 400),
        (&deep, 400),
        (&deep_object, 400),
        ("{\"value\": 1e999}", 400),
        ("{\"vlaue\": 1}", 400),
        ("{\"path\": \"/3/0/10\", \"value\": 1}", 400),
        ("{\"resources\": {}}", 400),
        ("{\"value\": \"full\"}", 422),
        ("{\"value\": 1.5}", 422),
        ("{\"type\": \"string\", \"value\": \"x\"}", 422),
        ("{\"instances\": {\"0\": 1}}", 422),
    ] {
        let reply = server.call("PUT", address, body);
        assert_eq!(reply.status, status, "{body:.60}: {reply:?}");
        reply.problem();
        assert!(reply.body.len() < 600, "{reply:?}");
    }
    assert!(server.call("PUT", address, &"x".repeat(5 << 20)).status == 413);
    assert_eq!(device.requests.try_iter().count(), 0, "nothing reached the device");
    let reply = server.raw(format!("PUT {address} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/html\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{{\"value\":1}}"));
    assert_eq!(reply.problem(), "unsupported-media-type");
}

#[test]
fn a_body_too_long_is_413_however_it_comes() {
    let server = Server::start();
    let head = "POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let reply = server.raw(format!("{head}Content-Length: 10000000\r\n\r\n{}", "x".repeat(1 << 20)));
    assert_eq!(reply.status, 413, "{reply:?}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let reply = server.raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(80)));
    assert_eq!(reply.status, 413, "{reply:?}");
}

/// As HTTP clients do: all of it is written before anything is read.
#[test]
fn who_sends_too_much_to_the_end_still_hears_why_it_was_refused() {
    let server = Server::start();
    let much = "x".repeat(8 << 20);
    for (address, status) in [
        ("PUT /api/v1/endpoints/nobody/resources/3/0/9", 404),
        ("POST /api/v1/models", 413),
        ("PUT /api/v1/credentials/somebody", 413),
        ("DELETE /api/v1/models", 405),
    ] {
        let mut stream = server.connect();
        let head = format!("{address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", much.len());
        for part in [&head, &much] {
            stream.write_all(part.as_bytes()).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
        // The connection is good for another request, so that nothing has to be made anew.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{address}: {told}");
        assert!(told.ends_with("{\"status\":\"alive\"}"), "{address}: {told}");
    }
}

#[test]
fn a_number_without_digits_is_as_if_it_were_not_there() {
    let server = Server::start();
    let _device = Device::register(&server, "one", agreeable());
    let reply = server.get("/api/v1/endpoints?filter=&limit=&cursor=");
    assert_eq!((reply.status, &reply.json()["items"][0]["endpoint"]), (200, &"one".into()), "{reply:?}");
}

#[test]
fn wrong_paths_and_parameters_are_400() {
    let server = Server::start();
    let device = Device::register(&server, "strict", agreeable());
    let at = |rest: &str| format!("/api/v1/endpoints/strict{rest}");
    for rest in [
        "/resources/3/abc",
        "/resources/3/0/0/0/0",
        "/resources/65536",
        "/resources/65535/0",
        "/resources/3//0",
        "/resources/03",
        "/resources/3/0/",
        "/resources/-1",
        "/resources/3%2F0%2F99999",
        "/discover/3/0/0/0",
        "/resources/3/0?wait=-1",
        "/resources/3/0?wait=abc",
        "/resources/3/0?wait=1e9",
        "/resources/3/0?wait=999h",
        "/resources/3/0?format=yaml",
        "/resources/3/0?format=text",
        "/resources/3/0?raw=maybe",
        "/resources/3/0?wait=1s&wait=2s",
        "/resources/3/0?timeout=5",
        "/resources/3/0?wait=%zz",
        "/discover/3?depth=4",
        "/resources/3/0?format=senml-etch-cbor",
        "/resources/3/0?format=json",
    ] {
        let reply = server.get(&at(rest));
        assert_eq!(reply.status, 400, "{rest}: {reply:?}");
        reply.problem();
    }
    for (method, rest) in [
        ("POST", "/execute/3/0"),
        ("DELETE", "/resources/3"),
        ("DELETE", "/resources/3/0/9"),
        ("POST", "/resources/3/0"),
        ("PUT", "/resources/3"),
    ] {
        assert_eq!(server.call(method, &at(rest), "{}").problem(), "invalid-path", "{method} {rest}");
    }
    for body in ["{\"pmin\": \"x\"}", "{}", "{\"colour\": 5}", "{\"pmin\": -1}", "[]", "{\"pmin\": 1.5}"] {
        let reply = server.call("PUT", &at("/attributes/3303/0"), body);
        assert!(matches!(reply.status, 400 | 422), "{body}: {reply:?}");
    }
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?page=2"] {
        assert_eq!(
            server.get(&format!("/api/v1/endpoints{query}")).problem(),
            "invalid-parameter",
            "{query}"
        );
    }
    assert_eq!(device.requests.try_iter().count(), 0, "nothing reached the device");
}

#[test]
fn requests_that_are_no_http_are_refused() {
    let server = Server::with(|config| config.limits.request_timeout = Duration::from_secs(1));
    let many: String = (0..10_000).map(|number| format!("X-{number}: 1\r\n")).collect();
    for (request, statuses) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)), &[431, 400][..]),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), &[431, 400]),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(1 << 20)), &[431, 414, 400]),
        ("GET /heal\rthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), &[400]),
        ("GET /heal\0thz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), &[400]),
        ("GET /healthz HTTP/1.1\r\nHost: local\0host\r\n\r\n".to_owned(), &[400]),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("nonsense\r\n\r\n".to_owned(), &[400]),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".repeat(100), &[400, 0]),
        ("PUT /api/v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n".to_owned(), &[400, 405]),
        ("POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n".to_owned(), &[400]),
        ("POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(), &[400]),
        ("POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(), &[400]),
    ] {
        let reply = server.raw(&request);
        assert!(statuses.contains(&reply.status), "{request:.80}: {reply:?}");
        assert_eq!(server.get("/healthz").status, 200);
    }
}

#[test]
fn other_sites_are_refused() {
    let server = Server::start();
    let device = Device::register(&server, "mine", agreeable());
    let post = |host: &str, origin: &str| {
        server.raw(format!(
            "POST /api/v1/endpoints/mine/execute/3/0/4 HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        ))
    };
    assert_eq!(post("localhost", "http://evil.example").problem(), "foreign-origin");
    assert_eq!(post("evil.example", "http://evil.example").problem(), "unknown-host");
    assert_eq!(device.requests.try_iter().count(), 0);
    assert_eq!(post("localhost", "http://localhost").status, 200);
    let head = server.get("/").head;
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(!head.contains("access-control-allow"), "{head}");
}

#[test]
fn a_token_is_needed_unless_dev() {
    let server = Server::with(|config| config.api.token = Some("a-token-of-some-length".to_owned()));
    assert_eq!(server.get("/api/v1/endpoints").problem(), "no-token");
    let with = |token: &str| {
        server.raw(format!("GET /api/v1/endpoints HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(with("another-token-altogether").problem(), "wrong-token");
    assert_eq!(with("a-token-of-some-length").status, 200);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn slow_requests_are_cut_off_and_devices_do_not_notice() {
    let server = Server::with(|config| config.limits.request_timeout = Duration::from_secs(1));
    let _device = Device::register(&server, "quick", agreeable());
    let mut slow: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        let start: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /healthz HTTP/1.1\r\nHost: local",
            _ => b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n<",
        };
        stream.write_all(start).unwrap();
    }
    for _ in 0..5 {
        let answer = server.get("/api/v1/endpoints/quick/resources/3/0/9").json();
        assert!(answer["elapsed_ms"].as_u64().unwrap() < 500, "{answer}");
    }
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    eventually(|| server.get("/metrics").body.contains("\nlightship_http_connections 1\n"));
}

#[test]
fn connections_beyond_the_limit_are_closed_and_the_rest_goes_on() {
    let server = Server::with(|config| config.limits.connections_max = 20);
    let idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    eventually(|| server.get("/api/v1/models").status == 503);
    let told = server.get("/api/v1/models");
    assert_eq!((told.status, told.problem().as_str()), (503, "overloaded"), "{told:?}");
    assert!(told.head.contains("\r\nretry-after: 1\r\n"), "{told:?}");
    assert!(told.head.contains(&format!("content-length: {}", told.body.len())), "{told:?}");
    let more: Vec<_> = (0..100).map(|_| server.connect()).collect();
    let device = UdpSocket::bind("127.0.0.1:0").unwrap();
    device.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let ping = Message { kind: 0, code: 0, id: 77, token: vec![], options: vec![], payload: vec![] };
    device.send_to(&ping.bytes(), server.coap).unwrap();
    let mut buffer = [0; 64];
    let len = device.recv(&mut buffer).unwrap();
    assert_eq!((Message::parse(&buffer[..len]).kind, Message::parse(&buffer[..len]).id), (3, 77));
    drop((idle, more));
    eventually(|| server.get("/api/v1/models").status == 200);
}

#[test]
fn each_of_a_burst_beyond_the_limit_is_told_to_come_again_and_health_is_told_meanwhile() {
    let server = Server::with(|config| config.limits.connections_max = 20);
    let idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    eventually(|| server.get("/api/v1/models").status == 503);
    // All are there before the first of them speaks.
    let mut burst: Vec<_> = (0..400).map(|_| server.connect()).collect();
    for address in ["/healthz", "/readyz"] {
        let reply = server.get(address);
        assert_eq!(reply.status, 200, "{address}: {reply:?}");
        assert!(reply.head.contains("\r\nconnection: close"), "{reply:?}");
    }
    let request = b"GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for stream in &mut burst {
        let _ = stream.write_all(request);
    }
    for (number, mut stream) in burst.into_iter().enumerate() {
        let mut told = Vec::new();
        let end = stream.read_to_end(&mut told);
        let told = String::from_utf8_lossy(&told).to_lowercase();
        let is_told = told.starts_with("http/1.1 503") && told.contains("\r\nretry-after: 1\r\n");
        assert!(is_told, "connection {number}: {told:?} {end:?}");
    }
    // Only what is asked first counts, and only once.
    let both = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let reply = server.raw(both);
    assert!(reply.status == 200 && !reply.body.contains("HTTP/1.1"), "{reply:?}");
    // In pieces, too.
    let mut slow = server.connect();
    for piece in ["GET /hea", "lthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        slow.write_all(piece.as_bytes()).unwrap();
        pause(50);
    }
    let mut told = Vec::new();
    slow.read_to_end(&mut told).unwrap();
    assert!(told.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&told));
    drop(idle);
}
