//! What a Register or Update says, owned, within this server's limits, and with the code that each mistake gets.

use lightship_coap::{Code, Message};
use lightship_lwm2m::uplink::{self, Refused, Register, Update, unknown_parameters};
use lightship_lwm2m::{Binding, Endpoint, Version};

use crate::{Limits, ObjectLink, ObjectList};

/// Parameters that LwM2M does not know, by name and value.
type Attributes = Box<[(Box<str>, Box<str>)]>;

/// A Register, before the host has seen it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct NewRegistration {
    pub(crate) endpoint: Endpoint,
    pub(crate) version: Version,
    pub(crate) lifetime_s: u32,
    pub(crate) binding: Binding,
    pub(crate) queue_mode: bool,
    pub(crate) sms: Option<Box<str>>,
    pub(crate) attributes: Attributes,
    pub(crate) list: Said,
}

/// What an Update says; what is absent stays as it is.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Changes {
    pub(crate) lifetime_s: Option<u32>,
    pub(crate) binding: Option<Binding>,
    pub(crate) queue_mode: Option<bool>,
    pub(crate) sms: Option<Box<str>>,
    pub(crate) attributes: Attributes,
    pub(crate) list: Said,
}

/// What a Register or Update says of the device's objects.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Said {
    pub(crate) list: Option<ObjectList>,
    pub(crate) profile: Option<Box<str>>,
}

impl Said {
    fn read(
        list: Option<&uplink::ObjectList<'_>>,
        profile: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, Code> {
        let list = list.map(|list| object_list(list, limits)).transpose()?;
        Ok(Self { list, profile: profile.map(Box::from) })
    }
}

/// Reads a Register; `named` is the endpoint that the sender's identity stands for.
pub(crate) fn register(
    message: &Message<'_>,
    body: &[u8],
    named: Option<&Endpoint>,
    limits: &Limits,
) -> Result<NewRegistration, Code> {
    let register = Register::parse(message, body).map_err(Refused::code)?;
    // TS_Core 6.2.1: a server without another way to know the name needs it.
    let endpoint = match (register.endpoint, named) {
        (Some(endpoint), _) => Endpoint::new(endpoint).map_err(|_| Code::BAD_REQUEST)?,
        (None, Some(named)) => named.clone(),
        (None, None) => return Err(Code::BAD_REQUEST),
    };
    Ok(NewRegistration {
        endpoint,
        version: register.version,
        lifetime_s: register.lifetime_s,
        binding: register.binding,
        queue_mode: register.queue_mode,
        sms: register.sms.map(Box::from),
        list: Said::read(register.objects.as_ref(), register.profile, limits)?,
        attributes: attributes(message, limits)?,
    })
}

/// The name that a Register gives, whatever else is wrong with it.
pub(crate) fn claimed(message: &Message<'_>) -> Option<Endpoint> {
    let name = message.uri_query().find_map(|part| part.strip_prefix("ep="))?;
    Endpoint::new(name).ok()
}

/// Reads an Update of a registration of this version.
pub(crate) fn update(
    message: &Message<'_>,
    body: &[u8],
    registered: Version,
    limits: &Limits,
) -> Result<Changes, Code> {
    let update = Update::parse(message, body, registered).map_err(Refused::code)?;
    Ok(Changes {
        lifetime_s: update.lifetime_s,
        binding: update.binding,
        queue_mode: update.queue_mode,
        sms: update.sms.map(Box::from),
        list: Said::read(update.objects.as_ref(), update.profile, limits)?,
        attributes: attributes(message, limits)?,
    })
}

/// The parameters that no version of LwM2M knows: kept for the host, each once and not too many.
fn attributes(message: &Message<'_>, limits: &Limits) -> Result<Attributes, Code> {
    let mut attributes: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (name, value) in unknown_parameters(message) {
        let twice = attributes.iter().any(|(other, _)| **other == *name);
        if twice || attributes.len() >= limits.attributes {
            return Err(Code::BAD_REQUEST);
        }
        attributes.push((name.into(), value.unwrap_or_default().into()));
    }
    Ok(attributes.into())
}

fn object_list(list: &uplink::ObjectList<'_>, limits: &Limits) -> Result<ObjectList, Code> {
    if list.link_count() > limits.links {
        return Err(Code::REQUEST_ENTITY_TOO_LARGE);
    }
    // Of about its final length from the beginning: growing and shrinking by the million leaves holes in the heap.
    let mut objects = Vec::with_capacity(list.link_count());
    objects.extend(list.objects().map(|listed| ObjectLink { path: listed.path, version: listed.version }));
    objects.sort();
    objects.dedup_by_key(|link| link.path);
    Ok(ObjectList {
        root: list.alternate_path().into(),
        formats: list.content_formats().collect(),
        profile: None,
        objects: objects.into(),
    })
}
