//! Points, keys and signatures from strangers: refused, by every provider, without a panic.

use lightship_platform::SeededRng;
use lightship_platform::crypto::{Aead, Crypto as _, Group, RustCrypto};
use proptest::prelude::*;

use crate::{PRIVATE, PROVIDERS, PUBLIC, Scripted, hex, spki};

#[test]
fn a_share_that_is_no_point_is_refused() {
    let public = hex(PUBLIC);
    let off_curve = {
        let mut point = public.clone();
        point[64] ^= 1;
        point
    };
    let prime = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let shares = [
        vec![],
        vec![0],
        vec![0; 65],
        vec![4],
        [&[4], [0; 64].as_slice()].concat(),
        [&[4], [0xff; 64].as_slice()].concat(),
        hex(&format!("04{prime}{prime}")),
        off_curve,
        [&[2], &public[1..33]].concat(),
        [&[3], &public[1..]].concat(),
        [&[6], &public[1..]].concat(),
        public[1..].to_vec(),
        public[..64].to_vec(),
        [public.as_slice(), &[0]].concat(),
        spki(&public),
    ];
    for (name, crypto) in PROVIDERS {
        for share in &shares {
            let pair = crypto.agreement(Group::Secp256r1, &mut SeededRng::from_number(1)).unwrap();
            assert!(pair.agree(share).is_err(), "{name}: {share:02x?}");
        }
        let pair = crypto.agreement(Group::Secp256r1, &mut SeededRng::from_number(1)).unwrap();
        assert!(pair.agree(&public).is_ok(), "{name}");
    }
}

#[test]
fn a_share_of_small_order_is_refused() {
    // The points of small order of Curve25519, and values that reduce to them.
    let shares = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for (name, crypto) in PROVIDERS {
        let pair = || crypto.agreement(Group::X25519, &mut SeededRng::from_number(1)).unwrap();
        for share in shares {
            assert!(pair().agree(&hex(share)).is_err(), "{name}: {share}");
        }
        for share in [vec![], vec![9; 31], vec![9; 33], hex(PUBLIC)] {
            assert!(pair().agree(&share).is_err(), "{name}: {} bytes", share.len());
        }
        assert!(pair().agree(&[9; 32]).is_ok(), "{name}");
    }
}

#[test]
fn a_generator_that_is_stuck_makes_no_key_and_no_endless_loop() {
    for stuck in [0, 0xff] {
        assert!(RustCrypto.agreement(Group::Secp256r1, &mut Scripted(vec![stuck])).is_err(), "{stuck}");
    }
}

#[test]
fn a_malformed_signature_or_key_is_refused() {
    let public = spki(&hex(PUBLIC));
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let signatures = [
        vec![],
        vec![0x30],
        hex("3000"),
        hex("3080020101020101 0000"),
        hex("3006020101020101"),
        hex("3006020100020101"),
        hex("3006020101020100"),
        hex("30060201ff0201ff"),
        hex("3008020200010202 0001"),
        hex("30820006020101020101"),
        hex(&format!("3026022100{order}020101")),
        vec![0x30; 72],
        vec![0xff; 5_000],
    ];
    let compressed =
        [hex("3039301306072a8648ce3d020106082a8648ce3d030107032200"), hex(PUBLIC)[..33].to_vec()].concat();
    let keys = [
        vec![],
        public[..90].to_vec(),
        [public.as_slice(), &[0]].concat(),
        compressed,
        spki(&[4; 65]),
        hex(PUBLIC),
        vec![0x30; 91],
    ];
    let mut rng = SeededRng::from_number(1);
    for (name, crypto) in PROVIDERS {
        for signature in &signatures {
            assert!(crypto.verify_ecdsa(&public, b"sample", signature).is_err(), "{name}: {signature:02x?}");
        }
        let good = crypto.signing_key(&hex(PRIVATE)).unwrap().sign(&mut rng, b"sample").unwrap();
        assert!(crypto.verify_ecdsa(&public, b"sample", &good).is_ok(), "{name}");
        assert!(
            crypto.verify_ecdsa(&public, b"sample", &[good.as_slice(), &[0]].concat()).is_err(),
            "{name}"
        );
        for key in &keys {
            assert!(crypto.verify_ecdsa(key, b"sample", &good).is_err(), "{name}: {key:02x?}");
        }
    }
}

/// SEC 1 (RFC 5915 §3) of the number, with what follows it.
fn sec1(rest: &str) -> Vec<u8> {
    wrap(0x30, &hex(&format!("0201010420{PRIVATE}{rest}")))
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u8::try_from(content.len()).unwrap();
    let head = if len < 128 { vec![tag, len] } else { vec![tag, 0x81, len] };
    [head, content.to_vec()].concat()
}

fn pkcs8(algorithm: &str, key: &[u8]) -> Vec<u8> {
    wrap(0x30, &[hex(&format!("020100{algorithm}")), wrap(4, key)].concat())
}

const P256: &str = "301306072a8648ce3d020106082a8648ce3d030107";
const P384: &str = "301006072a8648ce3d020106052b81040022";
const ED25519: &str = "300506032b6570";

#[test]
fn a_private_key_is_read_in_every_form_and_is_the_same() {
    let public = format!("a144034200{PUBLIC}");
    let forms = [
        hex(PRIVATE),
        sec1(""),
        sec1("a00a06082a8648ce3d030107"),
        sec1(&format!("a00a06082a8648ce3d030107{public}")),
        pkcs8(P256, &sec1("")),
        pkcs8(P256, &sec1(&public)),
    ];
    for (name, crypto) in PROVIDERS {
        for form in &forms {
            let key = crypto.signing_key(form).unwrap_or_else(|_| panic!("{name}: {form:02x?}"));
            assert_eq!(key.public_key(), spki(&hex(PUBLIC)), "{name}");
        }
    }
}

#[test]
fn a_private_key_that_is_none_is_refused() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut foreign = hex(PUBLIC);
    foreign[64] ^= 1;
    let foreign: String = foreign.iter().map(|byte| format!("{byte:02x}")).collect();
    // A point of the curve, but another one: the base point.
    let base = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296
                4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let forms = [
        vec![],
        vec![0; 32],
        vec![0xff; 32],
        hex(order),
        hex(PRIVATE)[1..].to_vec(),
        sec1(&format!("a144034200{foreign}")),
        sec1(&format!("a144034200{base}")),
        sec1("a00706052b81040022"),
        pkcs8(P384, &sec1("")),
        pkcs8(ED25519, &wrap(4, &hex(PRIVATE))),
        pkcs8(P256, &hex(PRIVATE)),
        vec![0x30; 100],
        [pkcs8(P256, &sec1("")), vec![0]].concat(),
    ];
    for (name, crypto) in PROVIDERS {
        for form in &forms {
            assert!(crypto.signing_key(form).is_err(), "{name}: {form:02x?}");
        }
    }
}

#[test]
fn a_key_of_a_wrong_length_is_refused() {
    for (name, crypto) in PROVIDERS {
        for aead in [Aead::Aes128Ccm8, Aead::Aes128Ccm, Aead::Aes128Gcm, Aead::Aes256Gcm] {
            for len in [0, 1, 15, 17, 24, 31, 33, 64] {
                let mut buffer = [0; 8];
                let key = vec![1; len];
                assert!(
                    crypto.seal(aead, &key, &[0; 12], b"", &mut buffer).is_err(),
                    "{name}: {aead:?} {len}"
                );
                let tag = vec![0; aead.tag_len()];
                assert!(
                    crypto.open(aead, &key, &[0; 12], b"", &mut buffer, &tag).is_err(),
                    "{name}: {aead:?} {len}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn spoiled_keys_and_signatures_never_panic_and_both_providers_judge_alike(
        seed in any::<u64>(), at in 0_usize..200, flip in 1_u8.., message in any::<[u8; 8]>(),
    ) {
        let mut rng = SeededRng::from_number(seed);
        let signer = PROVIDERS[0].1.signing_key(&hex(PRIVATE)).unwrap();
        let mut signature = signer.sign(&mut rng, &message).unwrap();
        let mut public = spki(&hex(PUBLIC));
        let mut private = pkcs8(P256, &sec1(""));
        for bytes in [&mut signature, &mut public, &mut private] {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        let good = signer.sign(&mut rng, &message).unwrap();
        let whole = spki(&hex(PUBLIC));
        let verdicts = PROVIDERS.map(|(_, crypto)| {
            let share = &public[26..];
            let pair = crypto.agreement(Group::Secp256r1, &mut SeededRng::from_number(seed)).unwrap();
            (
                crypto.verify_ecdsa(&whole, &message, &signature),
                crypto.verify_ecdsa(&public, &message, &good),
                crypto.signing_key(&private).map(|key| key.public_key().to_vec()),
                pair.agree(share).map(|secret| secret.bytes().len()),
            )
        });
        prop_assert_eq!(&verdicts[0], &verdicts[1]);
        prop_assert!(verdicts[0].1.is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_key_and_no_signature(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, crypto) in PROVIDERS {
            if bytes.len() != 32 {
                prop_assert!(crypto.signing_key(&bytes).is_err());
            }
            prop_assert!(crypto.verify_ecdsa(&bytes, b"", &bytes).is_err());
            prop_assert!(crypto.verify_ecdsa(&spki(&hex(PUBLIC)), b"", &bytes).is_err());
        }
    }
}
