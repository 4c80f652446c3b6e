//! The list of objects in a registration. Core TS 1.2, 6.2.1 and 7.2.2; RFC 6690.

use crate::{ObjectId, ObjectVersion, Path, path::Level};
use core::fmt;
use lightship_coap::{
    ContentFormat,
    link::{Link, LinkError, Mode, links},
};

/// A list of objects and object instances as a device sent it: well-formed, the rest is read on demand.
///
/// Links to objects that no server may know (0, 21, 23, 24), to resources and to what is no path are left out; so a device that
/// errs there is served all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectList<'a> {
    text: &'a str,
    /// The target of the link that describes LwM2M itself, without slashes at its ends; empty for `</>` and when there is none.
    alternate_path: &'a str,
    /// Where the formats stand: the raw value of `ct` of that link.
    formats: &'a str,
    links: usize,
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// `/o` or `/o/i`.
    pub path: Path,
    /// The version of the object that the link says, if any; see [`implied_version`](crate::object::implied_version).
    pub version: Option<ObjectVersion>,
}

/// Why a text is no list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// It is not UTF-8.
    NotUtf8,
    /// It is no link format.
    Link(LinkError),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the list of objects is not UTF-8"),
            Self::Link(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for ListError {}

impl<'a> ObjectList<'a> {
    /// Reads a list, as tolerantly as devices in the field need it.
    ///
    /// # Errors
    /// [`ListError`] for what is not UTF-8 or no link format.
    pub fn parse(body: &'a [u8]) -> Result<Self, ListError> {
        let text = core::str::from_utf8(body).map_err(|_| ListError::NotUtf8)?;
        let mut list = Self { text, alternate_path: "", formats: "", links: 0 };
        let mut described = false;
        for link in links(text, Mode::Tolerant) {
            let link = link.map_err(ListError::Link)?;
            list.links += 1;
            let is_lwm2m = link.value("rt").is_some_and(|rt| rt.raw().split(' ').any(|rt| rt == "oma.lwm2m"));
            let target = link.target.trim_matches('/');
            if !described && ((is_lwm2m && !has_number(target)) || link.target == "/") {
                described = true;
                list.alternate_path = target;
                list.formats = link.value("ct").map_or("", |ct| ct.raw());
            }
        }
        Ok(list)
    }

    /// The list as the device sent it.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// How many links it has, those left out included.
    #[must_use]
    pub const fn link_count(&self) -> usize {
        self.links
    }

    /// The path in front of all objects, without slashes at its ends; empty for none.
    #[must_use]
    pub const fn alternate_path(&self) -> &'a str {
        self.alternate_path
    }

    /// The content formats that the device announces beside those that its version must have.
    pub fn content_formats(&self) -> impl Iterator<Item = ContentFormat> + Clone + use<'a> {
        self.formats.split(' ').filter_map(|number| number.parse().ok()).map(ContentFormat)
    }

    /// The objects and instances, in the order and as often as they stand there.
    pub fn objects(&self) -> impl Iterator<Item = ListedObject> + Clone + use<'a> {
        let prefix = self.alternate_path;
        links(self.text, Mode::Tolerant).flatten().filter_map(move |link| listed(&link, prefix))
    }

    /// The version that is said of an object, on its own link or on one of its instances.
    #[must_use]
    pub fn version_of(&self, object: ObjectId) -> Option<ObjectVersion> {
        self.objects()
            .filter(|listed| listed.path.object_id() == Some(object))
            .find_map(|listed| listed.version)
    }
}

impl fmt::Debug for ObjectList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text, f)
    }
}

/// An alternate path has no numeric segment: it would look like an object.
fn has_number(path: &str) -> bool {
    path.split('/').any(|segment| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()))
}

fn listed(link: &Link<'_>, prefix: &str) -> Option<ListedObject> {
    let target = link.target.strip_prefix('/')?;
    let target = match prefix {
        "" => target,
        prefix => target.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let path = Path::from_segments(target.trim_end_matches('/').split('/').map(str::as_bytes)).ok()?;
    let object = path.object_id()?;
    // MQTT Server (24) holds credentials as the others do, though the standard forgets it.
    let hidden = object.is_hidden() || object.get() == 24;
    if hidden || !matches!(path.level(), Level::Object | Level::Instance) {
        return None;
    }
    let version = link.value("ver").and_then(|version| version.as_str()).and_then(|text| text.parse().ok());
    Some(ListedObject { path, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, string::ToString, vec::Vec};

    fn paths(list: &str) -> String {
        let list = ObjectList::parse(list.as_bytes()).expect("a list");
        let paths: Vec<_> = list.objects().map(|listed| listed.path.to_string()).collect();
        paths.join(" ")
    }

    // Proves: REG-13, REG-15
    #[test]
    fn what_no_server_may_know_and_what_is_no_object_is_left_out() {
        assert_eq!(paths("</0/0>,</1/0>,</21/0>,</23/0>,</24/0>,</3/0>,</5>"), "/1/0 /3/0 /5");
        assert_eq!(paths("</1/65536>,</-1/0>,</1/0/2>,</a/b>,</>;ct=\"x y\",</3/0>;foo=bar"), "/3/0");
        assert_eq!(paths(""), "");
        assert_eq!(paths("</1/0>, </3/0>"), "/1/0 /3/0", "white space as examples have it");
    }

    #[test]
    fn alternate_path_and_formats() {
        let list = ObjectList::parse(b"</lwm2m>;rt=\"oma.lwm2m\";ct=110,</lwm2m/1/0>,</lwm2m/3/0>,</3/1>")
            .expect("a list");
        assert_eq!(list.alternate_path(), "lwm2m");
        assert_eq!(list.content_formats().collect::<Vec<_>>(), [ContentFormat::SENML_JSON]);
        assert_eq!(list.objects().count(), 2);
        let list = ObjectList::parse(b"</>;rt=\"oma.lwm2m\";ct=\"60 112 x\",</3/0>").expect("a list");
        assert_eq!(list.alternate_path(), "");
        assert_eq!(
            list.content_formats().collect::<Vec<_>>(),
            [ContentFormat::CBOR, ContentFormat::SENML_CBOR]
        );
        let odd = ObjectList::parse(b"</7>;rt=\"oma.lwm2m\",</3/0>").expect("a list");
        assert_eq!(odd.alternate_path(), "", "a number is no alternate path");
    }

    #[test]
    fn versions_stand_on_the_object_or_on_its_instance() {
        let list = ObjectList::parse(b"</3303>;ver=1.1,</3303/0>,</5/0>;ver=\"1.2\",</6/0>;ver=1.1.1")
            .expect("a list");
        let version = |object: u16| list.version_of(ObjectId::new(object).expect("an ID"));
        assert_eq!(version(3303), Some(ObjectVersion::new(1, 1)));
        assert_eq!(version(5), Some(ObjectVersion::new(1, 2)));
        assert_eq!(version(6), None);
        assert_eq!(version(9), None);
    }

    // Bad inputs, chapter G.
    #[test]
    fn broken_lists_are_refused() {
        for list in [
            "</1/0>,,</3/0>",
            "</1/0",
            "1/0,3/0",
            "</1/0>;ver=\"1.1",
            &"<".repeat(100_000),
            &",".repeat(100_000),
            "\u{ff}\u{fe}</1/0>",
        ] {
            let refused = ObjectList::parse(list.as_bytes());
            assert!(matches!(refused, Err(ListError::Link(_))), "{:?}", list.get(..20));
        }
        assert_eq!(ObjectList::parse(b"\xFF\xFE</1/0>"), Err(ListError::NotUtf8));
        for tolerated in ["</1/0>;", "</1/0>;ver", "</1>;ver=1.1.1"] {
            assert!(ObjectList::parse(tolerated.as_bytes()).is_ok(), "{tolerated}");
        }
    }
}
