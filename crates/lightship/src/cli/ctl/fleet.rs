//! `lightship ctl` about the fleet.

use clap::Args;

/// Which devices, and what of them.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Conditions with blanks between: a part of the name, state:asleep, lwm2m:1.1, object:3303, lifetime>3600, updated<10m,
    /// address:10.0.0.0/8, firmware:1.2, /3/0/9<20; - in front turns one round
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,
    /// Also show the last known values of these Resources, separated by commas
    #[arg(long, value_name = "PATHS")]
    pub(crate) columns: Option<String>,
    /// name (default), updated, -updated, registered or -registered
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// At most so many (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Only say how many there are
    #[arg(long, conflicts_with_all = ["columns", "sort", "limit", "csv"])]
    pub(crate) count: bool,
    /// Print a table for other programs (CSV); a text that looks like a formula has an apostrophe in front
    #[arg(long)]
    pub(crate) csv: bool,
}
