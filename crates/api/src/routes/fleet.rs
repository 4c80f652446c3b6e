//! Addresses of the fleet as a whole.

use super::{Answer, Body, Query, Route, query, route};

const FILTER: Query = query(
    "filter",
    "string",
    "Which devices: conditions with blanks between, all of which hold. A word alone is a part of the name. `state:awake|asleep|late` `state:lost` (not registered any more; alone such are then listed) `lost<2d` `lwm2m:1.1` `binding:U` `security:psk` `queue:true` `object:3303` `lifetime>3600` `updated<10m` `registered>2d` `address:10.0.0.0/8`; by last known values `firmware:1.2` `model:` `manufacturer:` `serial:` `battery<20` `hardware:` `software:` or any Resource, as `/3303/0/5700>25`. `-` in front turns a condition round, `*` stands for any letters of a value, quotation marks keep blanks.",
);
const COLUMNS: Query = query(
    "columns",
    "string",
    "Resources or Resource Instances, separated by commas, such as `/3/0/3,/3/0/9`: their last known values come as `values` with each device.",
);
const SORT: Query = query(
    "sort",
    "string",
    "`name` (default), `updated` or `registered` with the latest first, `-updated` or `-registered` with the earliest first; or a Resource such as `/3/0/9`, whose last known values are then the order, numbers as such, `-/3/0/9` with the largest first, and devices of which none is known last.",
);

pub(super) const LIST: Route = route(
    "GET",
    "/api/v1/endpoints",
    "listEndpoints",
    "Lists registered devices.",
    Body::Nothing,
    Answer::JsonOrCsv("Endpoints"),
)
.with(
    &[
        FILTER,
        COLUMNS,
        SORT,
        query(
            "limit",
            "integer",
            "Devices a page, 1 to 1000; default 100. As CSV: devices at most; default all.",
        ),
        query("cursor", "string", "The `next` of the page before."),
        query(
            "offset",
            "integer",
            "Begin after so many devices that the filter holds for; not with `cursor`.",
        ),
        query("count", "boolean", "Also give `total`, the number of all that the filter holds for."),
        query("format", "string", "`json` or `csv`; default: what `Accept` says."),
    ],
    &[400, 401, 403, 503],
);

pub(super) const VALUES: Route = route(
    "GET",
    "/api/v1/endpoints/{endpoint}/values",
    "listValues",
    "Lists what the server has heard last of each Resource of a device: by notifications, by Send, by its own reads and writes; also of a device that is not registered now.",
    Body::Nothing,
    Answer::Json("KnownValues"),
)
.with(&[query("path", "string", "Only at and below this path.")], &[400, 401, 403, 404, 503]);

pub(super) const FLEET: Route = route(
    "GET",
    "/api/v1/fleet",
    "getFleet",
    "Counts the fleet: how many are registered, awake, asleep, late, lost, of which versions and kinds; which send the most, and who was refused.",
    Body::Nothing,
    Answer::Json("Fleet"),
)
.with(&[], &[401, 403, 503]);

pub(super) const RATES: Route = route(
    "GET",
    "/api/v1/fleet/rates",
    "getRates",
    "Shows how often things happened over time: registrations, updates, notifications, handshakes, operations, failures by reason.",
    Body::Nothing,
    Answer::Json("Rates"),
)
.with(
    &[query("minutes", "integer", "How far back, 1 to 10080; default 60. Steps are of 10 s up to an hour, of 60 s up to a day, of 600 s up to a week.")],
    &[400, 401, 403],
);

pub(super) const START: Route = route(
    "POST",
    "/api/v1/bulk",
    "startBulk",
    "Asks one operation of all devices that a filter holds for, as durable commands: 202, and `Location` says where to look how it goes.",
    Body::Json("BulkOrder"),
    Answer::BegunOr("Bulk", "BulkPreview"),
)
.with(
    &[query("dry_run", "boolean", "Only say how many devices it would be asked of, and the first of them: that a viewer may ask too.")],
    &[400, 401, 403, 413, 415, 422, 503],
);

pub(super) const BULKS: Route = route(
    "GET",
    "/api/v1/bulk",
    "listBulks",
    "Lists bulk operations, the newest first.",
    Body::Nothing,
    Answer::Json("Bulks"),
);

pub(super) const BULK: Route = route(
    "GET",
    "/api/v1/bulk/{id}",
    "getBulk",
    "Shows a bulk operation: how many of its commands wait, were sent, are done, have failed and why.",
    Body::Nothing,
    Answer::Json("Bulk"),
)
.with(&[], &[401, 403, 404]);

pub(super) const CANCEL: Route = route(
    "DELETE",
    "/api/v1/bulk/{id}",
    "cancelBulk",
    "Cancels a bulk operation: no more commands are made, and those that wait are taken back.",
    Body::Nothing,
    Answer::Json("Bulk"),
)
.with(&[], &[401, 403, 404, 409, 503]);
