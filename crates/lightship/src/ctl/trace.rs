//! `ctl trace`: the last messages of a device, or of an address.

use super::value::from_json;
use super::{Session, show};
use crate::cli::TraceArguments;
use crate::failure::Failure;
use crate::output;
use lightship_api::{TraceDirection, TraceGap, TraceItem, TraceTold};
use std::fmt::Write;
use std::path::Path;

impl Session<'_> {
    pub(super) fn trace(&self, arguments: &TraceArguments) -> Result<(), Failure> {
        let TraceArguments { endpoint, address, follow, limit, pcapng } = arguments;
        let Some(endpoint) = endpoint else {
            let address = address.as_deref().unwrap_or_default();
            let found = self.client.trace_of_address(address, *limit).map_err(|error| self.refused(error))?;
            return self.print(&found, || shown(&found.items, address));
        };
        if let Some(file) = pcapng {
            return self.capture(endpoint, *limit, file);
        }
        let found = self.client.trace(endpoint, *limit, None).map_err(|error| self.refused(error))?;
        if !*follow {
            return self.print(&found, || shown(&found.items, endpoint));
        }
        for item in &found.items {
            self.tell(item)?;
        }
        let stream =
            self.client.follow_trace(endpoint, Some(&found.next)).map_err(|error| self.refused(error))?;
        for told in stream {
            match told.map_err(|error| self.refused(error))? {
                TraceTold::Item(item) => self.tell(&item)?,
                TraceTold::Gap(gap) if self.json => {
                    output::exactly(&serde_json::json!({ "gap": gap }).to_string())?;
                }
                TraceTold::Gap(TraceGap { lost: Some(lost) }) => {
                    output::line(&format!("… {lost} messages are missing: they came too fast"))?;
                }
                TraceTold::Gap(TraceGap { lost: None }) => output::line("… messages are missing")?,
            }
        }
        Ok(())
    }

    fn tell(&self, item: &TraceItem) -> Result<(), Failure> {
        if self.json {
            return output::exactly(&serde_json::to_string(item).unwrap_or_default());
        }
        output::line(&lines(item))
    }

    fn capture(&self, endpoint: &str, limit: u32, file: &Path) -> Result<(), Failure> {
        let bytes = self.client.trace_capture(endpoint, limit).map_err(|error| self.refused(error))?;
        let name = file.display();
        std::fs::write(file, &bytes).map_err(|error| Failure::failed(format_args!("{name}: {error}")))?;
        self.print(&serde_json::json!({"file": file, "bytes": bytes.len()}), || {
            format!("{name}: {} bytes; open it with Wireshark or `tshark -r {name}`", bytes.len())
        })
    }
}

fn shown(items: &[TraceItem], of: &str) -> String {
    if items.is_empty() {
        return format!("nothing is recorded of {of}");
    }
    items.iter().map(lines).collect::<Vec<_>>().join("\n")
}

/// One message: a line, and below it what it carries or why it was dropped.
fn lines(item: &TraceItem) -> String {
    let arrow = match item.direction {
        TraceDirection::In => "<-",
        TraceDirection::Out => "->",
    };
    let mut text = format!("{} {arrow}", show::moment(item.time));
    let mut add = |part: &str| {
        if !part.is_empty() {
            // Writing into a String cannot fail.
            let _ = write!(text, " {part}");
        }
    };
    add(item.kind.as_deref().unwrap_or("?"));
    add(item.code.as_deref().filter(|code| *code != "0.00").unwrap_or_default());
    add(item.code_name.as_deref().filter(|_| item.code.as_deref() != Some("0.00")).unwrap_or_default());
    add(item.operation.as_deref().unwrap_or_default());
    add(item.path.as_deref().unwrap_or_default());
    add(&format!("{} bytes", item.length));
    if let Some(elapsed) = item.elapsed_us {
        add(&after(elapsed));
    }
    if item.repeated {
        add("(repeated)");
    }
    if let Some(payload) = &item.payload {
        let part = if payload.part { ", a part" } else { "" };
        let format = item.format.as_deref().unwrap_or("payload");
        if payload.hidden {
            let _ = write!(text, "\n      {format}{part}: {} bytes (secret)", payload.length);
        }
        for node in &payload.nodes {
            let Ok(path) = node.path.as_deref().unwrap_or("/").parse() else { continue };
            show::flatten(node, path, &mut |path, node, value| {
                let name = node.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
                let units = node.units.as_deref().map(|units| format!(" {units}")).unwrap_or_default();
                let time = node.time.map(|time| format!(" at {}", show::moment(time))).unwrap_or_default();
                let _ = write!(text, "\n      {path}{name} = {}{units}{time}", from_json(value, node.kind));
            });
        }
        if !payload.links.is_empty() {
            let paths: Vec<&str> = payload.links.iter().map(|link| link.path.as_str()).collect();
            let _ = write!(text, "\n      {}", paths.join(" "));
        }
        if let Some(said) = &payload.text {
            let _ = write!(text, "\n      {format}{part}: {said:?}");
        }
        if let Some(why) = &payload.undecoded {
            let _ = write!(text, "\n      ! {why}");
        }
    }
    if let (Some(dropped), Some(reason)) = (&item.dropped, &item.reason) {
        let _ = write!(text, "\n      ! dropped ({dropped}): {reason}");
    }
    text
}

/// How long an answer took.
fn after(elapsed_us: u64) -> String {
    match elapsed_us {
        0 => "at once".to_owned(),
        1..1000 => format!("after {elapsed_us} µs"),
        _ => format!("after {}.{} ms", elapsed_us / 1000, elapsed_us % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_no_time_that_can_be_told_was_at_once() {
        assert_eq!(
            [0, 40, 1340, 23_450].map(after),
            ["at once", "after 40 µs", "after 1.3 ms", "after 23.4 ms"]
        );
    }
}
