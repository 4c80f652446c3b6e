//! Dependencies that no source names: each costs every build its time, and every reader the question what for.

use crate::source;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A complaint for each dependency of a package that its sources do not name, and for each of the workspace that no
/// package asks for. `sources` are all Rust files by path, `manifest` is the text of the workspace's `Cargo.toml`.
pub(crate) fn complaints(
    root: &Path,
    manifest: &str,
    metadata: &Value,
    sources: &BTreeMap<String, String>,
) -> Vec<String> {
    let (mut complaints, mut asked) = (Vec::new(), BTreeSet::new());
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let path = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new(""));
        let folder = folder.to_string_lossy().replace('\\', "/");
        let words = words_of(&folder, sources);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap_or_default();
            asked.insert(name);
            if !words.contains(&name.replace('-', "_")) {
                complaints.push(format!("{folder}/Cargo.toml: {name}: no source of this crate names it"));
            }
        }
    }
    let unasked = of_the_workspace(manifest).filter(|name| !asked.contains(name));
    complaints
        .extend(unasked.map(|name| format!("Cargo.toml: {name}: no crate of the workspace asks for it")));
    complaints
}

/// Every word in the code of a crate, and of the files that it takes in from elsewhere by their path.
fn words_of(folder: &str, sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let own = |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let mut texts = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| own(path)) {
        texts.push(text);
        let elsewhere = text.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let taken = elsewhere.map(|name| joined(path, name));
        texts.extend(taken.filter_map(|path| sources.get(&path)));
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words = texts.into_iter().flat_map(|text| {
        let code = source::mask(text);
        code.split(|c| !is_word(c)).map(str::to_owned).collect::<Vec<_>>()
    });
    words.collect()
}

/// The path `name`, seen from the folder of `file`.
fn joined(file: &str, name: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The names under `[workspace.dependencies]`.
fn of_the_workspace(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split_once("[workspace.dependencies]").map_or("", |(_, rest)| rest);
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once('=')?.0.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(names: &[&str]) -> Value {
        let dependencies: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"packages": [{"manifest_path": "/x/crates/a/Cargo.toml", "dependencies": dependencies}]})
    }

    fn sources(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_dependency_that_no_source_names_is_found() {
        let texts = [
            ("crates/a/src/lib.rs", "use tokio_stream::Stream; // toml"),
            ("crates/b/src/lib.rs", "use toml;"),
        ];
        let found = complaints(Path::new("/x"), "", &metadata(&["tokio-stream", "toml"]), &sources(&texts));
        assert_eq!(found, ["crates/a/Cargo.toml: toml: no source of this crate names it"]);
    }

    #[test]
    fn a_file_that_is_taken_in_by_its_path_counts() {
        let texts = [
            ("crates/a/src/lib.rs", "#[path = \"../../b/src/xml.rs\"]\nmod xml;"),
            ("crates/b/src/xml.rs", "use quick_xml::Reader;"),
        ];
        assert_eq!(complaints(Path::new("/x"), "", &metadata(&["quick-xml"]), &sources(&texts)), [""; 0]);
    }

    #[test]
    fn a_dependency_of_the_workspace_that_nobody_asks_for_is_found() {
        let manifest =
            "[workspace.dependencies]\n# one\nserde = \"1\"\ntoml = \"1\"\n\n[profile.dev]\ndebug = 1\n";
        let texts = [("crates/a/src/lib.rs", "use toml;")];
        let found = complaints(Path::new("/x"), manifest, &metadata(&["toml"]), &sources(&texts));
        assert_eq!(found, ["Cargo.toml: serde: no crate of the workspace asks for it"]);
    }
}
