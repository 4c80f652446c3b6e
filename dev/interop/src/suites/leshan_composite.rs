//! Composite operations and Send, with Leshan's library on the other side each way.

use super::{World, start};
use crate::leshan::{LeshanDevice, LeshanServer};
use crate::lightship::{Device, Serve};
use crate::ports::at_free_port;
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::sides::follow;
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-composite-device";
    let registers = || {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let serve = Serve::start(&world.program, "serve-leshan-composite", &[])?;
        let events = follow(world, &serve, NAME)?;
        let uri = format!("coap://{}", serve.coap);
        let mut device = LeshanDevice::start(&class_path, &world.program.logs, &uri, NAME, 3600)?;
        device.registered()?;
        serve.registered(NAME, SOON)?;
        Ok((serve, device, events))
    };
    let Some((serve, mut device, mut events)) = start(report, "leshan-composite-device/registers", registers)
    else {
        return;
    };
    let operate = |method: &str, rest: &str, body: Value, code: &str| {
        serve.rest.operate(method, &format!("endpoints/{NAME}/{rest}"), Some(&body), code)
    };
    for format in ["senml-json", "senml-cbor"] {
        report.case(&format!("leshan-composite-device/write-and-read/{format}"), || {
            let nodes =
                json!([{"path": "/3442/0/110", "value": format}, {"path": "/3442/0/1120/4", "value": 77}]);
            operate("POST", &format!("composite/write?format={format}"), json!({"nodes": nodes}), "2.04")?;
            let paths = json!({"paths": ["/3442/0/110", "/3442/0/1120", "/3/0", "/3303/0/5700"]});
            let answer = operate("POST", &format!("composite/read?format={format}"), paths, "2.05")?;
            same("format", &answer["format"], &json!(format))?;
            let text = answer["content"].to_string();
            for part in
                [format!("\"value\":\"{format}\""), "77".into(), "Eclipse Leshan".into(), "20.5".into()]
            {
                holds(text.contains(&part), || format!("{part} is not in {answer}"))?;
            }
            Ok(())
        });
        report.case(&format!("leshan-composite-device/write-is-all-or-nothing/{format}"), || {
            operate("PUT", "resources/3442/0/110", json!({"value": "before"}), "2.04")?;
            let nodes =
                json!([{"path": "/3442/0/110", "value": "after"}, {"path": "/3442/0/4/0", "value": "x"}]);
            operate("POST", &format!("composite/write?format={format}"), json!({"nodes": nodes}), "4.05")?;
            let answer =
                serve.rest.operate("GET", &format!("endpoints/{NAME}/resources/3442/0/110"), None, "2.05")?;
            same("value", &answer["content"]["value"], &json!("before"))
        });
        report.case(&format!("leshan-composite-device/observe/{format}"), || {
            let paths = json!({"paths": ["/3442/0/120", "/3442/0/140"]});
            operate("PUT", &format!("composite/observations/pair?format={format}"), paths, "2.05")?;
            for value in [501, 502] {
                operate("PUT", "resources/3442/0/120", json!({"value": value}), "2.04")?;
                eventually(SOON, || {
                    let seen = serve.rest.get(&format!("endpoints/{NAME}/observations"))?.body.to_string();
                    holds(seen.contains(&format!("\"value\":{value}")), || format!("no {value} in {seen}"))
                })?;
            }
            serve
                .rest
                .operate("DELETE", &format!("endpoints/{NAME}/composite/observations/pair"), None, "2.05")
                .map(drop)
        });
        report.case(&format!("leshan-composite-device/send/{format}"), || {
            let name = format.to_uppercase().replace('-', "_");
            device.process.tell(&format!("send {name} /3303/0/5700 /3/0/0"))?;
            same("answer", &device.says("sent", SOON)?.contains("CHANGED"), &true)?;
            // One for each Send.
            let sent = |line: &str| line.contains("\"sent\"").then(|| line.to_owned());
            let told = events.wait_for("a sent event", SOON, sent)?;
            holds(told.contains("20.5") && told.contains("Eclipse Leshan"), || told)
        });
    }
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-composite-server";
    let registers = || {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let launch = |port| Ok((port, LeshanServer::start(&class_path, &world.program.logs, port, NAME)?));
        let (port, mut server) = at_free_port(launch)?;
        let uri = format!("coap://127.0.0.1:{port}");
        let mut device = Device::start(&world.program, &uri, NAME, &["--lwm2m", "1.1"])?;
        device.event("registered", SOON)?;
        server.event("registered", SOON)?;
        Ok((server, device))
    };
    let Some((mut server, mut device)) = start(report, "leshan-composite-server/registers", registers) else {
        return;
    };
    for format in ["SENML_JSON", "SENML_CBOR"] {
        report.case(&format!("leshan-composite-server/write-and-read/{format}"), || {
            let values = json!({"/3442/0/110": format, "/3442/0/120": "77"});
            server.expect(json!({"op": "write-composite", "format": format, "values": values}), "2.04")?;
            let paths = json!(["/3442/0/110", "/3442/0/120", "/3/0/0"]);
            let read = json!({"op": "read-composite", "format": format, "paths": paths});
            let answer = server.expect(read, "2.05")?;
            same("110", &answer["content"]["/3442/0/110"], &json!(format))?;
            same("120", &answer["content"]["/3442/0/120"], &json!("77"))?;
            holds(answer["content"]["/3/0/0"].is_string(), || format!("no manufacturer in {answer}"))
        });
        report.case(&format!("leshan-composite-server/write-is-all-or-nothing/{format}"), || {
            let values = json!({"/3442/0/110": "after", "/3/0/2": "x"});
            server.expect(json!({"op": "write-composite", "format": format, "values": values}), "4.05")?;
            server.reads("/3442/0/110", "TLV", format)
        });
        report.case(&format!("leshan-composite-server/observe/{format}"), || {
            let paths = json!(["/3303/0/5700", "/3442/0/110"]);
            server.expect(json!({"op": "observe-composite", "format": format, "paths": paths}), "2.05")?;
            for value in ["31.5", "-4.25"] {
                device.obey(&format!("set /3303/0/5700 {value}"))?;
                let event = server.event("notified-composite", SOON)?;
                same("notified", &event["content"]["/3303/0/5700"], &json!(value))?;
            }
            server.expect(json!({"op": "cancel-composite"}), "2.05").map(drop)
        });
    }
    report.case("leshan-composite-server/send", || -> Check {
        device.obey("set /3303/0/5700 17.5")?;
        device.obey("send /3303/0/5700 /3442/0/120")?;
        let event = server.event("sent", SOON)?;
        same("5700", &event["content"]["/3303/0/5700"], &json!("17.5"))?;
        same("120", &event["content"]["/3442/0/120"], &json!("77"))
    });
}
