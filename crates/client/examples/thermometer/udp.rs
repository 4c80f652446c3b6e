//! A plain loop around the engine: one socket, the system's clock, a sensor read once a second.

#![allow(
    clippy::disallowed_methods,
    reason = "somebody has to read the clock; here it is the example's loop"
)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use lightship_client::{Account, Client, Config, FixedBuffer, Instant, Objects, SeededRng};

/// Registers at the server named on the command line (or in the account) and serves it for ever.
pub(crate) fn run<O: Objects>(
    config: Config,
    account: Account,
    objects: O,
    mut measure: impl FnMut(&mut O, Duration),
) -> io::Result<()> {
    let uri = account.uri.as_str().trim_start_matches("coap://").to_owned();
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(std::env::args().nth(1).unwrap_or(uri))?;
    let started = std::time::Instant::now();
    let now = || Instant::ZERO + started.elapsed();
    let mut client = Client::<O, FixedBuffer<4096>>::new(config, objects, &mut seed());
    let Ok(id) = client.add_account(account) else { return Err(ErrorKind::InvalidInput.into()) };
    client.register(now(), id);
    let mut buffer = [0; 1280];
    loop {
        measure(client.objects_mut(), started.elapsed());
        let next_measurement = now() + Duration::from_secs(1);
        while now() < next_measurement {
            client.handle_timeout(now());
            while let Some(transmit) = client.poll_transmit(&mut buffer) {
                // A datagram that cannot be sent is a datagram that is lost: CoAP repeats it.
                let _ = socket.send(&buffer[..transmit.len]);
            }
            while let Some(event) = client.poll_event() {
                println!("{event:?}");
            }
            let until = client.poll_timeout().map_or(next_measurement, |at| at.min(next_measurement));
            let wait = until.saturating_duration_since(now()).max(Duration::from_millis(1));
            socket.set_read_timeout(Some(wait))?;
            match socket.recv(&mut buffer) {
                Ok(len) => client.handle_input(now(), id, &mut buffer[..len]),
                // Nothing came in time, or nobody listens there just now.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused | ErrorKind::Interrupted
    )
}

/// Randomness from the operating system, by way of the standard library's hash keys.
fn seed() -> SeededRng {
    let mut seed = [0; 32];
    for part in seed.chunks_mut(8) {
        part.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    SeededRng::new(seed)
}
