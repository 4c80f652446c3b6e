//! `lightship ctl`.

mod access;
mod bootstrap;
mod credentials;
mod fleet;
mod models;

pub(crate) use self::access::{AuditArguments, TokensCommand};
pub(crate) use self::bootstrap::{BootstrapCommand, DocumentArguments, TemplatesCommand};
pub(crate) use self::credentials::{CredentialsCommand, ProofArguments};
pub(crate) use self::fleet::{BulkArguments, BulkCommand, ListArguments};
pub(crate) use self::models::ModelsCommand;

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Everything that the REST API can do, from a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship ctl endpoints\n  lightship ctl read sensor-1 /3/0\n  lightship ctl write sensor-1 /1/0/1 60\n  lightship ctl --json observations sensor-1\n\nExit code 1 says that the server refused, or that the device answered with an error."
)]
pub(crate) struct CtlArguments {
    /// Where the server's REST API is
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "URL",
        env = "LIGHTSHIP_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) url: String,

    /// The API token
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "TOKEN",
        env = "LIGHTSHIP_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// Print the server's JSON instead of text for people
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// Names of content formats.
const FORMATS: [&str; 8] =
    ["text", "opaque", "cbor", "tlv", "json", "senml-json", "senml-cbor", "lwm2m-cbor"];

/// How a downlink operation travels.
#[derive(Debug, Args)]
pub(crate) struct Delivery {
    /// Content format (default: the best that the device is known to speak)
    #[arg(long, value_name = "FORMAT", value_parser = FORMATS)]
    pub(crate) format: Option<String>,

    /// How long to wait for the device, for example 30s; also for one that sleeps
    #[arg(long, value_name = "TIME")]
    pub(crate) wait: Option<String>,

    /// Do not wait: make it a durable command, which is sent when the device is awake (see `ctl commands`)
    #[arg(long, conflicts_with = "wait")]
    pub(crate) queue: bool,

    /// When to give the command up: a span such as 24h, or a moment such as 2026-01-01T00:00:00Z (default: 7 days)
    #[arg(long, value_name = "TIME", requires = "queue")]
    pub(crate) not_after: Option<String>,

    /// Send it before commands of a lower priority: from -100 to 100 (default: 0)
    #[arg(long, value_name = "N", requires = "queue", allow_negative_numbers = true)]
    pub(crate) priority: Option<i8>,

    /// How often the command may be sent when no answer comes (default: until it is given up)
    #[arg(long, value_name = "N", requires = "queue")]
    pub(crate) attempts: Option<u32>,

    /// The pause after an attempt that brought no answer, for example 5m; it doubles each time, to an hour at most
    /// (default: 60s)
    #[arg(long, value_name = "TIME", requires = "queue")]
    pub(crate) retry_after: Option<String>,

    /// Let commands that still wait give way if this one does again all that they do
    #[arg(long, requires = "queue")]
    pub(crate) supersede: bool,

    /// What is compared with the object definitions before anything is sent (default: values)
    #[arg(long, value_name = "WHAT", value_parser = ["none", "values", "operations"])]
    pub(crate) check: Option<String>,

    /// Also print the payload of the answer as it came, byte by byte
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Values on the command line.
#[derive(Debug, Args)]
pub(crate) struct Values {
    /// One value for a Resource, or ID=VALUE for each Resource of an instance (ID/ID=VALUE for a Resource Instance)
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    pub(crate) values: Vec<String>,

    /// The data type, where the definition is unknown: string, integer, unsigned, float, boolean, opaque, time,
    /// objlnk or corelnk
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) data_type: Option<String>,

    /// The whole Node as JSON instead of values; `@FILE` for what stands in a file, `@-` for the standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["values", "data_type"])]
    pub(crate) node: Option<String>,
}

/// Which commands, and what to do with one.
#[derive(Debug, Args)]
pub(crate) struct CommandsArguments {
    /// The Endpoint Client Name
    #[arg(required_unless_present_any = ["show", "cancel", "retry", "moved"])]
    pub(crate) endpoint: Option<String>,

    /// Show the command with this ID
    #[arg(long, value_name = "ID", conflicts_with = "endpoint")]
    pub(crate) show: Option<String>,

    /// Cancel the command with this ID
    #[arg(long, value_name = "ID", conflicts_with_all = ["endpoint", "show"])]
    pub(crate) cancel: Option<String>,

    /// Queue once more what the ended command with this ID was to do
    #[arg(long, value_name = "ID", conflicts_with_all = ["endpoint", "show", "cancel"])]
    pub(crate) retry: Option<String>,

    /// Give the waiting command with this ID another place
    #[arg(long = "move", value_name = "ID", requires = "place", conflicts_with_all = ["endpoint", "show", "cancel", "retry"])]
    pub(crate) moved: Option<String>,

    #[command(flatten)]
    pub(crate) to: Place,
}

/// Where a command shall stand.
#[derive(Debug, Args)]
#[group(id = "place", multiple = false, requires = "moved")]
pub(crate) struct Place {
    /// With --move: it leaves next
    #[arg(long)]
    pub(crate) first: bool,

    /// With --move: behind all others
    #[arg(long)]
    pub(crate) last: bool,

    /// With --move: directly before this one, with its priority
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,

    /// With --move: directly behind this one, with its priority
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,

    /// With --move: behind those of this priority, from -100 to 100
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i8>,
}

/// Which events of a device.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// The Endpoint Client Name; the device need not be registered
    pub(crate) endpoint: String,

    /// Only of this type (repeatable)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,

    /// Only from this moment on, such as 2026-01-01T00:00:00Z, or 24h for so long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,

    /// Only before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Which values of a device.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The Endpoint Client Name; the device need not be registered
    pub(crate) endpoint: String,

    /// A Resource, a Resource Instance, or an Object Instance or Object for all below it
    pub(crate) path: String,

    /// Only from this moment on, such as 2026-01-01T00:00:00Z, or 24h for so long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,

    /// Only before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,

    /// Print a table for other programs (CSV); a text that looks like a formula has an apostrophe in front
    #[arg(long)]
    pub(crate) csv: bool,
}

/// Which messages.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// The Endpoint Client Name; the device need not be registered
    #[arg(required_unless_present = "address")]
    pub(crate) endpoint: Option<String>,

    /// Of an address in place of a device: 192.0.2.7, or 192.0.2.7:5683 for one port
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["endpoint", "follow", "pcapng"])]
    pub(crate) address: Option<String>,

    /// Stay, and print messages as they come and go
    #[arg(long)]
    pub(crate) follow: bool,

    /// At most so many of the newest
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) limit: u32,

    /// Write them to a capture file for Wireshark and tshark
    #[arg(long, value_name = "FILE", conflicts_with = "follow")]
    pub(crate) pcapng: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Show who you are to the server: the token's name, its role, and when it ends
    #[command(after_help = "Example:\n  lightship ctl --token \"$TOKEN\" session")]
    Session,
    /// Tokens: who may call the API, and do what
    #[command(after_help = "Example:\n  lightship ctl tokens create dashboard --role viewer --expires 90d")]
    Tokens {
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// Show who changed what, the newest first
    #[command(
        after_help = "Examples:\n  lightship ctl audit\n  lightship ctl audit sensor-1 --from 24h\n  lightship ctl audit --actor ci"
    )]
    Audit(AuditArguments),
    /// List the registered devices
    #[command(
        after_help = "Examples:\n  lightship ctl endpoints\n  lightship ctl endpoints --filter 'state:asleep lifetime>3600' --columns /3/0/3,/3/0/9\n  lightship ctl endpoints --filter firmware:1.2 --csv > fleet.csv"
    )]
    Endpoints(ListArguments),
    /// Show what the server has heard last of a device's Resources
    #[command(
        after_help = "Examples:\n  lightship ctl values sensor-1\n  lightship ctl values sensor-1 --path /3/0"
    )]
    Values {
        /// The Endpoint Client Name; the device need not be registered
        endpoint: String,
        /// Only at and below this path
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
    /// Count the fleet: states, versions, firmware, the noisiest devices, and who was refused
    #[command(after_help = "Example:\n  lightship ctl fleet")]
    Fleet,
    /// Show how often things happened over time, with failures by reason
    #[command(after_help = "Examples:\n  lightship ctl rates\n  lightship ctl rates --minutes 1440 --json")]
    Rates {
        /// How far back, at most a week
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
        minutes: u32,
    },
    /// Ask one operation of many devices, as durable commands
    #[command(after_help = "Example:\n  lightship ctl bulk start read /3/0 --filter lwm2m:1.1 --dry-run")]
    Bulk {
        #[command(subcommand)]
        command: BulkCommand,
    },
    /// Show one device's registration
    #[command(after_help = "Example:\n  lightship ctl show sensor-1")]
    Show {
        /// The Endpoint Client Name
        endpoint: String,
    },
    /// Forget a device's registration
    #[command(after_help = "Example:\n  lightship ctl forget sensor-1")]
    Forget {
        /// The Endpoint Client Name
        endpoint: String,
    },
    #[command(flatten)]
    Downlink(DownlinkCommand),
    /// List what is observed, with the last values
    #[command(after_help = "Example:\n  lightship ctl observations sensor-1")]
    Observations {
        /// The Endpoint Client Name
        endpoint: String,
    },
    /// List a device's durable commands, or show, move, cancel or repeat one
    #[command(
        after_help = "Examples:\n  lightship ctl write sensor-1 /1/0/1 60 --queue\n  lightship ctl commands sensor-1\n  lightship ctl commands --show 3f2a91c0-7\n  lightship ctl commands --cancel 3f2a91c0-7\n  lightship ctl commands --retry 3f2a91c0-7\n  lightship ctl commands --move 3f2a91c0-7 --first\n  lightship ctl commands --move 3f2a91c0-7 --before 3f2a91c0-5"
    )]
    Commands(CommandsArguments),
    /// List the values that a device has told, those heard last first
    #[command(
        after_help = "Examples:\n  lightship ctl history sensor-1 /3303/0/5700\n  lightship ctl history sensor-1 /3303/0 --from 24h --csv > day.csv\n  lightship ctl history sensor-1 /3/0/7/1 --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z"
    )]
    History(HistoryArguments),
    /// List what happened to a device, newest first
    #[command(
        after_help = "Examples:\n  lightship ctl log sensor-1\n  lightship ctl log sensor-1 --type asleep --type awake --from 24h\n  lightship ctl log sensor-1 --limit 1000 --json"
    )]
    Log(LogArguments),
    /// Show the last messages of a device, decrypted, with their meaning and why some were dropped
    #[command(
        after_help = "Examples:\n  lightship ctl trace sensor-1\n  lightship ctl trace sensor-1 --follow\n  lightship ctl trace sensor-1 --pcapng sensor-1.pcapng\n  lightship ctl trace --address 192.0.2.7\n\nKeys are never shown. An arrow to the left came from the device."
    )]
    Trace(TraceArguments),
    /// Print events
    #[command(
        after_help = "Examples:\n  lightship ctl events --follow\n  lightship ctl events --endpoint sensor-1 --type notified --follow\n  lightship ctl events --after 01J0Z… --json\n\nWithout --follow it prints what the server still holds and ends."
    )]
    Events {
        /// Stay, and print events as they come
        #[arg(long)]
        follow: bool,
        /// Only of this device
        #[arg(long, value_name = "EP")]
        endpoint: Option<String>,
        /// Only of this type (repeatable)
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Only those after the event with this ID
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// How devices may prove who they are
    #[command(
        after_help = "Example:\n  lightship ctl credentials put sensor-1 --psk-identity sensor-1 --psk-key-file key.hex"
    )]
    Credentials {
        #[command(subcommand)]
        command: CredentialsCommand,
    },
    /// How the server secures its sessions: cipher suites, its public keys, the authorities that it trusts
    #[command(after_help = "Examples:\n  lightship ctl security\n  lightship ctl security failures")]
    Security {
        #[command(subcommand)]
        command: Option<SecurityCommand>,
    },
    /// What certificates and public keys mean, and what of them would not work
    #[command(
        after_help = "Examples:\n  lightship ctl certificate explain sensor-3.pem --endpoint sensor-3\n  lightship ctl certificate show sensor-3"
    )]
    Certificate {
        #[command(subcommand)]
        command: CertificateCommand,
    },
    /// List a device's last handshakes, with the reasons of those that failed
    #[command(after_help = "Example:\n  lightship ctl handshakes sensor-1")]
    Handshakes {
        /// The Endpoint Client Name; the device need not be registered
        endpoint: String,
    },
    /// What devices are given when they bootstrap, and how that went
    #[command(after_help = "Example:\n  lightship ctl bootstrap put sensor-1 --server coap://192.0.2.1")]
    Bootstrap {
        #[command(subcommand)]
        command: BootstrapCommand,
    },
    /// Object definitions that the server knows
    #[command(after_help = "Example:\n  lightship ctl models list")]
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Print a completion script for your shell
    #[command(after_help = "Example:\n  source <(lightship ctl completions bash)")]
    Completions {
        /// The shell to print for
        shell: clap_complete::Shell,
    },
}

/// Operations that reach the device.
#[derive(Debug, Subcommand)]
pub(crate) enum DownlinkCommand {
    /// Read an Object, an Object Instance, a Resource or a Resource Instance
    #[command(
        after_help = "Examples:\n  lightship ctl read sensor-1 /3/0\n  lightship ctl read sensor-1 /3303/0/5700 --format senml-cbor\n  lightship ctl read sensor-1 /3/0/7 --raw"
    )]
    Read {
        /// The Endpoint Client Name
        endpoint: String,
        /// What to read
        path: String,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Write a Resource, an Object Instance or a Resource Instance
    #[command(
        after_help = "Examples:\n  lightship ctl write sensor-1 /1/0/1 60\n  lightship ctl write sensor-1 /3442/0 110=hello 120=42 --partial\n  lightship ctl write sensor-1 /3442/0/1120 0=1 1=-2\n  lightship ctl write sensor-1 /3442/0/150 0x0123abcd\n  lightship ctl write sensor-1 /3442/0/160 2026-01-01T00:00:00Z\n  lightship ctl write sensor-1 --node '{\"path\": \"/1/0/1\", \"value\": 60}' /1/0/1\n  lightship ctl write sensor-1 /5/0/0 --node @package.json"
    )]
    Write {
        /// The Endpoint Client Name
        endpoint: String,
        /// What to write
        path: String,
        #[command(flatten)]
        values: Values,
        /// Partial Update: leave what is not mentioned as it is (default: Replace)
        #[arg(long)]
        partial: bool,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Create an Object Instance
    #[command(
        after_help = "Examples:\n  lightship ctl create sensor-1 /3442\n  lightship ctl create sensor-1 /3442/7 110=hello 120=42"
    )]
    Create {
        /// The Endpoint Client Name
        endpoint: String,
        /// The Object, or the Object Instance that shall arise
        path: String,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Delete an Object Instance or a Resource Instance
    #[command(after_help = "Example:\n  lightship ctl delete sensor-1 /3442/7")]
    Delete {
        /// The Endpoint Client Name
        endpoint: String,
        /// What to delete
        path: String,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Execute a Resource
    #[command(
        after_help = "Examples:\n  lightship ctl exec sensor-1 /3/0/4\n  lightship ctl exec sensor-1 /3442/0/3 \"0='hello',1\""
    )]
    Exec {
        /// The Endpoint Client Name
        endpoint: String,
        /// The Resource
        path: String,
        /// Arguments such as 0='hello',1
        arguments: Option<String>,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// List what is under a path, with attributes
    #[command(
        after_help = "Examples:\n  lightship ctl discover sensor-1 /3\n  lightship ctl discover sensor-1 /3 --depth 3"
    )]
    Discover {
        /// The Endpoint Client Name
        endpoint: String,
        /// Where to look
        path: String,
        /// How many levels deep
        #[arg(long, value_name = "N")]
        depth: Option<u8>,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Set and unset notification attributes (Write-Attributes)
    #[command(
        after_help = "Examples:\n  lightship ctl attributes sensor-1 /3303/0/5700 pmin=5 pmax=60 st=0.5\n  lightship ctl attributes sensor-1 /3303/0/5700 st=null\n\npmin, pmax, epmin and epmax are seconds; gt, lt and st belong to numbers and edge to a Boolean; con says whether reports are confirmable, hqmax how many are kept. LwM2M 1.1 brought epmin and epmax, 1.2 edge, con and hqmax."
    )]
    Attributes {
        /// The Endpoint Client Name
        endpoint: String,
        /// What they belong to
        path: String,
        /// NAME=VALUE; NAME=null unsets
        #[arg(required = true, value_name = "NAME=VALUE")]
        attributes: Vec<String>,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Observe: let the device report changes
    #[command(
        after_help = "Examples:\n  lightship ctl observe sensor-1 /3303/0/5700\n  lightship ctl observe sensor-1 /3303/0/5700 --follow\n  lightship ctl observe sensor-1 /3303/0/5700 pmin=5 st=0.5\n\nAttributes in an Observe need a device that speaks LwM2M 1.2."
    )]
    Observe {
        /// The Endpoint Client Name
        endpoint: String,
        /// What to observe
        path: String,
        /// Attributes that hold for this observation only: NAME=VALUE
        #[arg(value_name = "NAME=VALUE")]
        attributes: Vec<String>,
        /// Stay, and print each report
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Read, write and observe several paths at once (LwM2M 1.1)
    #[command(after_help = "Example:\n  lightship ctl composite read sensor-1 /3/0/9 /3303/0/5700")]
    Composite {
        #[command(subcommand)]
        command: CompositeCommand,
    },
    /// Cancel an Observation
    #[command(after_help = "Example:\n  lightship ctl unobserve sensor-1 /3303/0/5700")]
    Unobserve {
        /// The Endpoint Client Name
        endpoint: String,
        /// What is observed
        path: String,
        #[command(flatten)]
        delivery: Delivery,
    },
}

/// Composite operations.
#[derive(Debug, Subcommand)]
pub(crate) enum CompositeCommand {
    /// Read several paths with one request
    #[command(after_help = "Example:\n  lightship ctl composite read sensor-1 /3/0/9 /3303/0/5700 /1")]
    Read {
        /// The Endpoint Client Name
        endpoint: String,
        /// What to read
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// Read the paths one by one if the device knows no composite operations
        #[arg(long)]
        fallback: bool,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Write several resources with one request: all of them or none
    #[command(
        after_help = "Examples:\n  lightship ctl composite write sensor-1 /1/0/1=60 /3442/0/110=hello\n  lightship ctl composite write sensor-1 /3442/0/1120/3=7\n  lightship ctl composite write sensor-1 --remove /3442/0/1120/3\n  lightship ctl composite write sensor-1 --node '{\"path\": \"/1/0/1\", \"value\": 60}'"
    )]
    Write {
        /// The Endpoint Client Name
        endpoint: String,
        /// A Resource or Resource Instance and its value
        #[arg(required_unless_present_any = ["nodes", "removed"], value_name = "PATH=VALUE")]
        assignments: Vec<String>,
        /// A Resource Instance that shall go (repeatable; LwM2M 1.2)
        #[arg(long = "remove", value_name = "PATH")]
        removed: Vec<String>,
        /// The data type, where the definition is unknown: string, integer, unsigned, float, boolean, opaque, time,
        /// objlnk or corelnk
        #[arg(long = "type", value_name = "TYPE")]
        data_type: Option<String>,
        /// A Node with its path, as JSON or in `@FILE`, `@-` for the standard input (repeatable)
        #[arg(long = "node", value_name = "JSON")]
        nodes: Vec<String>,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Observe several paths together, under a name of yours
    #[command(
        after_help = "Examples:\n  lightship ctl composite observe sensor-1 climate /3303/0/5700 /3304/0/5700 --follow\n  lightship ctl composite observe sensor-1 climate /3303/0/5700 /3304/0/5700 --attribute pmin=10"
    )]
    Observe {
        /// The Endpoint Client Name
        endpoint: String,
        /// The name
        name: String,
        /// What to observe
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// An attribute for this observation: pmin, pmax, epmin, epmax or con (repeatable; LwM2M 1.2)
        #[arg(long = "attribute", value_name = "NAME=VALUE")]
        attributes: Vec<String>,
        /// Attach the attributes by Write-Attributes first if the device does not take them otherwise
        #[arg(long)]
        fallback: bool,
        /// Stay, and print each report
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// Cancel such an Observation
    #[command(after_help = "Example:\n  lightship ctl composite unobserve sensor-1 climate")]
    Unobserve {
        /// The Endpoint Client Name
        endpoint: String,
        /// The name it was given
        name: String,
        #[command(flatten)]
        delivery: Delivery,
    },
}

/// What certificates mean.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Explain certificates (a chain with the device's own first) or a public key; nothing is kept
    #[command(
        after_help = "Examples:\n  lightship ctl certificate explain sensor-3.pem --endpoint sensor-3\n  lightship ctl certificate explain ca.der\n  lightship ctl certificate explain - < sensor-2.pub.pem"
    )]
    Explain {
        /// PEM or DER, `-` for the standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The device that is to prove itself with the first: warns if it does not stand for it
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
    },
    /// Explain the certificate by which a device is known now, or which its credential names
    #[command(after_help = "Example:\n  lightship ctl certificate show sensor-3")]
    Show {
        /// The Endpoint Client Name
        endpoint: String,
    },
}

/// More about secure sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SecurityCommand {
    /// List the last handshakes of anybody that came to nothing, with the reasons
    #[command(after_help = "Example:\n  lightship ctl security failures")]
    Failures,
    /// Print the server's public key in PEM, which devices with raw public keys are given (`--rpk-peer`)
    #[command(
        after_help = "Examples:\n  lightship ctl security public-key > server.pub.pem\n  lightship ctl security public-key --bootstrap --name bs.example"
    )]
    PublicKey {
        /// That of the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
        /// The one for this name (SNI)
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}
