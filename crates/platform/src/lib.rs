//! What a port must provide to Lightship: time, randomness, logging.
//!
//! ```text
//! I am the list of things that an engine may not take for itself.
//! I may: define plain types for time, a trait for randomness, macros for logging.
//! I must not: read a clock, open a socket, ask the operating system for entropy, allocate.
//! My invariants: time is an argument · equal seeds give equal numbers on every machine ·
//!   a build without a logger carries no log strings.
//! Start reading at: time.rs, then rng.rs.
//! ```

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core, clippy::as_conversions)]

mod log;
mod rng;
mod time;

pub use crate::rng::{Rng, SeededRng};
pub use crate::time::{Instant, UnixTime};
/// A span of time; the standard library's own type.
pub use core::time::Duration;

#[doc(hidden)]
pub mod private {
    //! What the log macros expand to; not part of the interface.
    #[cfg(feature = "defmt")]
    pub use defmt;
    #[cfg(feature = "log")]
    pub use log;
}
