//! A payload as it came, byte by byte.

use lightship_api::convert::value_from_json;
use lightship_api::{RawPayload, ValueType};
use lightship_coap::ContentFormat;
use lightship_lwm2m::{Format, OwnedValue};

/// How many bytes there are, in which Content-Format, and each of them in hex and as a character.
pub(super) fn lines(raw: &RawPayload) -> String {
    let Some(OwnedValue::Opaque(bytes)) = value_from_json(&raw.payload.as_str().into(), ValueType::Opaque)
    else {
        return format!("payload (base64): {}", raw.payload);
    };
    let plural = if bytes.len() == 1 { "" } else { "s" };
    let head = format!(
        "payload: {} byte{plural}{}",
        bytes.len(),
        raw.content_format.map_or_else(String::new, format)
    );
    let rows = bytes.chunks(ROW_LEN).zip((0..).step_by(ROW_LEN)).map(|(row, at)| line(at, row));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

/// A Content-Format with its number, for the other systems that one looks it up in.
fn format(number: u16) -> String {
    let name = Format::from_number(number).map(|format| format.to_string());
    let name = name.or_else(|| ContentFormat(number).media_type().map(str::to_owned));
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!(", content format {number}{name}")
}

fn line(at: usize, row: &[u8]) -> String {
    let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
    // What is no plain letter may do something to a terminal.
    let text: String =
        row.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect();
    format!("{at:04x}  {:width$}  {text}", hex.join(" "), width = 3 * ROW_LEN - 1)
}

const ROW_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(content_format: Option<u16>, payload: &str) -> String {
        lines(&RawPayload { content_format, payload: payload.to_owned() })
    }

    #[test]
    fn each_byte_is_shown_and_none_reaches_the_terminal_as_it_is() {
        assert_eq!(
            raw(Some(0), "G1tIZWxsbywgd29ybGQhCg=="),
            "payload: 16 bytes, content format 0 (text)\n0000  1b 5b 48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 0a  .[Hello, world!."
        );
        let long = raw(Some(11543), "AAECAwQFBgcICQoLDA0ODxAR");
        assert!(long.starts_with("payload: 18 bytes, content format 11543 (json)\n0000  00 01"), "{long}");
        assert!(long.ends_with("0010  10 11                                            .."), "{long}");
        assert_eq!(raw(None, ""), "payload: 0 bytes");
        assert!(raw(Some(50), "AQ==").starts_with("payload: 1 byte, content format 50 (application/json)\n"));
        assert_eq!(
            raw(Some(65000), "AQ=="),
            "payload: 1 byte, content format 65000\n0000  01                                               ."
        );
    }

    #[test]
    fn what_is_no_base64_is_shown_as_it_is() {
        assert_eq!(raw(None, "?"), "payload (base64): ?");
    }
}
