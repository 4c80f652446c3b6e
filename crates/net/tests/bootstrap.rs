//! The Bootstrap-Server's thread over loopback.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::net::UdpSocket;
use std::time::Duration;

use lightship_net::{BootstrapOptions, BootstrapThread, Clock};
use lightship_server::bootstrap::{Answer, Command, Config, Ended, Event, Step};

#[test]
fn a_session_runs_over_real_sockets() {
    let options = BootstrapOptions {
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        secure_addresses: vec!["127.0.0.1:0".parse().unwrap()],
        engine: Config::default(),
        events_len: 1,
    };
    let (thread, mut events) = BootstrapThread::start(&options, Clock::start()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(thread.addresses()[0]).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // POST /bs?ep=a
    socket.send(&[0x41, 2, 0x12, 0x34, 1, 0xB2, b'b', b's', 0x44, b'e', b'p', b'=', b'a']).unwrap();

    let inbox = thread.inbox().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let Some(Event::AskBootstrap { ask, caller, .. }) = events.blocking_recv() else { panic!("a question") };
    assert_eq!(caller.endpoint.as_str(), "a");
    runtime.block_on(inbox.answer(ask, Answer::Step(Step::of(Command::FINISH)))).unwrap();

    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..len], [0x61, 0x44, 0x12, 0x34, 1], "2.04");
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[1], 2, "POST");
    assert_eq!(buffer[len - 3..len], [0xB2, b'b', b's']);
    // 2.04 in the acknowledgement, with the token of four bytes.
    let answer = [0x64, 0x44, buffer[2], buffer[3], buffer[4], buffer[5], buffer[6], buffer[7]];
    socket.send(&answer).unwrap();
    assert!(matches!(events.blocking_recv(), Some(Event::StepDone { ask: None, .. })));
    assert!(matches!(events.blocking_recv(), Some(Event::Ended { reason: Ended::Finished, .. })));
    let (engine, sockets) = runtime.block_on(inbox.stats()).unwrap();
    assert_eq!((engine.finished, sockets.received, sockets.sent), (1, 2, 2));
    assert!(thread.alive());
    thread.stop();
}
