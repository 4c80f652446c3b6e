//! Section C: block-wise transfers that go wrong, towards our server and from a device it asks.

use super::bad_input::{ANSWER, Row, Target};
use crate::lightship::Serve;
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, ACK, BLOCK1, BLOCK2, CON, Message, Socket};
use std::time::{Duration, Instant};

/// Half-finished transfers that strangers leave behind.
const STRANGERS: usize = 200;

fn register(block: u32, payload: &[u8]) -> Message {
    draft(block).payload(payload)
}

fn draft(block: u32) -> Message {
    Message::new(CON, wire::POST, 0x1234, &[0xaa, 0xbb])
        .path("/rd")
        .number(wire::CONTENT_FORMAT, 40)
        .query("ep=blocks&lt=60&lwm2m=1.1")
        .number(BLOCK1, block)
}

/// The value of a Block option.
fn block(number: u32, more: bool, size_exponent: u32) -> u32 {
    (number << 4) | (u32::from(more) << 3) | size_exponent
}

/// Rows of one message each.
pub(crate) fn rows() -> Vec<Row> {
    let known = || Message::new(CON, wire::GET, 0x1234, &[0xaa, 0xbb]).path("/.well-known/core");
    vec![
        ("57-block1-szx-7", register(7, b"x").encode(), "4.00|4.02"),
        ("58-block1-number-5-first", register(block(5, true, 0), &[b'x'; 16]).encode(), "4.08"),
        ("61-block1-shorter-than-its-size", register(block(0, true, 2), b"xxxxx").encode(), "4.00|4.08"),
        ("62-block1-longer-than-its-size", register(block(0, true, 0), &[b'x'; 22]).encode(), "4.00"),
        ("63-block1-of-4-bytes", draft(0).option(BLOCK1, &[0, 0, 0, 0]).payload(b"x").encode(), "4.02"),
        ("64-block1-number-1048575", register(block(1_048_575, true, 0), &[b'x'; 16]).encode(), "4.08|4.13"),
        (
            "66-size1-of-4-gib",
            register(block(0, true, 0), &[b'x'; 16]).number(wire::SIZE1, u32::MAX).encode(),
            "4.13",
        ),
        (
            "69-block2-beyond-the-end",
            known().number(BLOCK2, block(999, false, 6)).encode(),
            "4.00|4.02|4.04|2.05",
        ),
        ("70-block2-szx-7", known().number(BLOCK2, 7).encode(), "4.00|4.04|2.05"),
    ]
}

/// Rows of several messages.
pub(crate) fn run(target: &Target<'_>, report: &mut Report) {
    report.case("bad-input/59-block-missing-in-between", || {
        let mut socket = Socket::open()?;
        let first = send(target, &mut socket, "gap", block(0, true, 0), &[b'x'; 16])?;
        same("block 0", &first.as_str(), &"2.31")?;
        same("block 2", &send(target, &mut socket, "gap", block(2, true, 0), &[b'x'; 16])?.as_str(), &"4.08")
    });
    report.case("bad-input/60-first-block-twice-restarts", || {
        let mut socket = Socket::open()?;
        for payload in [b"</9/0>,</9/1>,</", b"</3/0>,</1/0>,</"] {
            same(
                "block 0",
                &send(target, &mut socket, "restart", block(0, true, 0), payload)?.as_str(),
                &"2.31",
            )?;
        }
        same(
            "block 1",
            &send(target, &mut socket, "restart", block(1, false, 0), b"4/0>")?.as_str(),
            &"2.01",
        )?;
        let objects = target.serve.registered("restart", Duration::ZERO)?["objects"].to_string();
        holds(objects.contains("/4/0") && !objects.contains("/9/"), || objects)
    });
    report.case("bad-input/65-format-changes-inside", || {
        let mut socket = Socket::open()?;
        send(target, &mut socket, "format", block(0, true, 0), &[b'x'; 16])?;
        let mut second = socket.draft(wire::POST).path("/rd").number(wire::CONTENT_FORMAT, 0);
        second = second.query("ep=format&lt=60&lwm2m=1.1").number(BLOCK1, block(1, false, 0)).payload(b"x");
        let code = socket.request(target.coap(), &second, ANSWER)?.code_text();
        holds(code == "4.08" || code == "4.00" || code == "4.15", || {
            format!("expected 4.08 or 4.00, found {code}")
        })
    });
    report.case("bad-input/67-half-finished-registers-from-200-ports", || {
        let mut strangers = Vec::new();
        for number in 0..STRANGERS {
            let mut socket = Socket::open()?;
            let endpoint = format!("half-{number}");
            let first = part(&mut socket, &endpoint, block(0, true, 0), b"</3/0>,</1/0>,</");
            socket.send(target.coap(), &first.encode())?;
            strangers.push(socket);
        }
        target.still_serves()
    });
    for (name, answer) in [
        ("72-read-answered-with-blocks-for-ever", Liar::Endless),
        ("73-block-1-answered-with-block-0", Liar::Stuck),
        ("74-write-refused-with-a-larger-block", Liar::Larger),
    ] {
        report.case(&format!("bad-input/{name}"), || answer.meets(target.serve));
    }
}

fn part(socket: &mut Socket, endpoint: &str, block: u32, payload: &[u8]) -> Message {
    let query = format!("ep={endpoint}&lt=60&lwm2m=1.1");
    socket
        .draft(wire::POST)
        .path("/rd")
        .number(wire::CONTENT_FORMAT, 40)
        .query(&query)
        .number(BLOCK1, block)
        .payload(payload)
}

fn send(
    target: &Target<'_>,
    socket: &mut Socket,
    endpoint: &str,
    block: u32,
    payload: &[u8],
) -> Result<String, String> {
    let message = part(socket, endpoint, block, payload);
    Ok(socket.request(target.coap(), &message, ANSWER)?.code_text())
}

/// A registered device that answers block-wise requests in bad faith.
#[derive(Clone, Copy)]
enum Liar {
    Endless,
    Stuck,
    Larger,
}

impl Liar {
    /// Asks the server to read from (or write to) the liar: the request must fail, soon, and once.
    fn meets(self, serve: &Serve) -> Check {
        let mut socket = Socket::open()?;
        let target = Target { serve };
        target.register(&mut socket, "liar")?;
        let began = Instant::now();
        let (sender, result) = std::sync::mpsc::sync_channel(1);
        let rest = &serve.rest;
        let answer = std::thread::scope(|scope| {
            scope.spawn(move || {
                let path = "endpoints/liar/resources/3/0/14";
                let large = serde_json::json!({"value": "x".repeat(3000)});
                let answer = match self {
                    Self::Endless | Self::Stuck => rest.get(path),
                    Self::Larger => rest.send("PUT", path, Some(&large)),
                };
                sender.send(answer).map_err(|_| "nobody waits")
            });
            loop {
                if let Ok(answer) = result.try_recv() {
                    return answer;
                }
                if let Some((bytes, from)) = socket.receive_bytes(Duration::from_millis(20))?
                    && let Some(request) = Message::decode(&bytes)
                    && request.code != 0
                {
                    socket.send(from, &self.answer(&request).encode())?;
                }
            }
        })?;
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        holds(answer.status != 200 || code.starts_with('4'), || {
            format!("reported as {} {}", answer.status, answer.body)
        })?;
        holds(began.elapsed() < Duration::from_secs(45), || format!("took {:?}", began.elapsed()))?;
        target.still_serves()
    }

    fn answer(self, request: &Message) -> Message {
        let content = Message::new(ACK, 0x45, request.id, &request.token).number(wire::CONTENT_FORMAT, 0);
        let asked = request.first_number(BLOCK2).map_or(0, |value| value >> 4);
        match self {
            Self::Endless => content.number(BLOCK2, block(asked, true, 6)).payload(&[b'x'; 1024]),
            Self::Stuck => content.number(BLOCK2, block(0, true, 2)).payload(&[b'x'; 64]),
            Self::Larger => {
                let number = request.first_number(BLOCK1).map_or(0, |value| value >> 4);
                Message::new(ACK, 0x8d, request.id, &request.token).number(BLOCK1, block(number, true, 6))
            }
        }
    }
}
