//! What every request must pass: Host, Origin, token. And what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lightship_api::ProblemType;

use super::Refusal;
use crate::config::Api;
use crate::core::Core;

/// Checks a request and marks its answer.
pub(crate) async fn guard(State(core): State<Arc<Core>>, request: Request, next: Next) -> Response {
    core.counters.http_requests.fetch_add(1, Ordering::Relaxed);
    let mut response = match check(&core.config.api, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        core.counters.http_problems.fetch_add(1, Ordering::Relaxed);
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn check(api: &Api, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    // A page of another site may be made to point its name here (DNS rebinding): only our own names are served.
    let host = host(uri, headers)?;
    if !is_ours(api, name_of(&host)) {
        return Err(Refusal::new(ProblemType::UnknownHost, format!("{host:?} is not served here")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let same = origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(&host));
        if !same {
            return Err(Refusal::new(
                ProblemType::ForeignOrigin,
                "requests from pages of other sites are refused",
            ));
        }
    }
    if !is_percent_encoded(uri.path()) {
        return Err(Refusal::new(
            ProblemType::MalformedRequest,
            "% stands before two hex digits in an address",
        ));
    }
    match &api.token {
        Some(token) if needs_token(uri.path()) => authorize(token, headers),
        _ => Ok(()),
    }
}

fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
    let mut given = headers.get_all(header::HOST).iter();
    let (first, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(Refusal::new(ProblemType::MalformedRequest, "there are two Host headers"));
    }
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str().to_owned()),
        None => first.and_then(|host| host.to_str().ok()).map(str::to_owned),
    };
    host.filter(|host| !host.is_empty() && !host.contains('@'))
        .ok_or_else(|| Refusal::new(ProblemType::MalformedRequest, "the Host header is missing or wrong"))
}

/// Whether two hex digits follow every `%`: others would take a broken one for itself, and keep it as part of a name.
fn is_percent_encoded(path: &str) -> bool {
    let mut parts = path.split('%');
    let _before = parts.next();
    parts.all(|part| part.get(..2).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())))
}

/// The name without its port.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(name, _)| name);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_ours(api: &Api, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || api.hosts.contains(&name)
}

/// The UI's files, the document and the health of the process are for everyone.
fn needs_token(path: &str) -> bool {
    path.starts_with("/api/v1") || path == "/metrics"
}

fn authorize(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let Some((scheme, given)) = given.and_then(|given| given.split_once(' ')) else {
        return Err(Refusal::new(ProblemType::NoToken, "send Authorization: Bearer and the token"));
    };
    if scheme.eq_ignore_ascii_case("bearer") && equal(given.trim().as_bytes(), token.as_bytes()) {
        return Ok(());
    }
    Err(Refusal::new(ProblemType::WrongToken, ""))
}

/// Compares in a time that does not tell how much was right.
fn equal(given: &[u8], token: &[u8]) -> bool {
    let differences = given.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == token.len() && differences == 0
}

const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn api(token: Option<&str>) -> Api {
        Api { token: token.map(str::to_owned), hosts: vec!["lwm2m.example".to_owned()] }
    }

    fn status(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check(api, &path.parse().unwrap(), &map).map_or_else(|refusal| refusal.0.status, |()| 200)
    }

    #[test]
    fn only_our_own_names_are_served() {
        for host in
            ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7", "LwM2M.Example:80"]
        {
            assert_eq!(status(&api(None), "/api/v1/endpoints", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "x[::1]"] {
            assert_eq!(status(&api(None), "/healthz", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&api(None), "/", &[]), 400);
        assert_eq!(status(&api(None), "/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status(&api(None), "/", &[("host", "evil@localhost")]), 400);
    }

    #[test]
    fn a_broken_escape_is_no_part_of_a_name() {
        let host = [("host", "localhost")];
        for path in ["/api/v1/credentials/a%zz", "/api/v1/credentials/a%", "/api/v1/credentials/%4", "/%%41"]
        {
            assert_eq!(status(&api(None), path, &host), 400, "{path}");
        }
        for path in ["/api/v1/credentials/a%7a", "/api/v1/credentials/a%25zz", "/%C3%a9"] {
            assert_eq!(status(&api(None), path, &host), 200, "{path}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let host = ("host", "127.0.0.1:8080");
        for (origin, expected) in [
            ("http://127.0.0.1:8080", 200),
            ("http://evil.example", 403),
            ("null", 403),
            ("http://127.0.0.1:81", 403),
        ] {
            assert_eq!(
                status(&api(None), "/api/v1/endpoints", &[host, ("origin", origin)]),
                expected,
                "{origin}"
            );
        }
    }

    #[test]
    fn the_api_needs_the_token_and_health_does_not() {
        let api = api(Some("0123456789abcdef"));
        let host = ("host", "localhost");
        for (path, header, expected) in [
            ("/api/v1/endpoints", None, 401),
            ("/metrics", None, 401),
            ("/healthz", None, 200),
            ("/", None, 200),
            ("/api/openapi.json", None, 200),
            ("/api/v1/endpoints", Some("Bearer 0123456789abcdef"), 200),
            ("/api/v1/endpoints", Some("bearer 0123456789abcdef"), 200),
            ("/api/v1/endpoints", Some("Bearer 0123456789abcdeF"), 403),
            ("/api/v1/endpoints", Some("Bearer 0123456789abcde"), 403),
            ("/api/v1/endpoints", Some("Basic 0123456789abcdef"), 403),
            ("/api/v1/endpoints", Some("0123456789abcdef"), 401),
        ] {
            let headers: Vec<_> =
                [host].into_iter().chain(header.map(|value| ("authorization", value))).collect();
            assert_eq!(status(&api, path, &headers), expected, "{path} {header:?}");
        }
    }
}
