//! The hot paths of a server, each to be done again and again.
//!
//! I am what is counted: `cargo xtask instructions` runs my program; the stop-watch in `dev/bench` uses my devices.
//! I may: use every room but those with sockets and files, play host to a shard.
//! I must not: be a dependency of any room, read a clock, depend on more than the rooms do (I am built by each check).
//! My invariants: what is done is the same each time, but for numbers that count up.
//! Start reading at: `hot.rs`.

pub mod crew;
pub mod documents;
pub mod hot;
pub mod memory_shard;
pub mod session;
pub mod traffic;
