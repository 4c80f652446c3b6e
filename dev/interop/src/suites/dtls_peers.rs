//! OpenSSL, GnuTLS, Mbed TLS and pion: how each is started as a client and as a server.

use super::World;
use crate::keys::{Keys, SERVER_NAME};
use crate::ports::await_port;
use crate::secure::Tunnel;
use crate::tools;
use std::path::PathBuf;
use std::process::Command;

/// The key of every device with a shared key.
pub(super) const KEY: &str = "00112233445566778899aabbccddeeff";

/// A cipher suite under the names of all libraries; an empty one: the library has it not.
pub(super) struct Suite {
    pub(super) short: &'static str,
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    openssl: &'static str,
    gnutls: &'static str,
    mbedtls: &'static str,
    pion: bool,
    /// Whether a shared key proves who is there.
    pub(super) psk: bool,
}

/// Each that at least one of them has.
pub(super) const SUITES: &[Suite] = &[
    psk(
        "psk-ccm8",
        "c0a8",
        "TLS_PSK_WITH_AES_128_CCM_8",
        ["PSK-AES128-CCM8", "+PSK:+AES-128-CCM-8:+AEAD", "TLS-PSK-WITH-AES-128-CCM-8"],
        true,
    ),
    psk(
        "psk-ccm",
        "c0a4",
        "TLS_PSK_WITH_AES_128_CCM",
        ["PSK-AES128-CCM", "+PSK:+AES-128-CCM:+AEAD", "TLS-PSK-WITH-AES-128-CCM"],
        true,
    ),
    psk(
        "psk-gcm",
        "00a8",
        "TLS_PSK_WITH_AES_128_GCM_SHA256",
        ["PSK-AES128-GCM-SHA256", "+PSK:+AES-128-GCM:+AEAD", "TLS-PSK-WITH-AES-128-GCM-SHA256"],
        true,
    ),
    psk(
        "psk-cbc",
        "00ae",
        "TLS_PSK_WITH_AES_128_CBC_SHA256",
        ["PSK-AES128-CBC-SHA256", "+PSK:+AES-128-CBC:+SHA256", "TLS-PSK-WITH-AES-128-CBC-SHA256"],
        true,
    ),
    psk(
        "ecdhe-psk-cbc",
        "c037",
        "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256",
        ["ECDHE-PSK-AES128-CBC-SHA256", "", "TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256"],
        true,
    ),
    ecdsa(
        "ecdsa-ccm8",
        "c0ae",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
        [
            "ECDHE-ECDSA-AES128-CCM8",
            "+ECDHE-ECDSA:+AES-128-CCM-8:+AEAD",
            "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8",
        ],
        true,
    ),
    ecdsa(
        "ecdsa-ccm",
        "c0ac",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
        ["ECDHE-ECDSA-AES128-CCM", "+ECDHE-ECDSA:+AES-128-CCM:+AEAD", "TLS-ECDHE-ECDSA-WITH-AES-128-CCM"],
        true,
    ),
    ecdsa(
        "ecdsa-gcm",
        "c02b",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "+ECDHE-ECDSA:+AES-128-GCM:+AEAD",
            "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
        ],
        true,
    ),
    ecdsa(
        "ecdsa-cbc",
        "c023",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        [
            "ECDHE-ECDSA-AES128-SHA256",
            "+ECDHE-ECDSA:+AES-128-CBC:+SHA256",
            "TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256",
        ],
        false,
    ),
];

const fn psk(
    short: &'static str,
    number: &'static str,
    name: &'static str,
    names: [&'static str; 3],
    pion: bool,
) -> Suite {
    let [openssl, gnutls, mbedtls] = names;
    Suite { short, number, name, openssl, gnutls, mbedtls, pion, psk: true }
}

const fn ecdsa(
    short: &'static str,
    number: &'static str,
    name: &'static str,
    names: [&'static str; 3],
    pion: bool,
) -> Suite {
    let [openssl, gnutls, mbedtls] = names;
    Suite { short, number, name, openssl, gnutls, mbedtls, pion, psk: false }
}

/// A foreign library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    OpenSsl,
    GnuTls,
    MbedTls,
    Pion,
}

impl Library {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "dtls-openssl",
            Self::GnuTls => "dtls-gnutls",
            Self::MbedTls => "dtls-mbedtls",
            Self::Pion => "dtls-pion",
        }
    }

    pub(super) const fn has(self, suite: &Suite) -> bool {
        match self {
            Self::OpenSsl => !suite.openssl.is_empty(),
            Self::GnuTls => !suite.gnutls.is_empty(),
            Self::MbedTls => !suite.mbedtls.is_empty(),
            Self::Pion => suite.pion,
        }
    }
}

impl Library {
    /// Whether its server does; pion's breaks off where ECDHE stands with a shared key, which its client does not.
    pub(super) fn serves(self, suite: &Suite) -> bool {
        self != Self::GnuTls
            && self.has(suite)
            && !(self == Self::Pion && suite.short.starts_with("ecdhe-psk"))
    }
}

/// One end of a session that a foreign library plays.
pub(super) struct End<'a> {
    pub(super) world: &'a World,
    pub(super) keys: &'a Keys,
    pub(super) library: Library,
    pub(super) suite: &'a Suite,
    /// The PSK identity, or the name of the device's certificate files.
    pub(super) who: &'a str,
    /// More flags, as the program takes them.
    pub(super) more: &'a [&'a str],
}

impl End<'_> {
    fn log(&self, role: &str) -> PathBuf {
        self.world.program.logs.join(format!("{}-{role}-{}.log", self.library.name(), self.who))
    }

    fn pem(&self, files: &str) -> [String; 3] {
        [format!("{files}.crt"), format!("{files}.key"), "ca.crt".to_owned()]
            .map(|file| self.keys.path(&file))
    }

    fn openssl(&self, role: &str, files: &str) -> Command {
        let mut command = Command::new("openssl");
        command.args([role, "-dtls1_2", "-quiet", "-cipher", &format!("{}:@SECLEVEL=0", self.suite.openssl)]);
        if self.suite.psk {
            command.args(["-psk", KEY]);
        } else {
            let [certificate, key, trust] = self.pem(files);
            command.args(["-cert", &certificate, "-key", &key, "-CAfile", &trust, "-verify_return_error"]);
        }
        command
    }

    fn gnutls(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let kept = "NONE:+VERS-DTLS1.2:+COMP-NULL:+SIGN-ECDSA-SHA256:+GROUP-SECP256R1:+CTYPE-X509";
        command.args(["--udp", "--priority", &format!("{kept}:{}", self.suite.gnutls)]);
        command
    }

    fn lines(&self, role: &str, address: &str, files: &str) -> Result<Command, String> {
        let mut command = if self.library == Library::Pion {
            let mut command = Command::new(tools::pion_peer(&self.world.folders)?);
            command.args([role, address]).arg(format!("suite={}", self.suite.number));
            command
        } else {
            let mut command = Command::new(tools::mbedtls_peer(&self.world.folders)?);
            let port = address.rsplit(':').next().unwrap_or_default();
            command.args([role, port]).arg(format!("suite={}", self.suite.mbedtls));
            command
        };
        if self.suite.psk {
            command.arg(format!("psk={}:{KEY}", self.who));
        } else {
            let [certificate, key, trust] = self.pem(files);
            command.args([format!("cert={certificate}"), format!("key={key}"), format!("trust={trust}")]);
            command.arg(format!("name={SERVER_NAME}"));
        }
        command.args(self.more);
        Ok(command)
    }

    /// A client of `server`.
    pub(super) fn client(&self, server: &str) -> Result<Tunnel, String> {
        let log = self.log("client");
        match self.library {
            Library::OpenSsl => {
                let mut command = self.openssl("s_client", self.who);
                command.args(["-connect", server]);
                if self.suite.psk {
                    command.args(["-psk_identity", self.who]);
                }
                Tunnel::bytes(with(command, self.more), &log)
            }
            Library::GnuTls => {
                let mut command = self.gnutls("gnutls-cli");
                command.arg(format!("--logfile={}", self.log("said").display()));
                let (host, port) = server.rsplit_once(':').ok_or("an address without port")?;
                command.args([host, "-p", port]);
                if self.suite.psk {
                    command.args(["--pskusername", self.who, "--pskkey", KEY]);
                } else {
                    let [certificate, key, trust] = self.pem(self.who);
                    command.args(["--x509certfile", &certificate, "--x509keyfile", &key]);
                    command.args(["--x509cafile", &trust, "--verify-hostname", SERVER_NAME]);
                }
                Tunnel::bytes(with(command, self.more), &log)
            }
            Library::MbedTls | Library::Pion => {
                Tunnel::lines(self.lines("client", server, self.who)?, &log, "established")
            }
        }
    }

    /// A server at that port of loopback.
    pub(super) fn server(&self, port: u16) -> Result<Tunnel, String> {
        let log = self.log("server");
        let at = format!("127.0.0.1:{port}");
        match self.library {
            Library::OpenSsl => {
                let mut command = self.openssl("s_server", "server");
                command.args(["-accept", &at, "-listen"]);
                command.args(if self.suite.psk { &["-nocert"][..] } else { &["-Verify", "3"] });
                let tunnel = Tunnel::bytes(with(command, self.more), &log)?;
                await_port(tunnel.id(), port).map(|()| tunnel)
            }
            Library::GnuTls => Err("gnutls-serv only echoes".to_owned()),
            Library::MbedTls | Library::Pion => {
                Tunnel::lines(self.lines("server", &at, "server")?, &log, "ready")
            }
        }
    }
}

fn with(mut command: Command, more: &[&str]) -> Command {
    command.args(more);
    command
}
