//! The fuzzer's entry: the environment variable LIGHTSHIP_FUZZ_TARGET names the target.

#![no_main]

use lightship_fuzz::TARGETS;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("LIGHTSHIP_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("LIGHTSHIP_FUZZ_TARGET names no target: {wanted:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
