//! A device of a few lines, for what the libraries cannot do: observation in blocks.

use super::bad_input::Target;
use super::{World, start};
use crate::lightship::Serve;
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::rest::Rest;
use crate::wire::{self, ACK, BLOCK2, CON, Message, OBSERVE, Socket};
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const ENDPOINT: &str = "raw-device";
const BLOCK: usize = 64;
const PATH: &str = "/3442/0/110";

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "raw-device/registers", || {
        let serve = Serve::start(&world.program, "serve-raw", &[])?;
        let mut socket = Socket::open()?;
        let server = serve.coap;
        Target { serve: &serve }.register(&mut socket, ENDPOINT)?;
        Ok((serve, RawDevice { socket, server, text: "a".repeat(500), version: 1, token: Vec::new() }))
    });
    let Some((serve, mut device)) = started else { return };
    report.case("raw-device/observed-in-blocks", || {
        let path = format!("endpoints/{ENDPOINT}/observations{PATH}?format=text");
        let answer = device.serve_while(|| serve.rest.operate("PUT", &path, None, "2.05"))?;
        same(
            "first value",
            &answer["content"]["value"].as_str().unwrap_or_default(),
            &"a".repeat(500).as_str(),
        )
    });
    report.case("raw-device/notifies-in-blocks", || {
        for letter in ["b", "c"] {
            device.text = letter.repeat(700);
            device.notify(&serve)?;
            device.serve_while(|| last_value(&serve.rest, &letter.repeat(700)))?;
        }
        Ok(())
    });
    report.case("raw-device/notifications-that-go-backwards-are-not-newer", || {
        device.text = "late".to_owned();
        device.version -= 2;
        device.notify(&serve)?;
        let seen = device.serve_while(|| last_value_within(&serve.rest, "late", Duration::from_secs(1)));
        holds(seen.is_err(), || "an older notification was taken for a newer one".to_owned())
    });
}

fn last_value(rest: &Rest, value: &str) -> Check {
    last_value_within(rest, value, SOON)
}

fn last_value_within(rest: &Rest, value: &str, limit: Duration) -> Check {
    eventually(limit, || {
        let answer = rest.get(&format!("endpoints/{ENDPOINT}/observations"))?;
        let found = &answer.body["items"][0]["content"][0]["value"];
        holds(found == value, || format!("last value is {:.60}", found.to_string()))
    })
}

struct RawDevice {
    socket: Socket,
    /// Where it registered.
    server: SocketAddr,
    text: String,
    /// Of the value: sequence number and ETag.
    version: u8,
    /// Of the observation.
    token: Vec<u8>,
}

/// Answers the server's requests with what `answer` makes of them until `work`, on a thread of its own, is done.
pub(super) fn serve_while<T: Send>(
    socket: &Socket,
    server: SocketAddr,
    work: impl FnOnce() -> Result<T, String> + Send,
    mut answer: impl FnMut(&Message) -> Option<Message>,
) -> Result<T, String> {
    let (sender, result) = sync_channel(1);
    let end = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(work()).map_err(|_| "nobody waits"));
        while Instant::now() < end {
            if let Ok(done) = result.try_recv() {
                return done;
            }
            if let Some((bytes, from)) = socket.receive_bytes(Duration::from_millis(20))?
                && let Some(request) = Message::decode(&bytes)
            {
                same("the server asks from", &from, &server)?;
                if let Some(answer) = answer(&request) {
                    socket.send(from, &answer.encode())?;
                }
            }
        }
        Err("the server took too long".to_owned())
    })
}

impl RawDevice {
    /// Answers the server's requests until `work`, on a thread of its own, is done.
    fn serve_while<T: Send>(&mut self, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        let (socket, server) = (self.socket.another()?, self.server);
        serve_while(&socket, server, work, |request| {
            (request.code == wire::GET).then(|| self.answer(request))
        })
    }

    fn answer(&mut self, request: &Message) -> Message {
        let number = request.first_number(BLOCK2).map_or(0, |block| block >> 4);
        let mut answer = Message::new(ACK, 0x45, request.id, &request.token);
        if request.first(OBSERVE).is_some() {
            self.token = request.token.clone();
            answer = answer.number(OBSERVE, self.version.into());
        }
        self.block(answer, number)
    }

    /// Adds block `number` of the text.
    fn block(&self, message: Message, number: u32) -> Message {
        let from = (usize::try_from(number).unwrap_or(usize::MAX)).saturating_mul(BLOCK).min(self.text.len());
        let to = (from + BLOCK).min(self.text.len());
        let more = u32::from(to < self.text.len());
        message
            .number(wire::CONTENT_FORMAT, 0)
            .option(wire::ETAG, &[self.version])
            .number(BLOCK2, (number << 4) | (more << 3) | 2)
            .payload(&self.text.as_bytes()[from..to])
    }

    /// A new value, its first block as a confirmable notification.
    fn notify(&mut self, serve: &Serve) -> Check {
        self.version += 1;
        let id = self.socket.fresh_id();
        let notification = Message::new(CON, 0x45, id, &self.token).number(OBSERVE, self.version.into());
        let bytes = self.block(notification, 0).encode();
        self.socket.send(serve.coap, &bytes)
    }
}
