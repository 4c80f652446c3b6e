//! Credentials from flags and files, and what becomes of them in `/0`.

use crate::cli::{Cli, Command};
use crate::device::Settings;
use clap::Parser;
use lightship_client::crypto::{Crypto, Digest};
use lightship_client::{Account, SecurityMode};
use lightship_platform::crypto::FastCrypto;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/credentials");
/// The start of every public key of the curve P-256.
const SPKI: &[u8] = &[0x30, 0x59, 0x30, 0x13];

fn loaded(flags: &str) -> Result<Settings, String> {
    let line = format!("lightship device {}", flags.replace('@', FOLDER));
    let cli = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
    let Command::Device(arguments) = cli.command else { panic!("not device") };
    Settings::load(*arguments).map_err(|failure| format!("{failure:?}"))
}

fn account(flags: &str) -> Account {
    let settings = loaded(&format!("--server coaps://lwm2m.example {flags}"));
    settings.unwrap_or_else(|error| panic!("{flags}: {error}")).accounts.remove(0)
}

fn from_file(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    std::fs::write(&file, text.replace('@', FOLDER)).unwrap();
    loaded(&format!("--config {}", file.display()))
}

// Proves: DTL-03
#[test]
fn a_pre_shared_key_is_an_identity_and_bytes() {
    let security = account("--psk-identity dev-7 --psk-key 0011aaFF").security;
    assert_eq!((security.mode, security.identity.as_slice()), (SecurityMode::Psk, &b"dev-7"[..]));
    assert_eq!(security.key.as_slice(), [0x00, 0x11, 0xaa, 0xff]);
    let identity = "i".repeat(128);
    let key = "5a".repeat(64);
    let security = account(&format!("--psk-identity {identity} --psk-key {key}")).security;
    assert_eq!((security.identity.as_slice().len(), security.key.as_slice().len()), (128, 64));
}

#[test]
fn raw_public_keys_come_from_files_of_either_kind() {
    for key in ["@/p8.pem", "@/sec1.pem"] {
        let security = account(&format!("--rpk-key {key} --rpk-peer @/pub.pem")).security;
        assert_eq!(security.mode, SecurityMode::RawPublicKey);
        // What the device shows of itself is computed from what it keeps.
        assert!(security.identity.as_slice().starts_with(SPKI));
        assert_eq!(security.identity.as_slice(), security.server_key.as_slice());
        assert!(FastCrypto.signing_key(security.key.as_slice()).is_ok());
    }
}

#[test]
fn a_certificate_to_trust_is_an_authority_unless_something_else_is_said() {
    let files = "--cert @/cert.pem --key @/p8.pem --trust @/cert.pem";
    let settings = loaded(&format!("--server coaps://lwm2m.example {files}")).unwrap();
    let security = &settings.accounts[0].security;
    assert_eq!((security.mode, security.certificate_usage), (SecurityMode::Certificate, Some(2)));
    assert_eq!(security.identity.as_slice(), security.server_key.as_slice());
    assert_eq!(settings.secure.trust, [security.server_key.as_slice().to_vec()]);
    let exact = security.server_key.as_slice().to_vec();
    for usage in ["0", "1", "3"] {
        let settings =
            loaded(&format!("--server coaps://lwm2m.example {files} --certificate-usage {usage}")).unwrap();
        assert!(settings.secure.trust.is_empty(), "with usage {usage} it is no trust anchor");
    }
    let security = account(&format!("{files} --certificate-usage 3 --matching-type 1")).security;
    assert_eq!((security.certificate_usage, security.matching_type), (Some(3), Some(1)));
    assert_eq!(security.server_key.as_slice(), &FastCrypto.digest(Digest::Sha256, &exact).unwrap()[..32]);
}

#[test]
fn names_and_suites_go_into_the_account() {
    let security = account(
        "--psk-identity a --psk-key 00 --server-name other.example --ciphersuites TLS_PSK_WITH_AES_128_CCM_8,0xc0a4,174",
    )
    .security;
    assert_eq!(security.server_name.as_ref().map(|name| name.as_str()), Some("other.example"));
    let suites: Vec<u16> =
        security.ciphersuites.iter().flat_map(|all| all.iter()).map(|(_, suite)| *suite).collect();
    assert_eq!(suites, [0xc0a8, 0xc0a4, 174]);
}

#[test]
fn accounts_of_the_file_have_their_own_credentials_or_those_of_the_device() {
    let settings = from_file(
        "psk-identity = \"usual\"\npsk-key = \"01\"\n\
         [[account]]\nuri = \"coaps://one\"\n\
         [[account]]\nuri = \"coaps://two\"\nrpk-key = \"@/p8.pem\"\nrpk-peer = \"@/pub.pem\"\n\
         [[account]]\nuri = \"coap://three\"\n\
         [[account]]\nuri = \"coaps://bs\"\nbootstrap = true\npsk-identity = \"own\"\npsk-key = \"02\"\n",
    )
    .unwrap();
    let modes: Vec<_> = settings.accounts.iter().map(|account| account.security.mode).collect();
    use SecurityMode::{NoSec, Psk, RawPublicKey};
    assert_eq!(modes, [Psk, RawPublicKey, NoSec, Psk]);
    assert_eq!(settings.accounts[0].security.identity.as_slice(), b"usual");
    assert_eq!(settings.accounts[3].security.identity.as_slice(), b"own");
}

#[test]
fn credentials_that_cannot_be_used_are_refused() {
    for (flags, words) in [
        ("--server coaps://x", "coaps needs"),
        ("--psk-identity a --psk-key 00", "there is none"),
        ("--server coaps://x --psk-identity a --psk-key xyz", "psk-key"),
        ("--server coaps://x --psk-identity a", "--psk-key"),
        ("--server coaps://x --rpk-key @/p8.pem", "belong together"),
        ("--server coaps://x --rpk-key @/pub.pem --rpk-peer @/pub.pem", "no private key in the file"),
        (
            "--server coaps://x --rpk-key @/p8.pem --rpk-peer @/p8.pem",
            "neither a public key nor a certificate",
        ),
        ("--server coaps://x --cert @/cert.pem --key @/p8.pem", "belong together"),
        (
            "--server coaps://x --cert @/cert.pem --key @/other.pem --trust @/cert.pem",
            "is not for the private key",
        ),
        ("--server coaps://x --cert @/none.pem --key @/p8.pem --trust @/cert.pem", "none.pem"),
        (
            "--server coaps://x --psk-identity a --psk-key 00 --rpk-key @/p8.pem --rpk-peer @/pub.pem",
            "more than one",
        ),
        ("--server coaps://x --psk-identity a --psk-key 00 --certificate-usage 4", "certificate-usage"),
        ("--server coaps://x --psk-identity a --psk-key 00 --matching-type 4", "matching-type"),
        ("--server coaps://x --psk-identity a --psk-key 00 --ciphersuites none", "neither a name"),
        ("--server coaps://x --psk-identity a --psk-key 00 --ciphersuites 1,2,3,4,5", "at most 4"),
    ] {
        let error = loaded(flags).expect_err(flags);
        assert!(error.contains(words), "{flags}: {error}");
    }
    let error =
        from_file("[[account]]\nuri = \"coap://x\"\npsk-identity = \"a\"\npsk-key = \"00\"\n").unwrap_err();
    assert!(error.contains("are for coaps"), "{error}");
    let long = "00".repeat(65);
    let error = loaded(&format!("--server coaps://x --psk-identity a --psk-key {long}")).unwrap_err();
    assert!(error.contains("1 to 64") && !error.contains(&long), "{error}");
}

// Proves: SEC-08
#[test]
fn settings_do_not_print_keys() {
    let printed = format!("{:?}", account("--psk-identity dev-7 --psk-key 0f1e2d3c4b5a6978"));
    for secret in ["0f1e2d3c", "15, 30, 45", "0x0f"] {
        assert!(!printed.to_lowercase().contains(secret), "{printed}");
    }
}

// Proves: SEC-08
#[test]
fn a_file_that_is_no_toml_is_told_without_its_keys() {
    for line in
        ["psk-key = 1122334455667788", "psk-key = 1122334455667788aabb", "psk-key = \"1122334455667788"]
    {
        let Err(error) = from_file(&format!("endpoint = \"a\"\n{line}\n")) else { panic!("{line}: taken") };
        assert!(error.contains("line 2 (psk-key), column ") && !error.contains("334455"), "{error}");
    }
}
