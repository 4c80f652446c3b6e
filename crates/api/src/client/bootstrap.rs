//! Calls about bootstrap.

use super::{Client, ClientError, percent, with_query};
use crate::bootstrap::{
    BootstrapDocument, BootstrapEntries, BootstrapPlan, BootstrapSessions, BootstrapTemplate,
    BootstrapTemplates,
};

impl Client {
    /// One page of devices that have a bootstrap document, or have asked for one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap_list(
        &self,
        filter: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<BootstrapEntries, ClientError> {
        self.get(&with_query("/api/v1/bootstrap", [("filter", filter), ("cursor", cursor)]))
    }

    /// What a device is bootstrapped with.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap(&self, endpoint: &str) -> Result<BootstrapDocument, ClientError> {
        self.get(&of(endpoint, ""))
    }

    /// Says what a device is bootstrapped with; the document comes back as it is kept, without secrets.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn put_bootstrap(
        &self,
        endpoint: &str,
        document: &BootstrapDocument,
    ) -> Result<BootstrapDocument, ClientError> {
        self.send("PUT", &of(endpoint, ""), document)
    }

    /// Takes a device's bootstrap document away.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete_bootstrap(&self, endpoint: &str) -> Result<(), ClientError> {
        self.call("DELETE", &of(endpoint, ""), &[]).map(drop)
    }

    /// What would be sent to a device, for a device of that version that prefers that format.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap_plan(
        &self,
        endpoint: &str,
        format: Option<&str>,
        version: Option<&str>,
    ) -> Result<BootstrapPlan, ClientError> {
        self.get(&with_query(&of(endpoint, "/plan"), [("format", format), ("version", version)]))
    }

    /// A device's last bootstrap sessions, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap_sessions(&self, endpoint: &str) -> Result<BootstrapSessions, ClientError> {
        self.get(&of(endpoint, "/sessions"))
    }

    /// All templates.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap_templates(&self) -> Result<BootstrapTemplates, ClientError> {
        self.get("/api/v1/bootstrap-templates")
    }

    /// One template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bootstrap_template(&self, name: &str) -> Result<BootstrapTemplate, ClientError> {
        self.get(&template(name))
    }

    /// Keeps a template; it comes back as it is kept, without secrets.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn put_bootstrap_template(
        &self,
        name: &str,
        shape: &BootstrapTemplate,
    ) -> Result<BootstrapTemplate, ClientError> {
        self.send("PUT", &template(name), shape)
    }

    /// Takes a template away.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete_bootstrap_template(&self, name: &str) -> Result<(), ClientError> {
        self.call("DELETE", &template(name), &[]).map(drop)
    }
}

fn of(endpoint: &str, rest: &str) -> String {
    format!("/api/v1/bootstrap/{}{rest}", percent(endpoint))
}

fn template(name: &str) -> String {
    format!("/api/v1/bootstrap-templates/{}", percent(name))
}
