//! Writing messages at the end of a growing buffer.

use alloc::vec::Vec;

use super::{Extension, HEADER_LEN, Kind};

/// Writes a message with its header; `body` appends what it says.
pub(crate) fn message(out: &mut Vec<u8>, kind: Kind, sequence: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(kind as u8);
    out.extend_from_slice(&[0; 3]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    body(out);
    let len = u24(out.len() - start - HEADER_LEN);
    for at in [start + 1, start + 9] {
        if let Some(field) = out.get_mut(at..at + 3) {
            field.copy_from_slice(&len);
        }
    }
}

/// Appends a number of two bytes.
pub(crate) fn u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a part behind its length in one byte; what is longer than that can say is cut.
pub(crate) fn part8(out: &mut Vec<u8>, part: &[u8]) {
    let len = u8::try_from(part.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend_from_slice(part.get(..len.into()).unwrap_or_default());
}

/// Appends a part behind its length in two bytes; what is longer than that can say is cut.
pub(crate) fn part16(out: &mut Vec<u8>, part: &[u8]) {
    let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
    u16(out, len);
    out.extend_from_slice(part.get(..len.into()).unwrap_or_default());
}

/// Appends a part behind its length in three bytes.
pub(crate) fn part24(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u24(part.len()));
    out.extend_from_slice(part);
}

/// Appends what `body` appends behind its length in two bytes.
pub(crate) fn nested16(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    body(out);
    let len = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start..start + 2) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends what `body` appends behind its length in three bytes.
pub(crate) fn nested24(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 3]);
    body(out);
    let len = u24(out.len() - start - 3);
    if let Some(field) = out.get_mut(start..start + 3) {
        field.copy_from_slice(&len);
    }
}

/// Appends an extension.
pub(crate) fn extension(out: &mut Vec<u8>, extension: Extension, body: impl FnOnce(&mut Vec<u8>)) {
    u16(out, extension.number());
    nested16(out, body);
}

fn u24(len: usize) -> [u8; 3] {
    let [_, a, b, c] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c]
}
