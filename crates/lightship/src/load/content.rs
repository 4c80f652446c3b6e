//! What is in the objects of simulated devices. Nothing of it is stored: a value follows from the device's number.

use std::fmt::Write as _;

use lightship_lwm2m::format::Encoder;
use lightship_lwm2m::{Format, ObjectId, Path, Value};

use super::settings::Settings;

/// The resource whose values devices report: that of the first sensor they have, else the battery level.
pub(crate) fn reported(objects: &[(ObjectId, u16)]) -> Path {
    let sensor = objects.iter().map(|(id, _)| id.get()).find(|id| *id >= FIRST_SENSOR);
    sensor.and_then(|id| path(&[id, 0, 5700])).or_else(|| path(&[3, 0, 9])).unwrap_or(Path::ROOT)
}

/// The list of objects in a Register.
pub(crate) fn links(objects: &[(ObjectId, u16)], version: lightship_lwm2m::Version) -> String {
    let mut text = match version {
        lightship_lwm2m::Version::V1_0 => "</>;rt=\"oma.lwm2m\"".to_owned(),
        lightship_lwm2m::Version::V1_1 => "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\"".to_owned(),
        lightship_lwm2m::Version::V1_2 => "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542 11544\"".to_owned(),
    };
    for (object, count) in objects {
        for instance in 0..*count {
            // Writing into a String does not fail.
            let _ = write!(text, ",</{object}/{instance}>");
        }
    }
    text
}

/// Calls `each` with every resource under one of the paths, in the order of the tree.
pub(crate) fn visit(
    settings: &Settings,
    name: &str,
    value: u64,
    wanted: &[Path],
    mut each: impl FnMut(Path, &Value<'_>),
) {
    for (object, count) in &settings.objects {
        for instance in 0..*count {
            for ids in resources(object.get()) {
                let numbers = [object.get(), instance].into_iter().chain(ids.iter().copied());
                let Some(path) = path_of(numbers) else { continue };
                if wanted.iter().any(|wanted| wanted.contains(path)) {
                    each(path, &value_of(settings, name, value, path));
                }
            }
        }
    }
}

/// Writes what is under the paths; `None` if there is nothing, or the format cannot hold it.
pub(crate) fn encode(
    settings: &Settings,
    (name, value): (&str, u64),
    (base, wanted): (Path, &[Path]),
    format: Format,
    buffer: &mut [u8],
) -> Option<usize> {
    let mut encoder = Encoder::new(format, base, buffer);
    let mut count = 0;
    visit(settings, name, value, wanted, |path, value| {
        count += 1;
        // The first error sticks and is what finish gives.
        let _ = encoder.entry(path, value);
    });
    encoder.finish().ok().filter(|_| count > 0)
}

/// Whether there is anything under that path.
pub(crate) fn exists(settings: &Settings, wanted: Path) -> bool {
    let mut found = wanted.is_root();
    visit(settings, "", 0, &[wanted], |_, _| found = true);
    found
}

/// Whether a device has the object, or the instance, that the path leads to or through.
pub(crate) fn holds(settings: &Settings, wanted: Path) -> bool {
    let numbers: Vec<u16> = wanted.numbers().take(2).collect();
    path(&numbers).is_some_and(|instance| exists(settings, instance))
}

fn value_of<'a>(settings: &Settings, name: &'a str, value: u64, path: Path) -> Value<'a> {
    let mut numbers = path.numbers();
    let (object, resource) = (numbers.next().unwrap_or(0), numbers.nth(1).unwrap_or(0));
    let whole = i64::try_from(value).unwrap_or(i64::MAX);
    match (object, resource) {
        (1, 0) => Value::Integer(1),
        (1, 1) => Value::Integer(settings.lifetime_s.into()),
        (1, 6) => Value::Boolean(true),
        (1, 7) | (3, 16) => Value::String("U"),
        (3, 0) => Value::String("Lightship"),
        (3, 1) => Value::String("load"),
        (3, 2) => Value::String(name),
        (3, 9) => Value::Integer(whole),
        (FIRST_SENSOR.., 5700) => {
            #[allow(clippy::cast_precision_loss, reason = "values are counted up to far less than 2^53")]
            let value = value as f64;
            Value::Float(value)
        }
        (FIRST_SENSOR.., _) => Value::String("Cel"),
        _ => Value::Integer(0),
    }
}

/// The resources of an object, and those of their instances.
fn resources(object: u16) -> &'static [&'static [u16]] {
    match object {
        1 => &[&[0], &[1], &[6], &[7]],
        3 => &[&[0], &[1], &[2], &[9], &[11, 0], &[16]],
        FIRST_SENSOR.. => &[&[5700], &[5701]],
        _ => &[&[0]],
    }
}

fn path(numbers: &[u16]) -> Option<Path> {
    path_of(numbers.iter().copied())
}

fn path_of(numbers: impl Iterator<Item = u16>) -> Option<Path> {
    numbers.into_iter().try_fold(Path::ROOT, |path, number| path.child(number))
}

/// From here on the registry has sensors, which keep their value in 5700.
const FIRST_SENSOR: u16 = 3200;
