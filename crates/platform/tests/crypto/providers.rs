//! Both providers are one: what one makes the other takes.

use lightship_platform::SeededRng;
use lightship_platform::crypto::{Aead, Crypto as _, Digest, Group, RustCrypto, Secret};
use proptest::prelude::*;

use crate::{PROVIDERS, hex};

#[test]
fn equal_seeds_give_equal_shares_in_the_portable_provider() {
    for group in [Group::Secp256r1, Group::X25519] {
        let shares = [5, 5, 6].map(|seed| {
            let mut rng = SeededRng::from_number(seed);
            let first = RustCrypto.agreement(group, &mut rng).unwrap().share().to_vec();
            let second = RustCrypto.agreement(group, &mut rng).unwrap().share().to_vec();
            assert_ne!(first, second, "{group:?}");
            (first, second)
        });
        assert_eq!(shares[0], shares[1], "{group:?}");
        assert_ne!(shares[0], shares[2], "{group:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_one_seals_the_other_opens(
        aead in prop::sample::select(vec![Aead::Aes128Ccm8, Aead::Aes128Ccm, Aead::Aes128Gcm, Aead::Aes256Gcm]),
        key in any::<[u8; 32]>(), nonce in any::<[u8; 12]>(),
        aad in prop::collection::vec(any::<u8>(), 0..60),
        plaintext in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let key = &key[..aead.key_len()];
        for (_, one) in PROVIDERS {
            for (_, other) in PROVIDERS {
                let mut buffer = plaintext.clone();
                let tag = one.seal(aead, key, &nonce, &aad, &mut buffer).unwrap();
                let tag = &tag[..aead.tag_len()];
                prop_assert!(other.open(aead, key, &nonce, &aad, &mut buffer, tag).is_ok());
                prop_assert_eq!(&buffer, &plaintext);
            }
        }
    }

    #[test]
    fn both_agree_and_verify_each_other(seed in any::<u64>(), private in any::<[u8; 32]>(), message in any::<[u8; 40]>()) {
        for (one_name, one) in PROVIDERS {
            for (_, other) in PROVIDERS {
                let mut rng = SeededRng::from_number(seed);
                for group in [Group::Secp256r1, Group::X25519] {
                    prop_assert!(one.has_group(group));
                    let (here, there) = (one.agreement(group, &mut rng).unwrap(), other.agreement(group, &mut rng).unwrap());
                    let (here_share, there_share) = (here.share().to_vec(), there.share().to_vec());
                    let secret = here.agree(&there_share).unwrap();
                    prop_assert_eq!(secret.bytes().len(), 32);
                    prop_assert!(secret == there.agree(&here_share).unwrap());
                }
                let (Ok(key), Ok(same)) = (one.signing_key(&private), other.signing_key(&private)) else { continue };
                prop_assert_eq!(key.public_key(), same.public_key());
                let signature = key.sign(&mut rng, &message).unwrap();
                prop_assert!(other.verify_ecdsa(key.public_key(), &message, &signature).is_ok());
                prop_assert!(other.verify_ecdsa(key.public_key(), &message[1..], &signature).is_err());
                if one_name == "RustCrypto" {
                    prop_assert_eq!(signature, key.sign(&mut rng, &message).unwrap(), "needs no randomness");
                }
            }
        }
    }

    #[test]
    fn hashes_and_macs_are_equal(key in prop::collection::vec(any::<u8>(), 0..150), data in prop::collection::vec(any::<u8>(), 0..300)) {
        let answers = PROVIDERS.map(|(_, crypto)| {
            let digests = [Digest::Sha256, Digest::Sha384, Digest::Sha512].map(|digest| crypto.digest(digest, &data));
            (crypto.hmac_sha256(&key, &[&data]), digests)
        });
        prop_assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn a_secret_erases_itself_and_does_not_show_itself() {
    fn erased<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let secret = Secret::new(&hex("736563726574"));
    erased(&secret);
    assert_eq!(format!("{secret:?}"), "Secret(…)");
}
