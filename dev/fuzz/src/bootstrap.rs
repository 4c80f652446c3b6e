//! Bootstrap: any datagram as each of its messages, any text as a list of instances, and the server's engine.

use crate::script::Script;
use core::time::Duration;
use lightship_coap::{Code, Encoder, Message, MessageId, OptionWriter, Token, Type};
use lightship_lwm2m::bootstrap::{Command, InstanceList, InstanceListWriter, PackRequest, Request};
use lightship_lwm2m::{Format, Path, Version};
use lightship_platform::Instant;
use lightship_server::bootstrap::{Answer, BootstrapServer, Config, Event, Pack, Step};
use std::net::SocketAddr;

/// What a stranger may make a server keep, in sessions; the limit under test.
const SESSIONS_MAX: usize = 4;

/// What is read from a datagram and written again reads the same; likewise a list, from the first byte on.
pub(crate) fn messages(data: &[u8]) {
    list(data);
    let Ok(message) = Message::parse(data) else { return };
    let written = |code: Code, options: &dyn Fn(&mut OptionWriter<'_>)| {
        let mut buffer = vec![0; 70_000];
        let mut encoder = Encoder::new(&mut buffer, Type::Con, code, MessageId(1), Token::default());
        options(encoder.options());
        let len = encoder.finish().expect("what fitted a message fits again");
        buffer.truncate(len);
        buffer
    };
    if let Ok(request) = Request::parse(&message) {
        let again = written(Code::POST, &|options| request.write_options(options));
        assert_eq!(Request::parse(&Message::parse(&again).expect("our own message parses")), Ok(request));
    }
    if let Ok(request) = PackRequest::parse(&message) {
        let again = written(Code::GET, &|options| request.write_options(options));
        assert_eq!(PackRequest::parse(&Message::parse(&again).expect("our own message parses")), Ok(request));
        assert!(request.account().all(|path| path.len() == 2));
    }
    if let Ok(command) = Command::parse(&message) {
        let again = written(command.operation.method(), &|options| command.write_options(options));
        assert_eq!(Command::parse(&Message::parse(&again).expect("our own message parses")), Ok(command));
    }
}

fn list(data: &[u8]) {
    let Ok(list) = InstanceList::parse(data) else { return };
    let version = list.version().unwrap_or(Version::V1_0);
    let mut writer = InstanceListWriter::new(String::new(), version);
    for entry in list.entries() {
        writer.entry(entry.path);
        if let Some(version) = entry.version {
            writer.version(version);
        }
        if let Some(ssid) = entry.short_server_id {
            writer.short_server_id(ssid);
        }
        if let Some(uri) = entry.uri {
            writer.uri(&uri.chars().collect::<String>());
        }
    }
    let text = writer.finish().expect("a text takes everything");
    let again = InstanceList::parse(text.as_bytes()).expect("our own list is read");
    assert_eq!(again.version(), Some(version));
    let facts = |list: &InstanceList<'_>| -> Vec<_> {
        let uri = |uri: lightship_lwm2m::link::LinkValue<'_>| uri.chars().collect::<String>();
        list.entries()
            .map(|entry| (entry.path, entry.version, entry.short_server_id, entry.uri.map(uri)))
            .collect()
    };
    assert_eq!(facts(&again), facts(&list), "{text}");
}

/// Three peers that send anything, a host that gives steps and packs, or keeps silent.
pub(crate) fn server(data: &[u8]) {
    let mut config = Config { packs: true, ..Config::default() };
    config.limits.sessions = SESSIONS_MAX;
    let mut server = BootstrapServer::new(config, [7; 32]);
    let mut now = Instant::from_secs(1000);
    let mut script = Script(data);
    while let Some(step) = script.byte() {
        if step % 4 == 3 {
            now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 1000);
            server.handle_timeout(now);
        } else {
            let Some(datagram) = script.piece() else { break };
            let from = SocketAddr::from(([127, 0, 0, 1], 5000 + u16::from(step % 4)));
            server.handle_input(now, from, &mut datagram.to_vec());
        }
        drain(&mut server, now, step);
    }
}

fn drain(server: &mut BootstrapServer, now: Instant, choice: u8) {
    let mut out = [0; 2048];
    loop {
        while server.poll_transmit(&mut out).is_some() {}
        let Some(event) = server.poll_event() else { break };
        let object = Path::from_numbers(&[u16::from(choice % 8)]).expect("a path");
        let steps = [
            Command::discover(Path::ROOT),
            Command::delete(object),
            Command::write(object, Format::SenmlCbor),
            Command::FINISH,
        ];
        let command = steps[usize::from(choice / 8) % steps.len()];
        let payload = if choice & 128 == 0 { vec![0x80] } else { vec![b'x'; 3000] };
        let next = Answer::Step(Step { payload: payload.as_slice().into(), ..Step::of(command) });
        match event {
            _ if choice & 64 != 0 => {}
            Event::AskBootstrap { ask, .. } | Event::StepDone { ask: Some(ask), .. } => {
                server.answer(now, ask, next)
            }
            Event::AskPack { ask, accept, .. } => {
                let pack = Pack { format: accept, payload: payload.as_slice().into() };
                server.answer(now, ask, Answer::Pack(pack));
            }
            _ => {}
        }
    }
    let _next = server.poll_timeout();
}
