//! What every request must pass: Host, Origin, token. And what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lightship_api::{ProblemType, Role};

use super::Refusal;
use super::roles::{self, Wanted};
use crate::config::Api;
use crate::core::Core;

/// Checks a request and marks its answer.
pub(crate) async fn guard(State(core): State<Arc<Core>>, mut request: Request, next: Next) -> Response {
    core.counters.http_requests.fetch_add(1, Ordering::Relaxed);
    let mut response = match admit(&core, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        core.counters.http_problems.fetch_add(1, Ordering::Relaxed);
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Finds out who calls and whether that caller may: only then a handler sees the request.
fn admit(core: &Core, request: &mut Request) -> Result<(), Box<Response>> {
    let refused = |refusal: Refusal| Box::new(refusal.into_response());
    check(&core.config.api, request.uri(), request.headers()).map_err(refused)?;
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let wanted = roles::wanted(request.method(), matched);
    let needed = match wanted {
        Wanted::Operation { need, .. } => roles::role(need, request.uri()),
        Wanted::Unknown if !request.uri().path().starts_with("/api/v1") => None,
        // Whoever knows no token does not hear what there is.
        Wanted::Unknown | Wanted::NoMethod(_) | Wanted::Unsaid => Some(Role::Viewer),
    };
    if let Some(needed) = needed {
        let actor = core.access.actor(bearer(request.headers()).map_err(refused)?).map_err(refused)?;
        actor.must_be(needed).map_err(refused)?;
        request.extensions_mut().insert(Arc::new(actor));
    }
    match wanted {
        Wanted::Operation { .. } | Wanted::Unknown => Ok(()),
        Wanted::NoMethod(allow) => Err(Box::new(roles::no_method(allow))),
        Wanted::Unsaid => {
            tracing::error!(uri = %request.uri().path(), "nobody has said who may have this address");
            Err(refused(Refusal::new(ProblemType::Internal, "nobody has said who may have this address")))
        }
    }
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
    if is_percent_encoded(uri.path()) {
        return Ok(());
    }
    Err(Refusal::new(ProblemType::MalformedRequest, "% stands before two hex digits in an address"))
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

/// The bearer token of a request, if it has one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let Some((scheme, token)) = given.to_str().unwrap_or_default().split_once(' ') else { return Ok(None) };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(token.trim()));
    }
    Err(Refusal::new(ProblemType::WrongToken, "the scheme is Bearer"))
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
    fn a_token_comes_as_a_bearer() {
        for (header, expected) in [
            (None, Ok(None)),
            (Some("Bearer 0123456789abcdef"), Ok(Some("0123456789abcdef"))),
            (Some("bearer  0123456789abcdef"), Ok(Some("0123456789abcdef"))),
            (Some("0123456789abcdef"), Ok(None)),
            (Some("Basic 0123456789abcdef"), Err(403)),
        ] {
            let map: HeaderMap =
                header.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect();
            assert_eq!(bearer(&map).map_err(|refusal| refusal.0.status), expected, "{header:?}");
        }
    }
}
