//! The content of a Bootstrap-Discover: which objects and instances there are, and which account each instance is of.
//! Core TS 1.2, 6.1.7.3.

use crate::{ObjectVersion, Path, ShortServerId, Version, path::Level, uplink::ListError};
use core::fmt::{self, Write};
use lightship_coap::link::{Link, LinkValue, LinkWriter, Mode, links};

/// The list as a device sent it: well-formed, the rest is read on demand.
///
/// Read as tolerantly as devices in the field need it: the version quoted, or, as in 1.0, in front without `</>`; white space after
/// commas; slashes at the end of targets. What is no object or instance is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceList<'a> {
    text: &'a str,
    version: Option<Version>,
}

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedInstance<'a> {
    /// `/o` or `/o/i`.
    pub path: Path,
    /// The version of the object, if it is said.
    pub version: Option<ObjectVersion>,
    /// Whose account the instance belongs to; `None` on what is of no server, the Bootstrap-Server's own account included (for
    /// which some devices write 0).
    pub short_server_id: Option<ShortServerId>,
    /// The URI of the server, on instances of the Security object.
    pub uri: Option<LinkValue<'a>>,
}

impl<'a> InstanceList<'a> {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ListError`] for what is not UTF-8 or no link format.
    pub fn parse(body: &'a [u8]) -> Result<Self, ListError> {
        let text = core::str::from_utf8(body).map_err(|_| ListError::NotUtf8)?;
        let (text, mut version) = match text.trim_start().strip_prefix("lwm2m=") {
            Some(rest) => {
                let (version, links) = rest.split_once(',').unwrap_or((rest, ""));
                (links, version.trim().trim_matches('"').parse().ok())
            }
            None => (text, None),
        };
        for link in links(text, Mode::Tolerant) {
            let link = link.map_err(ListError::Link)?;
            if version.is_none() && path_of(link.target) == Some(Path::ROOT) {
                version = link.value("lwm2m").and_then(|version| version.raw().parse().ok());
            }
        }
        Ok(Self { text, version })
    }

    /// The LwM2M version of the device; `None` when it says none, or one that is not known here.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The objects and instances, in the order and as often as they stand there.
    pub fn entries(&self) -> impl Iterator<Item = ListedInstance<'a>> + Clone + use<'a> {
        links(self.text, Mode::Tolerant).flatten().filter_map(|link| listed(&link))
    }
}

fn listed<'a>(link: &Link<'a>) -> Option<ListedInstance<'a>> {
    let path = path_of(link.target)?;
    if !matches!(path.level(), Level::Object | Level::Instance) {
        return None;
    }
    let text = |name| link.value(name).map(|value| value.raw());
    Some(ListedInstance {
        path,
        version: text("ver").and_then(|version| version.parse().ok()),
        short_server_id: text("ssid").and_then(|ssid| ssid.parse().ok()).and_then(ShortServerId::new),
        uri: link.value("uri"),
    })
}

/// The path that a link is to, with or without a slash at its end.
pub(super) fn path_of(target: &str) -> Option<Path> {
    let target = target.strip_prefix('/')?;
    let target = target.strip_suffix('/').unwrap_or(target);
    if target.is_empty() {
        return Some(Path::ROOT);
    }
    Path::from_segments(target.split('/').map(str::as_bytes)).ok()
}

/// Writes the list on the device's side.
#[derive(Debug)]
pub struct InstanceListWriter<W> {
    links: LinkWriter<W>,
}

impl<W: Write> InstanceListWriter<W> {
    /// Begins with the LwM2M version of the device.
    #[must_use]
    pub fn new(sink: W, version: Version) -> Self {
        let mut links = LinkWriter::new(sink);
        links.link(format_args!("/")).attribute("lwm2m", format_args!("{version}"));
        Self { links }
    }

    /// Begins the entry of an object without instances, an object whose version must be said, or an instance. Its attributes
    /// follow.
    pub fn entry(&mut self, path: Path) -> &mut Self {
        self.links.link(format_args!("{path}"));
        self
    }

    /// Says the version of the object.
    pub fn version(&mut self, version: ObjectVersion) -> &mut Self {
        self.links.attribute("ver", format_args!("{version}"));
        self
    }

    /// Says whose account the instance is of; never for the Bootstrap-Server's own.
    pub fn short_server_id(&mut self, ssid: ShortServerId) -> &mut Self {
        self.links.attribute("ssid", format_args!("{ssid}"));
        self
    }

    /// Says the URI of the server of that Security instance; never for the Bootstrap-Server's own.
    pub fn uri(&mut self, uri: &str) -> &mut Self {
        self.links.quoted("uri", uri);
        self
    }

    /// Ends the list and gives the sink back.
    ///
    /// # Errors
    /// When the sink refused anything.
    pub fn finish(self) -> Result<W, fmt::Error> {
        self.links.finish()
    }
}
