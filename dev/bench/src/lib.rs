//! Benchmarks of Lightship beside other libraries.
//!
//! I am the stop-watch: the figures in `BENCHMARKS.md` come from the programs in `benches/` and `src/bin/`.
//! I may: use every room, read a clock, open sockets on loopback.
//! I must not: be a dependency of any room, or compare what was not measured in the same run.
//! My invariants: what is compared does the same work on the same bytes.
//! Start reading at: `src/bin/formats.rs`.

pub mod others;
pub mod report;
pub mod udp;

pub use lightship_hot::{crew, documents, memory_shard, session, traffic};
