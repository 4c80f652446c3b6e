//! Listen: the sockets for devices, as the configuration wants them.

use std::net::SocketAddr;

use lightship_net::{
    Before, BootstrapOptions, BootstrapThread, Clock, Events, ListenError, Options, Shards, Steering,
};
use lightship_server as engine;
use lightship_server::bootstrap as bootstrap_engine;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::hand_over::HandOver;
use crate::start::{Listener, StartError};

/// The shards' threads. That the usual port of coaps is taken keeps nobody from serving on the other.
pub(crate) fn shards(
    config: &Config,
    security: engine::Security,
    clock: Clock,
    before: &HandOver,
) -> Result<(Shards, Events), StartError> {
    let mut options = options(config, security);
    loop {
        // An address that cannot be opened is found out before a shard goes on.
        let before = Before { frozen: before.frozen(), elapsed: before.elapsed, stored: true };
        match Shards::resume(&options, clock, before) {
            Err(error) if !config.listen.coaps_said && is_about(&error, &options.secure_addresses) => {
                leave_out("coaps", &error);
                options.secure_addresses.clear();
            }
            Err(error) => {
                let secure = is_about(&error, &options.secure_addresses);
                return Err(refused(if secure { "coaps" } else { "coap" }, error));
            }
            Ok(started) => return Ok(started),
        }
    }
}

/// The Bootstrap-Server's thread, if it is wanted. That a usual port is taken keeps nobody from serving on the others.
pub(crate) fn bootstrap(
    config: &Config,
    security: engine::Security,
    clock: Clock,
) -> Result<Option<(BootstrapThread, mpsc::Receiver<bootstrap_engine::Event>)>, StartError> {
    let engine = bootstrap_engine::Config {
        security: Some(security),
        packs: config.bootstrap.packs,
        tolerate_unknown_format: config.bootstrap.tolerate_unknown_format,
        coap: config.transmission.coap(),
        session_timeout: config.bootstrap.session_timeout,
        trace_bytes: config.trace.bytes / BOOTSTRAP_PART,
        ..bootstrap_engine::Config::default()
    };
    let mut options = BootstrapOptions {
        addresses: config.listen.bootstrap_coap.clone(),
        secure_addresses: config.listen.bootstrap_coaps.clone(),
        engine,
        events_len: EVENTS_LEN,
    };
    while !(options.addresses.is_empty() && options.secure_addresses.is_empty()) {
        match BootstrapThread::start(&options, clock) {
            Ok(started) => return Ok(Some(started)),
            Err(error) if is_about(&error, &options.secure_addresses) => {
                if config.listen.bootstrap_coaps_said {
                    return Err(refused("bootstrap-coaps", error));
                }
                leave_out("bootstrap-coaps", &error);
                options.secure_addresses.clear();
            }
            Err(error) if is_about(&error, &options.addresses) && !config.listen.bootstrap_coap_said => {
                leave_out("bootstrap-coap", &error);
                options.addresses.clear();
            }
            Err(error) => return Err(refused("bootstrap-coap", error)),
        }
    }
    Ok(None)
}

/// Every address that is listened on for devices.
pub(crate) fn listeners(shards: &Shards, bootstrap: Option<&BootstrapThread>) -> Vec<Listener> {
    let named = |name: &'static str, addresses: &[SocketAddr]| {
        let one = |address: &SocketAddr| Listener { name, transport: "udp", address: *address };
        addresses.iter().map(one).collect::<Vec<_>>()
    };
    [
        named("coap", shards.addresses()),
        named("coaps", shards.secure_addresses()),
        named("bootstrap-coap", bootstrap.map_or(&[], BootstrapThread::addresses)),
        named("bootstrap-coaps", bootstrap.map_or(&[], BootstrapThread::secure_addresses)),
    ]
    .concat()
}

fn options(config: &Config, security: engine::Security) -> Options {
    let limits = engine::Limits {
        registrations: config.limits.registrations_per_shard_max,
        body: config.limits.device_body_bytes_max,
        registers_a_minute_per_device: config.limits.registers_a_minute_per_device,
        registers_a_minute_per_address: config.limits.registers_a_minute_per_address,
        registers_a_minute_per_prefix: config.limits.registers_a_minute_per_network,
        ..engine::Limits::default()
    };
    Options {
        addresses: config.listen.coap.clone(),
        secure_addresses: config.listen.coaps.clone(),
        steering: Steering::default(),
        shards: config.listen.shards,
        engine: engine::Config {
            security: Some(security),
            registration_grace: config.registration.grace,
            rebinding: config.registration.rebinding,
            awake_window: config.queue.awake_window,
            coap: config.transmission.coap(),
            transmissions: config.transmission.devices.clone(),
            limits,
            trace_bytes: (config.trace.bytes - config.trace.bytes / BOOTSTRAP_PART)
                / usize::from(config.listen.shards.max(1)),
            ..engine::Config::default()
        },
        inbox_len: config.limits.inbox_len,
        events_len: EVENTS_LEN,
    }
}

fn is_about(error: &ListenError, addresses: &[SocketAddr]) -> bool {
    matches!(error, ListenError::Address { address, .. } if addresses.contains(address))
}

fn leave_out(name: &str, error: &ListenError) {
    tracing::warn!(%error, "no {name} listener: its usual port cannot be opened; choose another, or none");
}

fn refused(name: &'static str, error: ListenError) -> StartError {
    match error {
        ListenError::Address { address, source } => StartError::Listen { name, address, source },
        ListenError::System(source) => StartError::System(source),
        other => StartError::System(std::io::Error::other(other)),
    }
}

/// The Bootstrap-Server's part of the memory for the last messages.
const BOOTSTRAP_PART: usize = 8;
/// Events of all shards that may wait for the journal.
const EVENTS_LEN: usize = 4096;
