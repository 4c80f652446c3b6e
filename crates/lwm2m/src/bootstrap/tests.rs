use super::*;
use crate::{ShortServerId, endpoint::InvalidEndpoint, path, uplink::ListError};
use lightship_coap::{Encoder, MessageId, OptionNumber, Token, Type, link::TextBuffer};
use std::{string::String, string::ToString, vec::Vec};

fn datagram(method: Code, options: impl FnOnce(&mut OptionWriter<'_>), payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut encoder = Encoder::new(&mut buffer, Type::Con, method, MessageId(1), Token::default());
    options(encoder.options());
    let len = encoder.finish_with(payload).expect("fits");
    buffer.get(..len).expect("written").to_vec()
}

fn command(method: Code, options: impl FnOnce(&mut OptionWriter<'_>)) -> Result<Command, CommandRefused> {
    let bytes = datagram(method, options, b"x");
    Command::parse(&Message::parse(&bytes).expect("a message"))
}

fn at(path: Path, number: Option<(bool, u16)>) -> impl FnOnce(&mut OptionWriter<'_>) {
    move |options| {
        for number in path.numbers() {
            options.uri_path_number(number);
        }
        match number {
            Some((true, accept)) => {
                options.accept(ContentFormat(accept));
            }
            Some((false, format)) => {
                options.content_format(ContentFormat(format));
            }
            None => {}
        }
    }
}

// Transport TS 1.2, table 6.4.2.
#[test]
fn a_command_is_read_as_it_was_written_and_its_path_is_plain() {
    let commands = [
        Command::discover(Path::ROOT),
        Command::discover(path!(0)),
        Command::read(path!(1), Format::Tlv),
        Command::read(path!(2 / 3), Format::SenmlCbor),
        Command::write(path!(1), Format::Lwm2mCbor),
        Command::write(path!(0 / 65_534), Format::SenmlJson),
        Command::write(path!(3 / 0 / 15), Format::Text),
        Command::delete(Path::ROOT),
        Command::delete(path!(21)),
        Command::delete(path!(0 / 1)),
        Command::FINISH,
    ];
    for expected in commands {
        let bytes = datagram(expected.operation.method(), |options| expected.write_options(options), b"");
        let message = Message::parse(&bytes).expect("a message");
        assert_eq!(Command::parse(&message), Ok(expected));
        let mut on_the_wire = String::new();
        for segment in message.uri_path() {
            on_the_wire = on_the_wire + "/" + segment;
        }
        let plain = match (expected.operation, expected.path.is_root()) {
            (Operation::Finish, _) => "/bs".to_string(),
            (_, true) => String::new(),
            (_, false) => expected.path.to_string(),
        };
        assert_eq!(on_the_wire, plain);
        assert!(expected.is_for(Version::V1_2), "{expected:?}");
    }
    assert!(!Command::read(path!(1), Format::Tlv).is_for(Version::V1_0), "Bootstrap-Read is of 1.1");
    assert!(!Command::write(path!(1), Format::SenmlCbor).is_for(Version::V1_0));
    assert!(!Command::write(path!(1), Format::Text).is_for(Version::V1_2));
}

#[test]
fn commands_are_refused_with_the_code_of_the_table() {
    let get = |path, accept| command(Code::GET, at(path, Some((true, accept))));
    let code = |refused: Result<Command, CommandRefused>| refused.expect_err("refused").code();
    for path in [path!(1 / 0), path!(1 / 0 / 1), path!(3 / 0)] {
        assert_eq!(get(path, 40), Err(CommandRefused::Level(Operation::Discover)));
        assert_eq!(code(get(path, 40)), Code::BAD_REQUEST);
    }
    let with_depth = command(Code::GET, |options| {
        options.uri_query("depth=1").accept(ContentFormat::LINK);
    });
    assert_eq!(code(with_depth), Code::BAD_REQUEST);
    for path in [Path::ROOT, path!(0), path!(3 / 0), path!(1 / 0 / 1), path!(21 / 0)] {
        assert_eq!(get(path, 11542), Err(CommandRefused::Unreadable), "{path}");
        assert_eq!(code(command(Code::GET, at(path, None))), Code::METHOD_NOT_ALLOWED);
    }
    assert_eq!(code(get(path!(1 / 0), 0)), Code::NOT_ACCEPTABLE);
    assert_eq!(code(get(path!(1 / 0), 65_000)), Code::NOT_ACCEPTABLE);
    let put = |path, format| command(Code::PUT, at(path, Some((false, format))));
    for path in [Path::ROOT, path!(3 / 0 / 7 / 0)] {
        assert_eq!(code(put(path, 11542)), Code::BAD_REQUEST);
    }
    for (path, format) in [(path!(1), 0), (path!(1 / 0), 60), (path!(1 / 0), 65_000), (path!(1 / 0), 40)] {
        assert_eq!(code(put(path, format)), Code::UNSUPPORTED_CONTENT_FORMAT, "{path} {format}");
    }
    assert_eq!(put(path!(1 / 0), 1542), Ok(Command::write(path!(1 / 0), Format::Tlv)), "an old number");
    assert_eq!(command(Code::PUT, at(path!(1 / 0), None)).map(|command| command.format), Ok(None));
    assert_eq!(code(command(Code::DELETE, at(path!(1 / 0 / 1), None))), Code::BAD_REQUEST);
    for method in [Code::POST, Code::FETCH, Code::IPATCH] {
        assert_eq!(code(command(method, at(path!(1 / 0), None))), Code::METHOD_NOT_ALLOWED);
    }
    let elsewhere = command(Code::DELETE, |options| {
        options.uri_path("lwm2m/1/0");
    });
    assert_eq!(code(elsewhere), Code::BAD_REQUEST);
}

#[test]
fn each_command_has_its_codes() {
    assert!(Operation::Finish.may_be_answered(Code::NOT_ACCEPTABLE));
    assert!(!Operation::Write.may_be_answered(Code::NOT_ACCEPTABLE));
    assert!(!Operation::Delete.may_be_answered(Code::NOT_FOUND));
    assert!(!Operation::Delete.may_be_answered(Code::CHANGED));
    assert!(Operation::Discover.may_be_answered(Code::NOT_FOUND));
    for operation in
        [Operation::Discover, Operation::Read, Operation::Write, Operation::Delete, Operation::Finish]
    {
        assert!(operation.may_be_answered(operation.success()), "{operation}");
        assert!(operation.may_be_answered(Code::INTERNAL_SERVER_ERROR), "{operation}");
        assert!(!operation.may_be_answered(Code::FORBIDDEN), "{operation}");
    }
}

fn request(query: &[&str]) -> Result<(Option<String>, PreferredFormat), Refused> {
    let bytes = datagram(
        Code::POST,
        |options| {
            options.uri_path_segment(BS);
            for part in query {
                options.uri_query(part);
            }
        },
        b"",
    );
    let message = Message::parse(&bytes).expect("a message");
    Request::parse(&message).map(|request| (request.endpoint.map(String::from), request.preferred_format))
}

// Bad inputs 285, 286.
#[test]
fn a_request_says_who_asks_and_what_it_wants_to_be_written_in() {
    let mine = Some("dev-7".to_string());
    assert_eq!(request(&["ep=dev-7"]), Ok((mine.clone(), PreferredFormat::Unsaid)));
    for (number, format) in [
        ("110", Format::SenmlJson),
        ("112", Format::SenmlCbor),
        ("11542", Format::Tlv),
        ("11544", Format::Lwm2mCbor),
    ] {
        let pct = "pct=".to_string() + number;
        assert_eq!(request(&[&pct, "ep=dev-7"]), Ok((mine.clone(), PreferredFormat::Known(format))));
        let written = Request { endpoint: Some("dev-7"), preferred_format: PreferredFormat::Known(format) };
        let bytes = datagram(Code::POST, |options| written.write_options(options), b"");
        assert_eq!(Request::parse(&Message::parse(&bytes).expect("a message")), Ok(written));
    }
    for unknown in ["65000", "0", "60", "11543", "99999999"] {
        let pct = "pct=".to_string() + unknown;
        let (_, format) = request(&[&pct]).expect("well-formed");
        assert_eq!(format, PreferredFormat::Unknown(unknown.parse().expect("a number")));
    }
    assert_eq!(request(&["x=1", "lwm2m=1.2"]), Ok((None, PreferredFormat::Unsaid)), "ep may be missing");
    for (query, refused) in [
        (&["pct=abc"][..], Refused::PreferredFormat),
        (&["pct="], Refused::PreferredFormat),
        (&["pct"], Refused::PreferredFormat),
        (&["pct=-1"], Refused::PreferredFormat),
        (&["pct=99999999999999999999"], Refused::PreferredFormat),
        (&["ep="], Refused::Endpoint(InvalidEndpoint::Empty)),
        (&["ep=a\u{0}b"], Refused::Endpoint(InvalidEndpoint::ControlCharacter)),
        (&["ep=a", "ep=b"], Refused::Twice("ep")),
        (&["ep=a", "pct=110", "pct=110"], Refused::Twice("pct")),
    ] {
        assert_eq!(request(query), Err(refused), "{query:?}");
        assert_eq!(refused.code(), Code::BAD_REQUEST);
    }
    let not_utf8 = |options: &mut OptionWriter<'_>| {
        options.option(OptionNumber::URI_QUERY, b"ep=\xFF");
    };
    let not_text = datagram(Code::POST, not_utf8, b"");
    let refused = Request::parse(&Message::parse(&not_text).expect("a message"));
    assert_eq!(refused, Err(Refused::NotUtf8));
}

fn pack(query: &[&str], accept: Option<u16>) -> Result<Vec<Path>, Refused> {
    let bytes = datagram(
        Code::GET,
        |options| {
            options.uri_path_segment(BSPACK);
            for part in query {
                options.uri_query(part);
            }
            if let Some(accept) = accept {
                options.accept(ContentFormat(accept));
            }
        },
        b"",
    );
    let message = Message::parse(&bytes).expect("a message");
    PackRequest::parse(&message).map(|request| request.account().collect())
}

// Core TS 1.2.1, 6.1.7.2.
#[test]
fn a_pack_request_names_the_account_that_the_device_came_by() {
    let mut buffer = [0; 64];
    let account = account_text([path!(0 / 2), path!(21 / 0)], &mut buffer);
    assert_eq!(account, Some("</0/2>,</21/0>"));
    let written = PackRequest { endpoint: Some("dev-7"), accept: Format::SenmlCbor, account };
    let bytes = datagram(Code::GET, |options| written.write_options(options), b"");
    let message = Message::parse(&bytes).expect("a message");
    assert!(message.uri_path().eq([BSPACK]));
    assert_eq!(PackRequest::parse(&message), Ok(written));
    assert_eq!(written.account().collect::<Vec<_>>(), [path!(0 / 2), path!(21 / 0)]);
    assert_eq!(account_text([path!(0 / 2)], &mut [0; 5]), None);

    assert_eq!(pack(&["ep=a"], Some(11544)), Ok(Vec::new()));
    assert_eq!(pack(&["ep=a", "acc=</0/0/>;ssid=0, </x>,</3>"], Some(110)), Ok([path!(0 / 0)].into()));
    for accept in [None, Some(0), Some(40), Some(11542), Some(11543), Some(65_000)] {
        let refused = pack(&["ep=a"], accept).expect_err("no such pack");
        assert_eq!((refused, refused.code()), (Refused::Accept, Code::NOT_ACCEPTABLE));
    }
    let refused = pack(&["ep=a", "acc=/0/0"], Some(110)).expect_err("no links");
    assert!(matches!(refused, Refused::Account(_)) && refused.code() == Code::BAD_REQUEST);
}

fn paths(list: &InstanceList<'_>) -> String {
    let text: Vec<_> = list
        .entries()
        .map(|entry| match entry.short_server_id {
            Some(ssid) => entry.path.to_string() + ":" + &ssid.to_string(),
            None => entry.path.to_string(),
        })
        .collect();
    text.join(" ")
}

// Core TS 1.2, 6.1.7.3.
#[test]
fn a_discover_lists_version_accounts_and_instances() {
    let mut bytes = [0; 256];
    let mut writer = InstanceListWriter::new(TextBuffer::new(&mut bytes), Version::V1_2);
    let seven = ShortServerId::new(7).expect("an ID");
    writer.entry(path!(0 / 0)).entry(path!(0 / 1)).short_server_id(seven).uri("coaps://s.example");
    writer.entry(path!(1 / 0)).short_server_id(seven).entry(path!(3 / 0)).entry(path!(5));
    writer.entry(path!(3303)).version(crate::ObjectVersion::new(1, 1));
    let text = writer.finish().expect("fits");
    assert_eq!(
        text.as_str(),
        "</>;lwm2m=1.2,</0/0>,</0/1>;ssid=7;uri=\"coaps://s.example\",</1/0>;ssid=7,</3/0>,</5>,</3303>;ver=1.1"
    );
    let list = InstanceList::parse(text.as_str().as_bytes()).expect("a list");
    assert_eq!(list.version(), Some(Version::V1_2));
    assert_eq!(paths(&list), "/0/0 /0/1:7 /1/0:7 /3/0 /5 /3303");
    let uri = list.entries().find_map(|entry| entry.uri).expect("a URI");
    assert_eq!(uri, *"coaps://s.example");
}

#[test]
fn older_discover_bodies_are_understood() {
    for (body, version, expected) in [
        ("lwm2m=\"1.0\",</0/0>,</0/1>;ssid=1,</1/0>;ssid=1", Some(Version::V1_0), "/0/0 /0/1:1 /1/0:1"),
        ("lwm2m=1.0, </0/0>", Some(Version::V1_0), "/0/0"),
        ("</>;lwm2m=\"1.1\", </0/0/>;ssid=0, </1/>", Some(Version::V1_1), "/0/0 /1"),
        ("</0/1>;ssid=\"12\",</3/0>", None, "/0/1:12 /3/0"),
        ("</>;lwm2m=9.9,</a>,</1/0/2>,</2/65535>", None, ""),
        ("lwm2m=\"1.0\"", Some(Version::V1_0), ""),
        ("", None, ""),
    ] {
        let list = InstanceList::parse(body.as_bytes()).expect(body);
        assert_eq!((list.version(), paths(&list).as_str()), (version, expected), "{body}");
    }
    assert_eq!(InstanceList::parse(b"\xFF"), Err(ListError::NotUtf8));
    assert!(matches!(InstanceList::parse(b"<oops"), Err(ListError::Link(_))));
}
