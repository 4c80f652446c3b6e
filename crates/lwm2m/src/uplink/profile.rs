//! Profile IDs: names that stand for a list of objects (since 1.2). Core TS 1.2, 6.2.1.
//!
//! ```text
//! pid     = id | DQUOTE id *( "," id ) DQUOTE
//! id      = dynamic | "oma:" name | "v:" name
//! dynamic = 1*digit ":" 1*lowercase-hex          ; the hash suite of RFC 6920, and a hash
//! name    = 1*( letter | digit | "-" )
//! ```

use core::fmt;

/// The Profile IDs of one `pid` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileIds<'a> {
    /// Without the quotes.
    list: &'a str,
}

impl<'a> ProfileIds<'a> {
    /// Reads the value of the parameter; `None` if it is not as the grammar demands.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let ids = Self { list: quoted.unwrap_or(text) };
        let bare_is_one = quoted.is_some() || !text.contains(',');
        (bare_is_one && ids.iter().all(is_profile_id)).then_some(ids)
    }

    /// The IDs, in the order in which they stand; at least one.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        self.list.split(',')
    }

    /// The ID, if there is only one.
    #[must_use]
    pub fn single(self) -> Option<&'a str> {
        (!self.list.contains(',')).then_some(self.list)
    }
}

impl fmt::Display for ProfileIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.single().is_some() { f.write_str(self.list) } else { write!(f, "\"{}\"", self.list) }
    }
}

fn is_profile_id(id: &str) -> bool {
    let Some((kind, name)) = id.split_once(':') else { return false };
    let is_each = |text: &str, is: fn(u8) -> bool| !text.is_empty() && text.bytes().all(is);
    match kind {
        "oma" | "v" => is_each(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        suite => {
            let hash = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            is_each(suite, |byte| byte.is_ascii_digit()) && is_each(name, hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    struct Text([u8; 64], usize);

    impl Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = self.1.saturating_add(text.len());
            self.0.get_mut(self.1..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
            self.1 = end;
            Ok(())
        }
    }

    // Proves: PRF-02
    #[test]
    fn profile_ids_read_and_print_as_the_grammar_says() {
        for (text, ids, printed) in [
            ("6:1a2b3c4d", &["6:1a2b3c4d"][..], "6:1a2b3c4d"),
            ("\"6:1a2b3c4d\"", &["6:1a2b3c4d"], "6:1a2b3c4d"),
            ("oma:Basic-1", &["oma:Basic-1"], "oma:Basic-1"),
            ("\"1:ab,v:x\"", &["1:ab", "v:x"], "\"1:ab,v:x\""),
        ] {
            let read = ProfileIds::parse(text).expect("by the grammar");
            assert!(read.iter().eq(ids.iter().copied()), "{text}");
            assert_eq!(read.single(), (ids.len() == 1).then(|| ids[0]));
            let mut out = Text([0; 64], 0);
            write!(out, "{read}").expect("it fits");
            assert_eq!(out.0.get(..out.1), Some(printed.as_bytes()));
        }
        for text in [
            "",
            "\"",
            "\"\"",
            "1a2b",
            "6:",
            ":ab",
            "6:1A",
            "x:ab",
            "6:ab,6:cd",
            "\"6:ab,\"",
            "v:a b",
            "\"6:ab, 6:cd\"",
        ] {
            assert_eq!(ProfileIds::parse(text), None, "{text}");
        }
    }
}
