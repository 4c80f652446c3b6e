//! What the messages of devices in the long run take from the allocator: nothing but what the host is to keep.

#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{LIST, Packet, address, path};
use lightship_coap::{Code, ContentFormat, Message, Type};
use lightship_platform::Instant;
use lightship_server::{Answer, Config, Event, Shard, Wanted};

/// A shard with one device, whose messages are made beforehand.
struct Bare {
    shard: Shard,
    now: Instant,
    home: SocketAddr,
    /// The last datagrams that left, in fixed memory.
    out: [([u8; 256], usize); 4],
    sent: usize,
    wanted: Vec<Wanted>,
}

impl Bare {
    fn new() -> Self {
        let mut config = Config::default();
        config.limits.registers_a_minute_per_device = 0;
        let observed = path("/3303/0/5700").into();
        let wanted = vec![Wanted { observed, accept: None, attributes: Vec::new() }];
        Self {
            shard: Shard::new(config, [7; 32]),
            now: Instant::from_secs(1000),
            home: address("192.0.2.1:5683"),
            out: [([0; 256], 0); 4],
            sent: 0,
            wanted,
        }
    }

    /// Hands a datagram in, and says yes to whatever is asked.
    fn input(&mut self, datagram: &mut [u8]) {
        self.shard.handle_input(self.now, self.home, datagram);
        self.drain();
    }

    fn drain(&mut self) {
        self.sent = 0;
        let mut buffer = [0; 1280];
        loop {
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                let place = &mut self.out[self.sent];
                place.0[..transmit.len].copy_from_slice(&buffer[..transmit.len]);
                place.1 = transmit.len;
                self.sent += 1;
            } else if let Some(event) = self.shard.poll_event() {
                let (ask, answer) = match event {
                    Event::AskRegister { ask, .. } => {
                        (ask, Answer::Accept { observations: self.wanted.clone() })
                    }
                    Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. } => {
                        (ask, Answer::Stored)
                    }
                    _ => continue,
                };
                self.shard.answer(self.now, ask, answer);
            } else {
                return;
            }
        }
    }

    fn out(&self, index: usize) -> &[u8] {
        assert!(index < self.sent, "{} datagrams left", self.sent);
        &self.out[index].0[..self.out[index].1]
    }

    /// The time passes, as between two messages of a device.
    fn pass(&mut self, span: Duration) {
        self.now += span;
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.shard.handle_timeout(self.now);
            self.drain();
        }
    }

    /// Registers, and says yes to the Observe; gives the location and a notification.
    fn register(&mut self, id: u16) -> (String, Vec<u8>) {
        let mut register = Packet::new(Type::Con, Code::POST, id, &[1, 2])
            .path("rd")
            .format(ContentFormat::LINK)
            .query("ep=lamp&lt=86400&lwm2m=1.1&b=U")
            .payload(LIST)
            .bytes();
        self.input(&mut register);
        let created = Message::parse(self.out(0)).expect("CoAP");
        assert_eq!(created.code(), Code::CREATED);
        let location = created.location_path().collect::<Vec<_>>().join("/");
        if self.wanted.is_empty() {
            return (location, Vec::new());
        }
        let observe = Message::parse(self.out(1)).expect("CoAP");
        assert_eq!(observe.observe(), Some(0));
        let value = |ty, id| {
            Packet::new(ty, Code::CONTENT, id, observe.token().as_bytes())
                .observe(0x01_00_00)
                .format(ContentFormat::TEXT)
                .payload("21.5")
        };
        let mut first = value(Type::Ack, observe.message_id().0).bytes();
        let notification = value(Type::Con, 0).bytes();
        self.input(&mut first);
        (location, notification)
    }
}

/// The allocations of one message in the long run, the most of any: after as many as are remembered, and over more time than they
/// are remembered.
fn most(
    bare: &mut Bare,
    pause: Duration,
    ids: core::ops::Range<u16>,
    mut message: impl FnMut(u16) -> Vec<u8>,
) -> u64 {
    let mut most = 0;
    let warm = ids.start + 64;
    for id in ids {
        let mut datagram = message(id);
        bare.pass(pause);
        let taken = allocation_counter::measure(|| bare.input(&mut datagram)).count_total;
        assert_eq!(bare.sent, 1, "an answer");
        if id >= warm {
            most = most.max(taken);
        }
    }
    most
}

/// Pauses with which all, some and one of the last messages are remembered.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_secs(40), Duration::from_secs(200)];

#[test]
fn an_update_that_changes_nothing_allocates_nothing() {
    for pause in PAUSES {
        let mut bare = Bare::new();
        // An observation under which nothing comes is started anew once in a while, which is no Update's doing.
        bare.wanted.clear();
        let (location, _) = bare.register(1);
        let update = |id| Packet::new(Type::Con, Code::POST, id, &[3, 4]).path(&location).bytes();
        assert_eq!(most(&mut bare, pause, 100..400, update), 0, "{pause:?}");
        assert_eq!(Message::parse(bare.out(0)).map(|answer| answer.code()), Ok(Code::CHANGED));
    }
}

#[test]
fn a_notification_allocates_the_value_that_the_host_keeps() {
    for pause in PAUSES {
        let mut bare = Bare::new();
        let (_, notification) = bare.register(1);
        let notify = |id: u16| {
            let mut datagram = notification.clone();
            datagram[2..4].copy_from_slice(&id.to_be_bytes());
            // The sequence number: three bytes behind header, token and the option's own byte.
            let at = 4 + usize::from(datagram[0] & 15) + 1;
            datagram[at + 1..at + 3].copy_from_slice(&id.to_be_bytes());
            datagram
        };
        assert_eq!(most(&mut bare, pause, 100..400, notify), 1, "{pause:?}");
        assert_eq!(Message::parse(bare.out(0)).map(|answer| answer.ty()), Ok(Type::Ack));
    }
}

#[test]
fn a_send_allocates_the_values_that_the_host_keeps() {
    for pause in PAUSES {
        let mut bare = Bare::new();
        bare.register(1);
        let values = [
            0x81, 0xa2, 0x00, 0x6c, b'/', b'3', b'3', b'0', b'3', b'/', b'0', b'/', b'5', b'7', b'0', b'0',
            2, 21,
        ];
        let send = |id| {
            let packet = Packet::new(Type::Con, Code::POST, id, &[5, 6]).path("dp");
            packet.format(ContentFormat::SENML_CBOR).payload(values).bytes()
        };
        assert_eq!(most(&mut bare, pause, 100..400, send), 1, "{pause:?}");
        assert_eq!(Message::parse(bare.out(0)).map(|answer| answer.code()), Ok(Code::CHANGED));
    }
}

/// The registration, its terms, its list, its name, its observation, the line of its first request, and what is
/// remembered of these messages: so many, and no more with the hundredth Register than with the tenth.
#[test]
fn a_register_allocates_what_is_stored() {
    let mut bare = Bare::new();
    for id in 1..20 {
        bare.register(id);
        bare.pass(Duration::from_secs(30));
    }
    let mut counts = Vec::new();
    for id in 20..120 {
        counts.push(allocation_counter::measure(|| drop(bare.register(id))).count_total);
        bare.pass(Duration::from_secs(30));
    }
    let (least, most) = (counts.iter().min().expect("some"), counts.iter().max().expect("some"));
    assert!(most - least <= 4 && *most <= 36, "{least} to {most}");
}
