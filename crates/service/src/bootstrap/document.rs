//! What a device is given: read once from JSON, typed by the object definitions, judged as a whole.

use std::collections::{BTreeMap, BTreeSet};

use lightship_api::bootstrap::{BootstrapAccount, BootstrapDocument};
use lightship_api::convert::{self, ConvertError, Entry, Expected};
use lightship_api::{Content, Node, SecurityMode, ValueType};
use lightship_lwm2m::bootstrap::consistency::{Configuration, Inconsistent, SecurityFacts, ServerFacts};
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{Format, ObjectInstanceId, OwnedValue, Path, ShortServerId};
use serde_json::{Value as Json, json};

use super::plan::{self, Known};
use super::secret;
use crate::security::{bytes_of_hex, der_of_pem};

/// A document that can be carried out.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// What is deleted first; `None`: what the standard case needs.
    pub(crate) delete: Option<Vec<Path>>,
    /// The format of everything written, if the document says one.
    pub(crate) format: Option<Format>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) writes: Vec<Write>,
    pub(crate) read: Vec<Path>,
    pub(crate) pack: bool,
}

/// One server, on instances that are chosen later.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) ssid: ShortServerId,
    /// The Resources of the instance of object 0, as if it were `/0/0`.
    pub(crate) security: Vec<Entry>,
    /// The Resources of the instance of object 1, as if it were `/1/0`.
    pub(crate) server: Vec<Entry>,
    /// Whether the device shall use Queue Mode, which only LwM2M 1.0 can be told, by its binding.
    pub(crate) queue_mode: bool,
}

/// Something else that is written.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) path: Path,
    pub(crate) entries: Vec<Entry>,
}

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// JSON pointer to the place; empty for the whole.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
}

impl Unusable {
    /// What is wrong without any value, which might be a secret: for those who did not write the document.
    pub(crate) fn in_public(&self) -> String {
        if self.pointer.is_empty() {
            return self.message.clone();
        }
        format!("{} in its document does not fit", self.pointer)
    }

    fn at(pointer: impl Into<String>, message: impl Into<String>) -> Unusable {
        Unusable { pointer: pointer.into(), message: message.into() }
    }
}

impl Document {
    /// Reads a document, and refuses one that a device could not live with.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn read(shape: &BootstrapDocument, definitions: &Definitions) -> Result<Document, Unusable> {
        let document = Document {
            delete: shape.delete.as_deref().map(deletes).transpose()?,
            format: shape.format.as_deref().map(format).transpose()?,
            accounts: accounts(&shape.servers, definitions)?,
            writes: writes(&shape.write, definitions)?,
            read: reads(&shape.read)?,
            pack: shape.pack.unwrap_or(true),
        };
        document.check()?;
        Ok(document)
    }

    /// The Short Server IDs of all servers that the document names.
    pub(crate) fn servers(&self) -> BTreeSet<u16> {
        let of = |object: u16, resource: u16| {
            self.writes.iter().flat_map(|write| &write.entries).filter_map(move |entry| {
                let is =
                    entry.path.object_id()?.get() == object && entry.path.resource_id()?.get() == resource;
                is.then_some(entry.value.as_ref()?).and_then(number).and_then(|n| u16::try_from(n).ok())
            })
        };
        let accounts = self.accounts.iter().map(|account| account.ssid.get());
        accounts.chain(of(0, 10)).chain(of(1, 0)).collect()
    }

    /// Whether accounts that the device has already may stay.
    pub(crate) fn keeps_accounts(&self) -> bool {
        let Some(delete) = &self.delete else { return false };
        let is_account = |path: &Path| path.object_id().is_none_or(|object| matches!(object.get(), 0 | 1));
        !delete.iter().any(|path| path.len() < 2 && is_account(path))
    }

    /// The consistency rules (TS_Core 6.1.7.6), as they would be on a device that has nothing else.
    fn check(&self) -> Result<(), Unusable> {
        let unplannable = |reason| Unusable::at("", format!("a device could not be given this: {reason}"));
        for format in [Format::Tlv, Format::SenmlJson] {
            let plan = plan::plan(self, &Known::nothing(), Some(format)).map_err(unplannable)?;
            if let Some(step) = plan.steps.iter().find(|step| step.payload.len() > PAYLOAD_LEN_MAX) {
                let path = step.command.path;
                return Err(unplannable(format!("{path} takes more than {PAYLOAD_LEN_MAX} bytes")));
            }
        }
        let assigned = plan::assign(self, &Known::fresh());
        let result = Facts::of(&assigned.written, self.keeps_accounts()).check();
        match result {
            Ok(()) => Ok(()),
            // What is missing here the device may have.
            Err(
                Inconsistent::NoServer
                | Inconsistent::WithoutServer(_)
                | Inconsistent::WithoutSecurity(_)
                | Inconsistent::NoOscore(_),
            ) if self.keeps_accounts() => Ok(()),
            Err(reason) => Err(Unusable::at("", format!("a device could not use this: {reason}"))),
        }
    }
}

/// What the consistency rules look at, out of everything that is written.
struct Facts<'a> {
    instances: BTreeMap<Path, Vec<&'a Entry>>,
}

impl<'a> Facts<'a> {
    fn of(written: &'a [Write], kept: bool) -> Facts<'a> {
        let mut instances: BTreeMap<Path, Vec<&Entry>> = BTreeMap::new();
        // A single Resource changes an instance that is there, and says nothing about the rest of it; where Server instances
        // were deleted, none is there.
        let server = |path: Path| path.object_id().is_some_and(|object| object.get() == 1);
        let whole: BTreeSet<Path> = written
            .iter()
            .filter(|write| write.path.level() < Level::Resource)
            .flat_map(|write| write.entries.iter().map(|entry| entry.path.truncated(2)))
            .collect();
        for entry in written.iter().flat_map(|write| &write.entries) {
            let instance = entry.path.truncated(2);
            if whole.contains(&instance) || (!kept && server(instance)) {
                instances.entry(instance).or_default().push(entry);
            }
        }
        Facts { instances }
    }

    fn check(&self) -> Result<(), Inconsistent> {
        let of = |object: u16| {
            self.instances
                .iter()
                .filter(move |(path, _)| path.object_id().is_some_and(|id| id.get() == object))
        };
        let instance = |path: &Path| path.instance_id().unwrap_or(ObjectInstanceId::ZERO);
        Configuration {
            security: of(0).map(|(path, entries)| security_facts(instance(path), entries)),
            servers: of(1).map(|(path, entries)| ServerFacts {
                instance: instance(path),
                short_server_id: value(entries, 0).and_then(number),
                lifetime_s: value(entries, 1).and_then(number),
                notification_storing: value(entries, 6).and_then(boolean),
                binding: value(entries, 7).and_then(text),
            }),
            oscore: of(21).map(|(path, _)| instance(path)),
            // Whether the device has it only the device knows.
            has_access_control: true,
        }
        .check()
    }
}

fn security_facts<'e>(instance: ObjectInstanceId, entries: &[&'e Entry]) -> SecurityFacts<'e> {
    let len = |resource| match value(entries, resource) {
        Some(OwnedValue::Opaque(bytes)) => bytes.len(),
        _ => 0,
    };
    let oscore = match value(entries, 17) {
        Some(OwnedValue::ObjectLink(link)) if link.object == 21 => ObjectInstanceId::new(link.instance),
        _ => None,
    };
    SecurityFacts {
        instance,
        uri: value(entries, 0).and_then(text),
        bootstrap: value(entries, 1).and_then(boolean),
        mode: value(entries, 2).and_then(number),
        identity_len: len(3),
        server_key_len: len(4),
        key_len: len(5),
        short_server_id: value(entries, 10).and_then(number),
        oscore,
    }
}

fn value<'e>(entries: &[&'e Entry], resource: u16) -> Option<&'e OwnedValue> {
    let is = |entry: &&&Entry| entry.path.resource_id().is_some_and(|id| id.get() == resource);
    // The last one counts, as it does on the device.
    entries.iter().rev().find(is).and_then(|entry| entry.value.as_ref())
}

/// A value as a number, if it is one.
pub(super) fn number(value: &OwnedValue) -> Option<i64> {
    if let OwnedValue::Unsigned(number) = value {
        return i64::try_from(*number).ok();
    }
    if let OwnedValue::Integer(number) = value { Some(*number) } else { None }
}

/// A value as a truth, if it is one.
pub(super) fn boolean(value: &OwnedValue) -> Option<bool> {
    if let OwnedValue::Boolean(truth) = value { Some(*truth) } else { None }
}

fn text(value: &OwnedValue) -> Option<&str> {
    if let OwnedValue::String(text) = value { Some(text) } else { None }
}

fn deletes(paths: &[String]) -> Result<Vec<Path>, Unusable> {
    let read = |(index, text): (usize, &String)| {
        let at = format!("/delete/{index}");
        let path: Path =
            text.parse().map_err(|_| Unusable::at(&at, format!("{text:?} is no LwM2M path such as /0")))?;
        if path.level() > Level::Instance {
            return Err(Unusable::at(
                &at,
                "a bootstrap deletes everything (/), Objects and Object Instances",
            ));
        }
        if path == lightship_lwm2m::path!(3 / 0) {
            return Err(Unusable::at(&at, "/3/0 cannot be deleted"));
        }
        Ok(path)
    };
    if paths.len() > DELETES_MAX {
        return Err(Unusable::at("/delete", format!("at most {DELETES_MAX} paths")));
    }
    paths.iter().enumerate().map(read).collect()
}

fn reads(paths: &[String]) -> Result<Vec<Path>, Unusable> {
    let read = |(index, text): (usize, &String)| {
        let path: Option<Path> = text.parse().ok();
        let readable = |path: &Path| {
            matches!(path.level(), Level::Object | Level::Instance)
                && path.object_id().is_some_and(|object| matches!(object.get(), 1 | 2))
        };
        let wrong = || Unusable::at(format!("/read/{index}"), "only /1, /2 and their instances can be read");
        path.filter(readable).ok_or_else(wrong)
    };
    if paths.len() > READS_MAX {
        return Err(Unusable::at("/read", format!("at most {READS_MAX} paths")));
    }
    paths.iter().enumerate().map(read).collect()
}

/// The format of that name, if a bootstrap may be written in it.
pub(crate) fn format(name: &str) -> Result<Format, Unusable> {
    let format: Option<Format> = name.parse().ok();
    format
        .filter(|format| {
            matches!(format, Format::Tlv | Format::SenmlJson | Format::SenmlCbor | Format::Lwm2mCbor)
        })
        .ok_or_else(|| Unusable::at("/format", "the format is one of tlv senml-json senml-cbor lwm2m-cbor"))
}

fn accounts(shapes: &[BootstrapAccount], definitions: &Definitions) -> Result<Vec<Account>, Unusable> {
    if shapes.len() > SERVERS_MAX {
        return Err(Unusable::at("/servers", format!("at most {SERVERS_MAX} servers")));
    }
    let read = |(index, shape): (usize, &BootstrapAccount)| {
        let at = format!("/servers/{index}");
        let ssid = ShortServerId::new(shape.short_server_id).ok_or_else(|| {
            Unusable::at(format!("{at}/short_server_id"), "a Short Server ID is 1 to 65534")
        })?;
        let (security, server) = resources(shape, &at)?;
        let whole = |object: u16, own: BTreeMap<u16, Node>, more: &BTreeMap<u16, Node>| {
            let mut all = own;
            all.extend(more.iter().map(|(id, node)| (*id, node.clone())));
            let path = Path::from_numbers(&[object, 0]).unwrap_or_default();
            typed(&Node::new(Content::Resources(all)), path, definitions, &at)
        };
        Ok(Account {
            ssid,
            security: whole(0, security, &shape.security)?,
            server: whole(1, server, &shape.server)?,
            queue_mode: shape.queue_mode,
        })
    };
    let accounts: Vec<Account> = shapes.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    for (index, account) in accounts.iter().enumerate() {
        if accounts.iter().take(index).any(|other| other.ssid == account.ssid) {
            let at = format!("/servers/{index}/short_server_id");
            return Err(Unusable::at(at, format!("{} stands twice", account.ssid)));
        }
    }
    Ok(accounts)
}

type Resources = BTreeMap<u16, Node>;

/// The Resources that the short form stands for.
fn resources(shape: &BootstrapAccount, at: &str) -> Result<(Resources, Resources), Unusable> {
    let one = |value: Json| Node::new(Content::Value(value));
    let mode = match shape.mode {
        SecurityMode::Psk => 0,
        SecurityMode::Rpk => 1,
        SecurityMode::X509 => 2,
        SecurityMode::Nosec => 3,
    };
    let ssid = shape.short_server_id;
    let mut security = Resources::from([
        (0, one(json!(shape.uri))),
        (1, one(json!(false))),
        (2, one(json!(mode))),
        (10, one(json!(ssid))),
    ]);
    // What the mode does not use is a mistake in a document.
    let members = [
        ("identity", shape.identity.is_some(), shape.mode == SecurityMode::Psk),
        ("key_hex", shape.key_hex.is_some(), shape.mode == SecurityMode::Psk),
        ("public_key_pem", shape.public_key_pem.is_some(), shape.mode == SecurityMode::Rpk),
        ("certificate_pem", shape.certificate_pem.is_some(), shape.mode == SecurityMode::X509),
        (
            "secret_key_pem",
            shape.secret_key_pem.is_some(),
            matches!(shape.mode, SecurityMode::Rpk | SecurityMode::X509),
        ),
        (
            "server_key_pem",
            shape.server_key_pem.is_some(),
            matches!(shape.mode, SecurityMode::Rpk | SecurityMode::X509),
        ),
    ];
    if let Some((name, ..)) = members.iter().find(|(_, given, used)| *given && !used) {
        return Err(Unusable::at(format!("{at}/{name}"), "does not go with the mode"));
    }
    if let Some(identity) = &shape.identity {
        security.insert(3, one(json!(convert::base64(identity.as_bytes()))));
    }
    if let Some(hex) = &shape.key_hex {
        let key = bytes_of_hex(hex).ok_or_else(|| Unusable::at(format!("{at}/key_hex"), "is no hex"))?;
        security.insert(5, one(json!(convert::base64(&key))));
    }
    let pems = [
        (3, "public_key_pem", &shape.public_key_pem),
        (3, "certificate_pem", &shape.certificate_pem),
        (4, "server_key_pem", &shape.server_key_pem),
        (5, "secret_key_pem", &shape.secret_key_pem),
    ];
    for (resource, name, pem) in pems {
        let Some(pem) = pem else { continue };
        let der = der_of_pem(pem)
            .ok_or_else(|| Unusable::at(format!("{at}/{name}"), "is no PEM with one block of DER"))?;
        security.insert(resource, one(json!(convert::base64(&der))));
    }
    // Keys are mandatory Resources in every mode: what a mode does not use is there, and empty.
    for resource in [3, 4, 5] {
        security.entry(resource).or_insert_with(|| one(json!("")));
    }
    let server = Resources::from([
        (0, one(json!(ssid))),
        (1, one(json!(shape.lifetime_s))),
        (6, one(json!(true))),
        (7, one(json!(shape.binding))),
    ]);
    Ok((security, server))
}

fn writes(nodes: &[Node], definitions: &Definitions) -> Result<Vec<Write>, Unusable> {
    if nodes.len() > WRITES_MAX {
        return Err(Unusable::at("/write", format!("at most {WRITES_MAX} nodes")));
    }
    let read = |(index, node): (usize, &Node)| {
        let at = format!("/write/{index}");
        let path: Option<Path> = node.path.as_deref().and_then(|path| path.parse().ok());
        let path = path
            .filter(|path| (Level::Object..=Level::Resource).contains(&path.level()))
            .ok_or_else(|| Unusable::at(format!("{at}/path"), "is an Object, Object Instance or Resource"))?;
        let entries = typed(node, path, definitions, &at)?;
        if entries.is_empty() {
            return Err(Unusable::at(at, "there is nothing to write"));
        }
        Ok(Write { path, entries })
    };
    nodes.iter().enumerate().map(read).collect()
}

/// The typed values of a node. Where a node says a type of its own, the version of the object counts that has it.
fn typed(node: &Node, base: Path, definitions: &Definitions, at: &str) -> Result<Vec<Entry>, Unusable> {
    let mut said = BTreeMap::new();
    stated_types(node, base, &mut said);
    if secret::is_masked(node, base) {
        return Err(Unusable::at(at, "the secret that should be kept is not there"));
    }
    let expected = |path: Path| {
        let (object, resource) = (path.object_id()?, path.resource_id()?);
        let fits = |kind: ValueType| {
            definitions
                .versions(object)
                .filter_map(|definition| definition.resource(resource))
                .find(|known| known.data_type.map(ValueType::from) == Some(kind))
        };
        let latest = || definitions.latest(object)?.resource(resource);
        let known = said.get(&path).copied().and_then(fits).or_else(latest)?;
        Some(Expected {
            name: known.name,
            kind: known.data_type,
            multiple: known.multiple,
            range: known.range_text,
        })
    };
    convert::entries(node, base, &expected).map_err(|error| {
        let (ConvertError::Shape(error) | ConvertError::DoesNotFit(error)) = error;
        Unusable::at(format!("{at}{}", error.pointer), error.message)
    })
}

fn stated_types(node: &Node, path: Path, said: &mut BTreeMap<Path, ValueType>) {
    if let Some(kind) = node.kind {
        said.insert(path, kind);
    }
    let (Content::Resources(children) | Content::ObjectInstances(children)) = &node.content else { return };
    for (id, child) in children {
        if let Some(path) = path.child(*id) {
            stated_types(child, path, said);
        }
    }
}

/// Servers of one document; with the rest they stay below the steps of a session.
const SERVERS_MAX: usize = 32;
const WRITES_MAX: usize = 96;
const DELETES_MAX: usize = 32;
const READS_MAX: usize = 16;
/// Bytes of one command's content, below what the engine takes.
const PAYLOAD_LEN_MAX: usize = 128 << 10;
