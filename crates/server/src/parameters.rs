//! What a Register or Update says: the parameters in its query and the list of objects in its body (TS_Core 6.2.1,
//! TS_Transport 6.4.3), with the code that each mistake gets.

use lightship_coap::link::{Link, Mode, links};
use lightship_coap::{Code, ContentFormat, Message, OptionNumber};
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{Binding, Endpoint, Path, Version};

use crate::{Limits, ObjectLink, ObjectList};

/// A Register, before the host has seen it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct NewRegistration {
    pub(crate) endpoint: Endpoint,
    pub(crate) version: Version,
    pub(crate) lifetime_s: u32,
    pub(crate) binding: Binding,
    pub(crate) queue_mode: bool,
    pub(crate) sms: Option<Box<str>>,
    pub(crate) attributes: Box<[(Box<str>, Box<str>)]>,
    pub(crate) objects: ObjectList,
}

/// What an Update says; what is absent stays as it is.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Changes {
    pub(crate) lifetime_s: Option<u32>,
    pub(crate) binding: Option<Binding>,
    pub(crate) queue_mode: Option<bool>,
    pub(crate) sms: Option<Box<str>>,
    pub(crate) attributes: Box<[(Box<str>, Box<str>)]>,
    pub(crate) objects: Option<ObjectList>,
}

/// Reads a Register.
pub(crate) fn register(message: &Message<'_>, body: &[u8], limits: &Limits) -> Result<NewRegistration, Code> {
    let query = Query::read(message, limits)?;
    // TS_Core 6.2.1: a server without another way to know the name needs it.
    let endpoint = Endpoint::new(query.endpoint.ok_or(Code::BAD_REQUEST)?).map_err(|_| Code::BAD_REQUEST)?;
    let version = version(query.version.ok_or(Code::BAD_REQUEST)?)?;
    let lifetime_s = lifetime(query.lifetime.ok_or(Code::BAD_REQUEST)?, version)?;
    let (binding, queue_mode) = query.binding(version)?.unwrap_or((Binding::UDP, query.queue_mode(version)));
    if body.is_empty() {
        // From 1.2 on the list may come from a profile or from elsewhere, but we know none: the device sends it then.
        let unknown = version >= Version::V1_2;
        return Err(if unknown { Code::CONFLICT } else { Code::BAD_REQUEST });
    }
    Ok(NewRegistration {
        endpoint,
        version,
        lifetime_s,
        binding,
        queue_mode,
        sms: query.sms.map(Box::from),
        objects: object_list(message, body, limits)?,
        attributes: query.attributes(),
    })
}

/// Reads an Update of a registration of this version.
pub(crate) fn update(
    message: &Message<'_>,
    body: &[u8],
    registered: Version,
    limits: &Limits,
) -> Result<Changes, Code> {
    let query = Query::read(message, limits)?;
    let binding = query.binding(registered)?;
    // A profile that stands for a changed list: we could not know what changed.
    if query.profile && body.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    Ok(Changes {
        lifetime_s: query.lifetime.map(|text| lifetime(text, registered)).transpose()?,
        binding: binding.map(|(binding, _)| binding),
        queue_mode: binding
            .map(|(_, queue_mode)| queue_mode)
            .filter(|queue_mode| *queue_mode || registered == Version::V1_0)
            .or(query.queue_mode(registered).then_some(true)),
        sms: query.sms.map(Box::from),
        objects: if body.is_empty() { None } else { Some(object_list(message, body, limits)?) },
        attributes: query.attributes(),
    })
}

/// The parameters of a query as text, each at most once.
#[derive(Default)]
struct Query<'a> {
    endpoint: Option<&'a str>,
    lifetime: Option<&'a str>,
    version: Option<&'a str>,
    binding: Option<&'a str>,
    queue_mode: bool,
    sms: Option<&'a str>,
    profile: bool,
    unknown: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    fn read(message: &Message<'a>, limits: &Limits) -> Result<Self, Code> {
        let mut query = Self::default();
        for option in message.options().filter(|option| option.number == OptionNumber::URI_QUERY) {
            let text = core::str::from_utf8(option.value).map_err(|_| Code::BAD_REQUEST)?;
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let known = match name {
                "ep" => &mut query.endpoint,
                "lt" => &mut query.lifetime,
                "lwm2m" => &mut query.version,
                "b" => &mut query.binding,
                "sms" => &mut query.sms,
                "Q" | "pid" => {
                    let seen = if name == "Q" { &mut query.queue_mode } else { &mut query.profile };
                    if std::mem::replace(seen, true) {
                        return Err(Code::BAD_REQUEST);
                    }
                    continue;
                }
                _ => {
                    let twice = query.unknown.iter().any(|(other, _)| *other == name);
                    if twice || query.unknown.len() >= limits.attributes {
                        return Err(Code::BAD_REQUEST);
                    }
                    query.unknown.push((name, value));
                    continue;
                }
            };
            if known.replace(value).is_some() {
                return Err(Code::BAD_REQUEST);
            }
        }
        Ok(query)
    }

    fn binding(&self, version: Version) -> Result<Option<(Binding, bool)>, Code> {
        let Some(text) = self.binding else { return Ok(None) };
        let (binding, queue_mode) = Binding::parse(text, version).ok_or(Code::BAD_REQUEST)?;
        Ok(Some((binding, queue_mode || self.queue_mode(version))))
    }

    /// `Q` exists since 1.1; a device of 1.0 that sends it is not asleep for it.
    fn queue_mode(&self, version: Version) -> bool {
        self.queue_mode && version >= Version::V1_1
    }

    fn attributes(self) -> Box<[(Box<str>, Box<str>)]> {
        self.unknown.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}

fn version(text: &str) -> Result<Version, Code> {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(version) => Ok(version),
        Err(_) if text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor)) => {
            Err(Code::PRECONDITION_FAILED)
        }
        Err(_) => Err(Code::BAD_REQUEST),
    }
}

fn lifetime(text: &str, version: Version) -> Result<u32, Code> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Code::BAD_REQUEST);
    }
    let seconds = text.parse().map_err(|_| Code::BAD_REQUEST)?;
    if seconds == 0 && version < Version::V1_2 {
        return Err(Code::BAD_REQUEST);
    }
    Ok(seconds)
}

fn object_list(message: &Message<'_>, body: &[u8], limits: &Limits) -> Result<ObjectList, Code> {
    // Devices in the field leave the format out; any other is a mistake.
    if message.content_format().is_some_and(|format| format != ContentFormat::LINK) {
        return Err(Code::BAD_REQUEST);
    }
    let text = core::str::from_utf8(body).map_err(|_| Code::BAD_REQUEST)?;
    let mut root = None;
    let mut number = 0_usize;
    for link in links(text, Mode::Tolerant) {
        let link = link.map_err(|_| Code::BAD_REQUEST)?;
        number += 1;
        let names_lwm2m = link.value("rt").is_some_and(|rt| rt.chars().eq("oma.lwm2m".chars()));
        if root.is_none() && (names_lwm2m || link.target == "/") {
            root = Some(link);
        }
    }
    if number > limits.links {
        return Err(Code::REQUEST_ENTITY_TOO_LARGE);
    }
    let prefix = root.map_or("", |root| root.target.trim_matches('/'));
    let mut objects: Vec<_> =
        links(text, Mode::Tolerant).flatten().filter_map(|link| object_link(&link, prefix)).collect();
    objects.sort();
    objects.dedup_by_key(|link| link.path);
    Ok(ObjectList {
        root: prefix.into(),
        formats: root.map(|root| formats(&root)).unwrap_or_default(),
        objects: objects.into(),
    })
}

/// The object or instance that a link names, unless no server may know of it (TS_Core 6.2.1).
fn object_link(link: &Link<'_>, prefix: &str) -> Option<ObjectLink> {
    let target = link.target.strip_prefix('/')?;
    let target = match prefix {
        "" => target,
        prefix => target.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let path: Path = format!("/{target}").parse().ok()?;
    let hidden = path.object_id().is_none_or(|id| matches!(id.get(), 0 | 21 | 23 | 24));
    if hidden || !matches!(path.level(), Level::Object | Level::Instance) {
        return None;
    }
    let version = link.value("ver").and_then(|value| value.as_str()).and_then(|text| text.parse().ok());
    Some(ObjectLink { path, version })
}

fn formats(root: &Link<'_>) -> Box<[ContentFormat]> {
    let Some(ct) = root.value("ct").and_then(|value| value.as_str()) else { return Box::default() };
    ct.split(' ').filter_map(|number| number.parse().ok()).map(ContentFormat).collect()
}
