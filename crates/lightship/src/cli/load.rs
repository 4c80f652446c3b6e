//! `lightship load`.

use clap::Args;
use std::path::PathBuf;

/// Put an LwM2M server under load with simulated devices, and measure how it answers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship load --devices 1000\n  lightship load --server coap://127.0.0.1:5683 --devices 100000 --rate 5000 --duration 1m\n  lightship load --devices 200 --mix update=6,send=3,notify=1 --loss 10 --json\n  lightship load --server coaps://127.0.0.1:5684 --psk-key '000102030405060708090a0b{n:08x}' --devices 5000\n  lightship load --devices 3 --psk-key '000102030405060708090a0b{n:08x}' --print-credentials\n\n\
First all devices register (in --ramp, or as fast as --outstanding allows), then they do what --mix says for --duration, then\nthey de-register. Closed loop (the default): each answer starts the next operation, --outstanding are under way at any time.\nOpen loop (--rate): operations start at set times whatever the server does, and latencies count from those times, so that a\nserver that stalls cannot hide it.\n\n\
Operations of --mix:\n  update     an Update that changes nothing          change     an Update with a new lifetime\n  send       a Send of one value                     rejoin     a De-register, and a Register after it\n  notify     a confirmable notification              report     a non-confirmable notification\n  register   another Register of a registered device\n`notify` and `report` need devices that the server observes. Throughout, devices answer Read, Observe, Discover, Write, Execute\nand the composite operations.\n\n\
In patterns {n:06} is the device's number with leading zeroes, {n:08x} the same in hexadecimal; without the colon and what\nis behind it, as in the default of --name, it is the number alone."
)]
pub(crate) struct LoadArguments {
    /// The server, as coap://HOST:PORT or coaps://HOST:PORT; the port may be left out
    #[arg(long, value_name = "URI", default_value = "coap://127.0.0.1:5683")]
    pub(crate) server: String,

    /// How many devices to simulate
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) devices: u32,

    /// The number of the first device, so that several fleets do not collide
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first: u32,

    /// The Endpoint Client Names, a pattern
    #[arg(long, value_name = "PATTERN", default_value = "load-{n}")]
    pub(crate) name: String,

    /// How long to do what --mix says, once all devices are registered; 0 to only register
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) duration: String,

    /// Spread the registrations over this time (default: as fast as --outstanding allows)
    #[arg(long, value_name = "TIME")]
    pub(crate) ramp: Option<String>,

    /// What devices do, as OPERATION=WEIGHT,…
    #[arg(long, value_name = "MIX", default_value = "update=8,send=2")]
    pub(crate) mix: String,

    /// Closed loop: how many operations are under way at any time
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) outstanding: u32,

    /// Open loop: how many operations start in each second
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,

    /// Drop this percentage of the datagrams on purpose, in both directions
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub(crate) loss: f64,

    /// Registration lifetime in seconds
    #[arg(long, value_name = "S", default_value_t = 86_400)]
    pub(crate) lifetime: u32,

    /// The LwM2M version that devices register with: 1.0, 1.1 or 1.2
    #[arg(long, value_name = "VERSION", default_value = "1.1")]
    pub(crate) lwm2m: String,

    /// An object of every device, as ID or ID=COUNT instances (repeatable; default: 1, 3 and 3303)
    #[arg(long, value_name = "ID[=COUNT]")]
    pub(crate) object: Vec<String>,

    /// Devices sleep (LwM2M Queue Mode): what comes --awake seconds after their last message or later is lost, unless they wait
    /// for an answer
    #[arg(long)]
    pub(crate) queue_mode: bool,

    /// In Queue Mode: seconds to listen after each message
    #[arg(long, value_name = "S", default_value_t = 93.0)]
    pub(crate) awake: f64,

    /// The PSK identities for coaps, a pattern (default: the names)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) psk_identity: Option<String>,

    /// The keys for coaps, a pattern that gives hex digits
    #[arg(long, value_name = "PATTERN")]
    pub(crate) psk_key: Option<String>,

    /// Do without Connection IDs in DTLS
    #[arg(long)]
    pub(crate) no_cid: bool,

    /// Print what the server must know of the devices, one JSON object per line, and exit
    #[arg(long, requires = "psk_key")]
    pub(crate) print_credentials: bool,

    /// Threads that make the load (default: half of the cores)
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u16>,

    /// Source ports of each thread, where devices have addresses of 127.0.0.0/8 of their own
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) ports: u16,

    /// The local address to send from; every device then has a port of its own
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<String>,

    /// ACK_TIMEOUT of CoAP in seconds: how long to wait before the first repetition
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub(crate) ack_timeout: f64,

    /// MAX_RETRANSMIT of CoAP: how often to repeat before an answer counts as missing
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) max_retransmit: u8,

    /// Seconds until a device that could not register tries again
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub(crate) retry: f64,

    /// Leave the devices registered at the end
    #[arg(long)]
    pub(crate) stay: bool,

    /// Write every registration change, Send and confirmable notification that the server acknowledged to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the summary as JSON to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Show no progress
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Exit with code 1 if any answer is missing or wrong
    #[arg(long)]
    pub(crate) strict: bool,
}
