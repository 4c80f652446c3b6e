//! Flags of `ctl models`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the object definitions
    #[command(
        after_help = "Examples:\n  lightship ctl models list\n  lightship ctl models list --filter temperature"
    )]
    List {
        /// Only those with this text in their ID, name or URN, or in the name of a Resource
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Show one object definition
    #[command(after_help = "Example:\n  lightship ctl models show 3303 --version 1.1")]
    Show {
        /// The Object ID
        object: u16,
        /// The object's version (default: the newest)
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Compare two versions of an Object
    #[command(after_help = "Example:\n  lightship ctl models diff 3 1.0 1.2")]
    Diff {
        /// The Object ID
        object: u16,
        /// The version to compare
        from: String,
        /// The version to compare it with (default: the newest)
        to: Option<String>,
    },
    /// Say what is wrong with OMA XML files, without adding them; exit code 1 if one cannot be added
    #[command(
        after_help = "Examples:\n  lightship ctl models check 33000.xml\n  lightship ctl models check - < 33000.xml"
    )]
    Check {
        /// The files, `-` for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Add object definitions from OMA XML files
    #[command(after_help = "Example:\n  lightship ctl models add 33000.xml")]
    Add {
        /// The files, `-` for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Delete an object definition that was added
    #[command(after_help = "Example:\n  lightship ctl models remove 33000 1.0")]
    Remove {
        /// The Object ID
        object: u16,
        /// Its version
        version: String,
    },
    /// List the registered devices that have an Object, and count them by its version
    #[command(after_help = "Example:\n  lightship ctl models devices 3303 --version 1.1")]
    Devices {
        /// The Object ID
        object: u16,
        /// Only devices with this version
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
}
