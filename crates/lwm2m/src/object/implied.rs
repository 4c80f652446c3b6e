//! The object version that is meant when nothing is said.

use crate::{ObjectId, ObjectVersion, Version};

/// The version of an object that a device of an LwM2M version has when it registers the object without `ver`.
///
/// Objects of the enabler itself follow the enabler's own table (Core TS 1.2.2, 7.2.2), all others are 1.0. Where releases that
/// register under one number differ (1.1 and 1.1.1) this is the highest of them, which has every resource of the others. The
/// standard contradicts itself about Firmware Update in 1.2; its table says 1.1.
#[must_use]
pub const fn implied_version(object: ObjectId, enabler: Version) -> ObjectVersion {
    let (major, minor) = match (object.get(), enabler) {
        (_, Version::V1_0) => (1, 0),
        (0 | 1 | 3, Version::V1_1) => (1, 1),
        (4, Version::V1_1) => (1, 2),
        (0 | 1 | 3, Version::V1_2) => (1, 2),
        (2, Version::V1_2) => (1, 1),
        (4, Version::V1_2) => (1, 3),
        (5, Version::V1_2) => (1, 1),
        (21, Version::V1_2) => (2, 0),
        _ => (1, 0),
    };
    ObjectVersion::new(major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_objects_follow_the_enabler_and_others_are_1_0() {
        let implied = |object: u16, enabler| implied_version(ObjectId::new(object).expect("an ID"), enabler);
        assert_eq!(implied(3, Version::V1_0), ObjectVersion::V1_0);
        assert_eq!(implied(3, Version::V1_1), ObjectVersion::new(1, 1));
        assert_eq!(implied(3, Version::V1_2), ObjectVersion::new(1, 2));
        assert_eq!(implied(21, Version::V1_2), ObjectVersion::new(2, 0));
        assert_eq!(implied(5, Version::V1_2), ObjectVersion::new(1, 1));
        assert_eq!(implied(3303, Version::V1_2), ObjectVersion::V1_0);
    }

    #[test]
    fn the_registry_has_every_implied_version() {
        for enabler in [Version::V1_0, Version::V1_1, Version::V1_2] {
            for object in crate::object::objects()
                .map(|definition| definition.id)
                .filter(|id| id.get() < 8 || id.get() == 21)
            {
                let version = implied_version(object, enabler);
                let known = crate::object::lookup(object, version).is_some();
                assert!(known, "{object} {version}");
            }
        }
    }
}
