//! Known answers of the standards, for every provider.

use lightship_platform::crypto::{Aead, Crypto as _, Digest, Group, RustCrypto, Sha256};
use serde_json::Value;

use crate::{PRIVATE, PROVIDERS, PUBLIC, Scripted, hex, spki};

fn file(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn field(vector: &Value, name: &str) -> Vec<u8> {
    hex(vector[name].as_str().unwrap())
}

#[test]
fn hmac_gives_the_answers_of_rfc_4231() {
    let long = "Test Using Larger Than Block-Size Key - Hash Key First";
    let longer = "This is a test using a larger than block-size key and a larger than block-size data. The key \
                  needs to be hashed before being used by the HMAC algorithm.";
    let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (vec![0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            (1..=25).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            vec![0xaa; 131],
            long.as_bytes().to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            longer.as_bytes().to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (name, crypto) in PROVIDERS {
        for (key, data, mac) in &cases {
            assert_eq!(crypto.hmac_sha256(key, &[data]).to_vec(), hex(mac), "{name}");
            let (front, back) = data.split_at(data.len() / 3);
            assert_eq!(crypto.hmac_sha256(key, &[front, b"", back]).to_vec(), hex(mac), "{name}, in parts");
        }
    }
}

#[test]
fn the_pseudorandom_function_of_tls_comes_out_right() {
    let vectors = file(include_str!("../vectors/tls12_prf.json"));
    let mut seen = 0;
    for vector in vectors.iter().filter(|vector| vector["hash"] == "sha256") {
        let secret = field(vector, "secret");
        let label = vector["label"].as_str().unwrap().as_bytes();
        let (seed, output) = (field(vector, "seed"), field(vector, "output"));
        for (name, crypto) in PROVIDERS {
            // RFC 5246 §5: P_hash over label and seed.
            let mut a = crypto.hmac_sha256(&secret, &[label, &seed]);
            let mut stream = Vec::new();
            while stream.len() < output.len() {
                stream.extend(crypto.hmac_sha256(&secret, &[&a, label, &seed]));
                a = crypto.hmac_sha256(&secret, &[&a]);
            }
            stream.truncate(output.len());
            assert_eq!(stream, output, "{name}: {}", vector["name"]);
        }
        seen += 1;
    }
    assert!(seen >= 5, "{seen} vectors");
}

#[test]
fn digests_of_abc_are_those_of_fips_180() {
    let cases = [
        (Digest::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Digest::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Digest::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (name, crypto) in PROVIDERS {
        for (digest, expected) in cases {
            let mut padded = hex(expected);
            padded.resize(64, 0);
            assert_eq!(crypto.digest(digest, b"abc").unwrap().to_vec(), padded, "{name}: {digest:?}");
        }
    }
    assert_eq!(Sha256::of(b"abc").to_vec(), hex(cases[0].1));
}

#[test]
fn ccm_gives_the_answers_of_the_vectors_with_nonces_of_12_bytes() {
    let vectors = file(include_str!("../vectors/ccm.json"));
    let mut seen = 0;
    for vector in &vectors {
        let aead = match (vector["tag_len"].as_u64().unwrap(), field(vector, "nonce").len()) {
            (8, 12) => Aead::Aes128Ccm8,
            (16, 12) => Aead::Aes128Ccm,
            _ => continue, // shapes that DTLS 1.2 does not use
        };
        let Ok(nonce) = field(vector, "nonce").try_into() else { continue };
        let expected = field(vector, "ciphertext_and_tag");
        check(
            aead,
            &field(vector, "key"),
            &nonce,
            &field(vector, "aad"),
            &field(vector, "plaintext"),
            &expected,
        );
        seen += 1;
    }
    assert!(seen >= 3, "{seen} vectors");
}

/// Seals and opens with every provider, then opens with each part spoiled.
fn check(aead: Aead, key: &[u8], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], expected: &[u8]) {
    assert_eq!(key.len(), aead.key_len());
    assert_eq!(expected.len(), plaintext.len() + aead.tag_len());
    let (ciphertext, tag) = expected.split_at(plaintext.len());
    for (name, crypto) in PROVIDERS {
        let mut buffer = plaintext.to_vec();
        let made = crypto.seal(aead, key, nonce, aad, &mut buffer).unwrap();
        assert_eq!(buffer, ciphertext, "{name}: {aead:?}");
        assert_eq!(&made[..aead.tag_len()], tag, "{name}: {aead:?}");
        crypto.open(aead, key, nonce, aad, &mut buffer, tag).unwrap();
        assert_eq!(buffer, plaintext, "{name}: {aead:?}");

        let refused = |nonce: &[u8; 12], aad: &[u8], ciphertext: &[u8], tag: &[u8]| {
            let mut buffer = ciphertext.to_vec();
            assert!(crypto.open(aead, key, nonce, aad, &mut buffer, tag).is_err(), "{name}: {aead:?}");
        };
        let spoiled = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            bytes
        };
        let mut other = *nonce;
        other[11] ^= 1;
        refused(&other, aad, ciphertext, tag);
        refused(nonce, aad, ciphertext, &spoiled(tag));
        refused(nonce, aad, ciphertext, &tag[1..]);
        refused(nonce, aad, ciphertext, &[]);
        refused(nonce, &[aad, &[0]].concat(), ciphertext, tag);
        if !ciphertext.is_empty() {
            refused(nonce, aad, &spoiled(ciphertext), tag);
        }
    }
}

#[test]
fn gcm_gives_the_answers_of_its_inventors() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 1, 2, 4 and 16.
    check(Aead::Aes128Gcm, &[0; 16], &[0; 12], b"", b"", &hex("58e2fccefa7e3061367f1d57a4e7455a"));
    let expected = hex("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf");
    check(Aead::Aes128Gcm, &[0; 16], &[0; 12], b"", &[0; 16], &expected);
    let key = hex("feffe9928665731c6d6a8f9467308308");
    let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plaintext = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let expected = hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47");
    check(Aead::Aes128Gcm, &key, &nonce, &aad, &plaintext, &expected);
    let expected = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    check(Aead::Aes256Gcm, &[key.as_slice(), &key].concat(), &nonce, &aad, &plaintext, &expected);
}

#[test]
fn cbc_gives_the_answers_of_sp_800_38a() {
    let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let iv = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let plaintext = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let ciphertext = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
    for (name, crypto) in PROVIDERS {
        let mut buffer = plaintext.clone();
        crypto.cbc_encrypt(&key, &iv, &mut buffer).unwrap();
        assert_eq!(buffer, ciphertext, "{name}");
        crypto.cbc_decrypt(&key, &iv, &mut buffer).unwrap();
        assert_eq!(buffer, plaintext, "{name}");
        assert!(crypto.cbc_encrypt(&key, &iv, &mut buffer[1..]).is_err(), "{name}: half a block");
        assert!(crypto.cbc_decrypt(&key, &iv, &mut buffer[1..]).is_err(), "{name}: half a block");
        assert!(crypto.cbc_encrypt(&key[1..], &iv, &mut buffer).is_err(), "{name}: short key");
        assert!(crypto.cbc_decrypt(&key[1..], &iv, &mut buffer).is_err(), "{name}: short key");
    }
}

#[test]
fn agreement_gives_the_answers_of_rfc_7748_and_rfc_5903() {
    let x25519 = [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ];
    let p256 = [
        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180
         5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
        "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63
         56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    ];
    // Only one provider can be told its private key; that the other agrees with it is a property in `providers`.
    for (group, [private, share, peer, secret]) in [(Group::X25519, x25519), (Group::Secp256r1, p256)] {
        let pair = RustCrypto.agreement(group, &mut Scripted(hex(private))).unwrap();
        assert_eq!(pair.share(), hex(share), "{group:?}");
        assert_eq!(pair.agree(&hex(peer)).unwrap().bytes(), hex(secret), "{group:?}");
    }
}

#[test]
fn signatures_are_those_of_rfc_6979() {
    let r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
    let s = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    let expected = hex(&format!("3046022100{r}022100{s}"));
    let mut rng = Scripted(vec![7]);
    for (name, crypto) in PROVIDERS {
        let key = crypto.signing_key(&hex(PRIVATE)).unwrap();
        assert_eq!(key.public_key(), spki(&hex(PUBLIC)), "{name}");
        crypto.verify_ecdsa(key.public_key(), b"sample", &expected).unwrap();
        assert!(crypto.verify_ecdsa(key.public_key(), b"simple", &expected).is_err(), "{name}");
        if name == "RustCrypto" {
            assert_eq!(key.sign(&mut rng, b"sample").unwrap(), expected);
        }
    }
}
