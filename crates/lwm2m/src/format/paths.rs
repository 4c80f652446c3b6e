//! Lists of paths: what a Read-Composite and an Observe-Composite ask for. Core TS 1.2, 6.3.8; RFC 8790 §3.1.
//!
//! SenML records that have a name and no value, in SenML-ETCH (since 1.2) or in plain SenML (1.1, and again since 1.2.1).

use super::{Decoder, EncodeError, Encoder, Format, FormatError, Use, check};
use crate::{Path, Version};

/// Reads a list of paths.
///
/// It has at least one path, and values are errors. SenML-ETCH also refuses fields that say nothing about which records are
/// meant; plain SenML reads over what it does not know.
#[must_use]
pub fn decode(format: Format, payload: &[u8]) -> Paths<'_> {
    let decoder = Decoder::new(format, Path::ROOT, payload);
    if !format.is_for(Use::CompositePaths, Version::LATEST) {
        return Paths { decoder: None, state: State::Failed };
    }
    Paths::new(if format.is_senml_etch() { decoder.fetch_only() } else { decoder })
}

/// The paths of a list, in its order. See [`decode`].
#[derive(Clone, Debug)]
pub struct Paths<'a> {
    decoder: Option<Decoder<'a>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The format has no lists of paths.
    Failed,
    Start,
    Between,
    Done,
}

impl<'a> Paths<'a> {
    const fn new(decoder: Decoder<'a>) -> Self {
        Self { decoder: Some(decoder), state: State::Start }
    }

    /// See [`Decoder::with_alternate_path`].
    #[must_use]
    pub fn with_alternate_path(mut self, alternate_path: &'a str) -> Self {
        self.decoder = self.decoder.map(|decoder| decoder.with_alternate_path(alternate_path));
        self
    }

    /// See [`Decoder::tolerate_missing_slash`].
    #[must_use]
    pub fn tolerate_missing_slash(mut self) -> Self {
        self.decoder = self.decoder.map(Decoder::tolerate_missing_slash);
        self
    }

    /// Checks the whole list before any of it is read: that it is well-formed and no path stands twice.
    ///
    /// # Errors
    /// The first [`FormatError`].
    pub fn check(&self) -> Result<(), FormatError> {
        for path in self.clone() {
            path?;
        }
        self.decoder.as_ref().map_or(Ok(()), check)
    }
}

impl Iterator for Paths<'_> {
    type Item = Result<Path, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = match (self.state, self.decoder.as_mut().map(Iterator::next)) {
            (State::Done, _) => return None,
            (State::Failed, _) | (_, None) => Err(FormatError::WrongLevel),
            (State::Start, Some(None)) => Err(FormatError::Empty),
            (State::Between, Some(None)) => {
                self.state = State::Done;
                return None;
            }
            (_, Some(Some(Ok(entry)))) if entry.value.is_nothing() => Ok(entry.path),
            (_, Some(Some(Ok(_)))) => Err(FormatError::NotUnderstood),
            (_, Some(Some(Err(error)))) => Err(error),
        };
        self.state = if result.is_ok() { State::Between } else { State::Done };
        Some(result)
    }
}

impl core::iter::FusedIterator for Paths<'_> {}

/// Writes a list of paths and gives its length in bytes.
///
/// # Errors
/// [`EncodeError::NotExpressible`] in a format without such lists and for an empty list, [`EncodeError::BufferTooSmall`].
pub fn encode(
    format: Format,
    paths: impl IntoIterator<Item = Path>,
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    encode_below("", format, paths, buffer)
}

/// The same for a device with an alternate path. See [`Encoder::with_alternate_path`].
///
/// # Errors
/// As [`encode`].
pub fn encode_below(
    alternate_path: &str,
    format: Format,
    paths: impl IntoIterator<Item = Path>,
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    if !format.is_for(Use::CompositePaths, Version::LATEST) {
        return Err(EncodeError::NotExpressible);
    }
    let mut encoder = Encoder::new(format, Path::ROOT, buffer).with_alternate_path(alternate_path);
    let mut empty = true;
    for path in paths {
        encoder.name(path)?;
        empty = false;
    }
    if empty { Err(EncodeError::NotExpressible) } else { encoder.finish() }
}

/// Writes a list of paths in a buffer that grows as needed.
///
/// # Errors
/// [`EncodeError::NotExpressible`] in a format without such lists and for an empty list.
#[cfg(feature = "alloc")]
pub fn encode_owned(format: Format, paths: &[Path]) -> Result<alloc::vec::Vec<u8>, EncodeError> {
    encode_owned_below("", format, paths)
}

/// The same for a device with an alternate path. See [`Encoder::with_alternate_path`].
///
/// # Errors
/// As [`encode_owned`].
#[cfg(feature = "alloc")]
pub fn encode_owned_below(
    alternate_path: &str,
    format: Format,
    paths: &[Path],
) -> Result<alloc::vec::Vec<u8>, EncodeError> {
    // The longest record is `{"n":"/65534/65534/65534/65534"},`.
    const RECORD_LEN_MAX: usize = 40;
    // JSON may write six letters for one.
    let record_len = RECORD_LEN_MAX + 6 * alternate_path.len();
    let mut buffer = alloc::vec![0; paths.len() * record_len + 16];
    let len = encode_below(alternate_path, format, paths.iter().copied(), &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
