//! One shard of a LwM2M Server, without sockets or clock.
//!
//! **I am** one CPU core's share of a LwM2M Server: the registrations of many devices, the requests to them, their
//! observations, and the CoAP state of those with something going on.
//! **I may** allocate within [`Limits`], remember what the standard makes me remember, ask the host ([`Event`]) what
//! I cannot know.
//! **I must not** open a socket, read a clock, draw randomness other than from my seed, iterate over hash tables,
//! understand payloads, know REST or a store, fail or grow without bound on foreign bytes.
//! **My invariants**: an endpoint, a locator and an address each belong to at most one registration · a device has at
//! most one request under way · nothing is sent to a device that sleeps ·
//! every request ends in exactly one [`Event::RequestDone`] · an observation ends with its
//! registration · values of an observation never go backwards · an address without a registration costs bounded memory
//! · the same calls give the same results.
//! **Start reading at** [`Shard`] (`shard.rs`: the verbs), then `uplink.rs` and `register.rs` (the life of a registration),
//! `downlink.rs` and `observe.rs` (what goes to devices), `talk.rs` (where CoAP is spoken).
//!
//! # The loop around it
//!
//! ```
//! use lightship_platform::Instant;
//! use lightship_server::{Answer, Config, Event, Shard};
//!
//! let mut shard = Shard::new(Config::default(), [7; 32]);
//! let from = "192.0.2.1:5683".parse().unwrap();
//! let now = Instant::from_secs(1);
//! // A CoAP ping, as a socket would give it.
//! shard.handle_input(now, from, &mut [0x40, 0, 0x12, 0x34]);
//!
//! let mut buffer = [0; 1280];
//! while let Some(transmit) = shard.poll_transmit(&mut buffer) {
//!     assert_eq!((transmit.to, &buffer[..transmit.len]), (from, &[0x70, 0, 0x12, 0x34][..]));
//! }
//! while let Some(event) = shard.poll_event() {
//!     if let Event::AskRegister { ask, .. } = event {
//!         shard.answer(now, ask, Answer::Accept { observations: Vec::new() });
//!     }
//! }
//! // Nothing to wait for; else handle_timeout is called then.
//! assert_eq!(shard.poll_timeout(), None);
//! ```

mod alike;
mod asks;
pub mod bootstrap;
mod chunks;
mod config;
mod deviation;
mod devices;
mod doubt;
mod downlink;
mod event;
mod foresight;
mod frozen;
mod hash;
mod index;
mod interned;
pub mod limits;
mod links;
mod locator;
mod message;
mod meter;
mod name;
mod observation;
mod observe;
mod parameters;
mod presence;
mod profiles;
mod register;
mod registration;
mod request;
mod route;
mod secure;
mod secured;
mod shard;
mod slab;
mod stateless;
mod stats;
mod talk;
mod timer;
mod trace;
mod transmission;
mod uplink;

pub use config::{Config, Rebinding};
pub use deviation::{Deviation, Deviations};
pub use event::{Answer, Ask, Changed, Composite, Ended, Event, Fact, Observed, Wanted};
pub use frozen::{BadFrozen, Frozen, Stored, check_said};
pub use index::Index;
pub use limits::Limits;
pub use locator::{BadLocator, Locator, RegistrationId};
pub use name::Name;
pub use presence::Presence;
pub use registration::{Details, ObjectLink, ObjectList, Registration, Terms};
pub use request::{
    Content, ObservationId, Operation, Outcome, Request, RequestError, RequestId, Response, WhenAsleep,
};
pub use route::Route;
pub use secure::{
    Address, Certificate, Claim, Credential, CredentialEnd, DropStats, Endpoints, FailureStats,
    HandshakeFailure, Mode, Party, Presented, Principal, Registrations, Security, SecurityEvent,
    SecurityLimits, SecurityStats, SessionDrops, SessionEnd, SessionInfo, TicketRotation, Whose, shard_of,
};
pub use shard::{Shard, Transmit};
pub use stats::Stats;
pub use trace::{
    TRACED_LEN_MAX, TRACED_RECORD_LEN_MAX, TraceAsk, TraceChunk, TraceDrop, TraceOf, TraceRecord,
};
pub use transmission::Transmission;

// What my interface speaks of, so that a host needs no further room for it.
pub use lightship_coap::{Code, ContentFormat, Token};
pub use lightship_dtls::{Alert, Facts, Suite};
pub use lightship_lwm2m::{Endpoint, Path};
