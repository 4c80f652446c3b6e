//! Nanoseconds to read and to write the CoAP messages that a LwM2M server handles most.
//!
//! `cargo bench -p lightship-bench --bench codec`. Each library reads the same bytes, touching what
//! a server needs of them (token, path, query, payload), and writes the same message from its
//! parts into a buffer it may reuse.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a bench is a program, and may fail anywhere"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lightship_coap::peer::{Config, HeapBuffer, Incoming, Peer};
use lightship_coap::{Code, Encoder, Message, MessageId, OptionNumber, Token};
use lightship_platform::{Duration, Instant, SeededRng};

/// A message, by its name and bytes.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A Register of 155 bytes with 6 options.
fn register() -> Vec<u8> {
    let mut buffer = [0; 256];
    let token = Token::new(&[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]).unwrap();
    let ty = lightship_coap::Type::Con;
    let mut message = Encoder::new(&mut buffer, ty, Code::POST, MessageId(1), token);
    message
        .options()
        .uri_path_segment("rd")
        .content_format(lightship_coap::ContentFormat::LINK)
        .uri_query("ep=urn:imei:123456789012345678")
        .uri_query("lt=86400")
        .uri_query("lwm2m=1.1")
        .uri_query("b=U");
    let objects = b"</>;rt=\"oma.lwm2m\";ct=11542,</1/0>,</3/0>,</4/0>,</5/0>,</3303/0>,</3304/0>,</6/0>";
    let len = message.finish_with(objects).unwrap();
    assert_eq!(len, 155, "the Register of the comparison");
    buffer[..len].to_vec()
}

fn samples() -> Vec<Sample> {
    vec![
        Sample { name: "register", bytes: register() },
        // GET /3303/0/5700, Accept 112, token of 8 bytes
        Sample {
            name: "read",
            bytes: hex("480112341122334455667788b4333330330130043537303061 70".replace(' ', "").as_str()),
        },
        // NON 2.05, Observe 12, Content-Format 112, a SenML CBOR record
        Sample {
            name: "notify",
            bytes: hex(
                "584512351122334455667788610c6170ff81a2006c2f333330332f302f35373030022118fb403680 00000000"
                    .replace(' ', "")
                    .as_str(),
            ),
        },
        // POST /rd/5a3f
        Sample { name: "update", bytes: hex("440212361122 3344b27264 0435613366".replace(' ', "").as_str()) },
        Sample { name: "empty_ack", bytes: hex("60001237") },
    ]
}

/// What a server looks at.
fn read(bytes: &[u8]) -> usize {
    let message = Message::parse(bytes).unwrap();
    let mut sum = usize::from(message.token().len()) + message.payload().len();
    for option in message.options() {
        match option.number {
            OptionNumber::URI_PATH | OptionNumber::URI_QUERY => sum += option.value.len(),
            _ => {}
        }
    }
    sum
}

fn read_coap_lite(bytes: &[u8]) -> usize {
    let message = coap_lite::Packet::from_bytes(bytes).unwrap();
    let mut sum = message.get_token().len() + message.payload.len();
    for (number, values) in message.options() {
        match coap_lite::CoapOption::from(*number) {
            coap_lite::CoapOption::UriPath | coap_lite::CoapOption::UriQuery => {
                sum += values.iter().map(Vec::len).sum::<usize>();
            }
            _ => {}
        }
    }
    sum
}

fn write(message: &Message<'_>, buffer: &mut [u8]) -> usize {
    let mut encoder =
        Encoder::new(buffer, message.ty(), message.code(), message.message_id(), message.token());
    for option in message.options() {
        encoder.options().option(option.number, option.value);
    }
    encoder.finish_with(message.payload()).unwrap()
}

fn write_coap_lite(source: &coap_lite::Packet) -> usize {
    // As one writes a message there: options are given as owned bytes.
    let mut message = coap_lite::Packet::new();
    message.header = source.header.clone();
    message.set_token(source.get_token().to_vec());
    for (number, values) in source.options() {
        for value in values {
            message.add_option(coap_lite::CoapOption::from(*number), value.clone());
        }
    }
    message.payload.clone_from(&source.payload);
    message.to_bytes().unwrap().len()
}

fn codec(criterion: &mut Criterion) {
    for Sample { name, bytes } in samples() {
        assert_eq!(read(&bytes), read_coap_lite(&bytes), "{name}: both read the same");
        let message = Message::parse(&bytes).unwrap();
        let packet = coap_lite::Packet::from_bytes(&bytes).unwrap();
        let mut buffer = [0; 1152];
        let len = write(&message, &mut buffer);
        assert_eq!(&buffer[..len], &bytes[..], "{name}: what is written is what was read");
        assert_eq!(packet.to_bytes().unwrap(), bytes, "{name}: theirs too");

        let mut group = criterion.benchmark_group(name);
        group.bench_function("parse/lightship", |bench| bench.iter(|| read(black_box(&bytes))));
        group.bench_function("parse/coap-lite", |bench| bench.iter(|| read_coap_lite(black_box(&bytes))));
        group.bench_function("encode/lightship", |bench| {
            bench.iter(|| write(black_box(&message), black_box(&mut buffer)));
        });
        group.bench_function("encode/coap-lite", |bench| bench.iter(|| write_coap_lite(black_box(&packet))));
        group.finish();
    }
}

/// A server's whole work below LwM2M for one Update: read, detect duplicates, answer, remember.
fn peer(criterion: &mut Criterion) {
    let update = hex("44021236112233 44b272640435613366".replace(' ', "").as_str());
    let config = Config::new();
    let mut peer = Peer::<HeapBuffer>::new(&mut SeededRng::from_number(1));
    let mut now = Instant::ZERO;
    let mut id = 0_u16;
    let mut datagram = update.clone();
    let mut out = [0; 1152];
    criterion.bench_function("peer/update_answered", |bench| {
        bench.iter(|| {
            id = id.wrapping_add(1);
            // One Update a minute: four are remembered at a time.
            now += Duration::from_secs(60);
            datagram[2..4].copy_from_slice(&id.to_be_bytes());
            let Incoming::Request(request) = peer.handle_input(now, &config, black_box(&datagram)) else {
                panic!("no request");
            };
            peer.respond(now, &config, request.ticket, Code::CHANGED, |_| {}, &[]).unwrap();
            let len = peer.poll_transmit(&mut out).unwrap();
            assert!(peer.poll_event().is_none());
            (len, peer.poll_timeout(&config))
        });
    });
}

criterion_group!(benches, codec, peer);
criterion_main!(benches);
