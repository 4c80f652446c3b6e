//! The suites: each starts what it needs once and then runs its cases.

mod abuse;
mod aiocoap;
mod bad_blocks;
mod bad_bootstrap;
mod bad_dtls;
mod bad_input;
mod bad_patience;
mod bad_registrations;
mod ctl;
mod dtls;
mod dtls_libcoap;
mod dtls_one_way;
mod dtls_peers;
mod leshan_attributes;
mod leshan_bootstrap;
mod leshan_bootstrap_server;
mod leshan_composite;
mod leshan_composite_more;
mod leshan_device;
mod leshan_json;
mod leshan_observe;
mod leshan_operations;
mod leshan_queue;
mod leshan_registration;
mod leshan_secure;
mod leshan_secure_bootstrap;
mod leshan_secure_server;
mod leshan_send;
mod leshan_server;
mod libcoap;
mod load;
mod lockstep;
mod lossy;
mod nat;
mod raw_device;
mod raw_server;
mod survival;

use crate::lightship::Program;
use crate::report::Report;
use crate::tools::Folders;

/// What every suite works with.
pub(crate) struct World {
    pub(crate) program: Program,
    pub(crate) folders: Folders,
}

/// A suite: its name, which begins its cases' names, and how it runs.
pub(crate) type Suite = (&'static str, fn(&World, &mut Report));

/// The one that only waits: it runs beside the others, whatever their number.
pub(crate) const IDLE: Suite = ("bad-input-patience", bad_patience::run);

/// All others, in the order they begin: the longest first.
pub(crate) const ALL: &[Suite] = &[
    ("survival", survival::run),
    ("lossy", lossy::run),
    ("leshan-attributes-device", leshan_attributes::their_device),
    ("leshan-attributes-server", leshan_attributes::their_server),
    ("bad-input", bad_input::run),
    ("bad-input-device", raw_server::run),
    ("bad-input-bootstrap", bad_bootstrap::server),
    ("bad-input-bootstrapped", bad_bootstrap::device),
    ("raw-device", raw_device::run),
    ("lockstep", lockstep::run),
    ("libcoap", libcoap::run),
    ("aiocoap", aiocoap::run),
    ("leshan-device", leshan_device::run),
    ("leshan-server", leshan_server::run),
    ("leshan-composite-device", leshan_composite::their_device),
    ("leshan-composite-server", leshan_composite::their_server),
    ("leshan-composites-device", leshan_composite_more::their_device),
    ("leshan-composites-server", leshan_composite_more::their_server),
    ("leshan-observe-device", leshan_observe::their_device),
    ("leshan-observe-server", leshan_observe::their_server),
    ("leshan-bootstrap-device", leshan_bootstrap::their_device),
    ("leshan-bootstrap-server", leshan_bootstrap_server::run),
    ("leshan-bootstrap-peers", leshan_bootstrap::peers),
    ("leshan-registration-device", leshan_registration::their_device),
    ("leshan-moving-device", leshan_registration::their_device_moves),
    ("leshan-registration-server", leshan_registration::their_server),
    ("leshan-queue-device", leshan_queue::their_device),
    ("leshan-queue-server", leshan_queue::their_server),
    ("sleepy-device", leshan_queue::by_hand),
    ("leshan-send-device", leshan_send::their_device),
    ("leshan-send-server", leshan_send::their_server),
    ("leshan-json-device", leshan_json::their_device),
    ("leshan-json-server", leshan_json::their_server),
    ("leshan-operations-device", leshan_operations::their_device),
    ("leshan-operations-server", leshan_operations::their_server),
    ("ctl", ctl::run),
    ("load", load::run),
    ("leshan-secure-device", leshan_secure::their_device),
    ("leshan-secure-server", leshan_secure_server::their_server),
    ("leshan-secure-bootstrap-device", leshan_secure_bootstrap::their_device),
    ("leshan-secure-bootstrap-server", leshan_secure_bootstrap::their_server),
    ("nat", nat::run),
    ("abuse", abuse::run),
    ("bad-input-dtls", bad_dtls::run),
    ("dtls-devices", dtls::devices),
    ("dtls-libcoap", dtls_libcoap::run),
    ("dtls-one-way", dtls_one_way::run),
    ("dtls-peers", dtls::peers),
    ("dtls-openssl", dtls::openssl),
    ("dtls-gnutls", dtls::gnutls),
    ("dtls-mbedtls", dtls::mbedtls),
    ("dtls-pion", dtls::pion),
];

/// Runs a start as a case of its own; the suite goes on only when it passed.
pub(crate) fn start<T>(
    report: &mut Report,
    name: &str,
    start: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let mut started = None;
    report.case(name, || {
        started = Some(start()?);
        Ok(())
    });
    started
}
