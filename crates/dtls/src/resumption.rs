//! What outlives an association so that the next one is cheap.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use lightship_platform::Instant;
use lightship_platform::crypto::{Aead, Crypto, Secret, Sha256};
use zeroize::Zeroizing;

use crate::message::Reader;
use crate::schedule::MasterSecret;
use crate::{Cid, Host, Suite};

/// What a session can be resumed with (RFC 5246 §7.3, RFC 5077), on either side.
#[derive(Clone, PartialEq, Eq)]
pub struct Resumption {
    /// The session ID, 1 to 32 bytes; empty if there is only a ticket.
    pub session_id: Box<[u8]>,
    /// The ticket that a server gave; empty if there is only an ID, and on the server's side.
    pub ticket: Box<[u8]>,
    /// The master secret, 48 bytes.
    pub master_secret: Secret,
    /// The suite.
    pub suite: Suite,
    /// Whether the master secret was made with the extended rule (RFC 7627).
    pub extended_master_secret: bool,
    /// The note under which the host accepted the peer.
    pub note: Box<[u8]>,
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Keys that seal session tickets; the same on every shard and node that shall take them.
#[derive(Clone, Debug)]
pub struct TicketKeys {
    /// Seals new tickets.
    pub current: TicketKey,
    /// Still opens older ones.
    pub previous: Option<TicketKey>,
    /// How long a ticket is good.
    pub lifetime: Duration,
}

impl TicketKeys {
    /// Where a ticket was given: the first two bytes of the connection ID that [`Association::accept`](crate::Association::accept)
    /// got then; `None` if the ticket is too short. Nothing is checked: anybody can write such bytes, and tickets of others have any
    /// there, so they may steer a ClientHello, and nothing else.
    #[must_use]
    pub fn origin_of(ticket: &[u8]) -> Option<[u8; ORIGIN_LEN]> {
        ticket.get(NAME_LEN..FRONT_LEN)?.first_chunk().copied()
    }

    fn named(&self, name: [u8; NAME_LEN]) -> Option<&TicketKey> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key.name == name)
    }
}

/// One key for tickets.
#[derive(Clone, Debug)]
pub struct TicketKey {
    /// Which one it is; stands in the ticket.
    pub name: [u8; NAME_LEN],
    /// 16 bytes.
    pub key: Secret,
    /// When it came into use.
    pub since: Instant,
}

/// Length of a key's name.
const NAME_LEN: usize = 8;
/// Length of what says in a ticket where it was given.
const ORIGIN_LEN: usize = 2;
/// Length of the nonce in a ticket.
const NONCE_LEN: usize = 12;
/// Length of what stands in clear before the nonce: the key's name, the origin.
const FRONT_LEN: usize = NAME_LEN + ORIGIN_LEN;
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

/// Seals what a session can be resumed with: `name8 | origin2 | nonce12 | sealed (version1 suite2 extended1 age4 server's name8
/// master48 note) | tag`. Name and origin stand in clear and are authenticated; the origin is the front of our connection ID, zeros
/// if that is shorter. The age counts from the key's first use, so that it means the same on every node.
pub(crate) fn seal_ticket(
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
pub(crate) fn open_ticket(
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
