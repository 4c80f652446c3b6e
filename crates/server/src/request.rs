//! Downlink requests: what the host may ask of a device, and how it ends.

use core::fmt;
use std::sync::Arc;

use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::Path;
use lightship_platform::Instant;

/// One downlink request.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// What the device shall do.
    pub operation: Operation,
    /// The latest moment for the outcome, waiting in the device's line included.
    pub deadline: Instant,
    /// What happens while the device sleeps.
    pub when_asleep: WhenAsleep,
}

impl Request {
    /// A request that does not wait for a device to wake.
    #[must_use]
    pub const fn new(operation: Operation, deadline: Instant) -> Self {
        Self { operation, deadline, when_asleep: WhenAsleep::Refuse }
    }
}

/// What becomes of a request to a device that sleeps (Queue Mode).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum WhenAsleep {
    /// It is refused ([`RequestError::Asleep`]), and ends with [`Outcome::Asleep`] if the device falls asleep
    /// before it was sent.
    #[default]
    Refuse,
    /// It waits for the device to wake until its deadline. Sent in vain to a device that had fallen asleep, it is
    /// sent again at the next wake-up if that cannot do harm ([`Operation::may_be_repeated`]).
    Hold,
}

/// An operation of the device management interface (TS_Core 6.3).
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// Read an object, instance, resource or resource instance.
    Read {
        /// What to read.
        path: Path,
        /// The content format wanted; `None` leaves it to the device.
        accept: Option<ContentFormat>,
    },
    /// Discover what lies under a path, with the attributes attached.
    Discover {
        /// Where to look.
        path: Path,
        /// How many levels down (LwM2M 1.2).
        depth: Option<u8>,
    },
    /// Write, replacing what was there (PUT).
    Replace {
        /// The target.
        path: Path,
        /// The new value.
        content: Content,
    },
    /// Write, leaving alone what the content does not name (POST).
    PartialUpdate {
        /// The target.
        path: Path,
        /// The new values.
        content: Content,
    },
    /// Write-Attributes.
    WriteAttributes {
        /// The target.
        path: Path,
        /// The query, one `name=value` (set) or `name` (unset) each.
        attributes: Vec<String>,
    },
    /// Execute a resource.
    Execute {
        /// The resource.
        path: Path,
        /// The arguments (`0='x',1`), empty for none.
        arguments: String,
    },
    /// Create an instance.
    Create {
        /// The object.
        path: Path,
        /// The instance; without it the device makes an empty one (LwM2M 1.1).
        content: Option<Content>,
    },
    /// Delete an instance.
    Delete {
        /// The instance.
        path: Path,
    },
    /// Read several nodes at once (LwM2M 1.1): FETCH on the root.
    ReadComposite {
        /// The list of paths, in a format for several nodes.
        content: Content,
        /// The content format wanted of the answer; `None` leaves it to the device.
        accept: Option<ContentFormat>,
    },
    /// Write several resources at once (LwM2M 1.1): iPATCH on the root.
    WriteComposite {
        /// The new values, in a format for several nodes.
        content: Content,
    },
}

/// A payload and the format that it is in. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Content {
    /// The content format.
    pub format: ContentFormat,
    /// The payload; large ones travel block by block.
    pub payload: Arc<[u8]>,
}

/// Names one downlink request of one shard; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub(crate) u64);

/// Names one observation of one shard; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObservationId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ObservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a downlink request ended. Each ends exactly once.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The device answered; the verdict is its.
    Response(Response),
    /// No answer in time: the deadline passed, or the device did not acknowledge. It may have done what was asked.
    Timeout,
    /// The device slept; the request was never sent.
    Asleep,
    /// The device answered with a Reset.
    Reset,
    /// The device's answer broke the rules of CoAP (a block-wise answer that does not fit together), or was larger
    /// than [`Limits::body`](crate::Limits).
    Broken,
    /// The host cancelled it.
    Cancelled,
    /// The device de-registered, or its registration ended or gave way to a new one, before the answer came.
    Deregistered,
    /// The same before the request was sent.
    Unsent,
}

/// The answer of a device, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The response code, `2.05`, `4.04`, …
    pub code: Code,
    /// What the payload is in.
    pub content_format: Option<ContentFormat>,
    /// The payload, all blocks together; a diagnostic text when `code` is an error.
    pub payload: Box<[u8]>,
    /// The segments of the Location-Path: the path of an instance made by Create.
    pub location: Vec<String>,
}

/// Why a downlink request was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// No such endpoint is registered at this shard.
    UnknownEndpoint,
    /// The device's line is full ([`Limits::line`](crate::Limits)).
    LineFull,
    /// The shard has too much to do ([`Limits::requests`](crate::Limits)).
    Overloaded,
    /// The body is longer than [`Limits::request_body`](crate::Limits).
    TooLarge,
    /// The device has as many observations as it may ([`Limits::observations_per_device`](crate::Limits)).
    TooManyObservations,
    /// The operation does not fit the path: Execute of an instance, Create of a resource.
    WrongPath,
    /// The device sleeps, and the request does not want to wait.
    Asleep {
        /// When the device should show itself, as in [`Presence::Asleep`](crate::Presence).
        expected: Option<Instant>,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownEndpoint => "no such endpoint is registered",
            Self::LineFull => "too many requests wait for this device",
            Self::Overloaded => "too many requests wait",
            Self::TooLarge => "the body is too large",
            Self::TooManyObservations => "the device has too many observations",
            Self::WrongPath => "the operation does not fit the path",
            Self::Asleep { .. } => "the device sleeps",
        })
    }
}

impl std::error::Error for RequestError {}
