//! The `coap` room: any bytes as a message, as a list of links, as a conversation.

use crate::script::Script;
use core::time::Duration;
use lightship_coap::link::{Mode, links};
use lightship_coap::peer::NewRequest;
use lightship_coap::{Code, Config, Encoder, HeapBuffer, Incoming, Message, Peer};
use lightship_platform::{Instant, SeededRng};

/// Parses, looks at everything a message can tell, and writes it again: each has one form.
pub(crate) fn message(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    let parts = message.uri_path().chain(message.uri_query()).chain(message.location_path());
    assert!(parts.map(str::len).sum::<usize>() <= data.len());
    let numbers = [message.observe(), message.size1(), message.size2(), Some(message.max_age_s())];
    std::hint::black_box((numbers, message.block1(), message.block2(), message.etag(), message.echo()));
    std::hint::black_box((message.content_format(), message.accept(), message.no_response()));
    std::hint::black_box((message.bad_option(&[]), message.is_text_valid()));
    let mut buffer = vec![0; data.len()];
    let mut encoder =
        Encoder::new(&mut buffer, message.ty(), message.code(), message.message_id(), message.token());
    for option in message.options() {
        encoder.options().option(option.number, option.value);
    }
    // The encoder refuses what a peer may get wrong: an option of illegal length.
    if let Ok(written) = encoder.finish_with(message.payload()) {
        assert_eq!(buffer.get(..written), Some(data));
    }
}

/// Parses a link list in both modes and looks at every attribute.
pub(crate) fn link(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    for mode in [Mode::Strict, Mode::Tolerant] {
        let mut count = 0_usize;
        for link in links(text, mode) {
            let Ok(link) = link else { break };
            count += 1;
            for attribute in link.attributes() {
                std::hint::black_box(attribute.value.map(|value| value.chars().count()));
            }
            std::hint::black_box((link.has("rt"), link.matches("rt", "oma*")));
        }
        assert!(count <= text.len());
    }
}

/// A conversation: datagrams in, answers and requests of ours, time that passes.
pub(crate) fn peer(data: &[u8]) {
    let config = Config::default();
    let mut peer: Peer<HeapBuffer> = Peer::new(&mut SeededRng::new([7; 32]));
    let mut now = Instant::from_secs(1000);
    let mut script = Script(data);
    let mut out = [0; 2048];
    while let Some(step) = script.byte() {
        match step % 4 {
            0 | 1 => {
                let Some(datagram) = script.piece() else { break };
                if let Incoming::Request(request) = peer.handle_input(now, &config, datagram) {
                    let ticket = request.ticket;
                    let body = vec![b'x'; usize::from(step) * 16];
                    let _too_large = peer.respond(now, &config, ticket, Code::CONTENT, |_| {}, &body);
                }
            }
            2 => {
                let body = vec![b'x'; usize::from(step) * 16];
                let _busy = peer.request(now, &config, NewRequest::con(Code::PUT), |_| {}, &body);
            }
            _ => {
                now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 500);
                peer.handle_timeout(now, &config);
            }
        }
        while peer.poll_transmit(&mut out).is_some() {}
        while peer.poll_event().is_some() {}
        assert!(peer.buffered_len() <= config.buffer_len_max, "more is buffered than allowed");
    }
}
