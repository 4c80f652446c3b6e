//! DTLS 1.2 in memory, the server's CPU time alone, beside dimpl, OpenSSL and mbedTLS in the same run. Prints the tables of
//! `BENCHMARKS.md`.
//!
//! `cargo run --release -p lightship-bench --bin dtls`
//!
//! OpenSSL and mbedTLS are measured by two small C programs, built with `cc` against the system's libraries; without a compiler
//! or a library their columns stay empty. `-- loop psk|rpk|x509|recalled|record` goes on for ever with one of ours, for a profiler.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program that measures and prints"
)]

mod beside;
mod foreign;
mod measure;
mod ours;

use lightship_dtls::Suite;
use lightship_platform::SeededRng;
use lightship_platform::crypto::{Crypto, FastCrypto, Group};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::foreign::Figures;
use crate::measure::{Pair, handshakes, median, records, resident};
use crate::ours::{Kind, Ours, Resuming, Setting};

/// What every PSK client says, and the key behind it.
const IDENTITY: &[u8; 24] = b"urn:dev:bench:0123456789";
const KEY: &[u8; 16] = b"0123456789abcdef";
/// Bytes of data in a record.
const DATA_LEN: usize = 64;
/// Pairs in step, and how often a measurement is made.
const BATCH: u32 = 100;
const RUNS: usize = 9;
/// Sessions for the memory of one, ours and theirs.
const IDLE: u32 = 200_000;
const IDLE_BESIDE: usize = 5000;

/// Somebody with a key and a certificate.
struct Authority {
    key_der: Vec<u8>,
    key_pem: String,
    certificate_der: Vec<u8>,
    certificate_pem: String,
}

/// An authority, and what it signed.
struct World {
    authority: Authority,
    leaf: Authority,
}

impl World {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        let mut leaf = CertificateParams::new(vec!["bench".to_owned()]).expect("a name");
        leaf.distinguished_name.push(DnType::CommonName, "the end entity");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf_key = KeyPair::generate().expect("a key");
        let signed = leaf.signed_by(&leaf_key, &Issuer::from_params(&params, &key)).expect("a certificate");
        let of = |key: &KeyPair, certificate: &rcgen::Certificate| Authority {
            key_der: key.serialize_der(),
            key_pem: key.serialize_pem(),
            certificate_der: certificate.der().to_vec(),
            certificate_pem: certificate.pem(),
        };
        Self { authority: of(&key, &root), leaf: of(&leaf_key, &signed) }
    }
}

fn main() {
    let world = World::new();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "loop") {
        return profile(&world, arguments.get(1).map_or("psk", String::as_str));
    }
    let foreign = foreign::all(&world);
    println!();
    head();
    full_handshakes(&world, &foreign);
    resumed_handshakes(&world, &foreign);
    flows(&world, &foreign);
    memory(&world, &foreign);
}

/// What a row is held against: the goal, and what the primitives that it needs cost alone, in microseconds.
#[derive(Clone, Copy, Default)]
struct Against {
    goal: Option<f64>,
    floor: Option<f64>,
}

fn line(what: &str, against: Against, ours: f64, dimpl: Option<f64>, foreign: &[Figures; 2], key: &str) {
    let or_dash = |figure: Option<f64>| figure.map_or("–".to_owned(), show);
    let (goal, floor, dimpl) = (or_dash(against.goal), or_dash(against.floor), or_dash(dimpl));
    let [openssl, mbedtls] = foreign.each_ref().map(|figures| figures.show(key));
    println!("| {what} | {goal} | {floor} | {} | {dimpl} | {openssl} | {mbedtls} |", show(ours));
}

/// The primitives of AWS-LC, in microseconds.
struct Primitives {
    /// A key pair and an agreement.
    p256: f64,
    x25519: f64,
    sign: f64,
    verify: f64,
}

impl Primitives {
    fn measure(world: &World) -> Self {
        let key = FastCrypto.signing_key(&world.leaf.key_der).expect("a key");
        let mut rng = SeededRng::new([9; 32]);
        let signature = key.sign(&mut rng, IDENTITY).expect("signed");
        let mut agree = |group| {
            let peer = FastCrypto.agreement(group, &mut rng).expect("a key pair");
            measure::each(200, &mut || {
                let ours = FastCrypto.agreement(group, &mut rng).expect("a key pair");
                ours.agree(peer.share()).expect("agreed");
            })
        };
        let (p256, x25519) = (agree(Group::Secp256r1), agree(Group::X25519));
        let sign = measure::each(200, &mut || {
            key.sign(&mut rng, IDENTITY).expect("signed");
        });
        let verify = measure::each(200, &mut || {
            FastCrypto.verify_ecdsa(key.public_key(), IDENTITY, &signature).expect("verified");
        });
        Self { p256, x25519, sign, verify }
    }
}

fn full_handshakes(world: &World, foreign: &[Figures; 2]) {
    let dimpl = |setting: &beside::Setting| Some(full(|_| beside::Dimpl::new(setting)));
    let Primitives { p256, x25519, sign, verify } = Primitives::measure(world);
    let with_keys = |floor: f64| Against { goal: Some(130.0), floor: Some(floor) };
    let psk = Against { goal: Some(12.0), floor: None };
    let (rpk, mutual) = (Kind::RawPublicKey, sign + verify);
    let (ccm8, ecdsa_ccm8) = (Suite::PskAes128Ccm8, Suite::EcdheEcdsaAes128Ccm8);
    let figure = ours(world, Kind::Psk, ccm8, None);
    line("handshake, PSK CCM_8", psk, figure, dimpl(&beside::Setting::psk()), foreign, "psk_ccm8");
    let figure = ours(world, Kind::Psk, Suite::PskAes128Gcm, None);
    line("handshake, PSK GCM", psk, figure, None, foreign, "psk_gcm");
    let ephemeral = Against { goal: None, floor: Some(x25519) };
    let figure = ours(world, Kind::Psk, Suite::EcdhePskAes128Ccm8, None);
    line("handshake, ECDHE_PSK CCM_8", ephemeral, figure, None, foreign, "-");
    for (group, name, cost) in [(Group::X25519, "X25519", x25519), (Group::Secp256r1, "P-256", p256)] {
        let figure = ours(world, rpk, ecdsa_ccm8, Some(group));
        let what = format!("handshake, raw public keys of both, CCM_8, {name}");
        line(&what, with_keys(cost + mutual), figure, None, foreign, "-");
    }
    let figure = ours(world, rpk, Suite::EcdheEcdsaAes128Gcm, None);
    let what = "handshake, raw public keys of both, GCM; dimpl: certificates that nobody judges";
    let beside = dimpl(&beside::Setting::certificates());
    line(what, with_keys(x25519 + mutual), figure, beside, foreign, "-");
    let figure = ours(world, Kind::X509, ecdsa_ccm8, None);
    let judged = with_keys(x25519 + mutual + verify);
    line("handshake, certificates of both, judged, CCM_8", judged, figure, None, foreign, "x509_ccm8");
    let figure = recalled(world);
    let what = "the same, of a device whose chain was judged before";
    line(what, with_keys(x25519 + mutual), figure, None, foreign, "x509_ccm8");
    println!(
        "\nThe floor is AWS-LC alone: a key pair and an agreement on X25519 {x25519:.1} µs, on P-256 {p256:.1}; a signature {sign:.1}; \
         a verification {verify:.1}. Other rows:\n"
    );
    head();
}

fn head() {
    println!(
        "| what the server does, µs of its CPU | goal | floor | Lightship | dimpl | OpenSSL | mbedTLS |"
    );
    println!("|---|---|---|---|---|---|---|");
}

fn resumed_handshakes(world: &World, foreign: &[Figures; 2]) {
    let rows = [
        ("resumed by session ID, PSK CCM_8", Kind::Psk, Resuming::ById, "psk_ccm8_by_id"),
        ("resumed by ticket, PSK CCM_8", Kind::Psk, Resuming::ByTicket, "psk_ccm8_by_ticket"),
        ("resumed by ticket, certificates, CCM_8", Kind::X509, Resuming::ByTicket, "x509_ccm8_by_ticket"),
    ];
    for (what, kind, resuming, key) in rows {
        let suite = if kind == Kind::Psk { Suite::PskAes128Ccm8 } else { Suite::EcdheEcdsaAes128Ccm8 };
        let setting = Setting::new(world, kind, suite, resuming);
        handshakes(&mut [Ours::new(&setting, 0)]);
        let run = || {
            let mut pairs: Vec<_> = (0..BATCH).map(|number| Ours::new(&setting, number)).collect();
            let time = handshakes(&mut pairs);
            assert!(pairs.iter().all(Ours::is_resumed), "{what}");
            time
        };
        run();
        line(what, Against::default(), median((0..RUNS).map(|_| run()).collect()), None, foreign, key);
    }
}

fn flows(world: &World, foreign: &[Figures; 2]) {
    let psk = beside::Setting::psk();
    let dimpl = flow(|_| beside::Dimpl::new(&psk));
    let ccm = record(world, Suite::PskAes128Ccm8);
    line(
        "a record of 64 bytes opened and one sealed, CCM_8",
        Against::default(),
        ccm,
        Some(dimpl),
        foreign,
        "psk_ccm8_record",
    );
    let setting = Setting::with_connection_ids(world, Suite::PskAes128Ccm8);
    let with_id = flow(|number| Ours::new(&setting, number));
    line("the same, with a connection ID in what is opened", Against::default(), with_id, None, foreign, "-");
    line(
        "a record of 64 bytes opened and one sealed, GCM",
        Against::default(),
        record(world, Suite::PskAes128Gcm),
        None,
        foreign,
        "psk_gcm_record",
    );
}

fn record(world: &World, suite: Suite) -> f64 {
    let setting = Setting::new(world, Kind::Psk, suite, Resuming::No);
    flow(|number| Ours::new(&setting, number))
}

/// Handshakes or records for ever, for a profiler.
fn profile(world: &World, kind: &str) {
    loop {
        let micros = match kind {
            "rpk" => ours(world, Kind::RawPublicKey, Suite::EcdheEcdsaAes128Ccm8, None),
            "x509" => ours(world, Kind::X509, Suite::EcdheEcdsaAes128Ccm8, None),
            "recalled" => recalled(world),
            "record" => record(world, Suite::PskAes128Ccm8),
            _ => ours(world, Kind::Psk, Suite::PskAes128Ccm8, None),
        };
        println!("{micros:.3}");
    }
}

/// A figure for people.
fn show(micros: f64) -> String {
    if micros < 2.0 { format!("{micros:.2}") } else { format!("{micros:.1}") }
}

fn full<P: Pair>(mut make: impl FnMut(u32) -> P) -> f64 {
    let mut run = || handshakes(&mut (0..BATCH).map(&mut make).collect::<Vec<_>>());
    run();
    median((0..RUNS).map(|_| run()).collect())
}

/// `group`: the only one; by default both sides prefer as they do.
fn ours(world: &World, kind: Kind, suite: Suite, group: Option<Group>) -> f64 {
    let setting = match group {
        Some(group) => Setting::with_group(world, kind, suite, group),
        None => Setting::new(world, kind, suite, Resuming::No),
    };
    full(|number| {
        setting.forget();
        Ours::new(&setting, number)
    })
}

/// With certificates whose chains were judged before.
fn recalled(world: &World) -> f64 {
    let setting = Setting::with_verdicts(world, Suite::EcdheEcdsaAes128Ccm8);
    full(|number| {
        setting.forget();
        Ours::new(&setting, number)
    })
}

fn flow<P: Pair>(make: impl FnMut(u32) -> P) -> f64 {
    let mut pairs: Vec<P> = (0..BATCH).map(make).collect();
    handshakes(&mut pairs);
    records(&mut pairs, 50);
    median((0..RUNS).map(|_| records(&mut pairs, 50)).collect())
}

/// What one idle session of a server costs.
fn memory(world: &World, foreign: &[Figures; 2]) {
    let setting = Setting::with_connection_ids(world, Suite::PskAes128Ccm8);
    let mut kept = Vec::new();
    let make = |from: u32, kept: &mut Vec<_>| {
        setting.forget();
        let mut pairs: Vec<_> = (from..from + BATCH).map(|number| Ours::new(&setting, number)).collect();
        handshakes(&mut pairs);
        // The first record shows that the handshake is over.
        records(&mut pairs, 1);
        kept.extend(pairs.into_iter().filter_map(Ours::into_server));
    };
    make(0, &mut kept);
    kept.reserve_exact(usize::try_from(IDLE).unwrap_or(0));
    let before = resident();
    let first = kept.len();
    for from in (BATCH..=IDLE).step_by(BATCH.try_into().unwrap_or(1)) {
        make(from, &mut kept);
    }
    let ours = resident().saturating_sub(before) / (kept.len() - first);
    let psk = beside::Setting::psk();
    let before = resident();
    let mut theirs: Vec<_> = (0..IDLE_BESIDE).map(|_| beside::Dimpl::new(&psk)).collect();
    handshakes(&mut theirs);
    theirs.iter_mut().for_each(Pair::drop_client);
    let dimpl = resident().saturating_sub(before) / IDLE_BESIDE;
    let [openssl, mbedtls] = foreign.each_ref().map(|figures| figures.show("heap_per_session"));
    println!("| bytes of an idle session | 256 | – | {ours} | {dimpl} | {openssl} | {mbedtls} |");
    println!(
        "\n{} idle sessions of ours, {IDLE_BESIDE} of dimpl: resident. The others: their heap. The value of ours is {} bytes.",
        kept.len(),
        size_of::<lightship_dtls::Association>(),
    );
}
