//! Answers of the API as text for people.

use super::definition::Definitions;
use super::raw;
use super::value::from_json;
use comfy_table::{ContentArrangement, Table, presets};
use lightship_api::{
    AnswerContent, Command, CommandState, Commands, Content, DownlinkAnswer, Endpoint, Event, Link, Node,
    Observations, Problem, Timestamp, Transmission,
};
use lightship_coap::Code;
use lightship_lwm2m::Path;
use std::cmp::Reverse;
use std::time::Duration;

pub(super) fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table
}

pub(super) fn finish(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

pub(super) fn moment(time: Timestamp) -> String {
    time.to_string()
}

/// One registration.
pub(super) fn registration(item: &Endpoint) -> String {
    let suite = item.security.cipher_suite.as_ref();
    let parts = [Some(json_name(&item.security.mode)), item.security.identity.clone(), suite.cloned()];
    let security = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let binding =
        if item.queue_mode { format!("{} (Queue Mode)", item.binding) } else { item.binding.clone() };
    let objects: Vec<String> = item
        .objects
        .iter()
        .map(|entry| match &entry.version {
            Some(version) => format!("{} ({version})", entry.path),
            None => entry.path.clone(),
        })
        .collect();
    let presence = match (item.awake_until, item.expected_wake) {
        (Some(until), _) => format!("{} until {}", item.state.name(), moment(until)),
        (None, Some(expected)) => format!("{}, expected {}", item.state.name(), moment(expected)),
        (None, None) => item.state.name().to_owned(),
    };
    let mut lines = vec![
        ("endpoint", item.endpoint.clone()),
        ("registration", item.registration_id.clone()),
        ("state", presence),
        ("LwM2M", item.lwm2m_version.clone()),
        ("address", item.address.clone()),
        ("security", security),
        ("binding", binding),
        ("lifetime", format!("{} s", item.lifetime_s)),
        ("registered", moment(item.registered_at)),
        ("updated", moment(item.updated_at)),
        ("expires", item.expires_at.map_or_else(|| "never".to_owned(), moment)),
        ("objects", objects.join(" ")),
    ];
    let more = [
        ("session", item.session.as_ref().map(session)),
        ("patience", item.transmission.as_ref().map(transmission)),
        ("root", item.alternate_path.clone()),
        ("formats", Some(item.content_formats.join(" ")).filter(|formats| !formats.is_empty())),
        ("profile", item.profile_id.clone()),
        ("sms", item.sms.clone()),
        (
            "commands",
            Some(format!("{} waiting", item.commands_waiting)).filter(|_| item.commands_waiting > 0),
        ),
    ];
    lines.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in &item.attributes {
        lines.push((name, value.clone()));
    }
    let deviations: Vec<String> =
        item.deviations.iter().map(|(what, count)| format!("{what} ({count} times)")).collect();
    lines.extend(deviations.into_iter().map(|text| ("deviation", text)));
    lines.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}

/// How long the server waits for the device.
fn transmission(counts: &Transmission) -> String {
    let [shortest, longest] = [100, u64::from(counts.ack_random_percent)]
        .map(|percent| Duration::from_millis(counts.ack_timeout_ms * percent / 100).as_secs_f64());
    let lost = Duration::from_millis(counts.lost_after_ms).as_secs_f64();
    let times = counts.max_retransmit;
    let rule = if counts.rule.is_empty() {
        String::new()
    } else {
        format!(", by the rule for {}", counts.rule.join(" "))
    };
    format!(
        "{shortest} to {longest} s for an acknowledgement, {times} repetitions, lost after {lost} s{rule}"
    )
}

fn session(session: &lightship_api::Session) -> String {
    let how = if session.resumed { "resumed" } else { "full handshake" };
    let cid = session.cid.as_ref().map(|cid| format!(", CID {cid}"));
    let rrc = if session.rrc { ", new addresses are checked" } else { "" };
    let limit = session.record_size_limit.map(|bytes| format!(", records of at most {bytes} bytes"));
    let since = moment(session.opened_at);
    let dropped: Vec<String> = session
        .dropped
        .iter()
        .map(|(reason, count)| format!(", {count} records dropped ({reason})"))
        .collect();
    let more =
        [cid.unwrap_or_default(), rrc.to_owned(), limit.unwrap_or_default(), dropped.concat()].concat();
    format!("{since}, {} s old, {how}{more}", session.age_s)
}

pub(super) fn json_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A device's commands.
pub(super) fn commands(found: &Commands) -> String {
    if found.items.is_empty() {
        return "no command waits or has ended lately".to_owned();
    }
    let mut table = table(["ID", "STATE", "OPERATION", "PATH", "PRIORITY", "CREATED", "ATTEMPTS", "OUTCOME"]);
    let (mut live, ended): (Vec<_>, Vec<_>) = found.items.iter().partition(|item| !item.state.is_final());
    // Those first that leave first; what has ended newest first, as the server lists it.
    live.sort_by_key(|item| {
        (item.state != CommandState::Sent, Reverse(item.priority), item.place, item.created_at)
    });
    for item in live.into_iter().chain(ended) {
        table.add_row([
            item.id.clone(),
            item.state.name().to_owned(),
            item.operation.clone(),
            item.target(),
            item.priority.to_string(),
            moment(item.created_at),
            attempts(item),
            outcome(item),
        ]);
    }
    finish(&table)
}

/// How often it was sent, of how often it may be.
fn attempts(command: &Command) -> String {
    let most = command.attempts_max.map(|most| format!(" of {most}")).unwrap_or_default();
    format!("{}{most}", command.attempts)
}

fn outcome(command: &Command) -> String {
    let code = command.answer.as_ref().map(|answer| answer.code.clone());
    code.into_iter().chain(command.reason.clone()).collect::<Vec<_>>().join(" ")
}

/// One command.
pub(super) fn command(item: &Command) -> String {
    let mut lines = vec![
        ("command", item.id.clone()),
        ("endpoint", item.endpoint.clone()),
        ("operation", format!("{} {}", item.operation, item.target())),
        ("state", item.state.name().to_owned()),
        ("created", moment(item.created_at)),
        ("changed", moment(item.changed_at)),
        ("attempts", attempts(item)),
    ];
    for node in &item.nodes {
        let Ok(path) = node.path.as_deref().unwrap_or("/").parse() else { continue };
        flatten(node, path, &mut |path, node, json| {
            lines.push(("writes", format!("{path} = {}", from_json(json, node.kind))));
        });
    }
    lines.extend(Some(item.priority).filter(|p| *p != 0).map(|p| ("priority", p.to_string())));
    lines.extend(item.next_attempt_at.map(|time| ("next attempt", moment(time))));
    lines.extend(item.not_after.map(|time| ("not after", moment(time))));
    lines.extend(Some(outcome(item)).filter(|text| !text.is_empty()).map(|text| ("outcome", text)));
    lines.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}

/// The device's answer to a downlink operation.
pub(super) fn answer(answer: &DownlinkAnswer, definitions: &Definitions<'_>, endpoint: &str) -> String {
    let mut parts = Vec::new();
    match &answer.content {
        Some(AnswerContent::Node(node)) => parts.push(values(node, &answer.path, definitions, endpoint)),
        Some(AnswerContent::Nodes { nodes }) => parts.push(many_values(nodes, definitions, endpoint)),
        Some(AnswerContent::Links { links: found }) => parts.push(links(found, definitions, endpoint)),
        None => {}
    }
    if answer.location.is_some() || !answer.locations.is_empty() {
        let single = answer.location.as_slice().iter().filter(|_| answer.locations.is_empty());
        let made: Vec<&str> = single.chain(&answer.locations).map(String::as_str).collect();
        parts.push(format!("created {}", made.join(" ")));
    }
    if let Some(why) = &answer.undecoded {
        parts.push(format!("the payload could not be decoded: {why}"));
    }
    if parts.is_empty() && answer.code.starts_with('2') {
        parts.push(format!("{}{}", answer.code, code_in_words(&answer.code)));
    }
    parts.extend(answer.raw.as_ref().map(raw::lines));
    parts.join("\n")
}

/// All values below a node, one a line.
fn values(node: &Node, path: &str, definitions: &Definitions<'_>, endpoint: &str) -> String {
    let rows = rows(node, path, definitions, endpoint);
    if rows.is_empty() { format!("{path} holds nothing") } else { value_table(rows) }
}

/// All values below several nodes, one a line.
fn many_values(nodes: &[Node], definitions: &Definitions<'_>, endpoint: &str) -> String {
    let all: Vec<Row> = nodes.iter().flat_map(|node| rows(node, "/", definitions, endpoint)).collect();
    if all.is_empty() { "none of these paths holds anything".to_owned() } else { value_table(all) }
}

/// Path, name, value, unit and time.
type Row = [String; 5];

fn rows(node: &Node, path: &str, definitions: &Definitions<'_>, endpoint: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Ok(path) = node.path.as_deref().unwrap_or(path).parse() {
        flatten(node, path, &mut |path, node, json| {
            let definition = definitions.resource(endpoint, path);
            let name = definition.as_ref().map(|known| known.name.clone()).unwrap_or_default();
            let units = definition.as_ref().and_then(|known| known.units.clone()).unwrap_or_default();
            rows.push([
                path.to_string(),
                name,
                from_json(json, node.kind),
                units,
                node.time.map(moment).unwrap_or_default(),
            ]);
        });
    }
    rows
}

fn value_table(rows: Vec<Row>) -> String {
    let timed = rows.iter().any(|[.., time]| !time.is_empty());
    let mut table = if timed {
        table(["PATH", "NAME", "VALUE", "UNIT", "TIME"])
    } else {
        table(["PATH", "NAME", "VALUE", "UNIT"])
    };
    for row in rows {
        table.add_row(row.into_iter().take(if timed { 5 } else { 4 }));
    }
    finish(&table)
}

/// Each value below a node that stands at a path.
pub(super) fn flatten<'a>(
    node: &'a Node,
    path: Path,
    each: &mut impl FnMut(Path, &'a Node, &'a serde_json::Value),
) {
    match &node.content {
        Content::Value(json) => each(path, node, json),
        Content::Instances(items) => {
            for (id, json) in items {
                if let Some(path) = path.child(*id) {
                    each(path, node, json);
                }
            }
        }
        Content::Resources(children) | Content::ObjectInstances(children) => {
            for (id, child) in children {
                if let Some(path) = path.child(*id) {
                    flatten(child, path, each);
                }
            }
        }
    }
}

fn links(found: &[Link], definitions: &Definitions<'_>, endpoint: &str) -> String {
    let mut table = table(["PATH", "NAME", "ATTRIBUTES"]);
    for link in found {
        let path: Option<Path> = link.path.parse().ok();
        let name = path.and_then(|path| match path.len() {
            1 => Some(definitions.object(endpoint, path.object_id()?)?.name.clone()),
            3 => Some(definitions.resource(endpoint, path)?.name),
            _ => None,
        });
        let attributes: Vec<String> = link
            .attributes
            .iter()
            .map(|(name, value)| {
                if value == &serde_json::Value::Bool(true) {
                    name.clone()
                } else {
                    format!("{name}={}", from_json(value, None))
                }
            })
            .collect();
        table.add_row([link.path.clone(), name.unwrap_or_default(), attributes.join(" ")]);
    }
    finish(&table)
}

/// What is observed.
pub(super) fn observations(found: &Observations, definitions: &Definitions<'_>, endpoint: &str) -> String {
    if found.items.is_empty() {
        return "nothing is observed".to_owned();
    }
    let mut table = table(["PATH", "NAME", "STATE", "REPORTS", "LAST", "VALUE"]);
    for item in &found.items {
        let path: Option<Path> = item.path.parse().ok();
        let name = path.and_then(|path| definitions.resource(endpoint, path)).map(|known| known.name);
        let state = match &item.reason {
            Some(reason) => format!("{}: {reason}", json_name(&item.state)),
            None => json_name(&item.state),
        };
        let content = item.content.as_deref().unwrap_or_default();
        let values = match content {
            [only] if item.name.is_none() => one_line(only, &item.path),
            several => one_line_of_many(several, &item.path),
        };
        let (path, name) = match &item.name {
            Some(composite) => (item.paths.join(" "), composite.clone()),
            None => (item.path.clone(), name.unwrap_or_default()),
        };
        table.add_row([
            path,
            name,
            state,
            item.notifications.to_string(),
            item.time.map(moment).unwrap_or_default(),
            values,
        ]);
    }
    finish(&table)
}

/// A node's values on one line, each with its path unless it is the only one, and with the device's time if it told one.
fn one_line(node: &Node, path: &str) -> String {
    let path = node.path.as_deref().unwrap_or(path);
    let Ok(base) = path.parse::<Path>() else { return String::new() };
    let mut parts = Vec::new();
    flatten(node, base, &mut |at, within, json| {
        let text = from_json(json, within.kind);
        let time = within.time.or(node.time).map(|time| format!("@{}", moment(time))).unwrap_or_default();
        parts.push(if at == base { format!("{text}{time}") } else { format!("{at}={text}{time}") });
    });
    parts.join(" ")
}

/// Several nodes' values on one line, each with its path.
fn one_line_of_many(nodes: &[Node], path: &str) -> String {
    let texts = nodes.iter().map(|node| {
        let at = node.path.as_deref().unwrap_or(path);
        let text = one_line(node, at);
        let single = matches!(node.content, Content::Value(_));
        if single { format!("{at}={text}") } else { text }
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// One event on one line.
pub(super) fn event(event: &Event) -> String {
    let mut text = format!("{} {} {}", moment(event.time), event.kind.name(), event.endpoint);
    let mut add = |part: &str| {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(part);
        }
    };
    let nodes = event.content.as_deref().unwrap_or_default();
    let path = event.path.as_deref().unwrap_or_default();
    add(event.name.as_deref().unwrap_or_default());
    match nodes {
        [only] if event.name.is_none() => {
            let at = only.path.as_deref().unwrap_or(path);
            add(at);
            add(&one_line(only, at));
        }
        several => {
            add(path);
            add(&one_line_of_many(several, path));
        }
    }
    if let Some(registration) = &event.registration {
        add(&format!("address={} lifetime={}", registration.address, registration.lifetime_s));
    }
    if let Some(command) = &event.command {
        let what =
            format!("{} {} {} {}", command.id, command.state.name(), command.operation, command.target());
        add(&what);
        add(&outcome(command));
    }
    add(event.code.as_deref().unwrap_or_default());
    add(&event.result.as_ref().map(json_name).unwrap_or_default());
    if let Some(handshake) = &event.handshake {
        let identity = handshake.identity.as_deref().unwrap_or_default();
        add(&format!("address={} {identity}", handshake.address));
        add(&super::security::what(handshake));
    } else if let Some(reason) = &event.reason {
        add(&format!("({reason})"));
    }
    text
}

/// ` (Not Found)` for `4.04`.
pub(super) fn code_in_words(code: &str) -> String {
    let parsed =
        code.split_once('.').and_then(|(class, detail)| Some((class.parse().ok()?, detail.parse().ok()?)));
    let name = parsed.and_then(|(class, detail)| Code::new(class, detail).name());
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

/// A problem document in words.
pub(super) fn problem(problem: &Problem) -> String {
    let mut text = problem.title.to_string();
    if let Some(detail) = &problem.detail {
        text.push(' ');
        text.push_str(detail);
    }
    if let Some(pointer) = problem.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        text.push_str(&format!(" (at {pointer})"));
    }
    if let Some(seconds) = problem.retry_after_s {
        text.push_str(&format!(" (try again in {seconds} s)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(json: serde_json::Value) -> String {
        event(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn events_stand_on_one_line_with_their_values() {
        let head = |kind: &str| json!({"id": "1", "time": "2026-01-01T00:00:00.000Z", "type": kind, "endpoint": "x"});
        let with = |kind: &str, more: serde_json::Value| {
            let mut event = head(kind);
            event.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            told(event)
        };
        let temperature = json!({"path": "/3303/0/5700", "type": "float", "value": 21.5});
        let start = "2026-01-01T00:00:00.000Z";
        assert_eq!(
            with("notified", json!({"path": "/3303/0/5700", "content": [temperature]})),
            format!("{start} notified x /3303/0/5700 21.5")
        );
        let battery =
            json!({"path": "/3/0/9", "type": "integer", "value": 84, "time": "2025-12-31T23:59:00.000Z"});
        assert_eq!(
            with("sent", json!({"content": [temperature, battery]})),
            format!("{start} sent x /3303/0/5700=21.5 /3/0/9=84@2025-12-31T23:59:00.000Z")
        );
        let voltages = json!({"path": "/3/0/7", "type": "integer", "instances": {"0": 3800, "1": 5000}});
        assert_eq!(
            with("notified", json!({"name": "power", "content": [battery, voltages]})),
            format!(
                "{start} notified x power /3/0/9=84@2025-12-31T23:59:00.000Z /3/0/7/0=3800 /3/0/7/1=5000"
            )
        );
        assert_eq!(
            with("notified", json!({"name": "one", "content": [temperature]})),
            format!("{start} notified x one /3303/0/5700=21.5")
        );
    }

    #[test]
    fn the_patience_with_a_device_is_said_in_seconds() {
        let counts = |rule: &[&str]| Transmission {
            ack_timeout_ms: 2500,
            ack_random_percent: 150,
            max_retransmit: 4,
            lost_after_ms: 93_000,
            rule: rule.iter().map(|&name| name.to_owned()).collect(),
        };
        let usual = "2.5 to 3.75 s for an acknowledgement, 4 repetitions, lost after 93 s";
        assert_eq!(transmission(&counts(&[])), usual);
        assert_eq!(transmission(&counts(&["nb-*", "x"])), format!("{usual}, by the rule for nb-* x"));
    }

    #[test]
    fn a_registration_shows_deviations() {
        let endpoint: Endpoint = serde_json::from_value(json!({
            "endpoint": "x", "registration_id": "1", "lwm2m_version": "1.1", "lifetime_s": 60, "binding": "U",
            "queue_mode": false, "state": "awake", "address": "127.0.0.1:1", "registered_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z", "expires_at": null, "security": {"mode": "nosec"},
            "objects": [], "attributes": {}, "deviations": {"answered in another format": 3}
        }))
        .unwrap();
        let text = registration(&endpoint);
        assert!(text.ends_with("\ndeviation    answered in another format (3 times)"), "{text}");
    }
}
