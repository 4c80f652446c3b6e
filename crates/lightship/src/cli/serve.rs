//! `lightship serve`.

use clap::Args;
use std::path::PathBuf;

/// Run the server: devices over CoAP, applications over REST, people in the web UI
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship serve --dev\n  lightship serve --config /etc/lightship.toml\n  lightship serve --dev --data ./data --coap 127.0.0.1:5683 --coap '[::1]:5683' --http none\n\nA flag outranks the environment, which outranks the configuration file. An address flag may be repeated;\n`none` switches that listener off. SIGTERM or Ctrl-C stops it cleanly."
)]
pub(crate) struct ServeArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "LIGHTSHIP_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Where to keep what must survive a restart (default: in memory only)
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Tell the server that is using the data folder to stop, and take its place
    #[arg(long)]
    pub(crate) take_over: bool,

    /// The key that seals the credentials in the data folder, in a file (default: seal.key in that folder, made there)
    #[arg(long, value_name = "FILE")]
    pub(crate) seal_key: Option<PathBuf>,

    /// Listen for devices over CoAP here, or `none` (default: 0.0.0.0:5683)
    #[arg(long, value_name = "ADDR")]
    pub(crate) coap: Vec<String>,

    /// Listen for devices over CoAPs (DTLS) here, or `none` (default: 0.0.0.0:5684, left out where it is taken)
    #[arg(long, value_name = "ADDR")]
    pub(crate) coaps: Vec<String>,

    /// Listen for devices that bootstrap over CoAP here, or `none` (default: 0.0.0.0:5783, left out where it is taken)
    #[arg(long, value_name = "ADDR")]
    pub(crate) bootstrap_coap: Vec<String>,

    /// Listen for devices that bootstrap over CoAPs (DTLS) here, or `none` (default: 0.0.0.0:5784, left out where it is taken)
    #[arg(long, value_name = "ADDR")]
    pub(crate) bootstrap_coaps: Vec<String>,

    /// Serve the REST API and the web UI here, or `none` (default: 127.0.0.1:8080)
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Vec<String>,

    /// For trying out: loopback only, devices without security allowed, no API token
    #[arg(long)]
    pub(crate) dev: bool,

    /// Threads that serve devices (default: one per core)
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<u16>,

    /// Seconds that a device in Queue Mode stays awake after it was heard (default: 93)
    #[arg(long, value_name = "S")]
    pub(crate) awake_window: Option<u64>,

    /// Seconds that a registration outlives its lifetime (default: 0)
    #[arg(long, value_name = "S")]
    pub(crate) registration_grace: Option<u64>,
}
