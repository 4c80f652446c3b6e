//! Register and Update: a device writes them, a server reads them; each mistake has its code (bad inputs, chapter F).

use lightship_coap::{Code, Encoder, Message, MessageId, OptionWriter, Token, Type};
use lightship_lwm2m::{
    Binding, Version,
    endpoint::InvalidEndpoint,
    uplink::{self, ObjectList, Parameter, Refused, Register, Update},
};

fn encode(options: impl FnOnce(&mut OptionWriter<'_>), body: &[u8]) -> Vec<u8> {
    let token = Token::new(&[0xAA, 0xBB]).expect("a token");
    let mut buffer = vec![0; 65_536];
    let mut encoder = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(0x1234), token);
    options(encoder.options());
    let len = encoder.finish_with(body).expect("fits");
    buffer.truncate(len);
    buffer
}

fn register_of(datagram: &[u8]) -> Result<(), Refused> {
    let message = Message::parse(datagram).expect("a message");
    Register::parse(&message, message.payload()).map(drop)
}

/// A Register with these parts of the query.
fn with_query(parts: &[&str]) -> Vec<u8> {
    let options = |options: &mut OptionWriter<'_>| {
        options.uri_path_segment("rd");
        for part in parts {
            options.uri_query(part);
        }
    };
    encode(options, b"</1/0>,</3/0>")
}

// Proves: REG-01, REG-02, REG-05
#[test]
fn what_a_device_writes_a_server_reads() {
    let objects = ObjectList::parse(b"</>;ct=\"60 112\",</1/0>,</3/0>").expect("a list");
    for (version, binding, queue_mode) in [
        (Version::V1_0, Binding::UDP.with(Binding::SMS), true),
        (Version::V1_1, Binding::UDP.with(Binding::TCP), true),
        (Version::V1_2, Binding::UDP, false),
    ] {
        let register = Register {
            endpoint: Some("urn:imei:123456789012345"),
            lifetime_s: 86_400,
            version,
            binding,
            queue_mode,
            sms: Some("491701234567"),
            profile: (version == Version::V1_2).then_some("6:1a2b3c4d"),
            objects: Some(objects),
        };
        let datagram = encode(|options| register.write_options(options), objects.as_str().as_bytes());
        let message = Message::parse(&datagram).expect("a message");
        assert_eq!(message.uri_path().collect::<Vec<_>>(), ["rd"]);
        assert_eq!(Register::parse(&message, message.payload()), Ok(register));

        let update = Update {
            lifetime_s: Some(60),
            binding: Some(binding),
            queue_mode: Some(true),
            ..Update::default()
        };
        let datagram = encode(|options| update.write_options(version, options), b"");
        let message = Message::parse(&datagram).expect("a message");
        assert_eq!(Update::parse(&message, message.payload(), version), Ok(update));
    }
}

// Proves: REG-06
#[test]
fn chapter_f_every_mistake_has_its_code() {
    use Parameter::{Binding, Endpoint, Lifetime, Version as LwM2m};
    let unknown_version = Refused::UnknownVersion;
    for (number, parts, refused) in [
        (128, &["ep=", "lt=60", "lwm2m=1.1"][..], Refused::Endpoint(InvalidEndpoint::Empty)),
        (129, &["ep=a", "ep=b", "lt=60", "lwm2m=1.1"], Refused::Twice(Endpoint)),
        (130, &["ep=a\0b\r\nc", "lt=60", "lwm2m=1.1"], Refused::Endpoint(InvalidEndpoint::ControlCharacter)),
        (134, &["ep=a", "lt=abc", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (134, &["ep=a", "lt=", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (134, &["ep=a", "lt=-1", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (134, &["ep=a", "lt=+1", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (134, &["ep=a", "lt=1.5", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (134, &["ep=a", "lt=0x10", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (135, &["ep=a", "lt=4294967296", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (135, &["ep=a", "lt=99999999999999999999", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (136, &["ep=a", "lt=0", "lwm2m=1.1"], Refused::BadValue(Lifetime)),
        (137, &["ep=a", "lt=60", "lwm2m=9.9"], unknown_version),
        (137, &["ep=a", "lt=60", "lwm2m=2.0"], unknown_version),
        (138, &["ep=a", "lt=60", "lwm2m=1"], Refused::BadValue(LwM2m)),
        (138, &["ep=a", "lt=60", "lwm2m=1.1.1"], Refused::BadValue(LwM2m)),
        (138, &["ep=a", "lt=60", "lwm2m=abc"], Refused::BadValue(LwM2m)),
        (138, &["ep=a", "lt=60", "lwm2m=1."], Refused::BadValue(LwM2m)),
        (139, &["ep=a", "lt=60", "lwm2m=1.1", "b=XYZ"], Refused::BadValue(Binding)),
        (0, &["ep=a", "lwm2m=1.1"], Refused::Missing(Lifetime)),
        (0, &["ep=a", "lt=60"], Refused::Missing(LwM2m)),
        (0, &["ep=a", "lt=60", "lt=60", "lwm2m=1.1"], Refused::Twice(Lifetime)),
    ] {
        let result = register_of(&with_query(parts));
        assert_eq!(result, Err(refused), "{number}: {parts:?}");
        let code = if refused == unknown_version { Code::PRECONDITION_FAILED } else { Code::BAD_REQUEST };
        assert_eq!(refused.code(), code, "{number}");
    }
    let invalid = |options: &mut OptionWriter<'_>| {
        options.option(lightship_coap::OptionNumber::URI_QUERY, b"ep=\xFF\xFE");
    };
    assert_eq!(register_of(&encode(invalid, b"</3/0>")), Err(Refused::NotUtf8), "132");
}

// Proves: REG-34
#[test]
fn chapter_f_what_is_tolerated() {
    let read = |parts: &[&str]| {
        let datagram = with_query(parts);
        let message = Message::parse(&datagram).expect("a message");
        let register = Register::parse(&message, message.payload())
            .unwrap_or_else(|refused| panic!("{parts:?}: {refused}"));
        (register.endpoint.map(str::to_owned), register.lifetime_s, register.binding, register.queue_mode)
    };
    let a = || Some("a".to_owned());
    assert_eq!(
        read(&["lt=60", "lwm2m=1.1"]).0,
        None,
        "127: the caller knows whether a session names the device"
    );
    assert_eq!(
        read(&["ep='; DROP TABLE x;--", "lt=60", "lwm2m=1.1"]).0.as_deref(),
        Some("'; DROP TABLE x;--"),
        "131"
    );
    assert_eq!(read(&["ep=%zz%00", "lt=60", "lwm2m=1.1"]).0.as_deref(), Some("%zz%00"), "145");
    assert_eq!(read(&["ep=a", "lt=0", "lwm2m=1.2"]), (a(), 0, Binding::UDP, false), "136");
    assert_eq!(read(&["ep=a", "lt=60", "lwm2m=1.1", "b=UQ"]), (a(), 60, Binding::UDP, true), "140");
    assert_eq!(read(&["ep=a", "lt=60", "lwm2m=1.0", "Q=1"]), (a(), 60, Binding::UDP, false), "141");
    assert_eq!(
        read(&["Q", "lwm2m=1.1", "lt=60", "ep=a"]),
        (a(), 60, Binding::UDP, true),
        "any order, and Q alone"
    );
    assert!(read(&["ep=a", "lt=60", "lwm2m=1.1", "Q=", "b=TU"]).3);

    let datagram = with_query(&["ep=a", "lt=60", "lwm2m=1.1", "noequal", "et=sensor"]);
    let message = Message::parse(&datagram).expect("a message");
    let unknown: Vec<_> = uplink::unknown_parameters(&message).collect();
    assert_eq!(unknown, [("noequal", None), ("et", Some("sensor"))], "143 and 144");
}

// Proves: REG-45
#[test]
fn chapter_f_the_list_of_objects() {
    let with_body = |version: &str, format: Option<u16>, body: &[u8]| {
        let options = |options: &mut OptionWriter<'_>| {
            if let Some(format) = format {
                options.content_format(lightship_coap::ContentFormat(format));
            }
            options.uri_query("ep=a").uri_query("lt=60").uri_query_fmt(format_args!("lwm2m={version}"));
        };
        register_of(&encode(options, body))
    };
    assert_eq!(with_body("1.1", Some(0), b"</3/0>"), Err(Refused::ContentFormat), "146");
    assert_eq!(with_body("1.1", None, b"</3/0>"), Ok(()));
    assert_eq!(with_body("1.1", Some(40), b"</3/0>"), Ok(()));
    assert_eq!(with_body("1.1", None, b""), Err(Refused::NoObjects(Version::V1_1)), "147");
    assert_eq!(Refused::NoObjects(Version::V1_1).code(), Code::BAD_REQUEST);
    assert_eq!(Refused::NoObjects(Version::V1_2).code(), Code::CONFLICT, "148");
    assert!(matches!(with_body("1.1", None, b"</3/0"), Err(Refused::List(_))));
}

// Proves: REG-28
#[test]
fn updates_say_only_what_changed() {
    let read = |parts: &[&str], body: &[u8], version| {
        let options = |options: &mut OptionWriter<'_>| {
            for part in parts {
                options.uri_query(part);
            }
        };
        let datagram = encode(options, body);
        let message = Message::parse(&datagram).expect("a message");
        Update::parse(&message, message.payload(), version).map(|update| {
            (
                update.lifetime_s,
                update.binding,
                update.queue_mode,
                update.objects.map(|list| list.as_str().to_owned()),
            )
        })
    };
    assert_eq!(read(&[], b"", Version::V1_1), Ok((None, None, None, None)));
    assert_eq!(
        read(&["lt=5", "ep=other", "lwm2m=9.9"], b"", Version::V1_1),
        Ok((Some(5), None, None, None)),
        "150"
    );
    assert_eq!(read(&["Q"], b"", Version::V1_2), Ok((None, None, Some(true), None)));
    assert_eq!(read(&["b=U"], b"", Version::V1_2), Ok((None, Some(Binding::UDP), None, None)));
    assert_eq!(read(&["b=U"], b"", Version::V1_0), Ok((None, Some(Binding::UDP), Some(false), None)));
    assert_eq!(read(&[], b"</3/0>", Version::V1_1), Ok((None, None, None, Some("</3/0>".to_owned()))));
    let list = read(&["pid=1:ab"], b"</3/0>", Version::V1_2).map(|update| update.3);
    assert_eq!(list, Ok(Some("</3/0>".to_owned())));
    assert_eq!(read(&["pid=1:ab"], b"", Version::V1_2), Ok((None, None, None, None)));
    assert_eq!(read(&["pid=ab"], b"", Version::V1_2), Err(Refused::BadValue(Parameter::Profile)));
    assert_eq!(read(&["pid=ab"], b"", Version::V1_1), Ok((None, None, None, None)), "unknown there");
    assert_eq!(read(&["lt=0"], b"", Version::V1_1), Err(Refused::BadValue(Parameter::Lifetime)));
}
