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

/// A Register of the n-th device.
#[must_use]
pub fn register(number: u32, message_id: u16) -> Vec<u8> {
    let mut buffer = [0; 512];
    let token = token(number);
    let mut message = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(message_id), token);
    let name = endpoint(number);
    message.options().uri_path("rd").content_format(ContentFormat::LINK);
    message.options().uri_query("b=U").uri_query("lwm2m=1.1").uri_query("lt=86400");
    message.options().uri_query_fmt(format_args!("ep={name}"));
    let len = message.finish_with(OBJECTS.as_bytes()).expect("the buffer is large enough");
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
