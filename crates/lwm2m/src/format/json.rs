//! A small JSON pull reader: what SenML needs, without memory of its own.
//!
//! It walks the text once. Numbers that are integers stay integers; texts stay where they are, checked, and are unescaped later
//! by whoever wants them. Values nobody asked for are skipped with a bounded depth.

use super::FormatError;

/// How deep a skipped value may nest.
const SKIP_DEPTH_MAX: u32 = 16;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    /// Above `i64::MAX` only.
    Unsigned(u64),
    /// Finite.
    Float(f64),
}

impl Number {
    #[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "rounding is what is wanted")]
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Unsigned(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// What stands between the quotes, with its escapes, which are known to be legal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JsonText<'a>(&'a str);

impl<'a> JsonText<'a> {
    pub(super) const EMPTY: Self = Self("");

    /// The text, when it needs no unescaping.
    pub(super) fn borrowed(self) -> Option<&'a str> {
        if self.0.contains('\\') { None } else { Some(self.0) }
    }

    /// Unescaping never makes a text longer.
    pub(super) fn decoded_len_max(self) -> usize {
        self.0.len()
    }

    /// The characters meant.
    pub(super) fn chars(self) -> Chars<'a> {
        Chars(self.0.chars())
    }

    /// The bytes meant; a character beyond ASCII that was escaped comes as 0xFF, which no UTF-8 holds.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        let escaped = self.borrowed().is_none();
        let plain = if escaped { "" } else { self.0 };
        let unescaped = Self(if escaped { self.0 } else { "" }).chars();
        let ascii = |character: char| {
            if character.is_ascii() { u8::try_from(character).unwrap_or(0xFF) } else { 0xFF }
        };
        plain.bytes().chain(unescaped.map(ascii))
    }

    /// The text meant, in `scratch`; `None` when that is too small.
    pub(super) fn unescape(self, scratch: &mut [u8]) -> Option<&str> {
        let mut len = 0;
        for character in self.chars() {
            let end = character.len_utf8().checked_add(len)?;
            character.encode_utf8(scratch.get_mut(len..end)?);
            len = end;
        }
        core::str::from_utf8(scratch.get(..len)?).ok()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Chars<'a>(core::str::Chars<'a>);

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.0.next()? {
            '\\' => Some(escape(&mut self.0).unwrap_or(char::REPLACEMENT_CHARACTER)),
            character => Some(character),
        }
    }
}

/// The character of an escape whose backslash was read; `None` when it is none, which includes half a surrogate pair.
fn escape(rest: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        quoted @ ('"' | '\\' | '/') => quoted,
        'b' => '\u{8}',
        'f' => '\u{C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = hex4(rest)?;
            if !(0xD800..0xDC00).contains(&first) {
                return char::from_u32(first);
            }
            if rest.next()? != '\\' || rest.next()? != 'u' {
                return None;
            }
            let second = hex4(rest)?;
            if !(0xDC00..0xE000).contains(&second) {
                return None;
            }
            return char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
        }
        _ => return None,
    })
}

fn hex4(rest: &mut core::str::Chars<'_>) -> Option<u32> {
    let mut number = 0;
    for _ in 0..4 {
        number = number << 4 | rest.next()?.to_digit(16)?;
    }
    Some(number)
}

/// Where the reader stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The next byte that is not white space; it stays unread.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.rest.as_bytes().first().copied()
    }

    /// Reads that byte if it comes next.
    pub(super) fn eat(&mut self, byte: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(byte) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads that byte.
    pub(super) fn expect(&mut self, byte: char) -> Result<(), FormatError> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error for what stands here.
    pub(super) fn unexpected(&self) -> FormatError {
        if self.rest.is_empty() { FormatError::Truncated } else { FormatError::Malformed }
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<JsonText<'a>, FormatError> {
        self.expect('"')?;
        let mut chars = self.rest.chars();
        loop {
            let here = chars.as_str();
            match chars.next() {
                None => return Err(FormatError::Truncated),
                Some('"') => {
                    let len = self.rest.len() - here.len();
                    let text = self.rest.get(..len).unwrap_or_default();
                    self.rest = chars.as_str();
                    return Ok(JsonText(text));
                }
                Some('\\') => drop(escape(&mut chars).ok_or(FormatError::Malformed)?),
                Some(control) if control < ' ' => return Err(FormatError::Malformed),
                Some(_) => {}
            }
        }
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<Number, FormatError> {
        self.skip_space();
        let bytes = self.rest.as_bytes();
        let digits_from = |at: usize| bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
        let at = |index: usize| bytes.get(index).copied();
        let mut len = usize::from(at(0) == Some(b'-'));
        let whole = digits_from(len);
        if whole == 0 || (whole > 1 && at(len) == Some(b'0')) {
            return Err(self.unexpected());
        }
        len += whole;
        let integer = !matches!(at(len), Some(b'.' | b'e' | b'E'));
        if at(len) == Some(b'.') {
            let fraction = digits_from(len + 1);
            if fraction == 0 {
                return Err(FormatError::Malformed);
            }
            len += 1 + fraction;
        }
        if matches!(at(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(at(len + 1), Some(b'+' | b'-')));
            let exponent = digits_from(len + 1 + sign);
            if exponent == 0 {
                return Err(FormatError::Malformed);
            }
            len += 1 + sign + exponent;
        }
        let (digits, rest) = self.rest.split_at_checked(len).ok_or(FormatError::Malformed)?;
        self.rest = rest;
        if integer {
            if let Ok(number) = digits.parse() {
                return Ok(Number::Integer(number));
            }
            if let Ok(number) = digits.parse() {
                return Ok(Number::Unsigned(number));
            }
        }
        match crate::float::parse(digits) {
            Some(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => Err(FormatError::Malformed),
        }
    }

    /// Reads `true`, `false` or `null` (`None`).
    pub(super) fn word(&mut self) -> Result<Option<bool>, FormatError> {
        self.skip_space();
        for (word, meaning) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(meaning);
            }
        }
        Err(self.unexpected())
    }

    /// Reads over any value.
    pub(super) fn skip(&mut self) -> Result<(), FormatError> {
        // Bit n tells whether level n is an object (1) or an array (0).
        let mut objects: u32 = 0;
        let mut depth: u32 = 0;
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    let object = open == b'{';
                    self.expect(if object { '{' } else { '[' })?;
                    if !self.eat(if object { '}' } else { ']' }) {
                        depth += 1;
                        if depth > SKIP_DEPTH_MAX {
                            return Err(FormatError::TooDeep);
                        }
                        objects = objects << 1 | u32::from(object);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => drop(self.text()?),
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
                _ => drop(self.word()?),
            }
            // A value ended: go on to the next one, or leave the levels that end with it.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                if self.eat(',') {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                self.expect(if object { '}' } else { ']' })?;
                objects >>= 1;
                depth -= 1;
            }
        }
    }

    /// Reads a key and its colon.
    pub(super) fn key(&mut self) -> Result<JsonText<'a>, FormatError> {
        let key = self.text()?;
        self.expect(':')?;
        Ok(key)
    }

    /// Whether only white space is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_64_bits() {
        for (text, number) in [
            ("9223372036854775807", Number::Integer(i64::MAX)),
            ("-9223372036854775808", Number::Integer(i64::MIN)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            ("9007199254740993", Number::Integer(9_007_199_254_740_993)),
            ("18446744073709551616", Number::Float(18_446_744_073_709_551_616.0)),
            ("0", Number::Integer(0)),
            ("-0.5e-1", Number::Float(-0.05)),
            ("1E2", Number::Float(100.0)),
        ] {
            assert_eq!(Reader::new(text).number(), Ok(number), "{text}");
        }
        for text in ["01", "+1", ".5", "1.", "1e", "-", "1e400", "NaN", ""] {
            assert!(Reader::new(text).number().is_err(), "{text}");
        }
    }

    #[test]
    fn texts_with_escapes() {
        let text = Reader::new(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#).text().expect("legal");
        let meant: std::string::String = text.chars().collect();
        assert_eq!(meant, "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}z");
        assert_eq!(text.borrowed(), None);
        assert_eq!(text.unescape(&mut [0; 64]), Some(&*meant));
        assert_eq!(text.unescape(&mut [0; 3]), None);
        for text in [
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            r#""\x""#,
            r#""\u12g4""#,
            "\"a\nb\"",
            r#""a"#,
            r#""a\"#,
        ] {
            assert!(Reader::new(text).text().is_err(), "{text}");
        }
    }

    #[test]
    fn skipping_checks_what_it_skips_and_how_deep() {
        for text in ["[]", "{}", r#"{"a":[1,{"b":null},"x"],"c":true}"#, "[[],[[]]]", " -1.5 "] {
            let mut reader = Reader::new(text);
            assert_eq!(reader.skip(), Ok(()), "{text}");
            assert!(reader.at_end(), "{text}");
        }
        for text in ["[", "[1,]", "{\"a\"}", "{1:2}", "[1}", "[,]", "tru", ""] {
            assert!(Reader::new(text).skip().is_err(), "{text}");
        }
        assert_eq!(Reader::new(&"[".repeat(500)).skip(), Err(FormatError::TooDeep));
    }
}
