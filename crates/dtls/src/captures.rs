//! The captured exchanges with every intermediate value, for tests.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::protection::{Keys, Role};
use crate::{Cid, Suite};

macro_rules! vector {
    ($name:literal) => {
        ($name, include_str!(concat!("../tests/vectors/", $name, ".json")))
    };
}

const FILES: [(&str, &str); 11] = [
    vector!("dtls12_cid_cbc"),
    vector!("dtls12_cid_ccm8"),
    vector!("dtls12_cid_gcm"),
    vector!("dtls12_cid_oneway"),
    vector!("dtls12_ecdhe_ecdsa_ccm8"),
    vector!("dtls12_noems_ccm8"),
    vector!("dtls12_psk_cbc"),
    vector!("dtls12_psk_cbc_etm"),
    vector!("dtls12_psk_ccm8"),
    vector!("dtls12_psk_gcm"),
    vector!("dtls12_rpk_ccm8_cid"),
];

/// A captured exchange.
pub(crate) struct Capture {
    /// The name of its file.
    pub(crate) name: &'static str,
    value: Value,
}

/// One record of it.
pub(crate) struct Captured {
    pub(crate) sender: Role,
    pub(crate) wire: Vec<u8>,
    pub(crate) epoch: u16,
    pub(crate) sequence: u64,
    pub(crate) content_type: u8,
    pub(crate) plaintext: Vec<u8>,
}

/// All captures.
pub(crate) fn all() -> impl Iterator<Item = Capture> {
    FILES.into_iter().map(|(name, text)| {
        let file: Value = serde_json::from_str(text).expect("a vector file is JSON");
        Capture { name, value: file["vectors"][0].clone() }
    })
}

/// The bytes of a hexadecimal string.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "whole bytes");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

impl Capture {
    /// The bytes at `path` (keys separated by slashes); `None` if the capture does not tell them.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let value = path.split('/').try_fold(&self.value, |value, key| value.get(key))?;
        Some(hex(value.as_str()?))
    }

    /// The 32 bytes at `path`.
    pub(crate) fn hash(&self, path: &str) -> [u8; 32] {
        self.bytes(path).and_then(|bytes| bytes.try_into().ok()).expect("32 bytes")
    }

    pub(crate) fn extended_master_secret(&self) -> bool {
        self.value["ems"].as_bool().expect("a flag")
    }

    pub(crate) fn suite(&self) -> Suite {
        let text = self.value["cipher_suite"].as_str().expect("a number");
        Suite::from_number(u16::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex"))
            .expect("a suite of ours")
    }

    pub(crate) fn encrypt_then_mac(&self) -> bool {
        self.records_json().any(|record| record["etm"] == true)
    }

    /// The keys as `role` holds them.
    pub(crate) fn keys(&self, role: Role) -> Keys {
        let block = self.bytes("key_block").expect("a key block");
        Keys::derive(self.suite(), self.encrypt_then_mac(), role, |room| room.copy_from_slice(&block))
    }

    /// The connection ID in protected records of `sender`.
    pub(crate) fn cid(&self, sender: Role) -> Cid {
        let direction = direction_of(sender);
        let cid = self
            .records_json()
            .filter(|record| record["dir"] == direction)
            .find_map(|record| Some(hex(record["cid"].as_str()?)).filter(|cid| !cid.is_empty()));
        Cid::new(&cid.unwrap_or_default()).expect("a connection ID")
    }

    fn records_json(&self) -> impl Iterator<Item = &Value> {
        self.value["records"].as_array().expect("records").iter()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Captured> {
        self.records_json().map(|record| {
            let number = |key: &str| record[key].as_u64();
            let bytes = |key: &str| record[key].as_str().map(hex);
            let sender =
                if record["dir"] == direction_of(Role::Client) { Role::Client } else { Role::Server };
            Captured {
                sender,
                wire: bytes("record").expect("a record"),
                epoch: number("epoch").and_then(|epoch| epoch.try_into().ok()).expect("an epoch"),
                sequence: number("seq").expect("a number"),
                content_type: number("real_type")
                    .or(number("content_type"))
                    .and_then(|kind| kind.try_into().ok())
                    .expect("a type"),
                plaintext: bytes("plaintext").unwrap_or_default(),
            }
        })
    }
}

fn direction_of(sender: Role) -> String {
    String::from(match sender {
        Role::Client => "C>S",
        Role::Server => "S>C",
    })
}
