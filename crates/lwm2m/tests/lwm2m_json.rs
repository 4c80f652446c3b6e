//! LwM2M JSON (11543) of LwM2M 1.0: names, times, values of every type, and what is refused.

#![cfg(feature = "alloc")]

use lightship_lwm2m::{
    DataType, Format, ObjectLink, Path, Value,
    format::{self, EncodeError, Encoder, FormatError},
    path,
};

/// Paths and times of a payload.
fn read(base: Path, json: &str) -> Result<Vec<(Path, Option<f64>)>, FormatError> {
    let decoder = format::decode(Format::Json, base, json.as_bytes());
    format::check(&decoder)?;
    decoder.map(|entry| entry.map(|entry| (entry.path, entry.time))).collect()
}

// Proves: FMT-13
#[test]
fn names_follow_the_base_name_or_the_request() {
    let battery = Ok(vec![(path!(3 / 0 / 9), None)]);
    for (base, json) in [
        (path!(3 / 0), r#"{"bn":"/3/0/","e":[{"n":"9","v":100}]}"#),
        (path!(3 / 0), r#"{"bn":"/3/0","e":[{"n":"/9","v":100}]}"#),
        (path!(3 / 0 / 9), r#"{"bn":"/3/0/9","e":[{"n":"","v":100}]}"#),
        (path!(3 / 0 / 9), r#"{"bn":"/3/0/9","e":[{"v":100}]}"#),
        (path!(3 / 0), r#"{"bn":"/","e":[{"n":"3/0/9","v":100}]}"#),
        (path!(3 / 0), r#"{"e":[{"n":"9","v":100}]}"#),
        (path!(3), r#"{"e":[{"n":"0/9","v":100}]}"#),
        (path!(3 / 0 / 9), r#"{"e":[{"n":"","v":100}]}"#),
        (path!(3 / 0 / 9), r#"{"e":[{"v":100}]}"#),
        (path!(3 / 0), r#"{"e":[{"n":"/3/0/9","v":100}]}"#),
        (path!(3 / 0), r#" { "e" : [ { "v" : 100 , "n" : "9" } ] , "x":{"y":[1]}, "bn" : "\/3\/0\/" } "#),
    ] {
        assert_eq!(read(base, json), battery, "{json}");
    }
    assert_eq!(read(Path::ROOT, r#"{"e":[{"n":"3/0/9","v":100}]}"#), battery);
    assert_eq!(read(path!(3 / 0), r#"{"bn":"/3/0/","e":[]}"#), Ok(vec![]));
    let alternate = br#"{"bn":"/lwm2m/3/0/","e":[{"n":"9","v":1}]}"#;
    let decoder = format::decode(Format::Json, path!(3 / 0), alternate).with_alternate_path("lwm2m");
    assert_eq!(decoder.flatten().next().map(|entry| entry.path), Some(path!(3 / 0 / 9)));
    assert_eq!(
        format::chosen_instance(Format::Json, path!(3303), br#"{"e":[{"n":"7/5700","v":1}]}"#),
        Ok(path!(3303 / 7).instance_id())
    );
}

// Core TS 1.0, 6.4.4: a history of a value.
// Proves: FMT-13
#[test]
fn times_count_from_the_base_time() {
    let json = r#"{"bn":"/72/","bt":25462634,"e":[{"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30},{"n":"1/2","v":24.1}]}"#;
    let sample = path!(72 / 1 / 2);
    let times = [25_462_629.0, 25_462_604.0, 25_462_634.0].map(|time| (sample, Some(time)));
    assert_eq!(read(path!(72), json), Ok(times.to_vec()));
}

// Proves: FMT-13
#[test]
fn values_of_every_type_are_read_and_written() {
    let values = [
        ("5", Value::Integer(-5), r#""v":-5"#),
        ("6", Value::Unsigned(u64::MAX), r#""v":18446744073709551615"#),
        ("7", Value::Float(22.5), r#""v":22.5"#),
        ("8", Value::Boolean(true), r#""bv":true"#),
        ("9", Value::String("a\"é\n"), r#""sv":"a\"é\u000a""#),
        ("10", Value::Opaque(&[0xFB, 0xFF, 1, 2, 3]), r#""sv":"+/8BAgM=""#),
        ("11", Value::Time(1_367_491_215), r#""v":1367491215"#),
        ("12", Value::ObjectLink(ObjectLink { object: 3, instance: 65535 }), r#""ov":"3:65535""#),
        ("13", Value::Corelnk("</3/0>"), r#""sv":"</3/0>""#),
    ];
    let elements: Vec<String> =
        values.iter().map(|(name, _, text)| format!(r#"{{"n":"{name}",{text}}}"#)).collect();
    let json = format!(r#"{{"bn":"/3/0/","e":[{}]}}"#, elements.join(","));
    let mut buffer = [0; 512];
    let mut encoder = Encoder::new(Format::Json, path!(3 / 0), &mut buffer);
    for (name, value, _) in &values {
        encoder.entry(format!("/3/0/{name}").parse().expect("a path"), value).expect("fits");
    }
    let len = encoder.finish().expect("fits");
    assert_eq!(String::from_utf8_lossy(&buffer[..len]), json);
    let entries: Vec<_> =
        format::decode(Format::Json, path!(3 / 0), json.as_bytes()).collect::<Result<_, _>>().expect("legal");
    for (entry, (_, value, text)) in entries.iter().zip(values) {
        let mut scratch = [0; 64];
        assert_eq!(entry.value.decode(value.data_type(), &mut scratch), Ok(value), "{text}");
    }
    let written = |base: Path, path: Path| {
        let mut buffer = [0; 64];
        let mut encoder = Encoder::new(Format::Json, base, &mut buffer);
        encoder.entry(path, &Value::Integer(1)).expect("fits");
        let len = encoder.finish().expect("fits");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert_eq!(written(path!(3 / 0 / 9), path!(3 / 0 / 9)), r#"{"bn":"/3/0/9","e":[{"n":"","v":1}]}"#);
    assert_eq!(written(path!(3 / 0 / 6), path!(3 / 0 / 6 / 1)), r#"{"bn":"/3/0/6/","e":[{"n":"1","v":1}]}"#);
    assert_eq!(written(Path::ROOT, path!(3 / 0 / 9)), r#"{"bn":"/","e":[{"n":"3/0/9","v":1}]}"#);
    let encoder = Encoder::new(Format::Json, path!(3), &mut buffer);
    let len = encoder.finish().expect("fits");
    assert_eq!(&buffer[..len], br#"{"bn":"/3/","e":[]}"#);
    let mut encoder = Encoder::new(Format::Json, path!(3), &mut buffer);
    assert_eq!(encoder.entry(path!(3 / 0 / 1), &Value::Float(f64::NAN)), Err(EncodeError::NotExpressible));
}

// Proves: FMT-13, FMT-27
#[test]
fn chapter_j_lwm2m_json() {
    let deep = format!(r#"{{"e":{}"#, "[".repeat(500));
    let deep_unknown = format!(r#"{{"e":[{{"n":"14","sv":"a","x":{}"#, "[".repeat(500));
    for (number, json) in [
        (233, r#"{"bn":"/3/0/"}"#),
        (233, "{}"),
        (0, ""),
        (0, "[]"),
        (0, r#"{"bn":"/3/0/","e":{}}"#),
        (0, r#"{"bn":"/3/0/","e":[1]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","sv":"a"}]"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","sv":"a"}]} x"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","sv":"a"},]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14"}]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","sv":"a","v":1}]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","n":"15","sv":"a"}]}"#),
        (0, r#"{"bn":"/3/0/","bn":"/4/0/","e":[]}"#),
        (0, r#"{"bn":"/3/0/","e":[],"e":[]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"14","sv":"a"},{"n":"14","sv":"b"}]}"#),
        (0, r#"{"bn":"/4/0/","e":[{"n":"14","sv":"a"}]}"#),
        (0, r#"{"bn":"3/0/","e":[{"n":"14","sv":"a"}]}"#),
        (0, r#"{"bn":"/3/","e":[{"n":"0","sv":"a"}]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"x","sv":"a"}]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"13","ov":"3"}]}"#),
        (0, r#"{"bn":"/3/0/","e":[{"n":"13","bv":1}]}"#),
        (0, r#"{"bn":"/3/0/","bt":"x","e":[]}"#),
        (0, &deep),
        (0, &deep_unknown),
    ] {
        assert!(read(path!(3 / 0), json).is_err(), "{number}: {json}");
    }
    // 232: a type mismatch, which the format or the resource sees.
    for json in [r#"{"bn":"/3/0/","e":[{"n":"14","v":"x"}]}"#, r#"{"bn":"/3/0/","e":[{"n":"14","v":5}]}"#] {
        let first = format::decode(Format::Json, path!(3 / 0), json.as_bytes()).next().expect("something");
        let typed = first.map(|entry| entry.value.decode(DataType::String, &mut [0; 8]).is_ok());
        assert_ne!(typed, Ok(true), "{json}");
    }
    let linear = format!(r#"{{"e":[{}]}}"#, vec![r#"{"n":"14","sv":"a"}"#; 50_000].join(","));
    assert!(format::decode(Format::Json, path!(3 / 0), linear.as_bytes()).all(|entry| entry.is_ok()));
}
