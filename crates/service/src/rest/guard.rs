//! What every request must pass: Host, Origin, token. And what every answer carries.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lightship_api::{ProblemType, Role};

use super::Refusal;
use super::input;
use super::roles::{self, Wanted};
use crate::access::{Actor, Asked, Denied, Outcome, Trail};
use crate::config::Api;
use crate::core::Core;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Checks a request, marks its answer, and sees that what it changes leaves a trace.
pub(crate) async fn guard(State(core): State<Arc<Core>>, mut request: Request, next: Next) -> Response {
    core.counters.http_requests.fetch_add(1, Ordering::Relaxed);
    let mut response = match admit(&core, &mut request) {
        Admitted::Plain => next.run(request).await,
        Admitted::Changing(trail) => {
            let response = trail.serve(next.run(request)).await;
            told(&trail, response).await
        }
        Admitted::Refused(response) => *response,
        Admitted::RefusedAndTold(trail, response) => told(&trail, *response).await,
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        core.counters.http_problems.fetch_add(1, Ordering::Relaxed);
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// What becomes of a request.
enum Admitted {
    Plain,
    /// It may change something.
    Changing(Arc<Trail>),
    Refused(Box<Response>),
    /// By somebody who is known.
    RefusedAndTold(Arc<Trail>, Box<Response>),
}

async fn told(trail: &Trail, mut response: Response) -> Response {
    let outcome = response.extensions_mut().remove::<Outcome>().unwrap_or_default();
    trail.end(response.status().as_u16(), outcome).await;
    response
}

/// Finds out who calls and whether that caller may: only then a handler sees the request.
fn admit(core: &Arc<Core>, request: &mut Request) -> Admitted {
    let refused = |refusal: Refusal| Admitted::Refused(Box::new(refusal.into_response()));
    if let Err(refusal) = check(&core.config.api, request.uri(), request.headers()) {
        return refused(refusal);
    }
    let wanted = roles::wanted(request.method(), matched(request));
    let needed = match wanted {
        Wanted::Operation { name, need } => roles::role(name, need, request.uri()),
        Wanted::Unknown if !request.uri().path().starts_with("/api/v1") => None,
        // Whoever knows no token does not hear what there is.
        Wanted::Unknown | Wanted::NoMethod(_) | Wanted::Unsaid => Some(Role::Viewer),
    };
    let Some(needed) = needed else { return Admitted::Plain };
    let actor = bearer(request.headers()).map_err(|refusal| Denied::new(refusal, None));
    let actor = actor.and_then(|token| core.access.actor(token, core.now())).and_then(|actor| {
        let may = actor.must_be(needed);
        may.map(|()| actor.clone()).map_err(|refusal| Denied::new(refusal, Some(actor)))
    });
    let actor = match actor {
        Ok(actor) => actor,
        Err(denied) => {
            let Denied { refusal, actor } = *denied;
            let trail = actor.and_then(|actor| refused_trail(core, &actor, request));
            let response = Box::new(refusal.into_response());
            return match trail {
                Some(trail) => Admitted::RefusedAndTold(trail, response),
                None => Admitted::Refused(response),
            };
        }
    };
    match wanted {
        Wanted::NoMethod(allow) => Admitted::Refused(Box::new(roles::no_method(allow))),
        Wanted::Unsaid => {
            tracing::error!(uri = %request.uri().path(), "nobody has said who may have this address");
            refused(Refusal::new(ProblemType::Internal, "nobody has said who may have this address"))
        }
        Wanted::Operation { name, .. } if roles::changes(name, request.method(), request.uri()) => {
            let trail = trail(core, &actor, name, request);
            request.extensions_mut().insert(Arc::new(actor));
            Admitted::Changing(trail)
        }
        Wanted::Operation { .. } | Wanted::Unknown => {
            request.extensions_mut().insert(Arc::new(actor));
            Admitted::Plain
        }
    }
}

fn matched(request: &Request) -> Option<&str> {
    request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
}

fn trail(core: &Arc<Core>, actor: &Actor, action: &str, request: &Request) -> Arc<Trail> {
    let uri = request.uri();
    let part = |name: &str| roles::part(matched(request).unwrap_or_default(), uri.path(), name);
    let asked = Asked {
        action,
        method: request.method().as_str(),
        target: target(action, uri),
        endpoint: part("{endpoint}"),
        path: part("{*path}").map(|path| format!("/{path}")),
        from: request.extensions().get::<Peer>().map(|peer| peer.0),
    };
    Trail::begin(core, actor, asked)
}

/// What is kept of an address. In the query of one that is about credentials there is nothing to know, but somebody's key if it was
/// put in the wrong place.
fn target<'a>(action: &str, uri: &'a Uri) -> &'a str {
    if action.contains("Credential") {
        return uri.path();
    }
    uri.path_and_query().map_or(uri.path(), |target| target.as_str())
}

/// The trail of a try that is refused; none when there were too many of late.
fn refused_trail(core: &Arc<Core>, actor: &Actor, request: &Request) -> Option<Arc<Trail>> {
    let unwritten = core.access.tells_refusal(core.now())?;
    if unwritten > 0 {
        tracing::warn!(unwritten, "refused requests that the audit does not have");
    }
    let action = match roles::wanted(request.method(), matched(request)) {
        Wanted::Operation { name, .. } => name,
        Wanted::NoMethod(_) | Wanted::Unsaid | Wanted::Unknown => "unknown",
    };
    Some(trail(core, actor, action, request))
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
    // A broken `%` would be taken for itself, and kept as part of a name.
    if input::decode(uri.path()).is_some() {
        return Ok(());
    }
    let detail = "% stands before two hex digits in an address, and what they mean is UTF-8";
    Err(Refusal::new(ProblemType::MalformedRequest, detail))
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
