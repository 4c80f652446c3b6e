//! What devices send, made beforehand, so that only the server's side is measured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, Token, Type};

/// The object list of a small device.
pub const OBJECTS: &str = "</>;ct=\"60 110 112\",</1/0>,</3/0>,</4/0>,</5/0>,</3303/0>";

/// The address of the n-th device.
#[must_use]
pub fn address(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, b, c, d)), 5683)
}

/// The name of the n-th device.
#[must_use]
pub fn endpoint(number: u32) -> String {
    format!("urn:imei:{number:015}")
}

/// The list of a device with 30 object instances.
pub const OBJECTS_30: &str = "</>;ct=\"60 110 112\",</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,</7/0>,</9/0>,</9/1>,</16/0>,</3300/0>,</3301/0>,\
    </3302/0>,</3303/0>,</3303/1>,</3303/2>,</3304/0>,</3305/0>,</3306/0>,</3308/0>,</3310/0>,</3311/0>,</3312/0>,</3313/0>,</3315/0>,\
    </3316/0>,</3317/0>,</3320/0>,</3323/0>,</3342/0>,</3347/0>";

/// A Register of the n-th device.
#[must_use]
pub fn register(number: u32, message_id: u16) -> Vec<u8> {
    register_with(number, message_id, OBJECTS)
}

/// A Register of the n-th device, which has 30 object instances.
#[must_use]
pub fn register_large(number: u32, message_id: u16) -> Vec<u8> {
    register_with(number, message_id, OBJECTS_30)
}

fn register_with(number: u32, message_id: u16, objects: &str) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let token = token(number);
    let mut message = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(message_id), token);
    let name = endpoint(number);
    message.options().uri_path("rd").content_format(ContentFormat::LINK);
    message.options().uri_query("b=U").uri_query("lwm2m=1.1").uri_query("lt=86400");
    message.options().uri_query_fmt(format_args!("ep={name}"));
    let len = message.finish_with(objects.as_bytes()).expect("the buffer is large enough");
    buffer[..len].to_vec()
}

/// An Update of the registration at `location` that changes nothing.
#[must_use]
pub fn update(location: &str, message_id: u16) -> Vec<u8> {
    let mut buffer = [0; 64];
    let token = Token::new(&[1, 2, 3, 4]).unwrap_or_default();
    let mut message = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(message_id), token);
    message.options().uri_path(location);
    let len = message.finish().expect("the buffer is large enough");
    buffer[..len].to_vec()
}

/// The answer to an Observe: a first value; `None` if that is no Observe.
#[must_use]
pub fn observed(request: &[u8]) -> Option<Vec<u8>> {
    let request = Message::parse(request).ok()?;
    request.observe().filter(|_| request.code() == Code::GET)?;
    let mut buffer = [0; 64];
    let mut message =
        Encoder::new(&mut buffer, Type::Ack, Code::CONTENT, request.message_id(), request.token());
    message.options().observe(1).content_format(ContentFormat::TEXT);
    let len = message.finish_with(b"21.5").expect("the buffer is large enough");
    Some(buffer[..len].to_vec())
}

/// A confirmable notification of the observation that was begun by this Observe.
#[must_use]
pub fn notification(observe: &[u8], message_id: u16, sequence: u32) -> Vec<u8> {
    let token = Message::parse(observe).map(|observe| observe.token()).unwrap_or_default();
    let mut buffer = [0; 64];
    let mut message = Encoder::new(&mut buffer, Type::Con, Code::CONTENT, MessageId(message_id), token);
    message.options().observe(sequence).content_format(ContentFormat::TEXT);
    let len = message.finish_with(b"21.5").expect("the buffer is large enough");
    buffer[..len].to_vec()
}

/// The location in the answer to a Register; `None` if it was refused.
#[must_use]
pub fn location(answer: &[u8]) -> Option<String> {
    let message = Message::parse(answer).ok().filter(|message| message.code() == Code::CREATED)?;
    Some(message.location_path().collect::<Vec<_>>().join("/"))
}

/// Gives a message another message ID.
pub fn renumber(message: &mut [u8], message_id: u16) {
    message[2..4].copy_from_slice(&message_id.to_be_bytes());
}

fn token(number: u32) -> Token {
    Token::new(&number.to_be_bytes()).unwrap_or_default()
}
