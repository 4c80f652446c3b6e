//! A device on Leshan's library at our server: every operation, in every format that both speak, through REST.

use super::{World, start};
use crate::leshan::LeshanDevice;
use crate::lightship::Serve;
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const ENDPOINT: &str = "leshan-device";
const SOON: Duration = Duration::from_secs(30);

/// Formats for one value; those for several follow.
const SINGLE: [&str; 5] = ["text", "cbor", "tlv", "senml-json", "senml-cbor"];
const MULTIPLE: [&str; 3] = ["tlv", "senml-json", "senml-cbor"];

/// The test object's resources: ID, type, what it starts with, what we write.
#[expect(clippy::approx_constant, reason = "the peer's test object starts with these very digits")]
fn typed() -> [(u16, &'static str, Value, Value); 9] {
    [
        (110, "string", json!("initial value"), json!("Grüße, 世界")),
        (120, "integer", json!(1024), json!(-70000)),
        (125, "unsigned", json!("9223372036854775808"), json!("9223372036854775809")),
        (130, "float", json!(3.14159), json!(-0.25)),
        (140, "boolean", json!(true), json!(false)),
        (150, "opaque", json!("ASNFZ4mrze8="), json!("AP8Qgg==")),
        (160, "time", json!(946_684_800), json!(1_700_000_000)),
        (170, "objlnk", json!("3:0"), json!("3303:0")),
        (180, "corelnk", json!("</3442>"), json!("</3442/0>;pmin=5")),
    ]
}

/// Runs the suite.
// Proves: DMO-01
pub(crate) fn run(world: &World, report: &mut Report) {
    let Some((serve, mut device)) = start(report, "leshan-device/registers", || registers(world)) else {
        return;
    };
    let site = Site { serve: &serve };
    site.reads(report);
    site.writes(report);
    site.executes(report);
    site.creates_and_deletes(report);
    site.discovers_and_sets_attributes(report);
    site.observes(report);
    site.is_refused(report);
    report.case("leshan-device/updates", || updates(&serve, &mut device));
    report.case("leshan-device/deregisters", || {
        device.process.tell("quit")?;
        serve.gone(ENDPOINT, SOON)
    });
    report.case("leshan-device/expires-after-its-lifetime", || expires(world, &serve));
}

fn registers(world: &World) -> Result<(Serve, LeshanDevice), String> {
    let class_path = tools::leshan_class_path(&world.folders)?;
    let serve = Serve::start(&world.program, "serve-leshan", &[])?;
    let uri = format!("coap://{}", serve.coap);
    let mut device = LeshanDevice::start(&class_path, &world.program.logs, &uri, ENDPOINT, 3600)?;
    device.registered()?;
    let registration = serve.registered(ENDPOINT, SOON)?;
    same("lwm2m_version", &registration["lwm2m_version"], &json!("1.1"))?;
    same("lifetime_s", &registration["lifetime_s"], &json!(3600))?;
    same("binding", &registration["binding"], &json!("U"))?;
    let objects = registration["objects"].as_array().ok_or("no objects")?;
    for path in ["/1/0", "/3/0", "/3303/0", "/3442/0"] {
        holds(objects.iter().any(|object| object["path"] == path), || {
            format!("{path} is not among {objects:?}")
        })?;
    }
    Ok((serve, device))
}

fn updates(serve: &Serve, device: &mut LeshanDevice) -> Check {
    let before = serve.registered(ENDPOINT, SOON)?;
    device.process.skip_output();
    device.process.tell("update")?;
    device.says("updated", SOON)?;
    // The device knows it a moment before REST does.
    let after = eventually(SOON, || {
        let after = serve.registered(ENDPOINT, SOON)?;
        let stays = || format!("updated_at stays {}", after["updated_at"]);
        holds(before["updated_at"] != after["updated_at"], stays).map(|()| after)
    })?;
    same("registration_id", &after["registration_id"], &before["registration_id"])
}

fn expires(world: &World, serve: &Serve) -> Check {
    let class_path = tools::leshan_class_path(&world.folders)?;
    let uri = format!("coap://{}", serve.coap);
    let mut device = LeshanDevice::start(&class_path, &world.program.logs, &uri, "leshan-mortal", 3)?;
    device.registered()?;
    device.process.kill();
    serve.registered("leshan-mortal", SOON)?;
    serve.gone("leshan-mortal", SOON)
}

struct Site<'a> {
    serve: &'a Serve,
}

impl Site<'_> {
    fn operate(&self, method: &str, rest: &str, body: Option<&Value>, code: &str) -> Result<Value, String> {
        self.serve.rest.operate(method, &format!("endpoints/{ENDPOINT}/{rest}"), body, code)
    }

    /// Reads a path in a format; the answer must be in that format.
    fn read(&self, path: &str, format: &str) -> Result<Value, String> {
        let answer = self.operate("GET", &format!("resources{path}?format={format}"), None, "2.05")?;
        same("format", &answer["format"], &json!(format))?;
        same("path", &answer["content"]["path"], &json!(path))?;
        Ok(answer["content"].clone())
    }

    fn reset(&self) -> Check {
        self.operate("POST", "execute/3442/0/0", None, "2.04").map(drop)
    }

    fn reads(&self, report: &mut Report) {
        for format in MULTIPLE {
            report.case(&format!("leshan-device/read/3/0/{format}"), || {
                let content = self.read("/3/0", format)?;
                same("/3/0/0", &content["resources"]["0"]["value"], &json!("Eclipse Leshan"))?;
                same("its type", &content["resources"]["0"]["type"], &json!("string"))
            });
            report.case(&format!("leshan-device/read/3442/0/{format}"), || {
                let content = self.read("/3442/0", format)?;
                for (id, kind, value, _) in typed() {
                    let resource = &content["resources"][id.to_string()];
                    same(&format!("type of {id}"), &resource["type"], &json!(kind))?;
                    same(&format!("value of {id}"), &resource["value"], &value)?;
                    let instances = &content["resources"][(1000 + id).to_string()]["instances"];
                    same(&format!("instances of {}", 1000 + id), instances, &json!({"0": value}))?;
                }
                Ok(())
            });
            report.case(&format!("leshan-device/read/3442/{format}"), || {
                let content = self.read("/3442", format)?;
                same("/3442/0/120", &content["instances"]["0"]["resources"]["120"]["value"], &json!(1024))
            });
            report.case(&format!("leshan-device/read/3442/0/1120/{format}"), || {
                same("instances", &self.read("/3442/0/1120", format)?["instances"], &json!({"0": 1024}))
            });
        }
        for (id, kind, value, _) in typed() {
            let opaque = (id == 150).then_some("opaque");
            for format in SINGLE.into_iter().chain(opaque) {
                report.case(&format!("leshan-device/read/{kind}/{format}"), || {
                    same("value", &self.read(&format!("/3442/0/{id}"), format)?["value"], &value)
                });
            }
        }
        for format in ["senml-json", "senml-cbor", "cbor", "text"] {
            report.case(&format!("leshan-device/read/resource-instance/{format}"), || {
                same("value", &self.read("/3442/0/1120/0", format)?["value"], &json!(1024))
            });
        }
        report.case("leshan-device/read/no-format-asked", || {
            let answer = self.operate("GET", "resources/3/0/0", None, "2.05")?;
            same("value", &answer["content"]["value"], &json!("Eclipse Leshan"))?;
            same("name", &answer["content"]["name"], &json!("Manufacturer"))
        });
    }

    fn writes(&self, report: &mut Report) {
        for (id, kind, _, value) in typed() {
            let opaque = (id == 150).then_some("opaque");
            for format in SINGLE.into_iter().chain(opaque) {
                report.case(&format!("leshan-device/write/{kind}/{format}"), || {
                    self.reset()?;
                    let path = format!("/3442/0/{id}");
                    let body = json!({"value": value});
                    self.operate("PUT", &format!("resources{path}?format={format}"), Some(&body), "2.04")?;
                    let other = if format == "tlv" { "senml-cbor" } else { "tlv" };
                    same("value", &self.read(&path, other)?["value"], &value)
                });
            }
        }
        for format in MULTIPLE {
            report.case(&format!("leshan-device/write/partial-update/{format}"), || {
                self.updates_partly(format)
            });
            report.case(&format!("leshan-device/write/replace-instance/{format}"), || self.replaces(format));
            report.case(&format!("leshan-device/write/multiple-resource/{format}"), || {
                self.reset()?;
                let body = json!({"instances": {"1": 5, "7": -6}});
                self.operate("PUT", &format!("resources/3442/0/1120?format={format}"), Some(&body), "2.04")?;
                same("instances", &self.read("/3442/0/1120", "tlv")?["instances"], &body["instances"])
            });
        }
        report.case("leshan-device/write/lifetime-triggers-update", || {
            self.operate("PUT", "resources/1/0/1", Some(&json!({"value": 1800})), "2.04")?;
            eventually(SOON, || {
                let registration = self.serve.registered(ENDPOINT, Duration::ZERO)?;
                same("lifetime_s", &registration["lifetime_s"], &json!(1800))
            })
        });
    }

    fn updates_partly(&self, format: &str) -> Check {
        self.reset()?;
        let body = json!({"resources": {"110": {"value": "partly"}, "140": {"value": false}}});
        self.operate("PATCH", &format!("resources/3442/0?format={format}"), Some(&body), "2.04")?;
        let content = self.read("/3442/0", "senml-json")?;
        same("110", &content["resources"]["110"]["value"], &json!("partly"))?;
        same("140", &content["resources"]["140"]["value"], &json!(false))?;
        same("120, not written", &content["resources"]["120"]["value"], &json!(1024))
    }

    fn replaces(&self, format: &str) -> Check {
        self.reset()?;
        let body = json!({"resources": {"110": {"value": "only this"}}});
        self.operate("PUT", &format!("resources/3442/0?format={format}"), Some(&body), "2.04")?;
        let content = self.read("/3442/0", "senml-json")?;
        same("110", &content["resources"]["110"]["value"], &json!("only this"))?;
        holds(content["resources"]["120"].is_null(), || "Replace left /3442/0/120 in place".to_owned())
    }

    fn executes(&self, report: &mut Report) {
        report.case("leshan-device/execute/without-arguments", || {
            self.operate("PUT", "resources/3442/0/120", Some(&json!({"value": 1})), "2.04")?;
            self.reset()?;
            same("value", &self.read("/3442/0/120", "tlv")?["value"], &json!(1024))
        });
        report.case("leshan-device/execute/with-arguments", || {
            self.operate(
                "POST",
                "execute/3442/0/3",
                Some(&json!({"arguments": "0='x-y',1,4='42'"})),
                "2.04",
            )?;
            let instances = self.read("/3442/0/4", "tlv")?["instances"].clone();
            same("arguments received", &instances, &json!({"0": "x-y", "1": "", "4": "42"}))
        });
        report.case("leshan-device/execute/not-executable", || {
            self.operate("POST", "execute/3442/0/110", None, "4.05").map(drop)
        });
    }

    fn creates_and_deletes(&self, report: &mut Report) {
        for (instance, format) in (5..).zip(MULTIPLE) {
            report.case(&format!("leshan-device/create/with-id/{format}"), || {
                let path = format!("/3442/{instance}");
                let body = json!({"path": path, "resources": {"110": {"value": "made"}}});
                self.operate("POST", &format!("resources/3442?format={format}"), Some(&body), "2.01")?;
                same("value", &self.read(&format!("{path}/110"), "tlv")?["value"], &json!("made"))?;
                self.lists(&path, true)
            });
            report.case(&format!("leshan-device/delete/{instance}"), || {
                let path = format!("/3442/{instance}");
                self.operate("DELETE", &format!("resources{path}"), None, "2.02")?;
                self.operate("GET", &format!("resources{path}"), None, "4.04")?;
                self.lists(&path, false)
            });
        }
        report.case("leshan-device/create/without-id", || {
            let body = json!({"resources": {"110": {"value": "made"}}});
            let answer = self.operate("POST", "resources/3442?format=tlv", Some(&body), "2.01")?;
            let text = answer.to_string();
            holds(text.contains("3442/1"), || format!("the answer does not name the new instance: {text}"))?;
            self.operate("DELETE", "resources/3442/1", None, "2.02").map(drop)
        });
    }

    /// Whether the registration lists an instance, soon.
    fn lists(&self, path: &str, wanted: bool) -> Check {
        eventually(SOON, || {
            let registration = self.serve.registered(ENDPOINT, Duration::ZERO)?;
            let listed =
                registration["objects"].as_array().is_some_and(|all| all.iter().any(|o| o["path"] == path));
            holds(listed == wanted, || format!("registration lists {path}: {listed}, expected {wanted}"))
        })
    }

    fn discovers_and_sets_attributes(&self, report: &mut Report) {
        let has = |answer: &Value, path: &str| {
            let links = answer["content"]["links"].as_array().cloned().unwrap_or_default();
            links.into_iter().find(|link| link["path"] == path)
        };
        for (at, inside) in [("/3", "/3/0/1"), ("/3/0", "/3/0/1"), ("/3/0/1", "/3/0/1")] {
            report.case(&format!("leshan-device/discover{at}"), || {
                let answer = self.operate("GET", &format!("discover{at}"), None, "2.05")?;
                has(&answer, inside).map(drop).ok_or(format!("{inside} is not in {answer}"))
            });
        }
        report.case("leshan-device/write-attributes", || {
            let set = json!({"pmin": 1, "pmax": 60, "gt": 2000, "lt": 10, "st": 5.5});
            self.operate("PUT", "attributes/3442/0/120", Some(&set), "2.04")?;
            let answer = self.operate("GET", "discover/3442/0/120", None, "2.05")?;
            let link = has(&answer, "/3442/0/120").ok_or(format!("/3442/0/120 is not in {answer}"))?;
            for (name, value) in set.as_object().into_iter().flatten() {
                let found = link["attributes"][name].as_f64();
                same(name, &found, &value.as_f64())?;
            }
            let unset = json!({"pmin": null, "pmax": null, "gt": null, "lt": null, "st": null});
            self.operate("PUT", "attributes/3442/0/120", Some(&unset), "2.04")?;
            let answer = self.operate("GET", "discover/3442/0/120", None, "2.05")?;
            let link = has(&answer, "/3442/0/120").ok_or(format!("/3442/0/120 is not in {answer}"))?;
            holds(link["attributes"]["gt"].is_null(), || format!("gt is still set: {link}"))
        });
    }

    fn observes(&self, report: &mut Report) {
        for format in SINGLE {
            report.case(&format!("leshan-device/observe/resource/{format}"), || {
                self.observes_a_resource(format)
            });
        }
        for format in MULTIPLE {
            report.case(&format!("leshan-device/observe/instance/{format}"), || {
                self.reset()?;
                let answer =
                    self.operate("PUT", &format!("observations/3442/0?format={format}"), None, "2.05")?;
                same("format", &answer["format"], &json!(format))?;
                self.operate("PUT", "resources/3442/0/110", Some(&json!({"value": "seen"})), "2.04")?;
                self.last_value("/3442/0", |node| node["resources"]["110"]["value"] == "seen")?;
                self.operate("DELETE", "observations/3442/0", None, "2.05").map(drop)
            });
        }
    }

    fn observes_a_resource(&self, format: &str) -> Check {
        self.reset()?;
        let answer =
            self.operate("PUT", &format!("observations/3442/0/120?format={format}"), None, "2.05")?;
        same("first value", &answer["content"]["value"], &json!(1024))?;
        same("format", &answer["format"], &json!(format))?;
        for value in [7, 8, 9] {
            self.operate("PUT", "resources/3442/0/120", Some(&json!({"value": value})), "2.04")?;
            self.last_value("/3442/0/120", |node| node["value"] == value)?;
        }
        self.operate("DELETE", "observations/3442/0/120", None, "2.05")?;
        let answer = self.serve.rest.get(&format!("endpoints/{ENDPOINT}/observations"))?;
        holds(!answer.body.to_string().contains("/3442/0/120"), || format!("still observed: {}", answer.body))
    }

    /// Waits until the observation's last reported content passes.
    fn last_value(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Check {
        eventually(SOON, || {
            let answer = self.serve.rest.get(&format!("endpoints/{ENDPOINT}/observations"))?;
            let items = answer.body["items"].as_array().cloned().unwrap_or_default();
            let item = items
                .iter()
                .find(|item| item["path"] == path)
                .ok_or(format!("no {path} in {}", answer.body))?;
            let nodes = item["content"].as_array().cloned().unwrap_or_default();
            holds(nodes.iter().any(&wanted), || format!("last content is {}", item["content"]))
        })
    }

    fn is_refused(&self, report: &mut Report) {
        report.case("leshan-device/refused/read-missing-resource", || {
            self.operate("GET", "resources/3/0/99", None, "4.04").map(drop)
        });
        report.case("leshan-device/refused/read-missing-instance", || {
            self.operate("GET", "resources/3/7", None, "4.04").map(drop)
        });
        report.case("leshan-device/refused/write-read-only", || {
            self.operate("PUT", "resources/3/0/2", Some(&json!({"value": "x"})), "4.05").map(drop)
        });
        report.case("leshan-device/refused/delete-device-object", || {
            self.operate("DELETE", "resources/3/0", None, "4.05").map(drop)
        });
        report.case("leshan-device/refused/wrong-type-stays-here", || {
            let path = format!("endpoints/{ENDPOINT}/resources/3442/0/120");
            self.serve.rest.refuse("PUT", &path, Some(&json!({"value": "no number"})), 422)
        });
    }
}
