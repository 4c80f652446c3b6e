//! A virtual world for Lightship's engines: many devices, one server, a bad network, and a model of what must hold.
//!
//! **I am** a host of engines that replaces sockets, clock and operators by a seed.
//! **I may** allocate, and panic when an engine breaks its word.
//! **I must not** read a clock, draw randomness other than from the seed, or be depended upon by a product crate.
//! **My invariants**: one seed, one transcript · what a scenario does to the world ends before the checks begin.
//! **Start reading at** [`scenario`] (what a seed means and what must hold), then [`world`] and [`host`];
//! [`case`] plays what the test specification tells, [`duel`] holds one device against the reference [`model`].

#[allow(clippy::wildcard_enum_match_arm, reason = "a case looks for one event")]
pub mod case;
pub mod device;
#[allow(clippy::wildcard_enum_match_arm, reason = "a comparison looks for one event or value")]
pub mod duel;
#[allow(
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_wrap,
    reason = "a host waits for few events, and numbers are small"
)]
pub mod fleet;
pub mod host;
#[allow(clippy::wildcard_enum_match_arm, reason = "what reads and what changes are apart")]
pub mod model;
pub mod network;
#[allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event")]
pub mod pair;
pub mod scenario;
pub mod security;
pub mod world;
pub mod year;

pub use scenario::{Report, Scenario};
