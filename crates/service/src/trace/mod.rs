//! The trace of a device: what shards and Bootstrap-Server have recorded, put in order, joined and read.
//!
//! ```text
//!   shard ──┐ TraceChunk                                          ┌── shown: items of the API
//!   shard ──┼────────────► gather ──► Joiner: what belongs ──► Reader: what it says, ──┤
//!   Bootstrap-Server ──┘   in order    together, and means        and what is hidden   └── pcapng: a capture
//! ```

mod exchange;
mod gather;
mod packet;
mod pcapng;
mod read;
mod reason;
mod shown;

pub(crate) use exchange::Joiner;
pub(crate) use gather::{Gathered, Place, follow, gather, run};
pub(crate) use pcapng::capture;
pub(crate) use shown::items;
