//! The file of wanted observations: small, versioned, replaced whole and atomically.
//!
//! CBOR: `["lightship-wanted", 2, [[endpoint, [[path, accept or null, [attribute, …]], …]], …]]`; a composite
//! observation is `[name, accept or null, [attribute, …], [path, …]]`. Version 1 had none of these.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use lightship_lwm2m::{Endpoint, Path};
use minicbor::{Decoder, Encoder};

use crate::batch::{WantedKey, WantedObservation};
use crate::file::length;
use crate::{StoreError, file};

/// Everything wanted, by device and key.
pub(crate) type Wanted = BTreeMap<Endpoint, BTreeMap<WantedKey, WantedObservation>>;

/// Reads the file of a folder; no file = nothing wanted.
pub(crate) fn read(folder: &FilePath) -> Result<Wanted, StoreError> {
    file::read(folder, FILE, decode)
}

/// Replaces the file of a folder.
pub(crate) fn write(folder: &FilePath, wanted: &Wanted) -> Result<(), StoreError> {
    file::write(folder, FILE, &encode(wanted))
}

fn encode(wanted: &Wanted) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into a Vec cannot fail.
    let _ = encode_into(&mut Encoder::new(&mut out), wanted);
    out
}

fn encode_into(
    out: &mut Encoder<&mut Vec<u8>>,
    wanted: &Wanted,
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    out.array(3)?.str(NAME)?.u8(VERSION)?.array(count(wanted.len()))?;
    for (endpoint, observations) in wanted {
        out.array(2)?.str(endpoint.as_str())?.array(count(observations.len()))?;
        for one in observations.values() {
            match &one.key {
                WantedKey::Path(path) => out.array(3)?.str(&path.to_string())?,
                WantedKey::Name(name) => out.array(4)?.str(name)?,
            };
            match one.accept {
                Some(format) => out.u16(format)?,
                None => out.null()?,
            };
            out.array(count(one.attributes.len()))?;
            for attribute in &one.attributes {
                out.str(attribute)?;
            }
            if let WantedKey::Name(_) = one.key {
                out.array(count(one.paths.len()))?;
                for path in &one.paths {
                    out.str(&path.to_string())?;
                }
            }
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<Wanted, String> {
    let mut input = Decoder::new(bytes);
    let wanted = decode_from(&mut input)?;
    if input.position() == bytes.len() { Ok(wanted) } else { Err("bytes behind the end".to_owned()) }
}

fn decode_from(input: &mut Decoder<'_>) -> Result<Wanted, String> {
    let text = |e: minicbor::decode::Error| e.to_string();
    if length(input)? != 3 || input.str().map_err(text)? != NAME {
        return Err("not a file of wanted observations".to_owned());
    }
    let version = input.u8().map_err(text)?;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(format!("version {version}, this program knows up to {VERSION}"));
    }
    let mut wanted = Wanted::new();
    for _ in 0..length(input)? {
        let pair = length(input)?;
        let endpoint = Endpoint::new(input.str().map_err(text)?).map_err(|e| e.to_string())?;
        let mut observations = BTreeMap::new();
        for _ in 0..length(input)? {
            let one = decode_observation(input)?;
            observations.insert(one.key.clone(), one);
        }
        if pair != 2 {
            return Err("a device is wrong".to_owned());
        }
        wanted.insert(endpoint, observations);
    }
    Ok(wanted)
}

fn decode_observation(input: &mut Decoder<'_>) -> Result<WantedObservation, String> {
    let text = |e: minicbor::decode::Error| e.to_string();
    let path = |text: &str| text.parse::<Path>().map_err(|_| "a path is wrong".to_owned());
    let members = length(input)?;
    let key = input.str().map_err(text)?;
    let key = match members {
        3 => WantedKey::Path(path(key)?),
        4 => WantedKey::Name(key.to_owned()),
        _ => return Err("an observation is wrong".to_owned()),
    };
    let accept: Option<u16> = input.decode().map_err(text)?;
    let mut attributes = Vec::new();
    for _ in 0..length(input)? {
        attributes.push(input.str().map_err(text)?.to_owned());
    }
    let mut paths = Vec::new();
    if members == 4 {
        for _ in 0..length(input)? {
            paths.push(path(input.str().map_err(text)?)?);
        }
    }
    Ok(WantedObservation { key, paths, accept, attributes })
}

const FILE: &str = "wanted.cbor";
const NAME: &str = "lightship-wanted";
const VERSION: u8 = 2;
/// Oldest version that is read.
const VERSION_MIN: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn example() -> Wanted {
        let one = |path: &str, accept| WantedObservation {
            key: WantedKey::Path(path.parse().unwrap()),
            paths: Vec::new(),
            accept,
            attributes: vec!["pmin=1".to_owned()],
        };
        let several = WantedObservation {
            key: WantedKey::Name("mine".to_owned()),
            paths: vec!["/3/0/9".parse().unwrap(), "/3303".parse().unwrap()],
            accept: Some(110),
            attributes: Vec::new(),
        };
        let of = |list: Vec<WantedObservation>| list.into_iter().map(|o| (o.key.clone(), o)).collect();
        Wanted::from([
            (Endpoint::new("urn:a").unwrap(), of(vec![one("/3/0/9", None), one("/3303/0", Some(112))])),
            (Endpoint::new("b/%").unwrap(), of(vec![one("/1", Some(0)), several])),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Wanted::new());
        write(folder.path(), &example()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), example());
    }

    #[test]
    fn the_file_of_an_older_program_is_read() {
        let mut paths_only = example();
        for of_device in paths_only.values_mut() {
            of_device.retain(|_, one| one.paths.is_empty());
        }
        let mut bytes = encode(&paths_only);
        bytes[2 + NAME.len()] = 1;
        assert_eq!(decode(&bytes).unwrap(), paths_only);
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
        assert!(decode(&newer).unwrap_err().contains("version 3"));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[at] ^= 1 << bit;
                let _ = decode(&bent); // must not panic or allocate without bound
            }
        }
    }

    #[test]
    fn a_broken_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &example()).unwrap();
        fs::write(folder.path().join("wanted.new"), b"half").unwrap();
        assert_eq!(read(folder.path()).unwrap(), example());
        write(folder.path(), &Wanted::new()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Wanted::new());
    }
}
