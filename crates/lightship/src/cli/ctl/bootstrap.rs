//! `lightship ctl bootstrap`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What a document consists of.
#[derive(Debug, Args)]
pub(crate) struct DocumentArguments {
    /// The document as JSON in a file, `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "servers", conflicts_with = "servers")]
    pub(crate) file: Option<PathBuf>,

    /// Without a file: a server to register with (repeatable: short server IDs 1, 2, …)
    #[arg(long = "server", value_name = "URI")]
    pub(crate) servers: Vec<String>,

    /// The lifetime of the registrations at these servers, in seconds (default: 86400)
    #[arg(long, value_name = "S", requires = "servers")]
    pub(crate) lifetime: Option<u32>,

    /// The identity that the device has at these servers
    #[arg(long, value_name = "ID", requires = "key")]
    pub(crate) psk_identity: Option<String>,

    /// The key to that identity, in hex; others on this machine may see it while the command runs
    #[arg(long, value_name = "HEX", requires = "psk_identity", group = "key")]
    pub(crate) psk_key: Option<String>,

    /// The key in hex, in a file, `-` for standard input
    #[arg(long, value_name = "FILE", requires = "psk_identity", group = "key")]
    pub(crate) psk_key_file: Option<PathBuf>,
}

/// Bootstrap documents, templates and sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum BootstrapCommand {
    /// List devices that have a document, or have asked for one
    #[command(
        after_help = "Examples:\n  lightship ctl bootstrap list\n  lightship ctl bootstrap list --filter sensor"
    )]
    List {
        /// Only those whose name contains this text
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Show the document of a device, without secrets
    #[command(after_help = "Example:\n  lightship ctl bootstrap get sensor-1 > sensor-1.json")]
    Get {
        /// The Endpoint Client Name
        endpoint: String,
    },
    /// Set what a device is given
    #[command(
        after_help = "Examples:\n  lightship ctl bootstrap put sensor-1 --server coap://192.0.2.1 --lifetime 300\n  lightship ctl bootstrap put sensor-1 sensor-1.json\n  echo '{\"servers\": [{\"short_server_id\": 1, \"uri\": \"coap://192.0.2.1\", \"mode\": \"nosec\"}]}' | lightship ctl bootstrap put sensor-1 -\n\nWhat `get` shows may be changed and put back: secrets that are left out stay."
    )]
    Put {
        /// The Endpoint Client Name
        endpoint: String,
        #[command(flatten)]
        document: DocumentArguments,
    },
    /// Delete the document of a device
    #[command(after_help = "Example:\n  lightship ctl bootstrap delete sensor-1")]
    Delete {
        /// The Endpoint Client Name
        endpoint: String,
    },
    /// Show the exact requests that a device would get
    #[command(
        after_help = "Examples:\n  lightship ctl bootstrap plan sensor-1\n  lightship ctl bootstrap plan sensor-1 --format senml-cbor --lwm2m 1.1"
    )]
    Plan {
        /// The Endpoint Client Name
        endpoint: String,
        /// The content format that the device would prefer: tlv, senml-json, senml-cbor, lwm2m-cbor
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// The version that the device would have: 1.0, 1.1, 1.2
        #[arg(long, value_name = "VERSION")]
        lwm2m: Option<String>,
    },
    /// Show the latest sessions of a device, step by step
    #[command(
        after_help = "Examples:\n  lightship ctl bootstrap sessions sensor-1\n  lightship ctl bootstrap sessions sensor-1 --last 1"
    )]
    Sessions {
        /// The Endpoint Client Name
        endpoint: String,
        /// At most this many (default: all that are kept)
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Documents for all devices whose names match a pattern
    #[command(after_help = "Example:\n  lightship ctl bootstrap templates list")]
    Templates {
        #[command(subcommand)]
        command: TemplatesCommand,
    },
}

/// Bootstrap templates.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplatesCommand {
    /// List the templates
    #[command(after_help = "Example:\n  lightship ctl bootstrap templates list")]
    List,
    /// Show a template, without secrets
    #[command(after_help = "Example:\n  lightship ctl bootstrap templates get sensors")]
    Get {
        /// The template's name
        name: String,
    },
    /// Set what devices whose names match a pattern are given
    #[command(
        after_help = "Examples:\n  lightship ctl bootstrap templates put sensors --pattern 'sensor-*' --server coap://192.0.2.1\n  lightship ctl bootstrap templates put sensors --pattern 'sensor-*' document.json\n\nIn the pattern * stands for any characters. In the document {endpoint} stands for the name of the device, {1}, {2} … for\nwhat the first, the second … * stands for. The closest of several patterns counts; a device's own document comes first."
    )]
    Put {
        /// The template's name
        name: String,
        /// Which devices it is for
        #[arg(long, value_name = "PATTERN")]
        pattern: String,
        #[command(flatten)]
        document: DocumentArguments,
    },
    /// Delete a template
    #[command(after_help = "Example:\n  lightship ctl bootstrap templates delete sensors")]
    Delete {
        /// The template's name
        name: String,
    },
}
