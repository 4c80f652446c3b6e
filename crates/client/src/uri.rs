//! Where requests to a server go: the path and query of its URI, and the location it gave; and what stands before the paths of
//! this device.

use core::fmt;

use lightship_coap::{Message, OptionWriter};
use lightship_lwm2m::Path;

use crate::object::Bytes;

/// The scheme of a URI; empty when there is none.
#[cfg(feature = "dtls")]
pub(crate) fn scheme(uri: &str) -> &str {
    uri.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// The host of a URI: a name, or an address, which in IPv6 keeps its brackets.
#[cfg(feature = "dtls")]
pub(crate) fn host(uri: &str) -> &str {
    let authority = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.split_once(']') {
        Some((address, _)) => authority.get(..address.len().saturating_add(1)).unwrap_or_default(),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    }
}

/// Whether a host is an address and no name.
#[cfg(feature = "dtls")]
pub(crate) fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Adds the path segments and query parts of the server's URI, which stand before the client's own (TS_Transport 6.4.1).
pub(crate) fn prefix(uri: &str, options: &mut OptionWriter<'_>) {
    // By bytes: searching for a text would link the library's large searcher.
    let authority =
        uri.as_bytes().windows(3).position(|window| window == b"://").map_or(0, |at| at.saturating_add(3));
    let rest = uri.get(authority..).unwrap_or(uri);
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    for segment in segments(path) {
        options.uri_path_segment(segment);
    }
    for part in query.split('&').filter(|part| !part.is_empty()) {
        options.uri_query(part);
    }
}

/// The segments of a path that may be empty.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// What follows the alternate path in the path of a request; `None` for a path elsewhere.
pub(crate) fn below<'m, I: Iterator<Item = &'m str>>(root: &str, mut path: I) -> Option<I> {
    segments(root).all(|segment| path.next() == Some(segment)).then_some(path)
}

/// A path as links have it: behind the alternate path, if there is one.
pub(crate) struct Below<'a>(pub(crate) &'a str, pub(crate) Path);

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Below(root, path) = self;
        if !root.is_empty() {
            f.write_str("/")?;
            f.write_str(root)?;
            if path.is_root() {
                return Ok(());
            }
        }
        path.fmt(f)
    }
}

/// Longest location in bytes, with one byte before each segment.
const LOCATION_LEN_MAX: usize = 64;

/// The segments of a location as they came, each after its length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Location(Bytes<LOCATION_LEN_MAX>);

impl Location {
    /// Takes the location of a response; `None` when there is none or it is too long.
    pub(crate) fn new(message: &Message<'_>) -> Option<Self> {
        let mut bytes = [0; LOCATION_LEN_MAX];
        let mut at = 0_usize;
        for segment in message.location_path() {
            let end = at.checked_add(1)?.checked_add(segment.len())?;
            let place = bytes.get_mut(at..end)?;
            let (len, place) = place.split_first_mut()?;
            *len = u8::try_from(segment.len()).ok()?;
            place.copy_from_slice(segment.as_bytes());
            at = end;
        }
        if at == 0 { None } else { Some(Location(Bytes::new(bytes.get(..at)?))) }
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.0.as_slice();
        core::iter::from_fn(move || {
            let (len, tail) = rest.split_first()?;
            let (segment, tail) = tail.split_at_checked(usize::from(*len))?;
            rest = tail;
            core::str::from_utf8(segment).ok()
        })
    }

    /// Adds the location as the path of a request.
    pub(crate) fn write(&self, options: &mut OptionWriter<'_>) {
        self.segments().for_each(|segment| {
            options.uri_path_segment(segment);
        });
    }
}
