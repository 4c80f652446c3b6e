//! The last content of an observation, in little space: JSON without what is known anyhow.

use lightship_api as api;
use lightship_api::{Content, ValueType};
use lightship_store::WantedKey;

/// What an observation has reported last, if anything. A million of these are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastContent(Kept);

/// Bytes, in place if they are few: most values are a number.
#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    Short {
        len: u8,
        bytes: [u8; SHORT_LEN_MAX],
    },
    #[expect(clippy::box_collection, reason = "a thin pointer leaves the room in which few bytes lie")]
    Long(Box<Vec<u8>>),
}

/// As many as lie in the room of a pointer and its length.
const SHORT_LEN_MAX: usize = 14;

impl Kept {
    fn of(mut content: Vec<u8>) -> Kept {
        let mut bytes = [0; SHORT_LEN_MAX];
        match (bytes.get_mut(..content.len()), u8::try_from(content.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(&content);
                Kept::Short { len, bytes }
            }
            _ => {
                content.shrink_to_fit();
                Kept::Long(Box::new(content))
            }
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Kept::Nothing => None,
            Kept::Short { len, bytes } => bytes.get(..usize::from(*len)),
            Kept::Long(bytes) => Some(bytes),
        }
    }
}

impl LastContent {
    /// Keeps these nodes, without their names and units, which are those of the definitions.
    pub(crate) fn of(key: &WantedKey, nodes: Vec<api::Node>) -> LastContent {
        let path = path(key);
        let bare = |node: api::Node| {
            let is_known = matches!(node.content, Content::Value(_)) && node.path == path;
            let told = node.path.filter(|_| !is_known);
            api::Node { path: told, name: None, units: None, ..node }
        };
        let nodes: Vec<_> = nodes.into_iter().map(bare).collect();
        if let [api::Node { path: None, time: None, kind, content: Content::Value(value), .. }] = &nodes[..] {
            // Most are like this: one letter for the type, then the value.
            let mut bytes = vec![letter(*kind)];
            let written = serde_json::to_writer(&mut bytes, value);
            return LastContent(written.map_or(Kept::Nothing, |()| Kept::of(bytes)));
        }
        LastContent(serde_json::to_vec(&nodes).map_or(Kept::Nothing, Kept::of))
    }

    /// The nodes, without names and units.
    pub(crate) fn nodes(&self, key: &WantedKey) -> Option<Vec<api::Node>> {
        let bytes = self.0.bytes()?;
        let nodes: Vec<api::Node> = match bytes.split_first()? {
            (b'[', _) => serde_json::from_slice(bytes).ok()?,
            (letter, value) => {
                let mut node = api::Node::new(Content::Value(serde_json::from_slice(value).ok()?));
                node.kind = kind_of(*letter);
                vec![node]
            }
        };
        let path = path(key);
        let whole = |node: api::Node| api::Node { path: node.path.or_else(|| path.clone()), ..node };
        Some(nodes.into_iter().map(whole).collect())
    }
}

/// The path that most nodes of the observation have.
fn path(key: &WantedKey) -> Option<String> {
    match key {
        WantedKey::Path(path) => Some(path.to_string()),
        WantedKey::Name(_) => None,
    }
}

/// The letter of a type; none of them begins a list.
fn letter(kind: Option<ValueType>) -> u8 {
    LETTERS.iter().find(|(_, one)| kind == Some(*one)).map_or(NO_KIND, |(letter, _)| *letter)
}

fn kind_of(letter: u8) -> Option<ValueType> {
    LETTERS.iter().find(|(one, _)| *one == letter).map(|(_, kind)| *kind)
}

const NO_KIND: u8 = b'-';
const LETTERS: [(u8, ValueType); 9] = [
    (b's', ValueType::String),
    (b'i', ValueType::Integer),
    (b'u', ValueType::Unsigned),
    (b'f', ValueType::Float),
    (b'b', ValueType::Boolean),
    (b'o', ValueType::Opaque),
    (b't', ValueType::Time),
    (b'l', ValueType::Objlnk),
    (b'c', ValueType::Corelnk),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_and_many_are_the_same_after_they_were_kept() {
        assert_eq!(size_of::<LastContent>(), 16);
        for len in 0..40_u8 {
            let content: Vec<u8> = (0..len).collect();
            assert_eq!(Kept::of(content.clone()).bytes(), Some(&content[..]));
        }
    }

    #[test]
    fn a_content_is_the_same_after_it_was_kept() {
        let key = WantedKey::Path("/3303/0/5700".parse().expect("a path"));
        let node = |value: serde_json::Value, kind, path: &str| {
            let mut node = api::Node::new(Content::Value(value));
            (node.kind, node.path) = (kind, Some(path.to_owned()));
            node
        };
        let mut dated = node(1.into(), Some(ValueType::Integer), "/3303/0/5700");
        dated.time = Some(api::Timestamp(1));
        let mut cases = vec![
            vec![],
            vec![dated],
            vec![node("[".into(), None, "/3303/0/5700")],
            vec![node(21.5.into(), Some(ValueType::Float), "/3303/0/5701")],
            vec![node(1.into(), None, "/3303/0/5700"), node(2.into(), None, "/3303/0/5701")],
        ];
        let kinds = LETTERS.iter().map(|(_, kind)| *kind);
        cases.extend(kinds.map(|kind| vec![node("1".into(), Some(kind), "/3303/0/5700")]));
        for nodes in cases {
            assert_eq!(LastContent::of(&key, nodes.clone()).nodes(&key), Some(nodes));
        }
        assert_eq!(LastContent::default().nodes(&key), None);
        let plain = LastContent::of(&key, vec![node(21.5.into(), Some(ValueType::Float), "/3303/0/5700")]);
        assert_eq!(plain.0.bytes(), Some(&b"f21.5"[..]));
    }
}
