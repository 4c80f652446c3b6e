//! A device judges its server: usages, matching types, names, dates.

use lightship_dtls::Alert;
use lightship_dtls::certificate::{
    Anchors, Expectation, Matching, Refusal, Usage, verify_server, verify_server_key,
};
use lightship_platform::UnixTime;
use lightship_platform::crypto::{Crypto, Digest, FastCrypto, RustCrypto};
use rcgen::{
    ExtendedKeyUsagePurpose, GeneralSubtree, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use crate::{HOST, Party, World, anchors, authority, chain, dns, entity, self_signed, signed, today};

const CA: Usage = Usage::CaConstraint;
const SERVICE: Usage = Usage::ServiceCertificateConstraint;
const ANCHOR: Usage = Usage::TrustAnchorAssertion;
const DOMAIN: Usage = Usage::DomainIssuedCertificate;

/// Judges with every matching type and both providers; all must say the same, with one exception that the standard
/// asks for: a trust anchor known by its digest alone must be in the chain.
fn judged(usage: Usage, given: &Party, chain: &[Vec<u8>], trusted: &Anchors) -> Result<(), Refusal> {
    let der = given.der();
    let judge = |crypto: &dyn Crypto, matching, given: &[u8]| {
        let expectation =
            Expectation { usage, matching, given, trusted: Some(trusted), name: HOST, date: today() };
        verify_server(crypto, chain, &expectation)
    };
    let verdict = judge(&FastCrypto, Matching::Exact, &der);
    assert_eq!(judge(&RustCrypto, Matching::Exact, &der), verdict, "providers differ");
    for (digest, len) in [(Digest::Sha256, 32), (Digest::Sha384, 48), (Digest::Sha512, 64)] {
        let hash = FastCrypto.digest(digest, &der).unwrap();
        let by_digest = judge(&FastCrypto, Matching::Digest(digest), &hash[..len]);
        if usage == ANCHOR && !chain[1..].contains(&der) {
            assert_eq!(by_digest, Err(Refusal::OtherAuthority), "{digest:?}");
        } else {
            assert_eq!(by_digest, verdict, "{digest:?}");
        }
        let short = judge(&FastCrypto, Matching::Digest(digest), &hash[..len - 1]);
        assert!(short.is_err(), "half a digest");
    }
    verdict
}

// Proves: DTL-06
#[test]
fn every_usage_judges_every_kind_of_server_certificate() {
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    let none = anchors(&[&w.stranger]);
    let full = chain(&[&w.server, &w.middle]);
    let with_root = chain(&[&w.server, &w.middle, &w.root]);
    let own = chain(&[&w.own]);
    let alone = chain(&[&w.server]);
    let untrusted = |issuer: &str| Err(Refusal::Untrusted { issuer: issuer.into() });
    let other_certificate = || Err(Refusal::OtherCertificate);
    let other_authority = || Err(Refusal::OtherAuthority);
    let table = [
        // usage, given, presented, trusted, verdict; the end entity itself, an authority, itself by itself, …
        (CA, &w.server, &full, &rooted, other_authority()),
        (CA, &w.middle, &full, &rooted, Ok(())),
        (CA, &w.middle, &full, &none, untrusted("Acme Root")),
        (CA, &w.root, &full, &rooted, Ok(())),
        (CA, &w.root, &with_root, &rooted, Ok(())),
        (CA, &w.own, &full, &rooted, other_authority()),
        (CA, &w.own, &own, &rooted, untrusted("a server")),
        (CA, &w.middle, &alone, &rooted, untrusted("Acme Devices")),
        (SERVICE, &w.server, &full, &rooted, Ok(())),
        (SERVICE, &w.server, &with_root, &rooted, Ok(())),
        (SERVICE, &w.root, &full, &rooted, other_certificate()),
        (SERVICE, &w.middle, &full, &rooted, other_certificate()),
        (SERVICE, &w.twin, &full, &rooted, other_certificate()),
        (SERVICE, &w.own, &full, &rooted, other_certificate()),
        (SERVICE, &w.own, &own, &rooted, untrusted("a server")),
        (SERVICE, &w.server, &alone, &rooted, untrusted("Acme Devices")),
        (SERVICE, &w.server, &full, &none, untrusted("Acme Root")),
        (ANCHOR, &w.middle, &full, &none, Ok(())),
        (ANCHOR, &w.root, &with_root, &none, Ok(())),
        (ANCHOR, &w.twin, &full, &rooted, untrusted("Acme Root")),
        (ANCHOR, &w.stranger, &full, &rooted, untrusted("Acme Root")),
        (DOMAIN, &w.server, &full, &none, Ok(())),
        (DOMAIN, &w.server, &alone, &none, Ok(())),
        (DOMAIN, &w.root, &full, &rooted, other_certificate()),
        (DOMAIN, &w.middle, &full, &rooted, other_certificate()),
        (DOMAIN, &w.twin, &full, &rooted, other_certificate()),
        (DOMAIN, &w.own, &full, &rooted, other_certificate()),
        (DOMAIN, &w.own, &own, &none, Ok(())),
    ];
    for (row, (usage, given, presented, trusted, verdict)) in table.into_iter().enumerate() {
        assert_eq!(judged(usage, given, presented, trusted), verdict, "row {row}, {usage:?}");
    }
}

// Proves: DTL-06
#[test]
fn a_trust_anchor_is_somebody_else_than_the_server() {
    let w = World::new();
    for (given, presented) in [
        (&w.server, chain(&[&w.server, &w.middle])),
        (&w.server, chain(&[&w.server])),
        (&w.own, chain(&[&w.own])),
    ] {
        let der = given.der();
        let expectation = Expectation {
            usage: ANCHOR,
            matching: Matching::Exact,
            given: &der,
            trusted: None,
            name: HOST,
            date: today(),
        };
        assert_eq!(verify_server(&FastCrypto, &presented, &expectation), Err(Refusal::DirectTrust));
        let hash = FastCrypto.digest(Digest::Sha256, &der).unwrap();
        let expectation =
            Expectation { matching: Matching::Digest(Digest::Sha256), given: &hash[..32], ..expectation };
        assert_eq!(verify_server(&FastCrypto, &presented, &expectation), Err(Refusal::OtherAuthority));
    }
    // The root is known, so it need not be sent; by its digest alone it must be.
    let root = w.root.der();
    let expectation = Expectation {
        usage: ANCHOR,
        matching: Matching::Exact,
        given: &root,
        trusted: None,
        name: HOST,
        date: today(),
    };
    assert_eq!(verify_server(&FastCrypto, &chain(&[&w.server, &w.middle]), &expectation), Ok(()));
    let hash = FastCrypto.digest(Digest::Sha384, &root).unwrap();
    let expectation =
        Expectation { matching: Matching::Digest(Digest::Sha384), given: &hash[..48], ..expectation };
    assert_eq!(
        verify_server(&FastCrypto, &chain(&[&w.server, &w.middle]), &expectation),
        Err(Refusal::OtherAuthority)
    );
    assert_eq!(verify_server(&FastCrypto, &chain(&[&w.server, &w.middle, &w.root]), &expectation), Ok(()));
}

// Proves: DTL-06
#[test]
fn usage_and_matching_are_numbers_of_the_security_object_and_have_defaults() {
    assert_eq!(Usage::default(), DOMAIN);
    assert_eq!(Matching::default(), Matching::Exact);
    assert_eq!([0, 1, 2, 3].map(|number| Usage::try_from(number).unwrap()), [CA, SERVICE, ANCHOR, DOMAIN]);
    assert_eq!(Matching::try_from(0), Ok(Matching::Exact));
    for (number, digest) in [(1, Digest::Sha256), (2, Digest::Sha384), (3, Digest::Sha512)] {
        assert_eq!(Matching::try_from(number), Ok(Matching::Digest(digest)));
    }
    assert_eq!(Usage::try_from(4), Err(Refusal::Expectation));
    assert_eq!(Matching::try_from(4), Err(Refusal::Expectation));
}

#[test]
fn a_usage_that_needs_trusted_authorities_is_refused_without_them() {
    let w = World::new();
    let given = w.middle.der();
    for (usage, verdict) in [(CA, Refusal::NothingTrusted), (SERVICE, Refusal::NothingTrusted)] {
        let expectation = Expectation {
            usage,
            matching: Matching::Exact,
            given: &given,
            trusted: None,
            name: HOST,
            date: None,
        };
        assert_eq!(verify_server(&FastCrypto, &chain(&[&w.server, &w.middle]), &expectation), Err(verdict));
    }
}

/// The verdict over a server certificate with these parameters, signed by the authority that is given as anchor.
fn verdict(params: rcgen::CertificateParams, name: &str, date: Option<UnixTime>) -> Result<(), Refusal> {
    let root = self_signed(authority("Acme Root"));
    let server = signed(params, &root);
    let given = root.der();
    let expectation =
        Expectation { usage: ANCHOR, matching: Matching::Exact, given: &given, trusted: None, name, date };
    verify_server(&FastCrypto, &chain(&[&server]), &expectation)
}

// Proves: DTL-05, DTL-06
#[test]
fn the_name_is_checked_in_every_usage_but_the_last() {
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let address = |address: &str| SanType::IpAddress(address.parse().unwrap());
    let table = [
        (entity("x", &[dns(HOST)]), HOST, true),
        (entity("x", &[dns("*.example.org")]), "lwm2m.example.org", true),
        (entity("x", &[dns("a.example"), dns(HOST)]), HOST, true),
        (entity(HOST, &[]), HOST, true),
        (entity(HOST, &[dns("a.example")]), HOST, false),
        (entity("x", &[]), HOST, false),
        (entity("x", &[uri("coaps://server.example:5684")]), HOST, true),
        (entity("x", &[address("192.0.2.1")]), "192.0.2.1", true),
        (entity("x", &[address("2001:db8::1")]), "[2001:db8::1]", true),
        (entity("x", &[uri("coaps://192.0.2.1")]), "192.0.2.1", true),
        (entity("192.0.2.1", &[]), "192.0.2.1", true),
        (entity("x", &[dns(HOST), address("192.0.2.1")]), "192.0.2.2", false),
    ];
    for (params, name, accepted) in table {
        let shown = format!("{:?} {name}", params.subject_alt_names);
        let verdict = verdict(params, name, today());
        assert_eq!(verdict.is_ok(), accepted, "{shown}");
        if let Err(refusal) = verdict {
            assert!(matches!(refusal, Refusal::Name { .. }), "{shown}: {refusal}");
            assert_eq!(refusal.alert(), Alert::CERTIFICATE_UNKNOWN);
        }
    }
    let refusal = verdict(entity("x", &[dns("a.example")]), HOST, today()).unwrap_err();
    assert_eq!(refusal.to_string(), "the certificate is for 'x, a.example', expected 'server.example'");
    let refusal = verdict(entity("a.example", &[dns("a.example")]), HOST, today()).unwrap_err();
    assert_eq!(refusal.to_string(), "the certificate is for 'a.example', expected 'server.example'");
    // Usage 0 and 1 look at the name as well, usage 3 does not.
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    for (usage, given, accepted) in
        [(CA, &w.middle, false), (SERVICE, &w.server, false), (DOMAIN, &w.server, true)]
    {
        let given = given.der();
        let expectation = Expectation {
            usage,
            matching: Matching::Exact,
            given: &given,
            trusted: Some(&rooted),
            name: "other.example",
            date: None,
        };
        let verdict = verify_server(&FastCrypto, &chain(&[&w.server, &w.middle]), &expectation);
        assert_eq!(verdict.is_ok(), accepted, "{usage:?}");
    }
}

fn dated(from: (i32, u8, u8), to: (i32, u8, u8)) -> rcgen::CertificateParams {
    let mut params = entity("dated", &[dns(HOST)]);
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    params
}

// Proves: SEC-10
#[test]
fn dates_count_only_with_a_trusted_clock() {
    let old = || dated((2020, 1, 1), (2025, 1, 1));
    let new = || dated((2030, 6, 15), (2040, 1, 1));
    let refusal = verdict(old(), HOST, today()).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate 'dated' expired on 2025-01-01");
    assert_eq!(refusal.alert(), Alert::CERTIFICATE_EXPIRED);
    let refusal = verdict(new(), HOST, today()).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate 'dated' is not valid before 2030-06-15");
    assert_eq!(refusal.alert(), Alert::CERTIFICATE_EXPIRED);
    for params in [old(), new()] {
        assert_eq!(verdict(params, HOST, None), Ok(()), "no clock, no complaint");
    }
    assert_eq!(verdict(dated((2020, 1, 1), (2030, 1, 1)), HOST, today()), Ok(()));
    let before_1970 = verdict(dated((2020, 1, 1), (2030, 1, 1)), HOST, Some(UnixTime::from_secs(-5)));
    assert!(matches!(before_1970, Err(Refusal::NotYetValid { .. })), "{before_1970:?}");
}

// Proves: SEC-10
#[test]
fn without_a_clock_a_chain_of_different_ages_passes_if_it_was_ever_valid() {
    let root = self_signed(authority("Acme Root"));
    let mut params = authority("Acme Devices");
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let middle = signed(params, &root);
    let mut params = authority("Somebody Else");
    params.not_before = date_time_ymd(2050, 1, 1);
    let unneeded = self_signed(params);
    let judge = |from, date| {
        let server = signed(dated(from, (2040, 1, 1)), &middle);
        let given = root.der();
        let expectation = Expectation {
            usage: ANCHOR,
            matching: Matching::Exact,
            given: &given,
            trusted: None,
            name: HOST,
            date,
        };
        verify_server(&FastCrypto, &chain(&[&server, &unneeded, &middle]), &expectation)
    };
    assert_eq!(judge((2015, 1, 1), None), Ok(()));
    assert_eq!(judge((2025, 1, 1), None), Err(Refusal::NeverValid));
    let refusal = judge((2015, 1, 1), today()).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate 'Acme Devices' expired on 2020-01-01");
}

// Proves: DTL-05
#[test]
fn a_certificate_is_used_only_for_what_it_is_for() {
    let mut client_only = entity("client", &[dns(HOST)]);
    client_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let refusal = verdict(client_only, HOST, today()).unwrap_err();
    assert_eq!(refusal, Refusal::Purpose { subject: "client".into() });
    assert_eq!(
        refusal.to_string(),
        "certificate 'client' must not be used for this: its key usage, or extended key usage, is another"
    );
    for purposes in [
        vec![ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::Any],
    ] {
        let mut params = entity("server", &[dns(HOST)]);
        params.extended_key_usages = purposes;
        assert_eq!(verdict(params, HOST, today()), Ok(()));
    }
    let mut agreement_only = entity("agreement", &[dns(HOST)]);
    agreement_only.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    assert_eq!(verdict(agreement_only, HOST, today()), Err(Refusal::Purpose { subject: "agreement".into() }));
    let mut signing = entity("signing", &[dns(HOST)]);
    signing.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert_eq!(verdict(signing, HOST, today()), Ok(()));
    let mut as_authority = authority("authority");
    as_authority.key_usages.push(KeyUsagePurpose::DigitalSignature);
    as_authority.subject_alt_names = vec![dns(HOST)];
    assert_eq!(verdict(as_authority, HOST, today()), Err(Refusal::Authority));
}

#[test]
fn a_raw_public_key_is_compared_whole_or_by_its_digest() {
    let key = RustCrypto.signing_key(&[7; 32]).unwrap();
    let other = RustCrypto.signing_key(&[8; 32]).unwrap();
    let (key, other) = (key.public_key(), other.public_key());
    assert_eq!(verify_server_key(&RustCrypto, key, Matching::Exact, key), Ok(()));
    assert_eq!(verify_server_key(&RustCrypto, key, Matching::Exact, other), Err(Refusal::OtherKey));
    for (digest, len) in [(Digest::Sha256, 32), (Digest::Sha384, 48), (Digest::Sha512, 64)] {
        let hash = RustCrypto.digest(digest, key).unwrap();
        let matching = Matching::Digest(digest);
        assert_eq!(verify_server_key(&RustCrypto, key, matching, &hash[..len]), Ok(()));
        assert_eq!(verify_server_key(&RustCrypto, other, matching, &hash[..len]), Err(Refusal::OtherKey));
        assert_eq!(verify_server_key(&RustCrypto, key, matching, &[]), Err(Refusal::OtherKey));
    }
}

#[test]
fn an_authority_held_to_some_hosts_cannot_name_another_in_a_common_name() {
    let root = self_signed(authority("Acme Root"));
    let judge = |constraint: Option<&str>, params| {
        let mut middle = authority("Acme Middle");
        middle.name_constraints = constraint.map(|host| NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(host.into())],
            excluded_subtrees: vec![],
        });
        let middle = signed(middle, &root);
        let server = signed(params, &middle);
        let given = root.der();
        let expectation = Expectation {
            usage: ANCHOR,
            matching: Matching::Exact,
            given: &given,
            trusted: None,
            name: HOST,
            date: today(),
        };
        verify_server(&FastCrypto, &chain(&[&server, &middle]), &expectation)
    };
    assert_eq!(judge(None, entity(HOST, &[])), Ok(()));
    assert_eq!(judge(Some("example"), entity("x", &[dns(HOST)])), Ok(()));
    let refusal = judge(Some("other.example"), entity(HOST, &[])).unwrap_err();
    assert_eq!(refusal.to_string(), "the certificate names nobody, expected 'server.example'");
    assert_eq!(judge(Some("other.example"), entity("x", &[dns(HOST)])), Err(Refusal::Constraint));
}
