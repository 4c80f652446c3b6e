//! Raw arguments to meaning: everything that is checked before the first datagram.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lightship_dtls::{self as dtls, Suite};
use lightship_lwm2m::endpoint::check_endpoint;
use lightship_lwm2m::{ObjectId, Version};
use lightship_net::client_driver::Target;
use lightship_net::fleet::{Fleet, Origin};

use super::mix::Mix;
use super::pattern::Pattern;
use crate::cli::LoadArguments;
use crate::failure::{Failure, chain};

/// What a load is, all of it legal.
pub(crate) struct Settings {
    pub(crate) server_text: String,
    pub(crate) server: SocketAddr,
    pub(crate) devices: u32,
    /// The number of the first device.
    pub(crate) first: u32,
    pub(crate) name: Pattern,
    pub(crate) duration: Duration,
    /// `None`: as fast as the closed loop goes.
    pub(crate) ramp: Option<Duration>,
    pub(crate) mix: Mix,
    pub(crate) outstanding: u32,
    /// Operations a second; `None`: closed loop.
    pub(crate) rate: Option<f64>,
    /// Of 2³² datagrams so many are lost.
    pub(crate) loss: u32,
    pub(crate) loss_percent: f64,
    pub(crate) lifetime_s: u32,
    pub(crate) version: Version,
    /// Objects and how many instances each has, ascending.
    pub(crate) objects: Vec<(ObjectId, u16)>,
    /// `Some`: devices sleep so long after their last message.
    pub(crate) awake: Option<Duration>,
    /// `Some`: devices speak DTLS.
    pub(crate) secure: Option<Secure>,
    pub(crate) threads: u16,
    pub(crate) origin: Origin,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_retransmit: u8,
    pub(crate) retry: Duration,
    pub(crate) stay: bool,
    pub(crate) ledger: Option<PathBuf>,
}

/// How devices prove who they are.
pub(crate) struct Secure {
    pub(crate) identity: Pattern,
    pub(crate) key: Pattern,
    pub(crate) config: dtls::Config,
}

impl Settings {
    /// Checks the arguments and looks the server up.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what makes no sense, [`Failure::Failed`] when the server's name leads nowhere.
    pub(crate) fn new(arguments: &LoadArguments) -> Result<Self, Failure> {
        let target = Target::parse(&arguments.server).map_err(|error| Failure::usage(chain(&error)))?;
        let server = target
            .resolve()
            .map_err(|error| Failure::failed(format_args!("{}: {error}", arguments.server)))?
            .ok_or_else(|| Failure::failed(format_args!("{}: the name leads nowhere", arguments.server)))?;
        let devices = arguments.devices;
        if devices == 0 || devices.checked_add(arguments.first).is_none() {
            return Err(Failure::usage("--devices: at least 1, and with --first at most 4294967295"));
        }
        let numbers = (arguments.first, arguments.first + (devices - 1));
        let version = arguments.lwm2m.parse().map_err(|_| {
            Failure::usage(format_args!("--lwm2m {:?} is none of 1.0, 1.1, 1.2", arguments.lwm2m))
        })?;
        let mix =
            Mix::parse(&arguments.mix).map_err(|error| Failure::usage(format_args!("--mix: {error}")))?;
        if mix.has(super::mix::Operation::Send) && version == Version::V1_0 {
            return Err(Failure::usage("--mix: LwM2M 1.0 has no Send; take --lwm2m 1.1, or leave send out"));
        }
        if arguments.outstanding == 0 {
            return Err(Failure::usage("--outstanding: at least 1"));
        }
        if arguments.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e8)) {
            return Err(Failure::usage("--rate: more than 0 and at most 100000000 a second"));
        }
        if arguments.ports == 0 {
            return Err(Failure::usage("--ports: at least 1"));
        }
        let objects = objects(&arguments.object)?;
        if super::content::links(&objects, version).len() > LINKS_LEN_MAX {
            return Err(Failure::usage("--object: the list is too long for one Register; fewer instances"));
        }
        let origin = Origin { local: local(arguments, server)?, ports: arguments.ports };
        let threads = threads(arguments)?;
        check_descriptors(server, origin, devices, threads)?;
        Ok(Self {
            server_text: format!("{}://{target}", if target.is_secured() { "coaps" } else { "coap" }),
            server,
            devices,
            first: arguments.first,
            name: name(&arguments.name, numbers)?,
            duration: span("--duration", &arguments.duration)?,
            ramp: arguments.ramp.as_deref().map(|text| span("--ramp", text)).transpose()?,
            mix,
            outstanding: arguments.outstanding,
            rate: arguments.rate,
            loss: loss(arguments.loss)?,
            loss_percent: arguments.loss,
            lifetime_s: arguments.lifetime,
            version,
            objects,
            awake: arguments.queue_mode.then(|| seconds("--awake", arguments.awake)).transpose()?,
            secure: secure(arguments, target.is_secured(), numbers)?,
            threads,
            origin,
            ack_timeout: seconds("--ack-timeout", arguments.ack_timeout)?,
            max_retransmit: arguments.max_retransmit,
            retry: seconds("--retry", arguments.retry)?,
            stay: arguments.stay,
            ledger: arguments.ledger.clone(),
        })
    }
}

fn threads(arguments: &LoadArguments) -> Result<u16, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(|| u16::try_from(cores / 2).unwrap_or(u16::MAX).max(1));
    match threads {
        0 => Err(Failure::usage("--threads: at least 1")),
        1..=THREADS_MAX => {
            let useful = arguments.devices.min(arguments.outstanding);
            Ok(u16::try_from(useful).unwrap_or(u16::MAX).min(threads))
        }
        _ => Err(Failure::usage(format_args!("--threads: at most {THREADS_MAX}"))),
    }
}

fn local(arguments: &LoadArguments, server: SocketAddr) -> Result<Option<IpAddr>, Failure> {
    let Some(text) = &arguments.local else { return Ok(None) };
    let address: IpAddr =
        text.parse().map_err(|_| Failure::usage(format_args!("--local {text:?} is no IP address")))?;
    if address.is_ipv4() != server.is_ipv4() {
        return Err(Failure::usage(format_args!("--local {address} cannot reach {server}: another family")));
    }
    Ok(Some(address))
}

/// A device with a socket of its own takes a descriptor and a port; too few of them show now, not in the middle.
fn check_descriptors(server: SocketAddr, origin: Origin, devices: u32, threads: u16) -> Result<(), Failure> {
    let wanted = u64::from(Fleet::descriptors(server, origin, devices));
    if wanted < u64::from(devices) {
        return Ok(());
    }
    if wanted > PORTS_MAX {
        return Err(Failure::usage(format_args!(
            "--devices: towards {server} each device takes a port, and there are at most {PORTS_MAX}; run further fleets from \
             other addresses (--local, --first)"
        )));
    }
    // Epoll, standard input, output and error, and what the libraries hold.
    let wanted = wanted + u64::from(threads) + 32;
    match lightship_net::fleet::allow_descriptors(wanted) {
        Some(limit) if limit < wanted => Err(Failure::usage(format_args!(
            "--devices: towards {server} each device takes a file descriptor, and the system allows {limit} (ulimit -n)"
        ))),
        _ => Ok(()),
    }
}

fn name(text: &str, (first, last): (u32, u32)) -> Result<Pattern, Failure> {
    let name = pattern("--name", text)?;
    if first != last && !name.tells_apart() {
        return Err(Failure::usage(format_args!(
            "--name {text:?} gives all devices the same name: put {{n}} into it"
        )));
    }
    for number in [first, last] {
        let name = name.of(number);
        check_endpoint(&name).map_err(|error| Failure::usage(format_args!("--name: {name:?}: {error}")))?;
        if name.len() > NAME_LEN_MAX {
            return Err(Failure::usage(format_args!("--name: {name:?} is longer than {NAME_LEN_MAX} bytes")));
        }
    }
    Ok(name)
}

fn pattern(flag: &str, text: &str) -> Result<Pattern, Failure> {
    Pattern::parse(text).map_err(|place| {
        Failure::usage(format_args!("{flag}: {place} is no place for a number: {{n}}, {{n:06}} or {{n:08x}}"))
    })
}

/// The credentials, if the URI says coaps or they are to be printed.
fn secure(
    arguments: &LoadArguments,
    secured: bool,
    (first, last): (u32, u32),
) -> Result<Option<Secure>, Failure> {
    let Some(key_text) = &arguments.psk_key else {
        return if secured {
            Err(Failure::usage("coaps needs --psk-key, such as '000102030405060708090a0b{n:08x}'"))
        } else if arguments.psk_identity.is_some() {
            Err(Failure::usage("--psk-identity needs --psk-key"))
        } else {
            Ok(None)
        };
    };
    if !secured && !arguments.print_credentials {
        return Err(Failure::usage("--psk-key is for a coaps:// server"));
    }
    let key = pattern("--psk-key", key_text)?;
    // All numbers between two of these have as many digits.
    let powers = (0..32).flat_map(|exponent| [10_u32, 16].map(|base| base.checked_pow(exponent))).flatten();
    let inner = powers.filter(|number| (first..=last).contains(number));
    for number in [first, last].into_iter().chain(inner) {
        let hex = key.of(number);
        if !matches!(bytes_of(&hex), Some(bytes) if (1..=64).contains(&bytes.len())) {
            return Err(Failure::usage(format_args!(
                "--psk-key: what it gives the device {number} is no key: an even number of hex digits, 1 to 64 bytes"
            )));
        }
    }
    let identity_text = arguments.psk_identity.as_ref().unwrap_or(&arguments.name);
    let identity = pattern("--psk-identity", identity_text)?;
    if first != last && !identity.tells_apart() {
        return Err(Failure::usage("--psk-identity gives all devices the same identity: put {n} into it"));
    }
    let ack_timeout = seconds("--ack-timeout", arguments.ack_timeout)?;
    let config = dtls::Config {
        suites: vec![Suite::PskAes128Ccm8],
        connection_id: !arguments.no_cid,
        return_routability: false,
        request_ticket: false,
        retransmit_first: ack_timeout,
        retransmit_count: arguments.max_retransmit,
        ..dtls::Config::default()
    };
    Ok(Some(Secure { identity, key, config }))
}

fn objects(texts: &[String]) -> Result<Vec<(ObjectId, u16)>, Failure> {
    let mut objects = Vec::new();
    for text in texts {
        let (id, count) = text.split_once('=').unwrap_or((text, "1"));
        let parsed = id.parse().ok().and_then(ObjectId::new).zip(count.parse().ok());
        let Some((id, count)) = parsed.filter(|(_, count)| (1..=INSTANCES_MAX).contains(count)) else {
            return Err(Failure::usage(format_args!(
                "--object {text:?} is neither ID nor ID=COUNT with 1 to {INSTANCES_MAX} instances"
            )));
        };
        objects.push((id, count));
    }
    if texts.is_empty() {
        objects.extend([1, 3, 3303].into_iter().filter_map(ObjectId::new).map(|id| (id, 1)));
    }
    objects.sort_unstable_by_key(|(id, _)| *id);
    if objects.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(Failure::usage("--object: one of them stands there twice"));
    }
    Ok(objects)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32 - 1")]
fn loss(percent: f64) -> Result<u32, Failure> {
    if !(0.0..100.0).contains(&percent) {
        return Err(Failure::usage("--loss: a percentage from 0 to below 100"));
    }
    Ok((percent / 100.0 * f64::from(u32::MAX)) as u32)
}

fn seconds(flag: &str, seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|span| (Duration::from_millis(1)..=SPAN_MAX).contains(span))
        .ok_or_else(|| Failure::usage(format_args!("{flag}: seconds, from 0.001 to {}", SPAN_MAX.as_secs())))
}

/// A span such as `90`, `90s`, `1.5m`, `250ms` or `1h`.
fn span(flag: &str, text: &str) -> Result<Duration, Failure> {
    let wrong = || {
        Failure::usage(format_args!("{flag} {text:?} is no time: a number with ms, s, m or h, such as 10s"))
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.strip_prefix(digits).unwrap_or_default() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * factor).ok().filter(|span| *span <= SPAN_MAX).ok_or_else(wrong)
}

/// The bytes that hex digits stand for.
pub(crate) fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// More do not help: the work is the kernel's.
const THREADS_MAX: u16 = 256;
/// Ports that one local address has for sockets of its own.
const PORTS_MAX: u64 = 60_000;
/// What a Register with its other parts leaves in one datagram.
const NAME_LEN_MAX: usize = 255;
/// Bytes of the list of objects, so that a Register fits into one datagram.
const LINKS_LEN_MAX: usize = 800;
/// Instances of one object.
const INSTANCES_MAX: u16 = 100;
/// The longest time that can be asked for: a year.
const SPAN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests;
