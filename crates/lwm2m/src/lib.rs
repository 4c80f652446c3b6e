//! The LwM2M vocabulary: paths, values, content formats, operations, object definitions.
//!
//! **I am** the nouns of the LwM2M standard (Core TS 1.0 to 1.2.2) and their forms on the wire: identifiers, paths, data types,
//! content formats as flat sequences of entries, the operations of both directions as CoAP codes, paths and queries, attributes,
//! object lists, and what the OMA registry knows about each object and resource.
//! **I may** use `lightship-coap` for its plain types (code, content format, link format) and, with the feature `alloc`, own trees.
//! **I must not** open a socket, read a clock, keep state between calls, know a device or a server, allocate outside the `alloc`
//! types, or fail other than by an error value on any bytes.
//! **My invariants**: an identifier is never 65535; a path is at most four identifiers; decoding recurses at most as deep as the
//! standard's tree; work is linear in the bytes given; what I encode, I decode to the same entries; what I emit is strict, what I
//! accept is as wide as real devices need.
//! **Start reading at** [`path`](mod@path), [`value`], then [`format`](mod@format), [`downlink`] and [`uplink`], [`bootstrap`], then [`object`].

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core, clippy::as_conversions)]
#![cfg_attr(
    not(all(feature = "senml-json", feature = "lwm2m-cbor")),
    allow(dead_code, reason = "a format that is left out leaves its helpers unused")
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod attributes;
pub mod bootstrap;
pub mod downlink;
pub mod endpoint;
mod float;
pub mod format;

pub mod id;
pub mod meaning;
#[cfg(feature = "alloc")]
pub mod node;
pub mod object;
pub mod path;
pub mod readable;
pub mod uplink;
pub mod value;
pub mod version;

pub use attributes::{AttributeChange, AttributeError, AttributeName, Attributes};
pub use endpoint::Binding;
#[cfg(feature = "alloc")]
pub use endpoint::Endpoint;

pub use format::Format;
/// Link format, the content format of object lists (40).
pub use lightship_coap::link;

pub use id::{ObjectClass, ObjectId, ObjectInstanceId, ResourceId, ResourceInstanceId, ShortServerId};
#[cfg(feature = "alloc")]
pub use node::Node;
pub use path::Path;
#[cfg(feature = "alloc")]
pub use value::OwnedValue;
pub use value::{DataType, ObjectLink, Value};
pub use version::{ObjectVersion, Version};
