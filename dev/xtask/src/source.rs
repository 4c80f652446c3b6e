//! Rust source as the checks see it: text without comments and literals, and the functions in it.
//!
//! A full parser would know more than these checks ask; what they need is to never mistake a word in a string or
//! in a comment for code, and to match braces.

use std::ops::Range;

/// One function: its name and the lines it covers, counted from 1, from the `fn` line to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// The name after `fn`.
    pub(crate) name: String,
    /// First line to last line, the last included.
    pub(crate) lines: Range<usize>,
}

impl Function {
    /// How many lines the function covers.
    pub(crate) fn length(&self) -> usize {
        self.lines.end - self.lines.start + 1
    }
}

/// The same text with the inside of comments, strings and character literals turned into blanks.
/// Line breaks stay, so that line numbers stay.
pub(crate) fn mask(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut masked = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_until(&chars, at);
        if end > at {
            masked.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            masked.push(chars[at]);
            at += 1;
        }
    }
    masked
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn blank_until(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => until(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' | 'b' | 'c' if !joined(chars, at) => prefixed_literal_end(chars, at),
        '\'' => char_end(chars, at),
        _ => at,
    }
}

/// Whether the character before `at` belongs to the same word.
fn joined(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn until(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| stop(c)).map_or(chars.len(), |n| from + n)
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a string whose first character inside is at `inside`.
fn string_end(chars: &[char], inside: usize) -> usize {
    let mut at = inside;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `c"…"`, `b'…'`; `from` itself when it is a plain word.
fn prefixed_literal_end(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    let mut raw = chars[from] == 'r';
    if !raw && chars.get(at) == Some(&'r') {
        (raw, at) = (true, at + 1);
    }
    if !raw {
        return match chars.get(at) {
            Some('"') => string_end(chars, at + 1),
            Some('\'') if chars[from] == 'b' => char_end(chars, at),
            _ => from,
        };
    }
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return from;
    }
    at += 1;
    while at < chars.len() {
        let closing =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closing {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

/// The end of a character literal, or `from` when the quote opens a lifetime.
fn char_end(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), Some(_)) => until(chars, from + 3, |c| c == '\'') + 1,
        (Some(_), Some('\'')) => from + 3,
        _ => from,
    }
}

/// Every function with a body, in the order of their `fn` words. Takes masked text.
pub(crate) fn functions(masked: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, name) in words(masked).filter(|(_, word)| *word == "fn").filter_map(|(at, _)| {
        let rest = masked[at + 2..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some((at, name))
    }) {
        if let Some(end) = body_end(&masked[at..]) {
            let first = line_of(masked, at);
            found.push(Function { name, lines: first..line_of(masked, at + end) });
        }
    }
    found
}

/// Words (identifiers and keywords) of masked text with their byte offsets.
pub(crate) fn words(masked: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + masked[at..].find(is_word)?;
        let end = masked[start..].find(|c| !is_word(c)).map_or(masked.len(), |n| start + n);
        at = end;
        Some((start, &masked[start..end]))
    })
}

/// The line, counted from 1, that holds byte `at`.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Offset of the brace that closes the body of the function that begins here; `None` for a mere declaration.
fn body_end(from_fn: &str) -> Option<usize> {
    let mut nested = 0_i32; // round and square brackets, where `;` is part of an array type
    let mut depth = 0_i32;
    for (at, c) in from_fn.char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            ';' if depth == 0 && nested == 0 => return None,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 && nested == 0 {
                    return Some(at);
                }
                if depth < 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_literals_are_blanked() {
        let source = "let a = \"unsafe \\\" {\"; // unsafe {\n/* unsafe /* } */ unsafe */ let b = r#\"fn \" {\"#; let c = '{';";
        let masked = mask(source);
        assert!(!masked.contains("unsafe"), "{masked}");
        assert!(!masked.contains('{') && !masked.contains('}'), "{masked}");
        assert_eq!(masked.matches('\n').count(), 1);
        assert!(masked.contains("let a =") && masked.contains("let c ="));
    }

    #[test]
    fn lifetimes_are_not_character_literals() {
        assert_eq!(mask("fn f<'a>(x: &'a str) -> &'a str { x }"), "fn f<'a>(x: &'a str) -> &'a str { x }");
        assert_eq!(mask("b'x' '\\n' '\\''").trim(), "");
    }

    #[test]
    fn functions_are_found_with_their_lines() {
        let source = "trait T {\n    fn declared(&self) -> [u8; 4];\n    fn given(&self) {\n        if true {}\n    }\n}\nfn last() {}\n";
        let found = functions(&mask(source));
        assert_eq!(
            found,
            [
                Function { name: "given".to_owned(), lines: 3..5 },
                Function { name: "last".to_owned(), lines: 7..7 },
            ]
        );
        assert_eq!(found[0].length(), 3);
    }

    #[test]
    fn a_function_pointer_type_is_no_function() {
        assert!(functions("type F = fn(u8) -> u8;\nstruct S { f: fn() }\n").is_empty());
    }
}
