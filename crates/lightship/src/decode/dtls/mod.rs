//! DTLS 1.2 as lines of text: records, handshake messages and alerts, and for whoever gives the secrets what is protected.
//!
//! `association` remembers what both sides agreed on, `secrets` what opens it, `message` spells handshake messages out.

mod association;
mod message;
mod names;
mod secrets;

pub(super) use self::secrets::Given;

use self::association::Association;
use super::dissect::{self, Conversation, Dissection};
use super::hex;
use lightship_dtls::Alert;
use lightship_dtls::inspect::{Record, Role};
use lightship_dtls::message::{Fragment, Kind};
use std::collections::VecDeque;

/// Associations that are remembered; more are forgotten, the oldest first.
const ASSOCIATIONS_MAX: usize = 1000;
/// The longest connection ID that is guessed where nothing tells its length.
const GUESSED_CID_LEN_MAX: usize = 32;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CID: u8 = 25;
const RETURN_ROUTABILITY: u8 = 27;

/// Whether this begins like a record of DTLS 1.0 or 1.2; no CoAP message does.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23 | CID | RETURN_ROUTABILITY, 0xfe, 0xfd | 0xff, ..])
}

/// Who sends to whom; both the same where nothing is known of it.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// All that was seen so far.
#[derive(Default)]
pub(super) struct Sessions {
    given: Given,
    associations: VecDeque<Association>,
    count: u64,
}

impl Sessions {
    /// Nothing was seen yet; this opens what is protected.
    pub(super) fn new(given: Given) -> Self {
        Self { given, ..Self::default() }
    }

    /// Where the association of this datagram stands, by the addresses or, after a change of those, by the connection ID.
    fn find(&self, way: Way<'_>, datagram: &[u8]) -> Option<usize> {
        let known = |one: &Association| one.is_between(way.from, way.to);
        let by_cid = |one: &Association| one.sender_by_cid(datagram).is_some();
        let newest = |is: &dyn Fn(&Association) -> bool| self.associations.iter().rposition(is);
        if datagram.first() != Some(&CID) {
            return newest(&known);
        }
        newest(&|one| known(one) && by_cid(one)).or_else(|| newest(&by_cid)).or_else(|| newest(&known))
    }

    fn open(&mut self, way: Way<'_>, datagram: &[u8]) -> usize {
        if let Some(at) = self.find(way, datagram) {
            return at;
        }
        if self.associations.len() == ASSOCIATIONS_MAX {
            self.associations.pop_front();
        }
        self.count += 1;
        self.associations.push_back(Association::new(way.from, way.to, self.count));
        self.associations.len() - 1
    }
}

/// Dissects one datagram of records.
pub(super) fn datagram(
    bytes: &[u8],
    way: Way<'_>,
    sessions: &mut Sessions,
    conversation: &mut Conversation,
) -> Dissection {
    let mut found = Dissection { lines: Vec::new(), sound: true };
    let mut at = 0;
    while at < bytes.len() {
        let index = sessions.open(way, bytes.get(at..).unwrap_or_default());
        let Some(association) = sessions.associations.get_mut(index) else { break };
        let cid_len = cid_len(association, way, bytes, at);
        let record = match Record::read(bytes, at, cid_len) {
            Ok(record) => record,
            Err(reason) => {
                let rest = bytes.get(at..).unwrap_or_default();
                found.lines.push(format!("! no DTLS record at byte {at}, {} bytes: {reason:?}", rest.len()));
                found.lines.push(format!("  {}", hex::print(rest)));
                found.sound = false;
                break;
            }
        };
        at = record.fragment.end;
        found.lines.push(head(bytes, &record));
        let inside = if record.epoch == 0 {
            let plain = bytes.get(record.fragment.clone()).unwrap_or_default();
            let begins = plain.first() == Some(&(Kind::ClientHello as u8));
            if record.content_type == HANDSHAKE && begins && way.from != way.to {
                association.client_is(way.from);
            }
            let sender = association.sender(way.from, way.to);
            content(record.content_type, plain, sender, association, conversation)
        } else {
            protected(bytes, &record, way, association, &mut sessions.given, conversation)
        };
        found.lines.extend(inside.lines.iter().map(|line| format!("  {line}")));
        found.sound &= inside.sound;
    }
    found
}

/// How long the connection ID of the record at `at` is: as both sides agreed, or such that the datagram comes out even.
fn cid_len(association: &Association, way: Way<'_>, bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.first() != Some(&CID) {
        return 0;
    }
    let sender = association.sender(way.from, way.to).or_else(|| association.sender_by_cid(rest));
    if let Some(len) = sender.and_then(|sender| association.cid_len(sender)) {
        return len;
    }
    let fits = |len: &usize| {
        Record::read(bytes, at, *len).is_ok_and(|record| {
            record.fragment.end == bytes.len()
                || is_record(bytes.get(record.fragment.end..).unwrap_or_default())
        })
    };
    (1..=GUESSED_CID_LEN_MAX).find(fits).unwrap_or(0)
}

fn head(bytes: &[u8], record: &Record) -> String {
    let version = match bytes.get(record.cid.start.saturating_sub(9)) {
        Some(0xff) => "1.0",
        _ => "1.2",
    };
    let cid = match bytes.get(record.cid.clone()) {
        Some([_, ..]) => {
            format!(", connection ID {}", hex::print(bytes.get(record.cid.clone()).unwrap_or_default()))
        }
        _ => String::new(),
    };
    let kind = names::content_type(record.content_type);
    let len = record.fragment.len();
    format!("DTLS {version} {kind}, epoch {}, record {}{cid}, {len} bytes", record.epoch, record.sequence)
}

fn protected(
    bytes: &[u8],
    record: &Record,
    way: Way<'_>,
    association: &mut Association,
    given: &mut Given,
    conversation: &mut Conversation,
) -> Dissection {
    let plain = |text: &str| Dissection { lines: vec![text.to_owned()], sound: true };
    if given.is_empty() {
        return plain("protected; --keylog or --psk opens it");
    }
    if record.epoch != 1 {
        return plain("protected by another handshake; those are not followed");
    }
    let sender = association.sender(way.from, way.to).or_else(|| association.sender_by_cid(bytes));
    match association.unprotect(given, sender, bytes, record) {
        Ok((sender, kind, inner)) => {
            let mut found = content(kind, &inner, Some(sender), association, conversation);
            found.lines.insert(0, format!("opened: {}, {} bytes", names::content_type(kind), inner.len()));
            for line in found.lines.iter_mut().skip(1) {
                line.insert_str(0, "  ");
            }
            found
        }
        Err(why) => plain(&format!("protected; not opened: {why}")),
    }
}

/// What a record holds, once it is plain.
fn content(
    kind: u8,
    bytes: &[u8],
    sender: Option<Role>,
    association: &mut Association,
    conversation: &mut Conversation,
) -> Dissection {
    let say = |text: String, sound| Dissection { lines: vec![text], sound };
    match (kind, bytes) {
        (CHANGE_CIPHER_SPEC, [1]) => say("what follows from this side is protected".to_owned(), true),
        (ALERT, [level @ (1 | 2), number]) => {
            let grave = if *level == 2 { "fatal" } else { "warning" };
            say(format!("{grave}: {} ({number})", Alert(*number).name()), true)
        }
        (HANDSHAKE, bytes) => handshake(bytes, sender, association),
        (APPLICATION_DATA, bytes) => dissect::message(bytes, &association.name(), conversation),
        (RETURN_ROUTABILITY, [step @ 0..=2, cookie @ ..]) if cookie.len() == 8 => {
            let step = ["path_challenge", "path_response", "path_drop"].get(usize::from(*step));
            say(format!("{}, cookie {}", step.unwrap_or(&"?"), hex::print(cookie)), true)
        }
        (_, bytes) => say(format!("! not of that kind: {}", hex::print(bytes)), false),
    }
}

fn handshake(bytes: &[u8], sender: Option<Role>, association: &mut Association) -> Dissection {
    let mut found = Dissection { lines: Vec::new(), sound: true };
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((fragment, behind)) = Fragment::read(rest) else {
            found.lines.push(format!("! no handshake message: {}", hex::print(rest)));
            found.sound = false;
            break;
        };
        rest = behind;
        let kind = Kind::from_number(fragment.kind);
        let name =
            kind.map_or_else(|| format!("message of type {}", fragment.kind), |kind| format!("{kind:?}"));
        let part = if fragment.is_whole() {
            String::new()
        } else {
            format!(", bytes {} to {}", fragment.offset, fragment.offset + fragment.body.len())
        };
        found.lines.push(format!("{name}, message {}, {} bytes{part}", fragment.sequence, fragment.len));
        let sender = kind.and_then(message::sender_of).or(sender);
        if let Some(raw) = association.take(sender, &fragment)
            && let Some(kind) = kind
        {
            let suite = association.suite();
            let spelled = message::lines(kind, raw.get(12..).unwrap_or_default(), suite);
            found.lines.extend(spelled.lines.iter().map(|line| format!("  {line}")));
            found.sound &= spelled.sound;
        }
    }
    found
}

#[cfg(test)]
mod tests;
