//! Who may do what: roles, what each address needs, and who a caller is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// What a caller may do; each role may all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees everything that is no secret, and reads from devices; changes nothing.
    Viewer,
    /// Works with devices: writes, executes, observes, queues commands, forgets registrations.
    Operator,
    /// Also says who may come: credentials, bootstrap, object definitions, tokens.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What an operation needs of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is for everybody who can reach the server.
    Nothing,
    /// That role, or one that may more.
    Role(Role),
}

/// What an operation of [`ROUTES`](crate::routes::ROUTES) needs. `None`: nobody has said, so nobody may.
///
/// With `queue=true` every operation needs [`Role::Operator`] at least: a durable command is something that stays. The preview of
/// a bulk operation, `startBulk` with `dry_run=true` as its whole query, changes nothing and needs [`Role::Viewer`] only.
#[must_use]
pub fn needed(operation: &str) -> Option<Need> {
    NEEDS.iter().find(|(_, operations)| operations.contains(&operation)).map(|(need, _)| *need)
}

/// The one table of who may do what.
const NEEDS: &[(Need, &[&str])] = &[
    (Need::Nothing, &["openapi", "health", "ready"]),
    (
        Need::Role(Role::Viewer),
        &[
            "getSession",
            "listEndpointAudit",
            "listEndpoints",
            "listValues",
            "getFleet",
            "getRates",
            "listBulks",
            "getBulk",
            "getEndpoint",
            "read",
            "discover",
            "listObservations",
            "readComposite",
            "history",
            "endpointLog",
            "trace",
            "exportTrace",
            "traceAddress",
            "listCommands",
            "getCommand",
            "listHandshakes",
            "listSecurityFailures",
            "getSecurity",
            "explainCertificate",
            "getEndpointCertificate",
            "listCredentials",
            "getCredentials",
            "listBootstrapCredentials",
            "getBootstrapCredential",
            "listBootstrap",
            "getBootstrap",
            "planBootstrap",
            "listBootstrapSessions",
            "listBootstrapTemplates",
            "getBootstrapTemplate",
            "followEvents",
            "listModels",
            "getModel",
            "diffModel",
            "listModelDevices",
            "metrics",
        ],
    ),
    (
        Need::Role(Role::Operator),
        &[
            "forgetEndpoint",
            "writeReplace",
            "writePartialUpdate",
            "create",
            "delete",
            "execute",
            "writeAttributes",
            "observe",
            "cancelObservation",
            "writeComposite",
            "observeComposite",
            "cancelComposite",
            "cancelCommand",
            "retryCommand",
            "moveCommand",
            "startBulk",
            "cancelBulk",
        ],
    ),
    (
        Need::Role(Role::Admin),
        &[
            "putCredentials",
            "deleteCredentials",
            "importCredentials",
            "putBootstrapCredential",
            "deleteBootstrapCredential",
            "importBootstrapCredentials",
            "putBootstrap",
            "deleteBootstrap",
            "putBootstrapTemplate",
            "deleteBootstrapTemplate",
            "addModel",
            "deleteModel",
            "listTokens",
            "createToken",
            "deleteToken",
            "listAudit",
        ],
    ),
];

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// The name of the token; `configuration` for the one of the configuration, `dev` where none is needed.
    pub name: String,
    /// What the caller may do.
    pub role: Role,
    /// Which token; absent for the one of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// When the token ends; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn every_route_says_whom_it_needs_once() {
        for route in ROUTES {
            let count =
                NEEDS.iter().flat_map(|(_, names)| *names).filter(|name| **name == route.operation).count();
            assert_eq!(count, 1, "{} {}: {}", route.method, route.path, route.operation);
        }
        let known = |name: &&&str| ROUTES.iter().any(|route| route.operation == **name);
        let unknown: Vec<_> =
            NEEDS.iter().flat_map(|(_, names)| *names).filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} are no operations");
    }

    #[test]
    fn what_changes_something_is_not_for_viewers() {
        let harmless = ["readComposite", "explainCertificate"];
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            let is_for_viewers = needed(route.operation) == Some(Need::Role(Role::Viewer));
            assert_eq!(is_for_viewers, harmless.contains(&route.operation), "{}", route.operation);
        }
    }
}
