//! Addresses about credentials and secure sessions.

use super::{Answer, Body, Query, Route, query, route};

const OF_SERVER: &str = "/api/v1/credentials/{endpoint}";
const OF_BOOTSTRAP: &str = "/api/v1/bootstrap/{endpoint}/credential";
const PAGE: &[Query] = &[
    query("filter", "string", "Only devices whose name contains this."),
    query("limit", "integer", "Devices in a page, 1 to 1000; default 100."),
    query("cursor", "string", "The `next` of the page before."),
];

pub(super) const LIST: Route = list(
    "/api/v1/credentials",
    "listCredentials",
    "Lists how devices may prove to the LwM2M Server who they are, without keys.",
);
pub(super) const GET: Route = get(
    OF_SERVER,
    "getCredentials",
    "Shows how a device may prove to the LwM2M Server who it is, without its key.",
);
pub(super) const PUT: Route = put(
    OF_SERVER,
    "putCredentials",
    "Says how a device may prove to the LwM2M Server who it is; sessions that used what it had before end at once.",
);
pub(super) const DELETE: Route = delete(
    OF_SERVER,
    "deleteCredentials",
    "Takes a device's credential away; its session and its registration end at once.",
);
pub(super) const IMPORT: Route = import(
    "/api/v1/credentials/import",
    "importCredentials",
    "Says of many devices how they may prove to the LwM2M Server who they are: a table with a column for each member of Credential, of which endpoint and mode must be there. Rows that are wrong are told, and nothing of them is kept.",
);
pub(super) const LIST_BOOTSTRAP: Route = list(
    "/api/v1/bootstrap-credentials",
    "listBootstrapCredentials",
    "Lists how devices may prove to the Bootstrap-Server who they are, without keys.",
);
pub(super) const GET_BOOTSTRAP: Route = get(
    OF_BOOTSTRAP,
    "getBootstrapCredential",
    "Shows how a device may prove to the Bootstrap-Server who it is, without its key.",
);
pub(super) const PUT_BOOTSTRAP: Route = put(
    OF_BOOTSTRAP,
    "putBootstrapCredential",
    "Says how a device may prove to the Bootstrap-Server who it is: a set of its own, apart from that of the LwM2M Server.",
);
pub(super) const DELETE_BOOTSTRAP: Route = delete(
    OF_BOOTSTRAP,
    "deleteBootstrapCredential",
    "Takes a device's credential for the Bootstrap-Server away; its session ends at once.",
);

pub(super) const IMPORT_BOOTSTRAP: Route = import(
    "/api/v1/bootstrap-credentials/import",
    "importBootstrapCredentials",
    "Says of many devices how they may prove to the Bootstrap-Server who they are, by the same table.",
);

pub(super) const EXPLAIN: Route = route(
    "POST",
    "/api/v1/certificates/explain",
    "explainCertificate",
    "Says what certificates (PEM, a chain the device's own first, or DER) or a bare public key (PEM, DER, or hex) mean, and warns of what will not work; keeps nothing, and refuses private keys.",
    Body::Certificates,
    Answer::Json("Explanation"),
)
.with(
    &[query("endpoint", "string", "The device that is to prove itself with the first: warns if it does not stand for it.")],
    &[400, 401, 403, 413, 415],
);
pub(super) const CERTIFICATE: Route = route(
    "GET",
    "/api/v1/endpoints/{endpoint}/certificate",
    "getEndpointCertificate",
    "Says what the certificate means by which a device is known now, or which its credential names.",
    Body::Nothing,
    Answer::Json("Explanation"),
)
.with(&[], &[400, 401, 403, 404, 503]);

pub(super) const HANDSHAKES: Route = route(
    "GET",
    "/api/v1/endpoints/{endpoint}/handshakes",
    "listHandshakes",
    "Lists a device's last handshakes and how their sessions ended, newest first, also those before a restart, and what failed in its \
     name; the device need not be registered.",
    Body::Nothing,
    Answer::Json("Handshakes"),
)
.with(&[], &[400, 401, 403]);
pub(super) const FAILURES: Route = route(
    "GET",
    "/api/v1/security/failures",
    "listSecurityFailures",
    "Lists the last handshakes of anybody that came to nothing, with the reasons, newest first.",
    Body::Nothing,
    Answer::Json("Handshakes"),
);
pub(super) const OVERVIEW: Route = route(
    "GET",
    "/api/v1/security",
    "getSecurity",
    "Shows how the server secures its sessions: cipher suites, its own public keys and certificates, trusted authorities.",
    Body::Nothing,
    Answer::Json("SecurityOverview"),
);

const fn list(path: &'static str, operation: &'static str, summary: &'static str) -> Route {
    route("GET", path, operation, summary, Body::Nothing, Answer::Json("Credentials"))
        .with(PAGE, &[400, 401, 403, 503])
}

const fn get(path: &'static str, operation: &'static str, summary: &'static str) -> Route {
    route("GET", path, operation, summary, Body::Nothing, Answer::Json("Credential"))
        .with(&[], &[400, 401, 403, 404, 503])
}

const fn put(path: &'static str, operation: &'static str, summary: &'static str) -> Route {
    route("PUT", path, operation, summary, Body::Json("Credential"), Answer::Created("Credential"))
        .with(&[], &[400, 401, 403, 409, 413, 415, 503])
}

const fn import(path: &'static str, operation: &'static str, summary: &'static str) -> Route {
    const DRY_RUN: &[Query] =
        &[query("dry_run", "boolean", "Keeps nothing; only says what would come of each row.")];
    route("POST", path, operation, summary, Body::Csv, Answer::Json("CredentialImport"))
        .with(DRY_RUN, &[400, 401, 403, 413, 415, 503])
}

const fn delete(path: &'static str, operation: &'static str, summary: &'static str) -> Route {
    route("DELETE", path, operation, summary, Body::Nothing, Answer::Nothing)
        .with(&[], &[400, 401, 403, 404, 503])
}
