//! The last content of an observation, in little space: JSON without what is known anyhow.

use lightship_api as api;
use lightship_store::WantedKey;

/// What an observation has reported last, if anything. A million of these are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastContent(Option<Box<[u8]>>);

impl LastContent {
    /// Keeps these nodes, without their names and units, which are those of the definitions.
    pub(crate) fn of(key: &WantedKey, nodes: Vec<api::Node>) -> LastContent {
        let path = path(key);
        let bare = |node: api::Node| {
            let is_known = matches!(node.content, api::Content::Value(_)) && node.path == path;
            let told = node.path.filter(|_| !is_known);
            api::Node { path: told, name: None, units: None, ..node }
        };
        let nodes: Vec<_> = nodes.into_iter().map(bare).collect();
        LastContent(serde_json::to_vec(&nodes).ok().map(Vec::into_boxed_slice))
    }

    /// The nodes, without names and units.
    pub(crate) fn nodes(&self, key: &WantedKey) -> Option<Vec<api::Node>> {
        let nodes: Vec<api::Node> = serde_json::from_slice(self.0.as_deref()?).ok()?;
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
