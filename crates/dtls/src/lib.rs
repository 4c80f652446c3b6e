//! DTLS with one peer: handshake, records, connection ID, resumption.
//!
//! ```text
//! I am one DTLS association with one peer (RFC 6347, 9146, 9853), in either role.
//! I may: read and write the bytes I am handed, use the cryptography and the randomness I am handed, remember what the
//!   standards make me remember, allocate while a handshake runs.
//! I must not: know CoAP, know addresses, know other peers, know the time unless told, keep anything for a peer that has not
//!   returned a cookie, allocate for a record, fail on foreign bytes, print a secret.
//! My invariants: a record number is used once · what is handed up was authenticated and is handed up once · nothing that
//!   came before Finished can end an established association · silence, or less than was received, before the cookie.
//! Start reading at: association.rs (the life of an association), cookie.rs (before it), event.rs (what the host is told).
//! ```

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod alert;
mod association;
#[cfg(test)]
mod captures;
mod cbc;
#[cfg(feature = "x509")]
pub mod certificate;
mod cid;
mod client;
mod config;
#[cfg(feature = "server")]
pub mod cookie;
mod event;
mod failure;
mod flight;
mod handshake;
pub mod inspect;
mod keylog;
pub mod message;
mod protection;
mod reassembly;
mod record;
mod resumption;
mod rrc;
mod schedule;
#[cfg(feature = "server")]
mod server;
mod session;
mod spki;
mod suite;
#[cfg(feature = "server")]
mod ticket;
mod window;

pub use self::association::{Association, Connect, Path, Record, Transmit};
pub use self::cid::Cid;
pub use self::config::{Config, Host, OwnKey};
pub use self::event::{Answer, Credential, Event, Facts, Presented};
pub use self::failure::{Alert, DropReason, Failure, Fault, SealError, Wear};
pub use self::resumption::{Resumption, TicketKey, TicketKeys};
pub use self::suite::{CertificateType, KeyExchange, Suite};
