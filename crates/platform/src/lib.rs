//! What a port must provide to Lightship: time, randomness, cryptography, logging.
//!
//! ```text
//! I am the list of things that an engine may not take for itself.
//! I may: define plain types for time, traits for randomness and cryptography, macros for logging; hand primitives on
//!   from libraries.
//! I must not: read a clock, open a socket, ask the operating system for entropy, allocate (but for keys and signatures),
//!   invent cryptography.
//! My invariants: time is an argument · equal seeds give equal numbers on every machine ·
//!   a build without a logger carries no log strings.
//! Start reading at: time.rs, then rng.rs, then crypto.rs.
//! ```

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core, clippy::as_conversions)]

#[cfg(feature = "crypto")]
extern crate alloc;
#[cfg(feature = "fast-crypto")]
extern crate std;

#[cfg(feature = "crypto")]
pub mod crypto;
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
