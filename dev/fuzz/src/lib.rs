//! I am the collection of fuzz targets: functions that take any bytes and must return.
//!
//! I may: use every room; panic when a room breaks its word.
//! I must not: be a dependency of any room, or read a clock: the same bytes always do the same.
//! My invariants: a target is a plain function of bytes, so that a finding is a file that `replay` repeats.
//! Start reading at: [`TARGETS`].

mod bootstrap;
mod certificates;
mod coap;
pub mod corpus;
mod decode;
mod documents;
mod dtls;
mod engines;
mod lwm2m;
mod pair;
mod script;
// What `decode` prints values with.
#[cfg_attr(not(test), expect(dead_code, reason = "the program also reads values with it"))]
#[path = "../../../crates/lightship/src/value_text.rs"]
mod value_text;

/// A target and its name, which is also the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("coap_message", coap::message),
    ("coap_link", coap::link),
    ("coap_peer", coap::peer),
    ("coap_pair", pair::pair),
    ("lwm2m_format", lwm2m::format),
    ("lwm2m_text", lwm2m::text),
    ("lwm2m_uplink", lwm2m::uplink),
    ("lwm2m_composite", lwm2m::composite),
    ("model_xml", documents::xml),
    ("api_node", documents::node),
    ("decode", decode::decode),
    ("server_shard", engines::shard),
    ("lwm2m_bootstrap", bootstrap::messages),
    ("server_bootstrap", bootstrap::server),
    ("client_engine", engines::client),
    ("certificate_chain", certificates::chain),
    ("certificate_file", certificates::file),
    ("dtls_record", dtls::record::records),
    ("dtls_handshake", dtls::handshake::handshake),
    ("server_secured", dtls::shard::secured),
];
