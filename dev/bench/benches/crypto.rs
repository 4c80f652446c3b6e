//! Nanoseconds of every primitive of cryptography, by provider, and of judging a certificate.
//!
//! `cargo bench -p lightship-bench --bench crypto`. What a handshake or a record costs at least follows from these:
//! a full ECDHE-ECDSA handshake is a pair, an agreement, a signature and a check of one on either side.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is a program, and may fail anywhere")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lightship_dtls::certificate::{Anchors, public_key, verify_client};
use lightship_platform::crypto::{Aead, Crypto, FastCrypto, Group, RustCrypto};
use lightship_platform::{SeededRng, UnixTime};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const PROVIDERS: [(&str, &dyn Crypto); 2] = [("portable", &RustCrypto), ("fast", &FastCrypto)];

fn symmetric(criterion: &mut Criterion) {
    for (name, crypto) in PROVIDERS {
        let mut group = criterion.benchmark_group(format!("symmetric/{name}"));
        group.bench_function("hmac_sha256 of 77 bytes", |bencher| {
            bencher.iter(|| black_box(crypto.hmac_sha256(black_box(&[3; 48]), &[&[1; 13], &[2; 64]])));
        });
        for aead in [Aead::Aes128Ccm8, Aead::Aes128Gcm] {
            let (key, nonce, aad) = ([1; 16], [2; 12], [3; 13]);
            let mut buffer = [0; 64];
            group.bench_function(format!("{aead:?} seal 64 bytes"), |bencher| {
                bencher.iter(|| crypto.seal(aead, black_box(&key), &nonce, &aad, &mut buffer).unwrap());
            });
            let mut sealed = [0; 64];
            let tag = crypto.seal(aead, &key, &nonce, &aad, &mut sealed).unwrap();
            let (tag, _) = tag.split_at(aead.tag_len());
            group.bench_function(format!("{aead:?} open 64 bytes"), |bencher| {
                bencher.iter(|| {
                    let mut buffer = sealed;
                    crypto.open(aead, black_box(&key), &nonce, &aad, &mut buffer, tag).unwrap();
                    buffer
                });
            });
        }
    }
}

fn curves(criterion: &mut Criterion) {
    for (name, crypto) in PROVIDERS {
        let mut rng = SeededRng::from_number(1);
        let mut group = criterion.benchmark_group(format!("curves/{name}"));
        for curve in [Group::Secp256r1, Group::X25519] {
            group.bench_function(format!("{curve:?} pair"), |bencher| {
                bencher.iter(|| crypto.agreement(curve, &mut rng).unwrap());
            });
            let share = crypto.agreement(curve, &mut rng).unwrap().share().to_vec();
            group.bench_function(format!("{curve:?} pair and agreement"), |bencher| {
                bencher.iter(|| crypto.agreement(curve, &mut rng).unwrap().agree(black_box(&share)).unwrap());
            });
        }
        let key = crypto.signing_key(&[7; 32]).unwrap();
        let message = [9; 200];
        let signature = key.sign(&mut rng, &message).unwrap();
        group.bench_function("sign", |bencher| {
            bencher.iter(|| key.sign(&mut rng, black_box(&message)).unwrap())
        });
        group.bench_function("verify", |bencher| {
            bencher.iter(|| crypto.verify_ecdsa(key.public_key(), black_box(&message), &signature).unwrap());
        });
    }
}

fn certificates(criterion: &mut Criterion) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let device = CertificateParams::new(["urn-dev-1.example".to_owned()]).unwrap();
    let device =
        device.signed_by(&KeyPair::generate().unwrap(), &Issuer::from_params(&params, &key)).unwrap();
    let anchors = Anchors::new([root.der().as_ref()]).unwrap();
    let chain = [device.der().as_ref()];
    let date = Some(UnixTime::from_secs(1_767_225_600));
    let mut group = criterion.benchmark_group("certificate");
    group.bench_function("public key", |bencher| {
        bencher.iter(|| public_key(black_box(device.der())).unwrap())
    });
    group.bench_function("path with one signature", |bencher| {
        bencher.iter(|| verify_client(&FastCrypto, black_box(&chain), &anchors, date).unwrap());
    });
}

criterion_group!(benches, symmetric, curves, certificates);
criterion_main!(benches);
