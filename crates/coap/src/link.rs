//! Link format: what a device offers, as text (RFC 6690).
//!
//! ```text
//! links = [ link *( "," link ) ]
//! link  = "<" target ">" *( ";" name [ "=" ( token | DQUOTE text DQUOTE ) ] )
//! ```
//!
//! [`links`] reads, [`LinkWriter`] writes; neither allocates.

mod parse;
mod write;

pub use parse::{Attribute, Attributes, Link, LinkError, LinkValue, Links, Mode, links};
pub use write::{LinkWriter, TextBuffer};
