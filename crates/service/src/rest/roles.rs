//! What each address needs of its caller: the router's addresses against the one table of the API.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::{HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use lightship_api::routes::ROUTES;
use lightship_api::{Need, ProblemType, Role, needed};

use super::{Refusal, input};

/// What a request asks for, as far as roles are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That operation.
    Operation { name: &'static str, need: Need },
    /// A method that the address does not have; these it has.
    NoMethod(&'static str),
    /// Something that the router serves and nobody has said who may have it.
    Unsaid,
    /// Nothing that the router knows: a file of the page, or nothing at all.
    Unknown,
}

/// Finds the operation of a request by what the router has matched.
pub(crate) fn wanted(method: &Method, matched: Option<&str>) -> Wanted {
    let Some(matched) = matched else { return Wanted::Unknown };
    let Some(address) = ADDRESSES.get(matched) else { return Wanted::Unsaid };
    let method = if method == Method::HEAD { Method::GET } else { method.clone() };
    let Some((_, name, need)) = address.operations.iter().find(|(known, ..)| *known == method) else {
        return Wanted::NoMethod(address.allow);
    };
    need.map_or(Wanted::Unsaid, |need| Wanted::Operation { name, need })
}

/// The role that a request needs: more than its operation's, where it makes a command that stays; less, where it only asks how
/// many devices a bulk operation would be asked of.
pub(crate) fn role(operation: &str, need: Need, uri: &Uri) -> Option<Role> {
    match need {
        Need::Nothing => None,
        // In just these words, so that nobody reads the query otherwise.
        Need::Role(_) if operation == "startBulk" && uri.query() == Some("dry_run=true") => {
            Some(Role::Viewer)
        }
        Need::Role(role) if queues(uri) => Some(role.max(Role::Operator)),
        Need::Role(role) => Some(role),
    }
}

/// Whether a query asks for a durable command, however it is spelt: rather once too often.
pub(crate) fn queues(uri: &Uri) -> bool {
    let mut parts =
        uri.query().unwrap_or_default().split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    // A name with an escape in it may be any name.
    parts.any(|(name, value)| (name == "queue" || name.contains('%')) && value != "false")
}

/// Whether a request may change something: then it leaves a trace.
pub(crate) fn changes(operation: &str, method: &Method, uri: &Uri) -> bool {
    let asks = method == Method::GET || method == Method::HEAD || ASKING.contains(&operation);
    let is_try = uri.query().unwrap_or_default().split('&').any(|part| part == "dry_run=true");
    !(is_try && can_try(operation)) && (!asks || queues(uri))
}

/// Whether an operation can be tried: others do what they do, whatever stands in their query.
fn can_try(operation: &str) -> bool {
    let route = ROUTES.iter().find(|route| route.operation == operation);
    route.is_some_and(|route| route.query.iter().any(|query| query.name == "dry_run"))
}

/// A part of an address that the router's spelling names, such as `{endpoint}` or `{*path}`, decoded.
pub(crate) fn part(matched: &str, path: &str, name: &str) -> Option<String> {
    let at = matched.split('/').position(|part| part == name)?;
    let mut parts = path.splitn(at + if name.starts_with("{*") { 1 } else { 2 }, '/');
    let found = parts.nth(at)?;
    input::decode(&found.replace('+', "%2B"))
}

/// Operations that have a body and change nothing all the same.
const ASKING: [&str; 2] = ["readComposite", "explainCertificate"];

/// The answer to a method that the address does not have.
pub(crate) fn no_method(allow: &'static str) -> Response {
    let mut response = Refusal::new(ProblemType::MethodNotAllowed, "").into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

struct Address {
    operations: Vec<(Method, &'static str, Option<Need>)>,
    allow: &'static str,
}

/// By the router's spelling of an address.
static ADDRESSES: LazyLock<HashMap<String, Address>> = LazyLock::new(|| {
    let mut addresses: HashMap<String, Address> = HashMap::new();
    for route in ROUTES {
        let path = route.path.replace("{path}", "{*path}").replace("{objectId}", "{object_id}");
        let address = addresses.entry(path).or_insert(Address { operations: Vec::new(), allow: "" });
        let method = Method::from_bytes(route.method.as_bytes()).unwrap_or_default();
        address.operations.push((method, route.operation, needed(route.operation)));
    }
    for address in addresses.values_mut() {
        let mut allowed: Vec<&str> = address.operations.iter().map(|(method, ..)| method.as_str()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        // Made once for the life of the process.
        address.allow = allowed.join(",").leak();
    }
    addresses
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_given_a_role_is_refused() {
        assert_eq!(wanted(&Method::GET, Some("/api/v1/new-and-forgotten")), Wanted::Unsaid);
        assert_eq!(wanted(&Method::GET, None), Wanted::Unknown);
        assert_eq!(
            wanted(&Method::POST, Some("/api/v1/endpoints/{endpoint}")),
            Wanted::NoMethod("GET,DELETE,HEAD")
        );
        let Wanted::Operation { name, need } =
            wanted(&Method::HEAD, Some("/api/v1/endpoints/{endpoint}/resources/{*path}"))
        else {
            panic!("HEAD is GET");
        };
        assert_eq!((name, need), ("read", Need::Role(Role::Viewer)));
    }

    #[test]
    fn an_address_gives_its_parts() {
        let matched = "/api/v1/endpoints/{endpoint}/resources/{*path}";
        let path = "/api/v1/endpoints/urn%3aa+b%2f/resources/3/0/9";
        assert_eq!(part(matched, path, "{endpoint}").as_deref(), Some("urn:a+b/"));
        assert_eq!(part(matched, path, "{*path}").as_deref(), Some("3/0/9"));
        assert_eq!(part(matched, path, "{id}"), None);
    }

    #[test]
    fn reads_change_nothing_and_queued_ones_do() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        assert!(!changes("read", &Method::GET, &uri("/x")));
        assert!(changes("read", &Method::GET, &uri("/x?queue=true")));
        assert!(!changes("readComposite", &Method::POST, &uri("/x")));
        assert!(changes("writeReplace", &Method::PUT, &uri("/x")));
        assert!(!changes("addModel", &Method::POST, &uri("/x?dry_run=true")));
        assert!(changes("addModel", &Method::POST, &uri("/x?dry_run=false")));
        assert!(!changes("importCredentials", &Method::POST, &uri("/x?dry_run=true")));
        assert!(changes("putCredentials", &Method::PUT, &uri("/x?dry_run=true")));
    }

    #[test]
    fn a_command_that_stays_needs_an_operator() {
        let viewer = Need::Role(Role::Viewer);
        for (query, expected) in [
            ("", Role::Viewer),
            ("?queue=false", Role::Viewer),
            ("?queue=true", Role::Operator),
            ("?queue", Role::Operator),
            ("?format=tlv&queue=", Role::Operator),
            ("?%71ueue=true", Role::Operator),
        ] {
            assert_eq!(
                role("read", viewer, &format!("/x{query}").parse().unwrap()),
                Some(expected),
                "{query}"
            );
        }
        let admin = role("addModel", Need::Role(Role::Admin), &"/x?queue=true".parse().unwrap());
        assert_eq!(admin, Some(Role::Admin));
    }

    #[test]
    fn a_viewer_may_see_what_a_bulk_operation_would_hit() {
        let operator = Need::Role(Role::Operator);
        for (operation, query, expected) in [
            ("startBulk", "?dry_run=true", Role::Viewer),
            ("startBulk", "", Role::Operator),
            ("startBulk", "?dry_run=false", Role::Operator),
            ("startBulk", "?dry_run=true&dry_run=false", Role::Operator),
            ("startBulk", "?dry_run=true&queue=true", Role::Operator),
            ("startBulk", "?dry%5frun=true", Role::Operator),
            ("writeReplace", "?dry_run=true", Role::Operator),
        ] {
            let uri = format!("/x{query}").parse().unwrap();
            assert_eq!(role(operation, operator, &uri), Some(expected), "{operation} {query}");
        }
    }
}
