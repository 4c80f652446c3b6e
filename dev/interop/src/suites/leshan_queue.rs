//! Queue Mode with Leshan's library on the other side each way.

use super::raw_server::RawServer;
use super::{World, start};
use crate::process::{eventually, pause};
use crate::relay;
use crate::report::{Check, Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs};
use crate::wire::{self, ACK, Message};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a device is taken for awake after it was heard: short enough to see it end, long enough to be seen on a busy machine.
const AWAKE: Duration = Duration::from_secs(4);
/// Safely after that.
const ASLEEP: Duration = Duration::from_secs(30);

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-queue-device";
    let window = AWAKE.as_secs().to_string();
    let started = start(report, &format!("{NAME}/registers"), || {
        let more = ["--awake-window", window.as_str()];
        let side = Theirs::start_with(world, NAME, relay::unchanged, 3600, &["queue"], &more)?;
        let registration = side.registration()?;
        same("queue_mode", &registration["queue_mode"], &json!(true))?;
        same("state", &registration["state"], &json!("awake"))?;
        Ok(side)
    });
    let Some(mut side) = started else { return };
    report.case(&format!("{NAME}/falls-asleep-and-wakes"), || {
        side.event("asleep", ASLEEP)?;
        same("state", &side.registration()?["state"], &json!("asleep"))?;
        side.device.process.tell("update")?;
        side.event("awake", SOON)?;
        same("state", &side.registration()?["state"], &json!("awake"))?;
        side.event("asleep", ASLEEP).map(drop)
    });
    report.case(&format!("{NAME}/one-awake-event-in-a-window"), || {
        side.device.process.skip_output();
        for _ in 0..3 {
            side.device.process.tell("update")?;
            side.device.says("updated", SOON)?;
        }
        side.event("awake", SOON)?;
        let told = side.kinds_until("asleep", ASLEEP)?;
        holds(!told.iter().any(|kind| kind == "awake"), || format!("awake once more: {told:?}"))?;
        // On a busy machine the last Update may have opened a window of its own.
        eventually(SOON, || same("state", &side.registration()?["state"], &json!("asleep")))?;
        side.forget();
        Ok(())
    });
    report.case(&format!("{NAME}/not-waited-for-is-a-conflict"), || {
        let path = format!("endpoints/{NAME}/resources/3/0/0");
        side.serve.rest.refuse("GET", &path, None, 409)
    });
    report.case(&format!("{NAME}/waited-for-is-delivered-at-the-next-message"), || {
        let rest = crate::rest::Rest::new(side.serve.rest.address().parse().map_err(|_| "no address")?);
        let path = format!("endpoints/{NAME}/resources/3/0/0?wait=20s");
        let waiting = std::thread::spawn(move || rest.get(&path));
        pause(Duration::from_millis(300));
        let before = side.relay().contents();
        same("content before it woke", &before, &side.relay().contents())?;
        side.device.process.tell("update")?;
        let answer = waiting.join().map_err(|_| "the request panicked")??;
        same("code", &answer.body["code"], &json!("2.05"))?;
        side.event("asleep", ASLEEP).map(drop)
    });
    report.case(&format!("{NAME}/commands-are-delivered-in-their-order"), || commands(&mut side, NAME));
    report.case(&format!("{NAME}/asleep-when-it-does-not-answer"), || {
        side.device.process.tell("update")?;
        side.event("awake", SOON)?;
        side.device.process.kill();
        let path = format!("endpoints/{NAME}/resources/3/0/0?wait=1s");
        let answer = side.serve.rest.get(&path)?;
        holds(answer.status != 200, || format!("{}", answer.body))?;
        eventually(SOON, || same("state", &side.registration()?["state"], &json!("asleep")))
    });
}

/// Several values for one resource, queued while the device sleeps: the last one is there in the end.
fn commands(side: &mut Theirs, name: &str) -> Check {
    let mut places = Vec::new();
    for value in [11, 12, 13] {
        let path = format!("endpoints/{name}/resources/3442/0/120?queue=true");
        let answer = side.serve.rest.send("PUT", &path, Some(&json!({"value": value})))?;
        same("status", &answer.status, &202)?;
        places.push(answer.body["id"].as_str().ok_or(format!("no id in {}", answer.body))?.to_owned());
    }
    side.device.process.tell("update")?;
    for place in &places {
        eventually(SOON, || {
            let command = side.serve.rest.get(&format!("commands/{place}"))?.body;
            same("state", &command["state"], &json!("done"))
        })?;
    }
    let found = side.read("/3442/0/120", "tlv")?;
    same("value in the end", &found.get("/3442/0/120").map(String::as_str), &Some("13"))?;
    side.event("asleep", ASLEEP).map(drop)
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    for (version, binding) in [("1.1", "U"), ("1.0", "U")] {
        queued(world, report, version, binding);
    }
}

fn queued(world: &World, report: &mut Report, version: &str, binding: &str) {
    let name = format!("leshan-queue-server/{version}");
    let endpoint = format!("leshan-queue-server-{version}");
    let window = AWAKE.as_secs().to_string();
    let flags = ["--lwm2m", version, "--binding", binding, "--queue-mode", "--awake", &window];
    let started = start(report, &format!("{name}/registers"), || {
        let mut side = Ours::start_awake(world, &endpoint, &flags, relay::without_quotes, AWAKE)?;
        let registration = side.server.order(json!({"op": "registration"}))?;
        same("queue mode", &registration["queue"], &json!(true))?;
        Ok(side)
    });
    let Some(mut side) = started else { return };
    let read = || json!({"op": "read", "path": "/3/0/0", "format": "tlv", "timeout_ms": 3000});
    report.case(&format!("{name}/served-while-awake"), || side.expect(read(), "2.05").map(drop));
    report.case(&format!("{name}/falls-asleep-and-wakes"), || {
        side.event("asleep", ASLEEP)?;
        side.forget();
        side.device.obey("update")?;
        side.event("awake", SOON)?;
        side.expect(read(), "2.05")?;
        side.event("asleep", ASLEEP)
    });
    report.case(&format!("{name}/not-asked-while-asleep"), || {
        let code = side.ask(read())?.code;
        holds(code.contains("ClientSleepingException"), || format!("a sleeping device answered {code}"))
    });
    report.case(&format!("{name}/a-notification-wakes-the-server"), || {
        side.device.obey("update")?;
        side.event("awake", SOON)?;
        side.expect(json!({"op": "observe", "path": "/3303/0/5700"}), "2.05")?;
        side.event("asleep", ASLEEP)?;
        side.forget();
        side.device.obey("set /3303/0/5700 33.25")?;
        let told = side.notified("/3303/0/5700", Duration::from_secs(40))?;
        let value: Value = told.values.get("/3303/0/5700").map_or(Value::Null, |text| json!(text));
        same("value", &value, &json!("33.25"))
    });
}

/// Our device by hand: its radio is off while it sleeps, and what was sent to it then is lost.
pub(crate) fn by_hand(world: &World, report: &mut Report) {
    const NAME: &str = "sleepy-device";
    let awake = AWAKE.as_secs().to_string();
    let flags = ["--queue-mode", "--awake", &awake];
    let started = start(report, &format!("{NAME}/registers"), || RawServer::start_with(world, NAME, &flags));
    let Some(mut server) = started else { return };
    let read = |server: &mut RawServer| server.socket.draft(wire::GET).path("/3/0/0").number(wire::ACCEPT, 0);
    report.case(&format!("{NAME}/answers-while-awake"), || {
        let request = read(&mut server);
        let answer = server.socket.request(server.device, &request, SOON)?;
        same("code", &answer.code_text().as_str(), &"2.05")
    });
    report.case(&format!("{NAME}/deaf-while-asleep"), || {
        server.process.event("asleep", ASLEEP)?;
        let request = read(&mut server);
        for _ in 0..3 {
            server.socket.send(server.device, &request.encode())?;
            let heard = server.socket.receive_bytes(Duration::from_millis(300))?;
            holds(heard.is_none(), || "a sleeping device answered".to_owned())?;
        }
        Ok(())
    });
    report.case(&format!("{NAME}/hears-again-after-its-update"), || {
        server.process.obey("update")?;
        let (update, from) = server.socket.receive(SOON, |message| message.code == wire::POST)?;
        server.socket.send(from, &Message::new(ACK, 0x44, update.id, &update.token).encode())?;
        let request = read(&mut server);
        let answer = server.socket.request(from, &request, SOON)?;
        same("code", &answer.code_text().as_str(), &"2.05")
    });
}
