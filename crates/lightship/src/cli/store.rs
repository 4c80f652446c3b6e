//! `lightship store`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Check, export or fill the data folder of a server that is not running
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship store check --data ./data\n  lightship store export --data ./data --out backup.jsonl\n  lightship store export --data ./data | jq -r 'select(.event) | .event.kind' | sort | uniq -c\n  lightship store import --data ./new backup.jsonl\n\nCredentials and bootstrap documents stay sealed: keep seal.key of the data folder beside what is written out.\nSessions that wait for a successor, and object definitions that were uploaded, are no part of it."
)]
pub(crate) struct StoreArguments {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything, compare what must agree, and say what is there; exit code 1 if something is wrong
    #[command(after_help = "Example:\n  lightship store check --data ./data")]
    Check {
        /// The data folder
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
    },
    /// Export everything as lines of JSON; exit code 1 if events are missing because they are damaged
    #[command(after_help = "Example:\n  lightship store export --data ./data --out backup.jsonl")]
    Export {
        /// The data folder
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// Write to this file, which must not exist yet (default: standard output)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fill a folder that has no store with an export
    #[command(after_help = "Example:\n  lightship store import --data ./new backup.jsonl")]
    Import {
        /// The data folder
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// The export, or `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
