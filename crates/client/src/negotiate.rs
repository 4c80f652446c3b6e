//! Which content formats there are between a client and a server of some enabler version (TS_Core 7.4, TS_Transport 6.4.5).

use lightship_coap::ContentFormat;
use lightship_lwm2m::Version;
use lightship_lwm2m::format::Format;

/// The format of values under a number: in a Read's Accept, in a Write's Content-Format.
///
/// The numbers from before the registration mean the same formats; they are understood but never sent.
pub(crate) fn readable(number: ContentFormat, version: Version) -> Option<Format> {
    let since = match number {
        ContentFormat::CBOR | ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR => Version::V1_1,
        ContentFormat::LWM2M_CBOR => Version::V1_2,
        // Only for 1.0, and there optional; the SenML-ETCH formats hold no answers.
        ContentFormat::LWM2M_JSON
        | ContentFormat::LWM2M_JSON_OLD
        | ContentFormat::SENML_ETCH_JSON
        | ContentFormat::SENML_ETCH_CBOR => return None,
        _ => Version::V1_0,
    };
    Format::from_number(number.0).filter(|_| version >= since)
}
