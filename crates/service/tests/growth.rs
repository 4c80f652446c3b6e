//! Bad input leaves nothing behind: neither threads nor memory. Alone in its process, so that it counts only itself.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use lightship_service::{Config, Running, Service};

fn send(server: &Running, request: &str) {
    let mut stream = TcpStream::connect(server.http().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut Vec::new());
}

fn round(server: &Running, count: usize) {
    for number in 0..count {
        let body = "{\"value\": [";
        let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        send(
            server,
            &format!(
                "PUT /api/v1/endpoints/x/resources/3/0/9 {head}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        send(server, &format!("GET /api/v1/endpoints/nobody-{number}/resources/3/0 {head}\r\n"));
        send(server, &format!("POST /api/v1/models {head}Content-Length: 10\r\n\r\n<a><b></a>"));
        send(server, "GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n");
        send(server, "rubbish\r\n\r\n");
        send(server, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: \0\r\n\r\n");
        let device = UdpSocket::bind("127.0.0.1:0").unwrap();
        for rubbish in [
            &b"\x40\x01\x00\x01\xff"[..],
            b"\x44\x02\x00\x01abcd\xb2rd\x4dep=",
            b"",
            b"\x7f",
            b"GET / HTTP/1.1",
        ] {
            device.send_to(rubbish, server.coap().unwrap()).unwrap();
        }
    }
}

/// A number of this process's status, in threads or kB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn neither_threads_nor_memory_grow_with_bad_input() {
    let server = Service::start(Config::loopback()).unwrap();
    round(&server, 300);
    let (threads, memory) = (status("Threads:"), status("VmRSS:"));
    round(&server, 1500);
    // Up to four threads come and go with files and models.
    assert!(status("Threads:") <= threads + 4, "{} threads after {threads}", status("Threads:"));
    assert!(status("VmRSS:") < memory + 8 * 1024, "{} kB after {memory}", status("VmRSS:"));
}
