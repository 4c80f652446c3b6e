use std::collections::VecDeque;

use clap::Parser;
use lightship_coap::{ContentFormat, Encoder};

use super::*;
use crate::cli::{Cli, Command};

/// A world of one engine and a server that is a function.
struct World {
    engine: Engine,
    now: Instant,
    /// What devices sent, and nobody looked at yet.
    sent: VecDeque<(u32, Vec<u8>)>,
}

impl World {
    fn new(line: &str) -> Self {
        let words = ["lightship", "load", "--threads", "1"].into_iter().chain(line.split_whitespace());
        let Command::Load(arguments) = Cli::parse_from(words).command else { panic!("not load") };
        let settings = Arc::new(Settings::new(&arguments).expect("allowed"));
        let (devices, window) = (settings.devices, settings.outstanding);
        let part = Part { thread: 0, threads: 1, first: settings.first, devices, window };
        let now = Instant::from_secs(1000);
        Self { engine: Engine::new(settings, part, now, [7; 32]), now, sent: VecDeque::new() }
    }

    fn enter(&mut self, stage: Stage) {
        self.engine.enter(stage, self.now);
        self.drive();
    }

    fn drive(&mut self) {
        self.engine.drive(self.now, UnixTime::from_millis(5));
        let sent = &mut self.sent;
        self.engine.poll_transmit(|device, datagram| sent.push_back((device, datagram.to_vec())));
    }

    fn pass(&mut self, span: Duration) {
        for _ in 0..span.as_millis() {
            self.now += Duration::from_millis(1);
            self.drive();
        }
    }

    fn input(&mut self, device: u32, datagram: &[u8]) {
        self.engine.handle_input(self.now, device, &mut datagram.to_vec());
        self.drive();
    }

    /// Answers what was sent so far with those codes for Register and everything else.
    fn answer(&mut self, register: Code, other: Code) {
        for (device, datagram) in std::mem::take(&mut self.sent) {
            let message = Message::parse(&datagram).expect("well-formed");
            if message.role() != Role::Request {
                continue;
            }
            let is_register = message.uri_path().eq(["rd"]);
            let code = match (is_register, message.code()) {
                (true, _) => register,
                (false, Code::DELETE) if other == Code::CHANGED => Code::DELETED,
                _ => other,
            };
            let mut buffer = [0; 64];
            let mut answer =
                Encoder::new(&mut buffer, Type::Ack, code, message.message_id(), message.token());
            if code == Code::CREATED {
                answer.options().location_path(&format!("rd/{device}"));
            }
            let len = answer.finish().expect("room");
            self.input(device, &buffer[..len]);
        }
    }

    fn tally(&self, phase: Phase, operation: Operation) -> [u64; 5] {
        let tally = self.engine.stats().tally(phase, operation);
        [tally.begun, tally.right, tally.wrong, tally.missing, tally.repetitions]
    }

    fn registered(line: &str) -> Self {
        let mut world = World::new(line);
        world.enter(Stage::Ramp);
        while !world.engine.is_finished() {
            world.answer(Code::CREATED, Code::CHANGED);
        }
        world
    }

    /// Sends a request of the server and returns the device's answer.
    fn ask(
        &mut self,
        device: u32,
        ty: Type,
        code: Code,
        id: u16,
        write: impl FnOnce(&mut Encoder<'_>),
    ) -> Vec<u8> {
        let mut buffer = [0; 256];
        let token = Token::new(&[9]).expect("short");
        let mut message = Encoder::new(&mut buffer, ty, code, MessageId(id), token);
        write(&mut message);
        let len = message.finish().expect("room");
        self.sent.clear();
        self.input(device, &buffer[..len]);
        self.sent.pop_front().expect("an answer").1
    }
}

#[test]
fn a_closed_loop_keeps_so_many_under_way() {
    let mut world = World::new("--devices 50 --outstanding 8 --mix update=1");
    world.enter(Stage::Ramp);
    assert_eq!((world.sent.len(), world.engine.under_way()), (8, 8));
    while !world.engine.is_finished() {
        world.answer(Code::CREATED, Code::CHANGED);
    }
    assert_eq!(world.tally(Phase::Ramp, Operation::Register), [50, 50, 0, 0, 0]);
    world.enter(Stage::Run);
    assert_eq!(world.engine.under_way(), 8);
    let devices: Vec<u32> = world.sent.iter().map(|(device, _)| *device).collect();
    assert_eq!(devices, [0, 1, 2, 3, 4, 5, 6, 7], "those that rested longest");
    world.enter(Stage::Drain);
    world.answer(Code::CREATED, Code::CHANGED);
    assert!(world.engine.is_finished());
    assert_eq!(world.tally(Phase::Run, Operation::Update), [8, 8, 0, 0, 0]);
    assert_eq!(
        world.engine.stats().tally(Phase::Run, Operation::Update).in_time,
        0,
        "answered when it was over"
    );
    world.enter(Stage::Leave);
    while !world.engine.is_finished() {
        world.answer(Code::CREATED, Code::CHANGED);
    }
    assert_eq!(world.tally(Phase::Leave, Operation::Deregister), [50, 50, 0, 0, 0]);
    assert_eq!(world.engine.registered(), 0);
}

#[test]
fn an_open_loop_counts_from_the_intended_time() {
    let mut world = World::registered("--devices 2 --rate 100 --mix update=1");
    world.enter(Stage::Run);
    // The server is silent for a second: two operations leave, and those that were meant to leave wait with their time.
    world.pass(Duration::from_secs(1));
    assert_eq!(world.sent.len(), 2);
    for _ in 0..100 {
        world.answer(Code::CREATED, Code::CHANGED);
    }
    let tally = world.engine.stats().tally(Phase::Run, Operation::Update);
    assert_eq!((tally.begun, tally.right), (101, 101));
    let latency = tally.latency.as_ref().expect("measured");
    let median = latency.value_at_quantile(0.5);
    assert!((450_000..550_000).contains(&median), "the stall shows: {median} µs");
}

#[test]
fn an_open_ramp_spreads_the_registrations() {
    let mut world = World::new("--devices 100 --ramp 1s");
    world.enter(Stage::Ramp);
    world.pass(Duration::from_millis(500));
    assert!((50..=51).contains(&world.sent.len()), "{}", world.sent.len());
    world.pass(Duration::from_millis(500));
    assert_eq!(world.sent.len(), 100);
}

#[test]
fn what_is_not_answered_is_repeated_and_then_missing() {
    let mut world =
        World::registered("--devices 1 --mix update=1 --ack-timeout 0.1 --max-retransmit 2 --retry 1");
    world.enter(Stage::Run);
    let first = world.sent.pop_front().expect("an Update");
    world.pass(Duration::from_millis(150));
    assert_eq!(world.sent.pop_front(), Some(first), "the same bytes again");
    world.pass(Duration::from_millis(900));
    assert_eq!(world.tally(Phase::Run, Operation::Update), [1, 0, 0, 1, 2]);
    assert_eq!(world.engine.registered(), 0);
    world.sent.clear();
    world.pass(Duration::from_millis(1100));
    world.answer(Code::CREATED, Code::CHANGED);
    assert_eq!(world.tally(Phase::Run, Operation::Register)[..4], [1, 1, 0, 0], "it is back after a pause");
}

#[test]
fn wrong_answers_are_counted_by_code_and_4_04_leads_to_another_register() {
    let mut world = World::registered("--devices 1 --mix update=1 --retry 0.5");
    world.enter(Stage::Run);
    world.answer(Code::CREATED, Code::NOT_FOUND);
    assert_eq!(world.tally(Phase::Run, Operation::Update), [1, 0, 1, 0, 0]);
    assert_eq!(world.engine.stats().wrong.get(&(Operation::Update, Code::NOT_FOUND.0)), Some(&1));
    world.pass(Duration::from_millis(600));
    assert_eq!(world.tally(Phase::Run, Operation::Register)[0], 1);
    world.answer(Code::FORBIDDEN, Code::CHANGED);
    assert_eq!(world.tally(Phase::Run, Operation::Register), [1, 0, 1, 0, 0]);
    assert_eq!(world.engine.registered(), 0);
}

#[test]
fn a_server_that_is_busy_says_when_to_come_again() {
    let mut world = World::new("--devices 1 --retry 0.5 --duration 1");
    world.enter(Stage::Ramp);
    let (_, datagram) = world.sent.pop_front().expect("a Register");
    let message = Message::parse(&datagram).expect("well-formed");
    let mut buffer = [0; 32];
    let (code, id) = (Code::TOO_MANY_REQUESTS, message.message_id());
    let mut answer = Encoder::new(&mut buffer, Type::Ack, code, id, message.token());
    answer.options().max_age_s(3);
    let len = answer.finish().expect("room");
    world.input(0, &buffer[..len]);
    world.pass(Duration::from_millis(2990));
    assert!(world.sent.is_empty());
    world.pass(Duration::from_millis(20));
    assert_eq!(world.sent.len(), 1);
    assert_eq!(world.tally(Phase::Ramp, Operation::Register)[..3], [2, 0, 1]);
}

#[test]
fn an_answer_with_another_token_answers_nothing() {
    let mut world = World::registered("--devices 1 --mix update=1");
    world.enter(Stage::Run);
    let (_, datagram) = world.sent.pop_front().expect("an Update");
    let mut answer = vec![0x64, Code::CHANGED.0, datagram[2], datagram[3], 1, 2, 3, 4];
    world.input(0, &answer);
    assert_eq!(world.engine.stats().stray, 1);
    answer[4..].copy_from_slice(&datagram[4..8]);
    world.input(0, &answer);
    world.enter(Stage::Drain);
    let before = world.engine.stats().repeated;
    world.input(0, &answer);
    let stats = world.engine.stats();
    assert_eq!((stats.tally(Phase::Run, Operation::Update).right, stats.stray), (1, 1));
    // The next Update had begun, so the second copy is that of the exchange before.
    assert_eq!(stats.repeated, before + 1);
    world.input(0, b"noise");
    assert_eq!(world.engine.stats().stray, 2);
}

#[test]
fn a_separate_answer_is_acknowledged() {
    let mut world = World::registered("--devices 1 --mix update=1");
    world.enter(Stage::Run);
    let (_, datagram) = world.sent.pop_front().expect("an Update");
    world.input(0, &[0x60, 0, datagram[2], datagram[3]]);
    world.pass(Duration::from_secs(4));
    assert!(world.sent.is_empty(), "what is acknowledged is not repeated");
    let mut answer = vec![0x44, Code::CHANGED.0, 0xab, 0xcd];
    answer.extend_from_slice(&datagram[4..8]);
    world.engine.enter(Stage::Drain, world.now);
    world.input(0, &answer);
    assert_eq!(world.sent.pop_front(), Some((0, vec![0x60, 0, 0xab, 0xcd])));
    assert_eq!(world.tally(Phase::Run, Operation::Update), [1, 1, 0, 0, 0]);
}

#[test]
fn who_rejoins_when_the_run_ends_is_registered_after_it() {
    let mut world = World::registered("--devices 4 --outstanding 4 --mix rejoin=1");
    world.enter(Stage::Run);
    assert_eq!(world.engine.under_way(), 4);
    world.enter(Stage::Drain);
    world.answer(Code::CREATED, Code::CHANGED);
    assert!(!world.engine.is_finished(), "they have left and are on their way back");
    world.answer(Code::CREATED, Code::CHANGED);
    assert!(world.engine.is_finished());
    assert_eq!(world.engine.registered(), 4);
    assert_eq!(world.tally(Phase::Run, Operation::Deregister), [4, 4, 0, 0, 0]);
    assert_eq!(world.tally(Phase::Run, Operation::Register), [4, 4, 0, 0, 0]);
}

#[test]
fn rejoining_is_a_deregister_and_a_register_after_it() {
    let mut world = World::registered("--devices 1 --mix rejoin=1 --ledger unused");
    world.enter(Stage::Run);
    let (_, leave) = world.sent.front().expect("a De-register");
    assert_eq!(Message::parse(leave).expect("well-formed").code(), Code::DELETE);
    let leave = world.sent.pop_front().expect("it");
    world.sent.push_back(leave);
    // One answer each: De-register, Register.
    let (_, datagram) = world.sent.pop_front().expect("it");
    let mut answer = vec![0x64, Code::DELETED.0, datagram[2], datagram[3]];
    answer.extend_from_slice(&datagram[4..8]);
    world.input(0, &answer);
    let (_, datagram) = world.sent.front().expect("a Register");
    assert!(Message::parse(datagram).expect("well-formed").uri_path().eq(["rd"]));
    let lines = String::from_utf8(world.engine.take_ledger().expect("a ledger").clone()).expect("UTF-8");
    let steps: Vec<(String, String)> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|line| {
            (line["operation"].as_str().unwrap().to_owned(), line["state"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("register", "begun"),
        ("register", "acknowledged"),
        ("deregister", "begun"),
        ("deregister", "acknowledged"),
        ("register", "begun"),
    ];
    assert_eq!(steps, expected.map(|(operation, state)| (operation.to_owned(), state.to_owned())));
}

#[test]
fn devices_answer_what_the_server_asks() {
    let mut world = World::registered("--devices 200 --object 1 --object 3 --object 3303=2");
    let read = |path: &'static str, format: u16| {
        move |message: &mut Encoder<'_>| {
            message.options().uri_path(path).accept(ContentFormat(format));
        }
    };
    let answer = world.ask(42, Type::Con, Code::GET, 1, read("3/0/9", 0));
    let message = Message::parse(&answer).expect("well-formed");
    assert_eq!((message.ty(), message.code(), message.payload()), (Type::Ack, Code::CONTENT, &b"42"[..]));
    let answer = world.ask(42, Type::Con, Code::GET, 2, read("3303", 40));
    let links = Message::parse(&answer).expect("well-formed").payload().to_vec();
    let expected = "</3303>,</3303/0>,</3303/0/5700>,</3303/0/5701>,</3303/1>,</3303/1/5700>,</3303/1/5701>";
    assert_eq!(String::from_utf8(links).expect("UTF-8"), expected);
    let code = |answer: &[u8]| Message::parse(answer).expect("well-formed").code();
    let execute = |message: &mut Encoder<'_>| {
        message.options().uri_path("3/0/5");
    };
    let done = world.ask(42, Type::Con, Code::POST, 3, execute);
    assert_eq!(code(&done), Code::CHANGED);
    assert_eq!(world.ask(42, Type::Con, Code::POST, 3, execute), done, "the same answer to the same message");
    let write = |message: &mut Encoder<'_>| {
        message.options().uri_path("1/0").content_format(ContentFormat(11542));
    };
    assert_eq!(code(&world.ask(42, Type::Con, Code::POST, 4, write)), Code::CHANGED);
    assert_eq!(code(&world.ask(42, Type::Con, Code::GET, 5, read("99/0", 110))), Code::NOT_FOUND);
    assert_eq!(code(&world.ask(42, Type::Con, Code::GET, 6, read("3/0", 0))), Code::NOT_ACCEPTABLE);
    assert_eq!(code(&world.ask(42, Type::Con, Code::DELETE, 7, read("3303/1", 0))), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.ask(42, Type::Con, Code::GET, 8, read("3/0/1", 0))[0] >> 4 & 3, 2);
    world.input(42, &[0x40, 0, 1, 1]);
    assert_eq!(world.sent.pop_front().expect("an answer to a ping").1, [0x70, 0, 1, 1]);
    let counts = world.engine.stats().downlink;
    assert_eq!((counts.read, counts.discover, counts.execute, counts.write), (3, 1, 1, 1));
    assert_eq!((counts.refused, counts.repeated), (2, 1));
}

#[test]
fn long_answers_are_cut_into_blocks() {
    let mut world = World::registered("--devices 1 --object 3303=60");
    let mut body = Vec::new();
    for num in 0.. {
        let answer = world.ask(0, Type::Con, Code::GET, num, |message| {
            let block =
                lightship_coap::Block::new(num.into(), false, lightship_coap::BlockSize::at_most(512));
            message
                .options()
                .uri_path("3303")
                .accept(ContentFormat::SENML_CBOR)
                .block2(block.expect("a block"));
        });
        let message = Message::parse(&answer).expect("well-formed");
        let block = message.block2().expect("a block").expect("of a legal size");
        body.extend_from_slice(message.payload());
        if !block.more() {
            break;
        }
        assert_eq!(message.payload().len(), 512);
    }
    let decoder = lightship_lwm2m::format::decode(lightship_lwm2m::Format::SenmlCbor, Path::ROOT, &body);
    assert!(decoder.clone().all(|entry| entry.is_ok()));
    assert_eq!(decoder.count(), 120);
}

#[test]
fn observed_devices_notify_until_they_are_told_to_stop() {
    let mut world = World::registered("--devices 3 --outstanding 1 --mix notify=1");
    world.enter(Stage::Run);
    world.pass(Duration::from_millis(3));
    assert!(world.sent.is_empty() && world.engine.stats().unobserved > 0);
    let observe = |value: u32| {
        move |message: &mut Encoder<'_>| {
            message.options().observe(value).uri_path("3303/0/5700").accept(ContentFormat::TEXT);
        }
    };
    let answer = world.ask(1, Type::Con, Code::GET, 1, observe(0));
    assert!(Message::parse(&answer).expect("well-formed").observe().is_some());
    world.pass(Duration::from_millis(2));
    let (device, datagram) = world.sent.pop_front().expect("a notification");
    let message = Message::parse(&datagram).expect("well-formed");
    assert_eq!((device, message.ty(), message.token().as_bytes()), (1, Type::Con, &[9][..]));
    assert_eq!(message.payload(), b"1");
    let id = message.message_id().0.to_be_bytes();
    world.input(1, &[0x60, 0, id[0], id[1]]);
    let (_, datagram) = world.sent.pop_front().expect("the next one");
    let next = Message::parse(&datagram).expect("well-formed");
    assert_eq!(next.payload(), b"2");
    assert!(next.observe() > message.observe());
    // A Reset says that nobody wants it.
    let id = next.message_id().0.to_be_bytes();
    world.input(1, &[0x70, 0, id[0], id[1]]);
    world.pass(Duration::from_millis(5));
    assert!(world.sent.is_empty());
    assert_eq!(world.tally(Phase::Run, Operation::Notify), [2, 1, 1, 0, 0]);
}

#[test]
fn a_report_waits_for_nothing() {
    let mut world = World::registered("--devices 1 --rate 10 --mix report=1");
    world.ask(0, Type::Con, Code::GET, 1, |message| {
        message.options().observe(0).uri_path("3303/0/5700");
    });
    world.enter(Stage::Run);
    world.pass(Duration::from_millis(950));
    assert_eq!(world.tally(Phase::Run, Operation::Report), [10, 10, 0, 0, 0]);
    assert!(world.sent.iter().all(|(_, datagram)| datagram[0] >> 4 & 3 == 1));
}

#[test]
fn a_device_that_sleeps_hears_nothing() {
    let mut world = World::registered("--devices 1 --queue-mode --awake 1");
    let get = [0x40, 1, 0, 1, 0xb1, b'3'];
    world.now += Duration::from_millis(900);
    world.input(0, &get);
    assert!(world.sent.pop_front().is_some(), "it listens still");
    world.now += Duration::from_millis(1100);
    world.input(0, &get);
    assert!(world.sent.is_empty());
    assert_eq!(world.engine.stats().downlink.asleep, 1);
    world.enter(Stage::Run);
    world.input(0, &get);
    assert!(world.sent.iter().any(|(_, datagram)| datagram[0] >> 4 & 3 == 2), "its own message woke it");
}

#[test]
fn a_device_that_waits_for_an_answer_does_not_sleep() {
    let mut world = World::registered("--devices 1 --queue-mode --awake 1 --mix update=1");
    world.enter(Stage::Run);
    let (_, datagram) = world.sent.pop_front().expect("an Update");
    // The server has it, and answers when the device has sent nothing for longer than it is awake.
    world.input(0, &[0x60, 0, datagram[2], datagram[3]]);
    world.enter(Stage::Drain);
    world.pass(Duration::from_millis(2500));
    assert!(world.sent.is_empty(), "what is acknowledged is not repeated");
    let mut answer = vec![0x44, Code::CHANGED.0, 0xab, 0xcd];
    answer.extend_from_slice(&datagram[4..8]);
    world.input(0, &answer);
    assert_eq!(world.tally(Phase::Run, Operation::Update), [1, 1, 0, 0, 0]);
    // Then it sleeps as before.
    world.now += Duration::from_millis(1100);
    world.input(0, &[0x40, 1, 0, 1, 0xb1, b'3']);
    assert_eq!(world.engine.stats().downlink.asleep, 1);
}

#[test]
fn loss_takes_its_share_and_is_counted() {
    let mut world = World::new("--devices 1000 --outstanding 1000 --loss 30");
    world.enter(Stage::Ramp);
    for _ in 0..8 {
        world.drive();
    }
    let lost = world.engine.stats().lost[0];
    assert_eq!(lost + u64::try_from(world.sent.len()).expect("few"), 1000);
    assert!((230..370).contains(&lost), "{lost}");
    for device in 0..1000 {
        world.input(device, &[0x60, 0, 0, 0]);
    }
    assert!((230..370).contains(&world.engine.stats().lost[1]));
}
