//! Malformed and hostile input around a bootstrap, by hand: what the corpus calls section N, at our Bootstrap-Server and at
//! our device.

use super::raw_server::RawServer;
use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::wire::{self, ACK, Message, Socket};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// How long nothing may come before it counts as nothing.
const QUIET: Duration = Duration::from_millis(400);

/// Our Bootstrap-Server and hand-made devices.
pub(crate) fn server(world: &World, report: &mut Report) {
    const NAME: &str = "bad-input-bootstrap";
    let started = start(report, &format!("{NAME}/starts"), || {
        let serve = Serve::start_bootstrap(&world.program, "serve-bad-bootstrap")?;
        let at = serve.bootstrap.ok_or("no Bootstrap-Server listens")?;
        Ok(Target { serve, at })
    });
    let Some(target) = started else { return };
    for (name, query, right) in [
        ("285-no-ep", "", "4.00"),
        ("286-pct-65000", "ep=bad&pct=65000", "4.15|4.00"),
        ("286-pct-abc", "ep=bad&pct=abc", "4.15|4.00"),
        ("286-pct-empty", "ep=bad&pct=", "4.15|4.00"),
        ("287-nobody", "ep=nobody", "4.00|4.04"),
    ] {
        report.case(&format!("{NAME}/{name}"), || {
            target.knows("bad")?;
            let mut socket = Socket::open()?;
            let code = target.ask(&mut socket, query)?;
            holds(right.split('|').any(|one| one == code), || format!("expected {right}, found {code}"))?;
            target.still_serves()
        });
    }
    report.case(&format!("{NAME}/288-two-at-once"), || target.two_at_once());
    report.case(&format!("{NAME}/289-refuses-every-write"), || target.refusing("refuses", "4.00", 0x80));
    report.case(&format!("{NAME}/290-finish-is-inconsistent"), || {
        target.knows("inconsistent")?;
        let mut socket = Socket::open()?;
        same("code", &target.ask(&mut socket, "ep=inconsistent")?.as_str(), &"2.04")?;
        let seen = target
            .play(&socket, |request| if request.code == wire::POST { 0x86 } else { agreeable(request) })?;
        target.came_to("inconsistent", "refused")?;
        let finishes = seen.iter().filter(|request| request.code == wire::POST).count();
        holds((1..=2).contains(&finishes), || format!("{finishes} times Finish"))?;
        target.still_serves()
    });
    report.case(&format!("{NAME}/291-pack-of-nobody"), || {
        let mut socket = Socket::open()?;
        let ask = socket.draft(wire::GET).path("/bspack").query("ep=nobody").number(wire::ACCEPT, 112);
        let answer = socket.request(target.at, &ask, SOON)?;
        holds(answer.code >> 5 >= 4, || format!("a pack for nobody: {}", answer.code_text()))?;
        target.still_serves()
    });
}

struct Target {
    serve: Serve,
    at: SocketAddr,
}

/// What a device that takes everything answers.
fn agreeable(request: &Message) -> u8 {
    match request.code {
        wire::GET => 0x45,
        wire::DELETE => 0x42,
        _ => 0x44,
    }
}

impl Target {
    /// A document for this endpoint.
    fn knows(&self, endpoint: &str) -> Check {
        let account = json!({"short_server_id": 1, "uri": "coap://127.0.0.1:5683", "mode": "nosec"});
        let document = json!({"servers": [account]});
        let answer = self.serve.rest.send("PUT", &format!("bootstrap/{endpoint}"), Some(&document))?;
        holds([200, 201].contains(&answer.status), || format!("{} {}", answer.status, answer.body))
    }

    fn ask(&self, socket: &mut Socket, query: &str) -> Result<String, String> {
        let ask = socket.draft(wire::POST).path("/bs").query(query);
        Ok(socket.request(self.at, &ask, SOON)?.code_text())
    }

    /// Answers the commands until the session is over, by a Finish or a refusal, and none comes any more; what they were.
    fn play(&self, socket: &Socket, answer: impl Fn(&Message) -> u8) -> Result<Vec<Message>, String> {
        self.play_from(socket, SOON, answer)
    }

    /// The same with how long the first command, and each until the session is over, may take.
    fn play_from(
        &self,
        socket: &Socket,
        mut limit: Duration,
        answer: impl Fn(&Message) -> u8,
    ) -> Result<Vec<Message>, String> {
        let mut seen: Vec<Message> = Vec::new();
        while let Some((bytes, from)) = socket.receive_bytes(limit)? {
            let request = Message::decode(&bytes).ok_or("a malformed command")?;
            if request.code == 0 || request.code > 31 {
                continue;
            }
            let mut reply = Message::new(ACK, answer(&request), request.id, &request.token);
            if reply.code == 0x45 {
                reply = reply.number(wire::CONTENT_FORMAT, 40).payload(b"</>;lwm2m=1.1,</0/0>,</1>,</3/0>");
            }
            socket.send(from, &reply.encode())?;
            if request.code == wire::POST || reply.code >= 0x80 {
                limit = QUIET * 3;
            }
            seen.push(request);
            holds(seen.len() < 100, || "there is no end of commands".to_owned())?;
        }
        Ok(seen)
    }

    /// The newest session of an endpoint came to this.
    fn came_to(&self, endpoint: &str, result: &str) -> Check {
        eventually(SOON, || {
            let sessions = self.serve.rest.get(&format!("bootstrap/{endpoint}/sessions"))?.body;
            same("result", &sessions[0]["result"], &Value::from(result))
        })
    }

    /// A device that does everything right gets everything.
    fn still_serves(&self) -> Check {
        self.knows("good")?;
        let mut socket = Socket::open()?;
        same("Bootstrap-Request afterwards", &self.ask(&mut socket, "ep=good")?.as_str(), &"2.04")?;
        let seen = self.play(&socket, agreeable)?;
        let last = seen.last().map(|request| (request.code, request.joined(wire::URI_PATH)));
        same("the last command", &last, &Some((wire::POST, "/bs".to_owned())))?;
        self.came_to("good", "finished")
    }

    /// The same endpoint asks from two sockets: the newer session wins and is the only one that is finished.
    fn two_at_once(&self) -> Check {
        self.knows("twice")?;
        let (mut first, mut second) = (Socket::open()?, Socket::open()?);
        same("first", &self.ask(&mut first, "ep=twice")?.as_str(), &"2.04")?;
        same("second", &self.ask(&mut second, "ep=twice")?.as_str(), &"2.04")?;
        let seen = self.play(&second, agreeable)?;
        let finishes = seen.iter().filter(|request| request.code == wire::POST).count();
        same("Finish to the second", &finishes, &1)?;
        let older = self.play_from(&first, QUIET * 3, agreeable)?;
        same("Finish to the first", &older.iter().filter(|request| request.code == wire::POST).count(), &0)?;
        self.came_to("twice", "finished")
    }

    fn refusing(&self, endpoint: &str, text: &str, code: u8) -> Check {
        self.knows(endpoint)?;
        let mut socket = Socket::open()?;
        same("code", &self.ask(&mut socket, &format!("ep={endpoint}"))?.as_str(), &"2.04")?;
        let seen =
            self.play(&socket, |request| if request.code == wire::PUT { code } else { agreeable(request) })?;
        let writes = seen.iter().filter(|request| request.code == wire::PUT).count();
        holds(writes > 0 && writes < 10, || format!("{writes} writes answered with {text}"))?;
        self.came_to(endpoint, "refused")?;
        self.still_serves()
    }
}

/// Our device and a hand-made server that is no Bootstrap-Server, and one that is.
pub(crate) fn device(world: &World, report: &mut Report) {
    const NAME: &str = "bad-input-bootstrapped";
    let started = start(report, &format!("{NAME}/registers"), || RawServer::start(world, NAME));
    let Some(mut server) = started else { return };
    let order = |server: &mut RawServer, method, path: &str| {
        let mut draft = server.socket.draft(method).path(path);
        if method == wire::PUT {
            draft = draft
                .number(wire::CONTENT_FORMAT, 110)
                .payload(br#"[{"n":"/0/1/0","vs":"coap://127.0.0.1:1"}]"#);
        }
        let answer = server.socket.request(server.device, &draft, SOON)?;
        Ok::<String, String>(answer.code_text())
    };
    for (name, method, path, right) in [
        ("292-finish-without-a-session", wire::POST, "/bs", "4.00|4.01|4.04|4.05"),
        ("293-write-of-security-by-a-server", wire::PUT, "/0/1", "4.01|4.05"),
        ("293-delete-of-security-by-a-server", wire::DELETE, "/0/0", "4.01|4.05"),
        ("293-delete-of-everything-by-a-server", wire::DELETE, "/", "4.01|4.04|4.05|4.00"),
    ] {
        report.case(&format!("{NAME}/{name}"), || {
            let code = order(&mut server, method, path)?;
            holds(right.split('|').any(|one| one == code), || format!("expected {right}, found {code}"))
        });
    }
    report.case(&format!("{NAME}/294-no-server-account"), || {
        session(world, "no-account", &[], "4.06").map(drop)
    });
    let server_1 =
        r#"{"n":"/1/1/0","v":1},{"n":"/1/1/1","v":60},{"n":"/1/1/6","vb":true},{"n":"/1/1/7","vs":"U"}"#;
    let security = |uri: &str, more: &str| {
        format!(
            r#"[{{"n":"/0/1/0","vs":"{uri}"}},{{"n":"/0/1/1","vb":false}},{{"n":"/0/1/2","v":3}},{{"n":"/0/1/10","v":1}}{more}]"#
        )
    };
    for (name, uri) in [("scheme", "http://x"), ("no-host", "coap://"), ("bracket", "coap://[::1")] {
        report.case(&format!("{NAME}/296-uri-{name}"), || {
            let writes = [("/0/1", security(uri, "")), ("/1/1", format!("[{server_1}]"))];
            session(world, &format!("uri-{name}"), &writes, "4.06").map(drop)
        });
    }
    report.case(&format!("{NAME}/296-uri-of-300-bytes"), || {
        let uri = format!("coap://{}", "a".repeat(300));
        session(world, "uri-long", &[("/0/1", security(&uri, "")), ("/1/1", format!("[{server_1}]"))], "4.06")
            .map(drop)
    });
    report.case(&format!("{NAME}/297-mode-9"), || {
        let odd = security("coap://127.0.0.1:9", "").replace(r#""v":3"#, r#""v":9"#);
        session(world, "mode", &[("/0/1", odd), ("/1/1", format!("[{server_1}]"))], "4.06").map(drop)
    });
    limits(report, world, NAME, &security);
}

fn limits(report: &mut Report, world: &World, name: &str, security: &dyn Fn(&str, &str) -> String) {
    report.case(&format!("{name}/299-delete-of-the-bootstrap-account"), || {
        let mut site = Asked::start(world, "delete-account")?;
        let code = site.order(wire::DELETE, "/0/0", "")?;
        holds(code == "2.02" || code.starts_with("4."), || format!("Delete of /0/0: {code}"))?;
        // It is kept, so that the device can still be told.
        same("Discover", &site.order(wire::GET, "/0", "")?.as_str(), &"2.05")
    });
    report.case(&format!("{name}/300-hundred-accounts"), || {
        let mut site = Asked::start(world, "hundred")?;
        for account in 1..=100 {
            let body = security("coap://127.0.0.1:9", "").replace("/0/1/", &format!("/0/{account}/"));
            let code = site.order(wire::PUT, &format!("/0/{account}"), &body)?;
            if code != "2.04" {
                return holds(["4.13", "5.00", "4.00"].contains(&code.as_str()), || {
                    format!("account {account}: {code}")
                });
            }
        }
        Ok(())
    });
}

/// A whole session with these writes; the Finish must come to `code`, and the device must go on.
fn session(world: &World, name: &str, writes: &[(&str, String)], code: &str) -> Check {
    let mut site = Asked::start(world, name)?;
    for (path, body) in writes {
        let written = site.order(wire::PUT, path, body)?;
        holds(written == "2.04" || written.starts_with("4.0"), || format!("Write of {path}: {written}"))?;
    }
    same("Finish", &site.order(wire::POST, "/bs", "")?.as_str(), &code)?;
    holds(site.device.process.alive(), || "the device ended".to_owned())
}

/// A device of ours that has asked for its configuration, and has been promised one.
struct Asked {
    socket: Socket,
    at: SocketAddr,
    device: Device,
}

impl Asked {
    fn start(world: &World, name: &str) -> Result<Self, String> {
        let socket = Socket::open()?;
        let mut command = world.program.command();
        let uri = format!("coap://{}", socket.address());
        let endpoint = format!("bad-bootstrap-{name}");
        command.args(["device", "--bootstrap", &uri, "--endpoint", &endpoint, "--lwm2m", "1.1"]);
        let device = Device::from_command(&world.program, &endpoint, command)?;
        let (request, at) = socket.receive(SOON * 2, |message| message.code == wire::POST)?;
        same("path", &request.joined(wire::URI_PATH).as_str(), &"/bs")?;
        socket.send(at, &Message::new(ACK, 0x44, request.id, &request.token).encode())?;
        Ok(Self { socket, at, device })
    }

    fn order(&mut self, method: u8, path: &str, body: &str) -> Result<String, String> {
        let mut draft = self.socket.draft(method).path(path);
        if method == wire::PUT {
            draft = draft.number(wire::CONTENT_FORMAT, 110).payload(body.as_bytes());
        } else if method == wire::GET {
            draft = draft.number(wire::ACCEPT, 40);
        }
        Ok(self.socket.request(self.at, &draft, SOON)?.code_text())
    }
}
