//! The list of objects and instances that a registration carries (TS_Core 6.2.1, RFC 6690).

use core::fmt::{self, Write};

use lightship_coap::link::{LinkWriter, TextBuffer};
use lightship_lwm2m::{ObjectId, ObjectVersion, Path, Version};

use crate::dispatch::World;
use crate::negotiate;
use crate::object::Object;
use crate::uri::Below;

/// Writes the list into `out`; `None` when it does not fit.
pub(crate) fn write(world: &World<'_>, version: Version, out: &mut [u8]) -> Option<usize> {
    let mut text = TextBuffer::new(out);
    links(world, version, &mut text).then_some(text.len())
}

/// A number that changes when the list does.
pub(crate) fn fingerprint(world: &World<'_>, version: Version) -> u64 {
    let mut fingerprint = Fingerprint(0xCBF2_9CE4_8422_2325);
    if links(world, version, &mut fingerprint) { fingerprint.0 } else { 0 }
}

struct Fingerprint(u64);

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        Ok(())
    }
}

/// One copy of the code serves both sinks.
fn links(world: &World<'_>, version: Version, sink: &mut dyn Write) -> bool {
    let mut links = LinkWriter::new(sink);
    // What this client speaks beyond what every client of its version does.
    let formats = negotiate::announced(version);
    if formats.is_some() || !world.root.is_empty() {
        links.link(format_args!("{}", Below(world.root, Path::ROOT)));
        if !world.root.is_empty() {
            links.quoted("rt", "oma.lwm2m");
        }
        if let Some(formats) = formats {
            links.quoted("ct", formats);
        }
    }
    let mut from = Some(0);
    while let Some(id) = from.and_then(|from| world.next_object(from)) {
        if let Some(object) = world.object(id) {
            link_object(&mut links, world.root, object, version);
        }
        from = id.get().checked_add(1);
    }
    links.finish().is_ok()
}

/// Writes what a Profile ID stands for: all objects with their versions, be they implied, and all instances.
#[cfg(feature = "profile-id")]
pub(crate) fn canonical(world: &World<'_>, sink: &mut dyn Write) -> bool {
    let mut links = LinkWriter::new(sink);
    let mut from = Some(0);
    while let Some(id) = from.and_then(|from| world.next_object(from)) {
        if let Some(object) = world.object(id) {
            let link = Below(world.root, Path::object(id));
            links.link(format_args!("{link}")).attribute("ver", format_args!("{}", object.model().version));
            link_instances(&mut links, world.root, object);
        }
        from = id.get().checked_add(1);
    }
    links.finish().is_ok()
}

fn link_object(links: &mut LinkWriter<&mut dyn Write>, root: &str, object: &dyn Object, version: Version) {
    let model = object.model();
    let said = stated_version(model.id, model.version, version);
    if said.is_some() || object.instance_from(0).is_none() {
        links.link(format_args!("{}", Below(root, Path::object(model.id))));
        if let Some(said) = said {
            state_version(links, said, version);
        }
    }
    link_instances(links, root, object);
}

fn link_instances(links: &mut LinkWriter<&mut dyn Write>, root: &str, object: &dyn Object) {
    let mut from = Some(0);
    while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
        let path = Path::instance(object.model().id, instance);
        links.link(format_args!("{}", Below(root, path)));
        from = instance.get().checked_add(1);
    }
}

/// Adds `ver`, in quotes as 1.0 has it.
pub(crate) fn state_version<W: Write>(links: &mut LinkWriter<W>, said: ObjectVersion, version: Version) {
    if version == Version::V1_0 {
        links.attribute("ver", format_args!("\"{said}\""));
    } else {
        links.attribute("ver", format_args!("{said}"));
    }
}

/// The object version, unless a server of that enabler version assumes it anyway (core objects have their own table,
/// all others are 1.0). Firmware Update (5) is always stated unless 1.0, since the standard contradicts itself there.
pub(crate) fn stated_version(id: ObjectId, has: ObjectVersion, enabler: Version) -> Option<ObjectVersion> {
    let minor = match (id.get(), enabler) {
        (0 | 1, Version::V1_1) => 1,
        (0 | 1 | 3, Version::V1_2) => 2,
        (2, Version::V1_2) => 1,
        (4, Version::V1_2) => 3,
        _ => 0,
    };
    let assumed = match (id.get(), enabler) {
        // /3 and /4 changed between 1.1 and 1.1.1, which both say `1.1`: always stated.
        (3 | 4, Version::V1_1) => return Some(has),
        (21, Version::V1_2) => ObjectVersion::new(2, 0),
        _ => ObjectVersion::new(1, minor),
    };
    (has != assumed).then_some(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: DAT-10
    #[test]
    fn the_version_of_firmware_update_is_always_said_unless_1_0() {
        let said = |minor, enabler| {
            let id = ObjectId::FIRMWARE_UPDATE;
            stated_version(id, ObjectVersion::new(1, minor), enabler).map(|said| said.minor)
        };
        for enabler in [Version::V1_0, Version::V1_1, Version::V1_2] {
            assert_eq!(said(0, enabler), None, "{enabler}");
            assert_eq!(said(1, enabler), Some(1), "{enabler}");
            assert_eq!(said(2, enabler), Some(2), "{enabler}");
        }
    }
}
