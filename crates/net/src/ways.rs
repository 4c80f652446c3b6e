//! Which of our sockets and addresses lead to whom, over an orderly restart: a server with several of them asks a device from where the
//! device knows it (TS_Transport 6.4.1), also before the device has said anything to the new process.
//!
//! They stand behind what the shard is as bytes: `shard  ways  length of the ways(8)`. A way is a line, `-` for none:
//! `plain|secured  listening address  address of ours  address of the other side`; without the latter it is the usual way of a socket.

use std::fmt::Write as _;
use std::net::SocketAddr;

use lightship_server::Frozen;

use crate::socket_group::{Kind, SocketGroup, Sockets, Way};

/// A frozen shard with its ways.
pub(crate) fn join(frozen: &Frozen, sockets: &mut Sockets) -> Frozen {
    let mut ways = String::new();
    for (kind, name) in KINDS {
        sockets.of(kind).each_way(|bound, local, peer| {
            let local = local.map_or_else(|| NONE.to_owned(), |local| local.to_string());
            let peer = peer.map_or_else(|| NONE.to_owned(), |peer| peer.to_string());
            // Into a text it goes always.
            let _ = writeln!(ways, "{name} {bound} {local} {peer}");
        });
    }
    let shard = frozen.as_bytes();
    let len = u64::try_from(ways.len()).unwrap_or(0).to_be_bytes();
    // Reserved at once, so that no copy of a key is left behind when it grows.
    let mut bytes = Vec::with_capacity(shard.len() + ways.len() + len.len());
    [shard, ways.as_bytes(), &len].into_iter().for_each(|part| bytes.extend_from_slice(part));
    Frozen::from_bytes(bytes)
}

/// Takes them apart again: the sockets know the ways that still exist, and the shard is given back.
pub(crate) fn split(joined: &Frozen, sockets: &mut Sockets) -> Option<Frozen> {
    let (bytes, len) = joined.as_bytes().split_last_chunk()?;
    let at = bytes.len().checked_sub(usize::try_from(u64::from_be_bytes(*len)).ok()?)?;
    let (shard, ways) = bytes.split_at_checked(at)?;
    for line in std::str::from_utf8(ways).ok()?.lines() {
        // A socket that is not there any more leads nowhere.
        let _ = recall(line, sockets);
    }
    Some(Frozen::from_bytes(shard.to_vec()))
}

fn recall(line: &str, sockets: &mut Sockets) -> Option<()> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let (kind, _) = KINDS.into_iter().find(|(_, known)| *known == name)?;
    let group: &mut SocketGroup = sockets.of(kind);
    let bound: SocketAddr = words.next()?.parse().ok()?;
    let local = Some(words.next()?).filter(|word| *word != NONE).map(str::parse).transpose().ok()?;
    let peer = Some(words.next()?).filter(|word| *word != NONE).map(str::parse).transpose().ok()?;
    let way = Way { socket: group.position(bound)?, local };
    group.recall(peer, way);
    Some(())
}

const KINDS: [(Kind, &str); 2] = [(Kind::Plain, "plain"), (Kind::Secured, "secured")];
const NONE: &str = "-";
