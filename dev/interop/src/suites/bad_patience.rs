//! Rows of the corpus that take patience, or two things at once: 68, 71, 298 and 326.

use super::raw_server::RawServer;
use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::process::pause;
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, ACCEPT, ACK, BLOCK1, BLOCK2, CON, ETAG, GET, Message, POST, Socket};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// EXCHANGE_LIFETIME of RFC 7252 §4.8.2, and a little.
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247 + 8);
/// Processor time that a device without a server may take in six seconds, in hundredths of a second.
const IDLE_TICKS_MAX: u64 = 50;

/// Runs the suite; it waits more than it works.
pub(crate) fn run(world: &World, report: &mut Report) {
    report.case("bad-input-patience/71-value-changes-between-two-blocks", || changes_between_blocks(world));
    for (name, uri) in [("closed-port", "coap://127.0.0.1:9"), ("no-such-host", "coap://nobody.invalid:5683")]
    {
        report.case(&format!("bad-input-patience/326-{name}"), || {
            retries_without_haste(world, name, uri).map(drop)
        });
    }
    report.case("bad-input-patience/326-silent-server", || {
        let silent = Socket::open()?;
        let uri = format!("coap://{}", silent.address());
        let _device = retries_without_haste(world, "silent-server", &uri)?;
        let mut came = 0;
        while silent.receive_bytes(Duration::from_millis(1))?.is_some() {
            came += 1;
        }
        holds((1..=4).contains(&came), || format!("{came} datagrams in six seconds"))
    });
    let began = Instant::now();
    let server = start(report, "bad-input-patience/68-register-begins", || {
        let serve = Serve::start(&world.program, "serve-patience", &[])?;
        let mut socket = Socket::open()?;
        let code = block(&mut socket, &serve, 0)?;
        same("first block", &code.as_str(), &"2.31")?;
        Ok((serve, socket))
    });
    let device = start(report, "bad-input-patience/298-bootstrap-begins", || bootstrap_without_end(world));
    pause(EXCHANGE_LIFETIME.saturating_sub(began.elapsed()));
    if let Some((serve, mut socket)) = server {
        report.case("bad-input-patience/68-last-block-never-came", || {
            // What was begun is forgotten: its next block continues nothing.
            same("second block", &block(&mut socket, &serve, 1)?.as_str(), &"4.08")
        });
    }
    if let Some(mut device) = device {
        report.case("bad-input-patience/298-no-finish-is-a-failure", || {
            device.event("bootstrap_failed", SOON * 3).map(drop)
        });
    }
}

/// A block of a Register in blocks of 16 bytes, none of which is the last; the code of the answer.
fn block(socket: &mut Socket, serve: &Serve, number: u32) -> Result<String, String> {
    let id = wire::fresh_id();
    let request = Message::new(CON, POST, id, &id.to_be_bytes())
        .path("/rd")
        .number(wire::CONTENT_FORMAT, 40)
        .query("ep=patience&lt=60&lwm2m=1.1&b=U")
        .number(BLOCK1, (number << 4) | 8)
        .payload(b"</1/0>,</3/0>,</");
    Ok(socket.request(serve.coap, &request, SOON)?.code_text())
}

/// A Bootstrap-Server that begins and never finishes.
fn bootstrap_without_end(world: &World) -> Result<Device, String> {
    let mut socket = Socket::open()?;
    let mut command = world.program.command();
    command.args([
        "device",
        "--endpoint",
        "without-end",
        "--bootstrap",
        &format!("coap://{}", socket.address()),
    ]);
    let device = Device::from_command(&world.program, "without-end", command)?;
    let (request, from) = socket.receive(SOON, |message| message.code == POST)?;
    same("path", &request.joined(wire::URI_PATH).as_str(), &"/bs")?;
    socket.send(from, &Message::new(ACK, 0x44, request.id, &request.token).encode())?;
    let delete = socket.draft(wire::DELETE).path("/1");
    let answer = socket.request(from, &delete, SOON)?;
    same("answer to a Delete", &answer.code_text().as_str(), &"2.02")?;
    Ok(device)
}

fn changes_between_blocks(world: &World) -> Check {
    let mut server = RawServer::start(world, "between-blocks")?;
    server.process.obey(&format!("set /3442/0/110 {}", "a".repeat(600)))?;
    let get = |socket: &mut Socket, number: u32| {
        let id = wire::fresh_id();
        let request = Message::new(CON, GET, id, &id.to_be_bytes()).path("/3442/0/110").number(ACCEPT, 0);
        socket.request(server.device, &request.number(BLOCK2, (number << 4) | 2), SOON)
    };
    let first = get(&mut server.socket, 0)?;
    same("first block", &first.payload.as_slice(), &[b'a'; 64].as_slice())?;
    server.process.obey(&format!("set /3442/0/110 {}", "b".repeat(600)))?;
    let second = get(&mut server.socket, 1)?;
    let snapshot = second.payload.iter().all(|&byte| byte == b'a');
    let told = second.first(ETAG) != first.first(ETAG);
    holds(second.code != 0x45 || snapshot || told, || format!("a silent mixture: {first:?} then {second:?}"))
}

/// A device whose server cannot be reached: it tries again and takes next to no time of the processor.
fn retries_without_haste(world: &World, name: &str, uri: &str) -> Result<Device, String> {
    let mut device = Device::start(&world.program, uri, &format!("unreached-{name}"), &[])?;
    pause(Duration::from_secs(6));
    holds(device.process.alive(), || "it ended".to_owned())?;
    let ticks = device.process.ticks()?;
    holds(ticks <= IDLE_TICKS_MAX, || format!("{ticks} hundredths of a second of work"))?;
    Ok(device)
}
