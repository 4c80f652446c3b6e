//! Base64 in both alphabets (RFC 4648): standard with padding in text/plain, URL-safe without padding in SenML JSON.
//!
//! Either alphabet and either padding is accepted, since an example of the standard mixes them; a wrong length, bits that must be
//! zero and foreign characters are not.

use super::out::Out;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends the standard form with padding.
pub(super) fn encode_standard(out: &mut Out<'_>, bytes: &[u8]) {
    encode(out, bytes, STANDARD, true);
}

/// Appends the URL-safe form without padding.
pub(super) fn encode_url_safe(out: &mut Out<'_>, bytes: &[u8]) {
    encode(out, bytes, URL_SAFE, false);
}

fn encode(out: &mut Out<'_>, bytes: &[u8], alphabet: &[u8; 64], pad: bool) {
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        for (slot, byte) in group.iter_mut().skip(1).zip(chunk) {
            *slot = *byte;
        }
        let group = u32::from_be_bytes(group);
        for (position, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            if position <= chunk.len() {
                let index = usize::try_from(group >> shift & 63).unwrap_or_default();
                out.push(alphabet.get(index).copied().unwrap_or_default());
            } else if pad {
                out.push(b'=');
            }
        }
    }
}

/// Decodes into `target`; gives the length, or `None` when the text is no Base64. `Some(Err(()))`: the target is too small.
pub(super) fn decode(text: impl Iterator<Item = char>, target: &mut [u8]) -> Option<Result<usize, ()>> {
    let mut len = 0;
    let mut group: u32 = 0;
    let mut digits: u32 = 0;
    let mut padding: u32 = 0;
    let mut fits = true;
    for character in text {
        if character == '=' {
            padding += 1;
            if padding > 2 {
                return None;
            }
            continue;
        }
        if padding > 0 {
            return None;
        }
        group = group << 6 | digit(character)?;
        digits = digits.wrapping_add(1) % 4;
        if digits == 0 {
            fits &= put(target, &mut len, group, 3);
            group = 0;
        }
    }
    // What is left over: 2 digits hold 1 byte and 4 zero bits, 3 digits hold 2 bytes and 2 zero bits.
    match (digits, padding) {
        (0, 0) => {}
        (2, 0 | 2) if group & 0xF == 0 => fits &= put(target, &mut len, group << 12, 1),
        (3, 0 | 1) if group & 0x3 == 0 => fits &= put(target, &mut len, group << 6, 2),
        _ => return None,
    }
    Some(if fits { Ok(len) } else { Err(()) })
}

/// Appends the first `count` of three bytes.
fn put(target: &mut [u8], len: &mut usize, group: u32, count: usize) -> bool {
    let [_, bytes @ ..] = group.to_be_bytes();
    let (Some(slots), Some(bytes)) = (target.get_mut(*len..len.saturating_add(count)), bytes.get(..count))
    else {
        return false;
    };
    slots.copy_from_slice(bytes);
    *len += count;
    true
}

fn digit(character: char) -> Option<u32> {
    let offset = match character {
        'A'..='Z' => u32::from(character) - u32::from('A'),
        'a'..='z' => u32::from(character) - u32::from('a') + 26,
        '0'..='9' => u32::from(character) - u32::from('0') + 52,
        '+' | '-' => 62,
        '/' | '_' => 63,
        _ => return None,
    };
    Some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<std::vec::Vec<u8>> {
        let mut target = [0; 16];
        let len = decode(text.chars(), &mut target)?.ok()?;
        target.get(..len).map(Into::into)
    }

    // Proves: FMT-15
    #[test]
    fn both_alphabets_are_read_and_each_is_written() {
        let bytes = [0xFB, 0xFF, 1, 2, 3];
        for text in ["-_8BAgM", "+/8BAgM=", "-_8BAgM=", "+/8BAgM"] {
            assert_eq!(decoded(text).as_deref(), Some(&bytes[..]), "{text}");
        }
        let mut buffer = [0; 32];
        let mut out = Out::new(&mut buffer);
        encode_standard(&mut out, &bytes);
        out.push(b' ');
        encode_url_safe(&mut out, &bytes);
        let len = out.finish().expect("fits");
        assert_eq!(buffer.get(..len), Some(&b"+/8BAgM= -_8BAgM"[..]));
    }

    #[test]
    fn broken_base64_is_refused() {
        for text in ["A", "AA=A", "AAAAA", "A===", "AA===", "AA*A", "AB", "AAB", "AAAA=", "AA==A", "AAA=="] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(decoded(""), Some([].into()));
        assert!(decode("AAAA".chars(), &mut [0; 2]) == Some(Err(())));
    }
}
