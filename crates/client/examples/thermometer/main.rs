//! A thermometer: one sensor object, wired to one LwM2M Server over UDP.
//!
//! `cargo run -p lightship-client --example thermometer -- 127.0.0.1:5683`
//!
//! The lines between the marks are all that is particular to this device; `udp.rs` is the same for every one.

mod udp;

// begin
use lightship_client::objects::Device;
use lightship_client::{Account, Arguments, Config, Multiple, Object, Refusal, ShortServerId, Single};

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, execute(5605 = Self::reset))]
struct Temperature {
    #[resource(5700)]
    value: f32,
    #[resource(5601)]
    lowest: Option<f32>,
    #[resource(5701)]
    unit: Option<&'static str>,
}

impl Temperature {
    fn reset(&mut self, _: Arguments<'_>) -> Result<(), Refusal> {
        self.lowest = Some(self.value);
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let sensor = Temperature { unit: Some("Cel"), ..Temperature::default() };
    let objects =
        (Single::new(Device::new("acme", "thermo-1", "1.0")), Multiple::<_, 1>::new().with(0, sensor));
    let account = Account::new(ShortServerId::MIN, "coap://127.0.0.1:5683").lifetime(60);
    udp::run(Config::new("urn:dev:os:0023C7-000001"), account, objects, |(_, sensors), at| {
        let Some(sensor) = sensors.get_mut(0) else { return };
        sensor.value = 21.0 + (at.as_secs_f32() / 10.0).sin();
        sensor.lowest = Some(sensor.lowest.unwrap_or(sensor.value).min(sensor.value));
    })
}
// end
