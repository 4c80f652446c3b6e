//! Names of numbers, as the IANA registries have them.

use lightship_dtls::Suite;

pub(super) fn content_type(number: u8) -> &'static str {
    match number {
        20 => "ChangeCipherSpec",
        21 => "Alert",
        22 => "Handshake",
        23 => "ApplicationData",
        25 => "record with connection ID",
        27 => "ReturnRoutability",
        _ => "record of unknown content",
    }
}

pub(super) fn suite(number: u16) -> String {
    match (Suite::from_number(number), number) {
        (Some(suite), _) => suite.name().to_owned(),
        (None, 0x00ff) => "TLS_EMPTY_RENEGOTIATION_INFO_SCSV".to_owned(),
        (None, 0x5600) => "TLS_FALLBACK_SCSV".to_owned(),
        (None, number) => format!("{number:#06x}"),
    }
}

pub(super) fn group(number: u16) -> String {
    let name = match number {
        23 => "secp256r1",
        24 => "secp384r1",
        25 => "secp521r1",
        29 => "x25519",
        30 => "x448",
        _ => return number.to_string(),
    };
    name.to_owned()
}

pub(super) fn signature(number: u16) -> String {
    let name = match number {
        0x0201 => "rsa_pkcs1_sha1",
        0x0203 => "ecdsa_sha1",
        0x0401 => "rsa_pkcs1_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        _ => return format!("{number:#06x}"),
    };
    name.to_owned()
}

pub(super) fn extension(number: u16) -> String {
    let name = match number {
        0 => "server_name",
        1 => "max_fragment_length",
        5 => "status_request",
        10 => "supported_groups",
        11 => "ec_point_formats",
        13 => "signature_algorithms",
        16 => "application_layer_protocol_negotiation",
        19 => "client_certificate_type",
        20 => "server_certificate_type",
        22 => "encrypt_then_mac",
        23 => "extended_master_secret",
        28 => "record_size_limit",
        35 => "session_ticket",
        43 => "supported_versions",
        53 => "connection_id (deprecated)",
        54 => "connection_id",
        61 => "rrc",
        0xff01 => "renegotiation_info",
        _ => return format!("extension {number}"),
    };
    name.to_owned()
}

pub(super) fn certificate_type(number: u8) -> String {
    match number {
        0 => "X.509".to_owned(),
        2 => "raw public key".to_owned(),
        other => other.to_string(),
    }
}
