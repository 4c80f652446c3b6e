//! `lightship decode`: any bytes as a capture, as a message, as hex, as a payload.

use crate::script::Script;
use lightship_coap::ContentFormat;
use lightship_lwm2m::Path;

// The program is no library; these are the files that it reads foreign bytes with.
#[path = "../../../crates/lightship/src/decode/capture.rs"]
mod capture;
#[path = "../../../crates/lightship/src/decode/dissect.rs"]
mod dissect;
#[path = "../../../crates/lightship/src/decode/dtls/mod.rs"]
mod dtls;
#[path = "../../../crates/lightship/src/decode/hex.rs"]
pub(crate) mod hex;
#[path = "../../../crates/lightship/src/decode/meaning.rs"]
mod meaning;
#[path = "../../../crates/lightship/src/decode/packet.rs"]
mod packet;
#[path = "../../../crates/lightship/src/decode/payload.rs"]
mod payload;

use dissect::{Conversation, Dissection};
use dtls::{Given, Sessions, Way};
use packet::Content;

/// A capture, if it begins like one; else a message, and a payload whose format stands in the first two bytes.
pub(crate) fn decode(data: &[u8]) {
    let mut conversation = Conversation::default();
    // A key of no association: what is protected is tried and stays so.
    let given = Given::new(KEY_LOG, &["00112233".to_owned()]).expect("a key in hex");
    let mut sessions = Sessions::new(given);
    if dtls::is_record(data) {
        return judge(&dtls::datagram(data, Way { from: "a", to: "b" }, &mut sessions, &mut conversation));
    }
    if !capture::is_capture(data) {
        judge(&dissect::message(data, "a b", &mut conversation));
        if let Ok(bytes) =
            core::str::from_utf8(data).map_err(drop).and_then(|text| hex::parse(text).map_err(drop))
        {
            assert_eq!(hex::parse(&hex::print(&bytes)).as_ref(), Ok(&bytes));
        }
        return bare(data);
    }
    let _cut = capture::read(data, &mut |frame| {
        assert!(frame.bytes.len() <= data.len());
        if let Content::Datagram(datagram) = packet::peel(frame.link, frame.bytes) {
            let (from, to) = (datagram.from.to_string(), datagram.to.to_string());
            let way = Way { from: &from, to: &to };
            if dtls::is_record(datagram.bytes) {
                return judge(&dtls::datagram(datagram.bytes, way, &mut sessions, &mut conversation));
            }
            let between = format!("{} {}", datagram.from.min(datagram.to), datagram.from.max(datagram.to));
            judge(&dissect::message(datagram.bytes, &between, &mut conversation));
        }
    });
}

fn bare(data: &[u8]) {
    let mut script = Script(data);
    let (Some(high), Some(low), Some(choice)) = (script.byte(), script.byte(), script.byte()) else { return };
    let path: Path =
        ["/", "/3", "/3/0", "/3/0/9", "/3/0/7/1"][usize::from(choice) % 5].parse().expect("a path");
    let subject = meaning::Subject { path: Some(path), ..meaning::Subject::default() };
    let found = payload::lines(Some(ContentFormat(u16::from_be_bytes([high, low]))), &subject, script.0);
    judge(&Dissection { lines: found.lines, sound: found.sound });
}

/// There is something to print, and what is wrong stands out.
fn judge(found: &Dissection) {
    assert!(!found.lines.is_empty());
    assert!(found.sound || found.lines.iter().any(|line| line.contains("! ")), "{:?}", found.lines);
}

/// The secrets of an exchange in the corpus.
const KEY_LOG: &str = concat!(
    "CLIENT_RANDOM a2ebf4728541951693345909fb1bc899533d5b9cdd867ed056589fbd84d11442 ",
    "59664e7c0e8fdaf054e49597121685fbbdf107db197677b2f2dce36de5acafa3dbdeb4491201fc390eb7a044e8b94eb0",
);
