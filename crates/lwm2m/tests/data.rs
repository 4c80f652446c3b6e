//! Rules about data types and definitions, one table each.

use lightship_lwm2m::{
    DataType, ObjectId, ObjectVersion, ResourceId, Value, Version,
    format::{self, Encoder, Format},
    object, path,
};

fn types(object: u16) -> std::collections::BTreeSet<DataType> {
    let definition = object::latest(ObjectId::new(object).expect("an ID")).expect("known");
    definition.resources().filter_map(|row| row.data_type).collect()
}

// Proves: DAT-01
#[test]
fn every_data_type_is_known_and_survives_every_format() {
    let link = "3:65535".parse().expect("a link");
    let values = [
        (1110, Value::String("ä")),
        (1120, Value::Integer(i64::MIN)),
        (1125, Value::Unsigned(u64::MAX)),
        (1130, Value::Float(-0.5)),
        (1140, Value::Boolean(true)),
        (1150, Value::Opaque(&[0, 255])),
        (1160, Value::Time(-1)),
        (1170, Value::ObjectLink(link)),
        (1180, Value::Corelnk("</3>")),
    ];
    for (resource, value) in values {
        // The registry's test object has each type, that of 1.0 all but the two of 1.1.
        let id = ResourceId::new(resource).expect("an ID");
        let row = object::resource(ObjectId::new(3442).expect("an ID"), None, id).expect("known");
        assert_eq!(row.data_type, Some(value.data_type()));
        let since_1_1 = matches!(value, Value::Unsigned(_) | Value::Corelnk(_));
        assert_eq!(types(3441).contains(&value.data_type()), !since_1_1, "{value:?}");
        let at = path!(3442 / 0 / 1);
        for format in Format::all() {
            let mut buffer = [0; 64];
            let mut encoder = Encoder::new(format, at, &mut buffer);
            let opaque = format != Format::Opaque || matches!(value, Value::Opaque(_));
            let says = opaque && (format != Format::Json || cfg!(feature = "alloc"));
            assert_eq!(encoder.entry(at, &value).is_ok(), says, "{format} {value:?}");
            if !says {
                continue;
            }
            let length = encoder.finish().expect("fits");
            let entry = format::decode(format, at, &buffer[..length]).next().expect("one").expect("legal");
            let mut scratch = [0; 16];
            assert_eq!(entry.value.decode(value.data_type(), &mut scratch), Ok(value), "{format}");
        }
    }
    let reboot = object::resource(ObjectId::DEVICE, None, ResourceId::new(4).expect("an ID"));
    assert_eq!(reboot.expect("known").data_type, None, "an executable has no type");
}

// Proves: OBJ-12
#[test]
fn the_security_objects_of_other_bindings_are_defined_as_their_versions_are() {
    let kind = |object: u16, version: (u8, u8), resource: u16| {
        let version = ObjectVersion::new(version.0, version.1);
        let row = object::resource(ObjectId::new(object)?, Some(version), ResourceId::new(resource)?)?;
        Some((row.name.to_owned(), row.data_type))
    };
    for (version, data_type) in
        [((1, 0), DataType::String), ((1, 1), DataType::String), ((2, 0), DataType::Opaque)]
    {
        for (resource, name) in
            [(0, "OSCORE Master Secret"), (1, "OSCORE Sender ID"), (2, "OSCORE Recipient ID")]
        {
            assert_eq!(kind(21, version, resource), Some((name.to_owned(), Some(data_type))), "{version:?}");
        }
    }
    // Which of them a device has that does not say it.
    for (enabler, data_type) in [(Version::V1_1, DataType::String), (Version::V1_2, DataType::Opaque)] {
        let version = object::implied_version(ObjectId::OSCORE, enabler);
        let row = object::resource(ObjectId::OSCORE, Some(version), ResourceId::new(0).expect("an ID"));
        assert_eq!(row.expect("known").data_type, Some(data_type), "{enabler}");
    }
    let names = |object: u16| -> String {
        let definition = object::latest(ObjectId::new(object).expect("an ID")).expect("known");
        let names: Vec<_> = definition.resources().map(|row| row.name).collect();
        format!("{}: {}", definition.name, names.join(", "))
    };
    assert_eq!(names(23), "LwM2M COSE: KID, AEAD Algorithm, Key");
    let mqtt = "Will Retain, Will Topic, Will Message, Clean Session, Will QoS, Keep Alive, Client Identifier, \
                User Name, Password";
    assert_eq!(names(24), format!("MQTT Server: {mqtt}"));
}
