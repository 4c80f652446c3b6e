//! Templates: one document for all devices whose names fit a pattern.

use serde_json::Value as Json;

/// What the asterisks of a pattern stand for in a name; `None` when the name does not fit. As little as possible goes to the
/// first, so that the meaning is one.
pub(crate) fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let mut rest = name.strip_prefix(first)?;
    let mut found = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() {
            // The last part must end the name.
            rest.strip_suffix(part)?.len()
        } else {
            rest.find(part)?
        };
        found.push(rest.get(..at)?);
        rest = rest.get(at + part.len()..)?;
    }
    rest.is_empty().then_some(found)
}

/// How much of a pattern is no asterisk: of several that fit, the one with the most counts.
pub(crate) fn weight(pattern: &str) -> usize {
    pattern.chars().filter(|char| *char != '*').count()
}

/// A name that fits a pattern, to try a template with.
pub(crate) fn example(pattern: &str) -> String {
    pattern.replace('*', "00")
}

/// Fills the placeholders in all texts of a document.
///
/// # Errors
/// A brace that is none of them.
pub(crate) fn fill(document: &mut Json, name: &str, captures: &[&str]) -> Result<(), String> {
    match document {
        Json::String(text) => *text = filled(text, name, captures)?,
        Json::Array(items) => {
            for item in items {
                fill(item, name, captures)?;
            }
        }
        Json::Object(members) => {
            for value in members.values_mut() {
                fill(value, name, captures)?;
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
    Ok(())
}

fn filled(text: &str, name: &str, captures: &[&str]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let (placeholder, after) =
            after.split_once('}').ok_or_else(|| format!("{text:?} has a brace without an end"))?;
        let capture = placeholder.parse::<usize>().ok().and_then(|n| captures.get(n.checked_sub(1)?));
        match (placeholder, capture) {
            ("endpoint", _) => out.push_str(name),
            (_, Some(capture)) => out.push_str(capture),
            (_, None) => return Err(format!("{{{placeholder}}} stands for nothing in this template")),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_fit_names_in_one_way() {
        for (pattern, name, expected) in [
            ("*", "anything", Some(&["anything"][..])),
            ("*", "", Some(&[""])),
            ("sensor-*", "sensor-7", Some(&["7"])),
            ("sensor-*", "meter-7", None),
            ("urn:*:x:*", "urn:a:x:b:x:c", Some(&["a", "b:x:c"])),
            ("a*a", "a", None),
            ("a*a", "aa", Some(&[""])),
            ("a*b*c", "abbc", Some(&["", "b"])),
            ("exact", "exact", Some(&[])),
            ("exact", "exactly", None),
            ("**", "ab", Some(&["", "ab"])),
        ] {
            assert_eq!(captures(pattern, name).as_deref(), expected, "{pattern} {name}");
            assert!(captures(pattern, &example(pattern)).is_some(), "{pattern}");
        }
        assert!(weight("sensor-*") > weight("*"));
    }

    #[test]
    fn placeholders_are_filled_everywhere_and_only_known_ones() {
        let mut document =
            json!({"servers": [{"uri": "coap://{1}.example/{endpoint}", "n": 1}], "x": "{{{1}"});
        fill(&mut document, "sensor-7", &["7"]).expect("known");
        assert_eq!(document, json!({"servers": [{"uri": "coap://7.example/sensor-7", "n": 1}], "x": "{7"}));
        for bad in ["{2}", "{0}", "{name}", "{", "{endpoint", "{}"] {
            assert!(fill(&mut json!(bad), "a", &["b"]).is_err(), "{bad}");
        }
    }
}
