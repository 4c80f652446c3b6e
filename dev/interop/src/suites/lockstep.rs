//! A device of prepared answers at our server: what no library sends, though the standard allows it, and what it forbids.

use super::bad_input::Target;
use super::raw_device::serve_while;
use super::{World, start};
use crate::lightship::Serve;
use crate::process::{Process, eventually};
use crate::report::{Check, Report, holds, same};
use crate::rest::Answer;
use crate::sides::follow;
use crate::wire::{self, ACK, CON, Message, OBSERVE, RST, Socket};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const ENDPOINT: &str = "lockstep";
const JSON: u32 = 110;
const CBOR: u32 = 112;
/// 1700000000 s since 1970, as the API writes it.
const MOMENT: &str = "2023-11-14T22:13:20";

struct LockStep {
    serve: Serve,
    /// What it tells of the device.
    events: Process,
    socket: Socket,
    location: String,
    /// Of the observation that was begun last.
    token: Vec<u8>,
    sequence: u32,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "lockstep/registers", || {
        let serve = Serve::start(&world.program, "serve-lockstep", &[])?;
        let mut socket = Socket::open()?;
        let mut events = follow(world, &serve, ENDPOINT)?;
        let location = Target { serve: &serve }.register(&mut socket, ENDPOINT)?;
        events.wait_for("registered", SOON, |line| line.contains("registered").then_some(()))?;
        Ok(LockStep { serve, events, socket, location, token: Vec::new(), sequence: 1 })
    });
    let Some(mut device) = started else { return };
    device.bindings(report);
    device.times(report);
    device.notifications(report);
    device.composites(report);
    device.strangers(report);
    device.silences(report);
    report.case("lockstep/send/undecodable", || {
        for (format, payload) in [(CBOR, &b"\x00\x10"[..]), (JSON, b"[{"), (JSON, b"{}")] {
            let send = device.socket.draft(wire::POST).path("/dp").number(wire::CONTENT_FORMAT, format);
            let answer = device.socket.request(device.serve.coap, &send.payload(payload), SOON)?;
            same("code", &answer.code_text().as_str(), &"4.00")?;
        }
        device.reads("3", "[{\"n\":\"/3/0/0\",\"vs\":\"x\"}]").map(drop)
    });
    report.case("lockstep/observe/after-de-register", || {
        let leave = device.socket.draft(wire::DELETE).path(&device.location);
        let answer = device.socket.request(device.serve.coap, &leave, SOON)?;
        same("De-register", &answer.code_text().as_str(), &"2.02")?;
        let answer =
            device.serve.rest.send("PUT", &format!("endpoints/{ENDPOINT}/observations/3/0"), None)?;
        same("status", &answer.status, &404)?;
        holds(device.socket.receive_bytes(Duration::from_millis(500))?.is_none(), || {
            "the server asked a device that had left".to_owned()
        })
    });
}

impl LockStep {
    /// A REST request that the device answers with this content.
    fn asked(
        &mut self,
        method: &str,
        rest: &str,
        body: Option<&Value>,
        format: u32,
        payload: &[u8],
    ) -> Result<Answer, String> {
        let path = format!("endpoints/{ENDPOINT}/{rest}");
        let (token, sequence) = (&mut self.token, self.sequence);
        serve_while(
            &self.socket,
            self.serve.coap,
            || self.serve.rest.send(method, &path, body),
            |request| {
                let mut answer = Message::new(ACK, 0x45, request.id, &request.token);
                if request.first_number(OBSERVE) == Some(0) {
                    request.token.clone_into(token);
                    answer = answer.number(OBSERVE, sequence);
                }
                (request.code != 0).then(|| answer.number(wire::CONTENT_FORMAT, format).payload(payload))
            },
        )
    }

    fn reads(&mut self, path: &str, payload: &str) -> Result<Value, String> {
        let rest = format!("resources/{path}?format=senml-json");
        let answer = self.asked("GET", &rest, None, JSON, payload.as_bytes())?;
        same("code", &answer.body["code"], &json!("2.05"))?;
        Ok(answer.body["content"].clone())
    }

    /// Sends a notification; what comes back, and the observation as the API then shows it.
    fn notify(&mut self, code: u8, format: u32, payload: &[u8]) -> Result<(Message, Value), String> {
        self.sequence += 1;
        let id = self.socket.fresh_id();
        let mut message = Message::new(CON, code, id, &self.token).number(wire::CONTENT_FORMAT, format);
        if code == 0x45 {
            message = message.number(OBSERVE, self.sequence);
        }
        self.socket.send(self.serve.coap, &message.payload(payload).encode())?;
        let (answer, _) = self.socket.receive(SOON, |answer| answer.id == id)?;
        Ok((answer, self.observation()?))
    }

    /// What is observed, as the API shows it: the only item, or null.
    fn observation(&self) -> Result<Value, String> {
        Ok(self.serve.rest.get(&format!("endpoints/{ENDPOINT}/observations"))?.body["items"][0].clone())
    }

    /// The observation shows nodes of which one is wanted, soon.
    fn shows(&self, wanted: impl Fn(&Value) -> bool) -> Check {
        eventually(SOON, || {
            let shown = self.observation()?;
            let nodes = shown["content"].as_array().into_iter().flatten();
            holds(nodes.into_iter().any(&wanted), || format!("the observation shows {shown}"))
        })
    }

    /// The next notification that is told has nodes of which each of `wanted` finds one.
    fn tells(&mut self, wanted: &[&dyn Fn(&Value) -> bool]) -> Check {
        let event = self.events.wait_for("notified", SOON, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["type"] == "notified").then_some(event)
        })?;
        let nodes = event["content"].as_array().cloned().unwrap_or_default();
        let all = wanted.iter().all(|wanted| nodes.iter().any(wanted));
        holds(all, || format!("told: {event}"))
    }

    fn cancel(&mut self, rest: &str) -> Check {
        self.asked("DELETE", rest, None, JSON, b"[]").map(drop)
    }

    /// What each version says of transports and of Queue Mode.
    fn bindings(&mut self, report: &mut Report) {
        for (name, query, right, queue) in [
            ("uq-in-1.0", "lwm2m=1.0&b=UQ", "2.01", true),
            ("ut-in-1.1", "lwm2m=1.1&b=UT", "2.01", false),
            ("queue-mode-in-1.1", "lwm2m=1.1&b=U&Q", "2.01", true),
            ("uq-in-1.1", "lwm2m=1.1&b=UQ", "2.01|4.00", true),
            ("ut-in-1.0", "lwm2m=1.0&b=UT", "2.01|4.00", false),
            ("unknown-in-1.1", "lwm2m=1.1&b=XYZ", "4.00", false),
            ("unknown-in-1.0", "lwm2m=1.0&b=XYZ", "4.00", false),
        ] {
            report.case(&format!("lockstep/binding/{name}"), || {
                let mut socket = Socket::open()?;
                let coap = self.serve.coap;
                let endpoint = format!("binding-{name}");
                let register = |socket: &mut Socket, path: &str, query: &str| {
                    let message = socket.draft(wire::POST).path(path).query(query);
                    let list = message.number(wire::CONTENT_FORMAT, 40).payload(b"</1/0>,</3/0>");
                    socket.request(coap, &list, SOON)
                };
                let answer = register(&mut socket, "/rd", &format!("ep={endpoint}&lt=60&{query}"))?;
                let code = answer.code_text();
                holds(right.split('|').any(|one| one == code), || format!("expected {right}, found {code}"))?;
                if code != "2.01" {
                    return Ok(());
                }
                let registration = self.serve.registered(&endpoint, SOON)?;
                same("queue_mode", &registration["queue_mode"], &json!(queue))?;
                // An Update says it anew; what is no binding changes nothing.
                let place = answer.joined(wire::LOCATION_PATH);
                let update = socket.draft(wire::POST).path(&place).query("lt=61");
                same("Update", &socket.request(coap, &update, SOON)?.code_text().as_str(), &"2.04")?;
                let update = socket.draft(wire::POST).path(&place).query("lt=62&b=XYZ");
                same(
                    "Update with b=XYZ",
                    &socket.request(coap, &update, SOON)?.code_text().as_str(),
                    &"4.00",
                )?;
                eventually(SOON, || {
                    same("lifetime_s", &self.serve.registered(&endpoint, SOON)?["lifetime_s"], &json!(61))
                })
            });
        }
    }

    fn times(&mut self, report: &mut Report) {
        let timed = |value: &Value| value["time"].as_str().is_some_and(|time| time.starts_with(MOMENT));
        report.case("lockstep/read/timestamped", || {
            let content = self.reads("1/0/1", r#"[{"bn":"/1/0/1","bt":1700000000,"v":3600}]"#)?;
            holds(timed(&content) && content["value"] == 3600, || format!("{content}"))
        });
        report.case("lockstep/read-composite/timestamped", || {
            let payload = r#"[{"bt":1700000000,"n":"/1/0/1","v":3600},{"n":"/3/0/15","vs":"Europe/Paris"}]"#;
            let body = json!({"paths": ["/1/0/1", "/3/0/15"]});
            let answer = self.asked(
                "POST",
                "composite/read?format=senml-json",
                Some(&body),
                JSON,
                payload.as_bytes(),
            )?;
            let nodes = answer.body["content"]["nodes"].as_array().cloned().unwrap_or_default();
            same("nodes", &nodes.len(), &2)?;
            holds(nodes.iter().all(timed), || format!("{}", answer.body))
        });
        let cbor = |text: &str, time: u32| {
            let mut record = vec![0xa3, 0x00, 0x67];
            record.extend(b"/3/0/15");
            record.extend([0x03, 0x60 | u8::try_from(text.len()).unwrap_or(0)]);
            record.extend(text.as_bytes());
            record.extend([0x06, 0x1a]);
            record.extend(time.to_be_bytes());
            record
        };
        let binary = |newer: &str, older: &str| {
            [vec![0x82], cbor(older, 1_699_999_000), cbor(newer, 1_700_000_000)].concat()
        };
        let text = |newer: &str, older: &str| {
            format!(
                r#"[{{"n":"/3/0/15","vs":"{older}","t":1699999000}},{{"n":"/3/0/15","vs":"{newer}","t":1700000000}}]"#
            )
            .into_bytes()
        };
        for (name, format, payload) in
            [("senml-json", JSON, text("Paris", "Londres")), ("senml-cbor", CBOR, binary("Paris", "Londres"))]
        {
            report.case(&format!("lockstep/observe/timestamped/{name}"), || {
                let first = self.asked(
                    "PUT",
                    &format!("observations/3/0/15?format={name}"),
                    None,
                    format,
                    &if format == JSON { text("Rome", "Oslo") } else { binary("Rome", "Oslo") },
                )?;
                holds(first.body.to_string().contains("Rome"), || format!("{}", first.body))?;
                self.events.skip_output();
                same("answer", &self.notify(0x45, format, &payload)?.0.kind, &ACK)?;
                let older =
                    |node: &Value| node["value"] == "Londres" && !timed(node) && node["time"].is_string();
                self.tells(&[&|node| node["value"] == "Paris" && timed(node), &older])?;
                self.shows(|node| node["value"] == "Paris" && timed(node))
            });
        }
        report.case("lockstep/observe/timestamped/one-without-a-time", || {
            let payload = r#"[{"n":"/3/0/15","vs":"now"},{"n":"/3/0/15","vs":"then","t":1700000000}]"#;
            self.events.skip_output();
            self.notify(0x45, JSON, payload.as_bytes())?;
            let now = |node: &Value| node["value"] == "now" && node["time"].is_null();
            self.tells(&[&now, &|node| node["value"] == "then" && timed(node)])?;
            self.shows(now)
        });
    }

    fn notifications(&mut self, report: &mut Report) {
        report.case("lockstep/notification/unknown-format", || {
            let (answer, shown) = self.notify(0x45, 666, b"\xde\xad")?;
            same("answer", &answer.kind, &ACK)?;
            same("the observation", &shown["state"], &json!("active"))?;
            self.notify(0x45, JSON, br#"[{"n":"/3/0/15","vs":"after"}]"#)?;
            self.shows(|node| node["value"] == "after")
        });
        report.case("lockstep/notification/86-five-hundred-at-once", || {
            for number in 0..500 {
                self.sequence += 1;
                let id = self.socket.fresh_id();
                let message = Message::new(wire::NON, 0x45, id, &self.token)
                    .number(wire::CONTENT_FORMAT, JSON)
                    .number(OBSERVE, self.sequence);
                let value = format!(r#"[{{"n":"/3/0/15","vs":"number {number}"}}]"#);
                self.socket.send(self.serve.coap, &message.payload(value.as_bytes()).encode())?;
            }
            // Others are served meanwhile, and so is this one afterwards.
            Target { serve: &self.serve }.still_serves()?;
            self.notify(0x45, JSON, br#"[{"n":"/3/0/15","vs":"the last"}]"#)?;
            self.shows(|node| node["value"] == "the last")
        });
        report.case("lockstep/notification/error-ends-it", || {
            let (answer, _) = self.notify(0x84, 0, b"gone")?;
            same("answer", &answer.kind, &ACK)?;
            eventually(SOON, || {
                let shown = self.observation()?;
                holds(shown["state"] != "active", || format!("still active: {shown}"))
            })?;
            self.cancel("observations/3/0/15")
        });
    }

    fn composites(&mut self, report: &mut Report) {
        let paths = json!({"paths": ["/1/0/1", "/3/0/15"]});
        let payload = |lifetime: u32, zone: &str| {
            format!(r#"[{{"bt":1700000000,"n":"/1/0/1","v":{lifetime}}},{{"n":"/3/0/15","vs":"{zone}"}}]"#)
        };
        report.case("lockstep/observe-composite/timestamped", || {
            let rest = "composite/observations/pair?format=senml-json";
            let first = self.asked("PUT", rest, Some(&paths), JSON, payload(3600, "Belgrade").as_bytes())?;
            same("code", &first.body["code"], &json!("2.05"))?;
            self.notify(0x45, JSON, payload(500, "Paris").as_bytes())?;
            let timed = |node: &Value| node["time"].as_str().is_some_and(|time| time.starts_with(MOMENT));
            self.shows(|node| node["value"] == 500 && timed(node))?;
            self.shows(|node| node["value"] == "Paris" && timed(node))
        });
        report.case("lockstep/observe-composite/empty-values", || {
            self.notify(0x45, JSON, br#"[{"bt":1700000000,"n":"/3/0/15","vs":""}]"#)?;
            self.shows(|node| node["value"] == "")
        });
        for (name, extra) in [("resource", "/1/0/0"), ("instance", "/3/1/15")] {
            report.case(&format!("lockstep/observe-composite/unexpected-{name}"), || {
                let odd = format!(r#"[{{"n":"/3/0/15","vs":"odd"}},{{"n":"{extra}","vs":"odd"}}]"#);
                let (answer, _) = self.notify(0x45, JSON, odd.as_bytes())?;
                same("answer", &answer.kind, &ACK)?;
                self.notify(0x45, JSON, payload(501, "after").as_bytes())?;
                self.shows(|node| node["value"] == "after")?;
                let registration = self.serve.registered(ENDPOINT, SOON)?;
                let counted = &registration["deviations"]["undecodable"];
                holds(counted.as_u64() > Some(0), || format!("not counted: {registration}"))
            });
        }
        report.case("lockstep/observe-composite/cancel", || self.cancel("composite/observations/pair"));
    }

    /// Without security the address is all that says who somebody is.
    fn strangers(&mut self, report: &mut Report) {
        let value = r#"[{"n":"/3/0/15","vs":"strange"}]"#;
        report.case("lockstep/stranger/notification", || {
            self.asked(
                "PUT",
                "observations/3/0/15?format=senml-json",
                None,
                JSON,
                value.replace("strange", "own").as_bytes(),
            )?;
            let stranger = Socket::open()?;
            let message = Message::new(CON, 0x45, wire::fresh_id(), &self.token)
                .number(OBSERVE, 100)
                .number(wire::CONTENT_FORMAT, JSON)
                .payload(value.as_bytes());
            stranger.send(self.serve.coap, &message.encode())?;
            if let Some((bytes, _)) = stranger.receive_bytes(Duration::from_millis(500))? {
                let kind = Message::decode(&bytes).map(|answer| answer.kind);
                same("answer", &kind, &Some(RST))?;
            }
            let shown = self.observation()?;
            holds(!shown.to_string().contains("strange"), || format!("believed: {shown}"))?;
            self.cancel("observations/3/0/15")
        });
        report.case("lockstep/stranger/send", || {
            let mut stranger = Socket::open()?;
            let send = stranger.draft(wire::POST).path("/dp").number(wire::CONTENT_FORMAT, JSON);
            let answer = stranger.request(self.serve.coap, &send.payload(value.as_bytes()), SOON)?;
            holds(answer.code >> 5 == 4, || format!("a stranger's Send got {}", answer.code_text()))
        });
    }

    /// The device says nothing, or nothing more than that it got the request.
    fn silences(&mut self, report: &mut Report) {
        for (name, acknowledges) in [("no-acknowledgement", false), ("acknowledged-and-no-response", true)] {
            report.case(&format!("lockstep/silence/{name}"), || {
                let path = format!("endpoints/{ENDPOINT}/resources/3/0?wait=2s");
                let rest = &self.serve.rest;
                let answer = serve_while(
                    &self.socket,
                    self.serve.coap,
                    || rest.get(&path),
                    |request| {
                        let empty = Message::new(ACK, 0, request.id, &[]);
                        (acknowledges && request.code != 0).then_some(empty)
                    },
                )?;
                same("status", &answer.status, &504)?;
                self.reads("3/0/0", r#"[{"n":"/3/0/0","vs":"x"}]"#).map(drop)
            });
        }
    }
}
