//! A virtual world for Lightship's engines: many devices, one server, a bad network, and a model that knows what must hold.
//!
//! **I am** a host of engines that replaces sockets, clock and operators by a seed.
//! **I may** allocate, keep every datagram, and panic when an engine breaks its word.
//! **I must not** read a clock, draw randomness other than from the seed, or be depended upon.
//! **My invariants**: one seed, one transcript.
//! **Start reading at** [`network`].

pub mod network;
