//! Filter: the words by which devices are chosen, read once.
//!
//! ```text
//! filter = term, { blank, term }              every one holds
//! term   = ["-"], word | ["-"], key, sign, word
//! sign   = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="
//! word   = letters without blanks, or "quoted" in whole or in part
//! ```
//! A word alone is a part of the name. A key is one of [`KEYS`], or the path of a Resource. Names of devices have colons, too: what looks
//! like a key and is none is a part of a name, unless it is so near to one that it is a slip.

mod holds;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lightship_api::SecurityMode;
use lightship_lwm2m::{Path, Version};

pub(crate) use self::holds::{Facts, Moment, holds_value};

/// What all devices that are looked for have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    /// Part of each name, where one is asked for: there is an index for that.
    pub(crate) name: String,
    pub(crate) terms: Vec<Term>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) negated: bool,
    pub(crate) what: What,
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Name(String),
    State(State),
    Version(Version),
    Binding(String),
    Security(SecurityMode),
    Queue(bool),
    /// The device has this Object, or Object Instance.
    Object(Path),
    Lifetime(Sign, u32),
    /// How long ago it was heard.
    Updated(Sign, Duration),
    /// How long ago it registered.
    Registered(Sign, Duration),
    /// How long ago its registration expired, and it has not come back.
    Lost(Sign, Duration),
    Address(Network),
    /// The last known value of a Resource or Resource Instance.
    Value(Path, Sign, String),
}

/// Whether a device can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Awake,
    Asleep,
    /// Nine tenths of its lifetime have gone by without a word.
    Late,
    /// Its registration has expired.
    Lost,
}

/// How two things are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

/// What is wrong with a filter, and where: counted in letters from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at letter {}: {}", self.at + 1, self.message)
    }
}

impl Filter {
    /// Reads a filter; an empty one is for all devices.
    ///
    /// # Errors
    /// See [`Mistake`].
    pub(crate) fn parse(text: &str) -> Result<Filter, Mistake> {
        let letters: Vec<char> = text.chars().collect();
        let mut filter = Filter::default();
        if letters.len() > LETTERS_MAX {
            let message = format!("a filter has {LETTERS_MAX} letters at most");
            return Err(Mistake { at: LETTERS_MAX, len: letters.len() - LETTERS_MAX, message });
        }
        let mut at = 0;
        while let Some(letter) = letters.get(at) {
            if letter.is_whitespace() {
                at += 1;
                continue;
            }
            let token = Token::read(&letters, at)?;
            at = token.end;
            let term = token.term()?;
            match term {
                // The longest of the plain ones finds its way through the index.
                Term { negated: false, what: What::Name(name) } if name.len() > filter.name.len() => {
                    let before = std::mem::replace(&mut filter.name, name);
                    if !before.is_empty() {
                        filter.terms.push(Term { negated: false, what: What::Name(before) });
                    }
                }
                term => filter.terms.push(term),
            }
            if filter.terms.len() > TERMS_MAX {
                return Err(token.mistake(format!("a filter has {TERMS_MAX} conditions at most")));
            }
        }
        Ok(filter)
    }

    /// Conditions about values, which the directory does not know.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&Term, Path, Sign, &str)> {
        self.terms.iter().filter_map(|term| {
            let What::Value(path, sign, operand) = &term.what else { return None };
            Some((term, *path, *sign, operand.as_str()))
        })
    }
}

/// A term as it stands there.
struct Token {
    at: usize,
    end: usize,
    negated: bool,
    /// What stands before the sign, and the sign.
    key: Option<(String, Sign, bool)>,
    word: String,
    /// Where the word begins.
    word_at: usize,
    /// Whether any of it was quoted.
    quoted: bool,
}

impl Token {
    fn read(letters: &[char], at: usize) -> Result<Token, Mistake> {
        let negated =
            letters.get(at) == Some(&'-') && letters.get(at + 1).is_some_and(|l| !l.is_whitespace());
        let begin = at + usize::from(negated);
        let (mut end, mut text, mut quoted) = (begin, String::new(), false);
        let (mut key, mut word_at) = (None, begin);
        let mut open: Option<usize> = None;
        while let Some(letter) = letters.get(end).copied() {
            match (letter, open) {
                ('"', None) => (open, quoted) = (Some(end), true),
                ('"', Some(_)) => open = None,
                ('\\', Some(_)) if letters.get(end + 1).is_some_and(|next| matches!(next, '"' | '\\')) => {
                    end += 1;
                    text.extend(letters.get(end));
                }
                (letter, None) if letter.is_whitespace() => break,
                (letter, None) if key.is_none() && !quoted && SIGNS.contains(&letter) => {
                    let next = letters.get(end + 1) == Some(&'=');
                    let sign = match (letter, next) {
                        ('!', true) => Sign::IsNot,
                        ('<', true) => Sign::AtMost,
                        ('>', true) => Sign::AtLeast,
                        ('<', false) => Sign::Less,
                        ('>', false) => Sign::More,
                        (':' | '=', _) => Sign::Is,
                        _ => {
                            text.push(letter);
                            end += 1;
                            continue;
                        }
                    };
                    end += usize::from(next && !matches!(letter, ':' | '='));
                    word_at = end + 1;
                    key = Some((std::mem::take(&mut text), sign, letter == ':'));
                }
                (letter, _) => text.push(letter),
            }
            end += 1;
        }
        if let Some(open) = open {
            let message = "the quotation has no end".to_owned();
            return Err(Mistake { at: open, len: end - open, message });
        }
        Ok(Token { at, end, negated, key, word: text, word_at, quoted })
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { at: self.at, len: self.end - self.at, message: message.into() }
    }

    fn wrong_word(&self, message: impl Into<String>) -> Mistake {
        let len = self.end.saturating_sub(self.word_at).max(1);
        Mistake { at: self.word_at, len, message: message.into() }
    }

    fn term(&self) -> Result<Term, Mistake> {
        Ok(Term { negated: self.negated, what: self.what()? })
    }

    fn what(&self) -> Result<What, Mistake> {
        let Some((key, sign, is_colon)) = &self.key else {
            if self.word.is_empty() {
                return Err(self.mistake("a word is missing"));
            }
            return Ok(What::Name(self.word.clone()));
        };
        let (key, sign) = (key.as_str(), *sign);
        if key.starts_with('/') {
            return self.value(self.path(key)?, sign);
        }
        let Some((name, kind)) = KEYS.iter().find(|(name, ..)| *name == key) else {
            return self.no_key(key, sign, *is_colon);
        };
        if self.word.is_empty() && !self.quoted {
            return Err(self.wrong_word(format!("{name} needs a value, such as {}", kind.example())));
        }
        if !kind.is_ordered() && !matches!(sign, Sign::Is | Sign::IsNot) {
            return Err(self.mistake(format!("{name} is not more or less: write {name}:{}", kind.example())));
        }
        self.known(*kind, sign)
    }

    /// No key: a part of a name with a colon in it, unless that is a slip.
    fn no_key(&self, key: &str, sign: Sign, is_colon: bool) -> Result<What, Mistake> {
        let near = KEYS.iter().find(|(name, ..)| is_near(key, name));
        if sign == Sign::Is && near.is_none() {
            let sign = if is_colon { ':' } else { '=' };
            return Ok(What::Name(format!("{key}{sign}{}", self.word)));
        }
        let known: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
        let advice = match near {
            Some((name, ..)) => format!("did you mean {name}?"),
            None => format!("known: {}, and paths such as /3/0/9", known.join(" ")),
        };
        let quoted = " A part of a name that looks like this goes into quotation marks.";
        let message = format!("there is no {key:?}; {advice}{}", if near.is_some() { quoted } else { "" });
        let at = self.at + usize::from(self.negated);
        Err(Mistake { at, len: key.chars().count().max(1), message })
    }

    fn path(&self, key: &str) -> Result<Path, Mistake> {
        let path: Option<Path> = key.parse().ok();
        path.filter(|path| (3..=4).contains(&path.len())).ok_or_else(|| {
            let at = self.at + usize::from(self.negated);
            let message = format!("{key} is no Resource: write a path such as /3/0/9");
            Mistake { at, len: key.chars().count(), message }
        })
    }

    fn value(&self, path: Path, sign: Sign) -> Result<What, Mistake> {
        if self.word.is_empty() && !self.quoted {
            return Err(self.wrong_word(format!("{path} needs a value, such as {path}<20")));
        }
        Ok(What::Value(path, sign, self.word.clone()))
    }

    fn known(&self, kind: Kind, sign: Sign) -> Result<What, Mistake> {
        let word = self.word.as_str();
        let bad = |what: &str| self.wrong_word(format!("{word:?} is not {what}"));
        let what = match kind {
            Kind::Name => What::Name(word.to_owned()),
            Kind::State => What::State(match word {
                "awake" => State::Awake,
                "asleep" => State::Asleep,
                "late" => State::Late,
                "lost" => State::Lost,
                _ => return Err(bad("a state: awake asleep late lost")),
            }),
            Kind::Version => What::Version(word.parse().map_err(|_| bad("a version of LwM2M: 1.0 1.1 1.2"))?),
            Kind::Binding => {
                if !word.chars().all(|letter| letter.is_ascii_uppercase()) {
                    return Err(bad("a binding, which is capital letters such as U"));
                }
                What::Binding(word.to_owned())
            }
            Kind::Security => What::Security(match word {
                "nosec" | "none" => SecurityMode::Nosec,
                "psk" => SecurityMode::Psk,
                "rpk" => SecurityMode::Rpk,
                "x509" => SecurityMode::X509,
                _ => return Err(bad("a kind of security: nosec psk rpk x509")),
            }),
            Kind::Queue => What::Queue(match word {
                "true" | "yes" => true,
                "false" | "no" => false,
                _ => return Err(bad("true or false")),
            }),
            Kind::Object => {
                let path: Option<Path> = format!("/{}", word.trim_start_matches('/')).parse().ok();
                let path = path.filter(|path| (1..=2).contains(&path.len()));
                What::Object(path.ok_or_else(|| bad("an Object or Object Instance, such as 3303 or 3303/0"))?)
            }
            Kind::Lifetime => What::Lifetime(
                sign,
                seconds(word).ok_or_else(|| bad("a number of seconds, or a span such as 1h"))?,
            ),
            Kind::Updated => What::Updated(sign, span(word).ok_or_else(|| bad("a span such as 10m"))?),
            Kind::Registered => What::Registered(sign, span(word).ok_or_else(|| bad("a span such as 2d"))?),
            Kind::Lost => What::Lost(sign, span(word).ok_or_else(|| bad("a span such as 2d"))?),
            Kind::Address => What::Address(
                network(word).ok_or_else(|| bad("an address or a network, such as 10.0.0.0/8"))?,
            ),
            Kind::Resource(path) => return self.value(path.parse().map_err(|_| bad("known"))?, sign),
        };
        // What has no order of its own carries its sign in front.
        if sign == Sign::IsNot && !kind.is_ordered() {
            return Err(self.mistake("write - in front to turn it round"));
        }
        Ok(what)
    }
}

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    State,
    Version,
    Binding,
    Security,
    Queue,
    Object,
    Lifetime,
    Updated,
    Registered,
    Lost,
    Address,
    /// A Resource with a name of its own.
    Resource(&'static str),
}

impl Kind {
    fn is_ordered(self) -> bool {
        matches!(self, Kind::Lifetime | Kind::Updated | Kind::Registered | Kind::Lost | Kind::Resource(_))
    }

    fn example(self) -> &'static str {
        match self {
            Kind::Name => "sensor",
            Kind::State => "asleep",
            Kind::Version => "1.1",
            Kind::Binding => "U",
            Kind::Security => "psk",
            Kind::Queue => "true",
            Kind::Object => "3303",
            Kind::Lifetime => "3600",
            Kind::Updated | Kind::Registered => "10m",
            Kind::Lost => "2d",
            Kind::Address => "10.0.0.0/8",
            Kind::Resource(_) => "1.2",
        }
    }
}

/// Every key and what it is about.
pub(crate) const KEYS: [(&str, Kind); 19] = [
    ("name", Kind::Name),
    ("state", Kind::State),
    ("lwm2m", Kind::Version),
    ("binding", Kind::Binding),
    ("security", Kind::Security),
    ("queue", Kind::Queue),
    ("object", Kind::Object),
    ("lifetime", Kind::Lifetime),
    ("updated", Kind::Updated),
    ("registered", Kind::Registered),
    ("lost", Kind::Lost),
    ("address", Kind::Address),
    ("manufacturer", Kind::Resource("/3/0/0")),
    ("model", Kind::Resource("/3/0/1")),
    ("serial", Kind::Resource("/3/0/2")),
    ("firmware", Kind::Resource("/3/0/3")),
    ("battery", Kind::Resource("/3/0/9")),
    ("hardware", Kind::Resource("/3/0/18")),
    ("software", Kind::Resource("/3/0/19")),
];

fn seconds(word: &str) -> Option<u32> {
    word.parse().ok().or_else(|| u32::try_from(span(word)?.as_secs()).ok())
}

/// A number with its unit: `30s 10m 2h 7d`; seconds without one.
fn span(word: &str) -> Option<Duration> {
    let split = word.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(split);
    let unit_s: u64 = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let number: u64 = digits.parse().ok().filter(|number| *number <= SPAN_MAX)?;
    Some(Duration::from_secs(number.checked_mul(unit_s)?))
}

fn network(word: &str) -> Option<Network> {
    let (address, bits) = word.split_once('/').map_or((word, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    (bits <= most).then_some(Network { address, bits })
}

/// Whether a word is one letter away from another: one wrong, one missing, one too many, or two that changed places.
fn is_near(word: &str, other: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (word.to_lowercase().chars().collect(), other.chars().collect());
    if a.len().abs_diff(b.len()) > 1 || a.len() < 3 {
        return false;
    }
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    let behind = |part: &[char], skip: usize| part.get(skip..).map(<[char]>::to_vec).unwrap_or_default();
    let swapped = match (a, b) {
        ([a1, a2, rest_a @ ..], [b1, b2, rest_b @ ..]) => a1 == b2 && a2 == b1 && rest_a == rest_b,
        _ => false,
    };
    swapped
        || behind(a, 1) == behind(b, 1)
        || (a.len() > b.len() && behind(a, 1) == b)
        || (b.len() > a.len() && behind(b, 1) == a)
}

const SIGNS: [char; 5] = [':', '=', '!', '<', '>'];
/// Letters of a filter.
const LETTERS_MAX: usize = 2000;
/// Conditions of a filter.
const TERMS_MAX: usize = 32;
/// The number before a unit of time.
const SPAN_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
