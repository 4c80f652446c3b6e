//! A device with the objects of the test specification.
#![expect(unreachable_pub, reason = "shared by test files")]
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

use lightship_client::{Array, Multiple, Object, Refusal, ResourceInstanceId, Single, Text};
use lightship_lwm2m::Version;
pub use lightship_sim::case::{boolean, integer, path, text};

/// Device, as the test specification wants it.
#[derive(Object, Clone)]
#[lwm2m(object = 3, version = "1.1", execute(4 = Self::reboot))]
pub struct Device {
    #[resource(0)]
    manufacturer: &'static str,
    #[resource(1)]
    model: &'static str,
    #[resource(2)]
    serial: &'static str,
    #[resource(3)]
    firmware: &'static str,
    #[resource(6)]
    sources: Array<i64, 2>,
    #[resource(7)]
    voltage: Array<i64, 2>,
    #[resource(8)]
    current: Array<i64, 2>,
    #[resource(11)]
    error: Array<i64, 4>,
    #[resource(13)]
    time: i64,
    #[resource(16)]
    binding: &'static str,
}

impl Device {
    fn reboot(&mut self, _: lightship_client::Arguments<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// What is measured goes up a little.
    pub fn drift(&mut self) {
        for measured in [&mut self.voltage, &mut self.current] {
            for (id, value) in measured.clone().iter() {
                let _ = measured.insert(id, value + 1);
            }
        }
    }
}

/// Portfolio.
#[derive(Object, Clone, Default)]
#[lwm2m(object = 16, version = "1.0")]
pub struct Portfolio {
    #[resource(0)]
    identity: Array<Text<32>, 4>,
}

pub type Objects = (Single<Device>, Multiple<Portfolio, 4>);

pub type World = lightship_sim::case::World<Objects>;

fn array<T: lightship_client::Scalar, const N: usize>(values: impl IntoIterator<Item = T>) -> Array<T, N> {
    let mut array = Array::new();
    for (id, value) in (0..).zip(values) {
        let id = ResourceInstanceId::new(id).expect("legal");
        assert!(array.insert(id, value).is_ok(), "it fits");
    }
    array
}

/// The objects, with the values of the test specification.
pub fn objects() -> Objects {
    let device = Device {
        manufacturer: "Lightship",
        model: "Model 500",
        serial: "LT-500",
        firmware: "1.0",
        sources: array([1, 5]),
        voltage: array([3800, 5000]),
        current: array([125, 900]),
        error: array([0]),
        time: 1_000_000_000,
        binding: "U",
    };
    let identity = array(["host", "maker", "model", "1.0"].map(Text::new));
    let portfolio = Multiple::new().creatable(Portfolio::default).with(0, Portfolio { identity });
    (Single::new(device), portfolio)
}

/// Registered, as a device of LwM2M 1.1.
pub fn world() -> World {
    World::with(Version::V1_1, objects(), |_| {})
}

/// Registered, as a device of LwM2M 1.0.
pub fn world_1_0() -> World {
    World::with(Version::V1_0, objects(), |_| {})
}

/// Registered, as a device of LwM2M 1.2.
pub fn world_1_2() -> World {
    World::with(Version::V1_2, objects(), |_| {})
}
