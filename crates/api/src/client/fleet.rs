//! The fleet as a whole, for the typed client.

use std::io::Read;

use super::{Client, ClientError, at, percent, with_query};
use crate::endpoint::Endpoints;
use crate::fleet::{Bulk, BulkOrder, BulkPreview, Bulks, Fleet, KnownValues, Rates};

/// Which devices of a list, and how; the default leaves it to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// The conditions, such as `state:asleep firmware:1.2`.
    pub filter: Option<String>,
    /// Resources whose last known values are shown, separated by commas.
    pub columns: Option<String>,
    /// `name`, `updated`, `-updated`, `registered` or `-registered`.
    pub sort: Option<String>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Devices a page.
    pub limit: Option<u32>,
    /// Also say how many there are in all.
    pub count: bool,
}

impl Client {
    /// One page of registered devices, in the order of names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn endpoints(&self, filter: Option<&str>, cursor: Option<&str>) -> Result<Endpoints, ClientError> {
        let [filter, cursor] = [filter, cursor].map(|text| text.map(str::to_owned));
        self.list(&ListOptions { filter, cursor, ..ListOptions::default() })
    }

    /// One page of registered devices, with all that can be chosen.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn list(&self, which: &ListOptions) -> Result<Endpoints, ClientError> {
        self.get(&list(which, None))
    }

    /// All that the options choose as a table, as it comes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn endpoints_table(&self, which: &ListOptions) -> Result<impl Read + use<>, ClientError> {
        let response = self.call("GET", &list(which, Some("csv")), &[])?;
        Ok(response.into_body().into_reader())
    }

    /// The fleet as a whole.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn fleet(&self) -> Result<Fleet, ClientError> {
        self.get("/api/v1/fleet")
    }

    /// What happened in the last minutes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rates(&self, minutes: u32) -> Result<Rates, ClientError> {
        self.get(&format!("/api/v1/fleet/rates?minutes={minutes}"))
    }

    /// How many devices a bulk operation would be asked of.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn preview_bulk(&self, order: &BulkOrder) -> Result<BulkPreview, ClientError> {
        self.send("POST", "/api/v1/bulk?dry_run=true", order)
    }

    /// Begins a bulk operation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn start_bulk(&self, order: &BulkOrder) -> Result<Bulk, ClientError> {
        self.send("POST", "/api/v1/bulk", order)
    }

    /// The last bulk operations.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bulks(&self) -> Result<Bulks, ClientError> {
        self.get("/api/v1/bulk")
    }

    /// One bulk operation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bulk(&self, id: &str) -> Result<Bulk, ClientError> {
        self.get(&format!("/api/v1/bulk/{}", percent(id)))
    }

    /// Cancels a bulk operation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cancel_bulk(&self, id: &str) -> Result<Bulk, ClientError> {
        self.empty("DELETE", &format!("/api/v1/bulk/{}", percent(id)))
    }

    /// What the server has heard last of a device, at and below a path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn values(&self, endpoint: &str, path: Option<&str>) -> Result<KnownValues, ClientError> {
        self.get(&with_query(&at(endpoint, "/values"), [("path", path)]))
    }
}

fn list(which: &ListOptions, format: Option<&str>) -> String {
    let limit = which.limit.map(|limit| limit.to_string());
    let query = [
        ("filter", which.filter.as_deref()),
        ("columns", which.columns.as_deref()),
        ("sort", which.sort.as_deref()),
        ("cursor", which.cursor.as_deref()),
        ("limit", limit.as_deref()),
        ("count", which.count.then_some("true")),
        ("format", format),
    ];
    with_query("/api/v1/endpoints", query)
}
