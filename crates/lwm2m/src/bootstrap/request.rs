//! What a device asks of a Bootstrap-Server: Bootstrap-Request and Bootstrap-Pack-Request.

use super::{BS, BSPACK};
use crate::{
    Format, Path,
    endpoint::{InvalidEndpoint, check_endpoint},
    path::Level,
};
use core::fmt;
use lightship_coap::{
    Code, ContentFormat, Message, OptionNumber, OptionWriter,
    link::{LinkError, LinkWriter, Mode, TextBuffer, links},
};

/// A device asks to be configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// The Endpoint Client Name; may be missing when the security layer tells it.
    pub endpoint: Option<&'a str>,
    /// The format that it wants to be written in (since 1.1).
    pub preferred_format: PreferredFormat,
}

/// The parameter `pct`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PreferredFormat {
    /// Nothing is said: a device of 1.0, which wants TLV.
    #[default]
    Unsaid,
    /// One of TLV, SenML JSON, SenML CBOR and LwM2M CBOR.
    Known(Format),
    /// A number that stands for something else, which a server answers with 4.15.
    Unknown(u32),
}

impl PreferredFormat {
    const fn of(number: u32) -> Self {
        match number {
            110 => Self::Known(Format::SenmlJson),
            112 => Self::Known(Format::SenmlCbor),
            11542 => Self::Known(Format::Tlv),
            11544 => Self::Known(Format::Lwm2mCbor),
            _ => Self::Unknown(number),
        }
    }
}

/// A device asks for its whole configuration in one answer (since 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRequest<'a> {
    /// The Endpoint Client Name; may be missing when the security layer tells it.
    pub endpoint: Option<&'a str>,
    /// The format of the answer: SenML JSON, SenML CBOR or LwM2M CBOR.
    pub accept: Format,
    /// The instances of the device's own Bootstrap-Server account, as link format: `</0/0>,</21/0>` (since 1.2.1). Made by
    /// [`account_text`], read by [`PackRequest::account`].
    pub account: Option<&'a str>,
}

/// Why a Bootstrap-Request or Bootstrap-Pack-Request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// A parameter stands twice.
    Twice(&'static str),
    /// A part of the query is not UTF-8.
    NotUtf8,
    /// The name of the device is none.
    Endpoint(InvalidEndpoint),
    /// `pct` is no number.
    PreferredFormat,
    /// `acc` is no list of links.
    Account(LinkError),
    /// A pack cannot be had in the format asked for, or none is asked for.
    Accept,
}

impl Refused {
    /// The response code that the standard names (Transport TS 1.2, table 6.4.2).
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Accept => Code::NOT_ACCEPTABLE,
            Self::Twice(_) | Self::NotUtf8 | Self::Endpoint(_) | Self::PreferredFormat | Self::Account(_) => {
                Code::BAD_REQUEST
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "{name} stands twice"),
            Self::NotUtf8 => f.write_str("the query is not UTF-8"),
            Self::Endpoint(error) => fmt::Display::fmt(error, f),
            Self::PreferredFormat => f.write_str("pct is not the number of a content format"),
            Self::Account(error) => write!(f, "acc: {error}"),
            Self::Accept => f.write_str("a pack cannot be had in that format"),
        }
    }
}

impl core::error::Error for Refused {}

impl<'a> Request<'a> {
    /// Reads a Bootstrap-Request. Unknown parameters are ignored, as is a payload, which it should not have.
    ///
    /// # Errors
    /// [`Refused`]: the reason, and with it the code.
    pub fn parse(message: &Message<'a>) -> Result<Self, Refused> {
        let [endpoint, pct] = parameters(message, ["ep", "pct"])?;
        check(endpoint)?;
        let preferred_format = match pct {
            None => PreferredFormat::Unsaid,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                PreferredFormat::of(digits.parse().map_err(|_| Refused::PreferredFormat)?)
            }
            Some(_) => return Err(Refused::PreferredFormat),
        };
        Ok(Self { endpoint, preferred_format })
    }

    /// Adds path and query. The options of the server's URI, if it has a path of its own, come before.
    pub fn write_options(&self, options: &mut OptionWriter<'_>) {
        options.uri_path_segment(BS);
        if let Some(endpoint) = self.endpoint {
            options.uri_query_fmt(format_args!("ep={endpoint}"));
        }
        match self.preferred_format {
            PreferredFormat::Unsaid => {}
            PreferredFormat::Known(format) => {
                options.uri_query_fmt(format_args!("pct={}", format.number()));
            }
            PreferredFormat::Unknown(number) => {
                options.uri_query_fmt(format_args!("pct={number}"));
            }
        }
    }

    /// Whether the standard lets a server answer with that code.
    #[must_use]
    pub fn may_be_answered(code: Code) -> bool {
        let listed = [Code::CHANGED, Code::BAD_REQUEST, Code::BAD_OPTION, Code::UNSUPPORTED_CONTENT_FORMAT];
        // 4.01 is the Echo challenge over OSCORE.
        listed.contains(&code) || code == Code::UNAUTHORIZED || code.class() == 5
    }
}

impl<'a> PackRequest<'a> {
    /// Reads a Bootstrap-Pack-Request.
    ///
    /// # Errors
    /// [`Refused`]: the reason, and with it the code.
    pub fn parse(message: &Message<'a>) -> Result<Self, Refused> {
        let [endpoint, account] = parameters(message, ["ep", "acc"])?;
        check(endpoint)?;
        if let Some(list) = account {
            for link in links(list, Mode::Tolerant) {
                link.map_err(Refused::Account)?;
            }
        }
        let accept = message
            .accept()
            .and_then(|number| Format::from_number(number.0))
            .filter(|format| Self::FORMATS.contains(format))
            .ok_or(Refused::Accept)?;
        Ok(Self { endpoint, accept, account })
    }

    /// The formats that a pack may have.
    pub const FORMATS: [Format; 3] = [Format::SenmlJson, Format::SenmlCbor, Format::Lwm2mCbor];

    /// The instances of the device's own Bootstrap-Server account; what is no instance is left out.
    pub fn account(&self) -> impl Iterator<Item = Path> + Clone + use<'a> {
        links(self.account.unwrap_or_default(), Mode::Tolerant)
            .flatten()
            .filter_map(|link| super::discover::path_of(link.target))
            .filter(|path| path.level() == Level::Instance)
    }

    /// Adds path, query and Accept. The options of the server's URI, if it has a path of its own, come before.
    pub fn write_options(&self, options: &mut OptionWriter<'_>) {
        options.uri_path_segment(BSPACK);
        if let Some(endpoint) = self.endpoint {
            options.uri_query_fmt(format_args!("ep={endpoint}"));
        }
        if let Some(account) = self.account {
            options.uri_query_fmt(format_args!("acc={account}"));
        }
        options.accept(ContentFormat(self.accept.number()));
    }

    /// Whether the standard lets a server answer with that code.
    #[must_use]
    pub fn may_be_answered(code: Code) -> bool {
        let listed = [
            Code::CONTENT,
            Code::BAD_REQUEST,
            Code::UNAUTHORIZED,
            Code::BAD_OPTION,
            Code::NOT_FOUND,
            Code::METHOD_NOT_ALLOWED,
            Code::NOT_ACCEPTABLE,
        ];
        listed.contains(&code) || code.class() == 5
    }
}

/// Writes the list for [`PackRequest::account`] into a buffer; `None` when it does not fit.
pub fn account_text(instances: impl IntoIterator<Item = Path>, buffer: &mut [u8]) -> Option<&str> {
    let mut text = TextBuffer::new(&mut *buffer);
    let mut writer = LinkWriter::new(&mut text);
    for path in instances {
        writer.link(format_args!("{path}"));
    }
    writer.finish().ok()?;
    let len = text.len();
    core::str::from_utf8(buffer.get(..len)?).ok()
}

fn check(endpoint: Option<&str>) -> Result<(), Refused> {
    endpoint.map_or(Ok(()), |endpoint| check_endpoint(endpoint).map_err(Refused::Endpoint))
}

/// The values of two parameters of the query, each there at most once.
fn parameters<'a>(message: &Message<'a>, names: [&'static str; 2]) -> Result<[Option<&'a str>; 2], Refused> {
    let mut values = [None; 2];
    for option in message.options().filter(|option| option.number == OptionNumber::URI_QUERY) {
        let part = core::str::from_utf8(option.value).map_err(|_| Refused::NotUtf8)?;
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == name);
        if let Some((known, slot)) = slot
            && slot.replace(value).is_some()
        {
            return Err(Refused::Twice(known));
        }
    }
    Ok(values)
}
