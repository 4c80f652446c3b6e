//! `lightship ctl` about the fleet.

use clap::{Args, Subcommand};

/// Which devices, and what of them.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Conditions with blanks between: a part of the name, state:asleep, state:lost, lwm2m:1.1, object:3303, lifetime>3600, updated<10m,
    /// address:10.0.0.0/8, firmware:1.2, /3/0/9<20; - in front of a condition negates it
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,
    /// Also show the last known values of these Resources, separated by commas
    #[arg(long, value_name = "PATHS")]
    pub(crate) columns: Option<String>,
    /// name (default), updated, -updated, registered, -registered, or a Resource to sort by its value, /3/0/9 or -/3/0/9
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// At most this many (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Only say how many there are
    #[arg(long, conflicts_with_all = ["columns", "sort", "limit", "csv"])]
    pub(crate) count: bool,
    /// Print a table for other programs (CSV); a text that looks like a formula has an apostrophe in front
    #[arg(long)]
    pub(crate) csv: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BulkCommand {
    /// Begin one; with --dry-run only say how many devices it would reach
    #[command(
        after_help = "Examples:\n  lightship ctl bulk start read /3/0 --filter lwm2m:1.1 --dry-run\n  lightship ctl bulk start write /1/0/1 --filter 'firmware:1.2' --content '{\"value\": 300}'\n  lightship ctl bulk start execute /3/0/4 --endpoint sensor-1 --endpoint sensor-2"
    )]
    Start(BulkArguments),
    /// List the latest ones
    #[command(after_help = "Example:\n  lightship ctl bulk list")]
    List,
    /// Show the progress of one
    #[command(after_help = "Example:\n  lightship ctl bulk show 3f2a91c0")]
    Show {
        /// Its ID
        id: String,
    },
    /// Make no more commands, and cancel those that wait
    #[command(after_help = "Example:\n  lightship ctl bulk cancel 3f2a91c0")]
    Cancel {
        /// Its ID
        id: String,
    },
}

/// What is asked of whom.
#[derive(Debug, Args)]
pub(crate) struct BulkArguments {
    /// read, write, write-partial, execute, observe, cancel-observation, write-attributes, discover, create or delete
    pub(crate) operation: String,
    /// On what
    pub(crate) path: String,
    /// Which devices, as in `ctl endpoints --filter`; "" for all
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true, required_unless_present = "endpoints")]
    pub(crate) filter: Option<String>,
    /// Only this device; may be given several times
    #[arg(long = "endpoint", value_name = "ENDPOINT", conflicts_with = "filter")]
    pub(crate) endpoints: Vec<String>,
    /// The body that the operation has in the REST API, as JSON; `@FILE` for the content of a file, `@-` for standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) content: Option<String>,
    /// When each command is given up: a span such as 24h (default: 7 days)
    #[arg(long, value_name = "TIME")]
    pub(crate) not_after: Option<String>,
    /// Only say how many devices it would reach
    #[arg(long)]
    pub(crate) dry_run: bool,
}
