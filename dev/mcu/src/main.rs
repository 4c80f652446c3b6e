//! A firmware with the smallest useful client: Security (0), Server (1), Device (3) and one sensor, CoAP over UDP.
//!
//! It measures what the client costs on a Cortex-M4; radio, clock and sensor are reads and writes the compiler cannot
//! see through. `cargo xtask no-std` builds it and prints the sizes: once plain, and once with the feature `secured`, which
//! adds DTLS with a pre-shared key (TLS_PSK_WITH_AES_128_CCM_8) and a connection ID.

#![no_std]
#![no_main]

#[cfg(feature = "secured")]
mod secured;

use core::hint::black_box;

use lightship_client::objects::Device;
use lightship_client::{
    Account, AccountId, Client, Config, FixedBuffer, Instant, Multiple, Object, Rng, ShortServerId, Single,
};

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303)]
struct Temperature {
    #[resource(5700)]
    value: f32,
    #[resource(5701)]
    unit: Option<&'static str>,
}

type Objects = (Single<Device>, Multiple<Temperature, 1>);
/// One server, four observations, 1536 bytes of CoAP buffer, answers of at most 640 bytes.
type Thermometer = Client<Objects, FixedBuffer<1536>, 1, 4, 640>;

/// Room for a datagram: what CoAP needs, and what DTLS puts around it.
const DATAGRAM_LEN_MAX: usize = if cfg!(feature = "secured") { 1232 } else { 1152 };

/// The processor's random number generator.
struct Hardware;

impl Rng for Hardware {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = black_box(4));
    }
}

/// An `Option` whose `None` is all zeros, so that it costs no flash.
#[repr(u8)]
enum Place {
    Empty,
    Taken(Thermometer),
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // The entry macro hands these out as exclusive references.
    static mut CLIENT: Place = Place::Empty;
    static mut BUFFER: [u8; DATAGRAM_LEN_MAX] = [0; DATAGRAM_LEN_MAX];
    let sensor = Temperature { unit: Some("Cel"), ..Temperature::default() };
    let objects = (Single::new(Device::new("acme", "thermo-1", "1.0")), Multiple::new().with(0, sensor));
    let config = Config::new("urn:dev:os:0023C7-000001");
    *CLIENT = Place::Taken(Client::new(config, objects, &mut Hardware));
    if let Place::Taken(client) = CLIENT
        && let account = account(client)
        && let Ok(id) = client.add_account(account)
    {
        client.register(clock(), id);
        loop {
            round(client, id, BUFFER);
        }
    }
    loop {
        black_box(());
    }
}

#[cfg(not(feature = "secured"))]
fn account(_: &mut Thermometer) -> Account {
    Account::new(ShortServerId::MIN, "coap://192.0.2.1")
}

#[cfg(feature = "secured")]
fn account(client: &mut Thermometer) -> Account {
    secured::prepare(client);
    secured::account(Account::new(ShortServerId::MIN, "coaps://192.0.2.1"))
}

/// One turn of the firmware's loop.
fn round(client: &mut Thermometer, id: AccountId, buffer: &mut [u8]) {
    if let Some(sensor) = client.objects_mut().1.get_mut(0) {
        sensor.value = black_box(21.5);
    }
    client.handle_timeout(clock());
    while let Some(transmit) = client.poll_transmit(buffer) {
        black_box(buffer.get(..transmit.len));
    }
    while let Some(event) = client.poll_event() {
        black_box(event);
    }
    black_box(client.poll_timeout());
    let received = black_box(buffer.len());
    if let Some(datagram) = black_box(&mut *buffer).get_mut(..received) {
        client.handle_input(clock(), id, datagram);
    }
}

#[inline(never)]
fn clock() -> Instant {
    Instant::from_millis(black_box(0))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        black_box(());
    }
}
