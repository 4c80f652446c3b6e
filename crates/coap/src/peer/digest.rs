//! What the peer itself wants to know of a request's options, gathered in one walk over them.

use crate::block::Block;
use crate::message::{BadOption, BadOptionReason, Message, ReservedSize};
use crate::option::{OptionNumber, RawOption};

/// What a request's options say to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) no_response: u8,
    pub(super) block1: Option<Result<Block, ReservedSize>>,
    pub(super) block2: Option<Result<Block, ReservedSize>>,
    /// As [`Message::bad_option`] says.
    pub(super) bad: Option<BadOption>,
    /// Whether host, path and query are UTF-8.
    pub(super) is_text: bool,
}

impl Digest {
    pub(super) fn of(message: &Message<'_>, understood: &[OptionNumber]) -> Self {
        let mut digest = Self { is_text: true, ..Self::default() };
        let mut no_response = None;
        let mut last = None;
        for option in message.options() {
            let repeated = last == Some(option.number);
            last = Some(option.number);
            let block = || uint(&option).map(|value| Block::from_uint(value).ok_or(ReservedSize));
            match option.number {
                OptionNumber::URI_HOST | OptionNumber::URI_PATH | OptionNumber::URI_QUERY => {
                    let is_text = option.value.is_ascii() || core::str::from_utf8(option.value).is_ok();
                    digest.is_text &= is_text;
                }
                OptionNumber::BLOCK1 => digest.block1 = digest.block1.or_else(block),
                OptionNumber::BLOCK2 => digest.block2 = digest.block2.or_else(block),
                OptionNumber::NO_RESPONSE => no_response = no_response.or_else(|| uint(&option)),
                _ => {}
            }
            if digest.bad.is_none() && option.number.is_critical() {
                let reason = flaw(&option, repeated, understood);
                digest.bad = reason.map(|reason| BadOption { number: option.number, reason });
            }
        }
        digest.no_response = no_response.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0);
        digest
    }
}

/// The value as a number, if its length is allowed.
fn uint(option: &RawOption<'_>) -> Option<u32> {
    option.number.allows_len(option.value.len()).then(|| option.uint())?
}

/// What is wrong with a critical option.
fn flaw(option: &RawOption<'_>, repeated: bool, understood: &[OptionNumber]) -> Option<BadOptionReason> {
    let RawOption { number, value } = *option;
    if !understood.contains(&number) {
        Some(BadOptionReason::Unknown)
    } else if !number.allows_len(value.len()) {
        Some(BadOptionReason::Length)
    } else if repeated && !number.is_repeatable() {
        Some(BadOptionReason::Repeated)
    } else {
        None
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;
    use crate::peer::UNDERSTOOD;

    proptest! {
        #[test]
        fn a_digest_says_what_the_message_says(options: std::vec::Vec<(u8, std::vec::Vec<u8>)>) {
            let mut bytes = std::vec![0x40, 1, 0, 0];
            for (pick, value) in &options {
                // Small steps, so that numbers of note and repetitions are met often.
                let value = value.get(..value.len().min(4)).unwrap_or(&[]);
                bytes.push((pick % 5) << 4 | u8::try_from(value.len()).unwrap());
                bytes.extend(value);
            }
            let Ok(message) = Message::parse(&bytes) else { return Ok(()) };
            let digest = Digest::of(&message, UNDERSTOOD);
            prop_assert_eq!(digest.bad, message.bad_option(UNDERSTOOD));
            prop_assert_eq!(digest.block1, message.block1());
            prop_assert_eq!(digest.block2, message.block2());
            prop_assert_eq!(digest.no_response, message.no_response());
            let texts = [OptionNumber::URI_HOST, OptionNumber::URI_PATH, OptionNumber::URI_QUERY];
            let is_text = message
                .options()
                .filter(|option| texts.contains(&option.number))
                .all(|option| core::str::from_utf8(option.value).is_ok());
            prop_assert_eq!(digest.is_text, is_text);
        }
    }
}
