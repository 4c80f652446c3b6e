//! A LwM2M Client engine without sockets, clock or allocator.
//!
//! I am one device with a few servers: its registrations, its objects, its observations.
//! I may: read and write the bytes I am handed, call the objects I was given, remember what the standard makes me remember.
//! I must not: open a socket, read a clock, allocate (the feature `alloc` only adds owned values and boxed objects), look
//! into the registry at run time, fail on foreign bytes.
//! My invariants: every failure ends in a scheduled retry · a Write changes all it names or nothing · an observation
//! never sends two notifications of the present closer than pmin, and none of the past without its time where there is a format
//! for that · attributes and observations of one server are invisible to another ·
//! every request that an object postponed is answered exactly once.
//! Start reading at: `object/mod.rs` (what firmware writes), then `engine.rs` (the five verbs), `register.rs`, `dispatch.rs`,
//! `observe.rs`, `composite.rs`; then what surrounds them: `engine/enrol.rs` (registering), `engine/keep.rs` (the past), `engine/sleep.rs`
//! (Queue Mode), `engine/bootstrap.rs`.
//!
//! # An object is a struct
//!
//! ```
//! use lightship_client::{Arguments, Multiple, Object, Refusal};
//!
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
//! struct Temperature {
//!     #[resource(5700)]
//!     value: f32,
//!     #[resource(5701)]
//!     unit: Option<&'static str>,
//! }
//!
//! impl Temperature {
//!     fn reset(&mut self, _: Arguments<'_>) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//! }
//!
//! let sensors = Multiple::<_, 2>::new().with(0, Temperature { value: 21.5, unit: Some("Cel") });
//! assert!(sensors.get(0).is_some());
//! ```
//!
//! The compiler knows the registry. A value of the wrong type,
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "1.1")]
//! struct Temperature {
//!     #[resource(5700)]
//!     value: bool,
//! }
//! ```
//!
//! a resource that the object does not have,
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "1.1")]
//! struct Temperature {
//!     #[resource(5700)]
//!     value: f32,
//!     #[resource(5850)]
//!     on: bool,
//! }
//! ```
//!
//! a mandatory resource that is missing
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "1.1")]
//! struct Temperature {
//!     #[resource(5701)]
//!     unit: Option<&'static str>,
//! }
//! ```
//!
//! or may be absent, one value where the definition has an array,
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "1.1")]
//! struct Temperature {
//!     #[resource(5700)]
//!     value: Option<f32>,
//! }
//! ```
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 2)]
//! struct AccessControl {
//!     #[resource(0)]
//!     object: u16,
//!     #[resource(1)]
//!     instance: u16,
//!     #[resource(2)]
//!     rights: Option<u8>,
//!     #[resource(3)]
//!     owner: u16,
//! }
//! ```
//!
//! or an unknown version do not compile:
//!
//! ```compile_fail
//! # use lightship_client::Object;
//! #[derive(Object, Clone, Default)]
//! #[lwm2m(object = 3303, version = "7.0")]
//! struct Temperature {
//!     #[resource(5700)]
//!     value: f32,
//! }
//! ```

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core)]

#[cfg(feature = "heap")]
extern crate alloc;
// The derive macro names this crate by its name, in here too.
extern crate self as lightship_client;

#[doc(hidden)]
#[path = "derive.rs"]
pub mod __derive;
mod access;
mod account;
mod attributes;
mod body;
mod composite;
mod config;
mod discover;
mod dispatch;
mod engine;
mod event;
mod gather;
mod history;
mod list;
mod negotiate;
mod object;
pub mod objects;
mod observe;
#[cfg(feature = "profile-id")]
mod profile;
mod read;
mod register;
#[cfg(feature = "dtls")]
mod secure;
mod server_object;
mod snapshot;
#[cfg(feature = "bootstrap")]
mod staged;
mod uri;
mod write;

#[cfg(feature = "heap")]
pub use account::Tls;
pub use account::{
    Account, Retry, SECRET_LEN_MAX, SERVER_NAME_LEN_MAX, Secret, Security, SecurityMode, URI_LEN_MAX,
};
pub use config::{
    ALTERNATE_PATH_LEN_MAX, AlternatePath, Config, ENDPOINT_LEN_MAX, PROFILE_LEN_MAX, Profile, QueueMode,
    SMS_LEN_MAX, Thresholds,
};
pub use engine::Client;
pub use event::{AccountId, AskId, Event, Failure, SendId, SendRefused, Transmit, Unusable};
pub use register::Phase;
#[cfg(feature = "dtls")]
pub use secure::{Keys, SecureTransport, SecurityFailure, ServerFault, Session, SessionEnd};

#[cfg(feature = "dtls")]
pub use lightship_dtls as dtls;
#[cfg(feature = "dtls")]
pub use lightship_platform::crypto;

// What a driver needs to name the engine, without knowing the rooms below it.
#[cfg(feature = "alloc")]
pub use lightship_coap::HeapBuffer;
pub use lightship_coap::peer::Buffer;
pub use lightship_coap::{Code, Config as CoapConfig, FixedBuffer};
pub use lightship_lwm2m::{ShortServerId, Version};
pub use lightship_platform::{Instant, Rng, SeededRng};

/// Derives [`Instance`] for a plain struct, checked against the OMA registry by the compiler.
pub use lightship_client_derive::Object;
pub use lightship_lwm2m::{ObjectLink, Path, ResourceId, ResourceInstanceId, Value};
pub use object::{
    Arguments, Array, Bytes, Field, Instance, Multiple, Object, ObjectModel, Objects, Refusal, ResourceModel,
    Scalar, Single, Sink, Text, Types,
};
