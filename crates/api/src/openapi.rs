//! The OpenAPI 3.1 document, printed from the route table and the shapes.

use serde_json::{Map, Value as Json, json};
use utoipa::OpenApi;

use crate::access::{Need, needed};
use crate::routes::{Answer, Body, ROUTES, Route};

#[derive(OpenApi)]
#[openapi(components(schemas(
    crate::Caller,
    crate::Tokens,
    crate::NewToken,
    crate::MadeToken,
    crate::Audit,
    crate::Endpoints,
    crate::Endpoint,
    crate::DownlinkAnswer,
    crate::ExecuteBody,
    crate::AttributesBody,
    crate::CompositeReadBody,
    crate::CompositeObserveBody,
    crate::CompositeWriteBody,
    crate::Observations,
    crate::Command,
    crate::Commands,
    crate::CommandMove,
    crate::CommandPosition,
    crate::Event,
    crate::EventLog,
    crate::History,
    crate::KnownValues,
    crate::Fleet,
    crate::Rates,
    crate::BulkOrder,
    crate::BulkPreview,
    crate::Bulk,
    crate::Bulks,
    crate::Credential,
    crate::Credentials,
    crate::CredentialImport,
    crate::ImportedRow,
    crate::ImportResult,
    crate::Handshakes,
    crate::SecurityOverview,
    crate::Explanation,
    crate::Certificate,
    crate::Trace,
    crate::bootstrap::BootstrapDocument,
    crate::bootstrap::BootstrapEntries,
    crate::bootstrap::BootstrapPlan,
    crate::bootstrap::BootstrapSession,
    crate::bootstrap::BootstrapSessions,
    crate::bootstrap::BootstrapTemplate,
    crate::bootstrap::BootstrapTemplates,
    crate::Models,
    crate::Model,
    crate::ModelVersion,
    crate::ModelDiff,
    crate::ModelChange,
    crate::ChangedResource,
    crate::ModelCheck,
    crate::ModelFinding,
    crate::Severity,
    crate::ModelDevices,
    crate::ModelUse,
    crate::ModelDevice,
    crate::Problem,
    crate::Node,
)))]
struct Shapes;

/// The document as JSON, always the same for the same code.
///
/// # Panics
/// Never: shapes without maps of their own always serialise.
#[must_use]
pub fn document() -> Json {
    let shapes = serde_json::to_value(Shapes::openapi()).expect("plain shapes serialise");
    let mut schemas = shapes.pointer("/components/schemas").cloned().unwrap_or_default();
    // A Node may have members of a newer server, so that links and nodes could be taken for one as well.
    if let Some(content) = schemas["AnswerContent"].as_object_mut() {
        let shapes = content.remove("oneOf").unwrap_or_default();
        content.insert("anyOf".to_owned(), shapes);
    }
    let mut paths = Map::new();
    for route in ROUTES {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lightship",
            "description": "LwM2M server: devices, their data, events. The HTTP status is the server's own verdict, `code` in an answer is the device's.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            "version": "1",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// The document as it stands in `openapi.json`.
#[must_use]
pub fn document_text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(route: &Route) -> Json {
    let mut out = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    match needed(route.operation) {
        Some(Need::Role(role)) => {
            out["security"] = json!([{"token": [role.name()]}]);
            out["description"] = json!(format!("Needs the role {role}."));
        }
        Some(Need::Nothing) | None => {}
    }
    match route.body {
        Body::Nothing => {}
        Body::Json(name) => out["requestBody"] = json!({"required": true, "content": content(name)}),
        Body::OptionalJson(name) => out["requestBody"] = json!({"required": false, "content": content(name)}),
        Body::Csv => {
            out["requestBody"] =
                json!({"required": true, "content": {"text/csv": {"schema": {"type": "string"}}}});
        }
        Body::Certificates => {
            let bytes = json!({"schema": {"type": "string", "format": "binary"}});
            let pem = json!({"schema": {"type": "string"}});
            let content = json!({"application/x-pem-file": pem, "application/octet-stream": bytes});
            out["requestBody"] = json!({"required": true, "content": content});
        }
        Body::Xml => {
            out["requestBody"] =
                json!({"required": true, "content": {"application/xml": {"schema": {"type": "string"}}}});
        }
    }
    out
}

fn parameters(route: &Route) -> Vec<Json> {
    let mut out = Vec::new();
    for part in route.path.split(['{', '}']).skip(1).step_by(2) {
        let about = match part {
            "endpoint" => "Endpoint Client Name, percent-encoded once.",
            "path" => "LwM2M path without its leading slash, such as 3/0/9; its slashes are not encoded.",
            "objectId" => "Object ID.",
            "id" => "What the list calls it.",
            _ => "A name of yours.",
        };
        let schema = json!({"type": "string"});
        out.push(
            json!({"name": part, "in": "path", "required": true, "description": about, "schema": schema}),
        );
    }
    for query in route.query {
        let schema = json!({"type": query.kind});
        out.push(json!({"name": query.name, "in": "query", "required": false, "description": query.about, "schema": schema}));
    }
    out
}

fn responses(route: &Route) -> Json {
    let mut out = Map::new();
    match route.answer {
        Answer::Json(name) => {
            out.insert("200".into(), json!({"description": "Done.", "content": content(name)}));
        }
        Answer::JsonOrCsv(name) => {
            let mut media = content(name);
            media["text/csv"] = json!({"schema": {"type": "string"}});
            out.insert("200".into(), json!({"description": "Done.", "content": media}));
        }
        Answer::Created(name) => {
            out.insert("200".into(), json!({"description": "Delivered.", "content": content(name)}));
            // What is made by PUT stands where it was put.
            let made = if route.method == "POST" && route.path.contains('{') {
                located("Created; `Location` says where.", name)
            } else {
                json!({"description": "Created.", "content": content(name)})
            };
            out.insert("201".into(), made);
        }
        Answer::CreatedOr(made, other) => {
            out.insert("200".into(), json!({"description": "Nothing was made.", "content": content(other)}));
            out.insert("201".into(), json!({"description": "Created.", "content": content(made)}));
        }
        Answer::BegunOr(begun, other) => {
            out.insert("200".into(), json!({"description": "Nothing was begun.", "content": content(other)}));
            out.insert("202".into(), located("Begun; `Location` says where to look how it goes.", begun));
        }
        Answer::Nothing => {
            out.insert("204".into(), json!({"description": "Done."}));
        }
        Answer::JsonOrNothing(name) => {
            out.insert("200".into(), json!({"description": "Delivered.", "content": content(name)}));
            out.insert("204".into(), json!({"description": "Done; there was nothing to tell the device, or it sleeps and is told when it wakes."}));
        }
        Answer::EventStream => {
            let schema = json!({"$ref": "#/components/schemas/Event"});
            let media = json!({"text/event-stream": {"schema": schema}});
            out.insert("200".into(), json!({"description": "One event per message.", "content": media}));
        }
        Answer::Capture => {
            let media = json!({"application/x-pcapng": {"schema": {"type": "string", "format": "binary"}}});
            out.insert("200".into(), json!({"description": "A capture file.", "content": media}));
        }
        Answer::Text => {
            let media = json!({"text/plain": {"schema": {"type": "string"}}});
            out.insert("200".into(), json!({"description": "Done.", "content": media}));
        }
    }
    if route.query.iter().any(|query| query.name == "queue") {
        out.insert("202".into(), located("Queued; `Location` leads to the command.", "Command"));
    }
    // Whatever has a name in its address, or a body.
    let named: &[u16] = if route.path.contains('{') { &[400] } else { &[] };
    let fed: &[u16] = if route.body == Body::Nothing { &[] } else { &[400, 408, 413, 415] };
    for status in route.problems.iter().chain(named).chain(fed) {
        let media = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let mut problem = json!({"description": reason(*status), "content": media});
        if matches!(status, 409 | 503) {
            let schema = json!({"type": "integer"});
            let about = "Seconds until it is worth trying again, where that is known.";
            problem["headers"] = json!({"Retry-After": {"description": about, "schema": schema}});
        }
        out.insert(status.to_string(), problem);
    }
    Json::Object(out)
}

/// An answer with that schema and a `Location`.
fn located(description: &str, name: &str) -> Json {
    let location =
        json!({"description": "Its address.", "schema": {"type": "string", "format": "uri-reference"}});
    json!({"description": description, "content": content(name), "headers": {"Location": location}})
}

fn content(name: &str) -> Json {
    let schema = if name == "object" {
        json!({"type": "object"})
    } else {
        json!({"$ref": format!("#/components/schemas/{name}")})
    };
    json!({"application/json": {"schema": schema}})
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed.",
        401 | 403 => "The token, its role or the origin is not accepted.",
        404 => "Nothing of that name.",
        408 => "The body did not arrive in time.",
        409 => "The device sleeps, or the request contradicts what is there.",
        413 => "Too large.",
        415 => "Wrong media type.",
        422 => "The value does not fit the object definition.",
        501 => "Not available yet.",
        503 => "Overloaded or stopping.",
        _ => "The device did not answer in time.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapi_json_is_what_the_code_prints() {
        if std::env::var_os("LIGHTSHIP_WRITE_OPENAPI").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), document_text()).unwrap();
        }
        let kept =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap_or_default();
        assert!(
            kept == document_text(),
            "crates/api/openapi.json is stale; run: LIGHTSHIP_WRITE_OPENAPI=1 cargo test -p lightship-api openapi"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_operations_are_unique() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"#/").skip(1) {
            let pointer = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&pointer).is_some(), "{pointer} is missing");
        }
        let mut names: Vec<_> = ROUTES.iter().map(|route| route.operation).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROUTES.len());
    }
}
