//! `lightship ctl tokens` and `lightship ctl audit`.

use clap::{Args, Subcommand, ValueEnum};
use lightship_api::Role;

/// Who may come, with what.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// List tokens, without their secrets
    #[command(after_help = "Example:\n  lightship ctl tokens list")]
    List,
    /// Create a token and print it: it is shown only this once
    #[command(
        after_help = "Examples:\n  lightship ctl tokens create dashboard --role viewer --expires 90d\n  lightship ctl tokens create ci --role operator"
    )]
    Create {
        /// What to call it; the audit names it
        name: String,
        /// What it may do: look; work with devices; also decide who may come
        #[arg(long, value_enum, value_name = "ROLE")]
        role: RoleName,
        /// When it expires: 90d, 12h, … (default: when it is deleted)
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Delete a token; streams that were opened with it end at once
    #[command(after_help = "Example:\n  lightship ctl tokens delete dashboard")]
    Delete {
        /// Its id or its name
        #[arg(id = "which", value_name = "TOKEN")]
        which: String,
    },
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleName {
    Viewer,
    Operator,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Viewer => Role::Viewer,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
        }
    }
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Only what was about this device; without it the token must be an admin's
    pub(crate) endpoint: Option<String>,

    /// Only what was done with the token of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,

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
