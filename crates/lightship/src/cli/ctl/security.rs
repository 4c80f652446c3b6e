//! `lightship ctl` about certificates and how sessions are secured.

use std::path::PathBuf;

use clap::Subcommand;

/// What certificates mean.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Explain certificates (a chain with the device's own first) or a public key; nothing is kept
    #[command(
        after_help = "Examples:\n  lightship ctl certificate explain sensor-3.pem --endpoint sensor-3\n  lightship ctl certificate explain ca.der\n  lightship ctl certificate explain - < sensor-2.pub.pem"
    )]
    Explain {
        /// PEM or DER, `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The device that is to use the first certificate: warns if it does not stand for that device
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
    },
    /// Explain the certificate by which a device is known now, or which its credential names
    #[command(after_help = "Example:\n  lightship ctl certificate show sensor-3")]
    Show {
        /// The Endpoint Client Name
        endpoint: String,
    },
}

/// More about secure sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SecurityCommand {
    /// List everybody's latest handshakes that failed, with the reasons
    #[command(after_help = "Example:\n  lightship ctl security failures")]
    Failures,
    /// Print the server's public key in PEM, to be given to devices with raw public keys (`--rpk-peer`)
    #[command(
        after_help = "Examples:\n  lightship ctl security public-key > server.pub.pem\n  lightship ctl security public-key --bootstrap --name bs.example"
    )]
    PublicKey {
        /// The key of the Bootstrap-Server
        #[arg(long)]
        bootstrap: bool,
        /// The one for this name (SNI)
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}
