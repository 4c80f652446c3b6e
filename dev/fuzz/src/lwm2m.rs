//! The `lwm2m` room: any bytes as a payload in every format, any text as each of its words.

use lightship_coap::{Code, Encoder, Message, MessageId, OptionWriter, Token, Type};
use lightship_lwm2m::format::{self, Format, paths};
use lightship_lwm2m::node::typed_entries;
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::uplink::{Register, Update};
use lightship_lwm2m::{
    AttributeChange, Attributes, DataType, Endpoint, Node, ObjectLink, ObjectVersion, Path, Version,
};

const TYPES: [DataType; 9] = [
    DataType::String,
    DataType::Integer,
    DataType::Unsigned,
    DataType::Float,
    DataType::Boolean,
    DataType::Opaque,
    DataType::Time,
    DataType::ObjectLink,
    DataType::Corelnk,
];

/// The first byte chooses format and path; the rest is the payload. What decodes and encodes is in a normal form.
pub(crate) fn format(data: &[u8]) {
    let Some((&choice, payload)) = data.split_first() else { return };
    let formats: Vec<Format> = Format::all().collect();
    let format = formats[usize::from(choice) % formats.len()];
    let bases = ["/", "/3442", "/3442/0", "/3442/0/110", "/3442/0/1120", "/3442/0/1120/3"];
    let base: Path = bases[usize::from(choice / 16) % bases.len()].parse().expect("a path");
    let definitions = Definitions::new();
    let latest = |object| definitions.latest(object);
    let decoder = format::decode(format, base, payload).tolerate_missing_slash();
    let _verdict = format::check(&decoder);
    for entry in decoder.clone().flatten() {
        assert!(base.contains(entry.path), "{} outside {base}", entry.path);
        for data_type in TYPES {
            let _mismatch = entry.value.decode_owned(data_type);
        }
    }
    let Ok(entries) = typed_entries(decoder, latest) else { return };
    let Ok(node) = Node::from_entries(base, entries) else { return };
    let Ok(bytes) = node.encode(format, base) else { return };
    // What is written is in a normal form: reading and writing it again changes nothing.
    let again = Node::decode(format, base, &bytes, latest).expect("our own payload decodes");
    assert_eq!(again.encode(format, base).as_ref(), Ok(&bytes), "{node:?}");
}

/// Any text as a path, a version, an endpoint, a binding, an object link, a query of attributes.
pub(crate) fn text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(path) = text.parse::<Path>() {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    if let Ok(version) = text.parse::<ObjectVersion>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    if let Ok(link) = text.parse::<ObjectLink>() {
        assert_eq!(link.to_string().parse(), Ok(link));
    }
    let _refused = (text.parse::<Version>(), text.parse::<Endpoint>());
    if let Ok(change) = AttributeChange::parse(text.split('&')) {
        let attributes = change.apply(&Attributes::default());
        let _contradiction = attributes.check();
        assert!(attributes.names().iter().count() <= text.split('&').count());
    }
}

/// Any datagram as a Register and an Update. What is read and written again reads the same.
pub(crate) fn uplink(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    let written = |options: &dyn Fn(&mut OptionWriter<'_>), body: &[u8]| {
        let mut buffer = vec![0; 70_000];
        let mut encoder = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(1), Token::default());
        options(encoder.options());
        let len = encoder.finish_with(body).expect("what fitted a message fits again");
        buffer.truncate(len);
        buffer
    };
    if let Ok(register) = Register::parse(&message, message.payload()) {
        let list = register.objects;
        assert!(list.is_some() || register.profile.is_some(), "a Register without a list names profiles");
        assert!(list.is_none_or(|list| list.objects().count() <= list.link_count()));
        let body = list.map_or("", |list| list.as_str());
        let again = written(&|options| register.write_options(options), body.as_bytes());
        let again = Message::parse(&again).expect("our own message parses");
        assert_eq!(Register::parse(&again, again.payload()), Ok(register));
    }
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let Ok(update) = Update::parse(&message, message.payload(), version) else { continue };
        let body = update.objects.map_or("", |list| list.as_str());
        let again = written(&|options| update.write_options(version, options), body.as_bytes());
        let again = Message::parse(&again).expect("our own message parses");
        assert_eq!(Update::parse(&again, again.payload(), version), Ok(update));
    }
}

/// The first byte chooses format and alternate path; the rest is a list of paths, or a composite of values.
pub(crate) fn composite(data: &[u8]) {
    let Some((&choice, payload)) = data.split_first() else { return };
    let formats: Vec<Format> = Format::all().collect();
    let format = formats[usize::from(choice & 0x7f) % formats.len()];
    let alternate = if choice & 0x80 == 0 { "/" } else { "/lwm2m" };
    let list = paths::decode(format, payload).with_alternate_path(alternate).tolerate_missing_slash();
    if list.check().is_ok() {
        let named: Vec<Path> = list.map(|path| path.expect("a checked list")).collect();
        let again = paths::encode_owned(format, &named).expect("what was read can be written");
        let again: Result<Vec<Path>, _> = paths::decode(format, &again).collect();
        assert_eq!(again, Ok(named));
    }
    let decoder = format::decode(format, Path::ROOT, payload).with_alternate_path(alternate);
    if format::check(&decoder).is_ok() {
        assert!(decoder.clone().all(|entry| entry.is_ok()), "check passed what fails");
    }
}
