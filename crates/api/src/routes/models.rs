//! Addresses of object definitions.

use super::{Answer, Body, Query, Route, query, route};

const ONE: &str = "/api/v1/models/{objectId}";
const VERSION: Query = query("version", "string", "Version of the Object; default the newest known.");

pub(super) const LIST: Route = route(
    "GET",
    "/api/v1/models",
    "listModels",
    "Lists object definitions.",
    Body::Nothing,
    Answer::Json("Models"),
)
.with(
    &[query(
        "q",
        "string",
        "Only those with this text in their ID, name or URN, or in the name of a Resource.",
    )],
    &[400, 401, 403],
);

pub(super) const ADD: Route = route(
    "POST",
    "/api/v1/models",
    "addModel",
    "Loads object definitions (OMA XML), all of a document or none; with `dry_run=true` it only says what would be wrong with them (ModelCheck).",
    Body::Xml,
    Answer::CreatedOr("Models", "ModelCheck"),
)
.with(
    &[query("dry_run", "boolean", "Loads nothing; the answer is 200 with a ModelCheck.")],
    &[400, 401, 403, 409, 413, 415, 503],
);

pub(super) const SHOW: Route =
    route("GET", ONE, "getModel", "Shows one object definition.", Body::Nothing, Answer::Json("Model"))
        .with(&[VERSION], &[400, 401, 403, 404]);

pub(super) const DELETE: Route = route(
    "DELETE",
    ONE,
    "deleteModel",
    "Takes away an object definition that was loaded by POST; built-in ones and those of `models.folder` stay.",
    Body::Nothing,
    Answer::Nothing,
)
.with(
    &[query("version", "string", "Version of the Object, required.")],
    &[400, 401, 403, 404, 409, 503],
);

pub(super) const DIFF: Route = route(
    "GET",
    "/api/v1/models/{objectId}/diff",
    "diffModel",
    "Compares two versions of an Object.",
    Body::Nothing,
    Answer::Json("ModelDiff"),
)
.with(
    &[
        query("from", "string", "The version to compare, required."),
        query("to", "string", "The version to compare it with; default the newest known."),
    ],
    &[400, 401, 403, 404],
);

pub(super) const DEVICES: Route = route(
    "GET",
    "/api/v1/models/{objectId}/devices",
    "listModelDevices",
    "Lists the registered devices that have an Object, and counts them by its version.",
    Body::Nothing,
    Answer::Json("ModelDevices"),
)
.with(
    &[
        query("version", "string", "Only devices with this version; the counts are of all."),
        query("limit", "integer", "At most so many devices, 1 to 1000; default 100."),
        query("cursor", "string", "The `next` of the page before."),
    ],
    &[400, 401, 403, 503],
);
