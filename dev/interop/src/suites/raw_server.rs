//! A server of a few lines, for what no library would send to our device.

use super::bad_input::{self, Row, has_read, reaction, renumbered};
use super::{World, start};
use crate::lightship::Device;
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, ACK, BLOCK1, CON, LOCATION_PATH, Message, NON, RST, Socket, hex};
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// Observe requests with new tokens on one path.
const OBSERVERS: usize = 1000;
/// How often everything comes again until it is measured, and once more until it is measured again.
const ROUNDS: usize = 50;
/// What the device may grow by while everything comes again, often, in KiB.
const GROWTH_KIB_MAX: u64 = 256;

/// A registered device and the socket it takes orders from.
pub(crate) struct RawServer {
    pub(crate) socket: Socket,
    pub(crate) device: SocketAddr,
    pub(crate) process: Device,
}

impl RawServer {
    /// Starts our device and grants its registration.
    pub(crate) fn start(world: &World, endpoint: &str) -> Result<Self, String> {
        Self::start_with(world, endpoint, &[])
    }

    /// The same with flags for the device.
    pub(crate) fn start_with(world: &World, endpoint: &str, flags: &[&str]) -> Result<Self, String> {
        Self::start_from(Socket::open()?, world, endpoint, flags)
    }

    /// The same with a socket that is there already.
    pub(crate) fn start_from(
        socket: Socket,
        world: &World,
        endpoint: &str,
        flags: &[&str],
    ) -> Result<Self, String> {
        let uri = format!("coap://{}", socket.address());
        let more: Vec<&str> = ["--lifetime", "86400"].into_iter().chain(flags.iter().copied()).collect();
        let mut process = Device::start(&world.program, &uri, endpoint, &more)?;
        let (register, device) = socket.receive(SOON, |message| message.code == wire::POST)?;
        same("path", &register.joined(wire::URI_PATH).as_str(), &"/rd")?;
        let created = Message::new(ACK, 0x41, register.id, &register.token);
        socket.send(device, &created.option(LOCATION_PATH, b"rd").option(LOCATION_PATH, b"1").encode())?;
        process.event("registered", SOON)?;
        Ok(Self { socket, device, process })
    }

    fn ask(&mut self, message: &Message) -> Result<Message, String> {
        self.socket.request(self.device, message, SOON)
    }

    fn still_serves(&mut self) -> Check {
        let read = self.socket.draft(wire::GET).path("/3/0/0").number(wire::ACCEPT, 0);
        let answer = self.ask(&read).map_err(|error| format!("Read afterwards: {error}"))?;
        same("Read afterwards", &answer.code_text().as_str(), &"2.05")
    }

    /// One row.
    fn row(&mut self, bytes: &[u8], right: &str) -> Check {
        while self.socket.receive_bytes(Duration::from_millis(1))?.is_some() {}
        let found = reaction(&self.socket, self.device, &renumbered(bytes), right)?;
        holds(right.split('|').any(|one| one == found), || format!("expected {right}, found {found}"))?;
        self.still_serves()
    }
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "bad-input-device/registers", || RawServer::start(world, "for-bad-input"));
    let Some(mut server) = started else { return };
    let rows: Vec<Row> = bad_input::messages()
        .into_iter()
        .filter(|(name, ..)| !name.starts_with("2"))
        .chain(requests())
        .chain(operations())
        .chain(targets())
        .chain(blocks())
        .chain(observes())
        .collect();
    for (name, bytes, right) in &rows {
        report.case(&format!("bad-input-device/{name}"), || server.row(bytes, right));
    }
    report.case("bad-input-device/79-observe-with-new-tokens", || server.many_observers());
    report.case("bad-input-device/object-links-name-what-is-there", || server.object_links());
    report.case("bad-input-device/updates-from-the-port-it-registered-from", || server.update_port());
    report.case("bad-input-device/80-cancel-of-nothing", || {
        let cancel = server.socket.draft(wire::GET).number(wire::OBSERVE, 1).path("/3303/0/5700");
        let answer = server.ask(&cancel)?;
        same("code", &answer.code_text().as_str(), &"2.05")?;
        holds(answer.first(wire::OBSERVE).is_none(), || "the answer carries Observe".to_owned())
    });
    report.case("bad-input-device/189-orders-from-a-stranger", || {
        let mut stranger = Socket::open()?;
        let read = stranger.draft(wire::GET).path("/3/0/0");
        match stranger.request(server.device, &read, Duration::from_secs(1)) {
            Ok(answer) => holds(answer.code >> 5 != 2, || format!("a stranger got {}", answer.code_text())),
            Err(_) => Ok(()),
        }
    });
    report.case("bad-input-device/190-orders-before-the-registration", || before_registration(world));
    report.case("bad-input-device/191-megabyte-into-a-string", || server.megabyte());
    report.case("bad-input-device/192-locked-out-by-writes", || server.locked_out());
    report.case("bad-input-device/nothing-grows", || server.nothing_grows(&rows));
}

impl RawServer {
    /// Sends every row again and again. What it takes to hold all that they may leave behind, it has taken after the first rounds.
    fn nothing_grows(&mut self, rows: &[Row]) -> Check {
        self.rounds(rows)?;
        let before = self.process.process.size()?;
        self.rounds(rows)?;
        self.process.process.has_not_grown(before, GROWTH_KIB_MAX)
    }

    fn rounds(&mut self, rows: &[Row]) -> Check {
        for _ in 0..ROUNDS {
            for (_, bytes, _) in rows {
                self.socket.send(self.device, &renumbered(bytes))?;
            }
            has_read(&self.socket, self.device)?;
        }
        self.still_serves()
    }

    // Proves: DMO-17
    fn object_links(&mut self) -> Check {
        for (link, code) in [
            ("3303:0", "2.04"),
            ("3303:65535", "2.04"),
            ("65535:65535", "2.04"),
            ("3303:77", "4.00"),
            ("999:65535", "4.00"),
        ] {
            let write = self.socket.draft(wire::PUT).path("/3442/0/170").number(wire::CONTENT_FORMAT, 0);
            let answer = self.ask(&write.payload(link.as_bytes()))?;
            same(&format!("writing {link}"), &answer.code_text().as_str(), &code)?;
        }
        Ok(())
    }

    /// A string of a megabyte in blocks: taken whole, or refused as too large; and no half of it stays.
    fn megabyte(&mut self) -> Check {
        const BLOCKS: u32 = 1024;
        for number in 0..BLOCKS {
            let more = number + 1 < BLOCKS;
            let block = (number << 4) | (u32::from(more) << 3) | 6;
            let write = self.socket.draft(wire::PUT).path("/3442/0/110").number(wire::CONTENT_FORMAT, 0);
            let answer = self.ask(&write.number(BLOCK1, block).payload(&[b'm'; 1024]))?;
            match answer.code_text().as_str() {
                "2.31" if more => {}
                "2.04" if !more => {}
                "4.13" => break,
                other => return Err(format!("block {number}: {other}")),
            }
        }
        let write = self.socket.draft(wire::PUT).path("/3442/0/110").number(wire::CONTENT_FORMAT, 0);
        same("a short value afterwards", &self.ask(&write.payload(b"x"))?.code_text().as_str(), &"2.04")?;
        self.still_serves()
    }

    /// Writes that would shut the server out are refused, or the device finds a way back.
    fn locked_out(&mut self) -> Check {
        for (path, value, right) in
            [("/1/0/7", "S", "2.04|4.00"), ("/1/0/1", "0", "2.04|4.00"), ("/1/0/1", "86400", "2.04")]
        {
            let write = self.socket.draft(wire::PUT).path(path).number(wire::CONTENT_FORMAT, 0);
            let answer = self.ask(&write.payload(value.as_bytes()))?;
            let code = answer.code_text();
            holds(right.split('|').any(|one| one == code), || format!("{path} = {value}: {code}"))?;
            // What it tells of it is granted.
            self.grant_updates(Duration::from_millis(300))?;
        }
        // And what came late, before the one that it is told to send.
        self.process.obey("update")?;
        let (update, from) = self.socket.receive(SOON, |message| message.code == wire::POST)?;
        self.grant(&update, from)?;
        self.grant_updates(Duration::from_millis(300))?;
        self.still_serves()
    }

    fn grant(&self, update: &Message, from: SocketAddr) -> Check {
        self.socket.send(from, &Message::new(ACK, 0x44, update.id, &update.token).encode())
    }

    /// Grants Updates until none comes for so long.
    fn grant_updates(&self, silence: Duration) -> Check {
        while let Ok((update, from)) = self.socket.receive(silence, |message| message.code == wire::POST) {
            self.grant(&update, from)?;
        }
        Ok(())
    }

    fn update_port(&mut self) -> Check {
        self.process.obey("update")?;
        let (update, from) = self.socket.receive(SOON, |message| message.code == wire::POST)?;
        self.grant(&update, from)?;
        same("the device's address", &from, &self.device)
    }

    fn many_observers(&mut self) -> Check {
        for _ in 0..OBSERVERS {
            let observe = self.socket.draft(wire::GET).number(wire::OBSERVE, 0).path("/3303/0/5700");
            let answer = self.ask(&observe)?;
            let fine = answer.code == 0x45 || answer.code >= 0x80;
            holds(fine && answer.kind != RST, || format!("an observer got {}", answer.code_text()))?;
        }
        self.process.obey("set /3303/0/5700 33.5")?;
        let mut notified = 0;
        while let Ok((message, from)) = self.socket.receive(Duration::from_secs(2), |m| m.code == 0x45) {
            notified += 1;
            if message.kind != NON {
                self.socket.send(from, &Message::new(RST, 0, message.id, &[]).encode())?;
            }
            holds(notified < OBSERVERS, || "every observer was kept".to_owned())?;
        }
        self.still_serves()
    }
}

/// A device that nobody has registered yet serves nobody.
fn before_registration(world: &World) -> Check {
    let mut socket = Socket::open()?;
    let uri = format!("coap://{}", socket.address());
    let _device = Device::start(&world.program, &uri, "too-early", &[])?;
    let (_, device) = socket.receive(SOON, |message| message.code == wire::POST)?;
    let read = socket.draft(wire::GET).path("/3/0/0");
    match socket.request(device, &read, Duration::from_secs(1)) {
        Ok(answer) => holds(answer.code >> 5 != 2, || format!("it answers {}", answer.code_text())),
        Err(_) => Ok(()),
    }
}

fn requests() -> Vec<Row> {
    let row = |name, bytes: &str, right| (name, hex(bytes), right);
    vec![
        row("33-unknown-critical-option", "42011234aabbb13301300130e106e978", "4.02"),
        row("34-unknown-elective-option", "42011234aabbb13301300130e106ec78", "2.05"),
        row("35-unknown-critical-option-non", "52011234aabbb13301300130e106e978", "silent|rst"),
        row("36-proxy-uri", "42011234aabbd916636f61703a2f2f782f", "5.05"),
        row("37-proxy-scheme", "42011234aabbd41a636f6170", "5.05"),
        row("38-uri-host-of-0-bytes", "42011234aabb308133", "4.02"),
        row("39-uri-port-of-3-bytes", "42011234aabb730102034133", "4.02"),
        row("40-accept-of-3-bytes", "42011234aabbb133013063000028", "4.02"),
        row("41-accept-twice", "42011234aabbb1330130616e0170", "4.02"),
        row("42-content-format-of-3-bytes", "42031234aabbb133013002313413000000ff78", "4.15|4.00"),
        row("44-accept-with-leading-zeros", "42011234aabbb133013062006e", "2.05"),
        row("48-path-not-utf8", "42011234aabbb2fffe", "4.04|4.00"),
        row("49-path-with-dots", "42011234aabbb22e2e027264", "4.04|4.00"),
        row("50-path-with-nul-and-slash", "42011234aabbb4332f3000", "4.04|4.00"),
        row("51-method-31", "421f1234aabbb133", "4.05"),
        row("52-if-none-match", "42031234aabb506133013002313410ff78", "4.02"),
        row("53-oscore-without-context", "42021234aabb9109ff00", "4.02"),
        row("169-five-segments", "42011234aabbb1330130013001300130", "4.00|4.04|4.05"),
        row("170-instance-65536", "42011234aabbb536353533360130", "4.00|4.04|4.05"),
        row("171-path-03", "42011234aabbb230330130", "4.00|4.04|4.05"),
        row("173-security-object", "42011234aabbb130", "4.01"),
        row("174-write-read-only", "42031234aabbb1330130013010ff78", "4.05"),
        row("176-write-without-format", "42031234aabbb133013002 3134ff78", "4.15|4.00|2.04"),
        row("177-write-format-65000", "42031234aabbb133013002313412fde8ff78", "4.15"),
        row("178-accept-65000", "42011234aabbb133013062fde8", "4.06"),
        row("179-execute-arguments-broken", "42021234aabbb1330130013410ff303d2761", "4.00"),
        row("180-create-device", "42021234aabbb133122d16", "4.05|4.00"),
        row("181-delete-device", "42041234aabbb1330130", "4.05"),
        row("181-delete-object", "42041234aabbb133", "4.05|4.00|4.04"),
        row("181-delete-root", "42041234aabb", "4.05|4.00|4.04"),
        row("181-delete-resource", "42041234aabbb13301300130", "4.05|4.00"),
        row("185-pmin-negative", "42031234aabbb133013047706d696e3d2d31", "4.00"),
        row("186-lt-above-gt", "42031234aabbb13301300139446c743d350467743d31", "4.00"),
        row("187-gt-infinite", "42031234aabbb133013001394667743d696e66", "4.00"),
    ]
}

/// What a message says that is well made, and should not.
fn operations() -> Vec<Row> {
    let request = |method| Message::new(CON, method, 0x1234, &[0xaa, 0xbb]);
    let many = |option: u16| (0..300).fold(request(wire::GET).path("/3/0"), |m, _| m.option(option, b"a=b"));
    vec![
        (
            "43-content-format-twice",
            request(wire::PUT)
                .path("/3442/0/110")
                .number(wire::CONTENT_FORMAT, 0)
                .number(wire::CONTENT_FORMAT, 110)
                .payload(b"x")
                .encode(),
            "2.04|4.00",
        ),
        (
            "45-path-segment-of-256-bytes",
            request(wire::GET).option(wire::URI_PATH, &[b'3'; 256]).encode(),
            "4.02|4.04|4.00|rst",
        ),
        ("46-300-path-segments", many(wire::URI_PATH).encode(), "4.04|4.00|4.13|4.05"),
        ("47-300-queries", many(wire::URI_QUERY).encode(), "4.00|4.02"),
        ("54-oscore-reserved-bits", hex("42021234aabb91e0ff00"), "4.02"),
        ("55-echo-of-0-bytes", request(wire::GET).path("/3/0/0").option(252, b"").encode(), "2.05"),
        ("55-echo-of-41-bytes", request(wire::GET).path("/3/0/0").option(252, &[7; 41]).encode(), "2.05"),
        ("75-observe-with-an-empty-token", hex("4001123460513301300139"), "2.05|4.00"),
        (
            "78-observe-on-put",
            request(wire::PUT)
                .path("/3442/0/110")
                .number(wire::OBSERVE, 0)
                .number(wire::CONTENT_FORMAT, 0)
                .payload(b"x")
                .encode(),
            "2.04",
        ),
    ]
}

/// The same of paths, arguments and attributes.
fn targets() -> Vec<Row> {
    let request = |method| Message::new(CON, method, 0x1234, &[0xaa, 0xbb]);
    let read = |path: &str| request(wire::GET).path(path).encode();
    let text = |method, path: &str, value: &[u8]| {
        request(method).path(path).number(wire::CONTENT_FORMAT, 0).payload(value).encode()
    };
    let json = |method, path: &str, value: &str| {
        request(method).path(path).number(wire::CONTENT_FORMAT, 110).payload(value.as_bytes()).encode()
    };
    let attributes = |path: &str, query: &str| request(wire::PUT).path(path).query(query).encode();
    let argument = |value: &[u8]| text(wire::POST, "/3442/0/3", value);
    let missing = "4.00|4.04|4.05";
    vec![
        ("170-instance-65535", read("/3/65535"), missing),
        ("170-object-99999999999", read("/99999999999/0"), missing),
        ("171-path-plus-3", read("/+3/0"), missing),
        ("171-path-blank-3", read("/ 3"), missing),
        ("171-path-0x0", read("/3/0x0"), missing),
        ("172-empty-segments", hex("42011234aabbb1330000"), "2.05|4.00|4.04|4.05"),
        ("173-oscore-object", read("/21"), "4.01"),
        ("175-write-short-server-id", text(wire::PUT, "/1/0/0", b"123"), "4.05"),
        ("179-argument-of-two-digits", argument(b"10"), "4.00"),
        ("179-argument-without-quotes", argument(b"0=a"), "4.00"),
        ("179-argument-twice", argument(b"0,0"), "4.00"),
        (
            "182-create-without-mandatory-resources",
            json(wire::POST, "/16", r#"[{"bn":"/16/7/","n":"3","v":1}]"#),
            "4.00",
        ),
        (
            "183-create-of-two-the-second-incomplete",
            json(wire::POST, "/16", r#"[{"n":"/16/7/0/0","vs":"a"},{"n":"/16/8/3","v":1}]"#),
            "4.00",
        ),
        ("183-the-first-was-not-made", read("/16/7"), "4.04"),
        (
            "184-create-of-instance-65535",
            json(wire::POST, "/3442", r#"[{"n":"/3442/65535/110","vs":"a"}]"#),
            "4.00",
        ),
        ("185-pmin-beyond-everything", attributes("/3/0", "pmin=1e9999"), "4.00"),
        ("185-pmin-twice", attributes("/3/0", "pmin=1&pmin=2"), "4.00"),
        ("186-step-too-wide", attributes("/3303/0/5700", "lt=1&gt=2&st=1"), "4.00"),
        ("187-step-no-number", attributes("/3303/0/5700", "st=NaN"), "4.00"),
        (
            "188-depth-99",
            request(wire::GET).path("/3").query("depth=99").number(wire::ACCEPT, 40).encode(),
            "4.00|2.05",
        ),
        (
            "188-depth-below-0",
            request(wire::GET).path("/3").query("depth=-1").number(wire::ACCEPT, 40).encode(),
            "4.00|2.05",
        ),
    ]
}

fn blocks() -> Vec<Row> {
    let row = |name, bytes: &str, right| (name, hex(bytes), right);
    let write = Message::new(CON, wire::PUT, 0x1234, &[0xaa, 0xbb])
        .path("/3442/0/110")
        .number(wire::CONTENT_FORMAT, 0);
    vec![
        row("57-block1-szx-7", "42031234aabbb133013002313410d10207ff78", "4.00|4.02"),
        (
            "58-block1-number-5-first",
            write.clone().number(BLOCK1, 0x58).payload(&[b'x'; 16]).encode(),
            "4.08",
        ),
        (
            "61-block1-shorter-than-its-size",
            write.clone().number(BLOCK1, 0x0a).payload(b"xxxxx").encode(),
            "4.00|4.08",
        ),
        (
            "62-block1-longer-than-its-size",
            write.clone().number(BLOCK1, 0x08).payload(&[b'x'; 22]).encode(),
            "4.00",
        ),
        ("63-block1-of-4-bytes", write.clone().option(BLOCK1, &[0; 4]).payload(b"x").encode(), "4.02"),
        (
            "64-block1-number-1048575",
            write.clone().number(BLOCK1, 0xff_fff8).payload(&[b'x'; 16]).encode(),
            "4.08|4.13",
        ),
        (
            "66-size1-of-4-gib",
            write.number(BLOCK1, 0x08).number(wire::SIZE1, u32::MAX).payload(&[b'x'; 16]).encode(),
            "4.13",
        ),
        row("69-block2-beyond-the-end", "42011234aabbb1330130c3013886", "4.00|4.02|2.05"),
        row("70-block2-szx-7", "42011234aabbb1330130c107", "4.00|2.05"),
    ]
}

fn observes() -> Vec<Row> {
    let row = |name, bytes: &str, right| (name, hex(bytes), right);
    vec![
        row("76-observe-2", "42011234aabb6102513301300139", "2.05|4.00"),
        row("77-observe-of-4-bytes", "42011234aabb6400000000513301300139", "2.05"),
    ]
}
