//! Certificates made for the occasion, judged by a device and by a server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod device;
mod files;
mod limits;
mod server;
mod verdicts;

use lightship_dtls::certificate::Anchors;
use lightship_platform::UnixTime;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The host that the server's certificates are for.
const HOST: &str = "server.example";

/// 2026-01-01.
fn today() -> Option<UnixTime> {
    Some(UnixTime::from_secs(1_767_225_600))
}

/// Somebody with a key and a certificate.
struct Party {
    key: KeyPair,
    params: CertificateParams,
    certificate: Certificate,
}

impl Party {
    fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// The parameters of an end entity with the common name and these further names.
fn entity(common_name: &str, names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = entity(common_name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn self_signed(params: CertificateParams) -> Party {
    self_signed_with(params, KeyPair::generate().unwrap())
}

fn self_signed_with(params: CertificateParams, key: KeyPair) -> Party {
    let certificate = params.self_signed(&key).unwrap();
    Party { key, params, certificate }
}

fn signed(params: CertificateParams, by: &Party) -> Party {
    signed_with(params, KeyPair::generate().unwrap(), by)
}

fn signed_with(params: CertificateParams, key: KeyPair, by: &Party) -> Party {
    let certificate = params.signed_by(&key, &by.issuer()).unwrap();
    Party { key, params, certificate }
}

fn anchors(parties: &[&Party]) -> Anchors {
    let ders: Vec<Vec<u8>> = parties.iter().map(|party| party.der()).collect();
    Anchors::new(ders.iter().map(Vec::as_slice)).unwrap()
}

fn chain(parties: &[&Party]) -> Vec<Vec<u8>> {
    parties.iter().map(|party| party.der()).collect()
}

/// The public key infrastructure of the tests: a root, an authority below it, and what they signed.
struct World {
    root: Party,
    middle: Party,
    server: Party,
    /// Another server of the same name, signed by the root itself.
    twin: Party,
    /// The server's names, signed by itself.
    own: Party,
    stranger: Party,
}

impl World {
    fn new() -> Self {
        let root = self_signed(authority("Acme Root"));
        let middle = signed(authority("Acme Devices"), &root);
        let server = signed(entity("a server", &[dns(HOST)]), &middle);
        let twin = signed(entity("a server", &[dns(HOST)]), &root);
        let own = self_signed(entity("a server", &[dns(HOST)]));
        let stranger = self_signed(authority("Evil Root"));
        Self { root, middle, server, twin, own, stranger }
    }
}
