//! What composite operations and Send carry: lists of paths, records that remove, times. And which format may be used for what.

use lightship_lwm2m::{
    DataType, Format, Path, Value, Version,
    format::{self, EncodeError, Encoder, FormatError, Use, paths},
    path,
};

const ETCH: [Format; 2] = [Format::SenmlEtchJson, Format::SenmlEtchCbor];
const WITH_PATHS: [Format; 4] =
    [Format::SenmlJson, Format::SenmlCbor, Format::SenmlEtchJson, Format::SenmlEtchCbor];

fn unhex(hex: &str) -> Vec<u8> {
    let hex = hex.replace(' ', "");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn listed(format: Format, payload: &[u8]) -> Result<Vec<Path>, FormatError> {
    let list = paths::decode(format, payload);
    list.check()?;
    list.collect()
}

// Core TS digest, 7.4: the examples.
// Proves: FMT-18
#[test]
fn lists_of_paths_have_the_published_bytes() {
    let wanted = [path!(3 / 0 / 0), path!(1 / 0 / 1)];
    let mut buffer = [0; 128];
    for format in [Format::SenmlCbor, Format::SenmlEtchCbor] {
        let len = paths::encode(format, wanted, &mut buffer).expect("fits");
        assert_eq!(
            buffer[..len],
            unhex("82 A1 00 66 2F 33 2F 30 2F 30 A1 00 66 2F 31 2F 30 2F 31"),
            "{format}"
        );
        let len = paths::encode(format, [Path::ROOT], &mut buffer).expect("fits");
        assert_eq!(buffer[..len], unhex("81 A1 00 61 2F"), "{format}");
    }
    for format in [Format::SenmlJson, Format::SenmlEtchJson] {
        let len = paths::encode(format, [path!(3 / 0 / 9)], &mut buffer).expect("fits");
        assert_eq!(&buffer[..len], br#"[{"n":"/3/0/9"}]"#, "{format}");
    }
    for format in WITH_PATHS {
        let all = [Path::ROOT, path!(3), path!(3 / 0), path!(3 / 0 / 9), path!(3 / 0 / 7 / 1), path!(65534)];
        let len = paths::encode(format, all, &mut buffer).expect("fits");
        assert_eq!(listed(format, &buffer[..len]).as_deref(), Ok(&all[..]), "{format}");
        assert_eq!(paths::encode(format, all, &mut buffer[..len - 1]), Err(EncodeError::BufferTooSmall));
        assert_eq!(paths::encode(format, [], &mut buffer), Err(EncodeError::NotExpressible), "{format}");
    }
    for format in Format::all().filter(|format| !WITH_PATHS.contains(format)) {
        assert_eq!(paths::encode(format, wanted, &mut buffer), Err(EncodeError::NotExpressible), "{format}");
        let list: Vec<_> = paths::decode(format, b"").collect();
        assert_eq!(list, [Err(FormatError::WrongLevel)], "{format}");
    }
}

// RFC 8790 §3.1.
// Proves: FMT-19
#[test]
fn a_list_of_paths_chooses_and_says_nothing_else() {
    for (json, plain, etch) in [
        (r#"[{"n":"/3/0/9"}]"#, true, true),
        (r#"[{"bn":"/3/0/","n":"9"},{"n":"13"}]"#, true, true),
        (r#"[{"bn":"/3/0"}]"#, true, true),
        (r#"[{"n":"/3/0/9","t":1,"u":"%"},{"n":"/3/0/10","bt":5,"bu":"V"}]"#, true, true),
        (r#"[{"n":"/3/0/9","x":1}]"#, true, false),
        (r#"[{"n":"/3/0/9","ut":1}]"#, true, false),
        (r#"[{"n":"/3/0/9","bver":10}]"#, true, false),
        (r#"[{"n":"/3/0/9","v":1}]"#, false, false),
        (r#"[{"n":"/3/0/9","v":null}]"#, false, false),
        (r#"[{"n":"/3/0/9","vs":""}]"#, false, false),
        (r#"[{"n":"/3/0/9","vlo":"1:1"}]"#, false, false),
        (r#"[{"n":"/3/0/9","bv":1}]"#, false, false),
        ("[]", false, false),
        ("", false, false),
        ("{}", false, false),
        (r#"[{"n":"/3/0/9"},{"n":"/3/0/9"}]"#, false, false),
        (r#"[{"n":"/3/0/9"},{"n":"/3/0/x"}]"#, false, false),
        (r#"[{"n":"/3/0/9"}"#, false, false),
        (r#"[{"n":"3/0/9"}]"#, false, false),
        (r#"[{"t":1}]"#, false, false),
    ] {
        assert_eq!(listed(Format::SenmlJson, json.as_bytes()).is_ok(), plain, "{json}");
        assert_eq!(listed(Format::SenmlEtchJson, json.as_bytes()).is_ok(), etch, "{json}");
    }
    for (cbor, plain, etch) in [
        ("81a100662f332f302f39", true, true),
        ("9fbf00662f332f302f39ffff", true, true),
        ("81a2 00662f332f302f39 0601", true, true),
        ("81a2 00662f332f302f39 0b01", true, false),
        ("81a2 00662f332f302f39 0701", true, false),
        ("81a2 00662f332f302f39 6178f5", true, false),
        ("81a2 00662f332f302f39 63766c6f63313a31", false, false),
        ("81a2 00662f332f302f39 0201", false, false),
        ("81a2 00662f332f302f39 02f6", false, false),
        ("80", false, false),
        ("82a100662f332f302f39a100662f332f302f39", false, false),
    ] {
        assert_eq!(listed(Format::SenmlCbor, &unhex(cbor)).is_ok(), plain, "{cbor}");
        assert_eq!(listed(Format::SenmlEtchCbor, &unhex(cbor)).is_ok(), etch, "{cbor}");
    }
    assert_eq!(listed(Format::SenmlEtchJson, b"[]"), Err(FormatError::Empty));
    let list = paths::decode(Format::SenmlEtchJson, br#"[{"n":"/lwm2m/3/0"},{"n":"1/0"}]"#);
    let list = list.with_alternate_path("lwm2m").tolerate_missing_slash();
    assert_eq!(list.collect::<Result<Vec<_>, _>>(), Ok(vec![path!(3 / 0), path!(1 / 0)]));
}

// RFC 8790 §3.2.
// Proves: FMT-20
#[test]
fn a_composite_write_can_remove() {
    let written = |format: Format| {
        let mut buffer = [0; 128];
        let mut encoder = Encoder::new(format, Path::ROOT, &mut buffer);
        encoder.entry(path!(2 / 0 / 2 / 100), &Value::Integer(3))?;
        encoder.remove(path!(2 / 0 / 2 / 101))?;
        encoder.finish().map(|len| buffer[..len].to_vec())
    };
    let json = written(Format::SenmlEtchJson).expect("fits");
    assert_eq!(json, br#"[{"bn":"/2/0/","n":"2/100","v":3},{"n":"2/101","v":null}]"#);
    assert_eq!(written(Format::SenmlJson), Err(EncodeError::NotExpressible), "only SenML-ETCH");
    assert_eq!(written(Format::Lwm2mCbor), Err(EncodeError::NotExpressible));
    for format in ETCH {
        let payload = written(format).expect("fits");
        let decoder = format::decode(format, Path::ROOT, &payload);
        assert_eq!(format::check(&decoder), Ok(()));
        let entries: Vec<_> = decoder.collect::<Result<_, _>>().expect("legal");
        let [first, second] = entries[..] else { panic!("{entries:?}") };
        assert_eq!(first.value.decode(DataType::Integer, &mut []), Ok(Value::Integer(3)));
        assert_eq!((second.path, second.value.is_null()), (path!(2 / 0 / 2 / 101), true));
    }
    // The digest's bytes.
    let payload = unhex("81 A2 00 6A 2F 32 2F 30 2F 32 2F 31 30 31 02 F6");
    let entry =
        format::decode(Format::SenmlEtchCbor, Path::ROOT, &payload).next().expect("one").expect("legal");
    assert_eq!((entry.path, entry.value.is_null()), (path!(2 / 0 / 2 / 101), true));
    let mut buffer = [0; 32];
    let mut encoder = Encoder::new(Format::SenmlEtchJson, Path::ROOT, &mut buffer);
    assert_eq!(encoder.remove(path!(2 / 0)), Err(EncodeError::NotExpressible), "not an instance");
}

// Core TS 1.2, 7.4; the table of the digest, 7.1.
// Proves: FMT-18, FMT-26
#[test]
fn each_format_has_its_uses_and_its_version() {
    use Format::{Cbor, Lwm2mCbor, Opaque, SenmlCbor, SenmlEtchCbor, SenmlEtchJson, SenmlJson, Text, Tlv};
    let single = [Text, Opaque, Cbor];
    let legal = |purpose, version| -> Vec<Format> {
        Format::all().filter(|format| format.is_for(purpose, version)).collect()
    };
    for purpose in [Use::Read, Use::Write] {
        assert_eq!(legal(purpose, Version::V1_0), [Text, Opaque, Tlv, Format::Json]);
        assert_eq!(legal(purpose, Version::V1_1), [&single[..], &[SenmlJson, SenmlCbor, Tlv]].concat());
        assert_eq!(
            legal(purpose, Version::V1_2),
            [&single[..], &[SenmlJson, SenmlCbor, Tlv, Lwm2mCbor]].concat()
        );
    }
    assert_eq!(legal(Use::CompositePaths, Version::V1_1), [SenmlJson, SenmlCbor]);
    assert_eq!(
        legal(Use::CompositePaths, Version::V1_2),
        [SenmlJson, SenmlCbor, SenmlEtchJson, SenmlEtchCbor]
    );
    assert_eq!(
        legal(Use::CompositeWrite, Version::V1_2),
        [SenmlJson, SenmlCbor, SenmlEtchJson, SenmlEtchCbor, Lwm2mCbor]
    );
    for purpose in [Use::CompositeRead, Use::Send] {
        assert_eq!(legal(purpose, Version::V1_0), []);
        assert_eq!(legal(purpose, Version::V1_1), [SenmlJson, SenmlCbor]);
        assert_eq!(legal(purpose, Version::V1_2), [SenmlJson, SenmlCbor, Lwm2mCbor]);
    }
}

fn timed(format: Format, samples: &[(Path, f64, Option<f64>)]) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut encoder = Encoder::new(format, Path::ROOT, &mut buffer);
    for (path, value, time) in samples {
        match time {
            Some(time) => encoder.timed(*path, &Value::Float(*value), *time),
            None => encoder.entry(*path, &Value::Float(*value)),
        }
        .expect("fits");
    }
    let len = encoder.finish().expect("fits");
    buffer[..len].to_vec()
}

// Proves: FMT-16
#[test]
fn samples_count_from_the_first_time() {
    let sensor = path!(3303 / 0 / 5700);
    let samples =
        [(sensor, 21.5, Some(1.7e9)), (sensor, 21.25, Some(1.7e9 - 60.0)), (sensor, 21.0, Some(1.7e9))];
    let json = timed(Format::SenmlJson, &samples);
    assert_eq!(
        String::from_utf8_lossy(&json),
        r#"[{"bn":"/3303/0/","bt":1700000000,"n":"5700","v":21.5},{"n":"5700","v":21.25,"t":-60},{"n":"5700","v":21}]"#
    );
    for format in [Format::SenmlJson, Format::SenmlCbor] {
        let payload = timed(format, &samples);
        let decoder = format::decode(format, Path::ROOT, &payload);
        let times: Vec<_> = decoder.map(|entry| entry.expect("legal").time).collect();
        assert_eq!(times, samples.map(|(_, _, time)| time), "{format}");
        // What has no time after one that has is of now.
        let mixed =
            [(sensor, 1.0, None), (sensor, 2.0, Some(1.7e9)), (sensor, 3.0, None), (sensor, 4.0, Some(5.0))];
        let payload = timed(format, &mixed);
        let decoder = format::decode(format, Path::ROOT, &payload);
        let times: Vec<_> = decoder.map(|entry| entry.expect("legal").time).collect();
        assert_eq!(times, [None, Some(1.7e9), Some(0.0), Some(5.0)], "{format}");
    }
    // The digest's bytes of two samples, with the floats in full width.
    let payload = unhex(
        "82 A3 21 6C 2F 33 33 30 33 2F 30 2F 35 37 30 30 22 1A 65 53 F1 00 02 FB 40 35 80 00 00 00 00 00 \
         A2 06 38 3B 02 FB 40 35 40 00 00 00 00 00",
    );
    let entries: Vec<_> =
        format::decode(Format::SenmlCbor, Path::ROOT, &payload).collect::<Result<_, _>>().expect("legal");
    let read: Vec<_> = entries.iter().map(|entry| (entry.path, entry.time)).collect();
    assert_eq!(read, [(sensor, Some(1.7e9)), (sensor, Some(1.7e9 - 60.0))]);
}

// Core TS 1.2.1, 7.4.4: the names of SenML carry the alternate root, the keys of LwM2M CBOR never do.
// Proves: GEN-09
#[test]
fn names_carry_the_alternate_root_where_they_are_paths_of_the_device() {
    let written = |format: Format, base: Path, root: &'static str| {
        let mut buffer = [0; 160];
        let mut encoder = Encoder::new(format, base, &mut buffer).with_alternate_path(root);
        encoder.entry(path!(3303 / 0 / 5700), &Value::Float(21.5)).expect("fits");
        encoder.entry(path!(3303 / 0 / 5701), &Value::String("Cel")).expect("fits");
        let len = encoder.finish().expect("fits");
        buffer[..len].to_vec()
    };
    for root in ["lwm2m", "/lwm2m", "/lwm2m/"] {
        for format in [Format::SenmlJson, Format::SenmlEtchJson] {
            let json = written(format, Path::ROOT, root);
            assert_eq!(
                String::from_utf8_lossy(&json),
                r#"[{"bn":"/lwm2m/3303/0/","n":"5700","v":21.5},{"n":"5701","vs":"Cel"}]"#
            );
        }
    }
    for format in [Format::SenmlJson, Format::SenmlEtchJson, Format::SenmlCbor, Format::SenmlEtchCbor] {
        for base in [Path::ROOT, path!(3303), path!(3303 / 0)] {
            let payload = written(format, base, "lwm2m");
            let paths = |decoder: format::Decoder<'_>| -> Result<Vec<Path>, FormatError> {
                decoder.map(|entry| entry.map(|entry| entry.path)).collect()
            };
            let decoder = format::decode(format, base, &payload);
            let both = vec![path!(3303 / 0 / 5700), path!(3303 / 0 / 5701)];
            assert_eq!(paths(decoder.clone().with_alternate_path("lwm2m")), Ok(both), "{format} {base}");
            assert_eq!(paths(decoder), Err(FormatError::BadPath), "{format} {base}");
        }
        // Lists of paths, the root among them; a root that JSON must escape.
        for root in ["lwm2m", "a\"b\\c"] {
            let all = [Path::ROOT, path!(3), path!(3303 / 0 / 5700)];
            let mut buffer = [0; 160];
            let mut encoder = Encoder::new(format, Path::ROOT, &mut buffer).with_alternate_path(root);
            all.iter().for_each(|path| encoder.name(*path).expect("fits"));
            let len = encoder.finish().expect("fits");
            let list = paths::decode(format, &buffer[..len]);
            assert!(list.clone().check().is_err(), "{format}: the root is missing");
            let list = list.with_alternate_path(root);
            assert_eq!(list.collect::<Result<Vec<_>, _>>().as_deref(), Ok(&all[..]), "{format} {root}");
        }
    }
    for format in [Format::Tlv, Format::Lwm2mCbor] {
        let base = path!(3303 / 0);
        assert_eq!(written(format, base, "lwm2m"), written(format, base, ""), "{format}");
    }
}
