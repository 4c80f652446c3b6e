//! What a Bootstrap-Server commands: Read, Discover, Write, Delete, Finish, and all at once as a pack (TS_Core 6.1).

use alloc::string::String;
use alloc::vec::Vec;

use lightship_lwm2m::ObjectId;
use lightship_lwm2m::bootstrap::{self as interface, Command, InstanceListWriter};
use lightship_lwm2m::format::{self, Decoder, Format};

use super::super::*;
use crate::access;
use crate::object::Object;
use crate::write::in_range;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Does what is commanded; gives what to answer, and after Finish the new accounts.
    pub(super) fn obey(
        &mut self,
        now: Instant,
        from: AccountId,
        command: Command,
        incoming: &PeerRequest<'_>,
    ) -> Result<(Success, Option<Vec<Account>>), Code> {
        let plain = Success::plain(command.operation.success());
        match command.operation {
            interface::Operation::Finish => {
                let accounts = self.finish(now).map_err(|reason| {
                    self.events.push(Event::BootstrapUnusable(reason));
                    Code::NOT_ACCEPTABLE
                })?;
                Ok((plain, Some(accounts)))
            }
            interface::Operation::Discover => {
                let text = self.instances(command.path)?;
                let place = self.body.get_mut(..text.len()).ok_or(Code::INTERNAL_SERVER_ERROR)?;
                place.copy_from_slice(text.as_bytes());
                Ok((Success { format: Some(ContentFormat::LINK), len: text.len(), ..plain }, None))
            }
            interface::Operation::Read => {
                let staged = self.bootstrap.staged.as_ref().ok_or(Code::INTERNAL_SERVER_ERROR)?;
                let mut accounts = staged.as_accounts();
                let version = self.config.version;
                let world =
                    serve::world("", &mut self.objects, &mut accounts, access::BOOTSTRAP_SERVER, version);
                let accept = incoming.message.accept();
                match dispatch::read(&world, command.path, accept, version, &mut self.body) {
                    Ok((format, len)) => Ok((Success { format: Some(format), len, ..plain }, None)),
                    Err(Deny::With(code)) => Err(code),
                    Err(Deny::Later) => Err(Code::SERVICE_UNAVAILABLE),
                }
            }
            interface::Operation::Write => {
                let payload = self.links.get(from.index()).map(|link| link.peer.payload(incoming.body));
                let payload = Vec::from(payload.unwrap_or_default());
                let format = command.format.unwrap_or(Format::Tlv);
                self.write(command.path, format::decode(format, command.path, &payload))?;
                Ok((plain, None))
            }
            interface::Operation::Delete => {
                self.delete(command.path)?;
                Ok((plain, None))
            }
            _ => Err(Code::NOT_IMPLEMENTED),
        }
    }

    fn write(&mut self, path: Path, decoder: Decoder<'_>) -> Result<(), Code> {
        let object = path.object_id().ok_or(Code::BAD_REQUEST)?;
        if matches!(object, ObjectId::SECURITY | ObjectId::SERVER) {
            let staged = self.bootstrap.staged.as_mut().ok_or(Code::INTERNAL_SERVER_ERROR)?;
            return staged.write(object, path, decoder, SERVERS);
        }
        self.objects.serve_as(self.config.version);
        let target = find(&mut self.objects, object).ok_or(Code::BAD_REQUEST)?;
        write_object(target, path, &decoder)
    }

    fn delete(&mut self, path: Path) -> Result<(), Code> {
        let Some(staged) = self.bootstrap.staged.as_mut() else { return Err(Code::INTERNAL_SERVER_ERROR) };
        let accounts = |object: ObjectId| matches!(object, ObjectId::SECURITY | ObjectId::SERVER);
        if path.is_root() {
            staged.delete(ObjectId::SECURITY, None);
            staged.delete(ObjectId::SERVER, None);
        }
        match (path.object_id(), path.instance_id()) {
            (Some(object), instance) if accounts(object) => {
                if !staged.delete(object, instance) {
                    return Err(Code::BAD_REQUEST);
                }
            }
            (Some(ObjectId::DEVICE), Some(ObjectInstanceId::ZERO)) => return Err(Code::BAD_REQUEST),
            (Some(object), Some(instance)) => {
                if let Some(target) = find(&mut self.objects, object)
                    && target.instance_from(instance.get()) == Some(instance)
                {
                    target.delete(instance).map_err(|_| Code::BAD_REQUEST)?;
                }
            }
            (object, None) => {
                for index in 0..usize::from(u16::MAX) {
                    let Some(target) = self.objects.at_mut(index) else { break };
                    let id = target.model().id;
                    if object.is_none_or(|object| object == id) && id != ObjectId::DEVICE {
                        delete_all(target);
                    }
                }
            }
            (None, Some(_)) => {}
        }
        Ok(())
    }

    /// The answer to a Bootstrap-Discover.
    fn instances(&mut self, path: Path) -> Result<String, Code> {
        let staged = self.bootstrap.staged.as_ref().ok_or(Code::INTERNAL_SERVER_ERROR)?;
        let wanted = |object: ObjectId| path.object_id().is_none_or(|wanted| wanted == object);
        let mut list = InstanceListWriter::new(String::new(), self.config.version);
        let mut found = path.is_root();
        if wanted(ObjectId::SECURITY) {
            found = true;
            for (id, ssid, uri) in staged.security() {
                let entry = list.entry(path_to(ObjectId::SECURITY, id));
                if let Some(ssid) = ssid {
                    entry.short_server_id(ssid).uri(uri);
                }
            }
        }
        if wanted(ObjectId::SERVER) {
            found = true;
            for (id, ssid) in staged.servers() {
                let entry = list.entry(path_to(ObjectId::SERVER, id));
                if let Some(ssid) = ssid {
                    entry.short_server_id(ssid);
                }
            }
        }
        self.objects.serve_as(self.config.version);
        for index in 0..usize::from(u16::MAX) {
            let Some(object) = self.objects.at(index) else { break };
            let model = object.model();
            if !wanted(model.id) {
                continue;
            }
            found = true;
            let said = list::stated_version(model.id, model.version, self.config.version);
            if said.is_some() || object.instance_from(0).is_none() {
                let entry = list.entry(Path::object(model.id));
                if let Some(said) = said {
                    entry.version(said);
                }
            }
            let mut from = Some(0);
            while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
                list.entry(Path::instance(model.id, instance));
                from = instance.get().checked_add(1);
            }
        }
        if !found {
            return Err(Code::NOT_FOUND);
        }
        list.finish().map_err(|_| Code::INTERNAL_SERVER_ERROR)
    }

    /// For each object of the pack: what there is goes, what is in the pack comes.
    pub(super) fn unpack(&mut self, format: Format, payload: &[u8]) -> Result<(), Code> {
        let decoder = format::decode(format, Path::ROOT, payload);
        format::check(&decoder).map_err(|_| Code::BAD_REQUEST)?;
        let mut objects: Vec<ObjectId> =
            decoder.clone().flatten().filter_map(|entry| entry.path.object_id()).collect();
        objects.sort_unstable();
        objects.dedup();
        if objects.is_empty() {
            return Err(Code::BAD_REQUEST);
        }
        for object in objects {
            let known = matches!(object, ObjectId::SECURITY | ObjectId::SERVER);
            if !known && find(&mut self.objects, object).is_none() {
                // What the device does not have is none of its business.
                continue;
            }
            self.delete(Path::object(object))?;
            self.write(Path::object(object), decoder.clone())?;
        }
        Ok(())
    }
}

fn path_to(object: ObjectId, instance: u16) -> Path {
    ObjectInstanceId::new(instance).map_or(Path::object(object), |instance| Path::instance(object, instance))
}

fn find(objects: &mut dyn Objects, id: ObjectId) -> Option<&mut dyn Object> {
    let known = (0..usize::from(u16::MAX)).map_while(|index| objects.at(index));
    let index = known.into_iter().position(|object| object.model().id == id)?;
    objects.at_mut(index)
}

fn delete_all(object: &mut dyn Object) {
    let mut from = Some(0);
    while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
        // What cannot be deleted stays, as the device itself (3) does.
        let _ = object.delete(instance);
        from = instance.get().checked_add(1);
    }
}

/// Bootstrap-Write on an object of the device: whether or not the instance exists and the resource may be written. All of it
/// is tried before the first change is made. Of a payload about more than `path` the rest is left out.
fn write_object(object: &mut dyn Object, path: Path, decoder: &Decoder<'_>) -> Result<(), Code> {
    format::check(decoder).map_err(|_| Code::BAD_REQUEST)?;
    let entries = || decoder.clone().flatten().filter(|entry| path.contains(entry.path));
    let mut ids: Vec<ObjectInstanceId> = path.instance_id().into_iter().collect();
    for entry in entries() {
        if let Some(id) = entry.path.instance_id()
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    for id in &ids {
        let written = write_instance(object, *id, decoder);
        let verified = written.and_then(|()| object.verify().map_err(refused));
        object.abort();
        verified?;
    }
    for id in ids {
        write_instance(object, id, decoder)?;
        object.commit().map_err(refused)?;
    }
    Ok(())
}

/// Opens a transaction on an instance, there or not, and puts in what the payload says of it.
fn write_instance(object: &mut dyn Object, id: ObjectInstanceId, payload: &Decoder<'_>) -> Result<(), Code> {
    let exists = object.instance_from(id.get()) == Some(id);
    let opened = if exists { object.edit(id) } else { object.create(id) };
    opened.map_err(refused)?;
    let here = Path::instance(object.model().id, id);
    let mut entries = payload.clone().flatten().filter(|entry| here.contains(entry.path));
    let written = entries.try_for_each(|entry| write_entry(object, &entry));
    if written.is_err() {
        object.abort();
    }
    written
}

fn write_entry(object: &mut dyn Object, entry: &format::Entry<'_>) -> Result<(), Code> {
    let Some(resource) = entry.path.resource_id() else { return Ok(()) };
    let model = object.model().resource(resource).copied();
    let Some((model, data_type)) = model.and_then(|model| Some((model, model.data_type?))) else {
        return Ok(());
    };
    let item = entry.path.resource_instance_id();
    if entry.value.is_container() {
        return object.clear(resource, None).map_err(refused);
    }
    if model.multiple == item.is_none() {
        return Err(Code::BAD_REQUEST);
    }
    let value = entry.value.decode_owned(data_type).map_err(|_| Code::BAD_REQUEST)?;
    if !in_range(&model, &value.as_value()) {
        return Err(Code::BAD_REQUEST);
    }
    object.write(resource, item, value.as_value()).map_err(refused)
}

fn refused(refusal: Refusal) -> Code {
    if refusal == Refusal::Busy { Code::INTERNAL_SERVER_ERROR } else { Code::BAD_REQUEST }
}
