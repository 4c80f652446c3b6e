//! Tickets over an orderly stop; those over a crash are in `crates/lightship/tests/restarts.rs`.

use std::time::Duration;

use super::secured::{NAME, Secured, psk};
use super::sessions::{in_folder, put_psk, restarted};

const KEY: &str = "6c69676874736869702d6b65792d3132";

// Proves: DTL-14
#[test]
fn a_ticket_of_before_an_orderly_stop_resumes_the_session_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = in_folder(folder.path());
    put_psk(&server, "dev-7", "id-7");
    let again = |server: &super::support::Server, resumption| {
        let mut device =
            Secured::connect_with(server.coaps(), psk(b"id-7", KEY), Some(resumption), Some(NAME));
        let resumed = device.facts.as_ref().expect("a session").resumed;
        assert_eq!(device.register("dev-7"), Some(0x41));
        (resumed, device.resumption.take())
    };
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert!(!device.facts.as_ref().expect("a session").resumed);
    assert_eq!(device.register("dev-7"), Some(0x41));
    let first = device.resumption.take().expect("a ticket");
    // Nothing of sessions is handed over, so that the server knows this one by the device's ticket alone.
    let nothing = |config: &mut lightship_service::Config| config.security.hand_over = Duration::ZERO;
    let server = restarted(server, folder.path(), nothing);
    assert!(!folder.path().join("hand-over").exists());
    let (resumed, newer) = again(&server, first.clone());
    assert!(resumed);
    // And over one more stop, also the ticket of two stops ago.
    let server = restarted(server, folder.path(), nothing);
    assert!(again(&server, newer.unwrap_or_else(|| first.clone())).0);
    assert!(again(&server, first.clone()).0);
    // A server whose folder it is not cannot read it: a full handshake.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = in_folder(elsewhere.path());
    put_psk(&other, "dev-7", "id-7");
    assert!(!again(&other, first.clone()).0);
    // Where nothing is to be resumed the keys are gone, for good.
    let server = restarted(server, folder.path(), |config| config.security.resumption = Duration::ZERO);
    assert!(!again(&server, first.clone()).0);
    let server = restarted(server, folder.path(), nothing);
    assert!(!again(&server, first).0);
}
