//! Chains made to hurt: refused, in bounded time, without a panic.

use lightship_dtls::Alert;
use lightship_dtls::certificate::{
    Anchors, CHAIN_COUNT_MAX, CHAIN_LEN_MAX, Expectation, Matching, Refusal, Usage, names, public_key,
    verify_client, verify_server,
};
use lightship_platform::crypto::{Crypto, FastCrypto};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, GeneralSubtree, IsCa, NameConstraints};

use crate::{HOST, Party, World, anchors, authority, chain, dns, entity, self_signed, signed, today};

#[test]
fn a_chain_of_a_hundred_certificates_or_64_kilobytes_is_refused_unread() {
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    let mut many = chain(&[&w.server]);
    many.extend(vec![w.middle.der(); 99]);
    let mut large = chain(&[&w.server, &w.middle]);
    large.push(vec![0x30; 65_536]);
    for presented in [many, large, vec![vec![0; CHAIN_LEN_MAX + 1]], vec![vec![]; CHAIN_COUNT_MAX + 1]] {
        let verdict = verify_client(&FastCrypto, &presented, &rooted, today());
        assert_eq!(verdict, Err(Refusal::TooLarge));
        let given = w.server.der();
        let expectation = Expectation {
            usage: Usage::DomainIssuedCertificate,
            matching: Matching::Exact,
            given: &given,
            trusted: None,
            name: HOST,
            date: None,
        };
        assert_eq!(verify_server(&FastCrypto, &presented, &expectation), Err(Refusal::TooLarge));
    }
    assert_eq!(Refusal::TooLarge.alert(), Alert::BAD_CERTIFICATE);
    assert_eq!(public_key(&vec![0x30; CHAIN_LEN_MAX + 1]), Err(Refusal::TooLarge));
    assert_eq!(names(&vec![0x30; CHAIN_LEN_MAX + 1]), Err(Refusal::TooLarge));
}

/// Counts the signatures that are checked.
pub(crate) struct Counting(pub(crate) std::sync::atomic::AtomicUsize);

impl Counting {
    pub(crate) fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> $answer { FastCrypto.$name($($argument),*) })*
    };
}

use lightship_platform::Rng;
use lightship_platform::crypto::{Aead, Agreement, CryptoError, Digest, Group, SigningKey};

impl Crypto for Counting {
    forward! {
        hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32];
        digest(digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError>;
        has_aead(aead: Aead) -> bool;
        has_cbc() -> bool;
        seal(aead: Aead, key: &[u8], nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], CryptoError>;
        open(aead: Aead, key: &[u8], nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8], tag: &[u8]) -> Result<(), CryptoError>;
        cbc_encrypt(key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError>;
        cbc_decrypt(key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError>;
        has_group(group: Group) -> bool;
        agreement(group: Group, rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError>;
        signing_key(key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError>;
    }

    fn verify_ecdsa(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        FastCrypto.verify_ecdsa(key, message, signature)
    }
}

#[test]
fn a_chain_of_look_alikes_costs_a_bounded_number_of_signatures() {
    // A device that nobody signed, with copies of an authority that everybody knows: each copy is another path to try.
    let w = World::new();
    let forger = self_signed(authority("Acme Devices"));
    let mut presented = chain(&[&signed(entity("dev-1", &[]), &forger)]);
    presented.extend(vec![w.middle.der(); CHAIN_COUNT_MAX - 1]);
    let crypto = Counting(0.into());
    let verdict = verify_client(&crypto, &presented, &anchors(&[&w.root]), today());
    assert_eq!(verdict, Err(Refusal::Signature));
    assert_eq!(crypto.count(), 2 * (CHAIN_COUNT_MAX - 1));
    // Without a clock the chain is tried at each moment at which one of its certificates became valid.
    let crypto = Counting(0.into());
    let verdict = verify_client(&crypto, &presented, &anchors(&[&w.root]), None);
    assert!(verdict.is_err());
    assert!(crypto.count() <= 16, "{} signatures", crypto.count());
    // Authorities of one name and many keys that vouch for each other.
    let loops: Vec<Party> = (1..CHAIN_COUNT_MAX).map(|_| self_signed(authority("Loop"))).collect();
    let mut presented = vec![signed(entity("dev-1", &[]), &loops[0]).der()];
    presented.extend(loops.iter().map(Party::der));
    let crypto = Counting(0.into());
    let verdict = verify_client(&crypto, &presented, &anchors(&[&w.root]), None);
    assert_eq!(verdict, Err(Refusal::Untrusted { issuer: "Loop".into() }));
    assert_eq!(crypto.count(), 0);
}

#[test]
fn no_chain_costs_more_than_sixteen_signatures() {
    // Copies on two levels: three ways up from the device, two from each of these, and a forged signature at their end.
    let w = World::new();
    let upper = signed(authority("Upper"), &w.root);
    let lower = signed(authority("Lower"), &upper);
    let forger = self_signed(authority("Lower"));
    let mut presented = chain(&[&signed(entity("dev-1", &[]), &forger)]);
    presented.extend(vec![lower.der(); 3]);
    presented.extend(vec![upper.der(); 2]);
    for date in [today(), None] {
        let crypto = Counting(0.into());
        let verdict = verify_client(&crypto, &presented, &anchors(&[&w.root]), date);
        assert_eq!((verdict, crypto.count()), (Err(Refusal::TooLarge), 16));
    }
}

#[test]
fn an_honest_chain_costs_one_signature_for_each_certificate_in_it() {
    let w = World::new();
    let crypto = Counting(0.into());
    verify_client(&crypto, &chain(&[&w.server, &w.middle]), &anchors(&[&w.root]), today()).unwrap();
    assert_eq!(crypto.count(), 2);
}

fn below(constraints: impl Fn(&mut CertificateParams)) -> Result<(), Refusal> {
    let root = self_signed(authority("Acme Root"));
    let mut params = authority("Acme Middle");
    constraints(&mut params);
    let middle = signed(params, &root);
    let lower = signed(authority("Acme Lower"), &middle);
    let device = signed(entity("dev-1", &[dns("dev-1.example")]), &lower);
    verify_client(&FastCrypto, &chain(&[&device, &lower, &middle]), &anchors(&[&root]), today()).map(|_| ())
}

#[test]
fn the_constraints_of_authorities_are_kept() {
    assert_eq!(below(|_| ()), Ok(()));
    assert_eq!(below(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))), Ok(()));
    assert_eq!(
        below(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        Err(Refusal::Constraint)
    );
    let only = |name: &str| NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(name.into())],
        excluded_subtrees: vec![],
    };
    assert_eq!(below(|params| params.name_constraints = Some(only("example"))), Ok(()));
    assert_eq!(below(|params| params.name_constraints = Some(only("example.org"))), Err(Refusal::Constraint));
    let unknown = |critical| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(critical);
        extension
    };
    assert_eq!(below(|params| params.custom_extensions = vec![unknown(false)]), Ok(()));
    assert_eq!(below(|params| params.custom_extensions = vec![unknown(true)]), Err(Refusal::Constraint));
}

#[test]
fn the_longest_chain_allowed_is_accepted_and_one_more_is_not() {
    let mut parties = vec![self_signed(authority("Authority 0"))];
    for number in 1..CHAIN_COUNT_MAX {
        parties.push(signed(authority(&format!("Authority {number}")), &parties[number - 1]));
    }
    let trusted = anchors(&[&parties[0]]);
    let below = |last: usize| {
        let device = signed(entity("dev-1", &[]), &parties[last]);
        let mut presented: Vec<&Party> = parties[1..=last].iter().rev().collect();
        presented.insert(0, &device);
        chain(&presented)
    };
    let longest = below(CHAIN_COUNT_MAX - 1);
    assert_eq!(longest.len(), CHAIN_COUNT_MAX);
    assert!(verify_client(&FastCrypto, &longest, &trusted, today()).is_ok());
    let with_root = [longest, vec![parties[0].der()]].concat();
    assert_eq!(verify_client(&FastCrypto, &with_root, &trusted, today()), Err(Refusal::TooLarge));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    for junk in [vec![], vec![0x30], vec![0x30, 0x80], vec![0xff; 700], w.server.key.serialize_der()] {
        assert_eq!(
            verify_client(&FastCrypto, std::slice::from_ref(&junk), &rooted, today()),
            Err(Refusal::Malformed)
        );
        assert_eq!(public_key(&junk), Err(Refusal::Malformed));
        // In the middle of a chain it only fails to help.
        let presented = [w.server.der(), junk.clone(), w.middle.der()];
        assert!(verify_client(&FastCrypto, &presented, &rooted, today()).is_ok(), "{junk:02x?}");
        assert!(verify_client(&FastCrypto, &presented[..2], &rooted, today()).is_err());
        assert!(Anchors::new([junk.as_slice()]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_spoiled_certificate_is_never_accepted(which in 0_usize..2, at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let w = World::new();
        let mut presented = chain(&[&w.server, &w.middle]);
        let at = at.index(presented[which].len());
        presented[which][at] ^= flip;
        let rooted = anchors(&[&w.root]);
        let verdict = verify_client(&FastCrypto, &presented, &rooted, today());
        prop_assert!(verdict.is_err());
        // What a refusal says can be shown to people.
        let text = verdict.unwrap_err().to_string();
        prop_assert!(text.len() < 1_000 && !text.chars().any(char::is_control), "{}", text);
        let given = w.middle.der();
        for usage in 0..3 {
            let expectation = Expectation {
                usage: Usage::try_from(usage).unwrap(),
                matching: Matching::Exact,
                given: &given,
                trusted: Some(&rooted),
                name: HOST,
                date: None,
            };
            let verdict = verify_server(&FastCrypto, &presented, &expectation);
            // With the authority at hand its copy in the chain is not needed.
            let unneeded = usage == 2 && which == 1;
            prop_assert_eq!(verdict.is_ok(), unneeded, "usage {}", usage);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>()) {
        let w = World::new();
        let _ = public_key(&bytes);
        let _ = names(&bytes);
        let der = w.server.der();
        let cut = &der[..cut.index(der.len())];
        prop_assert!(public_key(cut).is_err());
        prop_assert!(names(&[cut, &bytes].concat()).is_err() || cut.len() + bytes.len() >= der.len());
    }
}
