//! Whatever arrives, in whatever order: nothing panics, nothing spins, and the client finds its way back.

use core::time::Duration;
use std::collections::HashMap;

use lightship_client::{Event, Phase, Refusal};
use lightship_coap::{Code, ContentFormat, Message, Token, Type};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bench::{Bench, Reply};

/// One thing that happens to a client.
#[derive(Debug, Clone)]
enum Happening {
    /// Bytes from nowhere.
    Noise(Vec<u8>),
    /// A request of the server: method, path, format, Observe, payload.
    Request(u8, usize, usize, Option<u32>, usize),
    /// A composite request, Observe or not.
    Composite(usize, Option<u32>),
    /// The server answers the oldest open datagram of the client in some way.
    Answer(u8),
    /// The oldest datagram of the client gets lost.
    Loss,
    /// The last datagram of the server, a bit of it flipped, comes again.
    Flip(usize),
    Value(i16),
    Seconds(u16),
    Insert(u16),
    Remove(u16),
    Settle(bool),
    Register,
    Update,
    Deregister,
}

const PATHS: [&str; 22] = [
    "/",
    "/1",
    "/1/0",
    "/1/0/1",
    "/1/0/4",
    "/1/0/8",
    "/2",
    "/2/0",
    "/2/0/2",
    "/2/0/2/1",
    "/3",
    "/3/0",
    "/3/0/4",
    "/3303",
    "/3303/0",
    "/3303/0/5700",
    "/3303/0/5605",
    "/3303/1",
    "/3311/0/5851",
    "/0/0",
    "/3303/0?pmin=1&pmax=9",
    "/3303/0/5700?gt=5&st=0.5",
];
const PAYLOADS: [&[u8]; 8] = [
    b"",
    b"1",
    b"9",
    b"-1.5",
    br#"[{"bn":"/2/0/","n":"0","v":3},{"n":"1","v":0},{"n":"2/1","v":15},{"n":"3","v":1}]"#,
    br#"[{"bn":"/3303/1/","n":"5750","vs":"x"}]"#,
    &[0x08, 0x00, 0x04, 0xC3, 0x16, 0x76, b'a'],
    &[0x81, 0xA2, 0x00, 0x61, 0x2F, 0x02, 0x18],
];
const FORMATS: [Option<ContentFormat>; 7] = [
    None,
    Some(ContentFormat::TEXT),
    Some(ContentFormat::LWM2M_TLV),
    Some(ContentFormat::SENML_JSON),
    Some(ContentFormat::SENML_CBOR),
    Some(ContentFormat::LINK),
    Some(ContentFormat(65_000)),
];

const COMPOSITES: [(Code, ContentFormat, &[u8]); 5] = [
    (Code::FETCH, ContentFormat::SENML_JSON, br#"[{"n":"/3303/0/5700"},{"n":"/3303/1"}]"#),
    (Code::FETCH, ContentFormat::SENML_ETCH_JSON, br#"[{"n":"/2"},{"n":"/3303"},{"n":"/3/0/0"},{"n":"/9"}]"#),
    (Code::FETCH, ContentFormat::SENML_CBOR, &[0x81, 0xA1, 0x00, 0x61, 0x2F]),
    (Code::IPATCH, ContentFormat::SENML_JSON, br#"[{"n":"/3311/0/5850","vb":true},{"n":"/1/0/2","v":3}]"#),
    (Code::IPATCH, ContentFormat::SENML_ETCH_JSON, br#"[{"n":"/2/0/2/1","v":null},{"n":"/1/0/5","v":9}]"#),
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => vec(any::<u8>(), 0..64).prop_map(Happening::Noise),
        12 => (1..8_u8, 0..PATHS.len(), 0..FORMATS.len(), proptest::option::of(0..3_u32), 0..PAYLOADS.len())
            .prop_map(|(method, path, format, observe, payload)| Happening::Request(method, path, format, observe, payload)),
        4 => (0..COMPOSITES.len(), proptest::option::of(0..3_u32))
            .prop_map(|(which, observe)| Happening::Composite(which, observe)),
        8 => any::<u8>().prop_map(Happening::Answer),
        2 => Just(Happening::Loss),
        2 => any::<usize>().prop_map(Happening::Flip),
        4 => any::<i16>().prop_map(Happening::Value),
        6 => any::<u16>().prop_map(Happening::Seconds),
        1 => (0..9_u16).prop_map(Happening::Insert),
        1 => (0..9_u16).prop_map(Happening::Remove),
        2 => any::<bool>().prop_map(Happening::Settle),
        1 => Just(Happening::Register),
        1 => Just(Happening::Update),
        1 => Just(Happening::Deregister),
    ]
}

struct World {
    bench: Bench,
    last: Vec<u8>,
    /// The methods of the server's requests.
    asked: HashMap<Token, Code>,
}

impl World {
    fn happen(&mut self, happening: &Happening) {
        let bench = &mut self.bench;
        match happening {
            Happening::Noise(bytes) => bench.input(bytes),
            Happening::Request(method, path, format, observe, payload) => {
                let format = FORMATS[*format];
                let options = |options: &mut lightship_coap::OptionWriter<'_>| {
                    if let Some(format) = format {
                        options.accept(format).content_format(format);
                    }
                    if let Some(observe) = observe {
                        options.observe(*observe);
                    }
                };
                let token = bench.ask_with(Code(*method), PATHS[*path], options, PAYLOADS[*payload]);
                self.asked.insert(token, Code(*method));
            }
            Happening::Composite(which, observe) => {
                let (method, format, payload) = COMPOSITES[*which];
                let options = |options: &mut lightship_coap::OptionWriter<'_>| {
                    options.content_format(format);
                    if let Some(observe) = observe {
                        options.observe(*observe);
                    }
                };
                let token = bench.ask_with(method, "/", options, payload);
                self.asked.insert(token, method);
            }
            Happening::Answer(how) => self.answer(*how),
            Happening::Loss if !bench.sent.is_empty() => drop(bench.sent.remove(0)),
            Happening::Loss => {}
            Happening::Flip(at) => {
                let mut bytes = self.last.clone();
                if let Some(byte) = bytes.len().checked_sub(1).and_then(|max| bytes.get_mut(at % (max + 1))) {
                    *byte ^= 1 << (at % 8);
                }
                bench.input(&bytes);
            }
            Happening::Value(value) => {
                if let Some(sensor) = bench.client.objects_mut().1.get_mut(0) {
                    sensor.value = f64::from(*value);
                    sensor.pending = value % 7 == 0;
                }
                bench.drain();
            }
            Happening::Seconds(seconds) => bench.seconds(u64::from(seconds % 2000)),
            Happening::Insert(id) => {
                let _ = bench.client.objects_mut().1.insert(*id, crate::bench::Temperature::default());
                bench.drain();
            }
            Happening::Remove(id) => {
                bench.client.objects_mut().1.remove(*id);
                bench.drain();
            }
            Happening::Settle(well) => {
                let events: Vec<Event> = bench.events.drain(..).collect();
                for event in events {
                    if let Event::Asked { ask, .. } = event {
                        let answer = if *well { Ok(()) } else { Err(Refusal::Failed) };
                        bench.client.answer(bench.now, ask, answer);
                        bench.drain();
                    }
                }
            }
            Happening::Register => bench.client.register(bench.now, bench.id),
            Happening::Update => bench.client.update(bench.now, bench.id),
            Happening::Deregister => bench.client.deregister(bench.now, bench.id),
        }
        self.bench.drain();
    }

    /// Plays the server's part for the oldest datagram of the client.
    fn answer(&mut self, how: u8) {
        let bench = &mut self.bench;
        if bench.sent.is_empty() {
            return;
        }
        let (_, datagram) = bench.sent.remove(0);
        let reply = Reply::new(&datagram);
        let empty = |ty: u8| [0x40 | ty << 4, 0, datagram[2], datagram[3]];
        match (reply.ty, reply.code.is_request(), how % 8) {
            (Type::Con, true, 0) => bench.input(&empty(3)),
            (Type::Con, true, 1) => bench.answer(&reply, Code(how), |_| {}),
            (Type::Con, true, 2) => bench.answer(&reply, Code::NOT_FOUND, |_| {}),
            (Type::Con, true, _) => obey(bench, &reply),
            (Type::Con | Type::Non, false, 0) => bench.input(&empty(3)),
            (Type::Con, false, _) => bench.input(&empty(2)),
            _ => {}
        }
        self.last = datagram;
    }
}

/// The codes that the transport's tables have for a method, those of the 5.xx that always fit among them (Transport TS 1.2, 6.4).
fn codes(method: Code) -> Vec<Code> {
    let success: &[Code] = match method {
        Code::GET | Code::FETCH => &[Code::CONTENT],
        Code::POST => &[Code::CREATED, Code::CHANGED, Code::CONTINUE],
        Code::PUT | Code::IPATCH => &[Code::CHANGED, Code::CONTINUE],
        Code::DELETE => &[Code::DELETED],
        _ => &[],
    };
    let always = [
        Code::BAD_REQUEST,
        Code::UNAUTHORIZED,
        Code::BAD_OPTION,
        Code::NOT_FOUND,
        Code::METHOD_NOT_ALLOWED,
        Code::INTERNAL_SERVER_ERROR,
        Code::NOT_IMPLEMENTED,
        Code::SERVICE_UNAVAILABLE,
    ];
    let answers = [Code::NOT_ACCEPTABLE].into_iter().filter(|_| method != Code::DELETE);
    let brings = !matches!(method, Code::GET | Code::DELETE);
    let bodies =
        [Code::UNSUPPORTED_CONTENT_FORMAT, Code::REQUEST_ENTITY_INCOMPLETE, Code::REQUEST_ENTITY_TOO_LARGE];
    let bodies = bodies.into_iter().filter(|_| brings);
    success.iter().copied().chain(always).chain(answers).chain(bodies).collect()
}

/// What every message of the client has to be, whatever came before it.
fn judge(message: &Message<'_>, asked: &HashMap<Token, Code>) {
    let code = message.code();
    let error = !code.is_request() && !code.is_success();
    let format = message.content_format();
    assert!(
        error || message.payload().is_empty() || format.is_some(),
        "{message:?}: data without its format"
    );
    assert!(!error || format.is_none(), "{message:?}: the words of an error have no format");
    if let Some(method) = asked.get(&message.token()).filter(|_| !code.is_request() && code.0 != 0) {
        assert!(codes(*method).contains(&code), "{code:?} answers {method:?}");
    }
}

/// The answer of a well-behaved server.
fn obey(bench: &mut Bench, request: &Reply) {
    match (request.code, request.path.last().map(String::as_str)) {
        (Code::POST, Some("rd")) => {
            bench.answer(request, Code::CREATED, |options| _ = options.location_path("/rd/77"));
        }
        (Code::POST, _) => bench.answer(request, Code::CHANGED, |_| {}),
        _ => bench.answer(request, Code::DELETED, |_| {}),
    }
}

/// Answers everything that is open as it should be.
fn behave(bench: &mut Bench) {
    while !bench.sent.is_empty() {
        let (_, datagram) = bench.sent.remove(0);
        let reply = Reply::new(&datagram);
        if reply.ty == Type::Con && reply.code.is_request() {
            obey(bench, &reply);
        } else if reply.ty == Type::Con {
            bench.input(&[0x60, 0, datagram[2], datagram[3]]);
        }
    }
}

/// The server writes a lifetime of one second: what the client then sends is never answered in time.
#[test]
fn a_lifetime_of_a_second_does_not_keep_the_client_from_answering() {
    let mut bench = Bench::registered();
    assert_eq!(bench.put("/1/0/1", "1"), Code::CHANGED);
    for _ in 0..100 {
        behave(&mut bench);
        bench.advance(Duration::from_millis(100));
    }
    behave(&mut bench);
    assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }));
    assert_eq!(bench.ask(Code::GET, "/3/0/0").payload, b"Lightship");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    // Proves: FMT-05, GEN-05
    #[test]
    fn nothing_breaks_the_client_and_it_registers_once_the_server_behaves(happenings in vec(happening(), 1..80)) {
        let mut world = World { bench: Bench::registered(), last: Vec::new(), asked: HashMap::new() };
        for happening in &happenings {
            world.happen(happening);
            let bench = &world.bench;
            prop_assert!(bench.client.poll_timeout().is_none_or(|at| at > bench.now), "a timer that never rests");
            for (_, datagram) in &bench.sent {
                let message = Message::parse(datagram);
                prop_assert!(message.is_ok(), "what it sends is CoAP");
                judge(&message.expect("it is CoAP"), &world.asked);
            }
        }
        // From here on every datagram is answered as it should be.
        let bench = &mut world.bench;
        bench.client.register(bench.now, bench.id);
        bench.sent.clear();
        bench.drain();
        for _ in 0..400 {
            behave(bench);
            bench.advance(Duration::from_secs(1));
        }
        // A server may have written a lifetime so short that it ends between two looks.
        for _ in 0..50 {
            behave(bench);
            if matches!(bench.client.phase(bench.id), Phase::Registered { .. }) {
                break;
            }
            bench.advance(Duration::from_millis(100));
        }
        let registered = matches!(bench.client.phase(bench.id), Phase::Registered { .. });
        prop_assert!(registered, "{:?}", bench.client.phase(bench.id));
        let token = bench.ask_with(Code::GET, "/3/0/0", |_| {}, &[]);
        let answers: Vec<Reply> = bench.sent.iter().map(|(_, sent)| Reply::new(sent)).collect();
        let answer = answers.into_iter().find(|sent| sent.token == token).expect("an answer");
        prop_assert_eq!(answer.payload, b"Lightship");
    }

    #[test]
    fn a_request_is_answered_once_whatever_it_holds(
        method in 1..8_u8, path in 0..PATHS.len(), format in 0..FORMATS.len(), payload in vec(any::<u8>(), 0..80)
    ) {
        let mut bench = Bench::registered();
        let options = |options: &mut lightship_coap::OptionWriter<'_>| {
            if let Some(format) = FORMATS[format] {
                options.content_format(format);
            }
        };
        let token = bench.ask_with(Code(method), PATHS[path], options, &payload);
        bench.seconds(100);
        let answers = bench.sent.iter().filter(|(_, sent)| Reply::new(sent).token == token).count();
        prop_assert_eq!(answers, 1);
    }
}
