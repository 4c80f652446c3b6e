//! The engine under virtual time, against servers played by hand.

mod access;
mod alternate_path;
mod bench;
#[cfg(feature = "bootstrap")]
mod bootstrap;
mod by_hand;
mod combinations;
mod composite;
mod enrol;
mod formats;
mod gates;
mod observe;
mod operations;
mod random;
mod register;
#[cfg(feature = "bootstrap")]
mod removed_server;
mod rules;
mod send;
mod server_object;
mod sleep;
mod storing;
