//! The driver of a device against a hand-made server: real sockets, bytes by hand.

use lightship_client::{Account, Config, Event, HeapBuffer, Object, Phase, QueueMode, ShortServerId};
use lightship_net::client_driver::{AccountError, Clock, Counters, Driver, TargetError};
use lightship_platform::UnixTime;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

type Device = Driver<Vec<Box<dyn Object>>, HeapBuffer, 2, 8, 1024>;

const PATIENCE: Duration = Duration::from_secs(10);

fn device(clock: Clock, seed: u8) -> (Device, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let mut config = Config::new("driven");
    config.coap.ack_timeout = Duration::from_millis(200);
    config.coap.max_retransmit = 1;
    (Driver::new(config, Vec::new(), clock, Arc::clone(&counters), [seed; 32]), counters)
}

fn account(uri: &str) -> Account {
    let mut account = Account::new(ShortServerId::new(1).expect("legal"), uri).lifetime(100);
    account.retry.timer_s = Some(1);
    account
}

/// A server that knows enough CoAP to say 2.01 and 2.04.
struct Server(UdpSocket);

impl Server {
    fn new() -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Server(socket)
    }

    fn uri(&self) -> String {
        format!("coap://{}", self.0.local_addr().expect("bound"))
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut bytes = [0; 2048];
        let (length, from) = self.0.recv_from(&mut bytes).expect("a datagram");
        (bytes[..length].to_vec(), from)
    }

    fn nothing_comes(&self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
        let nothing = self.0.recv_from(&mut [0; 2048]).is_err();
        self.0.set_read_timeout(Some(PATIENCE)).expect("set");
        nothing
    }

    /// A piggybacked response: 0x41 = 2.01 with Location-Path /rd/7, 0x44 = 2.04.
    fn answer(&self, request: &[u8], to: SocketAddr, code: u8) {
        let token_len = request[0] & 0x0f;
        let mut answer = vec![0x60 | token_len, code, request[2], request[3]];
        answer.extend_from_slice(&request[4..4 + usize::from(token_len)]);
        if code == 0x41 {
            answer.extend_from_slice(&[0x82, b'r', b'd', 0x01, b'7']);
        }
        self.0.send_to(&answer, to).expect("sent");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Lets the device run until it tells something.
fn next(runtime: &tokio::runtime::Runtime, device: &mut Device) -> Event {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, device.next()).await.expect("an event") })
}

/// Lets the device run for a while.
fn run(runtime: &tokio::runtime::Runtime, device: &mut Device, span: Duration) -> Option<Event> {
    runtime.block_on(async { tokio::time::timeout(span, device.next()).await.ok() })
}

#[test]
fn a_device_registers_and_strangers_are_not_heard() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, counters) = device(Clock::machine(), 1);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    device.command(|client, now| client.register(now, id));
    assert_eq!(run(&runtime, &mut device, Duration::from_millis(50)), None);
    let (register, from) = server.receive();
    assert_eq!(register[1], 0x02, "POST");
    assert_eq!(device.sockets().next().expect("one").local.expect("open").port(), from.port());
    // The right answer from the wrong address.
    let stranger = Server::new();
    stranger.answer(&register, from, 0x41);
    assert_eq!(run(&runtime, &mut device, Duration::from_millis(50)), None);
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    assert_eq!(device.client().location(id).collect::<Vec<_>>(), ["rd", "7"]);
    let traffic = counters.traffic();
    assert!(
        traffic.sent_messages >= 1 && traffic.sent_bytes >= u64::try_from(register.len()).expect("small")
    );
    assert_eq!(traffic.received_messages, 1);
}

#[test]
fn silence_ends_in_another_try_from_another_socket() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 2);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    device.command(|client, now| client.register(now, id));
    let failed = next(&runtime, &mut device);
    assert!(matches!(failed, Event::Failed { .. }), "{failed:?}");
    assert_eq!(device.sockets().next().expect("one").local, None, "the old socket is closed");
    let (_, first) = server.receive();
    run(&runtime, &mut device, Duration::from_millis(1500));
    // The retransmission of the first try, then the second try.
    let mut second = server.receive();
    while second.1 == first {
        second = server.receive();
    }
    server.answer(&second.0, second.1, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
}

#[test]
fn names_are_looked_up_and_nothing_is_lost_meanwhile() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 3);
    let port = server.0.local_addr().expect("bound").port();
    let _guard = runtime.enter();
    let id = device.add_account(account(&format!("coap://localhost:{port}")), None).expect("added");
    device.command(|client, now| client.register(now, id));
    run(&runtime, &mut device, Duration::from_millis(150));
    let (register, from) = server.receive();
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
}

#[test]
fn a_device_that_its_server_forgot_hears_the_answer_to_its_next_register() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 8);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    device.command(|client, now| client.register(now, id));
    let (register, from) = server.receive();
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    device.command(|client, now| client.update(now, id));
    let (update, from) = server.receive();
    server.answer(&update, from, 0x84);
    let failed = next(&runtime, &mut device);
    assert!(matches!(failed, Event::Failed { .. }), "{failed:?}");
    // It registers at once, and from where it listens, without a repetition.
    run(&runtime, &mut device, Duration::from_millis(50));
    let (register, from) = server.receive();
    assert_eq!((register[1], &register[8..11]), (0x02, &b"\xb2rd"[..]), "{register:?}");
    assert_eq!(
        device.sockets().next().and_then(|socket| socket.local).map(|at| at.port()),
        Some(from.port())
    );
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
}

#[test]
fn offline_is_silence_and_online_is_a_new_address() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 4);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    device.command(|client, now| client.register(now, id));
    let (register, first) = server.receive();
    server.answer(&register, first, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    device.go_offline();
    device.command(|client, now| client.update(now, id));
    assert!(server.nothing_comes());
    device.go_online();
    let (register, second) = server.receive();
    assert_ne!(first, second);
    server.answer(&register, second, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
}

/// A confirmable request without token on `/1/0/resource`.
fn request(code: u8, message_id: u8, resource: u8) -> [u8; 10] {
    [0x40, code, 0, message_id, 0xB1, b'1', 0x01, b'0', 0x01, b'0' + resource]
}

// Proves: QUE-03
#[test]
fn a_device_that_sleeps_is_deaf_and_says_when_it_is_awake() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 7);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    let awake = Duration::from_millis(600);
    device.command(|client, now| {
        client.config_mut().queue_mode = Some(QueueMode { awake, wake_every: None });
        client.register(now, id);
    });
    let (register, from) = server.receive();
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    server.0.send_to(&request(0x01, 1, 1), from).expect("sent");
    run(&runtime, &mut device, Duration::from_millis(50));
    assert_eq!(server.receive().0[1], 0x45, "2.05 while it is awake");
    assert_eq!(next(&runtime, &mut device), Event::Asleep(id));

    server.0.send_to(&request(0x01, 2, 1), from).expect("sent");
    assert_eq!(run(&runtime, &mut device, Duration::from_millis(200)), None);
    assert!(server.nothing_comes(), "it did not hear that");
    device.command(|client, now| client.update(now, id));
    assert_eq!(next(&runtime, &mut device), Event::Awake(id));
    let (update, from) = server.receive();
    assert_eq!(update[1], 0x02, "POST to the location");
    server.answer(&update, from, 0x44);
    assert_eq!(next(&runtime, &mut device), Event::Updated(id));
    server.0.send_to(&request(0x01, 3, 1), from).expect("sent");
    run(&runtime, &mut device, Duration::from_millis(50));
    let (answer, _) = server.receive();
    assert_eq!((answer[1], answer[3]), (0x45, 3), "and never will");
}

// Proves: REG-39
#[test]
fn a_disabled_server_has_no_way_to_the_device() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::machine(), 8);
    let _guard = runtime.enter();
    let mut account = account(&server.uri());
    account.disable_timeout_s = Some(1);
    let id = device.add_account(account, None).expect("added");
    device.command(|client, now| client.register(now, id));
    let (register, from) = server.receive();
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    server.0.send_to(&request(0x02, 1, 4), from).expect("sent");
    assert!(matches!(next(&runtime, &mut device), Event::Executed { .. }));
    assert_eq!(server.receive().0[1], 0x44, "2.04 first");
    let (deregister, from) = server.receive();
    assert_eq!(deregister[1], 0x04, "DELETE");
    server.answer(&deregister, from, 0x42);
    assert_eq!(next(&runtime, &mut device), Event::Deregistered(id));
    assert_eq!(device.sockets().next().expect("one").local, None, "the way is closed");
    assert_eq!(run(&runtime, &mut device, Duration::from_millis(500)), None);
    assert!(server.nothing_comes());
    let (register, from) = {
        run(&runtime, &mut device, Duration::from_millis(700));
        server.receive()
    };
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
}

#[test]
fn a_standing_clock_brings_the_update_when_it_is_moved() {
    let (runtime, server) = (runtime(), Server::new());
    let (mut device, _) = device(Clock::standing(UnixTime::from_secs(1_800_000_000)), 5);
    let _guard = runtime.enter();
    let id = device.add_account(account(&server.uri()), None).expect("added");
    device.command(|client, now| client.register(now, id));
    device.advance(Duration::ZERO);
    let (register, from) = server.receive();
    server.answer(&register, from, 0x41);
    assert_eq!(next(&runtime, &mut device), Event::Registered(id));
    assert!(matches!(device.client().phase(id), Phase::Registered { .. }));
    assert_eq!(run(&runtime, &mut device, Duration::from_millis(100)), None);
    device.advance(Duration::from_secs(10));
    assert!(server.nothing_comes());
    // The time for all retransmissions before the lifetime ends: 0.9 s.
    device.advance(Duration::from_millis(89_200));
    let (update, from) = server.receive();
    assert_eq!(update[1], 0x02, "POST to the location");
    server.answer(&update, from, 0x44);
    assert_eq!(next(&runtime, &mut device), Event::Updated(id));
    assert_eq!(device.clock().date().as_millis(), 1_800_000_099_200);
}

#[test]
fn accounts_that_cannot_work_are_refused() {
    let (mut device, _) = device(Clock::machine(), 6);
    let refused = device.add_account(account("coaps+tcp://127.0.0.1"), None);
    assert!(matches!(refused, Err(AccountError::Target(TargetError::Scheme(_)))));
    device.add_account(account("coap://127.0.0.1"), None).expect("added");
    let twice = device.add_account(account("coap://127.0.0.2"), None);
    assert!(matches!(twice, Err(AccountError::Refused)));
}
