//! Hex digits to bytes, as people paste them.

/// Turns hex text into bytes. Blanks, line ends, `:`, `,`, `-` and `0x` before a byte are allowed.
///
/// # Errors
/// Says which character at which place is no hex digit, or that a digit is missing.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u8> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next_is_x = matches!(characters.peek(), Some((_, 'x' | 'X')));
        if character == '0' && high.is_none() && next_is_x {
            characters.next();
            continue;
        }
        match character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
            Some(digit) => match high.take() {
                Some(first) => bytes.push((first << 4) | digit),
                None => high = Some(digit),
            },
            None if high.is_some() => {
                return Err(format!("at character {}: a byte lacks its second hex digit", at + 1));
            }
            None if character.is_whitespace() || matches!(character, ':' | ',' | '-') => {}
            None => return Err(format!("at character {}: {character:?} is not a hex digit", at + 1)),
        }
    }
    match high {
        Some(_) => Err("an odd number of hex digits: the last byte lacks its second".to_owned()),
        None => Ok(bytes),
    }
}

/// Bytes as hex digits, without blanks.
pub(crate) fn print(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_hex_is_understood() {
        for text in ["44012a1f", "44 01 2A 1F", "44:01:2a:1f\n", "0x44, 0x01, 0x2a, 0x1f", "4401-2a1f"] {
            assert_eq!(parse(text), Ok(vec![0x44, 0x01, 0x2a, 0x1f]), "{text}");
        }
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert_eq!(parse("44g1"), Err("at character 3: 'g' is not a hex digit".to_owned()));
        assert_eq!(parse("4 4"), Err("at character 2: a byte lacks its second hex digit".to_owned()));
        assert!(parse("440").unwrap_err().contains("odd number"));
    }

    #[test]
    fn printing_and_parsing_are_inverse() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(parse(&print(&bytes)), Ok(bytes));
    }
}
