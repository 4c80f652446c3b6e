//! Which content formats there are between a client and a server of some enabler version (TS_Core 7.4, TS_Transport 6.4.5).

use lightship_coap::ContentFormat;
use lightship_lwm2m::Version;
use lightship_lwm2m::format::{Format, Use};

/// The format of values under a number: in a Read's Accept, in a Write's Content-Format.
///
/// The numbers from before the registration mean the same formats; they are understood but never sent.
pub(crate) fn readable(number: ContentFormat, version: Version) -> Option<Format> {
    // JSON is optional in 1.0 and gone since.
    let spoken = |format: &Format| *format != Format::Json && format.is_for(Use::Read, version);
    Format::from_number(number.0).filter(spoken)
}

/// The format of the list of paths in a composite Read or Observe.
pub(crate) fn path_list(number: ContentFormat, version: Version) -> Option<Format> {
    let (format, since) = match number {
        ContentFormat::SENML_JSON => (Format::SenmlJson, Version::V1_1),
        ContentFormat::SENML_CBOR => (Format::SenmlCbor, Version::V1_1),
        ContentFormat::SENML_ETCH_JSON => (Format::SenmlJson, Version::V1_2),
        ContentFormat::SENML_ETCH_CBOR => (Format::SenmlCbor, Version::V1_2),
        _ => return None,
    };
    Some(format).filter(|_| version >= since)
}

/// The format of the values in a Write-Composite.
pub(crate) fn patch(number: ContentFormat, version: Version) -> Option<Format> {
    match number {
        ContentFormat::LWM2M_CBOR => readable(number, version),
        _ => path_list(number, version),
    }
}

/// What a composite Read or Observe is answered in when its server does not say: the same notation as its list of paths.
pub(crate) fn answer_to_list(number: ContentFormat) -> ContentFormat {
    match number {
        ContentFormat::SENML_JSON | ContentFormat::SENML_ETCH_JSON => ContentFormat::SENML_JSON,
        _ => ContentFormat::SENML_CBOR,
    }
}
