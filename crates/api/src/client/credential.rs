//! Calls about credentials.

use super::{Client, ClientError, json, nonsense, percent, with_query};
use crate::credential::{Credential, Credentials};
use crate::import::CredentialImport;

/// For which server devices have their credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSet {
    /// For the LwM2M Server.
    Server,
    /// For the Bootstrap-Server.
    Bootstrap,
}

impl Client {
    /// One page of credentials, without their keys.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn credentials(
        &self,
        set: CredentialSet,
        filter: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Credentials, ClientError> {
        let path = match set {
            CredentialSet::Server => "/api/v1/credentials",
            CredentialSet::Bootstrap => "/api/v1/bootstrap-credentials",
        };
        self.get(&with_query(path, [("filter", filter), ("cursor", cursor)]))
    }

    /// How a device may prove who it is, without its key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn credential(&self, set: CredentialSet, endpoint: &str) -> Result<Credential, ClientError> {
        self.get(&of(set, endpoint))
    }

    /// Says how a device may prove who it is; it comes back as it is kept, without its key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn put_credential(
        &self,
        set: CredentialSet,
        endpoint: &str,
        credential: &Credential,
    ) -> Result<Credential, ClientError> {
        self.send("PUT", &of(set, endpoint), credential)
    }

    /// Keeps the credentials of a table (CSV), row by row; with `dry_run` it is only said what would come of each.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn import_credentials(
        &self,
        set: CredentialSet,
        table: &[u8],
        dry_run: bool,
    ) -> Result<CredentialImport, ClientError> {
        let path = match set {
            CredentialSet::Server => "/api/v1/credentials/import",
            CredentialSet::Bootstrap => "/api/v1/bootstrap-credentials/import",
        };
        let address = with_query(path, [("dry_run", dry_run.then_some("true"))]);
        let request = self.head("POST", &address).header("content-type", "text/csv").body(table);
        json(self.checked(self.agent.run(request.map_err(nonsense)?))?)
    }

    /// Takes a device's credential away, and ends its sessions.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete_credential(&self, set: CredentialSet, endpoint: &str) -> Result<(), ClientError> {
        self.call("DELETE", &of(set, endpoint), &[]).map(drop)
    }
}

fn of(set: CredentialSet, endpoint: &str) -> String {
    match set {
        // The plain word is where tables go.
        CredentialSet::Server if endpoint == "import" => "/api/v1/credentials/%69mport".to_owned(),
        CredentialSet::Server => format!("/api/v1/credentials/{}", percent(endpoint)),
        CredentialSet::Bootstrap => format!("/api/v1/bootstrap/{}/credential", percent(endpoint)),
    }
}
