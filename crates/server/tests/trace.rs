//! The recorder: whose messages are told, in which order, and what is said of those that were dropped.

mod common;

use common::secure::{Device, HOME, config, connect, with, world as secured};
use common::{LIST, Packet, SECOND, World, address, answer, endpoint, notification, read, wanted};
use lightship_coap::{Code, Type};
use lightship_dtls::Config as DtlsConfig;
use lightship_server::{
    Answer, Config, Shard, TRACED_LEN_MAX, TRACED_RECORD_LEN_MAX, TraceAsk, TraceChunk, TraceDrop, TraceOf,
};

const LAMP: &str = "192.0.2.7:5683";

/// All chunks of an ask, oldest message first, as `(is_out, dropped, bytes)`.
fn trace(shard: &Shard, of: TraceOf) -> Vec<(bool, Option<TraceDrop>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut ask = Some(TraceAsk::new(of));
    while let Some(next) = ask {
        let chunk = shard.trace(next);
        all.extend(chunk.records().map(|record| (record.is_out, record.dropped, record.bytes.to_vec())));
        ask = chunk.more;
    }
    all.reverse();
    all
}

fn of(name: &str) -> TraceOf {
    TraceOf::Endpoint(endpoint(name))
}

fn codes(trace: &[(bool, Option<TraceDrop>, Vec<u8>)]) -> Vec<(bool, Code)> {
    trace.iter().map(|(is_out, _, bytes)| (*is_out, read(bytes).code())).collect()
}

#[test]
fn a_device_has_its_own_messages_in_order() {
    let mut world = World::new();
    let location = world.register(address(LAMP), "lamp");
    world.register(address("192.0.2.8:5683"), "door");
    world.read_request("lamp", "/3/0/9");
    let request = world.request_to(address(LAMP));
    world.send(address(LAMP), &answer(&request, Code::CONTENT).payload("84").bytes());
    let update = world.update_packet(&location, "").bytes();
    world.send(address(LAMP), &update);
    let seen = trace(&world.shard, of("lamp"));
    let expected = [
        (false, Code::POST),
        (true, Code::CREATED),
        (true, Code::GET),
        (false, Code::CONTENT),
        (false, Code::POST),
        (true, Code::CHANGED),
    ];
    assert_eq!(codes(&seen), expected);
    assert_eq!(seen[2].2, request);
    assert_eq!(seen[4].2, update);
    assert!(seen.iter().all(|(_, dropped, _)| dropped.is_none()));
    assert_eq!(codes(&trace(&world.shard, of("door"))).len(), 2);
    assert_eq!(trace(&world.shard, of("nobody")), []);
}

#[test]
fn what_came_before_a_device_had_a_name_is_its_own_and_what_others_said_there_is_not() {
    let mut world = World::new();
    let stray = Packet::new(Type::Con, Code::GET, 7, &[9]).path("well-known").bytes();
    world.register(address(LAMP), "old");
    let forget = world.registration("old").expect("registered").details.endpoint;
    world.shard.forget(world.now, &forget);
    world.drain();
    world.pass(SECOND * 400);
    world.send(address(LAMP), &stray);
    world.register(address(LAMP), "lamp");
    let seen = trace(&world.shard, of("lamp"));
    assert_eq!(
        codes(&seen),
        [(false, Code::GET), (true, Code::NOT_FOUND), (false, Code::POST), (true, Code::CREATED)]
    );
    assert_eq!(seen[0].1, Some(TraceDrop::NotRegistered));
    assert_eq!(codes(&trace(&world.shard, of("old"))), [(false, Code::POST), (true, Code::CREATED)]);
}

#[test]
fn a_register_that_is_refused_is_told_under_its_name() {
    let mut world = World::new();
    world.accept = Some(Answer::Refuse { code: Code::FORBIDDEN });
    let register = world.register_packet("ep=lamp&lt=300&lwm2m=1.1&b=U", LIST);
    assert_eq!(world.ask(address(LAMP), &register), Code::FORBIDDEN);
    assert_eq!(codes(&trace(&world.shard, of("lamp"))), [(false, Code::POST), (true, Code::FORBIDDEN)]);
}

#[test]
fn a_register_that_cannot_be_used_is_told_under_the_name_that_it_gives() {
    for (query, list, code) in [
        ("ep=lamp&lt=soon&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("lt=300&ep=lamp&lwm2m=1.1&lt=5", LIST, Code::BAD_REQUEST),
        ("ep=lamp&lt=300", LIST, Code::BAD_REQUEST),
        ("ep=lamp&lt=300&lwm2m=9.9", LIST, Code::PRECONDITION_FAILED),
        ("ep=lamp&lt=300&lwm2m=1.1", "<<", Code::BAD_REQUEST),
    ] {
        let mut world = World::new();
        let register = world.register_packet(query, list);
        assert_eq!(world.ask(address(LAMP), &register), code, "{query}");
        assert_eq!(codes(&trace(&world.shard, of("lamp"))), [(false, Code::POST), (true, code)], "{query}");
    }
    // Where there is no name, the address is all that is known.
    let mut world = World::new();
    let register = world.register_packet("lt=300&lwm2m=1.1", LIST);
    assert_eq!(world.ask(address(LAMP), &register), Code::BAD_REQUEST);
    assert_eq!(trace(&world.shard, of("lamp")), []);
}

#[test]
fn strangers_are_found_by_their_address() {
    let mut world = World::new();
    let ping = [0x40, 0, 0x12, 0x34];
    world.send(address("203.0.113.5:1000"), &ping);
    world.send(address("203.0.113.5:1001"), b"\xff\xff\xff\xff\xff");
    world.send(address("203.0.113.6:1000"), &ping);
    let at = |port| trace(&world.shard, TraceOf::Address([203, 0, 113, 5].into(), port));
    let reset = [0x70, 0, 0x12, 0x34];
    assert_eq!(
        at(Some(1000)),
        [(false, Some(TraceDrop::NotRegistered), ping.to_vec()), (true, None, reset.to_vec())]
    );
    assert_eq!(at(Some(1001)), [(false, Some(TraceDrop::Malformed), b"\xff\xff\xff\xff\xff".to_vec())]);
    assert_eq!(at(None).len(), 3);
}

#[test]
fn what_is_dropped_of_a_device_says_why() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3303/0/5700")] });
    let register = world.register_packet("ep=lamp&lt=300&lwm2m=1.1&b=U", LIST);
    world.send(address(LAMP), &register.bytes());
    let sent = world.sent_to(address(LAMP));
    let observe = sent.into_iter().find(|bytes| read(bytes).observe().is_some());
    let observe = observe.unwrap_or_else(|| {
        let seen = trace(&world.shard, of("lamp"));
        seen.into_iter()
            .map(|(_, _, bytes)| bytes)
            .find(|bytes| read(bytes).code() == Code::GET)
            .expect("an Observe")
    });
    world.send(address(LAMP), &answer(&observe, Code::CONTENT).observe(5).payload("21").bytes());
    let drops = |world: &World| -> Vec<_> {
        trace(&world.shard, of("lamp")).iter().filter_map(|(_, dropped, _)| *dropped).collect()
    };
    assert_eq!(drops(&world), []);
    let chunk = world.shard.trace(TraceAsk::new(of("lamp")));
    assert_eq!(chunk.observed.len(), 1);
    assert_eq!(chunk.observed[0].0, read(&observe).token());
    world.send(address(LAMP), &notification(Type::Non, 900, &observe, 4, "20").bytes());
    world.send(address(LAMP), &Packet::new(Type::Con, Code::CONTENT, 901, &[0xaa]).observe(1).bytes());
    world.send(address(LAMP), &Packet::new(Type::Ack, Code::EMPTY, 902, &[]).bytes());
    world.send(address(LAMP), b"\x40\x01\x00\x01\xf0");
    assert_eq!(
        drops(&world),
        [TraceDrop::Stale, TraceDrop::UnknownToken, TraceDrop::Unmatched, TraceDrop::Malformed]
    );
}

#[test]
fn a_secured_device_is_told_decrypted_and_its_forgeries_without_their_content() {
    let mut world = secured(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, DtlsConfig::default(), "lamp");
    let update = world.update_packet(&location, "").bytes();
    let record = device.seal(world.now, &update);
    let mut forged = device.seal(world.now, &update);
    *forged.last_mut().expect("a record") ^= 1;
    for datagram in [&record, &record, &forged] {
        world.shard.handle_secured_input(world.now, device.address, &mut datagram.clone());
        world.drain();
    }
    let seen = trace(&world.shard, of("lamp"));
    let (read_ones, sealed) = seen.split_at(4);
    assert_eq!(
        codes(read_ones),
        [(false, Code::POST), (true, Code::CREATED), (false, Code::POST), (true, Code::CHANGED)]
    );
    assert_eq!(read_ones[2].2, update);
    let whys: Vec<_> = sealed.iter().map(|(_, dropped, _)| *dropped).collect();
    assert_eq!(whys, [Some(TraceDrop::Replayed), Some(TraceDrop::BadMac)]);
    assert!(sealed.iter().all(|(_, _, bytes)| bytes.len() <= TRACED_RECORD_LEN_MAX));
    // Another device, without a session, may not be taken for it.
    let mut stranger = record;
    stranger[13] ^= 0x55;
    world.shard.handle_secured_input(world.now, address("192.0.2.99:1"), &mut stranger);
    assert_eq!(trace(&world.shard, of("lamp")).len(), seen.len());
}

#[test]
fn a_device_is_found_under_a_session_that_follows_another() {
    let mut world = secured(&["lamp"]);
    let (_, location) = Device::register(&mut world, HOME, DtlsConfig::default(), "lamp");
    let mut second =
        Device::open(&mut world, address("192.0.2.44:9000"), DtlsConfig::default(), connect("lamp"));
    let update = world.update_packet(&location, "");
    second.say(&mut world, &update);
    assert_eq!(trace(&world.shard, of("lamp")).len(), 4);
}

#[test]
fn old_messages_give_way_and_a_reader_hears_that_he_missed_some() {
    let mut world = World::with(Config { trace_bytes: 16 << 10, ..Config::default() });
    let location = world.register(address(LAMP), "lamp");
    let ask = |after| TraceAsk::new(of("lamp")).after(after);
    let newest = world.shard.trace(ask(0)).newest;
    let update = |world: &mut World| {
        let update = world.update_packet(&location, "").bytes();
        world.send(address(LAMP), &update);
        update
    };
    let first = update(&mut world);
    let chunk = world.shard.trace(ask(newest));
    let seen: Vec<_> = chunk.records().collect();
    assert_eq!((seen.len(), seen[1].bytes, chunk.is_torn), (2, &first[..], false));
    for _ in 0..1000 {
        update(&mut world);
    }
    let last = update(&mut world);
    let chunk = world.shard.trace(ask(newest));
    let seen: Vec<_> = chunk.records().collect();
    assert!(chunk.is_torn && (50..400).contains(&seen.len()), "{}", seen.len());
    assert_eq!(seen[1].bytes, last);
    assert!(seen.windows(2).all(|pair| pair[0].position > pair[1].position));
}

#[test]
fn an_answer_is_bounded_and_the_next_goes_on_where_it_ended() {
    let mut world = World::new();
    let location = world.register(address(LAMP), "lamp");
    for _ in 0..20 {
        let update = world.update_packet(&location, "").bytes();
        world.send(address(LAMP), &update);
    }
    let all = trace(&world.shard, of("lamp"));
    assert_eq!(all.len(), 42);
    let few = world.shard.trace(TraceAsk::new(of("lamp")).at_most(5));
    assert_eq!((few.records().count(), few.more.is_some()), (5, false));
    let newest: Vec<_> = few.records().map(|record| record.bytes.to_vec()).collect();
    let expected: Vec<_> = all.iter().rev().take(5).map(|(_, _, bytes)| bytes.clone()).collect();
    assert_eq!(newest, expected);
}

#[test]
fn long_messages_are_cut_and_say_so() {
    let mut world = World::new();
    world.send(address(LAMP), &vec![0xff; 4000]);
    let chunk: TraceChunk = world.shard.trace(TraceAsk::new(TraceOf::Address(address(LAMP).ip(), None)));
    let record = chunk.records().next().expect("recorded");
    assert_eq!((record.len, record.bytes.len()), (4000, TRACED_LEN_MAX));
}

#[test]
fn without_memory_nothing_is_recorded() {
    let mut world = with(Config { trace_bytes: 0, ..config() }, &["lamp"]);
    world.register(address(LAMP), "door");
    Device::register(&mut world, HOME, DtlsConfig::default(), "lamp");
    assert_eq!(trace(&world.shard, of("lamp")), []);
    assert_eq!(trace(&world.shard, of("door")), []);
}
