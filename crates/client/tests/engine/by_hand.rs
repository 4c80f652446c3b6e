//! Objects that are put together at run time, on the dyn path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};

use lightship_client::{
    Client, Config, FixedBuffer, Object, ObjectLink, ObjectModel, Refusal, ResourceId, ResourceInstanceId,
    ResourceModel, SeededRng, Sink, Value,
};
use lightship_coap::{Code, Encoder, MessageId, Token, Type};
use lightship_lwm2m::object::Operations;
use lightship_lwm2m::{DataType, ObjectId, ObjectInstanceId, ObjectVersion, OwnedValue};
use lightship_platform::Instant;

use crate::bench::{Reply, account};

/// One instance of any object, its resources and values named at run time.
struct Made {
    id: ObjectId,
    resources: Vec<ResourceModel>,
    values: BTreeMap<ResourceId, OwnedValue>,
    draft: Option<BTreeMap<ResourceId, OwnedValue>>,
}

impl Made {
    fn new(id: u16, resources: &[(u16, Operations, OwnedValue)]) -> Made {
        let rid = |id| ResourceId::new(id).expect("legal");
        let model = |(id, operations, value): &(u16, Operations, OwnedValue)| ResourceModel {
            id: rid(*id),
            operations: *operations,
            data_type: Some(value.data_type()),
            multiple: false,
            mandatory: false,
            range: None,
        };
        Made {
            id: ObjectId::new(id).expect("legal"),
            resources: resources.iter().map(model).collect(),
            values: resources.iter().map(|(id, _, value)| (rid(*id), value.clone())).collect(),
            draft: None,
        }
    }
}

impl Object for Made {
    fn model(&self) -> ObjectModel<'_> {
        ObjectModel { id: self.id, version: ObjectVersion::V1_0, multiple: false, resources: &self.resources }
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        (from == 0).then_some(ObjectInstanceId::ZERO)
    }

    fn read(&self, _: ObjectInstanceId, resource: ResourceId, sink: &mut dyn Sink) -> Result<(), Refusal> {
        sink.value(self.values.get(&resource).ok_or(Refusal::NotFound)?.as_value());
        Ok(())
    }

    fn edit(&mut self, _: ObjectInstanceId) -> Result<(), Refusal> {
        self.draft = Some(self.values.clone());
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        _: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.draft.as_mut().ok_or(Refusal::Failed)?.insert(resource, value.into_owned());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        self.values = self.draft.take().ok_or(Refusal::Failed)?;
        Ok(())
    }

    fn abort(&mut self) {
        self.draft = None;
    }
}

type Dynamic<'a, 'b> = Client<&'a mut [&'b mut dyn Object], FixedBuffer<4096>>;

/// Registers a client with these objects; returns it with its object list.
fn registered<'a, 'b>(objects: &'a mut [&'b mut dyn Object]) -> (Dynamic<'a, 'b>, String) {
    let now = Instant::from_secs(1);
    let mut client = Dynamic::new(Config::new("made"), objects, &mut SeededRng::new([1; 32]));
    let id = client.add_account(account(1, 0)).expect("room");
    client.register(now, id);
    let register = transmitted(&mut client);
    let mut buffer = [0; 64];
    let mut created = Encoder::new(&mut buffer, Type::Ack, Code::CREATED, register.id, register.token);
    created.options().location_path("/rd/1");
    let len = created.finish().expect("fits");
    client.handle_input(now, id, &mut buffer[..len]);
    (client, register.text().to_owned())
}

fn transmitted(client: &mut Dynamic<'_, '_>) -> Reply {
    let mut out = [0; 1280];
    let transmit = client.poll_transmit(&mut out).expect("something to send");
    Reply::new(&out[..transmit.len])
}

fn ask(client: &mut Dynamic<'_, '_>, code: Code, path: &str, text: &str) -> Reply {
    let (id, _) = client.accounts().next().expect("an account");
    let mut buffer = [0; 128];
    static NEXT_ID: AtomicU16 = AtomicU16::new(1);
    let message_id = MessageId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
    let token = Token::new(&[1]).expect("short");
    let mut message = Encoder::new(&mut buffer, Type::Con, code, message_id, token);
    message.options().uri_path(path);
    if code == Code::PUT {
        message.options().content_format(lightship_coap::ContentFormat::TEXT);
    }
    let len = message.finish_with(text.as_bytes()).expect("fits");
    client.handle_input(Instant::from_secs(2), id, &mut buffer[..len]);
    let reply = transmitted(client);
    while client.poll_event().is_some() {}
    reply
}

// Proves: REG-14, DMO-35
#[test]
fn security_objects_stay_unseen_even_when_the_application_serves_them() {
    let secret = [(0, Operations::READ_WRITE, OwnedValue::String("secret".into()))];
    let (mut security, mut oscore, mut cose, mut device) =
        (Made::new(0, &secret), Made::new(21, &secret), Made::new(23, &secret), Made::new(3, &secret));
    let objects: &mut [&mut dyn Object] = &mut [&mut security, &mut oscore, &mut cose, &mut device];
    let (mut client, list) = registered(objects);
    assert_eq!(list, "</>;ct=\"60 110 112 320 322 11542 11544\",</1/0>,</3>;ver=1.0,</3/0>");
    for path in ["/0", "/0/0/0", "/21/0", "/23/0/0"] {
        assert_eq!(ask(&mut client, Code::GET, path, "").code, Code::UNAUTHORIZED, "{path}");
    }
    assert_eq!(ask(&mut client, Code::GET, "/3/0/0", "").text(), "secret");
}

// Proves: DAT-03, DMO-17
#[test]
fn an_object_link_has_to_lead_somewhere() {
    let link = OwnedValue::ObjectLink(ObjectLink::NULL);
    assert_eq!(link.data_type(), DataType::ObjectLink);
    let mut made = Made::new(10_000, &[(1, Operations::READ_WRITE, link)]);
    let objects: &mut [&mut dyn Object] = &mut [&mut made];
    let (mut client, _) = registered(objects);
    for (text, code) in [
        ("1:0", Code::CHANGED),
        ("10000:65535", Code::CHANGED),
        ("65535:65535", Code::CHANGED),
        ("1:7", Code::BAD_REQUEST),
        ("99:0", Code::BAD_REQUEST),
        ("99:65535", Code::BAD_REQUEST),
        ("65535:0", Code::BAD_REQUEST),
    ] {
        assert_eq!(ask(&mut client, Code::PUT, "/10000/0/1", text).code, code, "{text}");
    }
}

// Proves: OBJ-03
#[test]
fn no_server_changes_the_security_object_even_when_the_application_serves_it() {
    let values = [(0, Operations::READ_WRITE, OwnedValue::String("secret".into()))];
    let (mut security, mut device) = (Made::new(0, &values), Made::new(3, &values));
    let objects: &mut [&mut dyn Object] = &mut [&mut security, &mut device];
    let (mut client, _) = registered(objects);
    assert_eq!(ask(&mut client, Code::PUT, "/3/0/0", "other").code, Code::CHANGED, "it could be written");
    for (method, path) in [
        (Code::PUT, "/0/0/0"),
        (Code::PUT, "/0/0"),
        (Code::POST, "/0/0"),
        (Code::POST, "/0/0/0"),
        (Code::POST, "/0"),
        (Code::DELETE, "/0/0"),
    ] {
        assert_eq!(ask(&mut client, method, path, "other").code, Code::UNAUTHORIZED, "{method} {path}");
    }
    assert!(security.values.values().eq([&OwnedValue::String("secret".into())]));
    assert!(device.values.values().eq([&OwnedValue::String("other".into())]));
}
