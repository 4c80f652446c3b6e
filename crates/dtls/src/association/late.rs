//! What comes under the keys after the handshake, beside data.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use lightship_platform::crypto::{RustCrypto, Secret};
use lightship_platform::{Instant, SeededRng};

use super::{Association, Connect, Path, Record};
use crate::cookie::{Cookies, Verdict};
use crate::record::ContentType;
use crate::{Alert, Answer, Cid, Config, Credential, DropReason, Event, Host, Suite};

struct World {
    config: Config,
    rng: SeededRng,
}

impl World {
    fn host(&mut self) -> Host<'_> {
        Host { now: Instant::from_secs(9), crypto: &RustCrypto, rng: &mut self.rng, config: &self.config }
    }
}

fn datagram(world: &mut World, from: &mut Association) -> Vec<u8> {
    let mut out = [0; 1500];
    let sent = from.poll_transmit(&mut world.host(), &mut out).expect("a datagram");
    out[..sent.len].to_vec()
}

fn take(world: &mut World, to: &mut Association, mut datagram: Vec<u8>) -> Vec<Record> {
    let mut at = 0;
    let mut records = Vec::new();
    while let Some(record) = to.handle_record(&mut world.host(), Path::Current, &mut datagram, &mut at) {
        records.push(record);
    }
    records
}

/// A client and a server behind their handshake; the server's last flight is kept.
fn established() -> (World, Association, Association, Vec<u8>) {
    let config = Config { suites: vec![Suite::PskAes128Ccm8], ..Config::default() };
    let mut world = World { config, rng: SeededRng::from_number(1) };
    let key = Secret::new(b"0123456789abcdef");
    let credential = Credential::Psk { identity: b"me"[..].into(), key: key.clone() };
    let connect = Connect { credential, server_name: None, own_cid: Cid::EMPTY, resume: None };
    let mut client = Association::connect(&mut world.host(), connect);
    let mut cookies = Cookies::new(Instant::ZERO, &mut SeededRng::from_number(2));
    let mut out = [0; 100];
    let hello = datagram(&mut world, &mut client);
    let Verdict::Answer(len) = cookies.judge(&mut world.host(), b"here", &hello, &mut out) else {
        panic!("no cookie")
    };
    take(&mut world, &mut client, out[..len].to_vec());
    let hello = datagram(&mut world, &mut client);
    let mut server = match cookies.judge(&mut world.host(), b"here", &hello, &mut out) {
        Verdict::Proven(hello) => Association::accept(&mut world.host(), hello, Cid::EMPTY, &[]),
        Verdict::Drop(_) | Verdict::Answer(_) => panic!("not proven"),
    };
    let flight = datagram(&mut world, &mut server);
    take(&mut world, &mut client, flight);
    let flight = datagram(&mut world, &mut client);
    take(&mut world, &mut server, flight);
    server.answer(&mut world.host(), Answer::Psk { key, note: Box::default() });
    let last = datagram(&mut world, &mut server);
    take(&mut world, &mut client, last.clone());
    for side in [&mut client, &mut server] {
        while side.poll_event().is_some() {}
        assert!(side.is_established());
    }
    (world, client, server, last)
}

fn sealed(world: &mut World, from: &mut Association, content_type: ContentType, content: &[u8]) -> Vec<u8> {
    let mut out = [0; 200];
    let len = from.seal_own(&mut world.host(), content_type, content, &mut out).expect("room");
    out[..len].to_vec()
}

/// A handshake message without a body.
fn empty_message(kind: u8, sequence: u8) -> [u8; 12] {
    [kind, 0, 0, 0, 0, sequence, 0, 0, 0, 0, 0, 0]
}

// Proves: DTL-14
#[test]
fn another_handshake_in_the_same_association_is_refused() {
    let (mut world, mut client, mut server, _) = established();
    for (from, to, message) in [(0, 1, empty_message(0, 9)), (1, 0, empty_message(1, 9))] {
        let mut sides = [&mut server, &mut client];
        let wish = sealed(&mut world, sides[from], ContentType::Handshake, &message);
        assert_eq!(take(&mut world, sides[to], wish), [Record::Handled]);
        let answer = datagram(&mut world, sides[to]);
        // A warning: it is heard and changes nothing.
        assert_eq!(take(&mut world, sides[from], answer), [Record::Handled]);
        assert!(sides.iter_mut().all(|side| side.poll_event().is_none() && side.is_established()));
    }
}

// Proves: DTL-13
#[test]
fn the_last_flight_is_sent_again_to_who_repeats_his_own() {
    let (mut world, mut client, mut server, last) = established();
    let finished = [&empty_message(20, 3)[..], &[0; 12]].concat();
    // At once it is not, so that two sides do not chase each other.
    let again = sealed(&mut world, &mut client, ContentType::Handshake, &finished);
    assert_eq!(take(&mut world, &mut server, again), [Record::Handled]);
    let mut out = [0; 500];
    assert!(server.poll_transmit(&mut world.host(), &mut out).is_none());
    let mut later = |server: &mut Association, client: &mut Association| {
        let again = sealed(&mut world, client, ContentType::Handshake, &finished);
        let mut again = again;
        let mut host = world.host();
        host.now = Instant::from_secs(20);
        server.handle_record(&mut host, Path::Current, &mut again, &mut 0);
        server.poll_transmit(&mut host, &mut out).map(|sent| sent.len)
    };
    assert_eq!(later(&mut server, &mut client), Some(last.len()));
    // Data shows that the client has it; it is kept no longer.
    let data = sealed(&mut world, &mut client, ContentType::ApplicationData, b"data");
    let taken = take(&mut world, &mut server, data);
    assert!(matches!(taken[..], [Record::Data { newest: true, .. }]));
    assert!(server.handshake().is_none());
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn an_authentic_alert_ends_it_and_an_odd_record_does_not() {
    let (mut world, mut client, mut server, _) = established();
    let odd = [
        (ContentType::Handshake, &[1][..], DropReason::Handshake),
        (ContentType::Handshake, &empty_message(2, 1)[..], DropReason::Handshake),
        (ContentType::Alert, &[2][..], DropReason::Alert),
        (ContentType::ChangeCipherSpec, &[1][..], DropReason::Malformed),
    ];
    for (content_type, content, reason) in odd {
        let record = sealed(&mut world, &mut client, content_type, content);
        assert_eq!(take(&mut world, &mut server, record), [Record::Dropped(reason)]);
    }
    assert!(server.is_established());
    let alert = sealed(&mut world, &mut client, ContentType::Alert, &[2, 80]);
    assert_eq!(take(&mut world, &mut server, alert), [Record::Handled]);
    assert!(matches!(server.poll_event(), Some(Event::Closed(Alert::INTERNAL_ERROR))));
    assert!(!server.is_established());
}
