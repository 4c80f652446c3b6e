//! A LwM2M Client engine without sockets, clock or allocator.
//!
//! I am one device with a few servers: its registrations, its objects, its observations.
//! I may: read and write the bytes I am handed, call the objects I was given, remember what the standard makes me remember.
//! I must not: open a socket, read a clock, allocate (the feature `alloc` only adds owned values and boxed objects), look
//! into the registry at run time, fail on foreign bytes.
//! My invariants: every failure ends in a scheduled retry · a Write changes all it names or nothing · an observation
//! never sends two notifications closer than pmin · attributes and observations of one server are invisible to another ·
//! every request that an object postponed is answered exactly once.
//! Start reading at: `object/mod.rs` (what firmware writes), then `engine.rs` (the five verbs), `register.rs`, `dispatch.rs`,
//! `observe.rs`.

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core)]

#[cfg(feature = "alloc")]
extern crate alloc;
// The derive macro names this crate by its name, in here too.
extern crate self as lightship_client;

#[doc(hidden)]
#[path = "derive.rs"]
pub mod __derive;
mod attributes;
mod config;
mod discover;
mod dispatch;
mod engine;
mod event;
mod list;
mod object;
pub mod objects;
mod observe;
mod read;
mod register;
mod server_object;
mod snapshot;
mod uri;
mod write;

pub use config::{Account, Config, ENDPOINT_LEN_MAX, Retry, Thresholds, URI_LEN_MAX};
pub use engine::Client;
pub use event::{AccountId, AskId, Event, Failure, Transmit};
pub use register::Phase;

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
