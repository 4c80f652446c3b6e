//! Problem documents (RFC 9457). Every type is explained in `problems.md`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// Body of every error answer, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable name of the problem, such as `/problems/endpoint-not-registered`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// What the type means, always the same text for the same type.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where in the request body, as a JSON pointer; in a filter the letters, such as `filter:6-7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Seconds until a sleeping device is expected to wake, or until it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// When a sleeping device is expected to show itself, if its rhythm is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expected_wake: Option<Timestamp>,
}

impl Problem {
    /// A problem of that type, with what was wrong this time; it is made a sentence, with a capital letter and a full stop.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Problem {
        let (name, status, title) = kind.facts();
        Problem {
            kind: format!("/problems/{name}").into(),
            title: title.into(),
            status,
            detail: Some(sentence(&detail.into())).filter(|text| !text.is_empty()),
            pointer: None,
            retry_after_s: None,
            expected_wake: None,
        }
    }

    /// Whether it is of that type.
    #[must_use]
    pub fn is(&self, kind: ProblemType) -> bool {
        self.kind.strip_prefix("/problems/") == Some(kind.facts().0)
    }

    /// The same with the place in the request body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Problem {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same with the moment when a sleeping device is expected, and the seconds until then.
    #[must_use]
    pub fn expected_wake(self, at: Timestamp, seconds: u64) -> Problem {
        Problem { expected_wake: Some(at), ..self.retry_after(seconds) }
    }

    /// The same with a hint when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }
}

/// What a parser says of a value of the wrong type, without the value: it may be a key.
#[must_use]
pub fn without_values(said: &str) -> String {
    for start in ["invalid type: ", "invalid value: "] {
        let Some(rest) = said.strip_prefix(start) else { continue };
        // The kind, the value in quotes, and what was expected.
        let kind = rest.find(['`', '"']).and_then(|at| rest.get(..at));
        let expected = rest.rfind(", expected ").and_then(|at| rest.get(at..));
        if let (Some(kind), Some(expected)) = (kind, expected) {
            return format!("{start}{}{expected}", kind.trim_end());
        }
    }
    said.to_owned()
}

/// The same as people write a sentence; what begins with a path or a quotation keeps its first letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut out: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().collect();
    out.push_str(letters.as_str());
    if !out.is_empty() && !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

macro_rules! problem_types {
    ($($variant:ident $name:literal $status:literal $title:literal;)*) => {
        /// The stable problem types; what to do about each stands in `problems.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemType {
            $(#[doc = $title] $variant,)*
        }

        impl ProblemType {
            /// Every problem type.
            pub const ALL: &[ProblemType] = &[$(ProblemType::$variant),*];

            /// Name (the end of `type`), HTTP status and title.
            #[must_use]
            pub fn facts(self) -> (&'static str, u16, &'static str) {
                match self { $(ProblemType::$variant => ($name, $status, $title),)* }
            }
        }
    };
}

problem_types! {
    MalformedRequest "malformed-request" 400 "The request is malformed.";
    MalformedBody "malformed-body" 400 "The request body is malformed.";
    InvalidPath "invalid-path" 400 "The LwM2M path is not valid here.";
    InvalidParameter "invalid-parameter" 400 "A query parameter is not valid.";
    InvalidCredential "invalid-credential" 400 "No device could prove who it is with this.";
    NoToken "no-token" 401 "A bearer token is needed.";
    TokenExpired "token-expired" 401 "The bearer token has ended.";
    WrongToken "wrong-token" 403 "The bearer token is not accepted.";
    ForbiddenRole "forbidden-role" 403 "This needs a role that the caller does not have.";
    ForeignOrigin "foreign-origin" 403 "The request comes from a page of another site.";
    UnknownHost "unknown-host" 403 "The Host header names another site.";
    NotFound "not-found" 404 "There is nothing at this address.";
    EndpointNotRegistered "endpoint-not-registered" 404 "No such endpoint is registered.";
    NotObserved "not-observed" 404 "This path is not observed.";
    UnknownModel "unknown-model" 404 "No such object definition is known.";
    UnknownCommand "unknown-command" 404 "No such command is known.";
    UnknownBulk "unknown-bulk" 404 "No such bulk operation is known.";
    UnknownToken "unknown-token" 404 "No such token is known.";
    NoDocument "no-document" 404 "There is no such bootstrap document or template.";
    NoCredential "no-credential" 404 "This device has no such credential.";
    MethodNotAllowed "method-not-allowed" 405 "The method is not allowed at this address.";
    RequestTimeout "request-timeout" 408 "The request did not arrive in time.";
    Asleep "asleep" 409 "The device sleeps.";
    CommandOver "command-over" 409 "It no longer waits.";
    Conflict "conflict" 409 "The request contradicts what is already there.";
    IdentityTaken "identity-taken" 409 "Another device has this identity.";
    TooLarge "too-large" 413 "The request is too large.";
    UnsupportedMediaType "unsupported-media-type" 415 "The body's media type is not supported here.";
    NotInVersion "not-in-version" 422 "The device's LwM2M version has no such operation.";
    ProtectedObject "protected-object" 422 "No server may address this Object.";
    DoesNotFit "does-not-fit" 422 "The value does not fit the object definition.";
    UnusableDocument "unusable-document" 422 "No device could live with this bootstrap document.";
    Internal "internal" 500 "The server failed.";
    NotSupported "not-supported" 501 "The server cannot do this yet.";
    Overloaded "overloaded" 503 "The server is overloaded or stopping.";
    NoAnswer "no-answer" 504 "The device did not answer in time.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_sentences() {
        for (detail, told) in [
            ("the paths are twice", Some("The paths are twice.")),
            ("/3/0 is no Resource", Some("/3/0 is no Resource.")),
            ("\"x\" is no path.", Some("\"x\" is no path.")),
            ("", None),
        ] {
            let problem = Problem::new(ProblemType::InvalidPath, detail);
            assert_eq!(problem.detail.as_deref(), told);
        }
    }

    #[test]
    fn every_type_is_explained_in_problems_md() {
        let text = include_str!("../problems.md");
        for kind in ProblemType::ALL {
            let (name, status, _) = kind.facts();
            assert!(text.contains(&format!("| `{name}` | {status} |")), "problems.md lacks {name} {status}");
        }
    }
}
