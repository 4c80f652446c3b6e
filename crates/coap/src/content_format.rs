//! Content-Format numbers (RFC 7252 §12.3 and the registry that grew from it).

use core::fmt;

/// What a payload is written in; a plain registry number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentFormat(pub u16);

macro_rules! formats {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl ContentFormat {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Self = Self($number);)*

            /// The media type registered under this number.
            #[must_use]
            pub const fn media_type(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

formats! {
    TEXT = 0, "text/plain;charset=utf-8";
    LINK = 40, "application/link-format";
    XML = 41, "application/xml";
    OPAQUE = 42, "application/octet-stream";
    EXI = 47, "application/exi";
    JSON = 50, "application/json";
    CBOR = 60, "application/cbor";
    CWT = 61, "application/cwt";
    MULTIPART = 62, "application/multipart-core";
    CBOR_SEQUENCE = 63, "application/cbor-seq";
    EDHOC = 64, "application/edhoc+cbor-seq";
    CID_EDHOC = 65, "application/cid-edhoc+cbor-seq";
    COSE_KEY = 101, "application/cose;cose-type=\"cose-key\"";
    SENML_JSON = 110, "application/senml+json";
    SENSML_JSON = 111, "application/sensml+json";
    SENML_CBOR = 112, "application/senml+cbor";
    SENSML_CBOR = 113, "application/sensml+cbor";
    SENML_EXI = 114, "application/senml-exi";
    SENSML_EXI = 115, "application/sensml-exi";
    COAP_GROUP_JSON = 256, "application/coap-group+json";
    PROBLEM_DETAILS = 257, "application/concise-problem-details+cbor";
    MISSING_BLOCKS = 272, "application/missing-blocks+cbor-seq";
    PKCS7_SERVER_KEY = 280, "application/pkcs7-mime;smime-type=server-generated-key";
    PKCS7_CERTIFICATES = 281, "application/pkcs7-mime;smime-type=certs-only";
    PKCS8 = 284, "application/pkcs8";
    CSR_ATTRIBUTES = 285, "application/csrattrs";
    PKCS10 = 286, "application/pkcs10";
    PKIX_CERTIFICATE = 287, "application/pkix-cert";
    SENML_XML = 310, "application/senml+xml";
    SENSML_XML = 311, "application/sensml+xml";
    SENML_ETCH_JSON = 320, "application/senml-etch+json";
    SENML_ETCH_CBOR = 322, "application/senml-etch+cbor";
    LWM2M_TEXT_OLD = 1541, "application/vnd.oma.lwm2m+text";
    LWM2M_TLV_OLD = 1542, "application/vnd.oma.lwm2m+tlv (before registration)";
    LWM2M_JSON_OLD = 1543, "application/vnd.oma.lwm2m+json (before registration)";
    OCF_CBOR = 10000, "application/vnd.ocf+cbor";
    LWM2M_TLV = 11542, "application/vnd.oma.lwm2m+tlv";
    LWM2M_JSON = 11543, "application/vnd.oma.lwm2m+json";
    LWM2M_CBOR = 11544, "application/vnd.oma.lwm2m+cbor";
}

impl fmt::Debug for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ContentFormat {
    /// The media type, or the bare number when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.media_type() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}
