//! Content formats: what a payload holds, as a flat sequence of entries in tree order.
//!
//! Encoding: an [`Encoder`] takes (path, value) pairs and writes into a buffer lent by the caller. Decoding: [`decode`] gives an
//! iterator over [`Entry`]s that borrow from the payload. Nothing is allocated, recursion is as deep as the standard's tree, and
//! the work is linear in the payload.
//!
//! Text and TLV leave values untyped, JSON leaves texts escaped: [`RawValue::decode`] gives the value once the data type is known.
//!
//! What a request of a Read-Composite or Observe-Composite holds is a list of [`paths`].
//!
//! | Format | Number | Holds |
//! |---|---|---|
//! | [`Format::Text`] | 0 | one value |
//! | [`Format::Opaque`] | 42 | one Opaque value |
//! | [`Format::Cbor`] | 60 | one value |
//! | [`Format::SenmlJson`] | 110 | any level, timestamps |
//! | [`Format::SenmlCbor`] | 112 | any level, timestamps |
//! | [`Format::SenmlEtchJson`] | 320 | lists of paths, composite writes |
//! | [`Format::SenmlEtchCbor`] | 322 | lists of paths, composite writes |
//! | [`Format::Tlv`] | 11542 | any level below an object |
//! | [`Format::Json`] | 11543 | any level (of LwM2M 1.0, with the feature `alloc`) |
//! | [`Format::Lwm2mCbor`] | 11544 | any level |

#[cfg(not(all(feature = "senml-json", feature = "lwm2m-cbor")))]
mod absent;
mod base64;
mod cbor;
mod json;
mod kind;
#[cfg(feature = "lwm2m-cbor")]
mod lwm2m_cbor;
#[cfg(feature = "alloc")]
mod lwm2m_json;
mod out;
pub mod paths;
mod raw;
mod senml;
mod senml_cbor;
#[cfg(feature = "senml-json")]
mod senml_json;
mod text;
mod tlv;

#[cfg(not(feature = "lwm2m-cbor"))]
use absent::lwm2m_cbor;
#[cfg(not(feature = "senml-json"))]
use absent::senml_json;

pub use kind::{Format, UnknownFormat, Use};
pub use raw::{RawValue, ValueError};

use crate::{Path, Value, id::ObjectInstanceId};
use core::fmt;
use senml::Content;

/// One thing a payload says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// What it is about: a resource or resource instance, for an empty container also an object instance.
    pub path: Path,
    /// When it was so, if the payload tells: seconds since 1970, or, below 2^28, seconds before (negative) or after the moment
    /// of receipt (RFC 8428 §4.5.3). Always finite.
    pub time: Option<f64>,
    /// The value.
    pub value: RawValue<'a>,
}

/// Why a payload is not what its format demands. A device answers all of them with 4.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FormatError {
    /// The payload ends too early, or a length runs past its end.
    Truncated,
    /// The bytes break the rules of the format.
    Malformed,
    /// Bytes follow the end of the content.
    TrailingBytes,
    /// The text is not UTF-8.
    NotUtf8,
    /// A name is no path.
    BadPath,
    /// A path does not lie under the requested one.
    OutsideBase,
    /// A record has a field that must be understood and is not (SenML `…_`, `bver`, base values, sums).
    NotUnderstood,
    /// A record has two values, or one field twice.
    Duplicate,
    /// Nested deeper than any legal content.
    TooDeep,
    /// The format cannot say anything about a node of this level.
    WrongLevel,
    /// A path begins with the prefix of an end device behind a gateway, which has no place in a [`Path`].
    Prefixed,
    /// There is nothing where something must be.
    Empty,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the payload ends too early",
            Self::Malformed => "the payload breaks the rules of its format",
            Self::TrailingBytes => "bytes follow the end of the content",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::BadPath => "a name is not a path",
            Self::OutsideBase => "a path lies outside the requested one",
            Self::NotUnderstood => "a field that must be understood is unknown",
            Self::Duplicate => "a record has two values or one field twice",
            Self::TooDeep => "the content is nested too deeply",
            Self::WrongLevel => "the format cannot describe a node of this level",
            Self::Empty => "there is nothing in it",
            Self::Prefixed => "a path begins with a prefix that is not known here",
        })
    }
}

impl core::error::Error for FormatError {}

/// Decodes a payload that answers or commands something about `base`.
///
/// Every path lies at or under `base`. After an error the iterator ends. Duplicates are not looked for here, since that needs
/// memory: the last one counts.
#[must_use]
pub fn decode(format: Format, base: Path, payload: &[u8]) -> Decoder<'_> {
    Decoder::new(format, base, payload)
}

/// The entries of a payload. See [`decode`].
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    base: Path,
    state: State<'a>,
}

#[derive(Clone, Debug)]
enum State<'a> {
    Done,
    Failed(FormatError),
    Text(&'a [u8]),
    Opaque(&'a [u8]),
    Cbor(&'a [u8]),
    Tlv(tlv::Decoder<'a>),
    SenmlJson(senml_json::Decoder<'a>),
    SenmlCbor(senml_cbor::Decoder<'a>),
    Lwm2mCbor(lwm2m_cbor::Decoder<'a>),
    #[cfg(feature = "alloc")]
    Json(lwm2m_json::Decoder<'a>),
}

impl<'a> Decoder<'a> {
    /// See [`decode`].
    #[must_use]
    pub fn new(format: Format, base: Path, payload: &'a [u8]) -> Self {
        let state = match format {
            _ if format.is_single_value() && base.len() < 3 => State::Failed(FormatError::WrongLevel),
            Format::Text => State::Text(payload),
            Format::Opaque => State::Opaque(payload),
            Format::Cbor => State::Cbor(payload),
            Format::Tlv if base.is_root() => State::Failed(FormatError::WrongLevel),
            Format::Tlv => State::Tlv(tlv::Decoder::new(base, payload)),
            #[cfg(feature = "senml-json")]
            Format::SenmlJson | Format::SenmlEtchJson => State::SenmlJson(senml_json::Decoder::new(payload)),
            #[cfg(not(feature = "senml-json"))]
            Format::SenmlJson | Format::SenmlEtchJson => State::Failed(FormatError::WrongLevel),
            Format::SenmlCbor | Format::SenmlEtchCbor => State::SenmlCbor(senml_cbor::Decoder::new(payload)),
            #[cfg(feature = "alloc")]
            Format::Json => State::Json(lwm2m_json::Decoder::new(base, payload)),
            #[cfg(not(feature = "alloc"))]
            Format::Json => State::Failed(FormatError::WrongLevel),
            #[cfg(feature = "lwm2m-cbor")]
            Format::Lwm2mCbor => State::Lwm2mCbor(lwm2m_cbor::Decoder::new(payload)),
            #[cfg(not(feature = "lwm2m-cbor"))]
            Format::Lwm2mCbor => State::Failed(FormatError::WrongLevel),
        };
        Self { base, state }
    }

    /// Removes an alternate path (`lwm2m`, slashes around it do not matter) from names that start with it, as 1.2.1 devices
    /// send them.
    #[must_use]
    pub fn with_alternate_path(mut self, alternate_path: &'a str) -> Self {
        self.set_names(|names| names.alternate_path = alternate_path.trim_matches('/'));
        self
    }

    /// Accepts names without their first slash, which some devices send.
    #[must_use]
    pub fn tolerate_missing_slash(mut self) -> Self {
        self.set_names(|names| names.missing_slash = true);
        self
    }

    /// Reads 65535 in the place of an object instance, by which the Create of LwM2M CBOR leaves the choice to the device, as the
    /// instance that the device chose. Without this it is an error.
    #[must_use]
    pub fn with_assigned_instance(mut self, instance: ObjectInstanceId) -> Self {
        if let State::Lwm2mCbor(decoder) = &mut self.state {
            decoder.assigned = Some(instance);
        }
        self
    }

    fn set_names(&mut self, set: impl FnOnce(&mut senml::Names<'a>)) {
        match &mut self.state {
            State::SenmlJson(decoder) => set(&mut decoder.names),
            State::SenmlCbor(decoder) => set(&mut decoder.names),
            State::Lwm2mCbor(decoder) => set(&mut decoder.names),
            #[cfg(feature = "alloc")]
            State::Json(decoder) => set(&mut decoder.names),
            State::Done
            | State::Failed(_)
            | State::Text(_)
            | State::Opaque(_)
            | State::Cbor(_)
            | State::Tlv(_) => {}
        }
    }

    const fn refuses_empty(&self) -> bool {
        matches!(self.state, State::Lwm2mCbor(_))
    }

    /// Takes only the fields that a list of paths in SenML-ETCH may have.
    fn fetch_only(mut self) -> Self {
        match &mut self.state {
            State::SenmlJson(decoder) => decoder.fetch = true,
            State::SenmlCbor(decoder) => decoder.fetch = true,
            State::Done
            | State::Failed(_)
            | State::Text(_)
            | State::Opaque(_)
            | State::Cbor(_)
            | State::Tlv(_)
            | State::Lwm2mCbor(_) => {}
            #[cfg(feature = "alloc")]
            State::Json(_) => {}
        }
        self
    }

    fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        let single = |value| Entry { path: self.base, time: None, value };
        match &mut self.state {
            State::Done => None,
            State::Failed(error) => Some(Err(*error)),
            State::Text(payload) => Some(text::decode(payload).map(single)),
            State::Opaque(payload) => Some(Ok(single(RawValue::opaque(payload)))),
            State::Cbor(payload) => Some(cbor::decode_single(payload).map(single)),
            State::Tlv(decoder) => decoder.advance(),
            State::SenmlJson(decoder) => decoder.advance(),
            State::SenmlCbor(decoder) => decoder.advance(),
            State::Lwm2mCbor(decoder) => decoder.advance(),
            #[cfg(feature = "alloc")]
            State::Json(decoder) => decoder.advance(),
        }
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Entry<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut item = self.advance();
        if let Some(Ok(entry)) = &item
            && !self.base.contains(entry.path)
        {
            item = Some(Err(FormatError::OutsideBase));
        }
        let one_shot = matches!(self.state, State::Text(_) | State::Opaque(_) | State::Cbor(_));
        if one_shot || !matches!(item, Some(Ok(_))) {
            self.state = State::Done;
        }
        item
    }
}

impl core::iter::FusedIterator for Decoder<'_> {}

/// How many entries [`check`] looks at again for entries that are not in tree order.
const LOOK_BACK_MAX: usize = 1 << 16;

/// Checks a whole payload before any of it is applied: that it is well-formed and that no path stands twice; in LwM2M CBOR also
/// that no map inside is empty, which the standard gives no meaning.
///
/// Without memory, and in linear time: entries in tree order, or in the order of their times, as every known peer writes them, are seen once. Entries out of
/// order make it look back, up to a limit far above what fits a device's payload.
///
/// # Errors
/// The first [`FormatError`]; [`FormatError::Duplicate`] for a path that stands twice at the same time, or when the payload is in
/// such disorder that this cannot be excluded.
pub fn check(payload: &Decoder<'_>) -> Result<(), FormatError> {
    // Values of several times come time by time, or path by path: what is behind all before it in either order is new.
    let mut last_by_path: Option<(Path, Option<f64>)> = None;
    let mut last_by_time: Option<(Option<f64>, Path)> = None;
    let mut looked_back: usize = 0;
    for (index, entry) in payload.clone().enumerate() {
        let entry = entry?;
        if payload.refuses_empty() && entry.value.is_container() {
            return Err(FormatError::Malformed);
        }
        let (by_path, by_time) = ((entry.path, entry.time), (entry.time, entry.path));
        let new_by_path = last_by_path.is_none_or(|last| last < by_path);
        let new_by_time = last_by_time.is_none_or(|last| last < by_time);
        if new_by_path {
            last_by_path = Some(by_path);
        }
        if new_by_time {
            last_by_time = Some(by_time);
        }
        if new_by_path || new_by_time {
            continue;
        }
        looked_back = looked_back.saturating_add(index);
        let same = |other: Entry<'_>| other.path == entry.path && other.time == entry.time;
        if looked_back > LOOK_BACK_MAX || payload.clone().take(index).flatten().any(same) {
            return Err(FormatError::Duplicate);
        }
    }
    Ok(())
}

/// The Object Instance ID that the payload of a Create on `/o` chooses; `None` when it leaves the choice to the device.
///
/// A payload that creates several instances gives the first one's ID.
///
/// # Errors
/// [`FormatError`] when the beginning of the payload is malformed already; single-value formats have the wrong level.
pub fn chosen_instance(
    format: Format,
    object: Path,
    payload: &[u8],
) -> Result<Option<ObjectInstanceId>, FormatError> {
    chosen_instance_below("", format, object, payload)
}

/// The same on a device with an alternate path. See [`Decoder::with_alternate_path`].
///
/// # Errors
/// As [`chosen_instance`].
pub fn chosen_instance_below(
    alternate_path: &str,
    format: Format,
    object: Path,
    payload: &[u8],
) -> Result<Option<ObjectInstanceId>, FormatError> {
    if payload.is_empty() {
        return Ok(None);
    }
    match format {
        Format::Tlv => tlv::chosen_instance(payload),
        #[cfg(feature = "lwm2m-cbor")]
        Format::Lwm2mCbor => lwm2m_cbor::chosen_instance(object, payload),
        #[cfg(not(feature = "lwm2m-cbor"))]
        Format::Lwm2mCbor => Err(FormatError::WrongLevel),
        Format::SenmlJson
        | Format::SenmlCbor
        | Format::SenmlEtchJson
        | Format::SenmlEtchCbor
        | Format::Json => match decode(format, object, payload).with_alternate_path(alternate_path).next() {
            Some(entry) => Ok(entry?.path.instance_id()),
            None => Ok(None),
        },
        Format::Text | Format::Opaque | Format::Cbor => Err(FormatError::WrongLevel),
    }
}

/// Why something could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    BufferTooSmall,
    /// The format holds exactly one value, and there is none or more than one, or the path is no resource.
    NotSingleValue,
    /// The format cannot express the value: not Opaque in format 42, not a number in JSON, a time stamp in TLV.
    NotExpressible,
    /// The path does not lie under the base.
    OutsideBase,
    /// An entry stands where tree order does not allow it (a node was left and is entered again).
    NotInOrder,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "the buffer is too small",
            Self::NotSingleValue => "the format holds exactly one value",
            Self::NotExpressible => "the format cannot express the value",
            Self::OutsideBase => "the path lies outside the base",
            Self::NotInOrder => "the entries are not in tree order",
        })
    }
}

impl core::error::Error for EncodeError {}

/// Writes a payload, entry by entry in tree order.
///
/// Errors stick: the first one is what [`Encoder::finish`] gives, so single results may be ignored.
#[derive(Debug)]
pub struct Encoder<'b> {
    format: Format,
    base: Path,
    entries: usize,
    error: Option<EncodeError>,
    sink: Sink<'b>,
}

#[derive(Debug)]
enum Sink<'b> {
    Single(Format, out::Out<'b>),
    Tlv(tlv::Encoder<'b>),
    SenmlJson(senml_json::Encoder<'b>),
    SenmlCbor(senml_cbor::Encoder<'b>),
    Lwm2mCbor(lwm2m_cbor::Encoder<'b>),
    #[cfg(feature = "alloc")]
    Json(lwm2m_json::Encoder<'b>),
}

impl<'b> Encoder<'b> {
    /// Starts a payload about `base` in a buffer.
    #[must_use]
    pub fn new(format: Format, base: Path, buffer: &'b mut [u8]) -> Self {
        let wrong_level =
            (format.is_single_value() && base.len() < 3) || (format == Format::Tlv && base.is_root());
        let out = out::Out::new(buffer);
        let sink = match format {
            Format::Text | Format::Opaque | Format::Cbor => Sink::Single(format, out),
            #[cfg(feature = "alloc")]
            Format::Json => Sink::Json(lwm2m_json::Encoder::new(base, out)),
            #[cfg(not(feature = "alloc"))]
            Format::Json => Sink::Single(format, out),
            Format::Tlv => Sink::Tlv(tlv::Encoder::new(base, out)),
            #[cfg(feature = "senml-json")]
            Format::SenmlJson | Format::SenmlEtchJson => Sink::SenmlJson(senml_json::Encoder::new(base, out)),
            #[cfg(not(feature = "senml-json"))]
            Format::SenmlJson | Format::SenmlEtchJson => Sink::Single(format, out),
            Format::SenmlCbor | Format::SenmlEtchCbor => Sink::SenmlCbor(senml_cbor::Encoder::new(base, out)),
            #[cfg(feature = "lwm2m-cbor")]
            Format::Lwm2mCbor => Sink::Lwm2mCbor(lwm2m_cbor::Encoder::new(out)),
            #[cfg(not(feature = "lwm2m-cbor"))]
            Format::Lwm2mCbor => Sink::Single(format, out),
        };
        let error = if !format.is_spoken() {
            Some(EncodeError::NotExpressible)
        } else {
            wrong_level.then_some(EncodeError::NotSingleValue)
        };
        Self { format, base, entries: 0, error, sink }
    }

    /// Puts an alternate path (`lwm2m`, slashes around it do not matter) before the names of SenML, as 1.2.1 demands it where a
    /// device has one. Bootstrap and the other formats never have it.
    #[must_use]
    pub fn with_alternate_path(mut self, alternate_path: &'b str) -> Self {
        let alternate_path = alternate_path.trim_matches('/');
        match &mut self.sink {
            Sink::SenmlJson(encoder) => encoder.names.alternate_path = alternate_path,
            Sink::SenmlCbor(encoder) => encoder.names.alternate_path = alternate_path,
            Sink::Single(..) | Sink::Tlv(_) | Sink::Lwm2mCbor(_) => {}
            #[cfg(feature = "alloc")]
            Sink::Json(_) => {}
        }
        self
    }

    /// Leaves the choice of the object instance to the device that executes the Create: LwM2M CBOR (since 1.2.1) writes 65535 in
    /// its place, whatever instance the paths name. Other formats say it in other ways, TLV by the base, and are left as they are.
    pub fn leave_instance_open(&mut self) {
        if let Sink::Lwm2mCbor(encoder) = &mut self.sink {
            encoder.instance_open = true;
        }
    }

    /// Adds a value of a resource or resource instance.
    ///
    /// # Errors
    /// [`EncodeError`]; it sticks.
    pub fn entry(&mut self, path: Path, value: &Value<'_>) -> Result<(), EncodeError> {
        self.add(path, Content::Value(value), None)
    }

    /// Adds a value with its time in seconds since 1970. Only SenML and LwM2M JSON have times.
    ///
    /// # Errors
    /// [`EncodeError`]; it sticks.
    pub fn timed(&mut self, path: Path, value: &Value<'_>, time: f64) -> Result<(), EncodeError> {
        self.add(path, Content::Value(value), Some(time))
    }

    /// Adds a container that holds nothing: an object instance without resources, a multiple resource without instances.
    /// SenML has no words for it and leaves it out, LwM2M CBOR has none that all peers understand.
    ///
    /// # Errors
    /// [`EncodeError`]; it sticks.
    pub fn empty(&mut self, path: Path) -> Result<(), EncodeError> {
        if let Sink::Tlv(_) | Sink::Single(..) = self.sink {
            return self.add(path, Content::Nothing, None);
        }
        if self.base.contains(path) { Ok(()) } else { self.fail(EncodeError::OutsideBase) }
    }

    /// Adds the order to remove a resource instance, in a Write-Composite. Only SenML-ETCH has it.
    ///
    /// # Errors
    /// [`EncodeError`]; it sticks.
    pub fn remove(&mut self, path: Path) -> Result<(), EncodeError> {
        if self.format.is_senml_etch() && path.len() >= 3 {
            self.add(path, Content::Null, None)
        } else {
            self.fail(EncodeError::NotExpressible)
        }
    }

    /// Adds a name without a value, as the request of a Read-Composite lists them. Only SenML has them.
    ///
    /// # Errors
    /// [`EncodeError`]; it sticks.
    pub fn name(&mut self, path: Path) -> Result<(), EncodeError> {
        match self.sink {
            Sink::SenmlJson(_) | Sink::SenmlCbor(_) => self.add(path, Content::Nothing, None),
            Sink::Single(..) | Sink::Tlv(_) | Sink::Lwm2mCbor(_) => self.fail(EncodeError::NotExpressible),
            #[cfg(feature = "alloc")]
            Sink::Json(_) => self.fail(EncodeError::NotExpressible),
        }
    }

    fn add(&mut self, path: Path, content: Content<'_>, time: Option<f64>) -> Result<(), EncodeError> {
        let value = match content {
            Content::Value(value) => Some(value),
            Content::Nothing | Content::Null => None,
        };
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.base.contains(path) {
            return self.fail(EncodeError::OutsideBase);
        }
        if value.is_some() && path.len() < 3 {
            return self.fail(EncodeError::NotExpressible);
        }
        let added = match &mut self.sink {
            Sink::Tlv(encoder) => match time {
                None => encoder.add(path, value),
                Some(_) => Err(EncodeError::NotExpressible),
            },
            Sink::SenmlJson(encoder) => encoder.add(path, content, time),
            Sink::SenmlCbor(encoder) => encoder.add(path, content, time),
            #[cfg(feature = "alloc")]
            Sink::Json(encoder) => match value {
                Some(value) => encoder.add(path, value, time),
                None => Err(EncodeError::NotExpressible),
            },
            Sink::Lwm2mCbor(encoder) => match (value, time) {
                (Some(value), None) => encoder.add(path, value),
                _ => Err(EncodeError::NotExpressible),
            },
            Sink::Single(_, _) if self.entries > 0 => Err(EncodeError::NotSingleValue),
            Sink::Single(format, out) => match (value, time) {
                (Some(value), None) if path == self.base || self.base.len() == 4 => match format {
                    Format::Text => text::encode(out, value),
                    Format::Cbor => cbor::encode_single(out, value),
                    Format::Opaque
                    | Format::SenmlJson
                    | Format::SenmlCbor
                    | Format::SenmlEtchJson
                    | Format::SenmlEtchCbor
                    | Format::Json
                    | Format::Tlv
                    | Format::Lwm2mCbor => text::encode_opaque(out, value),
                },
                (_, Some(_)) => Err(EncodeError::NotExpressible),
                (_, None) => Err(EncodeError::NotSingleValue),
            },
        };
        self.entries = self.entries.saturating_add(1);
        match added {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: EncodeError) -> Result<(), EncodeError> {
        Err(*self.error.get_or_insert(error))
    }

    /// Ends the payload and gives its length in bytes.
    ///
    /// # Errors
    /// The first [`EncodeError`]; a single-value format without a value.
    pub fn finish(self) -> Result<usize, EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.sink {
            Sink::Single(..) if self.entries == 0 => Err(EncodeError::NotSingleValue),
            Sink::Single(_, out) => out.finish(),
            Sink::Tlv(encoder) => encoder.finish(),
            Sink::SenmlJson(encoder) => encoder.finish(),
            Sink::SenmlCbor(encoder) => encoder.finish(),
            Sink::Lwm2mCbor(encoder) => encoder.finish(),
            #[cfg(feature = "alloc")]
            Sink::Json(encoder) => encoder.finish(),
        }
    }
}
