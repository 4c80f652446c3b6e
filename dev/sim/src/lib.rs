//! A virtual world for Lightship's engines: many devices, one server, a bad network, and a model of what must hold.
//!
//! **I am** a host of engines that replaces sockets, clock and operators by a seed.
//! **I may** allocate, and panic when an engine breaks its word.
//! **I must not** read a clock, draw randomness other than from the seed, or be depended upon by a product crate.
//! **My invariants**: one seed, one transcript · what a scenario does to the world ends before the checks begin.
//! **Start reading at** [`scenario`] (what a seed means and what must hold), then [`world`] and [`host`].

pub mod device;
pub mod host;
pub mod network;
pub mod scenario;
pub mod world;

pub use scenario::{Report, Scenario};
