//! `lightship ctl`.

mod access;
mod bootstrap;
mod credentials;
mod downlink;
mod fleet;
mod models;
mod security;

pub(crate) use self::access::{AuditArguments, TokensCommand};
pub(crate) use self::bootstrap::{BootstrapCommand, DocumentArguments, TemplatesCommand};
pub(crate) use self::credentials::{CredentialsCommand, ProofArguments};
pub(crate) use self::downlink::{CompositeCommand, Delivery, DownlinkCommand, Values};
pub(crate) use self::fleet::{BulkArguments, BulkCommand, ListArguments};
pub(crate) use self::models::ModelsCommand;
pub(crate) use self::security::{CertificateCommand, SecurityCommand};

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
    /// With --move: send it next
    #[arg(long)]
    pub(crate) first: bool,

    /// With --move: place it behind all others
    #[arg(long)]
    pub(crate) last: bool,

    /// With --move: place it directly before this one, with its priority
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,

    /// With --move: place it directly behind this one, with its priority
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,

    /// With --move: place it behind those of this priority, from -100 to 100
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

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Which values of a device.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The Endpoint Client Name; the device need not be registered
    pub(crate) endpoint: String,

    /// A Resource, a Resource Instance, or an Object Instance or Object for everything below it
    pub(crate) path: String,

    /// Only from this moment on, such as 2026-01-01T00:00:00Z, or 24h for so long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,

    /// Only before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,

    /// At most this many
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

    /// Of an address instead of a device: 192.0.2.7, or 192.0.2.7:5683 for one port
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["endpoint", "follow", "pcapng"])]
    pub(crate) address: Option<String>,

    /// Stay, and print messages as they come and go
    #[arg(long)]
    pub(crate) follow: bool,

    /// At most this many of the newest
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
    /// Show who changed what, newest first
    #[command(
        after_help = "Examples:\n  lightship ctl audit\n  lightship ctl audit sensor-1 --from 24h\n  lightship ctl audit --actor ci"
    )]
    Audit(AuditArguments),
    /// List the registered devices
    #[command(
        after_help = "Examples:\n  lightship ctl endpoints\n  lightship ctl endpoints --filter 'state:asleep lifetime>3600' --columns /3/0/3,/3/0/9\n  lightship ctl endpoints --filter firmware:1.2 --csv > fleet.csv"
    )]
    Endpoints(ListArguments),
    /// Show the last known values of a device's Resources
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
    /// Apply one operation to many devices, as durable commands
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
    /// List the values that a device has reported, those received last first
    #[command(
        after_help = "Examples:\n  lightship ctl history sensor-1 /3303/0/5700\n  lightship ctl history sensor-1 /3303/0 --from 24h --csv > day.csv\n  lightship ctl history sensor-1 /3/0/7/1 --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z"
    )]
    History(HistoryArguments),
    /// List what happened to a device, newest first
    #[command(
        after_help = "Examples:\n  lightship ctl log sensor-1\n  lightship ctl log sensor-1 --type asleep --type awake --from 24h\n  lightship ctl log sensor-1 --limit 1000 --json\n\nUpdates are not in it: `lightship ctl events --endpoint EP --type updated` has them."
    )]
    Log(LogArguments),
    /// Show the latest messages of a device, decrypted, with their meaning and why some were dropped
    #[command(
        after_help = "Examples:\n  lightship ctl trace sensor-1\n  lightship ctl trace sensor-1 --follow\n  lightship ctl trace sensor-1 --pcapng sensor-1.pcapng\n  lightship ctl trace --address 192.0.2.7\n\nKeys are never shown. An arrow to the left came from the device."
    )]
    Trace(TraceArguments),
    /// Print events
    #[command(
        after_help = "Examples:\n  lightship ctl events --follow\n  lightship ctl events --endpoint sensor-1 --type notified --follow\n  lightship ctl events --after 3f2a91c0-7 --json\n\nWithout --follow it prints what the server still holds and ends."
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
    /// What certificates and public keys mean, and what would not work with them
    #[command(
        after_help = "Examples:\n  lightship ctl certificate explain sensor-3.pem --endpoint sensor-3\n  lightship ctl certificate show sensor-3"
    )]
    Certificate {
        #[command(subcommand)]
        command: CertificateCommand,
    },
    /// List a device's latest handshakes, with the reasons of those that failed
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
