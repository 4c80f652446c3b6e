//! The hot paths: what a server does for most of its messages, each as something to be done again and again.

use std::hint::black_box;

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, Token, Type};
use lightship_lwm2m::Format;

use crate::crew::{Crew, Transport};
use crate::documents::Document;
use crate::traffic::{register, update};

/// One of them.
pub struct HotPath {
    /// What it is called on the command line and in the baseline.
    pub name: &'static str,
    /// Prepares it; the result does it once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All of them.
pub const HOT_PATHS: &[HotPath] = &[
    HotPath { name: "coap-parse-register", prepare: || parse(register(1, 1)) },
    HotPath { name: "coap-parse-update", prepare: || parse(update("rd/0123456789ab", 1)) },
    HotPath { name: "coap-encode-read", prepare: encode_read },
    HotPath { name: "tlv-decode", prepare: || decode(Document::device(), Format::Tlv) },
    HotPath { name: "senml-cbor-decode", prepare: || decode(Document::device(), Format::SenmlCbor) },
    HotPath { name: "record-seal", prepare: seal },
    HotPath { name: "record-open", prepare: open },
    HotPath { name: "shard-register", prepare: || with_crew(Transport::Plain, Crew::register) },
    HotPath { name: "shard-update", prepare: || with_crew(Transport::Plain, Crew::update) },
    HotPath { name: "shard-notify", prepare: || with_crew(Transport::Plain, Crew::notify) },
    HotPath { name: "shard-send", prepare: || with_crew(Transport::Plain, Crew::send) },
    HotPath { name: "shard-update-secured", prepare: || with_crew(Transport::Secured, Crew::update) },
];

/// More devices than one, and few enough to begin soon.
const DEVICES: u32 = 16;
/// More than are ever opened.
const RECORDS: usize = 10_000;

fn with_crew(transport: Transport, act: fn(&mut Crew)) -> Box<dyn FnMut()> {
    let mut crew = Crew::new(DEVICES, transport);
    // Until every device has sent as much as is remembered of it.
    for _ in 0..32 * DEVICES {
        act(&mut crew);
    }
    Box::new(move || act(&mut crew))
}

fn parse(datagram: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || {
        let message = Message::parse(black_box(&datagram)).expect("legal");
        let options = message.options().map(|option| option.value.len()).sum::<usize>();
        black_box((message.token(), options, message.payload().len()));
    })
}

fn encode_read() -> Box<dyn FnMut()> {
    let mut buffer = [0; 64];
    let token = Token::new(&[1, 2, 3, 4]).unwrap_or_default();
    Box::new(move || {
        let mut message =
            Encoder::new(black_box(&mut buffer), Type::Con, Code::GET, MessageId(1), black_box(token));
        message.options().uri_path("3303/0/5700").accept(ContentFormat::SENML_CBOR);
        black_box(message.finish().expect("the buffer is large enough"));
    })
}

/// A record of a device, with an Update in it.
fn seal() -> Box<dyn FnMut()> {
    let mut crew = Crew::new(1, Transport::Secured);
    let (mut device, message) = crew.leave();
    let mut out = [0; 256];
    Box::new(move || {
        black_box(device.seal_into(black_box(&message), &mut out));
    })
}

/// The same record as the shard opens it: sealed before, and another one each time, since each is taken once.
fn open() -> Box<dyn FnMut()> {
    let mut crew = Crew::new(1, Transport::Secured);
    let (mut device, _) = crew.leave();
    // Too short for a message, so that there is nothing to do behind the record.
    let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| device.seal(&[0; 3])).collect();
    let mut records = records.into_iter();
    Box::new(move || {
        let mut record = records.next().expect("enough records");
        crew.world.secured_input(crew.home(), black_box(&mut record));
    })
}

fn decode(document: Document, format: Format) -> Box<dyn FnMut()> {
    let mut buffer = [0; 1024];
    let len = document.encode(format, &mut buffer);
    let payload = buffer[..len].to_vec();
    Box::new(move || {
        black_box(document.decode(format, black_box(&payload)).expect("legal"));
    })
}

#[cfg(test)]
mod tests {
    use lightship_coap::Type;

    use super::*;

    /// A path whose messages are refused would be counted for what it is not.
    #[test]
    fn what_is_counted_is_served() {
        let mut crew = Crew::new(3, Transport::Plain);
        for _ in 0..10 {
            crew.update();
            assert_eq!(crew.answer(), Some((Type::Ack, Code::CHANGED)));
            crew.send();
            assert_eq!(crew.answer(), Some((Type::Ack, Code::CHANGED)));
            crew.notify();
            assert_eq!(crew.answer(), Some((Type::Ack, Code::EMPTY)));
        }
        // Behind the others: their Updates are of the registrations before.
        (0..10).for_each(|_| crew.register());
        let stats = crew.world.shard.stats();
        assert_eq!((stats.registers, stats.updates, stats.sends), (13, 10, 10));
        let mut secured = Crew::new(2, Transport::Secured);
        (0..10).for_each(|_| secured.update());
        assert_eq!(secured.world.shard.stats().updates, 10);
    }

    #[test]
    fn every_path_can_be_done() {
        for path in HOT_PATHS {
            let mut act = (path.prepare)();
            (0..5).for_each(|_| act());
        }
    }
}
