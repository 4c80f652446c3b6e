//! Moves datagrams between sockets and Lightship's engines.
//!
//! ```text
//! I am the only one who touches UDP sockets: shard threads for servers, a driver for devices, a fleet for
//!   devices that are simulated by the thousand.
//! I may: open sockets, start threads, read the clock, call the system (in sys/ alone).
//! I must not: know what a datagram means (but for what the filters in sys/ read off its first bytes), decide anything about
//!   devices, keep state that an engine could keep.
//! My invariants: every queue has a bound · an event is never lost: when nobody reads, sockets are not read · a datagram
//!   is handed to another shard at most once · no datagram and no answer of the network kills a socket.
//! Start reading at: shard_thread.rs (the loop), then inbox.rs; shedding.rs for floods.
//! ```

mod bootstrap_thread;
pub mod client_driver;
mod clock;
mod echo;
mod events;
mod feed;
pub mod fleet;
mod followers;
mod inbox;
mod shard_thread;
mod shards;
mod shedding;
mod socket_group;
mod sys;
mod udp;
mod ways;

pub use bootstrap_thread::{BootstrapInbox, BootstrapOptions, BootstrapThread};
pub use clock::{Clock, Look};
pub use echo::Echo;
pub use events::{Events, ShardEvent, ShardEvents};
pub use feed::{Feed, RestoredRegistration, StoredRegistration, TakeRestored};
pub use followers::{TraceFollow, TraceNews};
pub use inbox::{InboxError, Reply, ShardInbox, ShardStats, SocketStats, Wait};
pub use shards::{Before, ListenError, Options, Shards};
pub use sys::{Heap, tidy_heap};

// What my interface speaks of, so that a host needs no further room for it.
pub use lightship_server::Frozen;
pub use udp::Steering;
