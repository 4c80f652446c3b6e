//! `lightship demo`: a server, the web UI and three simulated devices in one process, over real sockets on loopback, with
//! a store in a temporary folder that goes when it ends.

use crate::cli::DemoArguments;
use crate::decode::hex;
use crate::device::{Device, Settings};
use crate::failure::Failure;
use crate::{output, serve};
use lightship_api::bootstrap::{BootstrapAccount, BootstrapDocument, BootstrapTemplate};
use lightship_api::client::{Client, CredentialSet, DownlinkOptions};
use lightship_api::{AttributesBody, Credential};
use lightship_client::QueueMode;
use lightship_service::config::{OneOrMany, RawListen, RawQueue, RawSecurity, RawStore};
use lightship_service::{Config, RawConfig, Running, Service};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// Registration lifetime of the demo's devices in seconds: short, so that the feed of events moves.
const LIFETIME_S: u32 = 60;
/// How long the meter listens after each message, which the server knows, and how often it wakes, in seconds.
const AWAKE_S: u64 = 10;
const WAKE_EVERY_S: u64 = 40;
/// Registration lifetime of the meter in seconds: it keeps its registration alive when it wakes anyway.
const SLEEPER_LIFETIME_S: u32 = 300;
/// Seconds between two reports of the meter at least: more than it listens, less than it sleeps.
const PMIN_S: u32 = 30;
/// How long the devices may take to register before `ready`.
const REGISTER_MAX: Duration = Duration::from_secs(10);

/// One of the demo's devices.
struct Part {
    endpoint: &'static str,
    /// Objects and their instances, besides Security and Server.
    objects: &'static [(u16, u16)],
    /// What the demo observes from the start.
    observed: &'static [&'static str],
    /// Whether it is in Queue Mode.
    sleeps: bool,
    /// Whether it comes over DTLS, with a key that is made anew for each demo.
    secured: bool,
}

const PARTS: [Part; 3] = [
    // Reports by itself.
    Part {
        endpoint: "demo-sensor",
        objects: &[(3, 1), (4, 1), (6, 1), (3303, 2), (3304, 1), (3442, 1)],
        observed: &["/3303/0/5700", "/3304/0/5700"],
        sleeps: false,
        secured: false,
    },
    // Says what it counted when it wakes.
    Part {
        endpoint: "demo-meter",
        objects: &[(3, 1), (4, 1), (7, 1), (3316, 1), (3317, 1), (3331, 1)],
        observed: &["/3331/0/5700"],
        sleeps: true,
        secured: false,
    },
    // Takes a firmware image, which the other two do not, and has a key.
    Part {
        endpoint: "demo-updatable",
        objects: &[(3, 1), (4, 1), (5, 1), (3303, 1)],
        observed: &["/5/0/3"],
        sleeps: false,
        secured: true,
    },
];

/// Runs the command.
pub(crate) fn run(arguments: &DemoArguments) -> Result<(), Failure> {
    // From before there is a folder: a signal must not leave it behind.
    let told_to_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&told_to_end))
            .map_err(|error| Failure::failed(format_args!("signals cannot be caught: {error}")))?;
    }
    let folder =
        temporary().map_err(|error| Failure::failed(format_args!("no temporary folder: {error}")))?;
    let result = live(arguments, folder.path(), &told_to_end);
    let place = folder.path().display().to_string();
    let removed = folder.close().map_err(|error| {
        Failure::failed(format_args!("the temporary folder {place} cannot be removed: {error}"))
    });
    result.and(removed)
}

/// A folder that nobody else may look into: there are keys in it.
fn temporary() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.prefix("lightship-demo-").tempdir()
}

/// From start to end, with that folder for what is kept.
fn live(arguments: &DemoArguments, folder: &Path, told_to_end: &AtomicBool) -> Result<(), Failure> {
    let running = Service::start(config(arguments, folder)?).map_err(|error| {
        let Failure::Failed(message) = serve::start_failure(&error) else { return serve::start_failure(&error) };
        Failure::failed(format_args!(
            "{message}\nAnother program may use that port. Choose others with --coap, --coaps, --bootstrap-coap, --bootstrap-coaps and --http, or --free-ports."
        ))
    })?;
    let result = play(&running, told_to_end);
    running.stop();
    result
}

fn config(arguments: &DemoArguments, folder: &Path) -> Result<Config, Failure> {
    let address = |text: &str| -> Result<OneOrMany, Failure> {
        let mut address: SocketAddr = text
            .parse()
            .map_err(|_| Failure::usage(format_args!("{text:?} is no address such as 127.0.0.1:5683")))?;
        if arguments.free_ports {
            address.set_port(0);
        }
        Ok(OneOrMany::one(&address.to_string()))
    };
    let listen = RawListen {
        coap: Some(address(&arguments.coap)?),
        http: Some(address(&arguments.http)?),
        bootstrap_coap: Some(address(&arguments.bootstrap_coap)?),
        coaps: Some(address(&arguments.coaps)?),
        bootstrap_coaps: Some(address(&arguments.bootstrap_coaps)?),
        shards: Some(1),
    };
    let queue = RawQueue { awake_window_s: Some(AWAKE_S) };
    // Nobody comes after this process.
    let security = RawSecurity { hand_over_s: Some(0), ..RawSecurity::default() };
    let store = RawStore { folder: Some(folder.to_owned()), ..RawStore::default() };
    let raw = RawConfig { dev: Some(true), listen, queue, security, store, ..RawConfig::default() };
    Config::from_raw(raw).map_err(|error| Failure::usage(crate::failure::chain(&error)))
}

/// Devices join, the user plays, devices leave.
fn play(running: &Running, told_to_end: &AtomicBool) -> Result<(), Failure> {
    let signals = running.catch_signals();
    // One that came before nobody else has seen.
    if told_to_end.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (Some(coap), Some(coaps), Some(http)) = (running.coap(), running.coaps(), running.http()) else {
        return Err(Failure::usage("the demo needs addresses for CoAP, CoAPs and HTTP"));
    };
    let (stop, stopped) = watch::channel(false);
    let (registered, arrivals) = sync_channel(PARTS.len());
    let mut devices = Vec::new();
    for part in &PARTS {
        let lifetime_s = if part.sleeps { SLEEPER_LIFETIME_S } else { LIFETIME_S };
        let mut settings = if part.secured {
            let key_hex = make_key(http, part.endpoint)?;
            Settings::with_key(part.endpoint, &format!("coaps://{coaps}"), lifetime_s, &key_hex)?
        } else {
            Settings::new(part.endpoint, &format!("coap://{coap}"), lifetime_s)?
        };
        settings.config.queue_mode = part.sleeps.then(|| QueueMode {
            awake: Duration::from_secs(AWAKE_S),
            wake_every: Some(Duration::from_secs(WAKE_EVERY_S)),
        });
        devices.push(start_device(part, settings, registered.clone(), stopped.clone())?);
    }
    drop(registered);
    let told = await_devices(&arrivals).and_then(|()| {
        observe(http)?;
        welcome(http, coap)?;
        serve::tell_ready(running)?;
        tell_the_way(http)
    });
    if told.is_ok() {
        signals.wait();
    }
    let _ = stop.send(true);
    for device in devices {
        let _ = device.join();
    }
    told
}

/// Makes a key for a device, and has it kept.
fn make_key(http: SocketAddr, endpoint: &str) -> Result<String, Failure> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| Failure::failed(format_args!("no randomness: {error}")))?;
    let key_hex = hex::print(&key);
    let credential = Credential::psk(endpoint, &key_hex);
    let kept = Client::new(&format!("http://{http}"), None).put_credential(
        CredentialSet::Server,
        endpoint,
        &credential,
    );
    kept.map_err(|error| Failure::failed(crate::failure::chain(&error)))?;
    Ok(key_hex)
}

fn start_device(
    part: &'static Part,
    settings: Settings,
    registered: SyncSender<()>,
    mut stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name(part.endpoint.to_owned());
    let life = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let device = Device::with_objects(settings, part.objects);
        let (Ok(runtime), Ok(mut device)) = (runtime, device) else {
            tracing::error!(endpoint = part.endpoint, "a device of the demo cannot start");
            return;
        };
        runtime.block_on(async move {
            device.start();
            loop {
                let line = tokio::select! {
                    line = device.next() => line,
                    _ = stopped.changed() => break,
                };
                tracing::debug!(endpoint = part.endpoint, "{line}");
                if line.starts_with("event registered") {
                    let _ = registered.try_send(());
                }
            }
            let _ = device.farewell(|_| Ok(())).await;
        });
    };
    thread.spawn(life).map_err(|error| Failure::failed(format_args!("no thread for a device: {error}")))
}

fn await_devices(arrivals: &Receiver<()>) -> Result<(), Failure> {
    for _ in &PARTS {
        arrivals
            .recv_timeout(REGISTER_MAX)
            .map_err(|_| Failure::failed("the simulated devices do not register; see --log debug"))?;
    }
    Ok(())
}

/// Whoever bootstraps at the demo is told to register with it.
fn welcome(http: SocketAddr, coap: SocketAddr) -> Result<(), Failure> {
    let account = BootstrapAccount::nosec(1, format!("coap://{coap}"));
    let server = BootstrapAccount { lifetime_s: LIFETIME_S, ..account };
    let document = BootstrapDocument { servers: vec![server], ..BootstrapDocument::default() };
    let template = BootstrapTemplate { name: None, pattern: "*".to_owned(), document };
    let kept = Client::new(&format!("http://{http}"), None).put_bootstrap_template("demo", &template);
    kept.map(drop).map_err(|error| Failure::failed(crate::failure::chain(&error)))
}

/// Observes what moves, so that the feed of events and the pages live.
fn observe(http: SocketAddr) -> Result<(), Failure> {
    let client = Client::new(&format!("http://{http}"), None);
    for part in &PARTS {
        for path in part.observed {
            // A device that told each change would never fall asleep.
            let pmin = part.sleeps.then(|| ("pmin".to_owned(), Some(PMIN_S.into())));
            let attributes = AttributesBody { attributes: pmin.into_iter().collect() };
            client
                .observe(part.endpoint, path, &attributes, &DownlinkOptions::default())
                .map_err(|error| Failure::failed(crate::failure::chain(&error)))?;
        }
    }
    Ok(())
}

fn tell_the_way(http: SocketAddr) -> Result<(), Failure> {
    output::line(&format!(
        "\nThree simulated devices are registered. See them at  http://{http}/\n\
         or read a value:  curl http://{http}/api/v1/endpoints/{}/resources/3303/0/5700\n\
         {} sleeps most of the time and wakes every {WAKE_EVERY_S} seconds; {} comes over DTLS.\n\
         Ctrl-C ends the demo.",
        PARTS[0].endpoint, PARTS[1].endpoint, PARTS[2].endpoint
    ))
}
