//! Who may depend on whom: the list in ARCHITECTURE.md against what cargo says.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Room → the rooms it uses.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// Foreign crates that would bring the world into a room that must not know it.
const WORLD: [&str; 12] = [
    "axum",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "rand",
    "reqwest",
    "serde",
    "serde_json",
    "socket2",
    "tokio",
    "ureq",
];

/// Rooms that are told everything: time, randomness, datagrams.
pub(crate) const SEALED: [&str; 6] = ["platform", "coap", "dtls", "lwm2m", "client", "server"];

/// Reads the block between `<!-- edges -->` and `<!-- /edges -->`: one room a line, ``- `room` → `a`, `b` ``.
pub(crate) fn allowed(architecture: &str) -> Result<Edges, String> {
    let block = architecture
        .split_once("<!-- edges -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /edges -->"))
        .map(|(block, _)| block)
        .ok_or("ARCHITECTURE.md: the block <!-- edges --> … <!-- /edges --> is missing")?;
    let mut edges = Edges::new();
    for line in block.lines().map(str::trim).filter(|line| line.starts_with("- ")) {
        let (room, uses) =
            line[2..].split_once('→').ok_or(format!("ARCHITECTURE.md: no arrow in `{line}`"))?;
        edges.insert(
            only_name(room),
            uses.split(',').map(only_name).filter(|name| !name.is_empty()).collect(),
        );
    }
    Ok(edges)
}

fn only_name(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// What `cargo metadata` says about the workspace.
pub(crate) fn metadata(root: &Path) -> Result<Value, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// One complaint per dependency that is not on the list, per listed edge that no manifest has, and per listed room
/// that does not exist.
pub(crate) fn complaints(allowed: &Edges, metadata: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let packages = metadata["packages"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let rooms: BTreeSet<String> =
        packages.iter().filter(|p| in_crates(p)).map(|p| room(text(&p["name"]))).collect();
    for package in packages {
        let name = room(text(&package["name"]));
        let product = in_crates(package);
        let used = package["dependencies"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        for dependency in used.iter().filter(|d| d["kind"].as_str() != Some("dev")) {
            let other = text(&dependency["name"]);
            let ours = dependency["path"].is_string();
            if product && ours {
                let target = room(other);
                if !rooms.contains(&target) {
                    complaints.push(format!("{name} → {target}: nothing may depend on a development crate"));
                } else if !allowed.get(&name).is_some_and(|uses| uses.contains(&target)) {
                    complaints.push(format!(
                        "{name} → {target}: not in ARCHITECTURE.md; a new edge needs a paragraph there"
                    ));
                }
            } else if SEALED.contains(&name.as_str()) && WORLD.contains(&other) {
                complaints.push(format!("{name} → {other}: this room must not know the world"));
            }
        }
    }
    complaints.extend(unused(allowed, packages));
    complaints.extend(
        allowed
            .keys()
            .filter(|room| !rooms.contains(*room))
            .map(|room| format!("ARCHITECTURE.md lists {room}, which is no room")),
    );
    complaints.extend(
        rooms
            .iter()
            .filter(|room| !allowed.contains_key(*room))
            .map(|room| format!("ARCHITECTURE.md does not list the room {room}")),
    );
    complaints
}

/// One complaint per listed edge that the room does not have any more.
fn unused(allowed: &Edges, packages: &[Value]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages.iter().filter(|package| in_crates(package)) {
        let name = room(text(&package["name"]));
        let used = package["dependencies"].as_array().into_iter().flatten();
        let has: BTreeSet<String> =
            used.filter(|d| d["kind"].as_str() != Some("dev")).map(|d| room(text(&d["name"]))).collect();
        let listed = allowed.get(&name).into_iter().flatten().filter(|other| !has.contains(*other));
        complaints
            .extend(listed.map(|other| format!("ARCHITECTURE.md: {name} → {other}: {name} does not use it")));
    }
    complaints
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn room(package: &str) -> String {
    package.strip_prefix("lightship-").unwrap_or(package).to_owned()
}

fn in_crates(package: &Value) -> bool {
    text(&package["manifest_path"]).replace('\\', "/").contains("/crates/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MAP: &str = "x\n<!-- edges -->\n- `coap` → `platform`\n- `platform` →\n<!-- /edges -->\n";

    fn package(name: &str, folder: &str, dependencies: &[Value]) -> Value {
        json!({"name": name, "manifest_path": format!("/x/{folder}/{name}/Cargo.toml"), "dependencies": dependencies})
    }

    fn ours(name: &str) -> Value {
        json!({"name": name, "path": "/x", "kind": null})
    }

    #[test]
    fn the_list_is_read_from_the_architecture() {
        let edges = allowed(MAP).unwrap();
        assert!(edges["coap"].contains("platform"));
        assert!(allowed("no block").is_err());
    }

    #[test]
    fn an_unlisted_edge_is_refused() {
        let edges = allowed(MAP).unwrap();
        let world = json!({"packages": [
            package("lightship-platform", "crates", &[ours("lightship-coap")]),
            package("lightship-coap", "crates", &[ours("lightship-platform")]),
        ]});
        let found = complaints(&edges, &world);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("platform → coap"));
    }

    #[test]
    fn a_sealed_room_may_not_use_the_world_except_in_tests() {
        let edges = allowed(MAP).unwrap();
        let world = json!({"packages": [
            package("lightship-platform", "crates", &[]),
            package("lightship-coap", "crates", &[
                ours("lightship-platform"),
                json!({"name": "tokio", "kind": null}),
                json!({"name": "serde_json", "kind": "dev"}),
            ]),
        ]});
        assert_eq!(complaints(&edges, &world), ["coap → tokio: this room must not know the world"]);
    }

    #[test]
    fn a_listed_edge_that_no_manifest_has_is_refused() {
        let edges = allowed(MAP).unwrap();
        let world = json!({"packages": [
            package("lightship-platform", "crates", &[]),
            package("lightship-coap", "crates", &[]),
        ]});
        assert_eq!(complaints(&edges, &world), ["ARCHITECTURE.md: coap → platform: coap does not use it"]);
    }

    #[test]
    fn rooms_missing_on_either_side_are_named() {
        let edges = allowed("<!-- edges -->\n- `gone` → \n<!-- /edges -->").unwrap();
        let world = json!({"packages": [package("lightship-new", "crates", &[])]});
        let found = complaints(&edges, &world);
        assert!(found.iter().any(|line| line.contains("lists gone")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("does not list the room new")), "{found:?}");
    }

    #[test]
    fn a_product_room_may_not_use_a_development_crate() {
        let edges = allowed("<!-- edges -->\n- `net` → \n<!-- /edges -->").unwrap();
        let world = json!({"packages": [
            package("lightship-net", "crates", &[ours("lightship-sim")]),
            package("lightship-sim", "dev", &[ours("lightship-net")]),
        ]});
        assert_eq!(complaints(&edges, &world), ["net → sim: nothing may depend on a development crate"]);
    }
}
