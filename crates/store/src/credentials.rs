//! Credentials by device and by what a peer presents; with a folder also in a file that only grows by whole frames.
//!
//! ```text
//! file:   "lightship-credentials" version(1), then frames
//! frame:  length of the body (4, big-endian)  first 8 bytes of the body's SHA-256  body
//! body:   CBOR [change, …]; a change is [set, endpoint] for one that is gone, or [set, endpoint, principal or null, sealed, ms]
//! ```
//! A frame is written with one `write` and brought to the disk before it counts. What is cut at the end of the file was never
//! acknowledged and is left out; anything else that is wrong stops the start.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};
use crate::file::{self, length};

/// All credentials.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    by_key: BTreeMap<CredentialKey, Arc<CredentialRecord>>,
    by_principal: HashMap<(CredentialSet, Box<[u8]>), Endpoint>,
    log: Option<Log>,
}

/// What a batch does to credentials.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Arc<CredentialRecord>),
    Gone(CredentialKey),
}

/// The file, open for more.
#[derive(Debug)]
struct Log {
    folder: PathBuf,
    file: Arc<File>,
    /// Bytes that are whole frames.
    len: u64,
    /// Changes in the file; those that were replaced by later ones are taken out when they are most of it.
    changes: usize,
}

impl Credentials {
    /// Reads the file of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Credentials, StoreError> {
        let mut credentials = Credentials::default();
        let changes = file::read(folder, FILE, decode)?;
        for change in &changes {
            credentials.apply(change);
        }
        // Written anew, so that nothing is left of what was replaced, or cut off at the end.
        credentials.rewrite(folder)?;
        Ok(credentials)
    }

    pub(crate) fn get(&self, key: &CredentialKey) -> Option<Arc<CredentialRecord>> {
        self.by_key.get(key).cloned()
    }

    /// Whose it is that a peer presents.
    pub(crate) fn presented(&self, set: CredentialSet, principal: &[u8]) -> Option<Arc<CredentialRecord>> {
        let endpoint = self.by_principal.get(&(set, principal.into()))?;
        self.get(&CredentialKey { set, endpoint: endpoint.clone() })
    }

    /// Credentials of a set behind a name, at most `max`.
    pub(crate) fn page(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Vec<Arc<CredentialRecord>> {
        let key = after.map(|endpoint| CredentialKey { set, endpoint: endpoint.clone() });
        let from = key.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.by_key.range((from, Bound::Unbounded));
        let page = page.map(|(_, record)| record).filter(|record| record.key.set == set);
        page.take(max).cloned().collect()
    }

    /// Whether the changes may be made, in their order.
    pub(crate) fn check(&self, changes: &[Change], max: usize) -> Result<(), StoreError> {
        // Who would have what, as far as the changes say.
        let mut now: HashMap<(CredentialSet, &[u8]), Option<&Endpoint>> = HashMap::new();
        let mut had: BTreeMap<&CredentialKey, Option<&CredentialRecord>> = BTreeMap::new();
        let mut len = self.by_key.len();
        for change in changes {
            let (key, new) = match change {
                Change::Put(record) => (&record.key, Some(record.as_ref())),
                Change::Gone(key) => (key, None),
            };
            let old = match had.get(key) {
                Some(old) => *old,
                None => self.by_key.get(key).map(Arc::as_ref),
            };
            if let Some(principal) = old.and_then(|old| old.principal.as_deref()) {
                now.insert((key.set, principal), None);
            }
            if let Some(principal) = new.and_then(|new| new.principal.as_deref()) {
                let kept = self.by_principal.get(&(key.set, principal.into()));
                let holder = now.get(&(key.set, principal)).copied().unwrap_or(kept);
                if let Some(holder) = holder.filter(|holder| **holder != key.endpoint) {
                    return Err(StoreError::Taken { by: holder.clone() });
                }
                now.insert((key.set, principal), Some(&key.endpoint));
            }
            len = len + usize::from(new.is_some()) - usize::from(old.is_some());
            had.insert(key, new);
        }
        let grows = len > self.by_key.len();
        if grows && len > max { Err(StoreError::Full { what: "credentials", max }) } else { Ok(()) }
    }

    /// Makes a change that was checked.
    pub(crate) fn apply(&mut self, change: &Change) {
        let (key, new) = match change {
            Change::Put(record) => (&record.key, Some(record)),
            Change::Gone(key) => (key, None),
        };
        let old = match new {
            Some(record) => self.by_key.insert(key.clone(), record.clone()),
            None => self.by_key.remove(key),
        };
        if let Some(principal) = old.and_then(|old| old.principal.clone()) {
            self.by_principal.remove(&(key.set, principal));
        }
        if let Some(principal) = new.and_then(|new| new.principal.clone()) {
            self.by_principal.insert((key.set, principal), key.endpoint.clone());
        }
    }

    /// What brings the changes to the disk; `None` without a folder.
    pub(crate) fn frame(&self, changes: &[Change]) -> Option<Frame> {
        let log = self.log.as_ref()?;
        let path = log.folder.join(FILE);
        Some(Frame { file: log.file.clone(), path, at: log.len, bytes: frame(changes) })
    }

    /// The frame is on the disk and its changes are made.
    pub(crate) fn written(&mut self, frame: &Frame, changes: usize) {
        let live = self.by_key.len();
        let Some(log) = &mut self.log else { return };
        log.len = frame.at + u64::try_from(frame.bytes.len()).unwrap_or(0);
        log.changes += changes;
        if log.changes > REWRITE_MIN && log.changes / 2 > live {
            let folder = log.folder.clone();
            // Everything is in the longer file, too.
            if let Err(error) = self.rewrite(&folder) {
                tracing::warn!(%error, "the file of credentials cannot be made shorter");
            }
        }
    }

    fn rewrite(&mut self, folder: &Path) -> Result<(), StoreError> {
        let mut bytes = head();
        for records in self.by_key.values().collect::<Vec<_>>().chunks(FRAME_CHANGES_MAX) {
            let changes: Vec<_> = records.iter().map(|record| Change::Put((*record).clone())).collect();
            bytes.extend(frame(&changes));
        }
        let (file, settled) = file::write_open(folder, FILE, &bytes)?;
        self.log = Some(Log {
            folder: folder.to_owned(),
            file: Arc::new(file),
            len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            changes: self.by_key.len(),
        });
        settled
    }
}

/// Changes on their way to the disk.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    file: Arc<File>,
    path: PathBuf,
    at: u64,
    bytes: Vec<u8>,
}

impl Frame {
    /// Writes it behind the last whole frame; one that failed before is written over.
    pub(crate) fn write(&self) -> Result<(), StoreError> {
        let write = || -> io::Result<()> {
            let mut file = self.file.as_ref();
            file.set_len(self.at)?;
            file.seek(SeekFrom::Start(self.at))?;
            file.write_all(&self.bytes)?;
            file.sync_all()
        };
        write().map_err(|source| StoreError::Unavailable { path: self.path.clone(), source })
    }
}

fn head() -> Vec<u8> {
    [NAME.as_bytes(), &[VERSION]].concat()
}

fn frame(changes: &[Change]) -> Vec<u8> {
    let mut body = Vec::new();
    // Writing into a Vec cannot fail.
    let _ = encode_into(&mut Encoder::new(&mut body), changes);
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes(), sum(&body).as_slice(), &body].concat()
}

fn sum(body: &[u8]) -> [u8; SUM_LEN] {
    let mut sum = [0; SUM_LEN];
    let whole = Sha256::digest(body);
    sum.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    sum
}

fn encode_into(
    out: &mut Encoder<&mut Vec<u8>>,
    changes: &[Change],
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    out.array(u64::try_from(changes.len()).unwrap_or(u64::MAX))?;
    for change in changes {
        match change {
            Change::Gone(key) => {
                out.array(2)?.u8(number(key.set))?.str(key.endpoint.as_str())?;
            }
            Change::Put(record) => {
                out.array(5)?.u8(number(record.key.set))?.str(record.key.endpoint.as_str())?;
                match &record.principal {
                    Some(principal) => out.bytes(principal)?,
                    None => out.null()?,
                };
                out.bytes(&record.sealed)?.i64(record.changed_ms)?;
            }
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<Vec<Change>, String> {
    let Some(mut rest) = bytes.strip_prefix(NAME.as_bytes()) else {
        // A file of no bytes is what a crash may leave of one that is just made.
        return if bytes.is_empty() { Ok(Vec::new()) } else { Err("not a file of credentials".to_owned()) };
    };
    match rest.split_first() {
        Some((&VERSION, frames)) => rest = frames,
        Some((version, _)) => return Err(format!("version {version}, this program knows {VERSION}")),
        None => return Err("cut in its head".to_owned()),
    }
    let mut changes = Vec::new();
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|error| error.to_string())?;
        let Some((sum, behind)) = behind.split_first_chunk::<SUM_LEN>() else { break };
        // Cut while it was written: nobody was told that it is there.
        let Some((body, behind)) = behind.split_at_checked(len) else { break };
        if *sum != self::sum(body) {
            if behind.is_empty() {
                break;
            }
            return Err("a frame is damaged".to_owned());
        }
        decode_body(body, &mut changes)?;
        rest = behind;
    }
    Ok(changes)
}

fn decode_body(body: &[u8], changes: &mut Vec<Change>) -> Result<(), String> {
    let text = |error: minicbor::decode::Error| error.to_string();
    let mut input = Decoder::new(body);
    for _ in 0..length(&mut input)? {
        let members = length(&mut input)?;
        let set = match input.u8().map_err(text)? {
            0 => CredentialSet::Server,
            1 => CredentialSet::Bootstrap,
            other => return Err(format!("there is no set {other} of credentials")),
        };
        let endpoint = Endpoint::new(input.str().map_err(text)?).map_err(|error| error.to_string())?;
        let key = CredentialKey { set, endpoint };
        changes.push(match members {
            2 => Change::Gone(key),
            5 => {
                let is_null = input.datatype().map_err(text)? == minicbor::data::Type::Null;
                let principal = if is_null { input.null().map(|()| None) } else { input.bytes().map(Some) };
                let principal = principal.map_err(text)?.map(Into::into);
                let sealed = input.bytes().map_err(text)?.into();
                let changed_ms = input.i64().map_err(text)?;
                Change::Put(Arc::new(CredentialRecord { key, principal, sealed, changed_ms }))
            }
            other => return Err(format!("a credential has {other} members")),
        });
    }
    if input.position() == body.len() { Ok(()) } else { Err("bytes behind a frame".to_owned()) }
}

fn number(set: CredentialSet) -> u8 {
    match set {
        CredentialSet::Server => 0,
        CredentialSet::Bootstrap => 1,
    }
}

const FILE: &str = "credentials.log";
const NAME: &str = "lightship-credentials";
const VERSION: u8 = 1;
const SUM_LEN: usize = 8;
/// Changes in one frame of a file that is written anew.
const FRAME_CHANGES_MAX: usize = 1000;
/// A file with fewer changes is never written anew while the server runs.
const REWRITE_MIN: usize = 1000;

#[cfg(test)]
mod tests;
