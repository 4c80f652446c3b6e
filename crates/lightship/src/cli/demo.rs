//! `lightship demo`.

use clap::Args;

/// Start a server, the web UI and three simulated devices on this machine, with nothing to prepare
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship demo\n  lightship demo --http 127.0.0.1:9090 --coap 127.0.0.1:6683\n  lightship demo --free-ports\n\nNothing is kept: its store is in a temporary folder, which is gone after Ctrl-C."
)]
pub(crate) struct DemoArguments {
    /// Where the server listens for devices
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5683")]
    pub(crate) coap: String,

    /// Where the server listens for devices with security
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5684")]
    pub(crate) coaps: String,

    /// Where the Bootstrap-Server listens for devices
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5783")]
    pub(crate) bootstrap_coap: String,

    /// Where the Bootstrap-Server listens for devices with security
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5784")]
    pub(crate) bootstrap_coaps: String,

    /// Where the web UI and the REST API listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: String,

    /// Use ports that are free instead of the ones above
    #[arg(long)]
    pub(crate) free_ports: bool,
}
