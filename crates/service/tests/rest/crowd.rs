//! The API while devices, or callers, want more than there is.
#![allow(clippy::disallowed_methods, reason = "how long the API takes is what is looked at")]

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Device, Message, Server, agreeable, eventually};

/// Registers by hand and gives an Update of that registration.
fn registered(server: &Server, socket: &UdpSocket, name: &str) -> Message {
    socket.connect(server.coap).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let queries = [format!("ep={name}"), "lt=600".to_owned(), "lwm2m=1.1".to_owned()];
    let mut options = vec![(11, b"rd".to_vec()), (12, vec![40])];
    options.extend(queries.iter().map(|query| (15, query.as_bytes().to_vec())));
    let register = Message { kind: 0, code: 2, id: 1, token: vec![1], options, payload: b"</3/0>".to_vec() };
    socket.send(&register.bytes()).unwrap();
    let mut buffer = [0; 256];
    let len = socket.recv(&mut buffer).unwrap();
    let created = Message::parse(&buffer[..len]);
    assert_eq!(created.code, 0x41, "2.01");
    let location = created.options.into_iter().filter(|(number, _)| *number == 8);
    let options = location.map(|(_, segment)| (11, segment)).collect();
    Message { kind: 0, code: 2, id: 1, token: vec![2], options, payload: Vec::new() }
}

const WINDOW: u32 = 32;

/// Tells the talkers to stop.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_api_answers_while_devices_send_all_they_can() {
    let server = Server::start();
    let _lamp = Device::register(&server, "lamp", agreeable());
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let worst = std::thread::scope(|scope| {
        for number in 0..2 {
            let (server, stop, answered) = (&server, &stop, &answered);
            scope.spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut update = registered(server, &socket, &format!("talker-{number}"));
                let mut buffer = [0; 256];
                while !stop.load(Ordering::Relaxed) {
                    // So many that there is always one to be served, and no more than the socket holds: nothing is lost.
                    for _ in 0..WINDOW {
                        update.id = update.id.wrapping_add(1);
                        socket.send(&update.bytes()).unwrap();
                    }
                    for _ in 0..WINDOW {
                        socket.recv(&mut buffer).unwrap();
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Also when something fails here: the scope waits for its threads.
        let _end = End(&stop);
        eventually(|| answered.load(Ordering::Relaxed) >= 1000);
        let mut worst = Duration::ZERO;
        for _ in 0..30 {
            for address in ["/api/v1/endpoints", "/api/v1/endpoints/lamp/resources/3/0/9?format=text", "/"] {
                let begin = Instant::now();
                assert_eq!(server.get(address).status, 200, "{address}");
                worst = worst.max(begin.elapsed());
            }
        }
        worst
    });
    assert!(answered.load(Ordering::Relaxed) > 1000, "devices were served, too");
    // Milliseconds as a rule; this bound is for machines that build something else meanwhile.
    assert!(worst < Duration::from_secs(5), "{worst:?}");
}

#[test]
fn more_requests_than_a_device_has_places_for_get_503_and_the_time_to_wait() {
    let server = Server::start();
    let _mute = Device::register(&server, "mute", Box::new(|_| None));
    let replies: Vec<_> = std::thread::scope(|scope| {
        let ask =
            |_| scope.spawn(|| server.get("/api/v1/endpoints/mute/resources/3/0/9?format=text&wait=3s"));
        let asked: Vec<_> = (0..160).map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (full, waited): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 503);
    assert!(!full.is_empty(), "more than the line of a device holds");
    for reply in &full {
        assert!(reply.head.to_ascii_lowercase().contains("retry-after: 1"), "{}", reply.head);
        assert_eq!(reply.problem(), "overloaded");
    }
    assert!(waited.iter().all(|reply| reply.status == 504), "the others have waited for the device");
    assert!(!waited.is_empty());
}
