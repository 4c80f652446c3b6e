//! `lightship ctl` about operations on devices.

use clap::{Args, Subcommand};

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
        /// The Object, or the Object Instance to create
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
        /// A Resource Instance to remove (repeatable; LwM2M 1.2)
        #[arg(long = "remove", value_name = "PATH")]
        removed: Vec<String>,
        /// The data type, where the definition is unknown: string, integer, unsigned, float, boolean, opaque, time,
        /// objlnk or corelnk
        #[arg(long = "type", value_name = "TYPE")]
        data_type: Option<String>,
        /// A Node with its path, as JSON or in `@FILE`, `@-` for standard input (repeatable)
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

/// How a downlink operation travels.
#[derive(Debug, Args)]
pub(crate) struct Delivery {
    /// Content format (default: the best that the device is known to speak)
    #[arg(long, value_name = "FORMAT", value_parser = FORMATS)]
    pub(crate) format: Option<String>,

    /// How long to wait for the device, for example 30s; also for one that is asleep
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

    /// Let waiting commands give way to this one if it repeats everything that they do
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

    /// The whole Node as JSON instead of values; `@FILE` for the content of a file, `@-` for standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["values", "data_type"])]
    pub(crate) node: Option<String>,
}

/// Names of content formats.
const FORMATS: [&str; 8] =
    ["text", "opaque", "cbor", "tlv", "json", "senml-json", "senml-cbor", "lwm2m-cbor"];
