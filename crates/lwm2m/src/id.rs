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

impl ShortServerId {
    /// The smallest, 1: what a device with one server calls it.
    pub const MIN: Self = Self(1);
}

impl ObjectInstanceId {
    /// The only instance of a single-instance object.
    pub const ZERO: Self = Self(0);
}
