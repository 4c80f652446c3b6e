//! Both directions under one set of orders: Leshan's device at our server, and our device at Leshan's server.
//!
//! An order is a JSON object `{"op", "path", …}` as `leshan/LeshanServer.java` takes it; towards our server it becomes a
//! REST request. What a path holds comes back as text under its full path, so that a case is written once.

use crate::leshan::{LeshanDevice, LeshanServer};
use crate::lightship::{Device, Serve};
use crate::ports::at_free_port;
use crate::process::Process;
use crate::relay::{Edit, Relay};
use crate::report::{Check, same};
use crate::suites::World;
use crate::tools;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long anything may take that is only waited for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Values by path.
pub(crate) type Values = BTreeMap<String, String>;

/// What an order came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The device's code, or `http N` when our server refused, or `refused: …` when Leshan's did.
    pub(crate) code: String,
    pub(crate) values: Values,
    /// What Discover listed: path and attributes, as in `</3/0>;pmin=5`.
    pub(crate) links: Vec<String>,
    pub(crate) location: String,
    pub(crate) format: String,
}

/// A notification, or data that was sent.
#[derive(Debug)]
pub(crate) struct Told {
    /// The code of the notification, where the server tells it.
    pub(crate) code: String,
    pub(crate) values: Values,
    /// The values of each moment that has a time.
    pub(crate) moments: Vec<Values>,
}

/// A device and a server, one of them ours.
pub(crate) trait Side {
    /// Whether the device is ours.
    fn ours(&self) -> bool;

    /// Gives the server an order.
    fn ask(&mut self, order: Value) -> Result<Outcome, String>;

    /// Waits for the next notification: of a path, or of the composite observation when the path is empty.
    fn notified(&mut self, path: &str, limit: Duration) -> Result<Told, String>;

    /// Waits for data that the device sends.
    fn sent(&mut self, limit: Duration) -> Result<Told, String>;

    /// Forgets what the server told so far.
    fn forget(&mut self);

    /// The relay between the two.
    fn relay(&self) -> &Relay;

    /// The same with a code that must come back.
    fn expect(&mut self, order: Value, code: &str) -> Result<Outcome, String> {
        let shown = order.to_string();
        let outcome = self.ask(order)?;
        if outcome.code == code {
            Ok(outcome)
        } else {
            Err(format!("{shown}: expected {code}, got {outcome:?}"))
        }
    }

    /// Writes one value, in TLV.
    fn write(&mut self, path: &str, value: Value) -> Check {
        self.expect(json!({"op": "write", "path": path, "format": "tlv", "value": value}), "2.04").map(drop)
    }

    /// What a path holds.
    fn read(&mut self, path: &str, format: &str) -> Result<Values, String> {
        Ok(self.expect(json!({"op": "read", "path": path, "format": format}), "2.05")?.values)
    }

    /// Puts the test object back to what it was at first.
    fn reset(&mut self) -> Check {
        self.expect(json!({"op": "execute", "path": "/3442/0/0"}), "2.04").map(drop)
    }

    /// The links of a Discover.
    fn discover(&mut self, path: &str) -> Result<Vec<String>, String> {
        Ok(self.expect(json!({"op": "discover", "path": path}), "2.05")?.links)
    }

    /// Nothing must be told of this path for so long.
    fn silent(&mut self, path: &str, time: Duration) -> Check {
        match self.notified(path, time) {
            Ok(told) => Err(format!("{path} was notified: {told:?}")),
            Err(_) => Ok(()),
        }
    }
}

/// Leshan's device at our server.
pub(crate) struct Theirs {
    pub(crate) serve: Serve,
    pub(crate) device: LeshanDevice,
    relay: Relay,
    events: Process,
    name: String,
}

impl Theirs {
    /// Starts both; the device registers through a relay.
    pub(crate) fn start(world: &World, name: &str, edit: Edit) -> Result<Self, String> {
        Self::start_with(world, name, edit, 3600, &[], &[])
    }

    /// The same with a lifetime, flags for the device and flags for our server.
    pub(crate) fn start_with(
        world: &World,
        name: &str,
        edit: Edit,
        lifetime_s: u32,
        flags: &[&str],
        more: &[&str],
    ) -> Result<Self, String> {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let serve = Serve::start(&world.program, &format!("serve-{name}"), more)?;
        let relay = Relay::start(serve.coap, edit)?;
        let mut events = follow(world, &serve, name)?;
        let uri = format!("coap://{}", relay.front);
        let mut device =
            LeshanDevice::start_with(&class_path, &world.program.logs, &uri, name, lifetime_s, flags)?;
        device.registered()?;
        serve.registered(name, SOON)?;
        events.wait_for("registered", SOON, |line| line.contains("registered").then_some(()))?;
        Ok(Self { serve, device, relay, events, name: name.to_owned() })
    }

    /// The registration as REST shows it.
    pub(crate) fn registration(&self) -> Result<Value, String> {
        self.serve.registered(&self.name, Duration::ZERO)
    }

    /// Another device of the same name, through the same relay.
    pub(crate) fn again(&mut self, world: &World, lifetime_s: u32, flags: &[&str]) -> Check {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let uri = format!("coap://{}", self.relay.front);
        let logs = &world.program.logs;
        self.device = LeshanDevice::start_with(&class_path, logs, &uri, &self.name, lifetime_s, flags)?;
        self.device.registered().map(drop)
    }

    /// Waits for an event of our server by its type.
    pub(crate) fn event(&mut self, kind: &str, limit: Duration) -> Result<Value, String> {
        self.events.wait_for(kind, limit, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["type"] == kind).then_some(event)
        })
    }

    /// The types of all events of our server up to the next of this type, which is the last of them.
    pub(crate) fn kinds_until(&mut self, last: &str, limit: Duration) -> Result<Vec<String>, String> {
        let mut kinds = Vec::new();
        self.events.wait_for(last, limit, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            kinds.push(event["type"].as_str()?.to_owned());
            (event["type"] == last).then_some(())
        })?;
        Ok(kinds)
    }

    fn told(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Told, String> {
        self.events.wait_for(what, limit, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            wanted(&event).then(|| {
                let nodes = event["content"].as_array().cloned().unwrap_or_default();
                let mut moments: BTreeMap<String, Values> = BTreeMap::new();
                let mut values = Values::new();
                for node in &nodes {
                    let mut own = Values::new();
                    flatten(node["path"].as_str().unwrap_or_default(), node, &mut own);
                    if let Some(time) = node["time"].as_str() {
                        moments.entry(time.to_owned()).or_default().extend(own.clone());
                    }
                    values.extend(own);
                }
                if let Some(latest) = moments.values().next_back() {
                    values.extend(latest.clone());
                }
                let code = event["code"].as_str().unwrap_or_default().to_owned();
                Told { code, values, moments: moments.into_values().collect() }
            })
        })
    }
}

/// What our server tells of a device, an event a line.
pub(crate) fn follow(world: &World, serve: &Serve, endpoint: &str) -> Result<Process, String> {
    let mut command = world.program.command();
    command.args(["ctl", "--url", &format!("http://{}", serve.rest.address()), "--json", "events"]);
    // From the oldest on, so that nothing is missed while the follower starts.
    command.args(["--follow", "--after", "0", "--endpoint", endpoint]);
    if let Some(token) = serve.rest.token {
        command.env("LIGHTSHIP_TOKEN", token);
    }
    Process::start(command, &world.program.logs.join(format!("events-{endpoint}.log")))
}

impl Side for Theirs {
    fn ours(&self) -> bool {
        false
    }

    fn ask(&mut self, order: Value) -> Result<Outcome, String> {
        let outcome = self.answer(&order)?;
        // The answer comes first, the event after it: whatever comes later is no rest of this observation.
        if order["op"].as_str().is_some_and(|op| op.starts_with("cancel")) && outcome.code == "2.05" {
            let path = order["path"].as_str().unwrap_or_default();
            self.told("the end of the observation", SOON, |event| {
                event["type"] == "observation_cancelled" && is_about(event, path)
            })?;
        }
        Ok(outcome)
    }

    fn notified(&mut self, path: &str, limit: Duration) -> Result<Told, String> {
        self.told("notified", limit, |event| {
            (event["type"] == "notified" || event["type"] == "observation_cancelled") && is_about(event, path)
        })
    }

    fn sent(&mut self, limit: Duration) -> Result<Told, String> {
        self.told("sent", limit, |event| event["type"] == "sent")
    }

    fn forget(&mut self) {
        self.events.skip_output();
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }
}

/// Whether an event is about the observation of a path, or about a composite one when the path is empty.
fn is_about(event: &Value, path: &str) -> bool {
    if path.is_empty() { event["name"].is_string() } else { event["path"] == path }
}

impl Theirs {
    fn answer(&self, order: &Value) -> Result<Outcome, String> {
        let (method, rest, body) = as_rest(order)?;
        let path = format!("endpoints/{}/{rest}", self.name);
        let answer = self.serve.rest.send(method, &path, body.as_ref())?;
        let mut outcome = Outcome::default();
        let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
        outcome.code = text("code");
        if outcome.code.is_empty() {
            outcome.code = format!("http {}", answer.status);
        }
        outcome.location = text("location");
        outcome.format = text("format");
        let content = &answer.body["content"];
        let at = content["path"].as_str().or(order["path"].as_str()).unwrap_or_default();
        flatten(at, content, &mut outcome.values);
        for node in content["nodes"].as_array().or(content.as_array()).into_iter().flatten() {
            flatten(node["path"].as_str().unwrap_or_default(), node, &mut outcome.values);
        }
        for link in content["links"].as_array().into_iter().flatten() {
            let mut line = format!("<{}>", link["path"].as_str().unwrap_or_default());
            for (name, value) in link["attributes"].as_object().into_iter().flatten() {
                let value = value.as_f64().map_or(value.to_string(), |number| number.to_string());
                line.push_str(&format!(";{name}={value}"));
            }
            outcome.links.push(line);
        }
        Ok(outcome)
    }
}

/// Method, place below the endpoint and body of an order.
fn as_rest(order: &Value) -> Result<(&'static str, String, Option<Value>), String> {
    let path = order["path"].as_str().unwrap_or_default();
    let choice = |name: &str| order[name].as_str().map(|value| format!("{name}={value}"));
    let choices: Vec<String> = [choice("format"), choice("check")].into_iter().flatten().collect();
    let format = if choices.is_empty() { String::new() } else { format!("?{}", choices.join("&")) };
    let body = || {
        let value = &order["value"];
        if value.is_object() {
            json!({"instances": value})
        } else if value.is_null() {
            json!({"resources": resources(&order["resources"])})
        } else {
            json!({"value": value})
        }
    };
    let paths = || Some(json!({"paths": order["paths"]}));
    Ok(match order["op"].as_str().unwrap_or_default() {
        "read" => ("GET", format!("resources{path}{format}"), None),
        "write" if order["update"] == true => ("PATCH", format!("resources{path}{format}"), Some(body())),
        "write" => ("PUT", format!("resources{path}{format}"), Some(body())),
        "create" => {
            let instances = order["instances"].as_object().map(|instances| {
                let each = instances
                    .iter()
                    .map(|(id, one)| (id.clone(), json!({"resources": resources(&one["resources"])})));
                json!({"path": path, "instances": each.collect::<Map<_, _>>()})
            });
            let one = || match order["instance"].as_u64() {
                Some(id) => {
                    json!({"path": format!("{path}/{id}"), "resources": resources(&order["resources"])})
                }
                None => body(),
            };
            ("POST", format!("resources{path}{format}"), Some(instances.unwrap_or_else(one)))
        }
        "delete" => ("DELETE", format!("resources{path}{format}"), None),
        "execute" => {
            let arguments = order["arguments"].as_str().map(|arguments| json!({"arguments": arguments}));
            ("POST", format!("execute{path}{format}"), arguments)
        }
        "discover" => ("GET", format!("discover{path}{format}"), None),
        "attributes" => {
            let query = order["query"].as_str().unwrap_or_default();
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, value)) => (name.to_owned(), serde_json::from_str(value).unwrap_or(Value::Null)),
                None => (pair.to_owned(), Value::Null),
            });
            ("PUT", format!("attributes{path}"), Some(Value::Object(pairs.collect())))
        }
        "observe" => ("PUT", format!("observations{path}{format}"), None),
        "cancel" => ("DELETE", format!("observations{path}"), None),
        "read-composite" => ("POST", format!("composite/read{format}"), paths()),
        "write-composite" => {
            let values = order["values"].as_object().cloned().unwrap_or_default();
            let nodes = values.iter().map(|(path, value)| json!({"path": path, "value": value}));
            ("POST", format!("composite/write{format}"), Some(json!({"nodes": nodes.collect::<Vec<_>>()})))
        }
        "observe-composite" => ("PUT", format!("composite/observations/watch{format}"), paths()),
        "cancel-composite" => ("DELETE", "composite/observations/watch".to_owned(), None),
        other => return Err(format!("our server has no order {other:?}")),
    })
}

/// `{"120": 5}` as the API has it: `{"120": {"value": 5}}`.
fn resources(short: &Value) -> Value {
    let each = short.as_object().into_iter().flatten().map(|(id, value)| {
        let node = if value.is_object() { json!({"instances": value}) } else { json!({"value": value}) };
        (id.clone(), node)
    });
    Value::Object(each.collect())
}

/// Every value of a Node under its full path, as text.
fn flatten(path: &str, node: &Value, out: &mut Values) {
    let path = path.trim_end_matches('/');
    if let Some(value) = node.get("value") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.insert(path.to_owned(), text);
    }
    for level in ["objects", "instances", "resources"] {
        for (id, inner) in node[level].as_object().into_iter().flatten() {
            let below = format!("{path}/{id}");
            if inner.is_object() {
                flatten(&below, inner, out);
            } else {
                flatten(&below, &json!({"value": inner}), out);
            }
        }
    }
}

/// Our device at Leshan's server.
pub(crate) struct Ours {
    pub(crate) server: LeshanServer,
    pub(crate) device: Device,
    relay: Relay,
}

impl Ours {
    /// Starts both; the device registers through a relay, with the flags in `more`.
    pub(crate) fn start(world: &World, name: &str, more: &[&str]) -> Result<Self, String> {
        Self::start_through(world, name, more, crate::relay::unchanged)
    }

    /// The same, with a relay that changes what the device says.
    pub(crate) fn start_through(
        world: &World,
        name: &str,
        more: &[&str],
        edit: Edit,
    ) -> Result<Self, String> {
        Self::start_awake(world, name, more, edit, Duration::from_secs(93))
    }

    /// The same; the server takes a device in Queue Mode for awake so long.
    pub(crate) fn start_awake(
        world: &World,
        name: &str,
        more: &[&str],
        edit: Edit,
        awake: Duration,
    ) -> Result<Self, String> {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let logs = &world.program.logs;
        let launch = |port| Ok((port, LeshanServer::start_awake(&class_path, logs, port, name, awake)?));
        let (port, mut server) = at_free_port(launch)?;
        let relay = Relay::start(([127, 0, 0, 1], port).into(), edit)?;
        let uri = format!("coap://{}", relay.front);
        let mut device = Device::start(&world.program, &uri, name, more)?;
        device.event("registered", SOON)?;
        server.event("registered", SOON)?;
        Ok(Self { server, device, relay })
    }
}

impl Side for Ours {
    fn ours(&self) -> bool {
        true
    }

    fn ask(&mut self, mut order: Value) -> Result<Outcome, String> {
        for name in ["format", "answer"] {
            if let Some(format) = order[name].as_str() {
                order[name] = json!(format.to_uppercase().replace('-', "_"));
            }
        }
        let answer = self.server.order(order)?;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let refused = || format!("refused: {}", text("error"));
        let code = answer["code"].as_str().map_or_else(refused, str::to_owned);
        let links = answer["links"].as_array().into_iter().flatten();
        Ok(Outcome {
            code,
            values: values(&answer["content"]),
            links: links.filter_map(Value::as_str).map(str::to_owned).collect(),
            location: text("location"),
            format: String::new(),
        })
    }

    fn notified(&mut self, path: &str, limit: Duration) -> Result<Told, String> {
        let name = if path.is_empty() { "notified-composite" } else { "notified" };
        self.told(name, limit, |line| path.is_empty() || line["path"] == path)
    }

    fn sent(&mut self, limit: Duration) -> Result<Told, String> {
        self.told("sent", limit, |_| true)
    }

    fn forget(&mut self) {
        self.server.overtaken.clear();
        self.server.process.skip_output();
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }
}

impl Ours {
    /// Waits for an event of Leshan's server; those that came while an answer was waited for are first.
    pub(crate) fn event(&mut self, name: &str, limit: Duration) -> Check {
        self.told(name, limit, |_| true).map(drop)
    }

    /// The next event of that name; those that came while an answer was waited for are first.
    fn told(&mut self, name: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Told, String> {
        while let Some(event) = self.server.overtaken.pop_front() {
            if event["event"] == name && wanted(&event) {
                return Ok(told(&event));
            }
        }
        self.server.process.wait_for(name, limit, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == name && wanted(&line)).then(|| told(&line))
        })
    }
}

fn told(line: &Value) -> Told {
    let moments = line["times"].as_array().into_iter().flatten().filter(|moment| !moment["time"].is_null());
    Told {
        code: line["code"].as_str().unwrap_or_default().to_owned(),
        values: values(&line["content"]),
        moments: moments.map(|moment| values(&moment["content"])).collect(),
    }
}

fn values(content: &Value) -> Values {
    let each = content.as_object().into_iter().flatten();
    each.map(|(path, value)| (path.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// A value that must be among others.
pub(crate) fn holds_value(values: &Values, path: &str, value: &str) -> Check {
    same(path, &values.get(path).map(String::as_str), &Some(value))
}
