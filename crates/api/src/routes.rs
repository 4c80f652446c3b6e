//! Every address of the API in one table: the OpenAPI document is printed from it, and the service tests that each is served.

mod access;
mod fleet;
mod models;
mod query;
mod security;
mod trace;

use self::query::{COMPOSITE, DISCOVER, DOWNLINK, HISTORY, LOG, query};

/// One method at one address.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// HTTP method in capitals.
    pub method: &'static str,
    /// Address with its parameters in braces.
    pub path: &'static str,
    /// Name of the operation, unique.
    pub operation: &'static str,
    /// What it does, one sentence.
    pub summary: &'static str,
    /// Query parameters.
    pub query: &'static [Query],
    /// Schema of the request body.
    pub body: Body,
    /// Schema of the good answer.
    pub answer: Answer,
    /// Statuses of our own, besides the good one, each with a problem document.
    pub problems: &'static [u16],
}

/// One query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// JSON type of its value.
    pub kind: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Request body of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Nothing,
    /// JSON of that schema, required.
    Json(&'static str),
    /// JSON of that schema, may be absent.
    OptionalJson(&'static str),
    /// OMA XML.
    Xml,
    /// A table (CSV) with a line of columns.
    Csv,
    /// Certificates or a public key, in PEM or DER.
    Certificates,
}

/// Good answer of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 with JSON of that schema.
    Json(&'static str),
    /// 200 with JSON of that schema, or the same as a table.
    JsonOrCsv(&'static str),
    /// 200 or 201 with JSON of that schema.
    Created(&'static str),
    /// 201 with JSON of the first schema, or 200 with JSON of the second when nothing was to be made.
    CreatedOr(&'static str, &'static str),
    /// 202 with JSON of the first schema and the address where to look how it goes, or 200 with JSON of the second.
    BegunOr(&'static str, &'static str),
    /// 204 without a body.
    Nothing,
    /// 200 with JSON of that schema, or 204 when there was nothing to tell the device.
    JsonOrNothing(&'static str),
    /// 200 with a stream of events.
    EventStream,
    /// 200 with a capture file (pcapng).
    Capture,
    /// 200 with plain text.
    Text,
}

const REFUSALS: &[u16] = &[400, 401, 403, 404, 409, 413, 422, 501, 503, 504];

const fn route(
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    body: Body,
    answer: Answer,
) -> Route {
    Route { method, path, operation, summary, query: &[], body, answer, problems: &[401, 403] }
}

const fn downlink(
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    body: Body,
) -> Route {
    let answer = Answer::Json("DownlinkAnswer");
    Route { method, path, operation, summary, query: DOWNLINK, body, answer, problems: REFUSALS }
}

impl Route {
    const fn with(mut self, query: &'static [Query], problems: &'static [u16]) -> Route {
        self.query = query;
        self.problems = problems;
        self
    }
}

const BOOTSTRAP: &str = "/api/v1/bootstrap/{endpoint}";
const TEMPLATE: &str = "/api/v1/bootstrap-templates/{name}";
const RESOURCES: &str = "/api/v1/endpoints/{endpoint}/resources/{path}";
const OBSERVATION: &str = "/api/v1/endpoints/{endpoint}/observations/{path}";
const COMPOSITE_OBSERVATION: &str = "/api/v1/endpoints/{endpoint}/composite/observations/{name}";

/// The whole API.
pub const ROUTES: &[Route] = &[
    fleet::LIST,
    fleet::VALUES,
    fleet::FLEET,
    fleet::RATES,
    fleet::START,
    fleet::BULKS,
    fleet::BULK,
    fleet::CANCEL,
    access::SESSION,
    access::TOKENS,
    access::MAKE,
    access::TAKE_AWAY,
    access::AUDIT,
    access::AUDIT_OF,
    route(
        "GET",
        "/api/v1/endpoints/{endpoint}",
        "getEndpoint",
        "Shows one registration.",
        Body::Nothing,
        Answer::Json("Endpoint"),
    )
    .with(&[], &[401, 403, 404]),
    route(
        "DELETE",
        "/api/v1/endpoints/{endpoint}",
        "forgetEndpoint",
        "Forgets a registration; the device is not told.",
        Body::Nothing,
        Answer::Nothing,
    )
    .with(&[], &[401, 403, 404, 503]),
    downlink(
        "GET",
        RESOURCES,
        "read",
        "Reads an Object, Object Instance, Resource or Resource Instance.",
        Body::Nothing,
    ),
    downlink("PUT", RESOURCES, "writeReplace", "Writes, replacing what is there.", Body::Json("Node")),
    downlink(
        "PATCH",
        RESOURCES,
        "writePartialUpdate",
        "Writes, keeping what is not named.",
        Body::Json("Node"),
    ),
    Route {
        answer: Answer::Created("DownlinkAnswer"),
        ..downlink(
            "POST",
            RESOURCES,
            "create",
            "Creates an Object Instance; the path is the Object's.",
            Body::Json("Node"),
        )
    },
    downlink(
        "DELETE",
        RESOURCES,
        "delete",
        "Deletes an Object Instance or Resource Instance.",
        Body::Nothing,
    ),
    downlink(
        "POST",
        "/api/v1/endpoints/{endpoint}/execute/{path}",
        "execute",
        "Executes a Resource.",
        Body::OptionalJson("ExecuteBody"),
    ),
    Route {
        query: DISCOVER,
        ..downlink(
            "GET",
            "/api/v1/endpoints/{endpoint}/discover/{path}",
            "discover",
            "Lists what is there, with attributes.",
            Body::Nothing,
        )
    },
    downlink(
        "PUT",
        "/api/v1/endpoints/{endpoint}/attributes/{path}",
        "writeAttributes",
        "Sets and unsets notification attributes.",
        Body::Json("AttributesBody"),
    ),
    route(
        "GET",
        "/api/v1/endpoints/{endpoint}/observations",
        "listObservations",
        "Lists what is observed, with last values.",
        Body::Nothing,
        Answer::Json("Observations"),
    )
    .with(&[], &[401, 403, 404]),
    downlink(
        "PUT",
        OBSERVATION,
        "observe",
        "Observes from now on, over re-registrations and restarts.",
        Body::OptionalJson("AttributesBody"),
    ),
    Route {
        answer: Answer::JsonOrNothing("DownlinkAnswer"),
        ..downlink("DELETE", OBSERVATION, "cancelObservation", "Observes no longer.", Body::Nothing)
    },
    Route {
        query: COMPOSITE,
        ..downlink(
            "POST",
            "/api/v1/endpoints/{endpoint}/composite/read",
            "readComposite",
            "Reads several paths at once; `content.nodes` has what the device holds of them.",
            Body::Json("CompositeReadBody"),
        )
    },
    downlink(
        "POST",
        "/api/v1/endpoints/{endpoint}/composite/write",
        "writeComposite",
        "Writes several nodes at once: all of them or none.",
        Body::Json("CompositeWriteBody"),
    ),
    Route {
        query: COMPOSITE,
        ..downlink(
            "PUT",
            COMPOSITE_OBSERVATION,
            "observeComposite",
            "Observes several paths under one name, for as long as it is not cancelled.",
            Body::Json("CompositeObserveBody"),
        )
    },
    Route {
        answer: Answer::JsonOrNothing("DownlinkAnswer"),
        ..downlink(
            "DELETE",
            COMPOSITE_OBSERVATION,
            "cancelComposite",
            "Ends such an observation.",
            Body::Nothing,
        )
    },
    route(
        "GET",
        "/api/v1/endpoints/{endpoint}/history/{path}",
        "history",
        "Lists the values that the device has told of a Resource, a Resource Instance, or all below an Object Instance or Object, those heard last first; also of a device that is not registered now.",
        Body::Nothing,
        Answer::JsonOrCsv("History"),
    )
    .with(HISTORY, &[400, 401, 403, 404, 503]),
    route(
        "GET",
        "/api/v1/endpoints/{endpoint}/log",
        "endpointLog",
        "Lists the events of a device that the log holds, newest first, but for its Updates, which only the stream of events has; also of a device that is not registered now.",
        Body::Nothing,
        Answer::Json("EventLog"),
    )
    .with(LOG, &[400, 401, 403, 404, 503]),
    route(
        "GET",
        "/api/v1/endpoints/{endpoint}/commands",
        "listCommands",
        "Lists a device's durable commands, newest first; also of a device that is not registered now.",
        Body::Nothing,
        Answer::Json("Commands"),
    )
    .with(&[query("limit", "integer", "How many at most, 1 to 10000; default 200.")], &[400, 401, 403, 404]),
    route(
        "GET",
        "/api/v1/commands/{id}",
        "getCommand",
        "Shows a durable command.",
        Body::Nothing,
        Answer::Json("Command"),
    )
    .with(&[], &[401, 403, 404]),
    route(
        "DELETE",
        "/api/v1/commands/{id}",
        "cancelCommand",
        "Cancels a durable command that has not been sent.",
        Body::Nothing,
        Answer::Json("Command"),
    )
    .with(&[], &[401, 403, 404, 409, 503]),
    route(
        "PATCH",
        "/api/v1/commands/{id}",
        "moveCommand",
        "Gives a durable command that waits another place among those of its device.",
        Body::Json("CommandMove"),
        Answer::Json("Command"),
    )
    .with(&[], &[400, 401, 403, 404, 408, 409, 413, 415, 503]),
    route(
        "POST",
        "/api/v1/commands/{id}/retry",
        "retryCommand",
        "Queues once more what a durable command that has ended was to do, on the terms it had.",
        Body::Nothing,
        Answer::Created("Command"),
    )
    .with(&[], &[401, 403, 404, 409, 503]),
    trace::SHOW,
    trace::EXPORT,
    trace::STRANGERS,
    security::HANDSHAKES,
    security::FAILURES,
    security::OVERVIEW,
    security::EXPLAIN,
    security::CERTIFICATE,
    security::LIST,
    security::GET,
    security::PUT,
    security::DELETE,
    security::IMPORT,
    security::LIST_BOOTSTRAP,
    security::GET_BOOTSTRAP,
    security::PUT_BOOTSTRAP,
    security::DELETE_BOOTSTRAP,
    security::IMPORT_BOOTSTRAP,
    route(
        "GET",
        "/api/v1/bootstrap",
        "listBootstrap",
        "Lists devices that have a bootstrap document, or have asked for one.",
        Body::Nothing,
        Answer::Json("BootstrapEntries"),
    )
    .with(
        &[
            query("filter", "string", "Only endpoint names that contain this text."),
            query("limit", "integer", "Devices a page, 1 to 1000; default 100."),
            query("cursor", "string", "The `next` of the page before."),
        ],
        &[400, 401, 403],
    ),
    route(
        "GET",
        BOOTSTRAP,
        "getBootstrap",
        "Shows what a device is bootstrapped with, without secrets.",
        Body::Nothing,
        Answer::Json("BootstrapDocument"),
    )
    .with(&[], &[400, 401, 403, 404, 422]),
    route(
        "PUT",
        BOOTSTRAP,
        "putBootstrap",
        "Says what a device is bootstrapped with; refused when the device could not be reached again.",
        Body::Json("BootstrapDocument"),
        Answer::Created("BootstrapDocument"),
    )
    .with(&[], &[400, 401, 403, 413, 415, 422, 503]),
    route(
        "DELETE",
        BOOTSTRAP,
        "deleteBootstrap",
        "Takes a device's bootstrap document away.",
        Body::Nothing,
        Answer::Nothing,
    )
    .with(&[], &[400, 401, 403, 404, 503]),
    route(
        "GET",
        "/api/v1/bootstrap/{endpoint}/plan",
        "planBootstrap",
        "Shows the exact requests that the device would get.",
        Body::Nothing,
        Answer::Json("BootstrapPlan"),
    )
    .with(
        &[
            query(
                "format",
                "string",
                "The format that the device would prefer: tlv senml-json senml-cbor lwm2m-cbor.",
            ),
            query("version", "string", "The LwM2M version that the device would have: 1.0 1.1 1.2."),
        ],
        &[400, 401, 403, 404, 422],
    ),
    route(
        "GET",
        "/api/v1/bootstrap/{endpoint}/sessions",
        "listBootstrapSessions",
        "Lists a device's last bootstrap sessions with each step, newest first.",
        Body::Nothing,
        Answer::Json("BootstrapSessions"),
    )
    .with(&[], &[400, 401, 403]),
    route(
        "GET",
        "/api/v1/bootstrap-templates",
        "listBootstrapTemplates",
        "Lists the templates for devices without a bootstrap document of their own.",
        Body::Nothing,
        Answer::Json("BootstrapTemplates"),
    ),
    route(
        "GET",
        TEMPLATE,
        "getBootstrapTemplate",
        "Shows a template, without secrets.",
        Body::Nothing,
        Answer::Json("BootstrapTemplate"),
    )
    .with(&[], &[400, 401, 403, 404]),
    route(
        "PUT",
        TEMPLATE,
        "putBootstrapTemplate",
        "Says what all devices are bootstrapped with whose names fit a pattern.",
        Body::Json("BootstrapTemplate"),
        Answer::Created("BootstrapTemplate"),
    )
    .with(&[], &[400, 401, 403, 409, 413, 415, 422, 503]),
    route(
        "DELETE",
        TEMPLATE,
        "deleteBootstrapTemplate",
        "Takes a template away.",
        Body::Nothing,
        Answer::Nothing,
    )
    .with(&[], &[400, 401, 403, 404, 503]),
    route(
        "GET",
        "/api/v1/events",
        "followEvents",
        "Follows events as Server-Sent Events; Last-Event-ID resumes without a gap.",
        Body::Nothing,
        Answer::EventStream,
    )
    .with(
        &[
            query("endpoint", "string", "Only events of this device."),
            query("type", "string", "Only events of these types, separated by commas."),
            query("after", "string", "Start behind the event of this id; `0` starts at the oldest kept."),
        ],
        &[400, 401, 403, 503],
    ),
    models::LIST,
    models::ADD,
    models::SHOW,
    models::DELETE,
    models::DIFF,
    models::DEVICES,
    route("GET", "/api/openapi.json", "openapi", "This document.", Body::Nothing, Answer::Json("object"))
        .with(&[], &[]),
    route("GET", "/healthz", "health", "Whether the process lives.", Body::Nothing, Answer::Json("object"))
        .with(&[], &[]),
    route(
        "GET",
        "/readyz",
        "ready",
        "Whether the server can do its work, with reasons.",
        Body::Nothing,
        Answer::Json("object"),
    )
    .with(&[], &[503]),
    route("GET", "/metrics", "metrics", "Counters for Prometheus.", Body::Nothing, Answer::Text),
];
