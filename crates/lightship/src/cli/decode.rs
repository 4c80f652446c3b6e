//! `lightship decode`.

use clap::Args;
use std::path::PathBuf;

/// Dissect CoAP, LwM2M and DTLS bytes, from hex or from a packet capture
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lightship decode 44022a1f7b2d19e0b272641128396c776d326d3d312e310b65703d73656e736f722d31066c743d333030ff3c2f332f303e2c3c2f333330332f303e\n  lightship decode --payload cbor --path /3/0/9 1854\n  lightship decode capture.pcapng --port 5683\n  lightship decode capture.pcapng --keylog keys.log\n  tcpdump -w - udp port 5683 | lightship decode -\n\nBlanks, colons, line ends and 0x before a byte are allowed in hex."
)]
pub(crate) struct DecodeArguments {
    /// Hex digits, the name of a file (hex text, pcap or pcapng), or `-` for standard input (the default)
    #[arg(value_name = "HEX|FILE")]
    pub(crate) input: Vec<String>,

    /// Of a capture, only datagrams from or to this UDP port (repeatable; default: all that look like CoAP)
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Vec<u16>,

    /// Open DTLS records with the secrets in this key log (NSS format: CLIENT_RANDOM lines)
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub(crate) keylog: Option<PathBuf>,

    /// Open DTLS records with this pre-shared key in hex (repeatable; not enough where keys are ephemeral)
    #[arg(long, value_name = "HEX", conflicts_with = "payload")]
    pub(crate) psk: Vec<String>,

    /// The bytes are a bare payload in this content format: a name such as `senml-cbor` or a number
    #[arg(long, value_name = "FORMAT")]
    pub(crate) payload: Option<String>,

    /// The path that a bare payload belongs to
    #[arg(long, value_name = "PATH", requires = "payload")]
    pub(crate) path: Option<String>,
}
