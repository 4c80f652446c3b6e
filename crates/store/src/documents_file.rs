//! The file of bootstrap documents and templates: versioned, replaced whole and atomically.
//!
//! CBOR: `["lightship-bootstrap", 1, [[0, endpoint, document], [1, name, template], …]]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use minicbor::{Decoder, Encoder};

use crate::StoreError;
use crate::batch::DocumentKey;
use crate::file::{self, length};

/// All documents, by key.
pub(crate) type Documents = BTreeMap<DocumentKey, Arc<str>>;

/// Reads the file of a folder; no file = no documents.
pub(crate) fn read(folder: &Path) -> Result<Documents, StoreError> {
    file::read(folder, FILE, decode)
}

/// Replaces the file of a folder.
pub(crate) fn write(folder: &Path, documents: &Documents) -> Result<(), StoreError> {
    file::write(folder, FILE, &encode(documents))
}

fn encode(documents: &Documents) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into a Vec cannot fail.
    let _ = encode_into(&mut Encoder::new(&mut out), documents);
    out
}

fn encode_into(
    out: &mut Encoder<&mut Vec<u8>>,
    documents: &Documents,
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    let count = u64::try_from(documents.len()).unwrap_or(u64::MAX);
    out.array(3)?.str(NAME)?.u8(VERSION)?.array(count)?;
    for (key, body) in documents {
        match key {
            DocumentKey::Device(endpoint) => out.array(3)?.u8(DEVICE)?.str(endpoint.as_str())?.str(body)?,
            DocumentKey::Template(name) => out.array(3)?.u8(TEMPLATE)?.str(name)?.str(body)?,
        };
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<Documents, String> {
    let mut input = Decoder::new(bytes);
    let documents = decode_from(&mut input)?;
    if input.position() == bytes.len() { Ok(documents) } else { Err("bytes behind the end".to_owned()) }
}

fn decode_from(input: &mut Decoder<'_>) -> Result<Documents, String> {
    let text = |e: minicbor::decode::Error| e.to_string();
    if length(input)? != 3 || input.str().map_err(text)? != NAME {
        return Err("not a file of bootstrap documents".to_owned());
    }
    let version = input.u8().map_err(text)?;
    if version != VERSION {
        return Err(format!("version {version}, this program knows {VERSION}"));
    }
    let mut documents = Documents::new();
    for _ in 0..length(input)? {
        if length(input)? != 3 {
            return Err("a document is wrong".to_owned());
        }
        let kind = input.u8().map_err(text)?;
        let name = input.str().map_err(text)?;
        let key = match kind {
            DEVICE => DocumentKey::Device(Endpoint::new(name).map_err(|e| e.to_string())?),
            TEMPLATE => DocumentKey::Template(name.to_owned()),
            other => return Err(format!("documents of kind {other} are not known")),
        };
        documents.insert(key, input.str().map_err(text)?.into());
    }
    Ok(documents)
}

const FILE: &str = "bootstrap.cbor";
const NAME: &str = "lightship-bootstrap";
const VERSION: u8 = 1;
const DEVICE: u8 = 0;
const TEMPLATE: u8 = 1;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn example() -> Documents {
        Documents::from([
            (DocumentKey::Device(Endpoint::new("urn:a").unwrap()), "{}".into()),
            (DocumentKey::Device(Endpoint::new("b/%").unwrap()), r#"{"servers":[]}"#.into()),
            (DocumentKey::Template("all".to_owned()), r#"{"pattern":"*"}"#.into()),
        ])
    }

    #[test]
    fn what_is_written_is_read_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Documents::new());
        fs::write(folder.path().join("bootstrap.new"), b"half").unwrap();
        write(folder.path(), &example()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), example());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn every_damage_is_noticed_or_harmless() {
        let bytes = encode(&example());
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        let mut newer = bytes.clone();
        let at = 1 + 1 + NAME.len();
        assert_eq!(newer[at], VERSION);
        newer[at] = VERSION + 1;
        assert!(decode(&newer).unwrap_err().contains("version 2"));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[at] ^= 1 << bit;
                let _ = decode(&bent); // must not panic or allocate without bound
            }
        }
    }
}
