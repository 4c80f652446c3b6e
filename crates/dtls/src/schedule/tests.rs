use alloc::vec;

use lightship_platform::crypto::RustCrypto;
use serde_json::Value;

use super::*;
use crate::captures::{self, hex};

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/tls12_prf.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

#[test]
fn the_known_answers_of_the_prf_come_out() {
    let mut checked = 0;
    for vector in vectors().iter().filter(|vector| vector["hash"] == "sha256") {
        let text = |key: &str| vector[key].as_str().unwrap();
        let expected = hex(text("output"));
        let seed = hex(text("seed"));
        for split in [0, seed.len() / 2, seed.len()] {
            let (seed_1, seed_2) = seed.split_at(split);
            let mut out = vec![0; expected.len()];
            prf(&RustCrypto, &hex(text("secret")), text("label").as_bytes(), [seed_1, seed_2], &mut out);
            assert_eq!(out, expected, "{}", text("name"));
        }
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn the_known_premaster_secrets_come_out() {
    let mut checked = 0;
    for vector in vectors().iter().filter(|vector| vector.get("psk").is_some()) {
        let bytes = |key: &str| hex(vector[key].as_str().unwrap());
        let other = bytes("other_secret");
        let premaster = premaster_ecdhe_psk(&Secret::new(&other), &bytes("psk"));
        assert_eq!(premaster.bytes(), bytes("output"));
        if other.iter().all(|&byte| byte == 0) {
            assert_eq!(premaster_psk(&bytes("psk")).bytes(), bytes("output"));
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// From the premaster secret to Finished, every value of every capture.
#[test]
fn every_capture_is_derived_anew() {
    let mut with_premaster = 0;
    for capture in captures::all() {
        let name = capture.name;
        let client_random = capture.hash("client_random");
        let server_random = capture.hash("server_random");
        let master = MasterSecret::new(&capture.bytes("master_secret").unwrap()).unwrap();
        if let Some(premaster) = capture.bytes("premaster") {
            if let Some(psk) = capture.bytes("psk") {
                assert_eq!(premaster_psk(&psk).bytes(), premaster, "{name}");
            }
            let premaster = Secret::new(&premaster);
            let made = if capture.extended_master_secret() {
                extended_master_secret(&RustCrypto, &premaster, &capture.hash("session_hash"))
            } else {
                master_secret(&RustCrypto, &premaster, &client_random, &server_random)
            };
            assert_eq!(made.bytes(), master.bytes(), "{name}");
            with_premaster += 1;
        }
        let keys = keys(
            &RustCrypto,
            &master,
            &client_random,
            &server_random,
            capture.suite(),
            capture.encrypt_then_mac(),
            Role::Server,
        );
        assert_eq!(keys.block(), capture.bytes("key_block").unwrap(), "{name}");
        for (sender, key) in [(Role::Client, "client_finished"), (Role::Server, "server_finished")] {
            let hash = capture.hash(&alloc::format!("{key}/handshake_hash"));
            let expected = capture.bytes(&alloc::format!("{key}/verify_data")).unwrap();
            let made = verify_data(&RustCrypto, &master, sender, &hash);
            assert_eq!(made[..], expected, "{name}");
            assert!(is_verified(&made, &expected));
            assert!(!is_verified(&made, &expected[..11]));
            assert!(!is_verified(&made, &[0; 12]));
        }
    }
    assert!(with_premaster >= 9, "{with_premaster}");
}

#[test]
fn no_master_secret_is_printed() {
    let master = MasterSecret::new(&[0x41; 48]).unwrap();
    assert_eq!(alloc::format!("{master:?}"), "MasterSecret(…)");
    assert!(MasterSecret::new(&[0; 47]).is_none());
}
