//! Calls about who may do what, and who did.

use super::{Client, ClientError, at, percent, with_query};
use crate::access::Caller;
use crate::audit::Audit;
use crate::token::{MadeToken, NewToken, Tokens};

/// Which entries; the default: all, page by page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditOptions {
    /// Only those about this device.
    pub endpoint: Option<String>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only from this moment on: RFC 3339, or a span such as `24h` for so long ago.
    pub from: Option<String>,
    /// Only before this moment, likewise.
    pub to: Option<String>,
    /// Entries a page.
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

impl Client {
    /// Who the server takes us for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn session(&self) -> Result<Caller, ClientError> {
        self.get("/api/v1/session")
    }

    /// Tokens, without their secrets.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn tokens(&self) -> Result<Tokens, ClientError> {
        self.get("/api/v1/tokens")
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn create_token(&self, token: &NewToken) -> Result<MadeToken, ClientError> {
        self.send("POST", "/api/v1/tokens", token)
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete_token(&self, id: &str) -> Result<(), ClientError> {
        self.call("DELETE", &format!("/api/v1/tokens/{}", percent(id)), &[]).map(drop)
    }

    /// One page of who changed what, newest first; of one device where one is named.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn audit(&self, which: &AuditOptions) -> Result<Audit, ClientError> {
        let limit = which.limit.map(|limit| limit.to_string());
        let query = [
            ("actor", which.actor.as_deref()),
            ("from", which.from.as_deref()),
            ("to", which.to.as_deref()),
            ("limit", limit.as_deref()),
            ("cursor", which.cursor.as_deref()),
        ];
        // A device's own list is for everybody who may look at all.
        let address = match &which.endpoint {
            Some(endpoint) => at(endpoint, "/audit"),
            None => "/api/v1/audit".to_owned(),
        };
        self.get(&with_query(&address, query))
    }
}
