//! Objects that most devices have, ready to be used.

use crate::object::{Arguments, Array, Refusal, Text};

/// Device (3) as most firmware needs it. Wrap it in [`Single`](crate::Single).
///
/// Executing Reboot (`/3/0/4`) is answered 2.04 and reported as [`Event::Executed`](crate::Event::Executed); the host
/// reboots once the answer is out.
#[derive(Debug, Clone, crate::Object)]
#[lwm2m(object = 3, execute(4 = Self::reboot, 12 = Self::reset_errors))]
pub struct Device {
    /// Manufacturer.
    #[resource(0)]
    pub manufacturer: &'static str,
    /// Model Number.
    #[resource(1)]
    pub model: &'static str,
    /// Serial Number.
    #[resource(2)]
    pub serial: Option<Text<32>>,
    /// Firmware Version.
    #[resource(3)]
    pub firmware: &'static str,
    /// Battery Level in percent.
    #[resource(9)]
    pub battery: Option<u8>,
    /// Error Code: 0 alone means no error.
    #[resource(11)]
    pub errors: Array<u8, 8>,
    /// UTC Offset, such as `+01:00`.
    #[resource(14)]
    pub utc_offset: Option<Text<6>>,
    /// Timezone, such as `Europe/Berlin`.
    #[resource(15)]
    pub timezone: Option<Text<32>>,
    /// Supported Binding and Modes.
    #[resource(16)]
    pub binding: &'static str,
}

impl Device {
    /// A device without battery, errors and time zone, bound to UDP.
    pub fn new(manufacturer: &'static str, model: &'static str, firmware: &'static str) -> Self {
        let mut errors = Array::new();
        let _ = errors.insert(FIRST, 0);
        Device {
            manufacturer,
            model,
            serial: None,
            firmware,
            battery: None,
            errors,
            utc_offset: None,
            timezone: None,
            binding: "U",
        }
    }

    fn reboot(&mut self, _: Arguments<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn reset_errors(&mut self, _: Arguments<'_>) -> Result<(), Refusal> {
        self.errors.clear();
        let _ = self.errors.insert(FIRST, 0);
        Ok(())
    }
}

const FIRST: crate::ResourceInstanceId = match crate::ResourceInstanceId::new(0) {
    Some(id) => id,
    None => panic!("0 is an identifier"),
};
