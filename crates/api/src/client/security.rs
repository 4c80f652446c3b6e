//! Calls about secure sessions.

use super::{Client, ClientError, at};
use crate::security::{Handshakes, SecurityOverview};

impl Client {
    /// A device's last handshakes, newest first; it need not be registered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn handshakes(&self, endpoint: &str) -> Result<Handshakes, ClientError> {
        self.get(&at(endpoint, "/handshakes"))
    }

    /// The last handshakes of anybody that came to nothing, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn security_failures(&self) -> Result<Handshakes, ClientError> {
        self.get("/api/v1/security/failures")
    }

    /// How the server secures its sessions.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn security(&self) -> Result<SecurityOverview, ClientError> {
        self.get("/api/v1/security")
    }
}
