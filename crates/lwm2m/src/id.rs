//! Numeric identifiers. Core TS 1.2, section 6.1 and 7.3: 16 bits each, 65535 reserved.

use core::fmt;

/// The number that names nothing: no object, instance, resource or server has it.
pub const MAX_ID: u16 = u16::MAX;

/// The error of a number that is no identifier (65535; for short server IDs also 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number is reserved and names nothing")
    }
}

impl core::error::Error for InvalidId {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $reserved:pat) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// Makes the identifier, or `None` for a reserved number.
            #[must_use]
            pub const fn new(number: u16) -> Option<Self> {
                if matches!(number, $reserved) { None } else { Some(Self(number)) }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u16 {
                self.0
            }
        }

        impl TryFrom<u16> for $name {
            type Error = InvalidId;

            fn try_from(number: u16) -> Result<Self, InvalidId> {
                Self::new(number).ok_or(InvalidId)
            }
        }

        impl From<$name> for u16 {
            fn from(id: $name) -> u16 {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

identifier! {
    /// An Object ID, 0 to 65534.
    ObjectId, MAX_ID
}
identifier! {
    /// An Object Instance ID, 0 to 65534.
    ObjectInstanceId, MAX_ID
}
identifier! {
    /// A Resource ID, 0 to 65534.
    ResourceId, MAX_ID
}
identifier! {
    /// A Resource Instance ID, 0 to 65534.
    ResourceInstanceId, MAX_ID
}
identifier! {
    /// A Short Server ID, 1 to 65534: how a device names its servers (`/0/x/10` = `/1/y/0`).
    ShortServerId, 0 | MAX_ID
}

impl ObjectId {
    /// LwM2M Security, 0. Never shown to a server.
    pub const SECURITY: Self = Self(0);
    /// LwM2M Server, 1.
    pub const SERVER: Self = Self(1);
    /// LwM2M Access Control, 2.
    pub const ACCESS_CONTROL: Self = Self(2);
    /// Device, 3.
    pub const DEVICE: Self = Self(3);
    /// Connectivity Monitoring, 4.
    pub const CONNECTIVITY_MONITORING: Self = Self(4);
    /// Firmware Update, 5.
    pub const FIRMWARE_UPDATE: Self = Self(5);
    /// LwM2M OSCORE, 21. Never shown to a server.
    pub const OSCORE: Self = Self(21);
    /// LwM2M COSE, 23. Never shown to a server.
    pub const COSE: Self = Self(23);

    /// Whether device-management servers never see the object: 0, 21 and 23 (Core TS 1.2.1).
    #[must_use]
    pub const fn is_hidden(self) -> bool {
        matches!(self.0, 0 | 21 | 23)
    }
}

/// Who may define the objects of a range of numbers (OMNA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectClass {
    /// OMA SpecWorks: 0 to 1023.
    Oma,
    /// Nobody: 1024 to 2047 and 42801 to 65534.
    Reserved,
    /// Other standards bodies: 2048 to 10240.
    External,
    /// Vendors, one by one: 10241 to 32768.
    Vendor,
    /// Companies, by the block: 32769 to 42768.
    Bulk,
    /// Anybody for tests, in no product: 42769 to 42800.
    Test,
}

impl fmt::Display for ObjectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oma => "OMA",
            Self::Reserved => "reserved",
            Self::External => "another standards body",
            Self::Vendor => "a vendor",
            Self::Bulk => "a company",
            Self::Test => "tests",
        })
    }
}

impl ObjectId {
    /// Who may define the object.
    #[must_use]
    pub const fn class(self) -> ObjectClass {
        match self.0 {
            0..=1023 => ObjectClass::Oma,
            2048..=10_240 => ObjectClass::External,
            10_241..=32_768 => ObjectClass::Vendor,
            32_769..=42_768 => ObjectClass::Bulk,
            42_769..=42_800 => ObjectClass::Test,
            1024..=2047 | 42_801.. => ObjectClass::Reserved,
        }
    }
}

impl ResourceId {
    /// Whether a vendor may put the resource into any object of others: 26241 to 32768.
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self.0, 26_241..=32_768)
    }

    /// Whether the resource means the same in every object: 2048 to 26240.
    #[must_use]
    pub const fn is_reusable(self) -> bool {
        matches!(self.0, 2048..=26_240)
    }
}

impl ShortServerId {
    /// The smallest, 1: what a device with one server calls it.
    pub const MIN: Self = Self(1);
}

impl ObjectInstanceId {
    /// The only instance of a single-instance object.
    pub const ZERO: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: DAT-04
    #[test]
    fn every_number_has_its_class_and_65535_names_nothing() {
        let class = |number| ObjectId::new(number).map(ObjectId::class);
        for (first, last, expected) in [
            (0, 1023, ObjectClass::Oma),
            (1024, 2047, ObjectClass::Reserved),
            (2048, 10_240, ObjectClass::External),
            (10_241, 32_768, ObjectClass::Vendor),
            (32_769, 42_768, ObjectClass::Bulk),
            (42_769, 42_800, ObjectClass::Test),
            (42_801, 65_534, ObjectClass::Reserved),
        ] {
            assert_eq!((class(first), class(last)), (Some(expected), Some(expected)), "{first}..{last}");
        }
        assert_eq!(class(65_535), None);
        assert_eq!(ObjectInstanceId::new(65_535), None);
        assert_eq!(ResourceInstanceId::new(65_535), None);
        let resource = |number| ResourceId::new(number).map(|id| (id.is_reusable(), id.is_private()));
        for (number, classes) in [
            (0, (false, false)),
            (2047, (false, false)),
            (2048, (true, false)),
            (26_240, (true, false)),
            (26_241, (false, true)),
            (32_768, (false, true)),
            (32_769, (false, false)),
        ] {
            assert_eq!(resource(number), Some(classes), "{number}");
        }
        assert_eq!(resource(65_535), None);
        let server = |number| ShortServerId::new(number).is_some();
        assert_eq!([0, 1, 65_534, 65_535].map(server), [false, true, true, false]);
    }
}
