//! Devices as a table (CSV, RFC 4180).

use std::fmt::Write;

use crate::endpoint::Endpoint;
use crate::history::write_value;
use crate::node::ValueType;

/// The first line of a table of devices with these columns behind the usual ones.
#[must_use]
pub fn head(columns: &[String]) -> String {
    let mut line = HEADER.to_owned();
    columns.iter().for_each(|column| {
        line.push(',');
        line.push_str(column);
    });
    line + "\r\n"
}

/// Writes a line for each device. Texts are guarded like those of a [`History`](crate::History).
pub fn write_rows(out: &mut String, devices: &[Endpoint], columns: &[String]) {
    for device in devices {
        let text = |out: &mut String, text: &str| write_value(out, Some(ValueType::String), &text.into());
        text(out, &device.endpoint);
        let (state, security) = (device.state.name(), device.security.mode.name());
        let ends = device.expires_at.map(|at| at.to_string()).unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            ",{state},{},{},{},{},{security},{},{},{},{ends},{}",
            device.lwm2m_version,
            device.lifetime_s,
            device.binding,
            device.queue_mode,
            device.address,
            device.registered_at,
            device.updated_at,
            device.commands_waiting,
        );
        for column in columns {
            out.push(',');
            if let Some(known) = device.values.get(column) {
                write_value(out, known.kind, &known.value);
            }
        }
        out.push_str("\r\n");
    }
}

const HEADER: &str = "endpoint,state,lwm2m_version,lifetime_s,binding,queue_mode,security,address,registered_at,updated_at,expires_at,commands_waiting";
