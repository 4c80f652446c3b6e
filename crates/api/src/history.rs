//! History: the values that a device has told of something, with their times; also as a table (CSV, RFC 4180).

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::event::EventType;
use crate::node::ValueType;
use crate::time::Timestamp;

/// Values of the Resources at and below a path, those that the server heard of last first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Of which device.
    pub endpoint: String,
    /// Of what.
    pub path: String,
    /// One for each value of each Resource or Resource Instance.
    pub items: Vec<HistoryItem>,
    /// Give it as `cursor` to go on with older ones; absent: the log holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What is missing because it is damaged on the server's disk, in words; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// One value at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryItem {
    /// When the device measured it, if it said so; else when the server heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// When the server heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Which Resource or Resource Instance.
    pub path: String,
    /// Data type of the value.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ValueType>,
    /// The value, as in a Node.
    #[schema(value_type = Value)]
    pub value: Json,
    /// The type of the event that told it: `notified`, `observed`, `sent`, or `command_done` for a Read by a durable command.
    pub source: EventType,
    /// The id of that event.
    pub event: String,
}

impl History {
    /// The items as a table with a header line, in their order: `time,received_at,path,type,value,source,event`.
    ///
    /// Numbers and booleans stand bare. Every other value is in double quotes; one that begins with `=`, `+`, `-`, `@`,
    /// `'`, a tab or a line break has an apostrophe in front, so that no program takes it for a formula. Whoever wants the
    /// value as it was takes one leading apostrophe away.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = format!("{HEADER}\r\n");
        self.write_rows(&mut out);
        out
    }

    /// The same without the header line, behind what is there.
    pub fn write_rows(&self, out: &mut String) {
        for item in &self.items {
            let kind = item.kind.map_or("", ValueType::name);
            // Writing into a String cannot fail.
            let _ = write!(out, "{},{},{},{kind},", item.time, item.received_at, item.path);
            write_value(out, item.kind, &item.value);
            let _ = write!(out, ",{},{}\r\n", item.source.name(), item.event);
        }
    }
}

/// Writes a field of a table.
pub(crate) fn write_value(out: &mut String, kind: Option<ValueType>, value: &Json) {
    let numeric =
        matches!(kind, Some(ValueType::Integer | ValueType::Unsigned | ValueType::Float | ValueType::Time));
    match value {
        Json::Number(_) | Json::Bool(_) => {
            let _ = write!(out, "{value}");
        }
        // 64-bit numbers are texts in JSON.
        Json::String(text) if numeric && is_number(text) => out.push_str(text),
        Json::String(text) => write_text(out, text),
        Json::Null => {}
        Json::Array(_) | Json::Object(_) => write_text(out, &value.to_string()),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    if text.starts_with(FORMULA) {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// The first line of a table.
pub const HEADER: &str = "time,received_at,path,type,value,source,event";
/// With what programs begin to calculate; and the mark against that.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\'', '\t', '\r', '\n'];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(kind: Option<ValueType>, value: &Json) -> String {
        let mut out = String::new();
        write_value(&mut out, kind, value);
        out
    }

    #[test]
    fn numbers_stand_bare_and_texts_are_no_formulas() {
        use ValueType::{Boolean, Float, Integer, Opaque, String as Text};
        for (kind, value, written) in [
            (Some(Float), json!(-5.25), "-5.25"),
            (Some(Integer), json!("-9223372036854775808"), "-9223372036854775808"),
            (Some(Integer), json!("-1+1"), "\"'-1+1\""),
            (Some(Float), json!("-Infinity"), "\"'-Infinity\""),
            (Some(Boolean), json!(true), "true"),
            (Some(Text), json!("21"), "\"21\""),
            (Some(Text), json!("=1+1"), "\"'=1+1\""),
            (Some(Text), json!("+1"), "\"'+1\""),
            (Some(Text), json!("-1"), "\"'-1\""),
            (Some(Text), json!("@SUM(A1)"), "\"'@SUM(A1)\""),
            (Some(Text), json!("\t=1"), "\"'\t=1\""),
            (Some(Text), json!("'tis"), "\"''tis\""),
            (Some(Text), json!("a \"b\", c\nd"), "\"a \"\"b\"\", c\nd\""),
            (Some(Text), json!(""), "\"\""),
            (Some(Opaque), json!("+v8="), "\"'+v8=\""),
            (None, json!("=x"), "\"'=x\""),
            (None, json!(null), ""),
        ] {
            assert_eq!(field(kind, &value), written, "{value}");
        }
    }

    #[test]
    fn a_table_has_a_header_and_a_line_for_each_value() {
        let item = HistoryItem {
            time: Timestamp(0),
            received_at: Timestamp(1000),
            path: "/3303/0/5700".to_owned(),
            kind: Some(ValueType::Float),
            value: json!(21.5),
            source: EventType::Notified,
            event: "000000ab-7".to_owned(),
        };
        let history = History {
            endpoint: "a".to_owned(),
            path: "/3303".to_owned(),
            items: vec![item],
            next: None,
            warning: None,
        };
        assert_eq!(
            history.to_csv(),
            "time,received_at,path,type,value,source,event\r\n\
             1970-01-01T00:00:00.000Z,1970-01-01T00:00:01.000Z,/3303/0/5700,float,21.5,notified,000000ab-7\r\n"
        );
    }
}
