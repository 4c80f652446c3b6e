//! Shard threads over loopback: nothing lost, nothing killed, everything bounded.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lightship_net::{
    Before, Clock, Events, Options, ShardEvent, ShardInbox, Shards, Steering, StoredRegistration,
    TakeRestored, Wait,
};
use lightship_server::{Answer, Config, Endpoint, Event, Operation, RegistrationId};

fn options(addresses: &[&str], shards: u8) -> Options {
    Options {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        secure_addresses: Vec::new(),
        steering: Steering::Kernel,
        shards,
        engine: Config::default(),
        inbox_len: 16,
        events_len: 64,
    }
}

/// A socket that only hears what comes from that address.
fn device(server: SocketAddr) -> UdpSocket {
    let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn option(out: &mut Vec<u8>, delta: u8, value: &[u8]) {
    assert!(delta < 13 && value.len() < 13, "a short option");
    out.push(delta << 4 | u8::try_from(value.len()).unwrap());
    out.extend(value);
}

fn register(name: &str) -> Vec<u8> {
    let mut out = vec![0x41, 0x02, 0x12, 0x34, 0x01];
    option(&mut out, 11, b"rd");
    option(&mut out, 1, &[40]);
    option(&mut out, 3, format!("ep={name}").as_bytes());
    option(&mut out, 0, b"lt=600");
    option(&mut out, 0, b"lwm2m=1.1");
    out.extend(b"\xFF</3/0>");
    out
}

fn update(location: &[u8], id: u16) -> Vec<u8> {
    let mut out = vec![0x41, 0x02];
    out.extend(id.to_be_bytes());
    out.push(9);
    option(&mut out, 11, b"rd");
    option(&mut out, 0, location);
    out
}

/// Says yes to everyone from a thread of its own, until the shards stop.
fn accept(shards: &Shards, mut events: Events) {
    let inboxes = shards.inboxes().to_vec();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        while let Some(ShardEvent { shard, event }) = events.blocking_recv() {
            if let Event::AskRegister { ask, .. } = event {
                let answer = Answer::Accept { observations: Vec::new() };
                let _ = runtime.block_on(inboxes[usize::from(shard)].answer(ask, answer));
            }
        }
    });
}

/// Registers and gives the second part of the location.
fn registered(socket: &UdpSocket, name: &str) -> Vec<u8> {
    socket.send(&register(name)).unwrap();
    let mut buffer = [0; 128];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[1], 0x41, "2.01 Created: {:?}", &buffer[..len]);
    // Behind the token: the Location-Path options `rd` and twelve digits.
    buffer[len - 12..len].to_vec()
}

fn ping(socket: &UdpSocket) {
    socket.send(&[0x40, 0, 0x77, 0x77]).unwrap();
    let mut buffer = [0; 64];
    loop {
        let len = socket.recv(&mut buffer).unwrap();
        if buffer[..len] == [0x70, 0, 0x77, 0x77] {
            return;
        }
    }
}

fn stats(shards: &Shards) -> Vec<lightship_net::ShardStats> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    shards.inboxes().iter().map(|inbox| runtime.block_on(inbox.stats()).unwrap()).collect()
}

#[test]
fn both_families_and_several_addresses_answer_from_where_they_were_asked() {
    let (shards, events) =
        Shards::start(&options(&["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"], 3), Clock::start()).unwrap();
    accept(&shards, events);
    for round in 0..4 {
        for (number, address) in shards.addresses().iter().enumerate() {
            registered(&device(*address), &format!("{round}{number}"));
        }
    }
    assert_eq!(stats(&shards).iter().map(|stats| stats.engine.registrations).sum::<u64>(), 12);
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_for_all_addresses_answers_from_the_one_that_was_asked() {
    let (shards, events) = Shards::start(&options(&["0.0.0.0:0"], 2), Clock::start()).unwrap();
    accept(&shards, events);
    let port = shards.addresses()[0].port();
    for (number, host) in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.2"].iter().enumerate()
    {
        let socket = device(format!("{host}:{port}").parse().unwrap());
        registered(&socket, &format!("multi{number}"));
        ping(&socket);
    }
}

/// Has each device asked for something: it hears only what comes from the address and port that it registered at.
fn assert_asked_from_home(shards: &Shards, devices: &[(Endpoint, UdpSocket, Vec<u8>)]) {
    for (endpoint, socket, location) in devices {
        let operation = Operation::Read { path: "/3/0".parse().unwrap(), accept: None };
        let owner = &shards.inboxes()[usize::from(location[1] - b'0')];
        let reply = owner.request(endpoint.clone(), operation, Wait::awake(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 64];
        let len = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{endpoint} is not asked: {error}"));
        assert_eq!((buffer[0] & 0x30, buffer[1]), (0, 1), "a confirmable GET: {:?}", &buffer[..len]);
        let token = usize::from(buffer[0] & 15);
        let mut answer = vec![0x60 | buffer[0] & 15, 0x45, buffer[2], buffer[3]];
        answer.extend(&buffer[4..4 + token]);
        socket.send(&answer).unwrap();
        reply.blocking_recv().unwrap().unwrap();
    }
}

// Proves: COA-18
#[test]
fn requests_come_from_where_the_register_was_received() {
    let everywhere = &["0.0.0.0:0"][..];
    let kinds = [&["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "127.0.0.2:0"][..], everywhere];
    for addresses in kinds.into_iter().filter(|kind| cfg!(target_os = "linux") || *kind != everywhere) {
        let (shards, events) = Shards::start(&options(addresses, 2), Clock::start()).unwrap();
        accept(&shards, events);
        let port = shards.addresses()[0].port();
        let homes: Vec<SocketAddr> = if addresses == everywhere {
            (1..4).map(|host| SocketAddr::from(([127, 0, 0, host], port))).collect()
        } else {
            shards.addresses().to_vec()
        };
        let devices: Vec<_> = (0..24)
            .map(|number| {
                let name = format!("homed-{number}");
                let socket = device(homes[number % homes.len()]);
                let location = registered(&socket, &name);
                (Endpoint::new(&name).unwrap(), socket, location)
            })
            .collect();
        assert_asked_from_home(&shards, &devices);
        // Whoever else speaks elsewhere meanwhile.
        homes.iter().for_each(|home| ping(&device(*home)));
        assert_asked_from_home(&shards, &devices);
        // After an orderly restart nobody has said anything yet.
        let bound: Vec<_> = shards.addresses().iter().map(ToString::to_string).collect();
        let before = Before { frozen: shards.freeze(), elapsed: Duration::from_secs(1), stored: false };
        let at_the_same_places = options(&bound.iter().map(String::as_str).collect::<Vec<_>>(), 2);
        let (shards, events) = Shards::resume(&at_the_same_places, Clock::start(), before).unwrap();
        accept(&shards, events);
        assert_asked_from_home(&shards, &devices);
    }
}

#[test]
fn an_update_at_the_wrong_shard_is_handed_to_its_owner_once() {
    let (shards, events) = Shards::start(&options(&["127.0.0.1:0"], 4), Clock::start()).unwrap();
    accept(&shards, events);
    let address = shards.addresses()[0];
    let home = device(address);
    let location = registered(&home, "nomad");
    let mut buffer = [0; 64];
    for id in 0..20 {
        // From another port without security the owner, and nobody else, says 4.04 (TS_Transport 6.4.1).
        let stranger = device(address);
        stranger.send(&update(&location, id)).unwrap();
        stranger.recv(&mut buffer).unwrap();
        assert_eq!(buffer[1], 0x84);
    }
    home.send(&update(&location, 99)).unwrap();
    home.recv(&mut buffer).unwrap();
    assert_eq!(buffer[1], 0x44, "2.04 at home");
    let stats = stats(&shards);
    let owner = usize::from(location[1] - b'0');
    let handed: u64 = stats.iter().map(|stats| stats.sockets.handed_over).sum();
    assert!(handed > 0, "20 ports, 4 shards: some came to another shard");
    assert_eq!(stats[owner].engine.updates_refused, 20, "all of them reached the owner");
    assert_eq!(stats[owner].sockets.handed_over, 0, "and were not handed on");
    assert_eq!(stats.iter().map(|stats| stats.sockets.hand_over_lost).sum::<u64>(), 0);
}

#[test]
fn an_orderly_restart_is_noticed_by_no_device() {
    let (shards, events) = Shards::start(&options(&["127.0.0.1:0"], 2), Clock::start()).unwrap();
    accept(&shards, events);
    let address = shards.addresses()[0];
    let devices: Vec<_> = (0..8)
        .map(|n| {
            let device = device(address);
            let location = registered(&device, &format!("stayer-{n}"));
            (device, location)
        })
        .collect();
    let frozen = shards.freeze();
    assert_eq!(frozen.len(), 2);
    let at_the_same_place = options(&[&address.to_string()], 2);
    let before = Before { frozen, elapsed: Duration::from_secs(1), stored: false };
    let (shards, mut events) = Shards::resume(&at_the_same_place, Clock::start(), before).unwrap();
    let mut restored = Vec::new();
    while restored.len() < 8 {
        if let Event::Restored { registration, .. } = events.blocking_recv().unwrap().event {
            restored.push(registration.id.to_string());
        }
    }
    let mut buffer = [0; 64];
    for (device, location) in &devices {
        assert!(restored.iter().any(|id| id.as_bytes() == location));
        device.send(&update(location, 7)).unwrap();
        device.recv(&mut buffer).unwrap();
        assert_eq!(buffer[1], 0x44, "2.04");
    }
    drop(shards);
}

#[test]
fn after_a_crash_nothing_is_read_before_what_was_stored_is_there() {
    let (shards, mut events) = Shards::start(&options(&["127.0.0.1:0"], 2), Clock::start()).unwrap();
    let inboxes = shards.inboxes().to_vec();
    let kept = std::thread::spawn(move || accept_and_keep(&mut events, &inboxes));
    let address = shards.addresses()[0];
    let devices: Vec<_> = (0..8)
        .map(|n| {
            let device = device(address);
            let location = registered(&device, &format!("kept-{n}"));
            (device, location)
        })
        .collect();
    shards.stop();
    let kept = kept.join().unwrap();
    let before = Before { stored: true, ..Before::default() };
    let clock = Clock::start();
    // The socket is there, and the first message waits in it.
    let (mut shards, mut events) =
        Shards::resume(&options(&[&address.to_string()], 2), clock, before).unwrap();
    for (device, location) in &devices {
        device.send(&update(location, 7)).unwrap();
    }
    std::thread::park_timeout(Duration::from_millis(100));
    let mut feed = shards.take_feed().unwrap();
    let stored = |(endpoint, id, said): (_, _, Vec<u8>)| StoredRegistration {
        endpoint,
        id,
        registered_at: clock.now(),
        said: said.into(),
    };
    // Half of them are told as events, half are taken where they are restored.
    let mut halves: Vec<Vec<_>> = kept.chunks(4).map(<[_]>::to_vec).collect();
    let second = halves.pop().unwrap().into_iter().map(stored).collect();
    let first = halves.pop().unwrap().into_iter().map(stored).collect();
    assert_eq!(feed.push(first), 0);
    let taken = Arc::new(Mutex::new(Vec::new()));
    let take: TakeRestored = {
        let taken = taken.clone();
        Arc::new(move |shard, restored| {
            let mine = restored.iter().map(|one| &one.registration);
            assert!(mine.clone().all(|registration| registration.id.shard == shard));
            taken.lock().unwrap().extend(mine.map(|registration| registration.id));
        })
    };
    expect_restored(&mut events, 4);
    feed.restored_to(&take);
    assert_eq!(feed.push(second), 0);
    let elsewhere = RegistrationId { shard: 9, node: 0, random: 1 };
    let nobody = "nobody".parse().unwrap();
    assert_eq!(feed.push(vec![stored((nobody, elsewhere, Vec::new()))]), 1);
    assert_eq!(feed.finish(), 8);
    assert_eq!(taken.lock().unwrap().len(), 4);
    let (first, _) = &devices[0];
    first.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 64];
    assert!(first.recv(&mut buffer).is_err(), "nobody is served before the feed is dropped");
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(feed);
    for (device, _) in &devices {
        device.recv(&mut buffer).unwrap();
        assert_eq!(buffer[1], 0x44, "2.04");
    }
}

/// Says yes to every Register until the shards stop; gives what a store would keep.
fn accept_and_keep(events: &mut Events, inboxes: &[ShardInbox]) -> Vec<(Endpoint, RegistrationId, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut kept = Vec::new();
    while let Some(ShardEvent { shard, event }) = events.blocking_recv() {
        if let Event::AskRegister { ask, registration } = event {
            kept.push((registration.details.endpoint.clone(), registration.id, registration.said()));
            let answer = Answer::Accept { observations: Vec::new() };
            let _ = runtime.block_on(inboxes[usize::from(shard)].answer(ask, answer));
        }
    }
    kept
}

fn expect_restored(events: &mut Events, count: usize) {
    for _ in 0..count {
        let event = events.blocking_recv().unwrap().event;
        assert!(matches!(event, Event::Restored { .. }), "{event:?}");
    }
}

#[test]
fn events_that_nobody_reads_stop_the_sockets_and_are_not_lost() {
    let tight = Options { events_len: 2, ..options(&["127.0.0.1:0"], 1) };
    let (shards, mut events) = Shards::start(&tight, Clock::start()).unwrap();
    let address = shards.addresses()[0];
    let sockets: Vec<_> = (0..100).map(|_| device(address)).collect();
    for (number, socket) in sockets.iter().enumerate() {
        socket.send(&register(&format!("n{number}"))).unwrap();
    }
    // Two wait in the channel, at most one batch in the shard; the rest waits in the kernel.
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(stats(&shards)[0].sockets.received <= 40, "{:?}", stats(&shards)[0]);
    let mut names = std::collections::BTreeSet::new();
    while names.len() < 100 {
        if let Event::AskRegister { registration, .. } = events.blocking_recv().unwrap().event {
            names.insert(registration.details.endpoint.to_string());
        }
    }
}

#[test]
fn closed_ports_and_rubbish_do_not_kill_a_socket() {
    let (shards, events) = Shards::start(&options(&["127.0.0.1:0"], 2), Clock::start()).unwrap();
    accept(&shards, events);
    let address = shards.addresses()[0];
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    for number in 0..3000 {
        // Each of these ports is closed when an answer comes.
        let socket = device(address);
        let bytes: Vec<u8> = (0..random() % 81).map(|_| u8::try_from(random() & 255).unwrap()).collect();
        let _ = socket.send(&bytes);
        if number % 100 == 0 {
            let _ = socket.send(&register(&format!("gone{number}")));
            drop(socket);
            ping(&device(address));
        }
    }
    registered(&device(address), "alive");
    let (bugs, registrations) = stats(&shards)
        .iter()
        .fold((0, 0), |(bugs, all), stats| (bugs + stats.sockets.bugs, all + stats.engine.registrations));
    assert_eq!(bugs, 0);
    assert!(registrations >= 1);
}

#[test]
fn a_full_inbox_says_so_and_a_stopped_shard_too() {
    let (shards, events) = Shards::start(&options(&["127.0.0.1:0"], 1), Clock::start()).unwrap();
    accept(&shards, events);
    let address = shards.addresses()[0];
    let socket = device(address);
    registered(&socket, "slow");
    let inbox = shards.inboxes()[0].clone();
    let endpoint = Endpoint::new("slow").unwrap();
    let operation = Operation::Read { path: "/3/0".parse().unwrap(), accept: None };
    let request =
        || inbox.request(endpoint.clone(), operation.clone(), Wait::awake(Duration::from_millis(300)));
    let replies: Vec<_> = (0..10_000).map(|_| request()).collect();
    let (taken, full): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert!(full.iter().all(|reply| reply.as_ref().is_err_and(|e| *e == lightship_net::InboxError::Full)));
    for reply in taken {
        // Each that was taken comes to an end: refused as too many, or timed out.
        reply.unwrap().blocking_recv().unwrap().ok();
    }
    shards.stop();
    assert_eq!(request().err(), Some(lightship_net::InboxError::Stopped));
    // The address is free again.
    let (again, _events) = Shards::start(&options(&[&address.to_string()], 1), Clock::start()).unwrap();
    assert_eq!(again.addresses(), [address]);
}

/// Records with the connection ID of a shard get there from whatever port they come: by the kernel, or by the shard that
/// receives them, which hands them over once.
// Proves: DTL-15
#[test]
fn records_find_the_shard_of_their_connection_id_from_every_port() {
    const SHARDS: u8 = 3;
    const PORTS: u64 = 40;
    for steering in [Steering::Kernel, Steering::UserSpace] {
        let secure_addresses = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let options = Options { secure_addresses, steering, ..options(&["127.0.0.1:0"], SHARDS) };
        let (shards, events) = Shards::start(&options, Clock::start()).unwrap();
        accept(&shards, events);
        for &address in shards.secure_addresses() {
            for port in 0..PORTS {
                let owner = u8::try_from(port % u64::from(SHARDS - 1)).unwrap();
                let mut record = vec![25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, owner, 0, 1, 2, 3, 4, 0, 20];
                record.extend([7; 20]);
                device(address).send(&record).unwrap();
            }
        }
        let all = 2 * PORTS;
        let counted = until(&shards, |stats| {
            stats.iter().map(|stats| stats.engine.security.datagrams_in).sum::<u64>() == all
        });
        let by_shard: Vec<_> = counted.iter().map(|stats| stats.engine.security.datagrams_in).collect();
        assert_eq!(by_shard, [PORTS, PORTS, 0], "{steering:?}");
        let handed_over: u64 = counted.iter().map(|stats| stats.sockets.handed_over).sum();
        let expected_none = steering == Steering::Kernel && cfg!(target_os = "linux");
        assert_eq!(handed_over == 0, expected_none, "{steering:?}: {handed_over}");
        // The other sockets know nothing of it.
        ping(&device(shards.addresses()[0]));
    }
}

/// The counters as soon as they are as they should be; those of the last look if that takes too long.
fn until(
    shards: &Shards,
    good: impl Fn(&[lightship_net::ShardStats]) -> bool,
) -> Vec<lightship_net::ShardStats> {
    let mut last = stats(shards);
    for _ in 0..500 {
        if good(&last) {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(10));
        last = stats(shards);
    }
    last
}
