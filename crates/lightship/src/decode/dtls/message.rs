//! Handshake messages, field by field.

use super::super::dissect::Dissection;
use super::{hex, names};
use lightship_dtls::inspect::Role;
use lightship_dtls::message::{
    CertificateRequest, ClientKeyExchange, ExtensionList, HelloStart, HelloVerifyRequest, Kind,
    NewSessionTicket, Reader, ServerHello, ServerKeyExchange, Signed, certificate_chain, raw_public_key,
};
use lightship_dtls::{KeyExchange, Suite, certificate};

/// The only side that may send such a message; `None` where both may.
pub(super) fn sender_of(kind: Kind) -> Option<Role> {
    match kind {
        Kind::ClientHello | Kind::CertificateVerify | Kind::ClientKeyExchange => Some(Role::Client),
        Kind::HelloRequest
        | Kind::ServerHello
        | Kind::HelloVerifyRequest
        | Kind::NewSessionTicket
        | Kind::ServerKeyExchange
        | Kind::CertificateRequest
        | Kind::ServerHelloDone => Some(Role::Server),
        Kind::Certificate | Kind::Finished => None,
    }
}

/// The fields of a message's body. `suite` is what the server chose.
pub(super) fn lines(kind: Kind, body: &[u8], suite: Option<Suite>) -> Dissection {
    let read = match kind {
        Kind::ClientHello => client_hello(body),
        Kind::ServerHello => server_hello(body),
        Kind::HelloVerifyRequest => {
            HelloVerifyRequest::read(body).map(|request| vec![format!("cookie: {}", or_none(request.cookie))])
        }
        Kind::Certificate => Some(certificates(body)),
        Kind::ServerKeyExchange => server_key_exchange(body, suite),
        Kind::CertificateRequest => certificate_request(body),
        Kind::ClientKeyExchange => client_key_exchange(body, suite),
        Kind::CertificateVerify => Signed::read(body).map(|signed| {
            vec![format!(
                "signature: {}, {} bytes",
                names::signature(signed.algorithm),
                signed.signature.len()
            )]
        }),
        Kind::NewSessionTicket => NewSessionTicket::read(body).map(|ticket| {
            vec![format!("ticket: {} bytes, good for {} s", ticket.ticket.len(), ticket.lifetime_s)]
        }),
        Kind::Finished => Some(vec![format!("verify data: {}", hex::print(body))]),
        Kind::HelloRequest | Kind::ServerHelloDone => body.is_empty().then(Vec::new),
    };
    match read {
        Some(lines) => {
            let sound = !lines.iter().any(|line| line.contains("! "));
            Dissection { lines, sound }
        }
        None => Dissection { lines: vec![format!("! not of that form: {}", hex::print(body))], sound: false },
    }
}

fn or_none(bytes: &[u8]) -> String {
    if bytes.is_empty() { "none".to_owned() } else { hex::print(bytes) }
}

/// An identity or a name as people read it, if they can; it must not steer their terminal.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => format!("{text:?}"),
        _ => format!("0x{}", hex::print(bytes)),
    }
}

fn version([major, minor]: [u8; 2]) -> &'static str {
    match (major, minor) {
        (0xfe, 0xff) => "DTLS 1.0",
        (0xfe, 0xfd) => "DTLS 1.2",
        (0xfe, 0xfc) => "DTLS 1.3",
        _ => "! unknown version",
    }
}

fn client_hello(body: &[u8]) -> Option<Vec<String>> {
    let (start, rest) = HelloStart::read(body)?;
    let suites: Vec<String> = start.suite_numbers().map(names::suite).collect();
    let mut lines = vec![
        format!("{}, random {}", version(start.version), hex::print(start.random)),
        format!("session ID: {}", or_none(start.session_id)),
        format!("cookie: {}", or_none(start.cookie)),
        format!("cipher suites: {}", suites.join(", ")),
    ];
    if start.compression != [0] {
        lines.push(format!("compression methods: {}", hex::print(start.compression)));
    }
    lines.extend(extensions(rest, Role::Client)?);
    Some(lines)
}

fn server_hello(body: &[u8]) -> Option<Vec<String>> {
    let hello = ServerHello::read(body)?;
    let mut lines = vec![
        format!("{}, random {}", version(hello.version), hex::print(hello.random)),
        format!("session ID: {}", or_none(hello.session_id)),
        format!("cipher suite: {}", names::suite(hello.suite)),
    ];
    let at = 2 + 32 + 1 + hello.session_id.len() + 2 + 1;
    lines.extend(extensions(body.get(at..)?, Role::Server)?);
    Some(lines)
}

fn extensions(bytes: &[u8], of: Role) -> Option<Vec<String>> {
    ExtensionList::read(bytes)?
        .map(|item| {
            let (number, body) = item?;
            let value = extension(number, body, of);
            let value = value.unwrap_or_else(|| format!("! not of that form: {}", hex::print(body)));
            let colon = if value.is_empty() { "" } else { ": " };
            Some(format!("{}{colon}{value}", names::extension(number)))
        })
        .collect()
}

/// The body of an extension; `None` for one that is malformed.
fn extension(number: u16, body: &[u8], of: Role) -> Option<String> {
    let mut reader = Reader::new(body);
    let in_words = |list: &[u8], name: fn(u16) -> String| {
        let numbers = list.chunks_exact(2).filter_map(|pair| pair.first_chunk::<2>());
        numbers.map(|pair| name(u16::from_be_bytes(*pair))).collect::<Vec<_>>().join(", ")
    };
    let value = match number {
        0 if of == Role::Client => {
            let mut names = Reader::new(reader.part16()?);
            let mut all = Vec::new();
            while names.end().is_none() {
                let _ = names.u8()?;
                all.push(text(names.part16()?));
            }
            all.join(", ")
        }
        1 => match reader.u8()? {
            code @ 1..=4 => format!("{} bytes", 256_u32 << code),
            _ => return None,
        },
        10 => in_words(reader.part16()?, names::group),
        13 => in_words(reader.part16()?, names::signature),
        19 | 20 if of == Role::Client => {
            let list = reader.part8()?;
            list.iter().map(|kind| names::certificate_type(*kind)).collect::<Vec<_>>().join(", ")
        }
        19 | 20 => names::certificate_type(reader.u8()?),
        28 => format!("{} bytes", reader.u16()?),
        54 => match reader.part8()? {
            [] => "none towards this side".to_owned(),
            cid => format!("{} in records to this side", hex::print(cid)),
        },
        0xff01 => or_none(reader.part8()?),
        _ => {
            reader = Reader::new(&[]);
            hex::print(body)
        }
    };
    reader.end()?;
    Some(value)
}

fn certificates(body: &[u8]) -> Vec<String> {
    // Which of both forms it has was agreed on in extensions; a bare key is one list entry that fills the message.
    let chain: Option<Vec<&[u8]>> = certificate_chain(body).and_then(|chain| chain.collect());
    match (chain, raw_public_key(body)) {
        (Some(chain), _) if !chain.is_empty() => chain.into_iter().map(certificate_line).collect(),
        (_, Some([])) => vec!["none".to_owned()],
        (_, Some(key)) => vec![format!("raw public key: {}", hex::print(key))],
        (_, None) => vec![format!("! not of that form: {}", hex::print(body))],
    }
}

fn certificate_line(der: &[u8]) -> String {
    match certificate::names(der) {
        Ok(names) => {
            let all: Vec<String> = names.candidates().map(|name| format!("{name:?}")).collect();
            let all = if all.is_empty() { "nobody by name".to_owned() } else { all.join(", ") };
            format!("certificate of {all}, {} bytes", der.len())
        }
        Err(reason) => format!("certificate that cannot be read ({reason}), {} bytes", der.len()),
    }
}

fn server_key_exchange(body: &[u8], suite: Option<Suite>) -> Option<Vec<String>> {
    let Some(suite) = suite else { return Some(vec![hex::print(body)]) };
    let exchange = match suite.key_exchange() {
        KeyExchange::Psk => ServerKeyExchange::read_psk(body)?,
        KeyExchange::EcdhePsk => ServerKeyExchange::read_ecdhe_psk(body)?,
        KeyExchange::EcdheEcdsa => ServerKeyExchange::read_ecdhe_ecdsa(body)?,
    };
    let mut lines = Vec::new();
    if let Some(hint) = exchange.hint {
        let hint = if hint.is_empty() { "none".to_owned() } else { text(hint) };
        lines.push(format!("identity hint: {hint}"));
    }
    if let Some((group, share)) = exchange.share {
        lines.push(format!("share: {}, {}", names::group(group), hex::print(share)));
    }
    if let Some(signed) = exchange.signed {
        lines.push(format!(
            "signature: {}, {} bytes",
            names::signature(signed.algorithm),
            signed.signature.len()
        ));
    }
    Some(lines)
}

fn certificate_request(body: &[u8]) -> Option<Vec<String>> {
    let request = CertificateRequest::read(body)?;
    let algorithms = request.algorithms.chunks_exact(2).filter_map(|pair| pair.first_chunk::<2>());
    let algorithms: Vec<String> =
        algorithms.map(|pair| names::signature(u16::from_be_bytes(*pair))).collect();
    Some(vec![
        format!("certificate types: {}", hex::print(request.types)),
        format!("signatures: {}", algorithms.join(", ")),
        format!("authorities: {} bytes", request.authorities.len()),
    ])
}

fn client_key_exchange(body: &[u8], suite: Option<Suite>) -> Option<Vec<String>> {
    let Some(suite) = suite else { return Some(vec![hex::print(body)]) };
    let (with_identity, with_share) = match suite.key_exchange() {
        KeyExchange::Psk => (true, false),
        KeyExchange::EcdhePsk => (true, true),
        KeyExchange::EcdheEcdsa => (false, true),
    };
    let exchange = ClientKeyExchange::read(body, with_identity, with_share)?;
    let mut lines = Vec::new();
    if with_identity {
        lines.push(format!("identity: {}", text(exchange.identity)));
    }
    if with_share {
        lines.push(format!("share: {}", hex::print(exchange.share)));
    }
    Some(lines)
}
