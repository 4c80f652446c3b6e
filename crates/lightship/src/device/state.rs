//! `--state FILE`: what survives a restart. Accounts, attributes, the objects and their values, as one JSON document.
//!
//! The file is replaced, never rewritten: what a crash leaves behind is the old state or the new one. It holds keys, so only its
//! owner may read it.

mod account;
mod session;

use self::account::SavedAccount;
use self::session::SavedSession;
use super::object::ObjectSet;
use lightship_api::Node;
use lightship_client::Account;
use lightship_client::dtls::Resumption;
use lightship_lwm2m::Path as LwPath;
use lightship_lwm2m::attributes::AttributeChange;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Grows when the document changes in a way that older programs would misread.
const FORMAT: u32 = 1;

/// The file of one device.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// What it holds.
    written: Vec<u8>,
}

/// What is kept.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) accounts: Vec<Account>,
    /// What sessions can be resumed with, by Short Server ID; none is the Bootstrap-Server's. Never a session itself: a record number
    /// counts once, and a crash forgets how far they had come.
    pub(crate) sessions: Vec<(Option<u16>, Resumption)>,
    /// By Short Server ID.
    pub(crate) attributes: Vec<(u16, LwPath, AttributeChange)>,
    /// The firmware that an update installed.
    pub(crate) firmware: String,
    /// A node for each object.
    pub(crate) objects: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<N> {
    lightship_device_state: u32,
    endpoint: String,
    firmware: String,
    accounts: Vec<SavedAccount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sessions: Vec<SavedSession>,
    attributes: Vec<SavedAttributes>,
    objects: Vec<N>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAttributes {
    short_server_id: u16,
    path: String,
    /// As in the query of a Write-Attributes.
    attributes: Vec<String>,
}

impl StateFile {
    /// Opens the file of a device; there is no state while there is no file.
    ///
    /// # Errors
    /// Says what is wrong with the file. It is left as it is.
    pub(crate) fn open(path: &Path, endpoint: &str) -> Result<(Self, Option<State>), String> {
        let fresh = Self { path: path.to_owned(), written: Vec::new() };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((fresh, None)),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let state = read(&bytes, endpoint).map_err(|what| {
            format!("{}: {what}. Mend the file, or remove it to start afresh.", path.display())
        })?;
        Ok((Self { written: bytes, ..fresh }, Some(state)))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what there is to keep, unless the file holds just that.
    ///
    /// # Errors
    /// When the file cannot be replaced; what it held stays.
    pub(crate) fn keep<'a>(
        &mut self,
        endpoint: &str,
        firmware: &str,
        (accounts, sessions): (
            impl Iterator<Item = &'a Account>,
            impl Iterator<Item = (Option<u16>, &'a Resumption)>,
        ),
        attributes: impl Iterator<Item = (u16, LwPath, AttributeChange)>,
        objects: &ObjectSet,
    ) -> io::Result<()> {
        let document: Document<Node> = Document {
            lightship_device_state: FORMAT,
            endpoint: endpoint.to_owned(),
            firmware: firmware.to_owned(),
            accounts: accounts.map(SavedAccount::from).collect(),
            sessions: sessions.map(SavedSession::from).collect(),
            attributes: attributes.map(saved_attributes).collect(),
            objects: objects.kept(),
        };
        let mut bytes = serde_json::to_vec_pretty(&document)?;
        bytes.push(b'\n');
        if bytes != self.written {
            replace(&self.path, &bytes)?;
            self.written = bytes;
        }
        Ok(())
    }
}

fn read(bytes: &[u8], endpoint: &str) -> Result<State, String> {
    let broken = |error: serde_json::Error| format!("this is no state of a device: {error}");
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(broken)?;
    match json.get("lightship_device_state").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(newer) => return Err(format!("it has format {newer}, and this program reads {FORMAT}")),
        None => return Err("this is no state of a device".to_owned()),
    }
    let document: Document<serde_json::Value> = serde_json::from_slice(bytes).map_err(broken)?;
    if document.endpoint != endpoint {
        return Err(format!("it belongs to {:?}, and this device is {endpoint:?}", document.endpoint));
    }
    let accounts = document.accounts.iter().map(Account::try_from).collect::<Result<_, _>>()?;
    let attributes = document.attributes.iter().map(read_attributes).collect::<Result<_, _>>()?;
    let sessions = document.sessions.iter().map(SavedSession::resumption).collect::<Result<_, _>>()?;
    Ok(State { accounts, sessions, attributes, firmware: document.firmware, objects: document.objects })
}

fn saved_attributes((short_server_id, path, change): (u16, LwPath, AttributeChange)) -> SavedAttributes {
    let mut attributes = Vec::new();
    change.queries(|part| attributes.push(part.to_string()));
    SavedAttributes { short_server_id, path: path.to_string(), attributes }
}

fn read_attributes(saved: &SavedAttributes) -> Result<(u16, LwPath, AttributeChange), String> {
    let path = saved.path.parse().map_err(|_| format!("{:?} is no path", saved.path))?;
    let change = AttributeChange::parse(saved.attributes.iter().map(String::as_str))
        .map_err(|error| format!("the attributes of {path}: {error}"))?;
    Ok((saved.short_server_id, path, change))
}

/// Puts a new file in the place of the old one, so that there is always one of both, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("this names no file"))?;
    let mut temporary = name.to_owned();
    temporary.push(".new");
    let temporary = folder.join(temporary);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name, too, has to survive a power cut; not every system lets one ask for that.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests;
