//! Query parameters that several addresses share.

use super::Query;

/// One parameter, in the order of [`Query`]'s fields.
pub(super) const fn query(name: &'static str, kind: &'static str, about: &'static str) -> Query {
    Query { name, kind, about }
}

const FORMAT: Query = query(
    "format",
    "string",
    "Content format: text opaque cbor tlv json senml-json senml-cbor lwm2m-cbor; default: the best the device is known to speak.",
);
const WAIT: Query = query(
    "wait",
    "string",
    "How long to wait for the device, such as 30s, 500ms or 2m; default 10s when it is awake, 0s (409 at once) when it is asleep. Not with `queue`.",
);
const QUEUE: Query = query(
    "queue",
    "boolean",
    "Make it a durable command: it waits for the device, is sent in its turn, and the answer is 202 at once.",
);
const NOT_AFTER: Query = query(
    "not_after",
    "string",
    "With `queue`: when to give it up, as a span such as 24h or a moment of RFC 3339; default 7 days.",
);
const PRIORITY: Query = query(
    "priority",
    "integer",
    "With `queue`: from -100 to 100, default 0; of one device, commands of a higher priority are sent first, those of one priority in the order they came.",
);
const ATTEMPTS: Query = query(
    "attempts",
    "integer",
    "With `queue`: how often it may be sent, 1 to 1000; default: until `not_after`. What would change something a second time is sent once in any case.",
);
const RETRY_AFTER: Query = query(
    "retry_after",
    "string",
    "With `queue`: the pause after an attempt that brought no answer (or 5.03, 4.29), from 1s to 7d; default 60s. It doubles each time, to an hour at most, and ends when the device wakes or registers anew.",
);
const SUPERSEDE: Query = query(
    "supersede",
    "boolean",
    "With `queue`: commands that still wait give way to this one if it does again all that they do: a write to a write of the same values, anything else to the same operation on the same target.",
);
const RAW: Query = query("raw", "boolean", "Also give the payload as it came.");
const CHECK: Query = query(
    "check",
    "string",
    "What is compared with the object definitions before anything is sent: `values` (default: types, ranges, and Objects that no server may address), `operations` (also whether the Resource has the operation), `none`.",
);
const FALLBACK: Query = query(
    "fallback",
    "boolean",
    "Where the device refuses: read the paths one by one (Read-Composite), or attach the attributes by Write-Attributes first (Observe-Composite).",
);
pub(super) const DOWNLINK: &[Query] =
    &[FORMAT, WAIT, QUEUE, NOT_AFTER, PRIORITY, ATTEMPTS, RETRY_AFTER, SUPERSEDE, RAW, CHECK];
pub(super) const DISCOVER: &[Query] = &[
    query("depth", "integer", "How deep to look, 0 to 3 (LwM2M 1.2)."),
    WAIT,
    QUEUE,
    NOT_AFTER,
    PRIORITY,
    ATTEMPTS,
    RETRY_AFTER,
    SUPERSEDE,
    RAW,
    CHECK,
];
pub(super) const COMPOSITE: &[Query] =
    &[FORMAT, WAIT, QUEUE, NOT_AFTER, PRIORITY, ATTEMPTS, RETRY_AFTER, SUPERSEDE, RAW, CHECK, FALLBACK];
pub(super) const HISTORY: &[Query] = &[
    query(
        "from",
        "string",
        "Only values of this moment or later: RFC 3339, or a span such as 24h for so long ago. The log is searched among what was heard since then.",
    ),
    query("to", "string", "Only values before this moment, likewise; default: now and later."),
    query("limit", "integer", "Values a page, 1 to 10000; default 100."),
    query("cursor", "string", "The `next` of the page before."),
    query(
        "format",
        "string",
        "`json` or `csv`; default: what `Accept` says. As CSV, `Link` with `rel=\"next\"` leads to the next page. Numbers stand bare, texts in double quotes; a text that begins with = + - @ ' or a control character has an apostrophe in front, so that no program takes it for a formula.",
    ),
];
pub(super) const LOG: &[Query] = &[
    query("type", "string", "Only events of these types, separated by commas."),
    query(
        "from",
        "string",
        "Only events of this moment or later: RFC 3339, or a span such as 24h for so long ago.",
    ),
    query("to", "string", "Only events before this moment, likewise."),
    query("limit", "integer", "Events a page, 1 to 1000; default 100."),
    query("cursor", "string", "The `next` of the page before."),
];
