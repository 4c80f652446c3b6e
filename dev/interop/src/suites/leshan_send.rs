//! Send with Leshan's library on the other side each way: values of several moments, and what cannot be sent.

use super::{World, start};
use crate::process::pause;
use crate::relay;
use crate::report::{Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs, holds_value};
use std::time::Duration;

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-send-device";
    let started =
        start(report, &format!("{NAME}/registers"), || Theirs::start(world, NAME, relay::unchanged));
    let Some(mut side) = started else { return };
    for format in ["SENML_JSON", "SENML_CBOR"] {
        report.case(&format!("{NAME}/several-moments/{format}"), || {
            for value in [json_value(1.5), json_value(2.5)] {
                side.write("/3442/0/130", value)?;
                side.device.process.tell("collect /3442/0/130 /3442/0/110")?;
                side.device.says("collected", SOON)?;
                pause(Duration::from_millis(20));
            }
            side.forget();
            side.device.process.tell(&format!("send-collected {format}"))?;
            let told = side.sent(SOON)?;
            same("moments", &told.moments.len(), &2)?;
            for (moment, value) in told.moments.iter().zip(["1.5", "2.5"]) {
                holds_value(moment, "/3442/0/130", value)?;
                holds(moment.contains_key("/3442/0/110"), || format!("/3442/0/110 is not in {moment:?}"))?;
            }
            side.device.says("sent collected", SOON).map(drop)
        });
    }
    for format in ["SENML_JSON", "SENML_CBOR"] {
        report.case(&format!("{NAME}/missing-path/{format}"), || {
            side.forget();
            side.device.process.tell(&format!("send {format} /3442/0/110 /3442/0/9999"))?;
            // The library sends what there is, or nothing; the server must not make up the rest.
            let said = side.device.says("sent", SOON)?;
            if said.contains("CHANGED") {
                let told = side.sent(SOON)?;
                holds(!told.values.contains_key("/3442/0/9999"), || format!("{told:?}"))?;
            }
            side.read("/3442/0/110", "tlv").map(drop)
        });
    }
}

fn json_value(value: f64) -> serde_json::Value {
    serde_json::json!(value)
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-send-server";
    let started =
        start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &["--lwm2m", "1.1"]));
    let Some(mut side) = started else { return };
    report.case(&format!("{NAME}/now"), || {
        side.device.obey("set /3303/0/5700 17.5")?;
        side.forget();
        side.device.obey("send /3303/0/5700 /3442/0/110")?;
        let told = side.sent(SOON)?;
        holds_value(&told.values, "/3303/0/5700", "17.5")?;
        holds_value(&told.values, "/3442/0/110", "initial value")
    });
    report.case(&format!("{NAME}/object-and-instance"), || {
        side.forget();
        side.device.obey("send /3303 /3442/0")?;
        let told = side.sent(SOON)?;
        holds_value(&told.values, "/3303/0/5700", "17.5")?;
        holds_value(&told.values, "/3442/0/110", "initial value")
    });
    report.case(&format!("{NAME}/several-moments"), || {
        for value in ["18.5", "19.5"] {
            side.device.obey(&format!("set /3303/0/5700 {value}"))?;
            side.device.obey("record /3303/0/5700 /3442/0/110")?;
            pause(Duration::from_millis(1100));
        }
        side.forget();
        side.device.obey("send recorded")?;
        let told = side.sent(SOON)?;
        same("moments", &told.moments.len(), &2)?;
        for (moment, value) in told.moments.iter().zip(["18.5", "19.5"]) {
            holds_value(moment, "/3303/0/5700", value)?;
            holds_value(moment, "/3442/0/110", "initial value")?;
        }
        Ok(())
    });
    report.case(&format!("{NAME}/missing-path"), || {
        side.forget();
        side.device.obey("send /3303/0/5700 /3442/0/9999")?;
        let told = side.sent(SOON)?;
        same("values", &told.values.keys().map(String::as_str).collect::<Vec<_>>(), &vec!["/3303/0/5700"])?;
        let refused = side.device.obey("send /3442/0/9999");
        holds(refused.is_err(), || format!("the device sends what it does not have: {refused:?}"))?;
        holds(side.sent(Duration::from_millis(500)).is_err(), || "something was sent".to_owned())
    });
}
