//! Which content formats there are between a client and a server of some enabler version (TS_Core 7.4, TS_Transport 6.4.5).

use lightship_coap::ContentFormat;
use lightship_lwm2m::Version;
use lightship_lwm2m::format::{Format, Use};

/// The format under a number, if a server of that version may use it for that.
///
/// The numbers from before the registration mean the same formats; they are understood but never sent.
pub(crate) fn usable(number: ContentFormat, purpose: Use, version: Version) -> Option<Format> {
    Format::from_number(number.0).filter(|format| format.is_spoken() && format.is_for(purpose, version))
}

/// The optional formats that a client announces to a server of that version.
pub(crate) const fn announced(version: Version) -> Option<&'static str> {
    let json = cfg!(feature = "senml-json");
    let etch = cfg!(feature = "composite");
    let cbor = cfg!(feature = "lwm2m-cbor");
    Some(match (version, json, etch, cbor) {
        (Version::V1_0, ..) => return None,
        (Version::V1_1, true, ..) => "60 110 112 11542",
        (Version::V1_1, false, ..) => "60 112 11542",
        (Version::V1_2, true, true, true) => "60 110 112 320 322 11542 11544",
        (Version::V1_2, true, true, false) => "60 110 112 320 322 11542",
        (Version::V1_2, true, false, true) => "60 110 112 11542 11544",
        (Version::V1_2, true, false, false) => "60 110 112 11542",
        (Version::V1_2, false, true, true) => "60 112 322 11542 11544",
        (Version::V1_2, false, true, false) => "60 112 322 11542",
        (Version::V1_2, false, false, true) => "60 112 11542 11544",
        (Version::V1_2, false, false, false) => "60 112 11542",
    })
}

/// What a composite Read or Observe is answered in when its server does not say: the same notation as its list of paths.
pub(crate) fn answer_to_list(number: ContentFormat) -> ContentFormat {
    match number {
        ContentFormat::SENML_JSON | ContentFormat::SENML_ETCH_JSON => ContentFormat::SENML_JSON,
        _ => ContentFormat::SENML_CBOR,
    }
}
