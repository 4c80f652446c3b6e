//! Benchmarks of Lightship beside other libraries.
//!
//! I am the stop-watch: the figures in `BENCHMARKS.md` come from the programs in `benches/` and `src/bin/`.
//! I may: use every room, read a clock, open sockets on loopback.
//! I must not: be a dependency of any room, or compare what was not measured in the same run.
//! My invariants: what is compared does the same work on the same bytes.
//! Start reading at: `src/bin/formats.rs`.

pub mod filled;
pub mod others;
pub mod program;
pub mod report;
pub mod udp;

pub use lightship_hot::{crew, documents, memory_shard, session, traffic};

/// The same allocator as in the program.
#[global_allocator]
static ALLOCATOR: lightship_net::Heap = lightship_net::Heap;

/// Resident memory of this process in bytes; 0 where the system does not tell.
#[must_use]
pub fn resident() -> usize {
    resident_of("self")
}

/// The same of another process, named by its number.
#[must_use]
pub fn resident_of(process: &str) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
