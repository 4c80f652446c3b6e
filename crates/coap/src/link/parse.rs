//! Reading link format, link by link, in one pass.

use core::fmt;

/// How closely the text must keep to the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The grammar of RFC 6690 §2 and nothing else.
    Strict,
    /// As devices write it: also white space around separators, a comma at the very end, a semicolon with nothing
    /// behind it, values without a value, and characters in bare values that ought to be quoted.
    Tolerant,
}

/// Why a text is no link format, with the byte where that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// A link must begin here, with `<`: also after each comma.
    ExpectedLink(usize),
    /// The target has no `>`, or holds a character that no URI may hold.
    Target(usize),
    /// After a link only `,` or `;` may stand.
    Separator(usize),
    /// An attribute without a name, or with a character that no name may hold.
    Name(usize),
    /// A value that is missing, or holds a character that must be quoted.
    Value(usize),
    /// A quoted text without its end.
    Quote(usize),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match self {
            Self::ExpectedLink(at) => ("expected a link in angle brackets", at),
            Self::Target(at) => ("unfinished or forbidden link target", at),
            Self::Separator(at) => ("expected a comma or a semicolon", at),
            Self::Name(at) => ("attribute without a proper name", at),
            Self::Value(at) => ("attribute without a proper value", at),
            Self::Quote(at) => ("quoted text without an end", at),
        };
        write!(f, "{what} at byte {at}")
    }
}

impl core::error::Error for LinkError {}

/// The links of `text`, in order; after an error nothing more comes.
#[must_use]
pub const fn links(text: &str, mode: Mode) -> Links<'_> {
    Links { text, at: 0, mode, state: State::Start }
}

/// See [`links`].
#[derive(Clone, Debug)]
pub struct Links<'a> {
    text: &'a str,
    at: usize,
    mode: Mode,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    AfterComma,
    Done,
}

/// One link: a target and its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// What stands between the angle brackets, as it stands there.
    pub target: &'a str,
    /// Checked by [`Links`]: what stands behind the target, up to the next link.
    attributes: &'a str,
    mode: Mode,
}

/// One attribute of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; `None` when there is no `=`.
    pub value: Option<LinkValue<'a>>,
}

/// The value of an attribute: bare, or quoted and possibly with escapes.
#[derive(Clone, Copy, Debug)]
pub struct LinkValue<'a> {
    raw: &'a str,
    quoted: bool,
}

impl<'a> LinkValue<'a> {
    /// The text as it stands on the wire, without its quotes and with its escapes.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it stood in quotes.
    #[must_use]
    pub const fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// The text itself, if it can be borrowed because it holds no escapes.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        if self.quoted && self.raw.contains('\\') { None } else { Some(self.raw) }
    }

    /// The characters of the text, escapes resolved.
    pub fn chars(&self) -> impl Iterator<Item = char> + Clone + use<'a> {
        let quoted = self.quoted;
        let mut escaped = false;
        self.raw.chars().filter(move |c| {
            escaped = quoted && !escaped && *c == '\\';
            !escaped
        })
    }
}

impl PartialEq for LinkValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for LinkValue<'_> {}

impl PartialEq<str> for LinkValue<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl fmt::Display for LinkValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

impl<'a> Link<'a> {
    /// The attributes, in order.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes { cursor: Cursor { text: self.attributes, at: 0, mode: self.mode } }
    }

    /// The first attribute with this name that has a value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<LinkValue<'a>> {
        self.attributes().find(|attribute| attribute.name == name)?.value
    }

    /// Whether an attribute with this name is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// Whether a discovery query `name=pattern` selects the link (RFC 6690 §4.1): the pattern is
    /// a value, or the beginning of one and an asterisk. `href` stands for the target; `rt`, `if`,
    /// `rel` and `ct` hold several values separated by spaces.
    #[must_use]
    pub fn matches(&self, name: &str, pattern: &str) -> bool {
        let fits = |value: &str| match pattern.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == pattern,
        };
        if name == "href" {
            return fits(self.target);
        }
        self.attributes().filter(|attribute| attribute.name == name).any(|attribute| {
            let text = attribute.value.map_or("", |value| value.raw());
            match name {
                "rt" | "if" | "rel" | "ct" => text.split(' ').any(fits),
                _ => fits(text),
            }
        })
    }
}

impl<'a> Iterator for Links<'a> {
    type Item = Result<Link<'a>, LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = Cursor { text: self.text, at: self.at, mode: self.mode };
        cursor.skip_white();
        match self.state {
            State::Done => return None,
            State::Start if cursor.peek().is_none() => {
                self.state = State::Done;
                return None;
            }
            State::AfterComma if cursor.peek().is_none() && self.mode == Mode::Tolerant => {
                self.state = State::Done;
                return None;
            }
            State::Start | State::AfterComma => {}
        }
        let link = cursor.link();
        self.at = cursor.at;
        self.state = match (&link, cursor.peek()) {
            (Ok(_), Some(b',')) => {
                self.at += 1;
                State::AfterComma
            }
            _ => State::Done,
        };
        Some(link)
    }
}

impl core::iter::FusedIterator for Links<'_> {}

/// The attributes of one [`Link`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        // Errors were found when the link was read.
        self.cursor.attribute().ok().flatten()
    }
}

#[derive(Clone, Debug)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    mode: Mode,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves over the bytes for which `part` is true and returns them; `part` must be false for
    /// no byte of a character beyond ASCII, or true for all.
    fn take(&mut self, part: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or("");
        let len = rest.bytes().position(|byte| !part(byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or("")
    }

    fn skip_white(&mut self) {
        if self.mode == Mode::Tolerant {
            self.take(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        }
    }

    fn link(&mut self) -> Result<Link<'a>, LinkError> {
        if self.peek() != Some(b'<') {
            return Err(LinkError::ExpectedLink(self.at));
        }
        self.at += 1;
        let target = self.take(|byte| !matches!(byte, 0..=b' ' | b'"' | b'<' | b'>' | b'\\' | 0x7f));
        if self.peek() != Some(b'>') {
            return Err(LinkError::Target(self.at));
        }
        self.at += 1;
        let from = self.at;
        while self.attribute()?.is_some() {}
        let attributes = self.text.get(from..self.at).unwrap_or("");
        match self.peek() {
            None | Some(b',') => Ok(Link { target, attributes, mode: self.mode }),
            Some(_) => Err(LinkError::Separator(self.at)),
        }
    }

    /// Reads `;name[=value]`, or nothing if no semicolon stands here.
    fn attribute(&mut self) -> Result<Option<Attribute<'a>>, LinkError> {
        self.skip_white();
        while self.peek() == Some(b';') {
            self.at += 1;
            self.skip_white();
            let name = self.take(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`')
                    || matches!(byte, b'|' | b'~' | b'*')
            });
            if name.is_empty() {
                let nothing = matches!(self.peek(), None | Some(b',' | b';'));
                if self.mode == Mode::Tolerant && nothing {
                    continue;
                }
                return Err(LinkError::Name(self.at));
            }
            self.skip_white();
            let value = if self.peek() == Some(b'=') {
                self.at += 1;
                self.skip_white();
                Some(self.value()?)
            } else {
                None
            };
            self.skip_white();
            return Ok(Some(Attribute { name, value }));
        }
        Ok(None)
    }

    fn value(&mut self) -> Result<LinkValue<'a>, LinkError> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let tolerant = self.mode == Mode::Tolerant;
        let raw = self.take(|byte| match byte {
            b',' | b';' | b'"' | b'\\' | 0..=b' ' | 0x7f => false,
            // Not in the grammar of a bare value, and no separator either.
            0x80.. => tolerant,
            _ => true,
        });
        if raw.is_empty() && !tolerant {
            return Err(LinkError::Value(self.at));
        }
        Ok(LinkValue { raw, quoted: false })
    }

    fn quoted(&mut self) -> Result<LinkValue<'a>, LinkError> {
        let opened_at = self.at;
        self.at += 1;
        let from = self.at;
        loop {
            self.take(|byte| !matches!(byte, b'"' | b'\\'));
            match self.peek() {
                Some(b'"') => break,
                Some(_) => {
                    // A backslash takes the next character with it, whatever it is.
                    let rest = self.text.get(self.at + 1..).unwrap_or("");
                    self.at += 1 + rest.chars().next().map_or(0, char::len_utf8);
                }
                None => return Err(LinkError::Quote(opened_at)),
            }
        }
        let raw = self.text.get(from..self.at).unwrap_or("");
        self.at += 1;
        Ok(LinkValue { raw, quoted: true })
    }
}
