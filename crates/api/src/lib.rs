//! The shapes of Lightship's REST API, its OpenAPI document and a typed client.
//!
//! ```text
//! I am the outer contract in types: what crosses HTTP, in both directions, and nothing else.
//! I may: turn JSON into LwM2M values and back, print an OpenAPI document, speak HTTP as a client.
//! I must not: know sockets of devices, stores, shards; decide anything; keep state.
//! My invariants: a shape only grows · 64-bit numbers survive JavaScript · every problem type is listed in problems.md.
//! Start reading at: node.rs (one shape for any level of the data tree), then answer.rs, event.rs, routes.rs.
//! ```

pub mod access;
pub mod answer;
pub mod audit;
pub mod bootstrap;
pub mod certificate;
pub mod client;
pub mod command;
pub mod convert;
pub mod credential;
pub mod endpoint;
pub mod event;
pub mod fleet;
pub mod history;
pub mod import;
pub mod model;
pub mod node;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod security;
pub mod table;
pub mod time;
pub mod token;
pub mod trace;

pub use access::{Caller, Need, Role, needed};
pub use answer::{
    AnswerContent, AttributesBody, CompositeObserveBody, CompositeReadBody, CompositeWriteBody,
    DownlinkAnswer, ExecuteBody, Link, ObservationState, Observations, ObservingState, RawPayload,
};
pub use audit::{Audit, AuditEntry};
pub use certificate::{Certificate, CertificateWarning, CertificateWarningKind, Explanation, PublicKey};
pub use command::{Command, CommandMove, CommandPosition, CommandState, Commands};
pub use credential::{Credential, Credentials};
pub use endpoint::{Endpoint, Endpoints, ObjectEntry, PresenceState, Security, SecurityMode, Transmission};
pub use event::{Event, EventLog, EventType};
pub use fleet::{
    Bulk, BulkOrder, BulkPreview, BulkState, Bulks, Fleet, FleetModel, FleetShare, KnownValue, KnownValues,
    LostDevice, NoisyDevice, Rates, UnknownDevice, ValueSource,
};
pub use history::{History, HistoryItem};
pub use import::{CredentialImport, ImportResult, ImportedRow};
pub use model::{
    ChangedResource, Model, ModelChange, ModelCheck, ModelDevice, ModelDevices, ModelDiff, ModelFinding,
    ModelResource, ModelSummary, ModelUse, ModelVersion, Models, Severity,
};
pub use node::{Content, Node, NodeError, Unknown, ValueType};
pub use problem::{Problem, ProblemType};
pub use security::{
    CertificateFacts, Handshake, HandshakeResult, Handshakes, SecurityOverview, ServerIdentity, ServerRole,
    Session,
};
pub use time::Timestamp;
pub use token::{MadeToken, NewToken, Token, Tokens};
pub use trace::{Trace, TraceDirection, TraceGap, TraceItem, TraceOption, TracePayload, TraceTold};
