//! The LwM2M server process: shards, store, REST, events, web UI.
//!
//! ```text
//! I am the server process: I join shards, store, REST, events and the web UI, and decide little.
//! I may: read the configuration, the clock, files of the data folder; open HTTP sockets; start and stop threads.
//! I must not: parse CoAP, know message IDs or retransmissions, write anywhere but through a batch of the store.
//! My invariants: every queue has a bound · a slow reader never holds another · an event is in the log before it is
//!   told to anyone · what is wanted (observations) is stored before it is promised.
//! Start reading at: start.rs (what a server is made of), then journal.rs (events of the shards), rest/mod.rs.
//! ```

mod access;
pub mod archive;
mod bootstrap;
pub mod config;
mod content;
mod core;
mod deviation;
mod directory;
mod filter;
mod fleet;
mod hand_over;
mod http;
mod journal;
mod listen;
mod metrics;
mod models;
mod queue;
mod random;
mod rest;
mod restart;
mod security;
mod start;
mod take_over;
mod trace;
mod ui;

pub use config::{Config, ConfigError, RawConfig};
pub use models::ModelError;
pub use security::{KeyError, SealError, open_key_log};
pub use start::{Listener, Running, Service, Signals, StartError, run};
