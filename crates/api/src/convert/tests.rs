use serde_json::json;

use super::*;
use crate::node::Unknown;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// Object 3: 7 is multiple integers, 9 an integer, 4 executable, 13 a time; everything else is unknown.
fn device(path: Path) -> Option<Expected<'static>> {
    let numbers: Vec<u16> = path.numbers().collect();
    let (kind, multiple) = match numbers.as_slice() {
        [3, _, 7] => (Some(DataType::Integer), true),
        [3, _, 9] => (Some(DataType::Integer), false),
        [3, _, 4] => (None, false),
        [3, _, 13] => (Some(DataType::Time), false),
        _ => return None,
    };
    let range = if numbers.get(2) == Some(&9) { "0..100" } else { "" };
    Some(Expected { name: "Thing", kind, multiple, range })
}

fn typed_entries(base: &str, json: &Json) -> Result<Vec<Entry>, ConvertError> {
    entries(&Node::from_json(json, Unknown::Refuse).unwrap(), path(base), &device)
}

#[test]
fn every_level_turns_into_values_and_back() {
    for (base, json) in [
        ("/3/0/9", json!({"path": "/3/0/9", "type": "integer", "value": 84})),
        ("/3/0/7", json!({"path": "/3/0/7", "type": "integer", "instances": {"0": 3800, "1": 5000}})),
        ("/3/0/7/1", json!({"path": "/3/0/7/1", "type": "integer", "value": 5000})),
        (
            "/3/0",
            json!({"path": "/3/0", "resources": {"7": {"type": "integer", "instances": {"3": 1}}, "9": {"type": "integer", "value": 1}}}),
        ),
        (
            "/3",
            json!({"path": "/3", "instances": {"0": {"resources": {"9": {"type": "integer", "value": 1}}}}}),
        ),
    ] {
        let entries = typed_entries(base, &json).unwrap();
        assert_eq!(serde_json::to_value(node(path(base), &entries)).unwrap(), json);
    }
}

#[test]
fn a_whole_number_may_have_a_point() {
    for kind in [ValueType::Integer, ValueType::Time, ValueType::Unsigned] {
        let value = value_from_json(&json!(5.0), kind).unwrap();
        assert_eq!(value_to_json(&value.as_value()), json!(5), "{kind:?}");
        assert_eq!(value_from_json(&json!(5.5), kind), None, "{kind:?}");
    }
    assert_eq!(value_from_json(&json!(-5.0), ValueType::Unsigned), None);
}

#[test]
fn every_type_survives_and_big_numbers_are_strings() {
    for (kind, json) in [
        ("string", json!("grüß")),
        ("integer", json!(-5)),
        ("integer", json!(9_007_199_254_740_992_i64)),
        ("integer", json!("9007199254740993")),
        ("integer", json!("-9223372036854775808")),
        ("unsigned", json!("18446744073709551615")),
        ("unsigned", json!(7)),
        ("float", json!(21.5)),
        ("float", json!("NaN")),
        ("float", json!("-Infinity")),
        ("boolean", json!(true)),
        ("opaque", json!("AAEC/w==")),
        ("time", json!(1_367_491_215)),
        ("objlnk", json!("3:0")),
        ("corelnk", json!("</3/0>;ver=1.0")),
    ] {
        let body = json!({"path": "/9/0/0", "type": kind, "value": json});
        let entries = typed_entries("/9/0/0", &body).unwrap();
        assert_eq!(serde_json::to_value(node(path("/9/0/0"), &entries)).unwrap(), body);
    }
}

#[test]
fn a_whole_number_with_a_point_is_an_integer() {
    assert_eq!(value_from_json(&json!(5.0), ValueType::Integer), Some(OwnedValue::Integer(5)));
    assert_eq!(value_from_json(&json!(5), ValueType::Float), Some(OwnedValue::Float(5.0)));
}

#[test]
fn what_does_not_fit_the_definition_is_told_with_its_place() {
    for (base, json, pointer) in [
        ("/3/0/9", json!({"value": "full"}), ""),
        ("/3/0/9", json!({"value": 1.5}), ""),
        ("/3/0/9", json!({"type": "string", "value": "1"}), ""),
        ("/3/0/9", json!({"instances": {"0": 1}}), ""),
        ("/3/0/7", json!({"value": 1}), ""),
        ("/3/0/7", json!({"instances": {"0": 1, "1": true}}), "/instances/1"),
        ("/3/0/4", json!({"value": 1}), ""),
        ("/3/0/99", json!({"value": 1}), ""),
        ("/3/0", json!({"resources": {"13": {"value": "noon"}}}), "/resources/13"),
        (
            "/3",
            json!({"instances": {"0": {"resources": {"9": {"value": false}}}}}),
            "/instances/0/resources/9",
        ),
        ("/9/0/0", json!({"type": "opaque", "value": "no base64!"}), ""),
        ("/9/0/0", json!({"type": "integer", "value": "9223372036854775808"}), ""),
        ("/9/0/0", json!({"type": "integer", "value": "+1"}), ""),
        ("/9/0/0", json!({"type": "unsigned", "value": -1}), ""),
        ("/9/0/0", json!({"type": "objlnk", "value": "3"}), ""),
    ] {
        match typed_entries(base, &json) {
            Err(ConvertError::DoesNotFit(error)) => assert_eq!(error.pointer, pointer, "{json}"),
            other => panic!("{base} {json}: {other:?}"),
        }
    }
}

#[test]
fn a_node_of_another_level_is_a_mistake_of_shape() {
    for (base, json) in [
        ("/3/0", json!({"value": 1})),
        ("/3", json!({"resources": {}})),
        ("/3/0/9", json!({"resources": {}})),
        ("/3/0/7/0", json!({"instances": {}})),
    ] {
        assert!(matches!(typed_entries(base, &json), Err(ConvertError::Shape(_))), "{base} {json}");
    }
}

// Proves: DAT-14
#[test]
fn a_value_outside_its_range_is_refused_by_name_type_and_range() {
    for (json, said) in [
        (json!({"value": 101}), "/3/0/9 (Thing) takes a value of type integer in the range 0..100, not 101"),
        (json!({"value": -1}), "/3/0/9 (Thing) takes a value of type integer in the range 0..100, not -1"),
        (
            json!({"value": "x"}),
            "/3/0/9 (Thing) takes a value of type integer in the range 0..100, not \"x\"",
        ),
    ] {
        let Err(ConvertError::DoesNotFit(error)) = typed_entries("/3/0/9", &json) else { panic!("{json}") };
        assert_eq!(error.message, said);
    }
    for value in [0, 100] {
        assert!(typed_entries("/3/0/9", &json!({"value": value})).is_ok(), "{value}");
    }
}
