//! What comes in: names, paths, queries, bodies, each parsed once at the border.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use lightship_api::problem::without_values;
use lightship_api::{Node, Problem, ProblemType, Timestamp, Unknown};
use lightship_lwm2m::{Format, Path};
use serde::de::DeserializeOwned;

use super::Refusal;
use crate::core::Core;
use crate::directory::Device;
use crate::queue::Terms;

/// A query, decoded once; a name that stands twice is a mistake.
#[derive(Debug, Default)]
pub(crate) struct Query {
    values: BTreeMap<String, String>,
}

impl Query {
    /// Reads a query and refuses names that the address does not know.
    pub(crate) fn parse(raw: Option<&str>, known: &[&str]) -> Result<Query, Refusal> {
        let mut values = BTreeMap::new();
        for part in raw.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name).ok_or_else(|| parameter(name, "is not percent-encoded UTF-8"))?;
            let value = decode(value).ok_or_else(|| parameter(&name, "is not percent-encoded UTF-8"))?;
            if !known.contains(&name.as_str()) {
                return Err(parameter(&name, &format!("is not known here; known: {}", known.join(" "))));
            }
            if values.insert(name.clone(), value).is_some() {
                return Err(parameter(&name, "is given twice"));
            }
        }
        Ok(Query { values })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(_) => Err(parameter(name, "is true or false")),
        }
    }

    /// The moments `from` and `to`, in milliseconds since 1970.
    pub(crate) fn stretch(&self, now: Timestamp) -> Result<(i64, i64), Refusal> {
        let from_ms = self.moment("from", now)?.unwrap_or(i64::MIN);
        let to_ms = self.moment("to", now)?.unwrap_or(i64::MAX);
        if from_ms > to_ms {
            return Err(parameter("from", "is later than the parameter to"));
        }
        Ok((from_ms, to_ms))
    }

    /// On which terms the caller wants a durable command; `None` = it wants none.
    pub(crate) fn terms(&self, core: &Core) -> Result<Option<Terms>, Refusal> {
        if !self.flag("queue")? {
            let lost = TERMS.iter().find(|name| self.text(name).is_some());
            return lost.map_or(Ok(None), |name| Err(parameter(name, "goes with queue=true only")));
        }
        if self.text("wait").is_some() {
            return Err(parameter("wait", "does not go with queue=true, which is answered at once"));
        }
        let now = core.now();
        let end = |text: &str| {
            let after = span(text).and_then(|span| i64::try_from(span.as_millis()).ok());
            let end = after.map(|ms| Timestamp(now.0.saturating_add(ms))).or_else(|| text.parse().ok());
            end.filter(|end| (now.0..=now.0.saturating_add(COMMAND_LIFE_MAX_MS)).contains(&end.0)).ok_or_else(
                || {
                    let what =
                        "is a span such as 24h, or a moment such as 2026-01-01T00:00:00Z, within a year";
                    parameter("not_after", what)
                },
            )
        };
        let not_after = self.text("not_after").map(end).transpose()?;
        let pause = |text: &str| {
            span(text)
                .filter(|pause| (PAUSE_MIN..=PAUSE_MAX).contains(pause))
                .ok_or_else(|| parameter("retry_after", "is a span such as 30s, 5m or 1h, from 1s to 7d"))
        };
        let attempts = self.number("attempts", 1, ATTEMPTS_MAX)?;
        Ok(Some(Terms {
            not_after,
            priority: self.priority()?,
            attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
            pause: self.text("retry_after").map(pause).transpose()?,
            supersede: self.flag("supersede")?,
        }))
    }

    fn priority(&self) -> Result<i8, Refusal> {
        let Some(text) = self.text("priority") else { return Ok(0) };
        let priority = text.parse().ok().filter(|priority| (-PRIORITY_MAX..=PRIORITY_MAX).contains(priority));
        priority.ok_or_else(|| {
            parameter(
                "priority",
                &format!("is a number from -{PRIORITY_MAX} to {PRIORITY_MAX}; 0 when not given"),
            )
        })
    }

    pub(crate) fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| parameter(name, &format!("is a number from {min} to {max}")))
    }
}

/// What a caller chose for one downlink operation.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    pub(crate) format: Option<Format>,
    /// `None`: the server's own, which is longer for a device that is awake.
    pub(crate) wait: Option<Duration>,
    pub(crate) raw: bool,
    pub(crate) check: Check,
    /// Whether other operations may do what the device refuses.
    pub(crate) fallback: bool,
    /// Levels of a Discover.
    pub(crate) depth: Option<u8>,
}

/// What is compared with the object definitions before anything is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing, as those who test devices need it.
    Nothing,
    /// Types and ranges of values, and Objects that servers must not address.
    #[default]
    Values,
    /// Also whether the Resource has the operation.
    Operations,
}

impl Choices {
    pub(crate) fn read(core: &Core, query: &Query) -> Result<Choices, Refusal> {
        let format = query.text("format").map(format).transpose()?;
        let within = |wait: &Duration| *wait <= core.config.limits.wait_max;
        let wait = |text: &str| {
            span(text).filter(within).ok_or_else(|| {
                parameter("wait", "is a span such as 30s, 500ms or 2m within the server's limit")
            })
        };
        let check = match query.text("check") {
            None | Some("values") => Check::Values,
            Some("none") => Check::Nothing,
            Some("operations") => Check::Operations,
            Some(_) => return Err(parameter("check", "is one of none values operations")),
        };
        let depth = query.number("depth", 0, 3)?;
        Ok(Choices {
            format,
            wait: query.text("wait").map(wait).transpose()?,
            raw: query.flag("raw")?,
            check,
            fallback: query.flag("fallback")?,
            depth: depth.and_then(|depth| u8::try_from(depth).ok()),
        })
    }
}

/// Names of the query parameters of every downlink operation.
pub(crate) const DOWNLINK: &[&str] = &[
    "format",
    "wait",
    "queue",
    "not_after",
    "priority",
    "attempts",
    "retry_after",
    "supersede",
    "raw",
    "check",
];
/// Those that go with `queue`.
const TERMS: &[&str] = &["not_after", "priority", "attempts", "retry_after", "supersede"];
/// Of commands; the lowest is as far below 0.
pub(crate) const PRIORITY_MAX: i8 = 100;
const ATTEMPTS_MAX: u64 = 1000;
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// 366 days.
const COMMAND_LIFE_MAX_MS: i64 = 366 * 24 * 3_600_000;

fn format(name: &str) -> Result<Format, Refusal> {
    match name.parse::<Format>() {
        Ok(format) if !format.is_senml_etch() => Ok(format),
        Ok(_) | Err(_) => {
            Err(parameter("format", "is one of text opaque cbor tlv json senml-json senml-cbor lwm2m-cbor"))
        }
    }
}

pub(super) fn span(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// The registered device of that name. One that has just been told that it is registered, perhaps anew, may be some milliseconds
/// ahead of the directory: it is waited for.
pub(crate) async fn device(core: &Core, endpoint: &str) -> Result<Device, Refusal> {
    let mut steps = 0..ARRIVAL_STEPS;
    while core.directory.is_arriving(endpoint) {
        if steps.next().is_none() {
            core.directory.arrived(endpoint);
        }
        tokio::time::sleep(ARRIVAL_STEP).await;
    }
    let detail = format!("{endpoint:?} is not registered");
    core.directory.find(endpoint).ok_or_else(|| Refusal::new(ProblemType::EndpointNotRegistered, detail))
}

const ARRIVAL_STEP: Duration = Duration::from_millis(5);
/// One second: longer than any lag that a caller would not notice otherwise.
const ARRIVAL_STEPS: u32 = 200;

/// An LwM2M path as it stands in an address, without its leading slash, of one of these lengths.
pub(crate) fn path(
    text: &str,
    lengths: std::ops::RangeInclusive<usize>,
    what: &str,
) -> Result<Path, Refusal> {
    let wrong = |why: String| Refusal::new(ProblemType::InvalidPath, why);
    if text.starts_with('/') || text.ends_with('/') {
        return Err(wrong(format!("{text:?} has a slash too many; write it as 3/0/9")));
    }
    let path: Path = format!("/{text}").parse().map_err(|_| wrong(format!("{text:?} is no LwM2M path")))?;
    if lengths.contains(&path.len()) {
        Ok(path)
    } else {
        Err(wrong(format!("{what} does not go with {path}")))
    }
}

/// The whole body, within the limits of size and time.
pub(crate) async fn body(core: &Core, body: Body) -> Result<Bytes, Refusal> {
    let limits = &core.config.limits;
    let too_large =
        || Refusal::new(ProblemType::TooLarge, format!("at most {} bytes are taken", limits.body_bytes_max));
    // What is announced too long need not be waited for.
    if usize::try_from(body.size_hint().lower()).map_or(true, |len| len > limits.body_bytes_max) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(limits.request_timeout, to_bytes(body, limits.body_bytes_max));
    match read.await {
        Err(_) => Err(Refusal::new(ProblemType::RequestTimeout, "the body did not arrive in time")),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let mut source: Option<&dyn std::error::Error> = Some(&error);
            while let Some(cause) = source {
                if cause.to_string() == "length limit exceeded" {
                    return Err(too_large());
                }
                source = cause.source();
            }
            Err(Refusal::new(ProblemType::MalformedRequest, "the body is broken"))
        }
    }
}

/// JSON of a body.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refusal> {
    media_type(headers, &["application/json"])?;
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

/// The shape in a body that is a JSON object; a list would do for a shape, too, if one let it.
pub(crate) fn object<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refusal> {
    let members: serde_json::Map<String, serde_json::Value> = json(headers, bytes)?;
    serde_json::from_value(members.into()).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::new(ProblemType::MalformedBody, without_values(&error.to_string()))
}

/// A Node of a body.
pub(crate) fn node(headers: &HeaderMap, bytes: &[u8]) -> Result<Node, Refusal> {
    read_node(&json(headers, bytes)?)
}

/// A Node for a Create. One that says nothing of values is an instance without any: since LwM2M 1.1 a Create may be empty.
pub(crate) fn new_instance(headers: &HeaderMap, bytes: &[u8]) -> Result<Node, Refusal> {
    let mut json: serde_json::Value = json(headers, bytes)?;
    if let Some(object) = json.as_object_mut()
        && !["value", "resources", "instances"].iter().any(|member| object.contains_key(*member))
    {
        object.insert("resources".to_owned(), serde_json::Map::new().into());
    }
    read_node(&json)
}

fn read_node(json: &serde_json::Value) -> Result<Node, Refusal> {
    Node::from_json(json, Unknown::Refuse)
        .map_err(|error| Refusal(Problem::new(ProblemType::MalformedBody, error.message).at(error.pointer)))
}

/// Refuses bodies of another media type than these; none at all is accepted, as people at a shell leave it out.
pub(crate) fn media_type(headers: &HeaderMap, known: &[&str]) -> Result<(), Refusal> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given =
        given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What curl -d says unless told otherwise.
    if known.contains(&given.as_str()) || given == "application/x-www-form-urlencoded" {
        return Ok(());
    }
    Err(Refusal::new(ProblemType::UnsupportedMediaType, format!("send {}", known.join(" or "))))
}

pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                out.push(
                    u8::from_str_radix(digits, 16)
                        .ok()
                        .filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()))?,
                );
                rest = rest.get(2..)?;
            }
            byte => out.push(*byte),
        }
    }
    String::from_utf8(out).ok()
}

pub(super) fn parameter(name: &str, what: &str) -> Refusal {
    Refusal::new(ProblemType::InvalidParameter, format!("the parameter {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units_and_bounds() {
        assert_eq!(span("30s"), Some(Duration::from_secs(30)));
        assert_eq!(span("30"), Some(Duration::from_secs(30)));
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(span("2m"), Some(Duration::from_secs(120)));
        for bad in ["", "s", "-1", "-1s", "1e9", "abc", "30 s", "1.5s", "99999999999999999999", "30x"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn queries_are_decoded_once() {
        let query = Query::parse(Some("a=x%252F+y&b"), &["a", "b"]).unwrap();
        assert_eq!((query.text("a"), query.text("b")), (Some("x%2F y"), Some("")));
        for bad in ["c=1", "a=1&a=2", "a=%zz", "a=%f", "a=%ff", "%"] {
            assert_eq!(Query::parse(Some(bad), &["a", "b"]).unwrap_err().0.status, 400, "{bad}");
        }
    }

    #[test]
    fn paths_are_lwm2m_paths_of_the_right_level() {
        assert_eq!(path("3/0/9", 1..=4, "Read").unwrap().to_string(), "/3/0/9");
        for bad in ["", "3/abc", "3/0/0/0/0", "65536", "65535", "3//0", "/3", "3/", "03", "..", "3/%30", "+3"]
        {
            assert_eq!(path(bad, 1..=4, "Read").unwrap_err().0.status, 400, "{bad}");
        }
        assert!(path("3", 3..=3, "Execute").is_err());
    }
}
