//! Malformed and hostile input to our server, from raw sockets: what the corpus calls sections A, B, C, F and G.
//!
//! Each row: a fresh socket sends, the reaction must be one of those named, and afterwards a ping and a Register
//! from elsewhere are answered as ever. At the end all come again and again: the process neither grows nor gains a thread.

use super::{World, bad_blocks, bad_registrations, start};
use crate::lightship::Serve;
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, ACK, CON, LOCATION_PATH, Message, NON, RST, Socket, hex};
use std::net::SocketAddr;
use std::time::Duration;

/// How long to wait before silence counts as silence.
const SILENCE: Duration = Duration::from_millis(300);
/// How long a separate response may take after its empty acknowledgement, where none would do as well.
const SEPARATE: Duration = Duration::from_secs(3);
/// How long an answer may take that has to come.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// How often the whole corpus comes until it is measured, and once more until it is measured again.
const ROUNDS: usize = 100;
/// What an answer to a stranger may be longer than the question, as a factor (RFC 9175 §2.6 names three).
const AMPLIFICATION_MAX: usize = 3;
/// What a process may grow by over those rounds, some 13,000 messages, in KiB: an allocator's noise, not a leak a row.
const GROWTH_KIB_MAX: u64 = 256;

/// A row: its number in the corpus and name, its bytes, the reactions that are right.
pub(crate) type Row = (&'static str, Vec<u8>, &'static str);

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "bad-input/starts", || {
        // Full after the first rounds; from then on a leak cannot be taken for the trace that fills.
        let config = world.program.logs.join("bad-input.toml");
        std::fs::write(&config, "[trace]\nmemory_mb = 1\n").map_err(|error| error.to_string())?;
        Serve::start(&world.program, "serve-bad-input", &["--config", &config.to_string_lossy()])
    });
    let Some(serve) = started else { return };
    let target = Target { serve: &serve };
    let rows: Vec<Row> = messages()
        .into_iter()
        .chain(options())
        .chain(bad_blocks::rows())
        .chain(bad_registrations::rows())
        .collect();
    for (name, bytes, right) in &rows {
        report.case(&format!("bad-input/{name}"), || target.row(bytes, right));
    }
    report.case("bad-input/29-thousand-copies-have-one-answer", || target.thousand_copies());
    report.case("bad-input/30-same-id-other-content-is-a-copy", || target.other_content());
    report.case("bad-input/31-message-ids-wrap", || target.ids_wrap());
    bad_blocks::run(&target, report);
    bad_registrations::run(&target, report);
    report.case("bad-input/nothing-grows", || target.nothing_grows(&rows));
}

/// The server under test.
pub(crate) struct Target<'a> {
    pub(crate) serve: &'a Serve,
}

impl Target<'_> {
    /// Where it listens for devices.
    pub(crate) fn coap(&self) -> SocketAddr {
        self.serve.coap
    }

    fn row(&self, bytes: &[u8], right: &str) -> Check {
        let socket = Socket::open()?;
        let (found, length) = measured_reaction(&socket, self.coap(), &renumbered(bytes), right)?;
        let proportion = || format!("{} bytes of a stranger made an answer of {length}", bytes.len());
        holds(length <= AMPLIFICATION_MAX * bytes.len(), proportion)?;
        let accepted = right.split('|').any(|one| one == found);
        holds(accepted, || format!("expected {right}, found {found}"))?;
        self.still_serves()
    }

    /// A ping and a Register from a fresh socket work.
    pub(crate) fn still_serves(&self) -> Check {
        let mut socket = Socket::open()?;
        let ping = Message::new(CON, 0, socket.fresh_id(), &[]);
        socket.send(self.coap(), &ping.encode())?;
        let (pong, _) =
            socket.receive(ANSWER, |_| true).map_err(|error| format!("ping afterwards: {error}"))?;
        same("ping afterwards", &(pong.kind, pong.code, pong.id), &(RST, 0, ping.id))?;
        // Another one each time, since one that registers so often would have to wait.
        let location = self.register(&mut socket, &format!("still-serves-{}", wire::fresh_id()))?;
        let leave = socket.draft(wire::DELETE).path(&location);
        let answer = socket.request(self.coap(), &leave, ANSWER)?;
        same("De-register afterwards", &answer.code_text().as_str(), &"2.02")
    }

    /// A good Register; its location.
    pub(crate) fn register(&self, socket: &mut Socket, endpoint: &str) -> Result<String, String> {
        let register = good_register(socket, endpoint);
        let answer = socket.request(self.coap(), &register, ANSWER)?;
        same(&format!("Register of {endpoint}"), &answer.code_text().as_str(), &"2.01")?;
        Ok(answer.joined(LOCATION_PATH))
    }

    fn thousand_copies(&self) -> Check {
        let mut socket = Socket::open()?;
        let bytes = good_register(&mut socket, "copied").encode();
        let mut first = None;
        for copy in 0..1000 {
            socket.send(self.coap(), &bytes)?;
            let (answer, _) =
                socket.receive(ANSWER, |_| true).map_err(|error| format!("copy {copy}: {error}"))?;
            let expected = first.get_or_insert_with(|| answer.clone());
            same(&format!("answer to copy {copy}"), &answer, expected)?;
        }
        self.still_serves()
    }

    fn other_content(&self) -> Check {
        let mut socket = Socket::open()?;
        let first = good_register(&mut socket, "original");
        let mut second = good_register(&mut socket, "impostor");
        (second.id, second.token) = (first.id, first.token.clone());
        let answer = socket.request(self.coap(), &first, ANSWER)?;
        let again = socket.request(self.coap(), &second, ANSWER)?;
        same("answer", &again, &answer)?;
        let found = self.serve.rest.get("endpoints/impostor")?.status;
        same("REST status of the impostor", &found, &404)
    }

    fn ids_wrap(&self) -> Check {
        let mut socket = Socket::open()?;
        for id in [0xffff, 0] {
            let mut register = good_register(&mut socket, "wrapped");
            register.id = id;
            let answer = socket.request(self.coap(), &register, ANSWER)?;
            same("code", &answer.code_text().as_str(), &"2.01")?;
        }
        Ok(())
    }

    /// Sends every row again and again from one socket and compares the process before and after.
    fn nothing_grows(&self, rows: &[Row]) -> Check {
        let socket = Socket::open()?;
        self.rounds(&socket, rows)?;
        let before = self.serve.process.size()?;
        self.rounds(&socket, rows)?;
        self.serve.process.has_not_grown(before, GROWTH_KIB_MAX)
    }

    fn rounds(&self, socket: &Socket, rows: &[Row]) -> Check {
        for _ in 0..ROUNDS {
            for (_, bytes, _) in rows {
                socket.send(self.coap(), &renumbered(bytes))?;
            }
            has_read(socket, self.coap())?;
        }
        self.still_serves()
    }
}

/// Waits until what this socket sent has been read: by a ping, repeated since the queue may have had no room for it.
pub(crate) fn has_read(socket: &Socket, at: SocketAddr) -> Check {
    eventually(ANSWER, || {
        let ping = Message::new(CON, 0, wire::fresh_id(), &[]);
        socket.send(at, &ping.encode())?;
        socket.receive(Duration::from_secs(1), |pong| pong.kind == RST && pong.id == ping.id).map(drop)
    })
}

/// The same with a message ID of its own.
pub(crate) fn renumbered(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(id) = bytes.get_mut(2..4) {
        id.copy_from_slice(&wire::fresh_id().to_be_bytes());
    }
    bytes
}

/// A Register that nobody can refuse.
pub(crate) fn good_register(socket: &mut Socket, endpoint: &str) -> Message {
    socket
        .draft(wire::POST)
        .path("/rd")
        .number(wire::CONTENT_FORMAT, 40)
        .query(&format!("ep={endpoint}&lt=60&lwm2m=1.1&b=U"))
        .payload(b"</1/0>,</3/0>")
}

/// What comes back: `silent`, `rst`, `ack` (empty and nothing after it) or a code. Where the first or the third is not among what is
/// right, `|` between, an answer is waited for.
pub(crate) fn reaction(socket: &Socket, to: SocketAddr, bytes: &[u8], right: &str) -> Result<String, String> {
    Ok(measured_reaction(socket, to, bytes, right)?.0)
}

/// The same, and how many bytes the first answer has.
fn measured_reaction(
    socket: &Socket,
    to: SocketAddr,
    bytes: &[u8],
    right: &str,
) -> Result<(String, usize), String> {
    let until =
        |nothing: &str, limit| if right.split('|').any(|one| one == nothing) { limit } else { ANSWER };
    socket.send(to, bytes)?;
    let first = socket.receive_bytes(until("silent", SILENCE))?;
    let Some((answer, _)) = first else { return Ok(("silent".to_owned(), 0)) };
    let message = Message::decode(&answer).ok_or(format!("a malformed answer: {answer:02x?}"))?;
    let length = answer.len();
    match (message.kind, message.code) {
        (RST, 0) => Ok(("rst".to_owned(), length)),
        (ACK, 0) => match socket.receive_bytes(until("ack", SEPARATE))? {
            Some((separate, _)) => Message::decode(&separate)
                .map(|m| (m.code_text(), separate.len()))
                .ok_or("malformed".to_owned()),
            None => Ok(("ack".to_owned(), length)),
        },
        (CON | NON | ACK, code) if code >= 0x40 => Ok((message.code_text(), length)),
        _ => Err(format!("a strange answer: {message:?}")),
    }
}

/// Section A: the message layer.
pub(crate) fn messages() -> Vec<Row> {
    let row = |name, bytes: &str, right| (name, hex(bytes), right);
    let mut rows = vec![
        row("01-empty-datagram", "", "silent"),
        row("02-one-byte", "40", "silent"),
        row("03-three-bytes", "400100", "silent"),
        row("04-version-0", "00011234", "silent"),
        row("05-version-2", "80011234", "silent"),
        row("05-version-3", "c0011234", "silent"),
        row("06-token-length-9", "49011234aaaaaaaaaaaaaaaaaa", "rst|silent"),
        row("07-token-length-15", "4f011234aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "rst|silent"),
        row("08-token-cut", "48011234aabb", "rst|silent"),
        row("09-empty-with-token", "42001234aabb", "rst|silent"),
        row("10-empty-with-payload", "40001234ff31", "rst|silent"),
        row("11-ping", "40001234", "rst"),
        row("12-empty-non", "50001234", "silent"),
        row("13-stray-ack", "60001234", "silent"),
        row("14-stray-rst", "70001234", "silent"),
        row("15-ack-with-request", "60011234", "silent"),
        row("16-rst-with-code", "70451234", "silent"),
        row("17-code-class-1", "40201234", "rst|silent"),
        row("18-code-class-6", "40c01234", "rst|silent"),
        row("18-code-class-7", "40e01234", "rst|silent"),
        row("19-stray-con-response", "42451234aabbff31", "rst"),
        row("20-stray-non-response", "52451234aabbff31", "silent|rst"),
        row("21-delta-15", "42011234aabbf100", "rst|silent"),
        row("22-length-15", "42011234aabb3f00", "rst|silent"),
        row("23-length-byte-missing", "42011234aabbbd", "rst|silent"),
        row("24-length-65804", "42011234aabbbeffff33", "rst|silent"),
        row("25-option-number-overflow", "42011234aabbe0fef2e0fef2", "rst|silent"),
        row("26-marker-without-payload", "42011234aabbb133ff", "rst|silent"),
    ];
    let register =
        Message::new(CON, wire::POST, 0x1234, &[0xaa, 0xbb]).path("/rd").query("ep=ff&lt=60&lwm2m=1.1");
    let ff = register.clone().number(wire::CONTENT_FORMAT, 40).payload(&[0xff; 1300]);
    rows.push(("27-1300-bytes-of-ff", ff.encode(), "4.00"));
    let huge = register.number(wire::CONTENT_FORMAT, 40).payload(&vec![b'<'; 65_470]).encode();
    rows.push((
        "28-65507-byte-datagram",
        huge.into_iter().chain([b'<'; 64]).take(65_507).collect(),
        "4.13|4.00|silent|rst",
    ));
    rows
}

/// Section B: requests and options.
fn options() -> Vec<Row> {
    let row = |name, bytes: &str, right| (name, hex(bytes), right);
    let request = |method| Message::new(CON, method, 0x1234, &[0xaa, 0xbb]);
    let register = || {
        request(wire::POST)
            .path("/rd")
            .number(wire::CONTENT_FORMAT, 40)
            .query("ep=b&lt=60&lwm2m=1.1")
            .payload(b"</3/0>")
    };
    let many = |option: u16| (0..300).fold(request(wire::POST).path("/rd"), |m, _| m.option(option, b"a=b"));
    vec![
        row(
            "32-unknown-critical-option",
            "42021234aabbb2726411283465703d61056c743d3630096c776d326d3d312e31e106e578ff3c2f312f303e",
            "4.02",
        ),
        row("34-unknown-elective-option", "42011234aabbb13301300130e106ec78", "4.04|4.05"),
        row("35-unknown-critical-option-non", "52011234aabbb13301300130e106e978", "silent|rst"),
        row("36-proxy-uri", "42011234aabbd916636f61703a2f2f782f", "5.05"),
        row("37-proxy-scheme", "42011234aabbd41a636f6170", "5.05"),
        row("38-uri-host-of-0-bytes", "42011234aabb308133", "4.02"),
        row("39-uri-port-of-3-bytes", "42011234aabb730102034133", "4.02"),
        row("40-accept-of-3-bytes", "42011234aabbb133013063000028", "4.02"),
        row("41-accept-twice", "42011234aabbb1330130616e0170", "4.02"),
        row("42-content-format-of-3-bytes", "42031234aabbb133013002313413000000ff78", "4.15|4.00|4.04|4.05"),
        ("43-content-format-twice", register().number(wire::CONTENT_FORMAT, 0).encode(), "2.01|4.00"),
        row("44-accept-with-leading-zeros", "42011234aabbb133013062006e", "4.04|4.05"),
        (
            "45-path-segment-of-256-bytes",
            request(wire::GET).option(wire::URI_PATH, &[b'a'; 256]).encode(),
            "4.02|4.04|rst",
        ),
        ("46-300-path-segments", many(wire::URI_PATH).encode(), "4.04|4.00|4.13|4.05"),
        ("47-300-queries", many(wire::URI_QUERY).encode(), "4.00"),
        row("48-path-not-utf8", "42011234aabbb2fffe", "4.04|4.00"),
        row("49-path-with-dots", "42011234aabbb22e2e027264", "4.04"),
        row("50-path-with-nul-and-slash", "42011234aabbb4332f3000", "4.04"),
        row("51-method-31", "421f1234aabbb133", "4.05"),
        row("51-method-31-on-rd", "421f1234aabbb27264", "4.05"),
        row("52-if-none-match", "42031234aabb506133013002313410ff78", "4.02"),
        row("53-oscore-without-context", "42021234aabb9109ff00", "4.02"),
        row("54-oscore-reserved-bits", "42021234aabb91e0ff00", "4.02"),
        ("55-echo-of-0-bytes", register().option(252, b"").encode(), "2.01"),
        ("55-echo-of-41-bytes", register().option(252, &[7; 41]).encode(), "2.01"),
        ("56-no-response", register().option(258, &[26]).encode(), "2.01|silent|ack"),
    ]
}
