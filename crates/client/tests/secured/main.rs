//! The engine behind DTLS under virtual time, against servers whose CoAP is played by hand.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod accounts;
mod bootstrap;
mod sessions;
mod world;
