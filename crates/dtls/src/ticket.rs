//! Session tickets (RFC 5077): what a server would have to keep, sealed and given to the client.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use lightship_platform::Instant;
use lightship_platform::crypto::{Aead, Crypto, Secret, Sha256};
use zeroize::Zeroizing;

use crate::message::Reader;
use crate::resumption::{FRONT_LEN, NAME_LEN, ORIGIN_LEN};
use crate::schedule::MasterSecret;
use crate::{Cid, Host, Resumption, Suite, TicketKey, TicketKeys};

/// Length of the nonce in a ticket.
const NONCE_LEN: usize = 12;
/// The version of what stands in a ticket.
const TICKET_VERSION: u8 = 3;
/// What seals tickets.
const TICKET_AEAD: Aead = Aead::Aes128Gcm;

/// What stands for a server's name in a ticket: the first bytes of the SHA-256 of the name in lower case, zeros for none.
type NameTag = [u8; 8];

fn tag_of(server_name: Option<&str>) -> NameTag {
    let hash = server_name.map(|name| Sha256::of(name.to_ascii_lowercase().as_bytes()));
    hash.and_then(|hash| hash.first_chunk().copied()).unwrap_or_default()
}

impl TicketKeys {
    fn named(&self, name: [u8; NAME_LEN]) -> Option<&TicketKey> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key.name == name)
    }
}

/// Seals what a session can be resumed with: `name8 | origin2 | nonce12 | sealed (version1 suite2 extended1 age4 server's name8
/// master48 note) | tag`. Name and origin stand in clear and are authenticated; the origin is the front of our connection ID, zeros
/// if that is shorter. The age counts from the key's first use, so that it means the same on every node.
pub(crate) fn seal(
    keys: &TicketKeys,
    host: &mut Host<'_>,
    own_cid: &Cid,
    resumption: &Resumption,
    server_name: Option<&str>,
) -> Option<Vec<u8>> {
    let TicketKey { name, key, since } = &keys.current;
    let age_s = host.now.saturating_duration_since(*since).as_secs();
    let mut nonce = [0; NONCE_LEN];
    host.rng.fill(&mut nonce);
    let mut ticket = Vec::with_capacity(128 + resumption.note.len());
    ticket.extend_from_slice(name);
    ticket.extend_from_slice(&own_cid.bytes().first_chunk::<ORIGIN_LEN>().copied().unwrap_or_default());
    ticket.extend_from_slice(&nonce);
    ticket.push(TICKET_VERSION);
    ticket.extend_from_slice(&resumption.suite.number().to_be_bytes());
    ticket.push(resumption.extended_master_secret.into());
    ticket.extend_from_slice(&u32::try_from(age_s).ok()?.to_be_bytes());
    ticket.extend_from_slice(&tag_of(server_name));
    ticket.extend_from_slice(resumption.master_secret.bytes());
    ticket.extend_from_slice(&resumption.note);
    let (front, sealed) = ticket.split_at_mut_checked(FRONT_LEN + NONCE_LEN)?;
    let clear = front.get(..FRONT_LEN)?;
    let tag = host.crypto.seal(TICKET_AEAD, key.bytes(), &nonce, clear, sealed).ok()?;
    ticket.extend_from_slice(tag.get(..TICKET_AEAD.tag_len())?);
    Some(ticket)
}

/// Opens a ticket of ours that is not too old, and was given under the same server name (RFC 6066 §3).
pub(crate) fn open(
    keys: &TicketKeys,
    crypto: &dyn Crypto,
    now: Instant,
    ticket: &[u8],
    server_name: Option<&str>,
) -> Option<Resumption> {
    let mut reader = Reader::new(ticket);
    let clear: &[u8; FRONT_LEN] = reader.array()?;
    let nonce: &[u8; NONCE_LEN] = reader.array()?;
    let key = keys.named(*clear.first_chunk()?)?;
    let (sealed, tag) =
        reader.rest().split_at_checked(reader.rest().len().checked_sub(TICKET_AEAD.tag_len())?)?;
    let mut opened = Zeroizing::new(sealed.to_vec());
    crypto.open(TICKET_AEAD, key.key.bytes(), nonce, clear, &mut opened, tag).ok()?;
    let mut reader = Reader::new(&opened);
    if reader.u8()? != TICKET_VERSION {
        return None;
    }
    let suite = Suite::from_number(reader.u16()?)?;
    let extended_master_secret = reader.u8()? != 0;
    let made_at = key.since + Duration::from_secs(u32::from_be_bytes(*reader.array()?).into());
    if now.saturating_duration_since(made_at) > keys.lifetime {
        return None;
    }
    let name_tag: &NameTag = reader.array()?;
    if *name_tag != tag_of(server_name) {
        return None;
    }
    let master_secret = Secret::new(reader.take(MasterSecret::LEN)?);
    Some(Resumption {
        session_id: Box::default(),
        ticket: Box::default(),
        master_secret,
        suite,
        extended_master_secret,
        note: reader.rest().into(),
    })
}
