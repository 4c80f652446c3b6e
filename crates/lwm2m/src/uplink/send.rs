//! Send: values that a device reports unasked (since 1.1). Core TS 1.2, 6.4.7; Transport TS 1.2, table 6.4.6.

use super::DP;
use crate::{
    Path, Version,
    format::{self, Format, FormatError, Use},
};
use core::fmt;
use lightship_coap::{Code, ContentFormat, Message, OptionWriter};

/// A device reports values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The format of the values.
    pub format: Format,
}

/// Why a Send is refused. All are answered with 4.00; a device or an object that is not registered would be 4.04.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefused {
    /// The registration is of a version without Send.
    Version,
    /// There is no content format, or one that values may not be sent in.
    ContentFormat,
    /// The payload is not what its format demands.
    Format(FormatError),
    /// A record has no value.
    NoValue(Path),
}

impl SendRefused {
    /// The response code that the standard names.
    #[must_use]
    pub const fn code(self) -> Code {
        Code::BAD_REQUEST
    }
}

impl fmt::Display for SendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("LwM2M 1.0 has no Send"),
            Self::ContentFormat => f.write_str("values cannot be sent in that content format"),
            Self::Format(error) => fmt::Display::fmt(error, f),
            Self::NoValue(path) => write!(f, "{path} has no value"),
        }
    }
}

impl core::error::Error for SendRefused {}

impl Send {
    /// Reads a Send whose body is complete, of a registration with that version: its format must be one of values, and each
    /// record of the body a value. Names may begin with the alternate path of the device.
    ///
    /// # Errors
    /// [`SendRefused`].
    pub fn parse(
        message: &Message<'_>,
        body: &[u8],
        registered: Version,
        alternate_path: &str,
    ) -> Result<Self, SendRefused> {
        if registered < Version::V1_1 {
            return Err(SendRefused::Version);
        }
        let format = message
            .content_format()
            .and_then(|number| Format::from_number(number.0))
            .filter(|format| format.is_for(Use::Send, registered))
            .ok_or(SendRefused::ContentFormat)?;
        let decoder = format::decode(format, Path::ROOT, body).with_alternate_path(alternate_path);
        format::check(&decoder).map_err(SendRefused::Format)?;
        for entry in decoder {
            let entry = entry.map_err(SendRefused::Format)?;
            if entry.value.is_nothing() || entry.value.is_null() {
                return Err(SendRefused::NoValue(entry.path));
            }
        }
        Ok(Self { format })
    }

    /// Adds path and content format. The options of the server's URI, if it has a path of its own, come before.
    pub fn write_options(self, options: &mut OptionWriter<'_>) {
        options.uri_path_segment(DP);
        options.content_format(ContentFormat(self.format.number()));
    }

    /// Whether the standard lets a server answer with that code: 2.04, 4.00, 4.04, those of CoAP for options and blocks, and
    /// any 5.xx.
    #[must_use]
    pub fn may_be_answered(code: Code) -> bool {
        let listed = [
            Code::CHANGED,
            Code::BAD_REQUEST,
            Code::NOT_FOUND,
            Code::BAD_OPTION,
            Code::REQUEST_ENTITY_INCOMPLETE,
            Code::REQUEST_ENTITY_TOO_LARGE,
        ];
        listed.contains(&code) || code.class() == 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;
    use lightship_coap::{Encoder, MessageId, Token, Type};

    fn parsed(format: Option<u16>, body: &[u8], version: Version) -> Result<Send, SendRefused> {
        let mut buffer = [0; 128];
        let mut encoder = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(1), Token::default());
        match format.and_then(Format::from_number) {
            Some(format) => Send { format }.write_options(encoder.options()),
            None => {
                encoder.options().uri_path_segment(DP);
            }
        }
        let len = encoder.finish_with(body).expect("fits");
        let message = Message::parse(buffer.get(..len).unwrap_or_default()).expect("a message");
        assert!(message.uri_path().eq([DP]));
        Send::parse(&message, message.payload(), version, "lwm2m")
    }

    // Core TS 1.2, 6.4.7.
    // Proves: FMT-26
    #[test]
    fn values_come_in_the_formats_of_the_version() {
        let json = br#"[{"bn":"/3/0/","bt":1700000000,"n":"9","v":1},{"n":"9","v":2,"t":-60}]"#;
        let cbor = [0xA1, 0x83, 3, 0, 9, 1];
        let (v1_1, v1_2) = (Version::V1_1, Version::V1_2);
        assert_eq!(parsed(Some(110), json, v1_1), Ok(Send { format: Format::SenmlJson }));
        assert_eq!(parsed(Some(110), json, Version::V1_0), Err(SendRefused::Version));
        assert_eq!(parsed(Some(11544), &cbor, v1_2), Ok(Send { format: Format::Lwm2mCbor }));
        assert_eq!(parsed(Some(11544), &cbor, v1_1), Err(SendRefused::ContentFormat));
        for format in [None, Some(0), Some(60), Some(320), Some(322), Some(11542), Some(11543)] {
            assert_eq!(parsed(format, json, v1_2), Err(SendRefused::ContentFormat), "{format:?}");
        }
        let alternate = br#"[{"n":"/lwm2m/3/0/9","v":1}]"#;
        assert!(parsed(Some(110), alternate, v1_2).is_ok());
        let twice = br#"[{"n":"/3/0/9","v":1},{"n":"/3/0/9","v":2}]"#;
        assert_eq!(parsed(Some(110), twice, v1_2), Err(SendRefused::Format(FormatError::Duplicate)));
        for body in [&br#"[{"n":"/3/0/9"}]"#[..], br#"[{"n":"/3/0/9","v":null}]"#] {
            let refused = parsed(Some(110), body, v1_2).expect_err("no value");
            assert_eq!(
                (refused, refused.code()),
                (SendRefused::NoValue(path!(3 / 0 / 9)), Code::BAD_REQUEST)
            );
        }
        assert!(Send::may_be_answered(Code::CHANGED) && !Send::may_be_answered(Code::METHOD_NOT_ALLOWED));
    }
}
