//! Addresses about the last messages.

use super::{Answer, Body, Query, Route, query, route};

const OF_DEVICE: &str = "/api/v1/endpoints/{endpoint}/trace";
const LIMIT: Query = query("limit", "integer", "How many of the newest at most, 1 to 2000; default 200.");
const AFTER: Query = query("after", "string", "Only what comes behind these: the `next` of a trace.");

pub(super) const SHOW: Route = route(
    "GET",
    OF_DEVICE,
    "trace",
    "Lists the last messages of a device, as they came and went, decrypted, with their meaning, and why a message was dropped; oldest first, never a key. The device need not be registered.",
    Body::Nothing,
    Answer::Json("Trace"),
)
.with(
    &[
        LIMIT,
        AFTER,
        query("follow", "boolean", "A stream of events, one for each message from now on or from `after` on, in place of the list."),
    ],
    &[400, 401, 403, 404, 503],
);

pub(super) const EXPORT: Route = route(
    "GET",
    "/api/v1/endpoints/{endpoint}/trace.pcapng",
    "exportTrace",
    "Gives the last messages of a device as a capture that Wireshark and tshark open: CoAP in UDP and IP made for it, with the meaning and the reason of a drop as comments.",
    Body::Nothing,
    Answer::Capture,
)
.with(
    &[query("limit", "integer", "How many of the newest at most, 1 to 20000; default 10000.")],
    &[400, 401, 403, 404, 503],
);

pub(super) const STRANGERS: Route = route(
    "GET",
    "/api/v1/trace",
    "traceAddress",
    "Lists the last messages of an address, also of one that is no device.",
    Body::Nothing,
    Answer::Json("Trace"),
)
.with(
    &[
        query(
            "address",
            "string",
            "An IP address, or one with a port: 192.0.2.7, 192.0.2.7:5683, [2001:db8::7]:5683.",
        ),
        LIMIT,
        AFTER,
    ],
    &[400, 401, 403, 503],
);
