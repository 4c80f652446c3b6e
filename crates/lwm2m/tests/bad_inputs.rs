//! The bad inputs of chapters I (TLV), J (SenML JSON), K (CBOR, SenML CBOR) and M (text, opaque): each is refused, or taken as
//! stated, and in time that grows with its length only. The numbers are those of the corpus.

use lightship_lwm2m::{
    DataType, Format, ObjectLink, Path, Value,
    format::{self, Encoder, FormatError, ValueError},
    path,
};

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// What a device that writes these resources makes of a payload: refused by the format, or by the type of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Refused,
    Accepted,
}

/// Decodes as a Write does: every value must have the type that the resource has.
fn write(format: Format, base: Path, payload: &[u8], data_type: impl Fn(Path) -> DataType) -> Verdict {
    let mut scratch = vec![0; payload.len()];
    for entry in format::decode(format, base, payload) {
        let Ok(entry) = entry else { return Verdict::Refused };
        if entry.value.decode(data_type(entry.path), &mut scratch).is_err() {
            return Verdict::Refused;
        }
    }
    Verdict::Accepted
}

// Proves: FMT-07, FMT-10
#[test]
fn chapter_i_tlv() {
    let nested = {
        let mut payload = Vec::new();
        for _ in 0..60 {
            let mut outer = vec![0x08, 0, u8::try_from(payload.len()).expect("short")];
            outer.append(&mut payload);
            payload = outer;
        }
        payload
    };
    use DataType::{Boolean, Float, Integer, Opaque};
    use Verdict::{Accepted, Refused};
    for (number, payload, data_type, verdict) in [
        (193, unhex("c1"), Opaque, Refused),
        (194, unhex("c801"), Opaque, Refused),
        (195, unhex("c80105ab"), Opaque, Refused),
        (196, unhex("d80000"), Opaque, Refused),
        (197, unhex("d800ffffffab"), Opaque, Refused),
        (198, unhex("e80000"), Opaque, Refused),
        (199, unhex("410001"), Opaque, Refused),
        (200, unhex("8300c10005"), Opaque, Refused),
        (201, unhex("c30c010203"), Integer, Refused),
        (202, unhex("c006"), Boolean, Refused),
        (203, unhex("c10602"), Boolean, Refused),
        (204, unhex("c2060001"), Boolean, Refused),
        (205, unhex("c0"), Opaque, Refused),
        (206, nested, Opaque, Refused),
        (208, unhex("cf0101aa"), Opaque, Accepted),
        (209, unhex("c304010203"), Float, Refused),
        (209, unhex("c8041000000000000000000000000000000000"), Float, Refused),
        (209, unhex("c8041000000000000000000000000000000000"), Integer, Refused),
        (210, unhex("c4007fc00000"), Float, Accepted),
    ] {
        assert_eq!(write(Format::Tlv, path!(3 / 0), &payload, |_| data_type), verdict, "{number}");
    }
}

// Proves: FMT-14
#[test]
fn a_path_that_stands_twice_is_refused_before_anything_is_applied() {
    let check = |json: &str| format::check(&format::decode(Format::SenmlJson, path!(3 / 0), json.as_bytes()));
    let twice = r#"[{"bn":"/3/0/","n":"14","vs":"a"},{"n":"15","vs":"b"},{"n":"14","vs":"c"}]"#;
    assert_eq!(check(twice), Err(FormatError::Duplicate));
    let disorder = r#"[{"bn":"/3/0/","n":"15","vs":"a"},{"n":"14","vs":"b"},{"n":"13","v":1}]"#;
    assert_eq!(check(disorder), Ok(()));
    let descending = |count: u16| {
        let records: Vec<_> = (0..count).rev().map(|id| format!(r#"{{"n":"/3/0/{id}","v":1}}"#)).collect();
        check(&format!("[{}]", records.join(",")))
    };
    assert_eq!(descending(300), Ok(()), "odd, but short enough to look through");
    assert_eq!(descending(600), Err(FormatError::Duplicate), "too long a disorder to exclude one");
    let history = r#"[{"bn":"/3/0/9","v":1,"t":1},{"v":2,"t":2}]"#;
    assert_eq!(check(history), Ok(()));
    assert_eq!(check(r#"[{"n":"/3/0/14","vs":"a"},{"n":"#), Err(FormatError::Truncated));
    let tlv = unhex("c1010ac1010b");
    assert_eq!(format::check(&format::decode(Format::Tlv, path!(1 / 0), &tlv)), Err(FormatError::Duplicate));
}

#[test]
fn chapter_i_207_the_same_resource_twice_gives_both_in_order() {
    let payload = unhex("c1010ac1010b");
    let values: Vec<_> = format::decode(Format::Tlv, path!(1 / 0), &payload)
        .map(|entry| {
            entry.expect("legal").value.decode(DataType::Integer, &mut []).map(|value| value.as_f64())
        })
        .collect();
    assert_eq!(values, [Ok(Some(10.0)), Ok(Some(11.0))], "whoever applies them in order keeps the last");
}

/// `/3/0/14` is a text, `/3/0/13` a time, everything else an integer.
fn device_types(path: Path) -> DataType {
    match path.numbers().nth(2) {
        Some(14) => DataType::String,
        Some(13) => DataType::Time,
        Some(0) => DataType::Opaque,
        _ => DataType::Integer,
    }
}

// Proves: FMT-14
#[test]
fn chapter_j_senml_json() {
    let mut invalid_utf8 = br#"[{"n":"/3/0/14","vs":""#.to_vec();
    invalid_utf8.extend(unhex("fffe227d5d"));
    let deep = "[".repeat(500);
    let deep_unknown = format!(r#"[{{"n":"/3/0/14","vs":"a","x":{}"#, "[".repeat(500));
    for (number, payload) in [
        (211, &b""[..]),
        (212, b"["),
        (213, b"{}"),
        (214, b"[1]"),
        (215, br#"[{"n":"/3/0/14"}]"#),
        (216, br#"[{"n":"/3/0/14","v":1,"vs":"a"}]"#),
        (217, br#"[{"n":"3/0/14","vs":"a"}]"#),
        (218, br#"[{"n":"/a/b","v":1}]"#),
        (219, br#"[{"bn":"/3/0/","n":"/14","vs":"a"}]"#),
        (220, br#"[{"n":"/3/0/14","vs":1}]"#),
        (220, br#"[{"n":"/3/0/14","v":1}]"#),
        (221, br#"[{"n":"/3/0/13","v":1e400}]"#),
        (222, br#"[{"bver":99,"n":"/3/0/14","vs":"a"}]"#),
        (223, br#"[{"n":"/3/0/14","vs":"a","x_":1}]"#),
        (224, br#"[{"n":"/3/0/14","vs":"\ud800"}]"#),
        (225, deep.as_bytes()),
        (225, deep_unknown.as_bytes()),
        (226, br#"[{"n":"/3/0/14","n":"/3/0/15","vs":"a"}]"#),
        (227, &invalid_utf8),
        (227, &unhex("5b7b226e223a222f332f302f3134222c227673223a22fffe227d5d")),
        (228, &unhex("efbbbf5b5d")),
        (229, br#"[{"n":"/3/0/0","vd":"?!"}]"#),
        (229, br#"[{"n":"/3/0/0","vd":"A"}]"#),
        (231, br#"[{"n":"/3/0/14","vs":"a","t":"1"}]"#),
        (231, br#"[{"n":"/3/0/14","vs":"a","bt":NaN}]"#),
        (0, br#"[{"n":"/3/0/14","vs":"a"}] x"#),
        (0, br#"[{"n":"/3/0/14","vs":"a"},]"#),
        (0, br#"[{"n":"/4/0/14","vs":"a"}]"#),
        (0, br#"[{"n":"/3/0/14","vs":"a","bs":1}]"#),
    ] {
        for format in [Format::SenmlJson, Format::SenmlEtchJson] {
            let verdict = write(format, path!(3 / 0), payload, device_types);
            assert_eq!(verdict, Verdict::Refused, "{number}: {}", String::from_utf8_lossy(payload));
        }
    }
}

#[test]
fn chapter_j_what_is_odd_but_legal() {
    for payload in [
        &br#"[{"n":"/3/0/14","vs":"a","t":99999999999999}]"#[..],
        br#" [ { "bn" : "\/3\/0\/" , "n":"14", "vs" : "\u00e9" } ] "#,
        br#"[{"bver":10,"bn":"/3/0/14","vs":"a","u":"x","unknown":{"a":[1,null]}}]"#,
        br#"[{"n":"/3/0/9","v":22.0}]"#,
        b"[]",
    ] {
        for format in [Format::SenmlJson, Format::SenmlEtchJson] {
            let verdict = write(format, path!(3 / 0), payload, device_types);
            assert_eq!(verdict, Verdict::Accepted, "{}", String::from_utf8_lossy(payload));
        }
    }
}

#[test]
fn chapter_k_senml_cbor() {
    for (number, hex) in [
        (234, ""),
        (235, "ff"),
        (236, "81"),
        (237, "9f"),
        (238, "9bffffffffffffffff"),
        (239, "bbffffffffffffffff"),
        (240, "5b7fffffffffffffff"),
        (241, "7bffffffffffffffff"),
        (242, "a0"),
        (243, "81a1020a"),
        (244, "81a20001020a"),
        (245, "81a20063332f30020a"),
        (246, "81a200672f332f302f31340bf5"),
        (247, "81a3200100672f332f302f31340361ff"),
        (248, "81a200672f332f302f313402fb7ff8000000000000"),
        (249, "1c"),
        (250, "f810"),
        (253, "81a200672f332f302f3134036161ff"),
        (254, &"81".repeat(1000)),
        (254, &format!("81a300672f332f302f3134036161{}{}", "0b", "81".repeat(1000))),
        (255, "81a300672f332f302f3134036161036162"),
        (0, "81bf00672f332f302f3134036161"),
        (0, "9f"),
        (0, "81a200672f332f302f313405187b"),
    ] {
        for format in [Format::SenmlCbor, Format::SenmlEtchCbor] {
            let verdict = write(format, path!(3 / 0), &unhex(hex), device_types);
            assert_eq!(verdict, Verdict::Refused, "{number}: {hex}");
        }
    }
    // Indefinite lengths, an unknown label with nested content, and a break where it belongs.
    for hex in ["80", "9fff", "9fbf00672f332f302f31340361610b9f81a10102ffffff"] {
        assert_eq!(
            write(Format::SenmlCbor, path!(3 / 0), &unhex(hex), device_types),
            Verdict::Accepted,
            "{hex}"
        );
    }
}

#[test]
fn chapter_k_cbor() {
    for (number, hex) in [
        (234, ""),
        (235, "ff"),
        (236, "81"),
        (237, "9f"),
        (238, "9bffffffffffffffff"),
        (239, "bbffffffffffffffff"),
        (240, "5b7fffffffffffffff"),
        (241, "7bffffffffffffffff"),
        (249, "1c"),
        (250, "f810"),
        (251, &format!("{}00", "c1".repeat(40))),
        (252, "c36180"),
        (253, "00ff"),
        (254, &"81".repeat(1000)),
        (257, "820102"),
        (0, "a0"),
        (0, "61ff"),
        (0, "1b"),
        (0, "f94d"),
        (0, "c4820161ff"),
        (0, "c48201"),
    ] {
        for data_type in
            [DataType::Integer, DataType::String, DataType::Opaque, DataType::Float, DataType::Boolean]
        {
            assert_eq!(
                write(Format::Cbor, path!(3 / 0 / 1), &unhex(hex), |_| data_type),
                Verdict::Refused,
                "{number}: {hex}"
            );
        }
    }
    for (hex, data_type) in [
        ("c1c1", DataType::Time),
        ("f7", DataType::Integer),
        ("fb7ff8000000000000", DataType::Integer),
        ("1bffffffffffffffff", DataType::Integer),
        ("20", DataType::Unsigned),
        ("f93e00", DataType::Integer),
        ("fb4341c37937e08000", DataType::Integer),
        ("fb43e0000000000000", DataType::Unsigned),
        ("60", DataType::ObjectLink),
    ] {
        assert_eq!(
            write(Format::Cbor, path!(3 / 0 / 1), &unhex(hex), |_| data_type),
            Verdict::Refused,
            "{hex}"
        );
    }
}

// Core TS digest, 7.5: the published single values, in every width.
// Proves: FMT-21
#[test]
fn cbor_values_of_every_width_are_read() {
    let value = |hex: &str, data_type: DataType| {
        let payload = unhex(hex);
        let entry = format::decode(Format::Cbor, path!(3 / 0 / 1), &payload)
            .next()
            .expect("an entry")
            .expect("legal");
        entry.value.decode_owned_or_panic(data_type)
    };
    trait OrPanic {
        fn decode_owned_or_panic(&self, data_type: DataType) -> String;
    }
    impl OrPanic for format::RawValue<'_> {
        fn decode_owned_or_panic(&self, data_type: DataType) -> String {
            format!("{:?}", self.decode(data_type, &mut []).expect("legal"))
        }
    }
    assert_eq!(value("f5", DataType::Boolean), "Boolean(true)");
    assert_eq!(value("16", DataType::Integer), "Integer(22)");
    assert_eq!(value("20", DataType::Integer), "Integer(-1)");
    assert_eq!(value("19012c", DataType::Unsigned), "Unsigned(300)");
    assert_eq!(value("1a5182428f", DataType::Time), "Time(1367491215)");
    assert_eq!(value("c11a5182428f", DataType::Time), "Time(1367491215)");
    assert_eq!(value("c074323031332d30352d30325431303a34303a31355a", DataType::Time), "Time(1367491215)");
    assert_eq!(value("662b30323a3030", DataType::String), "String(\"+02:00\")");
    assert_eq!(
        value("6436363a30", DataType::ObjectLink),
        "ObjectLink(ObjectLink { object: 66, instance: 0 })"
    );
    assert_eq!(value("450102030405", DataType::Opaque), "Opaque([1, 2, 3, 4, 5])");
    for hex in ["f94da0", "fa41b40000", "fb4036800000000000", "c4822018e1"] {
        assert_eq!(value(hex, DataType::Float), "Float(22.5)", "{hex}");
    }
    assert_eq!(value("16", DataType::Float), "Float(22.0)");
}

// Proves: FMT-11
#[test]
fn chapter_m_text() {
    for (number, payload, data_type) in [
        (269, &b""[..], DataType::Integer),
        (269, b"", DataType::Float),
        (269, b"", DataType::Boolean),
        (269, b"", DataType::Time),
        (269, b"", DataType::ObjectLink),
        (270, b"+5", DataType::Integer),
        (270, b"+5", DataType::Float),
        (271, b"1_000", DataType::Integer),
        (272, b"0x10", DataType::Integer),
        (273, b"99999999999999999999", DataType::Integer),
        (273, b"99999999999999999999", DataType::Unsigned),
        (274, b"1e400", DataType::Float),
        (275, b"nan", DataType::Float),
        (275, b"inf", DataType::Float),
        (275, b"-inf", DataType::Float),
        (276, b"true", DataType::Boolean),
        (277, b"2", DataType::Boolean),
        (278, b"3:", DataType::ObjectLink),
        (279, b"65536:0", DataType::ObjectLink),
        (280, b"AA=A", DataType::Opaque),
        (281, b"\xC2\xB2", DataType::Integer),
        (282, b" 5", DataType::Integer),
        (282, b"5 ", DataType::Float),
        (0, b"\xFF\xFE", DataType::String),
        (0, b"-1", DataType::Unsigned),
        (0, b"1.5", DataType::Integer),
        (0, b"-", DataType::Integer),
    ] {
        let verdict = write(Format::Text, path!(3 / 0 / 1), payload, |_| data_type);
        assert_eq!(verdict, Verdict::Refused, "{number}: {}", String::from_utf8_lossy(payload));
    }
}

// Proves: FMT-11
#[test]
fn chapter_m_texts_of_every_type() {
    for (payload, data_type, value) in [
        ("-5", DataType::Integer, Value::Integer(-5)),
        ("5.00", DataType::Integer, Value::Integer(5)),
        ("18446744073709551615", DataType::Unsigned, Value::Unsigned(u64::MAX)),
        ("0.00000000006667", DataType::Float, Value::Float(6.667e-11)),
        ("1.5e3", DataType::Float, Value::Float(1500.0)),
        ("0", DataType::Boolean, Value::Boolean(false)),
        ("1367491215", DataType::Time, Value::Time(1_367_491_215)),
        ("AQIDBAU=", DataType::Opaque, Value::Opaque(&[1, 2, 3, 4, 5])),
        ("3:0", DataType::ObjectLink, Value::ObjectLink(ObjectLink { object: 3, instance: 0 })),
        ("</3/0>", DataType::Corelnk, Value::Corelnk("</3/0>")),
    ] {
        let mut scratch = [0; 16];
        let base = path!(3 / 0 / 1);
        let entry =
            format::decode(Format::Text, base, payload.as_bytes()).next().expect("an entry").expect("legal");
        assert_eq!(entry.value.decode(data_type, &mut scratch), Ok(value), "{payload}");
        let mut buffer = [0; 32];
        let mut encoder = Encoder::new(Format::Text, base, &mut buffer);
        encoder.entry(base, &value).expect("fits");
        let len = encoder.finish().expect("fits");
        let tolerated = ["5.00", "1.5e3"].contains(&payload);
        assert_eq!(buffer.get(..len) == Some(payload.as_bytes()), !tolerated, "{payload}");
    }
}

#[test]
fn chapter_m_284_a_nul_in_a_text_is_kept() {
    let entry =
        format::decode(Format::Text, path!(3 / 0 / 1), b"a\0b").next().expect("an entry").expect("legal");
    assert_eq!(entry.value.decode(DataType::String, &mut []), Ok(Value::String("a\0b")));
    let empty = format::decode(Format::Text, path!(3 / 0 / 1), b"").next().expect("an entry").expect("legal");
    assert_eq!(empty.value.decode(DataType::String, &mut []), Ok(Value::String("")));
}

// Proves: FMT-12
#[test]
fn chapter_m_283_opaque_is_for_opaque_resources_only() {
    let entry =
        format::decode(Format::Opaque, path!(3 / 0 / 1), b"5").next().expect("an entry").expect("legal");
    assert_eq!(entry.value.decode(DataType::Integer, &mut []), Err(ValueError::WrongType));
    assert_eq!(entry.value.decode(DataType::String, &mut []), Err(ValueError::WrongType));
}

#[test]
fn formats_of_one_value_stand_only_at_resources() {
    for format in [Format::Text, Format::Opaque, Format::Cbor] {
        let mut entries = format::decode(format, path!(3 / 0), b"0");
        assert_eq!(entries.next(), Some(Err(FormatError::WrongLevel)), "{format}");
        assert_eq!(entries.next(), None);
    }
    assert_eq!(format::decode(Format::Tlv, Path::ROOT, b"").next(), Some(Err(FormatError::WrongLevel)));
}

/// Decodes a long payload. Quadratic work on it would take hours, so that the test ends is its proof.
fn is_linear(format: Format, payload: &[u8]) {
    assert!(payload.len() > 400_000, "long enough");
    let base = path!(3 / 0);
    assert!(format::decode(format, base, payload).all(|entry| entry.is_ok()), "{format}");
    let _ = format::check(&format::decode(format, base, payload));
}

// Proves: FMT-27
#[test]
fn chapter_j_230_and_k_256_long_payloads_take_linear_time() {
    let count = 40_000;
    let record = r#"{"n":"/3/0/14","vs":"a"}"#;
    is_linear(Format::SenmlJson, format!("[{}]", vec![record; count].join(",")).as_bytes());
    let record = r#"{"bn":"/3/0/","n":"14","vs":"\\\\\"\u00e9"}"#;
    is_linear(Format::SenmlJson, format!("[{}]", vec![record; count].join(",")).as_bytes());
    let mut records = vec![0x9F];
    records.extend(unhex("a321652f332f302f00623134036161").repeat(count));
    records.push(0xFF);
    is_linear(Format::SenmlCbor, &records);
    is_linear(Format::Tlv, &unhex("c1010a").repeat(count * 4));
    // Unknown fields that are skipped.
    let unknown = "[[[1,2],{}],3],".repeat(count);
    is_linear(Format::SenmlJson, format!(r#"[{{"n":"/3/0/14","vs":"a","x":[{unknown}0]}}]"#).as_bytes());
    let mut unknown = unhex("81a300672f332f302f31340361610b9f");
    unknown.extend(unhex("8183010203").repeat(count * 2));
    unknown.push(0xFF);
    is_linear(Format::SenmlCbor, &unknown);
}

#[test]
fn a_long_base_name_in_force_does_not_cost_every_record() {
    // The base name is no path, which the first record already shows.
    let long = "/1".repeat(100_000);
    let payload = format!(r#"[{{"bn":"{long}","n":"1","v":1}}{}]"#, r#",{"n":"1","v":1}"#.repeat(10_000));
    let first = format::decode(Format::SenmlJson, Path::ROOT, payload.as_bytes()).next();
    assert_eq!(first, Some(Err(FormatError::BadPath)));
}
