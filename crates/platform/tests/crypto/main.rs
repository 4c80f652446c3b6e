//! The providers of cryptography: known answers, foreign input, and that both say the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod foreign;
mod providers;
mod vectors;

use lightship_platform::Rng;
use lightship_platform::crypto::{Crypto, FastCrypto, RustCrypto};

/// Every provider, with the name that a failing assertion shows.
const PROVIDERS: [(&str, &dyn Crypto); 2] = [("RustCrypto", &RustCrypto), ("FastCrypto", &FastCrypto)];

/// A generator that says what it is told to say, over and over.
struct Scripted(Vec<u8>);

impl Rng for Scripted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for (to, from) in bytes.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// The SubjectPublicKeyInfo of an uncompressed P-256 point.
fn spki(point: &[u8]) -> Vec<u8> {
    [&hex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), point].concat()
}

/// RFC 6979 A.2.5: a private key of P-256.
const PRIVATE: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
/// Its public point.
const PUBLIC: &str = "04
    60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6
    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
