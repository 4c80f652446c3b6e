//! Calls about who may do what.

use super::{Client, ClientError};
use crate::access::Caller;

impl Client {
    /// Who the server takes us for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn session(&self) -> Result<Caller, ClientError> {
        self.get("/api/v1/session")
    }
}
