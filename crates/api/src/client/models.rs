//! Object definitions.

use super::{Client, ClientError, json, nonsense, with_query};
use crate::model::{Model, ModelCheck, ModelDevices, ModelDiff, Models};

impl Client {
    /// The object definitions that the server knows; with a text only those that have it in ID, name or URN, or in the name of a
    /// Resource.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn models(&self, text: Option<&str>) -> Result<Models, ClientError> {
        self.get(&with_query("/api/v1/models", [("q", text)]))
    }

    /// One object definition, by default in its newest version.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn model(&self, object: u16, version: Option<&str>) -> Result<Model, ClientError> {
        self.get(&with_query(&format!("/api/v1/models/{object}"), [("version", version)]))
    }

    /// What differs between two versions of an Object, the second by default the newest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn model_diff(&self, object: u16, from: &str, to: Option<&str>) -> Result<ModelDiff, ClientError> {
        self.get(&with_query(&format!("/api/v1/models/{object}/diff"), [("from", Some(from)), ("to", to)]))
    }

    /// A page of the registered devices that have an Object.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn model_devices(
        &self,
        object: u16,
        version: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<ModelDevices, ClientError> {
        let address = format!("/api/v1/models/{object}/devices");
        self.get(&with_query(&address, [("version", version), ("cursor", cursor)]))
    }

    /// Loads object definitions from OMA XML.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn add_model(&self, xml: &[u8]) -> Result<Models, ClientError> {
        self.post_xml("/api/v1/models", xml)
    }

    /// What would be wrong with object definitions from OMA XML; loads nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn check_model(&self, xml: &[u8]) -> Result<ModelCheck, ClientError> {
        self.post_xml("/api/v1/models?dry_run=true", xml)
    }

    /// Takes away an object definition that was loaded.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete_model(&self, object: u16, version: &str) -> Result<(), ClientError> {
        let address = with_query(&format!("/api/v1/models/{object}"), [("version", Some(version))]);
        self.call("DELETE", &address, &[]).map(drop)
    }

    fn post_xml<T: serde::de::DeserializeOwned>(&self, address: &str, xml: &[u8]) -> Result<T, ClientError> {
        let request = self.head("POST", address).header("content-type", "application/xml").body(xml);
        json(self.checked(self.agent.run(request.map_err(nonsense)?))?)
    }
}
