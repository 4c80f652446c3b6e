//! `lightship ctl credentials`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What a device proves itself with.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ProofArguments {
    /// The credential as JSON in a file, `-` for standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["psk_identity", "rpk", "certificate", "name", "x509", "nosec"])]
    pub(crate) file: Option<PathBuf>,

    /// A pre-shared key: its identity
    #[arg(long, value_name = "ID", conflicts_with_all = ["rpk", "certificate", "name", "x509", "nosec"])]
    pub(crate) psk_identity: Option<String>,

    /// The key in hex; others on this machine may see it while the command runs
    #[arg(long, value_name = "HEX", requires = "psk_identity")]
    pub(crate) psk_key: Option<String>,

    /// The key in hex, in a file, `-` for standard input
    #[arg(long, value_name = "FILE", requires = "psk_identity", conflicts_with = "psk_key")]
    pub(crate) psk_key_file: Option<PathBuf>,

    /// A raw public key: the device's, in a file (PEM or DER)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "name", "x509", "nosec"])]
    pub(crate) rpk: Option<PathBuf>,

    /// Exactly this certificate, in a file (PEM or DER)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "x509", "nosec"])]
    pub(crate) certificate: Option<PathBuf>,

    /// Any trusted certificate with this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["x509", "nosec"])]
    pub(crate) name: Option<String>,

    /// Any trusted certificate with the device's endpoint name
    #[arg(long, conflicts_with = "nosec")]
    pub(crate) x509: bool,

    /// Nothing: the device may come without security
    #[arg(long)]
    pub(crate) nosec: bool,
}

/// How devices may prove who they are.
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// List the credentials, without keys
    #[command(
        after_help = "Examples:\n  lightship ctl credentials list\n  lightship ctl credentials list --filter meter --bootstrap"
    )]
    List {
        /// Only of devices whose name contains this text
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
        /// Those for the Bootstrap-Server, which are a set of their own
        #[arg(long)]
        bootstrap: bool,
    },
    /// Show how a device may prove who it is, without its key
    #[command(after_help = "Example:\n  lightship ctl credentials get sensor-1")]
    Get {
        /// The Endpoint Client Name
        endpoint: String,
        /// The one for the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
    },
    /// Set how a device may prove who it is; sessions that used what it had before end at once
    #[command(
        after_help = "Examples:\n  lightship ctl credentials put sensor-1 --psk-identity sensor-1 --psk-key-file key.hex\n  lightship ctl credentials put sensor-1 --rpk sensor-1.pub.pem\n  lightship ctl credentials put sensor-1 --x509\n  lightship ctl credentials put sensor-1 --psk-identity bs-1 --psk-key 00112233445566778899aabbccddeeff --bootstrap\n  echo '{\"mode\": \"nosec\"}' | lightship ctl credentials put sensor-1 -"
    )]
    Put {
        /// The Endpoint Client Name
        endpoint: String,
        #[command(flatten)]
        proof: ProofArguments,
        /// For the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
    },
    /// Set how many devices may prove who they are: a table (CSV) whose first line names the columns
    #[command(
        after_help = "Columns: endpoint and mode (psk rpk x509 nosec), and of these what the modes need: identity identity_hex key_hex public_key_pem public_key_hex public_key_sha256 certificate_pem certificate_sha256 name\nExamples:\n  lightship ctl credentials import devices.csv --dry-run\n  lightship ctl credentials import devices.csv"
    )]
    Import {
        /// The table, `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only say what would become of each row
        #[arg(long)]
        dry_run: bool,
        /// For the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
    },
    /// Delete a device's credential; its session and its registration end at once
    #[command(after_help = "Example:\n  lightship ctl credentials delete sensor-1")]
    Delete {
        /// The Endpoint Client Name
        endpoint: String,
        /// The one for the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
    },
}
