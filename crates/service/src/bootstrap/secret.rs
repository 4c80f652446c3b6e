//! What must never be shown: keys in documents, templates, plans and records of sessions.

use lightship_api::bootstrap::{BootstrapDocument, SECRET};
use lightship_api::{Content, Node};
use lightship_lwm2m::Path;
use serde_json::Value as Json;

/// Whether a Resource holds a secret: keys of Security, the master secret of OSCORE, the key of COSE, the password of MQTT.
fn is_secret(path: Path) -> bool {
    let numbers: Vec<u16> = path.numbers().take(3).collect();
    matches!(numbers.as_slice(), [0, _, 5 | 7 | 8] | [21, _, 0] | [23, _, 2] | [24, _, 8])
}

/// The document as it may be shown.
pub(crate) fn hide(document: &mut BootstrapDocument) {
    for server in &mut document.servers {
        let has_secret = server.key_hex.take().is_some() | server.secret_key_pem.take().is_some();
        server.key_set = has_secret.then_some(true);
        for (id, node) in &mut server.security {
            if let Some(path) = Path::from_numbers(&[0, 0, *id]) {
                hide_node(node, path);
            }
        }
    }
    for node in &mut document.write {
        if let Some(path) = path_of(node) {
            hide_node(node, path);
        }
    }
}

/// The node, which stands at `path`, as it may be shown.
pub(crate) fn hide_node(node: &mut Node, path: Path) {
    match &mut node.content {
        Content::Value(value) if is_secret(path) => *value = Json::from(SECRET),
        Content::Instances(values) if is_secret(path) => {
            values.values_mut().for_each(|value| *value = Json::from(SECRET));
        }
        Content::Value(_) | Content::Instances(_) => {}
        Content::Resources(children) | Content::ObjectInstances(children) => {
            for (id, child) in children {
                if let Some(path) = path.child(*id) {
                    hide_node(child, path);
                }
            }
        }
    }
}

/// Whether a secret is left out in the node, which stands at `path`.
pub(crate) fn is_masked(node: &Node, path: Path) -> bool {
    let masked = |value: &Json| value.as_str() == Some(SECRET);
    match &node.content {
        Content::Value(value) => is_secret(path) && masked(value),
        Content::Instances(values) => is_secret(path) && values.values().any(masked),
        Content::Resources(children) | Content::ObjectInstances(children) => {
            children.iter().any(|(id, child)| path.child(*id).is_some_and(|path| is_masked(child, path)))
        }
    }
}

/// Puts the secrets of the document that is kept where the new one leaves them out.
///
/// # Errors
/// The JSON pointer of a server whose key should be kept and is not there.
pub(crate) fn keep(new: &mut BootstrapDocument, kept: Option<&BootstrapDocument>) -> Result<(), String> {
    for (index, server) in new.servers.iter_mut().enumerate() {
        let has_secret = server.key_hex.is_some() || server.secret_key_pem.is_some();
        let wants_kept = server.key_set.take() == Some(true) && !has_secret;
        let old = kept
            .and_then(|kept| kept.servers.iter().find(|old| old.short_server_id == server.short_server_id));
        if wants_kept {
            let old = old
                .filter(|old| old.mode == server.mode)
                .filter(|old| old.key_hex.is_some() || old.secret_key_pem.is_some());
            let Some(old) = old else { return Err(format!("/servers/{index}/key_set")) };
            server.key_hex.clone_from(&old.key_hex);
            server.secret_key_pem.clone_from(&old.secret_key_pem);
        }
        for (id, node) in &mut server.security {
            let old = old.and_then(|old| old.security.get(id));
            if let (Some(path), Some(old)) = (Path::from_numbers(&[0, 0, *id]), old) {
                keep_node(node, old, path);
            }
        }
    }
    for node in &mut new.write {
        let Some(path) = path_of(node) else { continue };
        let old = kept.and_then(|kept| kept.write.iter().find(|old| path_of(old) == Some(path)));
        if let Some(old) = old {
            keep_node(node, old, path);
        }
    }
    new.from = None;
    Ok(())
}

fn keep_node(node: &mut Node, old: &Node, path: Path) {
    match (&mut node.content, &old.content) {
        (Content::Value(value), Content::Value(old)) => keep_value(value, old, path),
        (Content::Instances(values), Content::Instances(old)) => {
            for (id, value) in values {
                if let Some(old) = old.get(id) {
                    keep_value(value, old, path);
                }
            }
        }
        (Content::Resources(children), Content::Resources(old))
        | (Content::ObjectInstances(children), Content::ObjectInstances(old)) => {
            for (id, child) in children {
                if let (Some(old), Some(path)) = (old.get(id), path.child(*id)) {
                    keep_node(child, old, path);
                }
            }
        }
        _ => {}
    }
}

fn keep_value(value: &mut Json, old: &Json, path: Path) {
    if is_secret(path) && value.as_str() == Some(SECRET) {
        value.clone_from(old);
    }
}

fn path_of(node: &Node) -> Option<Path> {
    node.path.as_deref()?.parse().ok()
}
