//! Our device at a server on Leshan's library: the same operations from the other side.

use super::{World, start};
use crate::leshan::LeshanServer;
use crate::lightship::Device;
use crate::ports::at_free_port;
use crate::report::{Check, Report, holds, same};
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const ENDPOINT: &str = "lightship-device";
const SINGLE: [&str; 5] = ["TEXT", "CBOR", "TLV", "SENML_JSON", "SENML_CBOR"];
const MULTIPLE: [&str; 3] = ["TLV", "SENML_JSON", "SENML_CBOR"];
const SOON: Duration = Duration::from_secs(30);

/// Resource of the test object, its type, a value to write (as the peer's lines spell values).
const TYPED: [(u16, &str, &str); 8] = [
    (110, "string", "Grüße, 世界"),
    (120, "integer", "-70000"),
    (125, "unsigned", "9223372036854775809"),
    (130, "float", "-0.25"),
    (140, "boolean", "false"),
    (150, "opaque", "AP8Qgg=="),
    (160, "time", "1700000000"),
    (170, "objlnk", "3303:0"),
];

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let Some(mut site) = start(report, "leshan-server/registers", || Site::start(world)) else { return };
    site.reads(report);
    site.writes(report);
    site.links_point_at_something(report);
    site.executes(report);
    site.creates_and_deletes(report);
    site.discovers_and_sets_attributes(report);
    site.observes(report);
    site.is_refused(report);
    report.case("leshan-server/updates", || {
        site.server.process.skip_output();
        site.device.obey("update")?;
        site.server.event("updated", SOON).map(drop)
    });
    report.case("leshan-server/registers-again-after-4.04", || {
        site.server.process.kill();
        site.server = site_server(world, site.port)?;
        site.device.obey("update")?;
        site.server.event("registered", Duration::from_secs(60)).map(drop)
    });
    report.case("leshan-server/deregisters", || {
        same("exit code", &site.device.process.close_and_wait(SOON)?, &0)?;
        site.server.event("deregistered", SOON).map(drop)
    });
}

struct Site {
    server: LeshanServer,
    device: Device,
    port: u16,
}

fn site_server(world: &World, port: u16) -> Result<LeshanServer, String> {
    let class_path = tools::leshan_class_path(&world.folders)?;
    LeshanServer::start(&class_path, &world.program.logs, port, ENDPOINT)
}

impl Site {
    fn start(world: &World) -> Result<Self, String> {
        let (port, mut server) = at_free_port(|port| Ok((port, site_server(world, port)?)))?;
        let uri = format!("coap://127.0.0.1:{port}");
        let mut device =
            Device::start(&world.program, &uri, ENDPOINT, &["--lifetime", "3600", "--lwm2m", "1.1"])?;
        device.event("registered", SOON)?;
        server.event("registered", SOON)?;
        let registration = server.order(json!({"op": "registration"}))?;
        same("lifetime", &registration["lifetime"], &json!(3600))?;
        same("version", &registration["version"], &json!("1.1"))?;
        let links = registration["links"].to_string();
        for object in ["</1/0>", "</3/0>", "</3303/0>", "</3442/0>"] {
            holds(links.contains(object), || format!("{object} is not among {links}"))?;
        }
        Ok(Self { server, device, port })
    }

    fn expect(&mut self, request: Value, code: &str) -> Result<Value, String> {
        self.server.expect(request, code)
    }

    fn reads(&mut self, report: &mut Report) {
        for format in MULTIPLE {
            report.case(&format!("leshan-server/read/3/0/{format}"), || {
                let answer = self.expect(json!({"op": "read", "path": "/3/0", "format": format}), "2.05")?;
                let maker = answer["content"]["/3/0/0"].as_str().unwrap_or_default();
                holds(!maker.is_empty(), || format!("no manufacturer in {answer}"))
            });
            for path in ["/3", "/1", "/3303", "/3442", "/3442/0", "/3442/0/1120"] {
                report.case(&format!("leshan-server/read{path}/{format}"), || {
                    let answer =
                        self.expect(json!({"op": "read", "path": path, "format": format}), "2.05")?;
                    let found = answer["content"].as_object().map_or(0, serde_json::Map::len);
                    holds(found > 0, || format!("nothing in {answer}"))
                });
            }
        }
        for format in ["SENML_JSON", "SENML_CBOR"] {
            report.case(&format!("leshan-server/read/all-types-agree-with-tlv/{format}"), || {
                let tlv = self.expect(json!({"op": "read", "path": "/3442/0", "format": "TLV"}), "2.05")?;
                let other =
                    self.expect(json!({"op": "read", "path": "/3442/0", "format": format}), "2.05")?;
                same("content", &other["content"], &tlv["content"])
            });
        }
        report.case("leshan-server/read/no-format-asked", || {
            self.expect(json!({"op": "read", "path": "/3/0"}), "2.05").map(drop)
        });
    }

    fn links_point_at_something(&mut self, report: &mut Report) {
        for (link, code) in [("3303:0", "2.04"), ("65535:65535", "2.04"), ("3303:77", "4.00")] {
            report.case(&format!("leshan-server/write-object-link/{link}"), || {
                let write = json!({"op": "write", "path": "/3442/0/170", "format": "TLV", "value": link});
                self.expect(write, code).map(drop)
            });
        }
    }

    fn writes(&mut self, report: &mut Report) {
        for (id, kind, value) in TYPED {
            let opaque = (id == 150).then_some("OPAQUE");
            let path = format!("/3442/0/{id}");
            for format in SINGLE.into_iter().chain(opaque) {
                report.case(&format!("leshan-server/write-and-read/{kind}/{format}"), || {
                    self.expect(json!({"op": "execute", "path": "/3442/0/2"}), "2.04")?;
                    let write = json!({"op": "write", "path": path, "format": format, "value": value});
                    self.expect(write, "2.04")?;
                    self.server.reads(&path, format, value)?;
                    self.server.reads(&path, "SENML_CBOR", value)
                });
            }
        }
        for format in MULTIPLE {
            report.case(&format!("leshan-server/write/partial-update/{format}"), || {
                self.expect(json!({"op": "execute", "path": "/3442/0/0"}), "2.04")?;
                let before = self.expect(json!({"op": "read", "path": "/3442/0/120"}), "2.05")?;
                let resources = json!({"110": "partly", "140": "false"});
                let write =
                    json!({"op": "write", "path": "/3442/0", "update": true, "format": format, "resources": resources});
                self.expect(write, "2.04")?;
                self.server.reads("/3442/0/110", "TLV", "partly")?;
                let after = self.expect(json!({"op": "read", "path": "/3442/0/120"}), "2.05")?;
                same("/3442/0/120, not written", &after["content"], &before["content"])
            });
            report.case(&format!("leshan-server/write/replace-instance/{format}"), || {
                let write =
                    json!({"op": "write", "path": "/3442/0", "format": format, "resources": {"110": "only"}});
                self.expect(write, "2.04")?;
                self.server.reads("/3442/0/110", "TLV", "only")
            });
            report.case(&format!("leshan-server/write/multiple-resource/{format}"), || {
                let value = json!({"1": "5", "7": "-6"});
                let write = json!({"op": "write", "path": "/3442/0/1120", "format": format, "value": value});
                self.expect(write, "2.04")?;
                let answer =
                    self.expect(json!({"op": "read", "path": "/3442/0/1120", "format": "TLV"}), "2.05")?;
                same("content", &answer["content"], &json!({"/3442/0/1120/1": "5", "/3442/0/1120/7": "-6"}))
            });
        }
    }

    fn executes(&mut self, report: &mut Report) {
        report.case("leshan-server/execute/with-arguments", || {
            self.expect(
                json!({"op": "execute", "path": "/3442/0/3", "arguments": "0='x-y',1,4='42'"}),
                "2.04",
            )?;
            let answer = self.expect(json!({"op": "read", "path": "/3442/0/4", "format": "TLV"}), "2.05")?;
            same("first argument", &answer["content"]["/3442/0/4/0"], &json!("x-y"))
        });
        for (path, what) in [("/3442/0/110", "not-executable"), ("/3/0/9", "read-only")] {
            report.case(&format!("leshan-server/execute/{what}"), || {
                self.expect(json!({"op": "execute", "path": path}), "4.05").map(drop)
            });
        }
    }

    fn creates_and_deletes(&mut self, report: &mut Report) {
        for (instance, format) in (5..).zip(MULTIPLE) {
            report.case(&format!("leshan-server/create-and-delete/{format}"), || {
                let create = json!({"op": "create", "path": "/3442", "instance": instance, "format": format, "resources": {"110": "made"}});
                self.expect(create, "2.01")?;
                self.server.reads(&format!("/3442/{instance}/110"), "TLV", "made")?;
                self.expect(json!({"op": "delete", "path": format!("/3442/{instance}")}), "2.02")?;
                self.expect(json!({"op": "read", "path": format!("/3442/{instance}")}), "4.04").map(drop)
            });
        }
        report.case("leshan-server/create/without-id", || {
            let create =
                json!({"op": "create", "path": "/3442", "resources": {"110": "made"}, "format": "TLV"});
            let answer = self.expect(create, "2.01")?;
            let place = answer["location"].as_str().ok_or(format!("no location in {answer}"))?.to_owned();
            self.expect(
                json!({"op": "delete", "path": format!("/{}", place.trim_start_matches('/'))}),
                "2.02",
            )
            .map(drop)
        });
    }

    fn discovers_and_sets_attributes(&mut self, report: &mut Report) {
        for (path, inside) in
            [("/3", "</3/0>"), ("/3/0", "</3/0/0>"), ("/3/0/0", "</3/0/0>"), ("/3442/0", "</3442/0/110>")]
        {
            report.case(&format!("leshan-server/discover{path}"), || {
                let answer = self.expect(json!({"op": "discover", "path": path}), "2.05")?;
                holds(answer["links"].to_string().contains(inside), || format!("{inside} is not in {answer}"))
            });
        }
        report.case("leshan-server/write-attributes", || {
            self.expect(json!({"op": "execute", "path": "/3442/0/0"}), "2.04")?;
            let query = "pmin=1&pmax=60&gt=2000&lt=10&st=5.5";
            self.expect(json!({"op": "attributes", "path": "/3442/0/120", "query": query}), "2.04")?;
            let answer = self.expect(json!({"op": "discover", "path": "/3442/0/120"}), "2.05")?;
            let links = answer["links"].to_string();
            for attribute in query.split('&') {
                holds(links.contains(attribute), || format!("{attribute} is not in {links}"))?;
            }
            self.expect(
                json!({"op": "attributes", "path": "/3442/0/120", "query": "pmin&pmax&gt&lt&st"}),
                "2.04",
            )?;
            let answer = self.expect(json!({"op": "discover", "path": "/3442/0/120"}), "2.05")?;
            holds(!answer["links"].to_string().contains("gt="), || format!("gt is still set: {answer}"))
        });
    }

    fn observes(&mut self, report: &mut Report) {
        for format in SINGLE {
            report.case(&format!("leshan-server/observe/{format}"), || {
                self.device.obey("set /3303/0/5700 20.5")?;
                let observe = json!({"op": "observe", "path": "/3303/0/5700", "format": format});
                let answer = self.expect(observe, "2.05")?;
                same("first value", &answer["content"]["/3303/0/5700"], &json!("20.5"))?;
                self.notified("21.25")?;
                self.notified("-3.5")?;
                self.expect(json!({"op": "cancel", "path": "/3303/0/5700"}), "2.05").map(drop)
            });
        }
        report.case("leshan-server/observe/cancelled-by-reset", || {
            self.expect(json!({"op": "observe", "path": "/3303/0/5700"}), "2.05")?;
            self.server.order(json!({"op": "cancel-passive", "path": "/3303/0/5700"}))?;
            self.server.process.skip_output();
            self.device.obey("set /3303/0/5700 30.5")?;
            match self.server.event("notified", Duration::from_secs(2)) {
                Ok(event) => Err(format!("notified after the cancellation: {event}")),
                Err(_) => Ok(()),
            }
        });
    }

    fn notified(&mut self, value: &str) -> Check {
        self.device.obey(&format!("set /3303/0/5700 {value}"))?;
        let event = self.server.event("notified", SOON)?;
        same("notified value", &event["content"]["/3303/0/5700"], &json!(value))
    }

    fn is_refused(&mut self, report: &mut Report) {
        let cases = [
            ("read-missing-resource", json!({"op": "read", "path": "/3/0/99"}), "4.04"),
            ("read-missing-instance", json!({"op": "read", "path": "/3/7"}), "4.04"),
            ("read-missing-object", json!({"op": "read", "path": "/9999"}), "4.04"),
            ("read-not-readable", json!({"op": "read", "path": "/3/0/4"}), "4.05"),
            ("write-read-only", json!({"op": "write", "path": "/3/0/2", "value": "x"}), "4.05"),
            ("delete-device", json!({"op": "delete", "path": "/3/0"}), "4.05"),
        ];
        for (name, request, code) in cases {
            report.case(&format!("leshan-server/refused/{name}"), || {
                self.expect(request.clone(), code).map(drop)
            });
        }
    }
}
