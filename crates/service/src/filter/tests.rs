use std::sync::Arc;

use lightship_api::Timestamp;
use lightship_lwm2m::Binding;
use lightship_server::{ObjectLink, ObjectList, Terms};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn mistake(text: &str) -> (usize, usize, String) {
    let Mistake { at, len, message } = Filter::parse(text).expect_err(text);
    (at, len, message)
}

fn terms() -> Terms {
    let link = |path: &str| ObjectLink { path: path.parse().expect("a path"), version: None };
    Terms {
        version: Version::V1_1,
        lifetime_s: 3600,
        binding: Binding::UDP,
        queue_mode: true,
        sms: None,
        attributes: Box::default(),
        objects: Arc::new(ObjectList {
            objects: Box::new([link("/1/0"), link("/3/0"), link("/3303/0"), link("/3303/1"), link("/5")]),
            ..ObjectList::default()
        }),
    }
}

const NOW_MS: i64 = 1_800_000_000_000;

fn holds(text: &str, silent_s: i64) -> bool {
    let terms = terms();
    let set = |path: &str| std::collections::BTreeSet::from([path.parse().expect("a path")]);
    let (made, deleted) = (set("/3303/4"), set("/3303/1"));
    let facts = Facts {
        name: "urn:imei:lamp-7",
        terms: &terms,
        asleep: true,
        lost_since: None,
        security: SecurityMode::Psk,
        registered_at: Timestamp(NOW_MS - 7_200_000),
        updated_at: Timestamp(NOW_MS - silent_s * 1000),
        address: "::ffff:10.1.2.3".parse().expect("an address"),
        made: Some(&made),
        deleted: Some(&deleted),
    };
    Filter::parse(text).expect(text).holds(&facts, Moment(Timestamp(NOW_MS)))
}

#[test]
fn every_condition_holds_and_fails_where_it_should() {
    let held = "lamp|urn:imei|urn:imei:lamp-7|lamp imei|name:lamp|state:asleep|lwm2m:1.1|binding:U|security:psk|queue:true|\
        object:3|object:3303/0|object:3303/4|object:/5|lifetime:3600|lifetime>=1h|lifetime<2h|updated<1m|updated<=30|\
        registered>1h|registered:2h|address:10.0.0.0/8|address:10.1.2.3|-state:awake|-object:4|-pump|\"lamp-7\"|name:\"p-7\"|\
        lifetime!=60|-lifetime!=3600|address:0.0.0.0/0";
    for text in held.split('|') {
        assert!(holds(text, 30), "{text}");
        let turned =
            if let Some(rest) = text.strip_prefix('-') { rest.to_owned() } else { format!("-{text}") };
        let is_one = !text.contains(' ');
        assert!(!is_one || !holds(&turned, 30), "{turned}");
    }
    for text in [
        "pump",
        "state:late",
        "object:3303/1",
        "object:3303/9",
        "address:11.0.0.0/8",
        "address:::1",
        "lamp pump",
    ] {
        assert!(!holds(text, 30), "{text}");
    }
    assert!(holds("state:late", 3300) && !holds("state:late", 3200), "nine tenths of an hour");
}

#[test]
fn values_are_compared_as_numbers_where_they_are_some() {
    for (sign, value, operand, expected) in [
        (Sign::Less, json!(9), "20", true),
        (Sign::Less, json!(100), "20", false),
        (Sign::Is, json!(20.0), "20", true),
        (Sign::Is, json!("9223372036854775807"), "9223372036854775807", true),
        (Sign::Is, json!("1.2"), "1.2", true),
        (Sign::Is, json!("1.20"), "1.2", false),
        (Sign::Is, json!("1.2.7"), "1.2*", true),
        (Sign::Is, json!("v1.2.7-rc"), "v*.2.*rc", true),
        (Sign::Is, json!("v1.3.7-rc"), "v*.2.*rc", false),
        (Sign::Is, json!("aa"), "a*a*a", false),
        (Sign::IsNot, json!("1.3"), "1.2*", true),
        (Sign::Is, json!(true), "true", true),
        (Sign::More, json!("b"), "a", true),
    ] {
        assert_eq!(holds_value(sign, &value, operand), expected, "{value} {sign:?} {operand}");
    }
}

#[test]
fn mistakes_say_what_is_wrong_and_where() {
    for (text, at, len, word) in [
        ("lamp stat:asleep", 5, 4, "did you mean state?"),
        ("state:awak", 6, 4, "awake asleep late"),
        ("state:", 6, 1, "needs a value"),
        ("state<asleep", 0, 12, "not more or less"),
        ("-lifetiem>3", 1, 8, "lifetime"),
        ("foo<3", 0, 3, "known: name"),
        ("lifetime>soon", 9, 4, "seconds"),
        ("updated<3y", 8, 2, "10m"),
        ("/3/0<7", 0, 4, "/3/0/9"),
        ("/3/0/9<", 7, 1, "needs a value"),
        ("address:10.0.0.0/33", 8, 11, "network"),
        ("a \"b c", 2, 4, "no end"),
        ("object:x", 7, 1, "3303"),
        ("lwm2m:2.0", 6, 3, "1.0 1.1 1.2"),
        ("state!=asleep", 0, 13, "-"),
    ] {
        let (is_at, is_len, message) = mistake(text);
        assert_eq!((is_at, is_len), (at, len), "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
    }
    assert!(Filter::parse(&"x ".repeat(40)).is_err());
    assert!(Filter::parse(&"x".repeat(3000)).is_err());
}

#[test]
fn the_longest_word_is_looked_up_and_the_others_are_compared() {
    let filter = Filter::parse("ab lamp-7 cd").expect("a filter");
    assert_eq!(filter.name, "lamp-7");
    assert_eq!(filter.terms.len(), 2);
    assert_eq!(Filter::parse("").expect("empty"), Filter::default());
    let paths: Vec<String> = Filter::parse("firmware:1.2 /3303/0/5700>5 lamp")
        .expect("a filter")
        .values()
        .map(|v| v.1.to_string())
        .collect();
    assert_eq!(paths, ["/3/0/3", "/3303/0/5700"]);
}

proptest! {
    #[test]
    fn no_text_panics_and_mistakes_lie_within_it(text in "\\PC{0,60}|[-a-z:<>=!\"/0-9 .]{0,60}") {
        if let Err(mistake) = Filter::parse(&text) {
            let letters = text.chars().count();
            prop_assert!(mistake.at <= letters, "{mistake:?}");
            prop_assert!(mistake.at + mistake.len <= letters + 1, "{mistake:?}");
        }
    }

    #[test]
    fn a_name_in_quotation_marks_is_always_a_name(name in "[^\\\\\"\\pC]{1,40}") {
        let filter = Filter::parse(&format!("\"{name}\""));
        prop_assert_eq!(filter.map(|filter| filter.name), Ok(name));
    }

    #[test]
    fn a_name_with_colons_needs_no_quotation_marks(name in "urn:(imei|dev:mac|uuid):[0-9a-f-]{1,16}") {
        prop_assert_eq!(Filter::parse(&name).map(|filter| filter.name), Ok(name));
    }

    #[test]
    fn a_pattern_of_stars_fits_what_it_was_made_of(parts in proptest::collection::vec("[a-c.]{0,3}", 1..5)) {
        let (pattern, text) = (parts.join("*"), parts.join("zz"));
        let fits = holds_value(Sign::Is, &json!(format!("q{text}")), &format!("q{pattern}"));
        prop_assert!(fits, "{} {}", text, pattern);
    }
}
