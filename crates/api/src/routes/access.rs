//! Addresses about who may do what, and who did.

use super::{Answer, Body, Query, Route, query, route};

const FROM: Query = query(
    "from",
    "string",
    "Only what came at this moment or later: RFC 3339, or a span such as 24h for so long ago.",
);
const TO: Query = query("to", "string", "Only what came before this moment, likewise.");
const LIMIT: Query = query("limit", "integer", "Entries a page, 1 to 1000; default 100.");
const CURSOR: Query = query("cursor", "string", "The `next` of the page before.");
const ACTOR: Query = query("actor", "string", "Only what was done with the token of this name.");

pub(super) const SESSION: Route = route(
    "GET",
    "/api/v1/session",
    "getSession",
    "Shows who the caller is and what it may do.",
    Body::Nothing,
    Answer::Json("Caller"),
);
pub(super) const TOKENS: Route = route(
    "GET",
    "/api/v1/tokens",
    "listTokens",
    "Lists tokens, without their secrets.",
    Body::Nothing,
    Answer::Json("Tokens"),
);
pub(super) const MAKE: Route = route(
    "POST",
    "/api/v1/tokens",
    "createToken",
    "Makes a token; its secret is in this answer and nowhere else.",
    Body::Json("NewToken"),
    Answer::Created("MadeToken"),
)
.with(&[], &[400, 401, 403, 409, 413, 415, 503]);
pub(super) const TAKE_AWAY: Route = route(
    "DELETE",
    "/api/v1/tokens/{id}",
    "deleteToken",
    "Takes a token away; what was opened with it ends at once.",
    Body::Nothing,
    Answer::Nothing,
)
.with(&[], &[401, 403, 404, 503]);
pub(super) const AUDIT: Route = route(
    "GET",
    "/api/v1/audit",
    "listAudit",
    "Lists who changed what, newest first, and who was refused.",
    Body::Nothing,
    Answer::Json("Audit"),
)
.with(
    &[query("endpoint", "string", "Only what was about this device."), ACTOR, FROM, TO, LIMIT, CURSOR],
    &[400, 401, 403, 503],
);
pub(super) const AUDIT_OF: Route = route(
    "GET",
    "/api/v1/endpoints/{endpoint}/audit",
    "listEndpointAudit",
    "Lists who changed what about a device, newest first; the device need not be registered.",
    Body::Nothing,
    Answer::Json("Audit"),
)
.with(&[ACTOR, FROM, TO, LIMIT, CURSOR], &[400, 401, 403, 503]);
