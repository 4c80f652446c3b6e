//! Where `decode` takes its bytes from.

use super::{capture, hex};
use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// More than any capture that one wants to read as text.
const INPUT_LEN_MAX: u64 = 256 << 20;

/// What there is to decode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// One message or payload.
    Bytes(Vec<u8>),
    /// A whole pcap or pcapng file.
    Capture(Vec<u8>),
}

/// Finds out what the arguments mean: hex digits, a file's name, or standard input.
pub(crate) fn read(arguments: &[String]) -> Result<Input, Failure> {
    match arguments {
        [] => from_bytes(bounded(std::io::stdin().lock(), "standard input")?, "standard input"),
        [only] if only == "-" => {
            from_bytes(bounded(std::io::stdin().lock(), "standard input")?, "standard input")
        }
        [only] if Path::new(only).is_file() => {
            let file = File::open(only).map_err(|error| Failure::failed(format_args!("{only}: {error}")))?;
            from_bytes(bounded(file, only)?, only)
        }
        words => match hex::parse(&words.join(" ")) {
            Ok(bytes) => Ok(Input::Bytes(bytes)),
            Err(error) => {
                Err(Failure::usage(format_args!("{:?} is neither a file nor hex: {error}", words.join(" "))))
            }
        },
    }
}

fn bounded(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(INPUT_LEN_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::failed(format_args!("{name}: {error}")))?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= INPUT_LEN_MAX => Ok(bytes),
        _ => Err(Failure::failed(format_args!("{name}: more than {} MiB", INPUT_LEN_MAX >> 20))),
    }
}

fn from_bytes(bytes: Vec<u8>, name: &str) -> Result<Input, Failure> {
    if capture::is_capture(&bytes) {
        return Ok(Input::Capture(bytes));
    }
    // Text is read as hex; anything else as the message itself.
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control() || c.is_whitespace()) => hex::parse(text)
            .map(Input::Bytes)
            .map_err(|error| Failure::failed(format_args!("{name}: {error}"))),
        _ => Ok(Input::Bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_text_raw_bytes_and_captures_are_told_apart() {
        assert_eq!(from_bytes(b"44 01\n".to_vec(), "x").unwrap(), Input::Bytes(vec![0x44, 0x01]));
        assert_eq!(from_bytes(vec![0x44, 0x01, 0xff], "x").unwrap(), Input::Bytes(vec![0x44, 0x01, 0xff]));
        let capture = vec![0xd4, 0xc3, 0xb2, 0xa1];
        assert_eq!(from_bytes(capture.clone(), "x").unwrap(), Input::Capture(capture));
        assert!(from_bytes(b"hello".to_vec(), "x").is_err());
    }
}
