//! Texts of devices for people's eyes: in a log line, on a terminal.
//!
//! A name may be any UTF-8, so it may hold letters that cannot be seen or that turn the order of what follows, and be long. Shown as
//! they are, they make a line say what nobody wrote.

use core::fmt;

/// The most characters of a text that are shown; what is cut is said.
pub const READABLE_CHARS_MAX: usize = 120;

/// A text with everything escaped as `\u{N}` that deceives, and cut behind [`READABLE_CHARS_MAX`] characters.
///
/// A backslash is doubled, so that two texts are never shown alike.
#[derive(Clone, Copy)]
pub struct Readable<'a>(&'a str);

/// Shows a text so that it cannot deceive.
#[must_use]
pub const fn readable(text: &str) -> Readable<'_> {
    Readable(text)
}

/// Control characters, ends of lines, letters that cannot be seen (`Default_Ignorable_Code_Point`), and those that turn the direction
/// of what follows (Unicode TR 36, section 2). The page has the same by the properties themselves, and a test compares the two.
#[must_use]
pub fn deceives(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (at, char) in self.0.chars().enumerate() {
            if at == READABLE_CHARS_MAX {
                return write!(f, "… ({} bytes)", self.0.len());
            }
            match char {
                '\\' => f.write_str("\\\\")?,
                char if deceives(char) => write!(f, "{}", char.escape_unicode())?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn what_deceives_is_escaped_and_the_rest_stands_as_it_is() {
        assert_eq!(readable("urn:imei:490154203237518").to_string(), "urn:imei:490154203237518");
        assert_eq!(readable("Zähler 7 – 温度").to_string(), "Zähler 7 – 温度");
        assert_eq!(readable("\u{202e}gpj.a\u{2066}b\u{200f}").to_string(), r"\u{202e}gpj.a\u{2066}b\u{200f}");
        assert_eq!(readable("a\r\nb\u{1b}[2J\u{9b}\u{7f}").to_string(), r"a\u{d}\u{a}b\u{1b}[2J\u{9b}\u{7f}");
        assert_ne!(readable(r"\u{202e}").to_string(), readable("\u{202e}").to_string());
        for char in ('\u{200e}'..='\u{200f}').chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert!(deceives(char), "{}", char.escape_unicode());
        }
        let unseen = "\u{34f}\u{115f}\u{17b4}\u{180e}\u{2800}\u{3164}\u{fe0f}\u{ffa0}\u{e0001}\u{e0100}";
        assert_eq!(unseen.chars().find(|char| !deceives(*char)), None);
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_long_it_is() {
        let fits = "ä".repeat(READABLE_CHARS_MAX);
        assert_eq!(readable(&fits).to_string(), fits);
        let long = "ä".repeat(READABLE_CHARS_MAX + 1);
        assert_eq!(readable(&long).to_string(), fits + "… (242 bytes)");
        let worst = "\u{e0041}".repeat(10_000);
        let shown: String = readable(&worst).to_string();
        assert!(shown.len() < READABLE_CHARS_MAX * 10 + 30, "{}", shown.len());
    }
}
