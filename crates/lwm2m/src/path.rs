//! Paths: the address of a node in a device's data tree, from the root to a resource instance.

use crate::id::{MAX_ID, ObjectId, ObjectInstanceId, ResourceId, ResourceInstanceId};
use core::{fmt, str::FromStr};

/// The longest text of a path: `/65534/65534/65534/65534`.
pub const PATH_TEXT_LEN_MAX: usize = 24;

/// The address of a node: root, object, object instance, resource or resource instance.
///
/// Copied freely (8 bytes). Ordered as the tree is walked: a node stands before its children, siblings by number.
/// [`path!`](crate::path!) writes one that is checked by the compiler.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    // Each level holds the identifier plus one; 0 = the path ends before it. So the derived order is tree order.
    levels: [u16; 4],
}

/// How deep a [`Path`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `/`
    Root,
    /// `/o`
    Object,
    /// `/o/i`
    Instance,
    /// `/o/i/r`
    Resource,
    /// `/o/i/r/ri`
    ResourceInstance,
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathError {
    /// A segment is empty, not a decimal number, or has a leading zero.
    NotNumeric,
    /// A number is above 65534.
    OutOfRange,
    /// More than four segments.
    TooDeep,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNumeric => "a segment is not a plain decimal number",
            Self::OutOfRange => "a number is above 65534",
            Self::TooDeep => "more than four segments",
        })
    }
}

impl core::error::Error for PathError {}

/// A [`Path`] from number literals, checked at compile time: `path!(3 / 0 / 9)`.
#[macro_export]
macro_rules! path {
    () => { $crate::Path::ROOT };
    ($first:literal $(/ $more:literal)*) => {
        const {
            match $crate::Path::from_numbers(&[$first $(, $more)*]) {
                ::core::option::Option::Some(path) => path,
                ::core::option::Option::None => ::core::panic!("not a path: at most four numbers, each at most 65534"),
            }
        }
    };
}

impl Path {
    /// `/`
    pub const ROOT: Self = Self { levels: [0; 4] };

    /// `/o`
    #[must_use]
    pub const fn object(object: ObjectId) -> Self {
        Self { levels: [object.get() + 1, 0, 0, 0] }
    }

    /// `/o/i`
    #[must_use]
    pub const fn instance(object: ObjectId, instance: ObjectInstanceId) -> Self {
        Self { levels: [object.get() + 1, instance.get() + 1, 0, 0] }
    }

    /// `/o/i/r`
    #[must_use]
    pub const fn resource(object: ObjectId, instance: ObjectInstanceId, resource: ResourceId) -> Self {
        Self { levels: [object.get() + 1, instance.get() + 1, resource.get() + 1, 0] }
    }

    /// `/o/i/r/ri`
    #[must_use]
    pub const fn resource_instance(
        object: ObjectId,
        instance: ObjectInstanceId,
        resource: ResourceId,
        resource_instance: ResourceInstanceId,
    ) -> Self {
        Self {
            levels: [object.get() + 1, instance.get() + 1, resource.get() + 1, resource_instance.get() + 1],
        }
    }

    /// A path of 0 to 4 numbers, or `None` when there are more or one is 65535.
    #[must_use]
    pub const fn from_numbers(numbers: &[u16]) -> Option<Self> {
        let mut path = Self::ROOT;
        let mut rest = numbers;
        while let Some((number, more)) = rest.split_first() {
            path = match path.child(*number) {
                Some(path) => path,
                None => return None,
            };
            rest = more;
        }
        Some(path)
    }

    /// The node one level below with that number, or `None` below a resource instance or for 65535.
    #[must_use]
    pub const fn child(self, number: u16) -> Option<Self> {
        if number == MAX_ID {
            return None;
        }
        let [object, instance, resource, resource_instance] = self.levels;
        let id = number + 1;
        let levels = if object == 0 {
            [id, 0, 0, 0]
        } else if instance == 0 {
            [object, id, 0, 0]
        } else if resource == 0 {
            [object, instance, id, 0]
        } else if resource_instance == 0 {
            [object, instance, resource, id]
        } else {
            return None;
        };
        Some(Self { levels })
    }

    /// The node one level above; `None` of the root.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self.len() {
            0 => None,
            len => Some(self.truncated(len - 1)),
        }
    }

    /// The first `len` levels of the path (all of them when it is shorter).
    #[must_use]
    pub const fn truncated(self, len: usize) -> Self {
        let [object, instance, resource, _] = self.levels;
        let levels = match len {
            0 => [0; 4],
            1 => [object, 0, 0, 0],
            2 => [object, instance, 0, 0],
            3 => [object, instance, resource, 0],
            _ => self.levels,
        };
        Self { levels }
    }

    /// How many numbers the path has, 0 to 4.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "the empty path is the root: `is_root`")]
    pub const fn len(self) -> usize {
        match self.level() {
            Level::Root => 0,
            Level::Object => 1,
            Level::Instance => 2,
            Level::Resource => 3,
            Level::ResourceInstance => 4,
        }
    }

    /// How deep the path goes.
    #[must_use]
    pub const fn level(self) -> Level {
        match self.levels {
            [0, ..] => Level::Root,
            [_, 0, ..] => Level::Object,
            [_, _, 0, _] => Level::Instance,
            [_, _, _, 0] => Level::Resource,
            _ => Level::ResourceInstance,
        }
    }

    /// Whether this is `/`.
    #[must_use]
    pub const fn is_root(self) -> bool {
        matches!(self.level(), Level::Root)
    }

    /// The Object ID, unless this is the root.
    #[must_use]
    pub const fn object_id(self) -> Option<ObjectId> {
        let [id, ..] = self.levels;
        match id.checked_sub(1) {
            Some(id) => ObjectId::new(id),
            None => None,
        }
    }

    /// The Object Instance ID, if the path reaches that far.
    #[must_use]
    pub const fn instance_id(self) -> Option<ObjectInstanceId> {
        let [_, id, ..] = self.levels;
        match id.checked_sub(1) {
            Some(id) => ObjectInstanceId::new(id),
            None => None,
        }
    }

    /// The Resource ID, if the path reaches that far.
    #[must_use]
    pub const fn resource_id(self) -> Option<ResourceId> {
        let [_, _, id, _] = self.levels;
        match id.checked_sub(1) {
            Some(id) => ResourceId::new(id),
            None => None,
        }
    }

    /// The Resource Instance ID, if the path reaches that far.
    #[must_use]
    pub const fn resource_instance_id(self) -> Option<ResourceInstanceId> {
        let [_, _, _, id] = self.levels;
        match id.checked_sub(1) {
            Some(id) => ResourceInstanceId::new(id),
            None => None,
        }
    }

    /// Whether `other` is this node or lies below it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        let [a, b, c, d] = self.levels;
        let [oa, ob, oc, od] = other.levels;
        (a == 0 || a == oa) && (b == 0 || b == ob) && (c == 0 || c == oc) && (d == 0 || d == od)
    }

    /// The numbers from the object down.
    pub fn numbers(self) -> impl Iterator<Item = u16> + Clone {
        self.levels.into_iter().map_while(|level| level.checked_sub(1))
    }

    /// The last number; `None` of the root.
    #[must_use]
    pub fn last(self) -> Option<u16> {
        self.numbers().last()
    }

    /// A path from CoAP Uri-Path segments. Only canonical decimals are numbers (`03`, `+3`, empty segments are refused).
    ///
    /// # Errors
    /// [`PathError`] for the first segment that does not fit.
    pub fn from_segments<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, PathError> {
        let mut path = Self::ROOT;
        for segment in segments {
            path = path.child(parse_number(segment)?).ok_or(PathError::TooDeep)?;
        }
        Ok(path)
    }
}

/// The text of a part of a path, made without the formatting machinery, which costs ten times as much.
pub(crate) struct PathText {
    bytes: [u8; PATH_TEXT_LEN_MAX + 1],
    len: usize,
}

impl PathText {
    /// The numbers from level `from` on, with slashes between them: `6/0`.
    pub(crate) fn below(path: Path, from: usize) -> Self {
        let mut text = Self { bytes: [0; PATH_TEXT_LEN_MAX + 1], len: 0 };
        for (index, number) in path.numbers().skip(from).enumerate() {
            if index > 0 {
                text.push(b'/');
            }
            text.push_number(number);
        }
        text
    }

    /// The whole path as it is displayed, with a slash behind it if wanted: `/3/0/`.
    pub(crate) fn whole(path: Path, slash_behind: bool) -> Self {
        let mut text = Self { bytes: [0; PATH_TEXT_LEN_MAX + 1], len: 0 };
        for number in path.numbers() {
            text.push(b'/');
            text.push_number(number);
        }
        if slash_behind || path.is_root() {
            text.push(b'/');
        }
        text
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: u16) {
        let digits = [number / 10_000, number / 1000 % 10, number / 100 % 10, number / 10 % 10, number % 10];
        let leading = digits.iter().take(4).take_while(|digit| **digit == 0).count();
        for digit in digits.iter().skip(leading) {
            let [_, digit] = digit.to_be_bytes();
            self.push(b'0' + digit);
        }
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Parses one canonical decimal number of at most 65534.
pub(crate) fn parse_number(digits: &[u8]) -> Result<u16, PathError> {
    match digits {
        [] => return Err(PathError::NotNumeric),
        [b'0', _, ..] => return Err(PathError::NotNumeric),
        _ => {}
    }
    let mut number: u32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(PathError::NotNumeric);
        }
        number = number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    }
    match u16::try_from(number) {
        Ok(MAX_ID) | Err(_) => Err(PathError::OutOfRange),
        Ok(number) => Ok(number),
    }
}

impl FromStr for Path {
    type Err = PathError;

    /// Reads `/3/0/9`; the leading slash may be missing, `/` and the empty text are the root.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::ROOT);
        }
        Self::from_segments(text.as_bytes().split(|byte| *byte == b'/'))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        for number in self.numbers() {
            write!(f, "/{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ObjectId> for Path {
    fn from(object: ObjectId) -> Self {
        Self::object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn text_and_path_agree() {
        for text in ["/", "/3", "/3/0", "/3/0/9", "/65534/65534/65534/65534"] {
            let path: Path = text.parse().expect("a path");
            assert_eq!(path.to_string(), text);
            assert_eq!(Path::from_numbers(&path.numbers().collect::<std::vec::Vec<_>>()), Some(path));
        }
        assert_eq!("3/0".parse(), Ok(path!(3 / 0)));
        assert_eq!("".parse(), Ok(Path::ROOT));
    }

    #[test]
    fn the_quick_text_is_the_displayed_one() {
        for text in ["/", "/0", "/9", "/10", "/3/0/99", "/100/999/1000/9999", "/10000/65534/65534/65534"] {
            let path: Path = text.parse().expect("a path");
            assert_eq!(PathText::whole(path, false).as_bytes(), text.as_bytes());
        }
        let path = path!(3 / 0 / 6 / 10);
        assert_eq!(PathText::below(path, 2).as_bytes(), b"6/10");
        assert_eq!(PathText::whole(path!(65534 / 65534 / 65534 / 65534), true).as_bytes().len(), 25);
    }

    #[test]
    fn only_canonical_decimals_are_numbers() {
        for (text, error) in [
            ("/3/0/0/0/0", PathError::TooDeep),
            ("/65535", PathError::OutOfRange),
            ("/65536/0", PathError::OutOfRange),
            ("/99999999999/0", PathError::OutOfRange),
            ("/+3/0", PathError::NotNumeric),
            ("/03/0", PathError::NotNumeric),
            ("/ 3", PathError::NotNumeric),
            ("/3/0x0", PathError::NotNumeric),
            ("/3//", PathError::NotNumeric),
            ("/3/", PathError::NotNumeric),
            ("//3", PathError::NotNumeric),
            ("/-1", PathError::NotNumeric),
        ] {
            assert_eq!(text.parse::<Path>(), Err(error), "{text}");
        }
    }

    #[test]
    fn order_is_tree_order() {
        let walk = [
            path!(),
            path!(1),
            path!(1 / 0),
            path!(1 / 0 / 1),
            path!(1 / 65534),
            path!(3),
            path!(3 / 0),
            path!(3 / 0 / 6),
            path!(3 / 0 / 6 / 0),
        ];
        assert!(walk.is_sorted(), "{walk:?}");
    }

    #[test]
    fn contains_is_the_node_and_what_is_below() {
        assert!(Path::ROOT.contains(path!(3 / 0)));
        assert!(path!(3 / 0).contains(path!(3 / 0)));
        assert!(path!(3 / 0).contains(path!(3 / 0 / 6 / 1)));
        assert!(!path!(3 / 0).contains(path!(3 / 1 / 6)));
        assert!(!path!(3 / 0 / 6).contains(path!(3 / 0)));
    }

    #[test]
    fn parents_and_children() {
        assert_eq!(path!(3 / 0 / 6 / 1).parent(), Some(path!(3 / 0 / 6)));
        assert_eq!(Path::ROOT.parent(), None);
        assert_eq!(path!(3 / 0 / 6 / 1).child(0), None);
        assert_eq!(Path::ROOT.child(65535), None);
        assert_eq!(path!(3 / 0 / 6).resource_id(), ResourceId::new(6));
        assert_eq!(format!("{:?}", path!(3 / 0).level()), "Instance");
    }
}
