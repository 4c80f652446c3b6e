//! Rows of the embedded store. Each value begins with the version of its form; what an older program wrote is read, what a
//! newer one wrote stops the start.
//!
//! ```text
//! registrations  endpoint                        version  [id, registered, updated, expires or null, said]
//! wanted         endpoint 0x00 kind path|name    version  [accept or null, [attribute, …], [path, …]]
//! commands       number (8)                      version  [writer, endpoint, state, order, created, changed, not after,
//!                                                          attempts, reason or null, answer or null, priority,
//!                                                          attempts at most, pause, not before, place]; version 1
//!                                                          ends with the answer, version 2 before the place, which
//!                                                          only those have that were moved
//! documents      kind endpoint|name              version  body
//! credentials    set endpoint                    version  [principal or null, sealed, changed]
//! principals     set SHA-256 of the principal    endpoint
//! values         endpoint 0x00 number (2) …      version  value
//! notes          name                            version  body
//! events         number (8)                      version  [at, endpoint, kind, body, indexed]; version 2 is a bundle
//! tokens         id                              version  [name, role, digest, created, by, expires or null]
//! audit          place (8)                       version  [endpoint or null, body]
//! audited        endpoint 0x00 place (8)         nothing
//! of a device    endpoint 0x00 number (8)        at (8)
//! ```
//! Events that came together are bundles: see bundle.rs.
//! No legal endpoint name holds a zero byte, so none is the beginning of another one's rows.

use std::convert::Infallible;
use std::sync::Arc;

use lightship_lwm2m::{Endpoint, Path};
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};

use crate::access::{AuditRecord, TokenRecord};
use crate::batch::{
    Cursor, DocumentKey, EventRecord, NewEvent, RegistrationRecord, WantedKey, WantedObservation,
};
use crate::command::{CommandId, CommandRecord, CommandState};
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};

type Written = Result<(), minicbor::encode::Error<Infallible>>;

/// A version, and what `write` makes of it.
fn value(version: u8, len: usize, write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Written) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + OVERHEAD);
    out.push(version);
    // Writing into a Vec cannot fail.
    let _ = write(&mut Encoder::new(&mut out));
    out
}

/// The content behind a version that this program knows, and which one it is.
fn versioned(value: &[u8], newest: u8) -> Result<(u8, Decoder<'_>), String> {
    let (version, rest) = value.split_first().ok_or_else(|| "an empty value".to_owned())?;
    if !(1..=newest).contains(version) {
        return Err(format!("version {version}, this program knows up to {newest}"));
    }
    Ok((*version, Decoder::new(rest)))
}

fn members(input: &mut Decoder<'_>, expected: u64) -> Result<(), String> {
    match input.array().map_err(text)? {
        Some(members) if members == expected => Ok(()),
        other => Err(format!("{other:?} members, not {expected}")),
    }
}

fn ends(input: &Decoder<'_>) -> Result<(), String> {
    if input.position() == input.input().len() { Ok(()) } else { Err("bytes behind the end".to_owned()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn endpoint(bytes: &[u8]) -> Result<Endpoint, String> {
    Endpoint::new(std::str::from_utf8(bytes).map_err(text)?).map_err(text)
}

fn optional(out: &mut Encoder<&mut Vec<u8>>, text: Option<&Arc<str>>) -> Written {
    match text {
        Some(text) => out.str(text)?,
        None => out.null()?,
    };
    Ok(())
}

pub(crate) fn registration_key(endpoint: &Endpoint) -> &[u8] {
    endpoint.as_str().as_bytes()
}

pub(crate) fn registration(record: &RegistrationRecord) -> Vec<u8> {
    value(REGISTRATION, record.said.len(), |out| {
        out.array(5)?.u64(record.id)?.i64(record.registered_ms)?.i64(record.updated_ms)?;
        match record.expires_ms {
            Some(expires_ms) => out.i64(expires_ms)?,
            None => out.null()?,
        };
        out.bytes(&record.said)?;
        Ok(())
    })
}

pub(crate) fn read_registration(key: &[u8], value: &[u8]) -> Result<RegistrationRecord, String> {
    let (_, mut input) = versioned(value, REGISTRATION)?;
    members(&mut input, 5)?;
    let record = RegistrationRecord {
        endpoint: endpoint(key)?,
        id: input.u64().map_err(text)?,
        registered_ms: input.i64().map_err(text)?,
        updated_ms: input.i64().map_err(text)?,
        expires_ms: input.decode().map_err(text)?,
        said: input.bytes().map_err(text)?.into(),
    };
    ends(&input)?;
    Ok(record)
}

/// What the rows of one device begin with.
pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Vec<u8> {
    [endpoint.as_str().as_bytes(), &[0]].concat()
}

fn split_endpoint(key: &[u8]) -> Result<(Endpoint, &[u8]), String> {
    let at = key.iter().position(|byte| *byte == 0).ok_or_else(|| "no name".to_owned())?;
    let (name, rest) = key.split_at_checked(at).ok_or_else(|| "no name".to_owned())?;
    Ok((endpoint(name)?, rest.get(1..).unwrap_or_default()))
}

pub(crate) fn wanted_key(endpoint: &Endpoint, key: &WantedKey) -> Vec<u8> {
    let mut out = of_endpoint(endpoint);
    match key {
        WantedKey::Path(path) => {
            out.push(PATH);
            out.extend_from_slice(path.to_string().as_bytes());
        }
        WantedKey::Name(name) => {
            out.push(NAME);
            out.extend_from_slice(name.as_bytes());
        }
    }
    out
}

pub(crate) fn wanted(observation: &WantedObservation) -> Vec<u8> {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    value(WANTED, 64, |out| {
        out.array(3)?;
        match observation.accept {
            Some(format) => out.u16(format)?,
            None => out.null()?,
        };
        out.array(count(observation.attributes.len()))?;
        for attribute in &observation.attributes {
            out.str(attribute)?;
        }
        out.array(count(observation.paths.len()))?;
        for path in &observation.paths {
            out.str(&path.to_string())?;
        }
        Ok(())
    })
}

/// Whose observation a row is.
pub(crate) fn read_wanted_of(key: &[u8]) -> Result<Endpoint, String> {
    Ok(split_endpoint(key)?.0)
}

pub(crate) fn read_wanted(key: &[u8], value: &[u8]) -> Result<(Endpoint, WantedObservation), String> {
    let path = |text: &str| text.parse::<Path>().map_err(|_| "a path is wrong".to_owned());
    let (endpoint, rest) = split_endpoint(key)?;
    let (kind, name) = rest.split_first().ok_or_else(|| "no key".to_owned())?;
    let name = std::str::from_utf8(name).map_err(text)?;
    let key = match *kind {
        PATH => WantedKey::Path(path(name)?),
        NAME => WantedKey::Name(name.to_owned()),
        other => return Err(format!("there is no kind {other} of observations")),
    };
    let (_, mut input) = versioned(value, WANTED)?;
    members(&mut input, 3)?;
    let accept = input.decode().map_err(text)?;
    let mut attributes = Vec::new();
    for _ in 0..crate::file::length(&mut input)? {
        attributes.push(input.str().map_err(text)?.to_owned());
    }
    let mut paths = Vec::new();
    for _ in 0..crate::file::length(&mut input)? {
        paths.push(path(input.str().map_err(text)?)?);
    }
    ends(&input)?;
    Ok((endpoint, WantedObservation { key, paths, accept, attributes }))
}

pub(crate) fn command(record: &CommandRecord) -> Vec<u8> {
    let state = CommandState::ALL.iter().position(|state| *state == record.state);
    let state = state.and_then(|place| u8::try_from(place).ok()).unwrap_or(0);
    let moved = record.place != record.id.place();
    let version = if moved { COMMAND } else { UNMOVED };
    value(version, record.order.len() + record.answer.as_ref().map_or(0, |answer| answer.len()), |out| {
        out.array(if moved { 15 } else { 14 })?
            .u32(record.id.writer)?
            .str(record.endpoint.as_str())?
            .u8(state)?
            .str(&record.order)?;
        out.i64(record.created_ms)?.i64(record.changed_ms)?.i64(record.not_after_ms)?.u32(record.attempts)?;
        optional(out, record.reason.as_ref())?;
        optional(out, record.answer.as_ref())?;
        out.i8(record.priority)?.u32(record.attempts_max)?.u64(record.pause_ms)?.i64(record.next_ms)?;
        if moved {
            out.i64(record.place)?;
        }
        Ok(())
    })
}

pub(crate) fn read_command(key: &[u8], value: &[u8]) -> Result<CommandRecord, String> {
    let (version, mut input) = versioned(value, COMMAND)?;
    members(&mut input, [10, 14, 15].get(usize::from(version) - 1).copied().unwrap_or(15))?;
    let optional = |input: &mut Decoder<'_>| -> Result<Option<Arc<str>>, String> {
        let found: Option<&str> = input.decode().map_err(text)?;
        Ok(found.map(Arc::from))
    };
    let id = CommandId { number: read_number(key)?, writer: input.u32().map_err(text)? };
    let endpoint = Endpoint::new(input.str().map_err(text)?).map_err(text)?;
    let state = CommandState::ALL.get(usize::from(input.u8().map_err(text)?)).copied();
    let mut record = CommandRecord {
        id,
        endpoint,
        state: state.ok_or_else(|| "a state is wrong".to_owned())?,
        order: input.str().map_err(text)?.into(),
        created_ms: input.i64().map_err(text)?,
        changed_ms: input.i64().map_err(text)?,
        not_after_ms: input.i64().map_err(text)?,
        attempts: input.u32().map_err(text)?,
        reason: optional(&mut input)?,
        answer: optional(&mut input)?,
        priority: 0,
        place: id.place(),
        attempts_max: u32::MAX,
        pause_ms: PAUSE_MS,
        next_ms: 0,
    };
    if version > 1 {
        record.priority = input.i8().map_err(text)?;
        record.attempts_max = input.u32().map_err(text)?;
        record.pause_ms = input.u64().map_err(text)?;
        record.next_ms = input.i64().map_err(text)?;
    }
    if version > UNMOVED {
        record.place = input.i64().map_err(text)?;
    }
    ends(&input)?;
    Ok(record)
}

pub(crate) fn document_key(key: &DocumentKey) -> Vec<u8> {
    match key {
        DocumentKey::Device(endpoint) => [&[DEVICE], endpoint.as_str().as_bytes()].concat(),
        DocumentKey::Template(name) => [&[TEMPLATE], name.as_bytes()].concat(),
    }
}

pub(crate) fn document(body: &str) -> Vec<u8> {
    [&[DOCUMENT], body.as_bytes()].concat()
}

pub(crate) fn read_document(key: &[u8], value: &[u8]) -> Result<(DocumentKey, Arc<str>), String> {
    let (kind, name) = key.split_first().ok_or_else(|| "no key".to_owned())?;
    let key = match *kind {
        DEVICE => DocumentKey::Device(endpoint(name)?),
        TEMPLATE => DocumentKey::Template(std::str::from_utf8(name).map_err(text)?.to_owned()),
        other => return Err(format!("there is no kind {other} of documents")),
    };
    let (_, input) = versioned(value, DOCUMENT)?;
    Ok((key, std::str::from_utf8(input.input()).map_err(text)?.into()))
}

pub(crate) fn set_number(set: CredentialSet) -> u8 {
    match set {
        CredentialSet::Server => 0,
        CredentialSet::Bootstrap => 1,
    }
}

pub(crate) fn credential_key(key: &CredentialKey) -> Vec<u8> {
    [&[set_number(key.set)], key.endpoint.as_str().as_bytes()].concat()
}

pub(crate) fn principal_key(set: CredentialSet, principal: &[u8]) -> Vec<u8> {
    [&[set_number(set)], Sha256::digest(principal).as_slice()].concat()
}

/// Whose it is that a peer presents.
pub(crate) fn read_principal(value: &[u8]) -> Result<Endpoint, String> {
    endpoint(value)
}

pub(crate) fn credential(record: &CredentialRecord) -> Vec<u8> {
    value(CREDENTIAL, record.sealed.len() + record.principal.as_ref().map_or(0, |bytes| bytes.len()), |out| {
        out.array(3)?;
        match &record.principal {
            Some(principal) => out.bytes(principal)?,
            None => out.null()?,
        };
        out.bytes(&record.sealed)?.i64(record.changed_ms)?;
        Ok(())
    })
}

pub(crate) fn read_credential(key: &[u8], value: &[u8]) -> Result<CredentialRecord, String> {
    let (set, name) = key.split_first().ok_or_else(|| "no key".to_owned())?;
    let set = match *set {
        0 => CredentialSet::Server,
        1 => CredentialSet::Bootstrap,
        other => return Err(format!("there is no set {other} of credentials")),
    };
    let key = CredentialKey { set, endpoint: endpoint(name)? };
    let (_, mut input) = versioned(value, CREDENTIAL)?;
    members(&mut input, 3)?;
    let is_null = input.datatype().map_err(text)? == minicbor::data::Type::Null;
    let principal = if is_null { input.null().map(|()| None) } else { input.bytes().map(Some) };
    let principal = principal.map_err(text)?.map(Into::into);
    let sealed = input.bytes().map_err(text)?.into();
    let changed_ms = input.i64().map_err(text)?;
    ends(&input)?;
    Ok(CredentialRecord { key, principal, sealed, changed_ms })
}

/// Paths in their order, those below a path behind one another.
pub(crate) fn value_key(endpoint: &Endpoint, path: Path) -> Vec<u8> {
    let mut key = of_endpoint(endpoint);
    key.extend(path.numbers().flat_map(u16::to_be_bytes));
    key
}

pub(crate) fn last_value(value: &[u8]) -> Vec<u8> {
    [&[LAST_VALUE], value].concat()
}

pub(crate) fn read_value<'a>(key: &'a [u8], value: &'a [u8]) -> Result<(&'a str, Path, &'a [u8]), String> {
    let at = key.iter().position(|byte| *byte == 0).ok_or_else(|| "no name".to_owned())?;
    let (name, rest) = key.split_at_checked(at).ok_or_else(|| "no name".to_owned())?;
    let (numbers, odd) = rest.get(1..).unwrap_or_default().as_chunks::<2>();
    let numbers: Vec<u16> = numbers.iter().map(|number| u16::from_be_bytes(*number)).collect();
    let path = Path::from_numbers(&numbers).filter(|_| odd.is_empty());
    let path = path.ok_or_else(|| "a path is wrong".to_owned())?;
    Ok((std::str::from_utf8(name).map_err(text)?, path, value_of(value)?))
}

/// The value without its version.
pub(crate) fn value_of(value: &[u8]) -> Result<&[u8], String> {
    versioned(value, LAST_VALUE).map(|(_, input)| input.input())
}

pub(crate) fn note(body: &str) -> Vec<u8> {
    [&[NOTE], body.as_bytes()].concat()
}

pub(crate) fn read_note(key: &[u8], value: &[u8]) -> Result<(Arc<str>, Arc<str>), String> {
    let (_, input) = versioned(value, NOTE)?;
    let name = std::str::from_utf8(key).map_err(text)?;
    Ok((name.into(), std::str::from_utf8(input.input()).map_err(text)?.into()))
}

pub(crate) fn token(record: &TokenRecord) -> Vec<u8> {
    value(TOKEN, record.name.len(), |out| {
        out.array(6)?.str(&record.name)?.str(&record.role)?.bytes(&record.digest)?.i64(record.created_ms)?;
        out.str(&record.created_by)?;
        match record.expires_ms {
            Some(expires_ms) => out.i64(expires_ms)?,
            None => out.null()?,
        };
        Ok(())
    })
}

pub(crate) fn read_token(key: &[u8], value: &[u8]) -> Result<TokenRecord, String> {
    let (_, mut input) = versioned(value, TOKEN)?;
    members(&mut input, 6)?;
    let record = TokenRecord {
        id: std::str::from_utf8(key).map_err(text)?.into(),
        name: input.str().map_err(text)?.into(),
        role: input.str().map_err(text)?.into(),
        digest: input.bytes().map_err(text)?.try_into().map_err(|_| "a digest has 32 bytes".to_owned())?,
        created_ms: input.i64().map_err(text)?,
        created_by: input.str().map_err(text)?.into(),
        expires_ms: input.decode().map_err(text)?,
    };
    ends(&input)?;
    Ok(record)
}

pub(crate) fn audit(record: &AuditRecord) -> Vec<u8> {
    value(AUDIT, record.body.len(), |out| {
        out.array(2)?;
        match &record.endpoint {
            Some(endpoint) => out.str(endpoint.as_str())?,
            None => out.null()?,
        };
        out.str(&record.body)?;
        Ok(())
    })
}

pub(crate) fn read_audit(key: &[u8], value: &[u8]) -> Result<AuditRecord, String> {
    let (_, mut input) = versioned(value, AUDIT)?;
    members(&mut input, 2)?;
    let name: Option<&str> = input.decode().map_err(text)?;
    let endpoint = name.map(Endpoint::new).transpose().map_err(text)?;
    let record = AuditRecord { id: read_number(key)?, endpoint, body: input.str().map_err(text)?.into() };
    ends(&input)?;
    Ok(record)
}

pub(crate) fn event(event: &NewEvent) -> Vec<u8> {
    event_row(event.at_ms, &event.endpoint, event.kind, &event.body, event.indexed)
}

pub(crate) fn event_row(at_ms: i64, endpoint: &Endpoint, kind: &str, body: &str, indexed: bool) -> Vec<u8> {
    value(EVENT, body.len() + endpoint.as_str().len(), |out| {
        out.array(5)?.i64(at_ms)?.str(endpoint.as_str())?.str(kind)?.str(body)?.bool(indexed)?;
        Ok(())
    })
}

/// Appends an event as it lies in a bundle.
pub(crate) fn append_event(out: &mut Vec<u8>, event: &NewEvent) {
    let NewEvent { at_ms, endpoint, kind, body, indexed } = event;
    let mut out = Encoder::new(out);
    let write = |out: &mut Encoder<&mut Vec<u8>>| -> Written {
        out.array(5)?.i64(*at_ms)?.str(endpoint.as_str())?.str(kind)?.str(body)?.bool(*indexed)?;
        Ok(())
    };
    // Writing into a Vec cannot fail.
    let _ = write(&mut out);
}

/// An event behind its version, and whether it is found by its device.
pub(crate) fn read_event(writer: u32, number: u64, value: &[u8]) -> Result<(EventRecord, bool), String> {
    let mut input = Decoder::new(value);
    members(&mut input, 5)?;
    let record = EventRecord {
        cursor: Cursor { writer, number },
        at_ms: input.i64().map_err(text)?,
        endpoint: Endpoint::new(input.str().map_err(text)?).map_err(text)?,
        kind: input.str().map_err(text)?.to_owned().into(),
        body: input.str().map_err(text)?.into(),
    };
    let indexed = input.bool().map_err(text)?;
    ends(&input)?;
    Ok((record, indexed))
}

pub(crate) fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn read_number(key: &[u8]) -> Result<u64, String> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| "a number has 8 bytes".to_owned())
}

pub(crate) fn index_key(endpoint: &Endpoint, number: u64) -> Vec<u8> {
    [endpoint.as_str().as_bytes(), &[0], &number_key(number)].concat()
}

/// Whose event it is and which.
pub(crate) fn read_index(key: &[u8]) -> Result<(Endpoint, u64), String> {
    let (endpoint, number) = split_endpoint(key)?;
    Ok((endpoint, read_number(number)?))
}

const REGISTRATION: u8 = 1;
const WANTED: u8 = 1;
const COMMAND: u8 = 3;
/// Of a command that stands where it was put first.
const UNMOVED: u8 = 2;
const DOCUMENT: u8 = 1;
const CREDENTIAL: u8 = 1;
const LAST_VALUE: u8 = 1;
const NOTE: u8 = 1;
pub(crate) const EVENT: u8 = 1;
pub(crate) const BUNDLE: u8 = 2;
const TOKEN: u8 = 1;
const AUDIT: u8 = 1;

const PATH: u8 = 0;
const NAME: u8 = 1;
const DEVICE: u8 = 0;
const TEMPLATE: u8 = 1;
/// The pause of commands from when that was not said.
const PAUSE_MS: u64 = 10_000;
/// What a value takes beside its longest texts, roughly.
const OVERHEAD: usize = 64;

#[cfg(test)]
mod tests;
