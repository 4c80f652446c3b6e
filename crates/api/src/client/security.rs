//! Calls about secure sessions.

use super::{Client, ClientError, at, json, nonsense, with_query};
use crate::certificate::Explanation;
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

    /// What certificates or a public key mean, in PEM or DER; with a device, whether they stand for it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn explain_certificate(
        &self,
        file: &[u8],
        endpoint: Option<&str>,
    ) -> Result<Explanation, ClientError> {
        let address = with_query("/api/v1/certificates/explain", [("endpoint", endpoint)]);
        let request =
            self.head("POST", &address).header("content-type", "application/octet-stream").body(file);
        json(self.checked(self.agent.run(request.map_err(nonsense)?))?)
    }

    /// What the certificate means by which a device is known now, or which its credential names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn endpoint_certificate(&self, endpoint: &str) -> Result<Explanation, ClientError> {
        self.get(&at(endpoint, "/certificate"))
    }
}
