//! Bytes as people write them: hex and PEM; and bytes of strangers as people may read them.

use std::fmt::Write;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use lightship_lwm2m::readable::deceives;

/// The bytes of a text of hex digits, two for each.
pub(crate) fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The bytes of a text in base64, with or without padding.
pub(crate) fn bytes_of_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

/// One block of a PEM text (RFC 7468).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Between `BEGIN` and the dashes, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// A DER sequence, as keys and certificates are.
    pub(crate) der: Vec<u8>,
}

/// The blocks of a PEM text in their order; `None` if one is broken.
pub(crate) fn blocks_of_pem(pem: &str) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut rest = pem;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, begun) = begun.split_once("-----")?;
        let (body, ended) = begun.split_once("-----END ")?;
        let (end, behind) = ended.split_once("-----")?;
        let base64: String = body.chars().filter(|char| !char.is_whitespace()).collect();
        let der = bytes_of_base64(&base64)?;
        if label != end || der.first() != Some(&SEQUENCE) {
            return None;
        }
        blocks.push(Block { label: label.to_owned(), der });
        rest = behind;
    }
    Some(blocks)
}

/// DER as a block of PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).unwrap_or_default());
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The DER of the first block of a PEM text.
pub(crate) fn der_of_pem(pem: &str) -> Option<Vec<u8>> {
    blocks_of_pem(pem)?.into_iter().next().map(|block| block.der)
}

/// What a stranger calls itself: text as it is, and everything that is none, or could play tricks on a screen, as `\xNN` and `\u{N}`.
pub(crate) fn readable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if deceives(char) {
                out.extend(char.escape_unicode());
            } else if char == '\\' {
                out.push_str("\\\\");
            } else {
                out.push(char);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

const SEQUENCE: u8 = 0x30;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_both_cases_and_written_in_one() {
        assert_eq!(bytes_of_hex("00fFA1"), Some(vec![0, 255, 161]));
        assert_eq!(hex(&[0, 255, 161]), "00ffa1");
        for bad in ["0", "0g", "0x00", "ä", " 00"] {
            assert_eq!(bytes_of_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn pem_may_hold_several_blocks_and_words_around_them() {
        let one = "-----BEGIN A-----\nMAA\n-----END A-----\n";
        let two = "words\n-----BEGIN B C-----\r\nMAMC\r\nAQE=\r\n-----END B C-----";
        let blocks = blocks_of_pem(&format!("{one}{two}")).unwrap();
        assert_eq!(blocks[0], Block { label: "A".to_owned(), der: vec![0x30, 0] });
        assert_eq!(blocks[1], Block { label: "B C".to_owned(), der: vec![0x30, 3, 2, 1, 1] });
        assert_eq!(blocks_of_pem(&pem("B C", &blocks[1].der)).unwrap()[0], blocks[1]);
        assert_eq!(blocks_of_pem("nothing"), Some(Vec::new()));
        for bad in [
            "-----BEGIN A-----\nMAA",
            "-----BEGIN A-----\nMAA\n-----END B-----",
            "-----BEGIN A-----\n?\n-----END A-----",
            "-----BEGIN A-----\nAAAA\n-----END A-----",
        ] {
            assert_eq!(blocks_of_pem(bad), None, "{bad}");
        }
    }

    #[test]
    fn strangers_cannot_play_tricks_with_their_names() {
        for (bytes, shown) in [
            (b"urn:dev:1".as_slice(), "urn:dev:1"),
            ("gerät".as_bytes(), "gerät"),
            (b"a\nb\0\x1b[31m", "a\\u{a}b\\u{0}\\u{1b}[31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("a\u{202e}b\\".as_bytes(), "a\\u{202e}b\\\\"),
            (b"<script>", "<script>"),
        ] {
            assert_eq!(readable(bytes), shown);
        }
    }
}
