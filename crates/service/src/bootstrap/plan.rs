//! From a document and what is known of a device to the commands that it gets: one pure function, which `GET …/plan` shows and
//! the sessions run.
//!
//! Order: delete, write the servers (`/0` and `/1` of each), write the rest in the document's order, read back, Finish.
//! Instances that the device uses for its Bootstrap-Server account are never touched; a server that the device knows already keeps
//! its instances.

use std::collections::BTreeSet;
use std::sync::Arc;

use lightship_api::Node;
use lightship_api::convert::{self, Entry};
use lightship_lwm2m::bootstrap::{Command, InstanceList};
use lightship_lwm2m::node::encode_entries;
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{Format, OwnedValue, Path, ShortServerId, Version};

use super::document::{Account, Document, Write, boolean, number};
use super::secret;

/// What is known of a device before anything is changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) version: Option<Version>,
    /// The instances there are, with the server that each is of.
    pub(crate) instances: Vec<(Path, Option<ShortServerId>)>,
    /// Whether the device has said so; else the Bootstrap-Server's own account may be anywhere.
    pub(crate) said: bool,
}

/// The commands for a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// What does not go exactly as the document says, and why.
    pub(crate) notes: Vec<String>,
}

/// One command.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) payload: Arc<[u8]>,
    /// What is written, without secrets.
    pub(crate) nodes: Vec<Node>,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.command.operation, self.command.path)
    }
}

impl Step {
    /// A command without content.
    pub(crate) fn of(command: Command) -> Step {
        Step { command, payload: Arc::default(), nodes: Vec::new() }
    }
}

impl Known {
    /// A device that has nothing but its Bootstrap-Server account, in the usual place.
    pub(crate) fn fresh() -> Known {
        let account = lightship_lwm2m::path!(0 / 0);
        Known { version: None, instances: vec![(account, None)], said: true }
    }

    /// A device that has said nothing of itself.
    pub(crate) fn nothing() -> Known {
        Known::default()
    }

    /// What a Bootstrap-Discover says.
    pub(crate) fn listed(list: &InstanceList<'_>) -> Known {
        let instances = list
            .entries()
            .filter(|entry| entry.path.level() == Level::Instance)
            .map(|entry| (entry.path, entry.short_server_id))
            .take(INSTANCES_MAX)
            .collect();
        Known { version: list.version(), instances, said: true }
    }

    /// Instances of an object.
    fn of(&self, object: u16) -> impl Iterator<Item = (Path, Option<ShortServerId>)> {
        let is = move |path: &Path| path.object_id().is_some_and(|id| id.get() == object);
        self.instances.iter().copied().filter(move |(path, _)| is(path))
    }

    /// The instances of object 0 that are of no server: the Bootstrap-Server's own.
    fn own(&self) -> impl Iterator<Item = Path> {
        self.of(0).filter(|(_, ssid)| ssid.is_none()).map(|(path, _)| path)
    }

    /// Whether instances of object 1 are listed without their server, as old devices do.
    pub(crate) fn lacks_servers(&self) -> bool {
        self.of(1).any(|(_, ssid)| ssid.is_none())
    }
}

/// The commands for a device of which that is known.
///
/// # Errors
/// Why this document must not be carried out on this device.
pub(crate) fn plan(document: &Document, known: &Known, preferred: Option<Format>) -> Result<Plan, String> {
    let format = document.format.or(preferred).unwrap_or(Format::Tlv);
    let assigned = assign(document, known);
    let mut notes = assigned.notes;
    if !known.said {
        notes.push(
            "the device has not said which instances it has: its Bootstrap-Server account is taken to be /0/0"
                .to_owned(),
        );
    }
    reachable(document, known, &assigned.deletes)?;
    if document.accounts.iter().any(|account| account.queue_mode) && known.version != Some(Version::V1_0) {
        notes.push(
            "queue_mode has no place in the Server object since LwM2M 1.1; the device decides".to_owned(),
        );
    }
    let mut steps: Vec<Step> = assigned.deletes.iter().map(|path| Step::of(Command::delete(*path))).collect();
    for write in &assigned.written {
        steps.push(written(write, format)?);
    }
    for path in &document.read {
        if known.version == Some(Version::V1_0) {
            notes.push(format!("{path} is not read back: LwM2M 1.0 has no Bootstrap-Read"));
            continue;
        }
        steps.push(Step::of(Command::read(*path, format)));
    }
    steps.push(Step::of(Command::FINISH));
    if steps.len() > STEPS_MAX {
        return Err(format!("it would take {} commands, and {STEPS_MAX} are the most", steps.len()));
    }
    Ok(Plan { steps, notes })
}

/// Everything at once (LwM2M 1.2), for a device whose own account is on these instances.
///
/// # Errors
/// Why this document cannot be a pack; the device may then ask step by step.
pub(crate) fn pack(document: &Document, account: &[Path], accept: Format) -> Result<Step, String> {
    if !document.pack {
        return Err("the document does not want to be a pack".to_owned());
    }
    let known = if account.is_empty() {
        Known::nothing()
    } else {
        Known {
            version: Some(Version::V1_2),
            instances: account.iter().map(|path| (*path, None)).collect(),
            said: true,
        }
    };
    let assigned = assign(document, &known);
    let objects: BTreeSet<_> = assigned.written.iter().filter_map(|write| write.path.object_id()).collect();
    // A pack replaces all instances of the objects that it names, and no others.
    let same = |path: &Path| {
        path.level() == Level::Object && path.object_id().is_some_and(|id| objects.contains(&id))
    };
    if !document.delete.as_ref().is_none_or(|delete| !delete.is_empty() && delete.iter().all(same)) {
        return Err("a pack cannot delete what the document deletes, or keep what it keeps".to_owned());
    }
    if !objects.iter().any(|object| object.get() == 0) {
        return Err("the document has no server account".to_owned());
    }
    if assigned.written.iter().any(|write| write.path.level() == Level::Resource) {
        return Err("a pack holds whole instances, and the document writes single Resources".to_owned());
    }
    let mut entries: Vec<Entry> = assigned.written.iter().flat_map(|write| write.entries.clone()).collect();
    entries.sort_by_key(|entry| entry.path);
    let payload = encode(accept, Path::ROOT, &entries)?;
    let nodes = assigned.written.iter().map(shown).collect();
    Ok(Step { command: Command::discover(Path::ROOT), payload, nodes })
}

fn written(write: &Write, format: Format) -> Result<Step, String> {
    let payload = encode(format, write.path, &write.entries)?;
    Ok(Step { command: Command::write(write.path, format), payload, nodes: vec![shown(write)] })
}

fn encode(format: Format, base: Path, entries: &[Entry]) -> Result<Arc<[u8]>, String> {
    let entries: Vec<_> = entries.iter().map(|entry| (entry.path, entry.value.as_ref())).collect();
    let payload = encode_entries(format, base, &entries);
    payload.map(Into::into).map_err(|error| format!("{base} cannot be written in {format}: {error}"))
}

fn shown(write: &Write) -> Node {
    let mut node = convert::node(write.path, &write.entries);
    secret::hide_node(&mut node, write.path);
    node
}

/// A document on the instances of a device.
pub(crate) struct Assigned {
    pub(crate) deletes: Vec<Path>,
    pub(crate) written: Vec<Write>,
    pub(crate) notes: Vec<String>,
}

/// Gives each server of a document its instances on a device, and says what goes before.
pub(crate) fn assign(document: &Document, known: &Known) -> Assigned {
    let deletes = deletes(document, known);
    let own: Vec<Path> = known.own().collect();
    let stays = |path: &Path| !deletes.iter().any(|deleted| deleted.contains(*path)) || own.contains(path);
    let mut notes = Vec::new();
    let mut taken: BTreeSet<Path> = known.instances.iter().map(|(path, _)| *path).filter(stays).collect();
    if !known.said {
        taken.insert(lightship_lwm2m::path!(0 / 0));
    }
    // Those that the document names itself.
    let named: BTreeSet<Path> = document
        .writes
        .iter()
        .flat_map(|write| write.entries.iter().map(|entry| entry.path.truncated(2)))
        .filter(|path| path.object_id().is_some_and(|object| matches!(object.get(), 0 | 1)))
        .collect();
    taken.extend(named.iter().copied());
    let mut written = Vec::new();
    for account in &document.accounts {
        let mut place = |object: u16| {
            let before = known.of(object).find(|(_, ssid)| *ssid == Some(account.ssid)).map(|(path, _)| path);
            let place = before.filter(|path| !named.contains(path)).unwrap_or_else(|| free(object, &taken));
            taken.insert(place);
            place
        };
        let (security, server) = (place(0), place(1));
        written.push(Write { path: security, entries: moved(&account.security, security) });
        written.push(Write { path: server, entries: moved(&bound(account, known), server) });
    }
    for write in &document.writes {
        written.push(clear_of(write, &own, &mut taken, &mut notes));
    }
    Assigned { deletes, written, notes }
}

/// What is known of a device that has taken a document.
pub(crate) fn outcome(document: &Document, known: &Known) -> Known {
    let assigned = assign(document, known);
    let own: Vec<Path> = known.own().collect();
    let stays = |path: &Path| own.contains(path) || !assigned.deletes.iter().any(|gone| gone.contains(*path));
    let mut after = Known { instances: Vec::new(), ..known.clone() };
    after.instances.extend(known.instances.iter().copied().filter(|(path, _)| stays(path)));
    for entry in assigned.written.iter().flat_map(|write| &write.entries) {
        let instance = entry.path.truncated(2);
        let ssid =
            match (entry.path.object_id().map(|id| id.get()), entry.path.resource_id().map(|id| id.get())) {
                (Some(0), Some(10)) | (Some(1), Some(0)) => entry.value.as_ref().and_then(number),
                _ => None,
            };
        let ssid = ssid.and_then(|number| u16::try_from(number).ok()).and_then(ShortServerId::new);
        match after.instances.iter_mut().find(|(path, _)| *path == instance) {
            Some((_, of)) => *of = ssid.or(*of),
            None => after.instances.push((instance, ssid)),
        }
    }
    after.instances.sort();
    after
}

/// What is deleted: as the document says, or the accounts of servers that it does not name and those that it writes anew, so
/// that nothing of them is left.
fn deletes(document: &Document, known: &Known) -> Vec<Path> {
    if let Some(delete) = &document.delete {
        return delete.clone();
    }
    if !known.said {
        // The device keeps its Bootstrap-Server account whatever is deleted (TS_Core 6.1.7.5).
        return vec![lightship_lwm2m::path!(0), lightship_lwm2m::path!(1)];
    }
    let of_server = |object: u16| known.of(object).filter(move |(_, ssid)| ssid.is_some() || object == 1);
    [0, 21, 23, 24, 1].into_iter().flat_map(of_server).map(|(path, _)| path).collect()
}

/// The lowest free instance of an object.
fn free(object: u16, taken: &BTreeSet<Path>) -> Path {
    let path = |instance: u16| Path::from_numbers(&[object, instance]).unwrap_or_default();
    (0..u16::MAX).map(path).find(|path| !taken.contains(path)).unwrap_or_default()
}

fn moved(entries: &[Entry], to: Path) -> Vec<Entry> {
    let place = |path: Path| path.numbers().skip(2).try_fold(to, Path::child).unwrap_or(to);
    entries.iter().map(|entry| Entry { path: place(entry.path), value: entry.value.clone() }).collect()
}

/// The Server instance of an account, with the word for Queue Mode that LwM2M 1.0 has.
fn bound(account: &Account, known: &Known) -> Vec<Entry> {
    let mut entries = account.server.clone();
    if account.queue_mode && known.version == Some(Version::V1_0) {
        for entry in &mut entries {
            if entry.path == lightship_lwm2m::path!(1 / 0 / 7)
                && let Some(OwnedValue::String(binding)) = &mut entry.value
                && binding == "U"
            {
                "UQ".clone_into(binding);
            }
        }
    }
    entries
}

/// Moves what the document writes away from the device's Bootstrap-Server account, unless it is meant for that.
fn clear_of(write: &Write, own: &[Path], taken: &mut BTreeSet<Path>, notes: &mut Vec<String>) -> Write {
    if write.path.level() != Level::Instance || write.path.object_id().map(|id| id.get()) != Some(0) {
        return write.clone();
    }
    let is_bootstrap = write.entries.iter().any(|entry| {
        entry.path.resource_id().is_some_and(|id| id.get() == 1)
            && entry.value.as_ref().and_then(boolean) == Some(true)
    });
    let to = match (is_bootstrap, own.first()) {
        (true, Some(account)) if !own.contains(&write.path) => *account,
        (false, _) if own.contains(&write.path) => {
            let to = free(0, taken);
            taken.insert(to);
            to
        }
        _ => return write.clone(),
    };
    notes.push(format!(
        "what the document has for {} goes to {to}, since the device keeps its Bootstrap-Server account at {}",
        write.path,
        own.first().copied().unwrap_or(write.path)
    ));
    Write { path: to, entries: moved(&write.entries, to) }
}

/// A device that would know no server any more could not be reached again.
fn reachable(document: &Document, known: &Known, deletes: &[Path]) -> Result<(), String> {
    if !document.servers().is_empty() || !known.said {
        return Ok(());
    }
    let stays = |path: Path| !deletes.iter().any(|deleted| deleted.contains(path));
    let left = known.of(0).any(|(path, ssid)| ssid.is_some() && stays(path));
    if left { Ok(()) } else { Err("the device would know no server any more".to_owned()) }
}

/// Instances of a device that are looked at; a real one lists some dozens.
const INSTANCES_MAX: usize = 512;
/// Commands of one plan: fewer than the engine allows in a session, so that there is room to begin some anew.
const STEPS_MAX: usize = 200;
