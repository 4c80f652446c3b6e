//! What `ctl` reads from files: in each place that takes one, `-` is the standard input. JSON that is typed may come from a file as
//! well, behind an `@`, as `curl` has it.

use crate::failure::Failure;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// More than any document, table or value that a server takes.
const INPUT_LEN_MAX: u64 = 256 << 20;

pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", file.display()));
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(INPUT_LEN_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let opened = File::open(file).map_err(failed)?;
        opened.take(INPUT_LEN_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= INPUT_LEN_MAX => Ok(bytes),
        _ => Err(Failure::failed(format_args!("{}: more than {} MiB", file.display(), INPUT_LEN_MAX >> 20))),
    }
}

pub(super) fn text(file: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes(file)?)
        .map_err(|_| Failure::failed(format_args!("{}: is no text (UTF-8)", file.display())))
}

/// What is meant for others to see: certificates, public keys, tables and documents of them. Whoever takes the wrong file does not send
/// a private key by it.
pub(super) fn public(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = bytes(file)?;
    let is_pem = bytes.windows(PRIVATE.len()).any(|part| part == PRIVATE);
    // A private key in DER is a SEQUENCE that begins with its version; PKCS #12, which mostly holds one, does as well.
    let header = match bytes.get(1) {
        Some(long @ 0x80..) => 2 + usize::from(long & 0x7f),
        _ => 2,
    };
    if is_pem || (bytes.first(), bytes.get(header)) == (Some(&0x30), Some(&0x02)) {
        return Err(Failure::failed(format_args!(
            "{} holds a private key, which must never leave its device: nothing was sent",
            file.display()
        )));
    }
    Ok(bytes)
}

/// The same as text.
pub(super) fn public_text(file: &Path) -> Result<String, Failure> {
    String::from_utf8(public(file)?)
        .map_err(|_| Failure::failed(format_args!("{}: is no text (UTF-8)", file.display())))
}

/// A public file in PEM, or in DER as a block with this label: openssl writes either.
pub(super) fn pem(file: &Path, label: &str) -> Result<String, Failure> {
    let bytes = public(file)?;
    match bytes.first() {
        // A DER SEQUENCE; PEM begins with a dash, or with a text that says what it is.
        Some(0x30) => {
            let base64 = lightship_api::convert::base64(&bytes);
            Ok(format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n"))
        }
        _ => String::from_utf8(bytes)
            .map_err(|_| Failure::failed(format_args!("{}: is neither PEM nor DER", file.display()))),
    }
}

/// What was typed as JSON, or what stands in the file behind an `@`; no JSON begins with one.
pub(super) fn json(typed: &str) -> Result<Cow<'_, str>, Failure> {
    match typed.strip_prefix('@') {
        Some(file) => Ok(Cow::Owned(text(Path::new(file))?)),
        None => Ok(Cow::Borrowed(typed)),
    }
}

/// How the label of every private key in PEM ends.
const PRIVATE: &[u8] = b"PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_becomes_a_block_of_pem_and_pem_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("certificate");
        std::fs::write(&file, [0x30, 0x01, 0xff]).unwrap();
        let block = "-----BEGIN CERTIFICATE-----\nMAH/\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(&file, "CERTIFICATE").unwrap(), block);
        std::fs::write(&file, block).unwrap();
        assert_eq!(pem(&file, "PUBLIC KEY").unwrap(), block);
        std::fs::write(&file, [0xff]).unwrap();
        let Err(Failure::Failed(message)) = pem(&file, "CERTIFICATE") else { panic!("taken") };
        assert!(message.contains("neither PEM nor DER"), "{message}");
    }

    #[test]
    fn json_is_typed_or_comes_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.json");
        std::fs::write(&file, r#"{"value": 60}"#).unwrap();
        assert_eq!(json(&format!("@{}", file.display())).unwrap(), r#"{"value": 60}"#);
        assert_eq!(json(r#"{"value": "@x"}"#).unwrap(), r#"{"value": "@x"}"#);
        std::fs::write(&file, [0xff]).unwrap();
        for (wrong, word) in
            [(file.display().to_string(), "UTF-8"), ("no such file".to_owned(), "no such file")]
        {
            let Err(Failure::Failed(message)) = json(&format!("@{wrong}")) else { panic!("{wrong}") };
            assert!(message.contains(word), "{message}");
        }
    }
}
