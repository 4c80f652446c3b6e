//! Rust files that nothing compiles: a test in such a file proves nothing, and nobody misses it.

use crate::source;
use std::collections::BTreeMap;

/// A complaint for each file that is neither the root of a target nor a module of another file. `sources` are all Rust files by path.
pub(crate) fn complaints(sources: &BTreeMap<String, String>) -> Vec<String> {
    let modules: BTreeMap<&str, Vec<String>> =
        sources.iter().map(|(path, text)| (path.as_str(), modules_of(path, text))).collect();
    sources
        .keys()
        .filter(|path| !is_root(path) && !modules.values().flatten().any(|module| module == *path))
        .map(|path| format!("{path}: nothing compiles this file: no `mod` names it"))
        .collect()
}

/// Whether cargo finds the file by itself.
fn is_root(path: &str) -> bool {
    let (folder, file) = split(path);
    matches!(file, "main.rs" | "lib.rs" | "build.rs")
        || ["tests", "examples", "benches", "bin"].contains(&split(folder).1)
}

/// The files that the modules of a file may lie in.
fn modules_of(path: &str, text: &str) -> Vec<String> {
    let (folder, file) = split(path);
    let own = match file.strip_suffix(".rs") {
        Some("mod" | "main" | "lib") | None => folder.to_owned(),
        // The root of a test or an example has its modules beside it, any other file in a folder of its name.
        Some(_) if is_root(path) => folder.to_owned(),
        Some(name) => format!("{folder}/{name}"),
    };
    let masked = source::mask(text);
    let declared = masked.lines().filter_map(|line| {
        let name = line.trim().strip_suffix(';')?.split_once("mod ")?.1;
        Some([format!("{own}/{name}.rs"), format!("{own}/{name}/mod.rs")])
    });
    let elsewhere = text.split("path = \"").skip(1).filter_map(|rest| rest.split_once(".rs\""));
    declared.flatten().chain(elsewhere.map(|(name, _)| format!("{folder}/{name}.rs"))).collect()
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_names_is_found() {
        let sources = [
            ("crates/a/src/lib.rs", "pub mod one;\n#[path = \"odd/place.rs\"]\nmod two; // mod six;\n"),
            ("crates/a/src/one.rs", "mod three;"),
            ("crates/a/src/one/three.rs", ""),
            ("crates/a/src/odd/place.rs", ""),
            ("crates/a/src/bin/tool.rs", ""),
            ("crates/a/tests/world/main.rs", "mod four;"),
            ("crates/a/tests/world/four/mod.rs", ""),
            ("crates/a/tests/alone.rs", "mod common;"),
            ("crates/a/tests/common/mod.rs", ""),
        ];
        let mut sources: BTreeMap<String, String> =
            sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        assert_eq!(complaints(&sources), Vec::<String>::new());
        for lost in ["crates/a/src/six.rs", "crates/a/tests/world/five.rs", "crates/a/src/three.rs"] {
            sources.insert(lost.to_owned(), String::new());
            let found = complaints(&sources);
            assert!(matches!(&found[..], [one] if one.starts_with(lost)), "{found:?}");
            sources.remove(lost);
        }
    }
}
