//! `lightship device`.

use clap::Args;
use std::path::PathBuf;

/// Run one LwM2M Client, steered from standard input
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship device --endpoint sensor-1 --server coap://127.0.0.1:5683\n  lightship device --config device.toml\n  lightship device --object 3303=2 --object 3313 --lifetime 60\n  lightship device --server coaps://127.0.0.1:5684 --psk-identity dev-7 --psk-key 00112233445566778899aabbccddeeff\n\n\
Commands on standard input, one a line, each answered by one line `ok …` or `error …`:\n  set /3303/0/5700 21.5        show [PATH]          create /3303/1      delete /3303/1\n  attributes /3303/0/5700 pmin=5   sockets          update [SSID]       deregister\n  register [SSID]   bootstrap\n  offline   online   reconnect     send /3303/0/5700 /3/0/9   send once /3/0/9\n  record /3303/0/5700   send recorded   advance SECONDS (with --virtual-clock)   rebind   quit\n\nEnd of input or `quit`: the device de-registers and exits with 0. Events go to standard output, one line each."
)]
pub(crate) struct DeviceArguments {
    /// A file with the same settings as these flags (a flag overrides the file)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The Endpoint Client Name (default: lightship-device)
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,

    /// A server to register at, such as coap://127.0.0.1:5683 (the default); repeatable, for the Short Server IDs 1, 2, …
    #[arg(long, value_name = "URI")]
    pub(crate) server: Vec<String>,

    /// A Bootstrap-Server to ask for accounts, such as coap://127.0.0.1:5783; with --server it is asked only when a server says so
    #[arg(long, value_name = "URI")]
    pub(crate) bootstrap: Option<String>,

    /// Ask the Bootstrap-Server for a Bootstrap-Pack first, which brings everything at once (LwM2M 1.2)
    #[arg(long)]
    pub(crate) bootstrap_pack: bool,

    /// Registration lifetime in seconds (default: 300)
    #[arg(long, value_name = "S")]
    pub(crate) lifetime: Option<u32>,

    /// The highest LwM2M version to offer: 1.0, 1.1 or 1.2 (default: 1.2)
    #[arg(long, value_name = "VERSION")]
    pub(crate) lwm2m: Option<String>,

    /// Transports that the device can be reached over: U, or UQ for --queue-mode as well (default: U)
    #[arg(long, value_name = "BINDING")]
    pub(crate) binding: Option<String>,

    /// Sleep between messages (LwM2M Queue Mode): what is sent to the device while it sleeps is lost
    #[arg(long)]
    pub(crate) queue_mode: bool,

    /// Keep all objects under a path of its own, such as /lwm2m
    #[arg(long, value_name = "PATH")]
    pub(crate) root: Option<String>,

    /// Name a profile in place of the list of objects where the server knows it: hash, or a name such as oma:NAME or v:NAME
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// The device's number for SMS, as servers are told
    #[arg(long, value_name = "NUMBER")]
    pub(crate) sms: Option<String>,

    /// In Queue Mode: seconds to listen after each message, the same as the server's awake window (default: 93)
    #[arg(long, value_name = "S")]
    pub(crate) awake: Option<f64>,

    /// In Queue Mode: wake only every so many seconds, and report then what came up meanwhile (default: whatever comes up wakes it)
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(crate) wake_every: Option<f64>,

    /// The local address to send from, as address or address:port (default: any)
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<String>,

    /// Keep accounts, attributes and values here, so that they survive a restart; what the file holds overrides flags
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Further instances of an object that the registry knows, as ID or ID=COUNT (repeatable)
    #[arg(long, value_name = "ID[=COUNT]")]
    pub(crate) object: Vec<String>,

    /// Time stands still until the command `advance SECONDS`
    #[arg(long)]
    pub(crate) virtual_clock: bool,

    #[command(flatten)]
    pub(crate) security: SecurityArguments,

    #[command(flatten)]
    pub(crate) coap: CoapArguments,
}

/// What servers behind coaps need: one of three kinds of credentials.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers behind coaps://")]
pub(crate) struct SecurityArguments {
    /// Identity of the pre-shared key
    #[arg(long, value_name = "ID", requires = "psk_key")]
    pub(crate) psk_identity: Option<String>,

    /// Pre-shared key in hex, 1 to 64 bytes
    #[arg(long, value_name = "HEX", requires = "psk_identity")]
    pub(crate) psk_key: Option<String>,

    /// The device's certificate, and those above it (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the device's certificate (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// The certificate that the server's must chain to (PEM or DER); further ones in the file are the device's own trust anchors
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,

    /// The device's private key for raw public keys (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) rpk_key: Option<PathBuf>,

    /// The server's raw public key (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) rpk_peer: Option<PathBuf>,

    /// The name that the server is asked for and known by (default: the host of its URI)
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// What --trust is: 0 an authority, 1 the server's certificate, both below the device's own trust anchors; 2 the trust anchor itself,
    /// 3 the server's certificate, and nothing else is checked (default: 2)
    #[arg(long, value_name = "USAGE")]
    pub(crate) certificate_usage: Option<u8>,

    /// How the account keeps the server's certificate or key: 0 as it is, 1 SHA-256, 2 SHA-384, 3 SHA-512 (default: 0)
    #[arg(long, value_name = "TYPE")]
    pub(crate) matching_type: Option<u8>,

    /// Offer exactly these cipher suites, by name or number (default: all that fit, without CBC)
    #[arg(long, value_name = "SUITE", value_delimiter = ',')]
    pub(crate) ciphersuites: Vec<String>,

    /// Do without connection IDs, so that sessions end with their address
    #[arg(long)]
    pub(crate) no_cid: bool,

    /// Tell servers that records to the device may carry at most this many bytes, 64 to 16384 (RFC 8449)
    #[arg(long, value_name = "BYTES")]
    pub(crate) record_size_limit: Option<u16>,

    /// Ask servers for records of at most 512, 1024, 2048 or 4096 bytes in both directions (RFC 6066)
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_fragment_length: Option<u16>,

    /// Seconds before the first flight of a handshake is repeated, doubled from then on (default: 9)
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(crate) dtls_timeout: Option<f64>,

    /// Append the secrets of all sessions to this file, for Wireshark: whoever reads it reads everything
    #[arg(long, value_name = "FILE", env = "SSLKEYLOGFILE")]
    pub(crate) key_log: Option<PathBuf>,
}

/// Parameters of CoAP and of the registration's retries.
#[derive(Debug, Args)]
#[command(next_help_heading = "CoAP and retry parameters")]
pub(crate) struct CoapArguments {
    /// CoAP ACK_TIMEOUT in seconds (default: 2)
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(crate) ack_timeout: Option<f64>,

    /// CoAP ACK_RANDOM_FACTOR (default: 1.5)
    #[arg(long, value_name = "FACTOR")]
    pub(crate) ack_random_factor: Option<f64>,

    /// CoAP MAX_RETRANSMIT (default: 4)
    #[arg(long, value_name = "N")]
    pub(crate) max_retransmit: Option<u8>,

    /// CoAP NSTART (default: 1)
    #[arg(long, value_name = "N")]
    pub(crate) nstart: Option<u8>,

    /// Largest CoAP block in bytes, 16 to 1024 (default: 1024)
    #[arg(long, value_name = "BYTES")]
    pub(crate) block_size: Option<u16>,

    /// Registration attempts in one sequence (default: 5)
    #[arg(long, value_name = "N")]
    pub(crate) retry_count: Option<u16>,

    /// Seconds between the first two attempts, doubled from then on (default: 60)
    #[arg(long, value_name = "S")]
    pub(crate) retry_timer: Option<u32>,

    /// Seconds between two sequences of attempts (default: 86400)
    #[arg(long, value_name = "S")]
    pub(crate) retry_sequence_delay: Option<u32>,

    /// Sequences of attempts (default: 1)
    #[arg(long, value_name = "N")]
    pub(crate) retry_sequence_count: Option<u16>,
}
