//! What a device asks of a server: Register, Update, De-register, Send. Core TS 1.2, 6.2 and 6.4.7; Transport TS 1.2, 6.4.3.
//!
//! The device writes a [`Register`] or [`Update`] as options of its request; the server reads it back from the message, with the
//! reason and the code for each mistake ([`Refused`]). Texts are borrowed from the message, nothing is allocated.

mod list;
mod profile;
mod send;

pub use list::{ListError, ListedObject, ObjectList};
pub use profile::ProfileIds;
pub use send::{Send, SendRefused};

use crate::{
    Binding, Version,
    endpoint::{InvalidEndpoint, check_endpoint},
};
use core::fmt;
use lightship_coap::{Code, ContentFormat, Message, OptionNumber, OptionWriter};

/// The path of the registration interface: `/rd`.
pub const RD: &str = "rd";
/// The path that Send goes to: `/dp`.
pub const DP: &str = "dp";

/// A device introduces itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Register<'a> {
    /// The Endpoint Client Name; may be missing since 1.1 when the security layer tells it.
    pub endpoint: Option<&'a str>,
    /// How long the registration lasts without an Update, in seconds; 0 = for ever (since 1.2).
    pub lifetime_s: u32,
    /// The LwM2M version of the device.
    pub version: Version,
    /// The transports that it can be reached over.
    pub binding: Binding,
    /// Whether it sleeps, so that requests must wait for it.
    pub queue_mode: bool,
    /// The number for SMS.
    pub sms: Option<&'a str>,
    /// Profile IDs that stand for a list of objects (since 1.2), as [`ProfileIds`] reads them.
    pub profile: Option<&'a str>,
    /// Its objects and instances.
    pub objects: Option<ObjectList<'a>>,
}

/// A device says what changed; what is `None` stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update<'a> {
    /// The new lifetime in seconds.
    pub lifetime_s: Option<u32>,
    /// The new transports.
    pub binding: Option<Binding>,
    /// Whether it sleeps.
    pub queue_mode: Option<bool>,
    /// The new number for SMS.
    pub sms: Option<&'a str>,
    /// The new profile IDs.
    pub profile: Option<&'a str>,
    /// The new list, which replaces the old one as a whole.
    pub objects: Option<ObjectList<'a>>,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parameter {
    /// `ep`
    Endpoint,
    /// `lt`
    Lifetime,
    /// `lwm2m`
    Version,
    /// `b`
    Binding,
    /// `Q`
    QueueMode,
    /// `sms`
    Sms,
    /// `pid`
    Profile,
}

impl Parameter {
    const ALL: [Self; 7] = [
        Self::Endpoint,
        Self::Lifetime,
        Self::Version,
        Self::Binding,
        Self::QueueMode,
        Self::Sms,
        Self::Profile,
    ];

    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "ep",
            Self::Lifetime => "lt",
            Self::Version => "lwm2m",
            Self::Binding => "b",
            Self::QueueMode => "Q",
            Self::Sms => "sms",
            Self::Profile => "pid",
        }
    }

    /// The parameter of a name, whose letters may be of the wrong case: they cannot mean anything else.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

/// Why a Register or Update is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// A parameter that must be there is not.
    Missing(Parameter),
    /// A parameter stands twice.
    Twice(Parameter),
    /// A parameter has a value that it cannot have.
    BadValue(Parameter),
    /// A part of the query is not UTF-8.
    NotUtf8,
    /// The name of the device is none.
    Endpoint(InvalidEndpoint),
    /// The LwM2M version is not spoken here.
    UnknownVersion,
    /// The body is not in link format.
    ContentFormat,
    /// The list of objects is malformed.
    List(ListError),
    /// There is no list of objects, and nothing that would stand for one.
    NoObjects(Version),
}

impl Refused {
    /// The response code that the standard names (Transport TS 1.2, table 6.4.3).
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::UnknownVersion => Code::PRECONDITION_FAILED,
            // From 1.2 on the list may come from a profile, and the device sends it on this code.
            Self::NoObjects(Version::V1_2) => Code::CONFLICT,
            Self::Missing(_)
            | Self::Twice(_)
            | Self::BadValue(_)
            | Self::NotUtf8
            | Self::Endpoint(_)
            | Self::ContentFormat
            | Self::List(_)
            | Self::NoObjects(_) => Code::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(parameter) => write!(f, "{} is missing", parameter.as_str()),
            Self::Twice(parameter) => write!(f, "{} stands twice", parameter.as_str()),
            Self::BadValue(parameter) => write!(f, "{} has a bad value", parameter.as_str()),
            Self::NotUtf8 => f.write_str("the query is not UTF-8"),
            Self::Endpoint(error) => fmt::Display::fmt(error, f),
            Self::UnknownVersion => f.write_str("the LwM2M version is not supported"),
            Self::ContentFormat => f.write_str("the list of objects is not in link format"),
            Self::List(error) => fmt::Display::fmt(error, f),
            Self::NoObjects(_) => f.write_str("there is no list of objects"),
        }
    }
}

impl core::error::Error for Refused {}

impl<'a> Register<'a> {
    /// Reads a Register whose body is complete.
    ///
    /// A missing `ep` is left to the caller, who knows whether the security layer names the device. Unknown parameters are no
    /// mistake: [`unknown_parameters`] gives them.
    ///
    /// # Errors
    /// [`Refused`]: the reason, and with it the code.
    pub fn parse(message: &Message<'a>, body: &'a [u8]) -> Result<Self, Refused> {
        let query = Query::read(message)?;
        let endpoint = query.text(Parameter::Endpoint);
        if let Some(endpoint) = endpoint {
            check_endpoint(endpoint).map_err(Refused::Endpoint)?;
        }
        let must = |parameter: Parameter| query.text(parameter).ok_or(Refused::Missing(parameter));
        let version = version(must(Parameter::Version)?)?;
        let lifetime_s = lifetime(must(Parameter::Lifetime)?, version)?;
        let (binding, queue_mode) =
            query.binding(version)?.unwrap_or((Binding::UDP, query.queue_mode(version)));
        let profile = query.profile(version)?;
        if body.is_empty() && profile.is_none() {
            return Err(Refused::NoObjects(version));
        }
        Ok(Self {
            endpoint,
            lifetime_s,
            version,
            binding,
            queue_mode,
            sms: query.text(Parameter::Sms),
            profile,
            objects: if body.is_empty() { None } else { Some(object_list(message, body)?) },
        })
    }

    /// Adds path, query and, when there is a list of objects, its content format. The options of the server's URI, if it has a
    /// path of its own, come before.
    pub fn write_options(&self, options: &mut OptionWriter<'_>) {
        options.uri_path_segment(RD);
        if self.objects.is_some() {
            options.content_format(ContentFormat::LINK);
        }
        if let Some(endpoint) = self.endpoint {
            options.uri_query_fmt(format_args!("ep={endpoint}"));
        }
        options.uri_query_fmt(format_args!("lt={}", self.lifetime_s));
        options.uri_query_fmt(format_args!("lwm2m={}", self.version));
        let binding = self.binding.to_text(self.version, self.queue_mode);
        options.uri_query_fmt(format_args!("b={}", binding.as_str()));
        write_optional(options, self.queue_mode && self.version >= Version::V1_1, self.sms, self.profile);
    }
}

impl<'a> Update<'a> {
    /// Reads an Update, whose body is complete, of a registration that was made with that version.
    ///
    /// # Errors
    /// [`Refused`]: the reason, and with it the code.
    pub fn parse(message: &Message<'a>, body: &'a [u8], registered: Version) -> Result<Self, Refused> {
        let query = Query::read(message)?;
        let binding = query.binding(registered)?;
        let profile = query.profile(registered)?;
        let objects = if body.is_empty() { None } else { Some(object_list(message, body)?) };
        // 1.0 says queue mode by the binding; since 1.1 `Q` turns it on and its absence leaves it as it was.
        let by_binding = binding.map(|(_, queue_mode)| queue_mode);
        let queue_mode = match registered {
            Version::V1_0 => by_binding,
            Version::V1_1 | Version::V1_2 => {
                let on = by_binding == Some(true) || query.queue_mode(registered);
                on.then_some(true)
            }
        };
        Ok(Self {
            lifetime_s: query.text(Parameter::Lifetime).map(|text| lifetime(text, registered)).transpose()?,
            binding: binding.map(|(binding, _)| binding),
            queue_mode,
            sms: query.text(Parameter::Sms),
            profile,
            objects,
        })
    }

    /// Adds query and, when there is a list of objects, its content format; the path is the location that the server gave.
    pub fn write_options(&self, registered: Version, options: &mut OptionWriter<'_>) {
        if self.objects.is_some() {
            options.content_format(ContentFormat::LINK);
        }
        if let Some(lifetime_s) = self.lifetime_s {
            options.uri_query_fmt(format_args!("lt={lifetime_s}"));
        }
        let queue_mode = self.queue_mode == Some(true);
        if let Some(binding) = self.binding {
            options.uri_query_fmt(format_args!("b={}", binding.to_text(registered, queue_mode).as_str()));
        }
        write_optional(options, queue_mode && registered >= Version::V1_1, self.sms, self.profile);
    }
}

fn write_optional(
    options: &mut OptionWriter<'_>,
    queue_mode: bool,
    sms: Option<&str>,
    profile: Option<&str>,
) {
    if queue_mode {
        options.uri_query("Q");
    }
    if let Some(sms) = sms {
        options.uri_query_fmt(format_args!("sms={sms}"));
    }
    if let Some(profile) = profile {
        options.uri_query_fmt(format_args!("pid={profile}"));
    }
}

/// The parameters that no LwM2M version knows, as name and value; `None` without `=`.
pub fn unknown_parameters<'a>(
    message: &Message<'a>,
) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone + use<'a> {
    message.uri_query().map(split).filter(|(name, _)| Parameter::named(name).is_none())
}

fn split(part: &str) -> (&str, Option<&str>) {
    match part.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (part, None),
    }
}

/// The known parameters of a query, each at most once.
struct Query<'a> {
    texts: [Option<&'a str>; Parameter::ALL.len()],
}

impl<'a> Query<'a> {
    fn read(message: &Message<'a>) -> Result<Self, Refused> {
        let mut query = Self { texts: [None; Parameter::ALL.len()] };
        for option in message.options().filter(|option| option.number == OptionNumber::URI_QUERY) {
            let part = core::str::from_utf8(option.value).map_err(|_| Refused::NotUtf8)?;
            let (name, value) = split(part);
            let Some(parameter) = Parameter::named(name) else { continue };
            let known =
                Parameter::ALL.into_iter().zip(&mut query.texts).find(|(known, _)| *known == parameter);
            if let Some((parameter, text)) = known
                && text.replace(value.unwrap_or_default()).is_some()
            {
                return Err(Refused::Twice(parameter));
            }
        }
        Ok(query)
    }

    fn text(&self, parameter: Parameter) -> Option<&'a str> {
        Parameter::ALL
            .into_iter()
            .zip(self.texts)
            .find(|(known, _)| *known == parameter)
            .and_then(|(_, text)| text)
    }

    fn binding(&self, version: Version) -> Result<Option<(Binding, bool)>, Refused> {
        let Some(text) = self.text(Parameter::Binding) else { return Ok(None) };
        let (binding, queue_mode) =
            Binding::parse(text, version).ok_or(Refused::BadValue(Parameter::Binding))?;
        Ok(Some((binding, queue_mode || self.queue_mode(version))))
    }

    /// Profile IDs exist since 1.2; those of an older device stand for nothing.
    fn profile(&self, version: Version) -> Result<Option<&'a str>, Refused> {
        match self.text(Parameter::Profile).filter(|_| version >= Version::V1_2) {
            Some(text) if ProfileIds::parse(text).is_none() => Err(Refused::BadValue(Parameter::Profile)),
            text => Ok(text),
        }
    }

    /// `Q` exists since 1.1; a device of 1.0 that sends it is not asleep for it.
    fn queue_mode(&self, version: Version) -> bool {
        self.text(Parameter::QueueMode).is_some() && version >= Version::V1_1
    }
}

/// A well-formed version that is not ours is 4.12, anything else 4.00.
fn version(text: &str) -> Result<Version, Refused> {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| match text.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Refused::UnknownVersion,
        _ => Refused::BadValue(Parameter::Version),
    })
}

fn lifetime(text: &str, version: Version) -> Result<u32, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(0) if version < Version::V1_2 => Err(Refused::BadValue(Parameter::Lifetime)),
        Ok(seconds) if digits => Ok(seconds),
        _ => Err(Refused::BadValue(Parameter::Lifetime)),
    }
}

fn object_list<'a>(message: &Message<'a>, body: &'a [u8]) -> Result<ObjectList<'a>, Refused> {
    // Devices in the field leave the format out; any other is a mistake.
    if message.content_format().is_some_and(|format| format != ContentFormat::LINK) {
        return Err(Refused::ContentFormat);
    }
    ObjectList::parse(body).map_err(Refused::List)
}
