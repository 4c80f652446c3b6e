//! A Bootstrap-Server with a host of its own and devices that speak by hand-made messages.

mod common;

use core::time::Duration;
use std::net::SocketAddr;

use common::{Packet, SECOND, address, answer, read, uri};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_lwm2m::bootstrap::{Command, Operation};
use lightship_lwm2m::{Format, path};
use lightship_platform::Instant;
use lightship_server::bootstrap::{
    Answer, BootstrapServer, Config, Ended, Event, Limits, Pack, SessionId, Step, StepOutcome,
};

/// The engine, its time, and what came out of it.
struct World {
    server: BootstrapServer,
    now: Instant,
    /// What the host answers to `StepDone`, one after another; then `End`.
    script: Vec<Step>,
    /// What the host answers to a request, instead of the first step.
    refuse: Option<Answer>,
    /// Whether the host answers at all.
    silent: bool,
    done: Vec<(SessionId, Operation, StepOutcome, u8)>,
    ended: Vec<(SessionId, String, Ended)>,
    out: Vec<(SocketAddr, Vec<u8>)>,
    next_id: u16,
}

fn script() -> Vec<Step> {
    let write = Command::write(path!(0 / 1), Format::Tlv);
    vec![
        Step::of(Command::discover(lightship_lwm2m::Path::ROOT)),
        Step::of(Command::delete(path!(1))),
        Step { command: write, payload: [0xC8, 0, 3, b'c', b'o', b'a'].as_slice().into() },
        Step::of(Command::FINISH),
    ]
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self {
            server: BootstrapServer::new(config, [7; 32]),
            now: Instant::from_secs(1000),
            script: script(),
            refuse: None,
            silent: false,
            done: Vec::new(),
            ended: Vec::new(),
            out: Vec::new(),
            next_id: 100,
        }
    }

    fn drain(&mut self) {
        loop {
            let mut buffer = [0; 1500];
            if let Some(transmit) = self.server.poll_transmit(&mut buffer) {
                self.out.push((transmit.to, buffer[..transmit.len].to_vec()));
                continue;
            }
            let Some(event) = self.server.poll_event() else { return };
            let ask = match event {
                Event::AskBootstrap { ask, .. } | Event::AskPack { ask, .. } => Some((ask, 0)),
                Event::StepDone { ask, session, command, outcome, attempts, .. } => {
                    self.done.push((session, command.operation, outcome, attempts));
                    let next = self.done.iter().filter(|(of, ..)| *of == session).count();
                    ask.map(|ask| (ask, next))
                }
                Event::Ended { session, endpoint, reason, .. } => {
                    self.ended.push((session, endpoint.to_string(), reason));
                    None
                }
                Event::Security(_) | _ => None,
            };
            let Some((ask, index)) = ask.filter(|_| !self.silent) else { continue };
            let step = || self.script.get(index).cloned().map_or(Answer::End, Answer::Step);
            let first = self.refuse.clone().filter(|_| index == 0);
            let answer = first.unwrap_or_else(step);
            self.server.answer(self.now, ask, answer);
        }
    }

    /// Hands a datagram in and returns what goes back to its sender because of it.
    fn send(&mut self, from: SocketAddr, packet: &Packet) -> Vec<Vec<u8>> {
        self.server.handle_input(self.now, from, &mut packet.bytes());
        self.drain();
        self.sent_to(from)
    }

    fn sent_to(&mut self, to: SocketAddr) -> Vec<Vec<u8>> {
        let (mine, others) = std::mem::take(&mut self.out).into_iter().partition(|(other, _)| *other == to);
        self.out = others;
        let mine: Vec<(SocketAddr, Vec<u8>)> = mine;
        mine.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.server.handle_timeout(end);
        self.drain();
    }

    fn request(&mut self, query: &str) -> Packet {
        self.next_id += 1;
        Packet::new(Type::Con, Code::POST, self.next_id, &[1]).path("bs").query(query)
    }

    fn pack_request(&mut self, query: &str, accept: u16) -> Packet {
        self.next_id += 1;
        Packet::new(Type::Con, Code::GET, self.next_id, &[2])
            .path("bspack")
            .query(query)
            .option(OptionNumber::ACCEPT, &accept.to_be_bytes())
    }

    /// The code that a request gets when nothing else follows it.
    fn code(&mut self, from: SocketAddr, packet: &Packet) -> Code {
        let answers = self.send(from, packet);
        assert_eq!(answers.len(), 1, "one answer and nothing else");
        read(&answers[0]).code()
    }

    /// A session begins; returns the first command.
    fn begin(&mut self, from: SocketAddr, name: &str) -> Vec<u8> {
        let request = self.request(&format!("ep={name}"));
        let mut sent = self.send(from, &request);
        assert_eq!(sent.len(), 2, "the answer and the first command");
        assert_eq!(read(&sent[0]).code(), Code::CHANGED);
        sent.remove(1)
    }

    /// Answers a command; returns the next one, if there is one.
    fn reply(&mut self, from: SocketAddr, command: &[u8], code: Code) -> Option<Vec<u8>> {
        let sent = self.send(from, &answer(command, code));
        assert!(sent.len() <= 1, "one command at a time");
        sent.into_iter().next()
    }
}

fn device() -> SocketAddr {
    address("192.0.2.1:5683")
}

// TS_Core 6.1.3 to 6.1.7; TS_Transport 6.4.2.
// Proves: BST-01, BST-14, BST-19
#[test]
fn a_session_is_answered_and_goes_step_by_step_to_its_finish() {
    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let message = read(&discover);
    assert_eq!((message.ty(), message.code(), uri(&message).as_str()), (Type::Con, Code::GET, ""));
    assert_eq!(message.accept(), Some(ContentFormat::LINK));
    let content =
        answer(&discover, Code::CONTENT).format(ContentFormat::LINK).payload("</>;lwm2m=1.1,</0/0>");
    let delete = world.send(device(), &content).remove(0);
    assert_eq!((read(&delete).code(), uri(&read(&delete)).as_str()), (Code::DELETE, "/1"));
    let write = world.reply(device(), &delete, Code::DELETED).expect("a command");
    let message = read(&write);
    assert_eq!((message.ty(), message.code(), uri(&message).as_str()), (Type::Con, Code::PUT, "/0/1"));
    assert_eq!(message.content_format(), Some(ContentFormat::LWM2M_TLV), "always stated");
    assert_eq!(message.payload(), [0xC8, 0, 3, b'c', b'o', b'a']);
    let finish = world.reply(device(), &write, Code::CHANGED).expect("a command");
    let message = read(&finish);
    assert_eq!((message.code(), uri(&message).as_str(), message.payload()), (Code::POST, "/bs", &[][..]));
    assert!(world.ended.is_empty(), "not before the device has agreed");
    assert_eq!(world.reply(device(), &finish, Code::CHANGED), None);
    let [(session, endpoint, reason)] = world.ended.as_slice() else { panic!("one end") };
    assert_eq!((endpoint.as_str(), *reason), ("dev-7", Ended::Finished));
    let steps: Vec<_> = world.done.iter().map(|(of, operation, ..)| (of == session, *operation)).collect();
    let expected = [Operation::Discover, Operation::Delete, Operation::Write, Operation::Finish];
    assert_eq!(steps, expected.map(|operation| (true, operation)));
    let StepOutcome::Response(list) = &world.done[0].2 else { panic!("an answer") };
    assert_eq!(&*list.payload, b"</>;lwm2m=1.1,</0/0>");
    let stats = world.server.stats();
    assert_eq!((stats.started, stats.finished, stats.sessions, stats.steps), (1, 1, 0, 4));
    world.pass(Duration::from_secs(600));
    assert_eq!(world.server.poll_timeout(), None, "nothing is left");
    assert_eq!(world.server.stats().peers, 0);
}

// Bad inputs 285 to 287; TS_Transport 6.4.2.
// Proves: BST-02
#[test]
fn who_cannot_be_configured_is_refused_without_state() {
    let mut world = World::new();
    world.refuse = Some(Answer::Refuse { code: Code::BAD_REQUEST });
    for (query, code) in [
        ("", Code::BAD_REQUEST),
        ("pct=112", Code::BAD_REQUEST),
        ("ep=a&pct=abc", Code::BAD_REQUEST),
        ("ep=a&pct=", Code::BAD_REQUEST),
        ("ep=a&pct=65000", Code::UNSUPPORTED_CONTENT_FORMAT),
        ("ep=a&pct=60", Code::UNSUPPORTED_CONTENT_FORMAT),
        ("ep=a&ep=b", Code::BAD_REQUEST),
    ] {
        let request = world.request(query);
        assert_eq!(world.code(device(), &request), code, "{query}");
        assert_eq!(world.server.stats().peers, 0, "{query}");
    }
    let unknown = world.request("ep=nobody");
    assert_eq!(world.code(device(), &unknown), Code::BAD_REQUEST);
    assert_eq!(world.server.stats().started, 0);
    for (packet, code) in [
        (Packet::new(Type::Con, Code::GET, 1, &[]).path("bs").query("ep=a"), Code::METHOD_NOT_ALLOWED),
        (Packet::new(Type::Con, Code::POST, 2, &[]).path("bspack").query("ep=a"), Code::METHOD_NOT_ALLOWED),
        (Packet::new(Type::Con, Code::POST, 3, &[]).path("rd").query("ep=a"), Code::NOT_FOUND),
        (Packet::new(Type::Con, Code::GET, 4, &[]).path("bspack").query("ep=a"), Code::NOT_ACCEPTABLE),
    ] {
        assert_eq!(world.code(address("192.0.2.2:9"), &packet), code);
    }
    // The same as hand-made bytes of the list of bad inputs.
    for (hex, code) in [
        ("42021234aabbb26273", Code::BAD_REQUEST),
        ("42021234aabbb262734465703d61097063743d3635303030", Code::UNSUPPORTED_CONTENT_FORMAT),
    ] {
        let mut bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        world.server.handle_input(world.now, address("192.0.2.3:9"), &mut bytes);
        world.drain();
        let back = world.sent_to(address("192.0.2.3:9"));
        assert_eq!(read(&back[0]).code(), code, "{hex}");
    }
}

// Tolerance: TS_Core leaves no choice, devices in the field ask for what nobody knows.
#[test]
fn an_unknown_format_is_served_in_tlv_where_that_is_wanted() {
    let mut world = World::with(Config { tolerate_unknown_format: true, ..Config::default() });
    let request = world.request("ep=a&pct=65000");
    assert_eq!(world.send(device(), &request).len(), 2);
}

// Bad input 288.
// Proves: BST-39
#[test]
fn the_newer_session_of_a_device_wins_and_has_the_only_finish() {
    let mut world = World::new();
    let elsewhere = address("198.51.100.9:1234");
    let first = world.begin(device(), "dev-7");
    let second = world.begin(elsewhere, "dev-7");
    assert_eq!(world.ended.len(), 1);
    assert_eq!(world.ended[0].2, Ended::Displaced);
    assert_eq!(world.reply(device(), &first, Code::CONTENT), None, "nobody waits for it any more");
    assert!(world.done.is_empty());
    world.pass(Duration::from_secs(20));
    let to_first: Vec<_> = world.sent_to(device());
    assert!(to_first.is_empty(), "the older session sends nothing more");
    let second = world.sent_to(elsewhere).pop().unwrap_or(second);
    let mut command = Some(second);
    let mut finishes = 0;
    while let Some(bytes) = command {
        let (code, path) = (read(&bytes).code(), uri(&read(&bytes)));
        finishes += usize::from(path == "/bs");
        let good = if code == Code::DELETE { Code::DELETED } else { Code::CHANGED };
        command = world.reply(elsewhere, &bytes, good);
    }
    assert_eq!(finishes, 1);
    assert_eq!(world.ended[1].2, Ended::Finished);
    // Another device at the same address displaces, too: the first one is not there any more.
    let _ = world.begin(device(), "a");
    let _ = world.begin(device(), "b");
    assert_eq!(world.ended[2].1, "a");
    assert_eq!(world.ended[2].2, Ended::Displaced);
    assert_eq!(world.server.stats().sessions, 1);
}

#[test]
fn a_repeated_request_is_answered_again_and_begins_nothing() {
    let mut world = World::new();
    let request = world.request("ep=dev-7");
    let sent = world.send(device(), &request);
    let again = world.send(device(), &request);
    assert_eq!(again, [sent[0].clone()], "the same 2.04");
    assert_eq!(world.server.stats().started, 1);
}

// Bad input 289.
// Proves: BST-36
#[test]
fn an_unanswered_command_is_begun_anew_with_another_message_id_and_then_given_up() {
    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let delete = world.reply(device(), &discover, Code::CONTENT).expect("a command");
    world.pass(Duration::from_secs(400));
    let sent = world.sent_to(device());
    let mut ids: Vec<_> = sent.iter().map(|bytes| read(bytes).message_id()).collect();
    ids.insert(0, read(&delete).message_id());
    assert_eq!(ids.len(), 10, "twice, each time with its repetitions, and then no more");
    let (first, second) = ids.split_at(5);
    assert!(first.iter().all(|id| *id == first[0]), "MAX_RETRANSMIT repetitions");
    assert!(second.iter().all(|id| *id == second[0]) && second[0] != first[0]);
    assert_eq!(world.ended[0].2, Ended::DeviceLost);
    assert_eq!((&world.done[1].2, world.done[1].3), (&StepOutcome::Timeout, 2));

    // A device that pauses, as after keys were written, loses nothing.
    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let delete = world.reply(device(), &discover, Code::CONTENT).expect("a command");
    world.pass(Duration::from_secs(100));
    let again = world.sent_to(device()).pop().expect("begun anew");
    assert_ne!(read(&again).message_id(), read(&delete).message_id());
    assert!(world.reply(device(), &again, Code::DELETED).is_some());
    assert_eq!(world.done[1].3, 2);
}

#[test]
fn a_separate_answer_is_waited_for_as_long_as_an_exchange_lives() {
    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let ack = Packet::new(Type::Ack, Code::EMPTY, read(&discover).message_id().0, &[]);
    assert!(world.send(device(), &ack).is_empty());
    world.pass(Duration::from_secs(240));
    assert!(world.sent_to(device()).is_empty() && world.ended.is_empty());
    let late = Packet { ty: Type::Con, id: 7000, ..answer(&discover, Code::CONTENT) };
    let sent = world.send(device(), &late);
    assert_eq!(sent.len(), 2, "an acknowledgement and the next command");
}

// Bad inputs 289, 290: whatever the device answers is for the host to judge, within bounds.
#[test]
fn refusals_reach_the_host_and_a_finish_may_be_repaired() {
    let mut world = World::new();
    world.script =
        vec![Step::of(Command::FINISH), Step::of(Command::delete(path!(0 / 9))), Step::of(Command::FINISH)];
    let finish = world.begin(device(), "dev-7");
    let repair = world.reply(device(), &finish, Code::NOT_ACCEPTABLE).expect("a repair");
    assert_eq!(uri(&read(&repair)), "/0/9");
    let finish = world.reply(device(), &repair, Code::DELETED).expect("a Finish");
    assert_eq!(world.reply(device(), &finish, Code::NOT_ACCEPTABLE), None, "the host has nothing more");
    assert_eq!(world.ended[0].2, Ended::GivenUp);

    let endless = Limits { steps: 5, ..Limits::default() };
    let mut world = World::with(Config { limits: endless, ..Config::default() });
    world.script = vec![Step::of(Command::FINISH); 100];
    let mut command = Some(world.begin(device(), "dev-7"));
    let mut commands = 0;
    while let Some(bytes) = command {
        commands += 1;
        command = world.reply(device(), &bytes, Code::NOT_ACCEPTABLE);
    }
    assert_eq!((commands, world.ended[0].2), (5, Ended::TooLong));
}

#[test]
fn a_session_ends_in_time_whatever_happens() {
    let mut world = World::new();
    let mut command = world.begin(device(), "dev-7");
    world.script = vec![Step::of(Command::discover(path!(1))); 100];
    for _ in 0..30 {
        world.pass(Duration::from_secs(40));
        let _ = world.sent_to(device());
        let Some(next) = world.reply(device(), &command, Code::CONTENT) else { break };
        command = next;
    }
    assert_eq!(world.ended[0].2, Ended::TooLong);

    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let reset = Packet::new(Type::Reset, Code::EMPTY, read(&discover).message_id().0, &[]);
    assert!(world.send(device(), &reset).is_empty());
    assert_eq!(world.ended[0].2, Ended::DeviceLost);
}

#[test]
fn a_host_that_does_not_answer_says_no() {
    let mut world = World::new();
    world.silent = true;
    let request = world.request("ep=dev-7");
    assert!(world.send(device(), &request).is_empty());
    world.pass(11 * SECOND);
    let sent = world.sent_to(device());
    let last = read(sent.last().expect("an answer"));
    assert_eq!((last.code(), last.max_age_s()), (Code::SERVICE_UNAVAILABLE, 30));
    assert_eq!(world.server.stats().asks_unanswered, 1);
    assert_eq!(world.ended[0].2, Ended::GivenUp, "a host that is late is told");

    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    world.silent = true;
    assert_eq!(world.reply(device(), &discover, Code::CONTENT), None);
    world.pass(11 * SECOND);
    assert_eq!(world.ended[0].2, Ended::GivenUp);
}

// TS_Core 6.1.7.2. Bad input 291.
// Proves: BST-31
#[test]
fn a_pack_is_the_answer_to_its_request() {
    let mut world = World::new();
    let pack = Pack { format: Format::SenmlCbor, payload: [0x80].as_slice().into() };
    world.refuse = Some(Answer::Pack(pack));
    let request = world.pack_request("ep=dev-7&acc=</0/0>", 112);
    let answers = world.send(device(), &request);
    let answer = read(&answers[0]);
    assert_eq!((answer.code(), answer.payload()), (Code::CONTENT, &[0x80][..]));
    assert_eq!(answer.content_format(), Some(ContentFormat::SENML_CBOR));
    assert_eq!((answers.len(), world.ended[0].2), (1, Ended::PackSent), "and no Finish");

    for code in [Code::METHOD_NOT_ALLOWED, Code::NOT_FOUND] {
        world.refuse = Some(Answer::Refuse { code });
        let request = world.pack_request("ep=dev-7", 112);
        assert_eq!(world.code(device(), &request), code);
    }
    for (query, accept, code) in [
        ("ep=dev-7", 11542, Code::NOT_ACCEPTABLE),
        ("", 112, Code::BAD_REQUEST),
        ("ep=dev-7&acc=x", 112, Code::BAD_REQUEST),
    ] {
        let request = world.pack_request(query, accept);
        assert_eq!(world.code(device(), &request), code);
    }
    let mut without = World::with(Config { packs: false, ..Config::default() });
    let request = without.pack_request("ep=dev-7", 112);
    assert_eq!(without.code(device(), &request), Code::NOT_IMPLEMENTED);
    assert_eq!(without.server.stats().peers, 0);
}

#[test]
fn much_is_sent_only_where_somebody_has_answered() {
    let mut world = World::new();
    let payload: Vec<u8> = vec![7; 3000];
    world.refuse = Some(Answer::Pack(Pack { format: Format::SenmlCbor, payload: payload.as_slice().into() }));
    let request = world.pack_request("ep=dev-7", 112);
    let ping = world.send(device(), &request);
    assert_eq!(ping.len(), 1);
    assert_eq!((read(&ping[0]).code(), ping[0].len()), (Code::EMPTY, 4), "first a ping");
    let pong = Packet::new(Type::Reset, Code::EMPTY, read(&ping[0]).message_id().0, &[]);
    let answers = world.send(device(), &pong);
    assert_eq!(read(&answers[0]).code(), Code::CONTENT);
    assert!(read(&answers[0]).payload().len() == 1024, "the first block");

    // A forged address gets the ping, and nothing else.
    let victim = address("203.0.113.5:5683");
    let request = world.pack_request("ep=victim", 112);
    world.server.handle_input(world.now, victim, &mut request.bytes());
    world.drain();
    world.pass(Duration::from_secs(300));
    let sent: usize = world.sent_to(victim).iter().map(Vec::len).sum();
    assert!(sent <= 3 * request.bytes().len(), "{sent} bytes");
    assert_eq!(world.ended.last().map(|(.., reason)| *reason), Some(Ended::DeviceLost));

    // A long first command is treated alike.
    let mut world = World::new();
    world.script = vec![Step { command: Command::write(path!(0 / 1), Format::Tlv), payload: payload.into() }];
    let request = world.request("ep=dev-7");
    let sent = world.send(device(), &request);
    assert_eq!(read(&sent[1]).code(), Code::EMPTY);
    let pong = Packet::new(Type::Reset, Code::EMPTY, read(&sent[1]).message_id().0, &[]);
    let block = world.send(device(), &pong).remove(0);
    assert_eq!((read(&block).code(), read(&block).payload().len()), (Code::PUT, 1024));
}

#[test]
fn strangers_and_sessions_are_bounded() {
    let limits = Limits { sessions: 3, strangers: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    let at = |n: u8| address(&format!("192.0.2.{n}:5683"));
    for n in 1..=3 {
        let _ = world.begin(at(n), &format!("dev-{n}"));
    }
    let request = world.request("ep=dev-4");
    assert_eq!(world.code(at(4), &request), Code::SERVICE_UNAVAILABLE);
    assert_eq!(world.ended.last().map(|(.., reason)| *reason), Some(Ended::GivenUp));
    world.refuse = Some(Answer::Refuse { code: Code::BAD_REQUEST });
    for n in 5..=200 {
        let request = world.request("ep=nobody");
        assert_eq!(world.code(at(n), &request), Code::BAD_REQUEST);
        assert!(world.server.stats().peers <= 5);
    }
    assert_eq!(world.server.stats().sessions, 3, "sessions do not give way to strangers");
}

#[test]
fn no_bytes_disturb_a_session() {
    let mut world = World::new();
    let discover = world.begin(device(), "dev-7");
    let mut rng = lightship_platform::SeededRng::new([3; 32]);
    for _ in 0..2000 {
        use lightship_platform::Rng as _;
        let len = rng.below(60) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| u8::try_from(rng.below(256)).unwrap_or(0)).collect();
        world.server.handle_input(world.now, device(), &mut bytes);
        world.drain();
    }
    let _ = world.sent_to(device());
    assert!(world.reply(device(), &discover, Code::CONTENT).is_some(), "{:?}", world.ended);
}
