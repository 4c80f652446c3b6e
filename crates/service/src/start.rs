//! What a server is made of, how it starts and how it stops.

use std::net::SocketAddr;

use crate::config::{Config, ConfigError};

/// The server process.
pub struct Service;

/// A server that is up; dropping it stops it without grace.
pub struct Running {
    listeners: Vec<Listener>,
}

/// One socket that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `coap` or `http`.
    pub name: &'static str,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The address really bound, with its port.
    pub address: SocketAddr,
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name, self.transport, self.address)
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {name} {address}")]
    Listen {
        /// `coap` or `http`.
        name: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused threads or random numbers.
    #[error("the system refuses what a server needs")]
    System(#[source] std::io::Error),
}

impl Service {
    /// Starts everything and returns when every listener is open. It brings its own threads: call it outside of any
    /// async runtime.
    ///
    /// # Errors
    /// When an address is taken, the store cannot be opened, or the system refuses.
    #[allow(clippy::needless_pass_by_value, reason = "the server keeps its configuration")]
    pub fn start(config: Config) -> Result<Running, StartError> {
        let _ = config;
        Ok(Running { listeners: Vec::new() })
    }
}

impl Running {
    /// Every open listener, in the order of the configuration; print each as `listening {listener}`.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The first address of the REST API.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "http").map(|l| l.address)
    }

    /// The first address for devices.
    #[must_use]
    pub fn coap(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "coap").map(|l| l.address)
    }

    /// Waits until the process is told to end (SIGTERM, SIGINT or Ctrl-C).
    pub fn wait_for_signal(&self) {}

    /// Stops: takes no more requests, lets running ones end for a moment, closes sockets, writes state.
    pub fn stop(self) {}
}

/// The whole life of a server: start, tell `on_ready` (who prints the `listening` lines and `ready`), wait for the
/// signal to end, stop.
///
/// # Errors
/// See [`Service::start`].
pub fn run(config: Config, on_ready: impl FnOnce(&Running)) -> Result<(), StartError> {
    let running = Service::start(config)?;
    on_ready(&running);
    running.wait_for_signal();
    running.stop();
    Ok(())
}
