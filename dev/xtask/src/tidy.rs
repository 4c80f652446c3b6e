//! `cargo xtask tidy`: the house rules that a machine can check.
//!
//! Dependency edges · file and function length · banned calls and words · where `unsafe` may stand · a room card
//! on top of each crate · no source file that nothing compiles · no dependency that nothing names · nothing of the
//! machine it was written on. Lengths hold for tests as well: a test that does not fit a screen hides what it proves;
//! long data belongs in a constant or a file.

use crate::edges::{self, SEALED};
use crate::source::{self, line_of, words};
use crate::{Outcome, dependencies, files, orphans};
use std::collections::BTreeMap;
use std::path::Path;

/// Lines a source file may have.
const FILE_LINES_MAX: usize = 800;
/// Lines a function may have, its signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;
/// How far down a file's top the mark of a generated file is looked for, in lines.
const MARK_WITHIN_LINES: usize = 5;
/// How far above an `unsafe` its reason may stand, in lines.
const SAFETY_WITHIN_LINES: usize = 6;

/// The one folder where `unsafe` may stand.
const UNSAFE_FOLDER: &str = "crates/net/src/sys/";
/// Where a clock may be read.
const CLOCK_FOLDERS: [&str; 6] = [
    "crates/client/examples/",
    "crates/net/",
    "crates/service/",
    "crates/lightship/",
    "dev/bench/",
    "dev/interop/",
];
/// What the sealed rooms may not even name in product code.
const SEALED_BANNED: [&str; 7] =
    ["std::fs", "std::thread", "std::process", "std::env", "UdpSocket", "TcpStream", "thread_rng"];
/// Phrases of the room card.
const CARD: [&str; 5] = ["I am", "I may", "I must not", "My invariants", "Start reading at"];

/// Checks the repository; the error lists every complaint.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(argument) = arguments.first() {
        return Err(format!("tidy takes no argument ({argument})"));
    }
    let root = files::root();
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md"))
        .map_err(|error| format!("ARCHITECTURE.md: {error}"))?;
    let metadata = edges::metadata(&root)?;
    let mut complaints = edges::complaints(&edges::allowed(&architecture)?, &metadata);
    for package in metadata["packages"].as_array().into_iter().flatten() {
        if let Some(manifest) = package["manifest_path"].as_str() {
            complaints.extend(card_complaint(&root, Path::new(manifest)));
        }
    }
    let mut sources = BTreeMap::new();
    for path in files::listed(&root)? {
        if let Some(text) = files::text(&root, &path)? {
            complaints.extend(check_file(&path, &text));
            if path.ends_with(".rs") {
                sources.insert(path, text);
            }
        }
    }
    complaints.extend(orphans::complaints(&sources));
    let manifest =
        std::fs::read_to_string(root.join("Cargo.toml")).map_err(|error| format!("Cargo.toml: {error}"))?;
    complaints.extend(dependencies::complaints(&root, &manifest, &metadata, &sources));
    if complaints.is_empty() {
        return Ok(());
    }
    let count = complaints.len();
    Err(format!("{}\ntidy: {count} complaints", complaints.join("\n")))
}

fn card_complaint(root: &Path, manifest: &Path) -> Option<String> {
    let folder = manifest.parent()?.join("src");
    let file = ["lib.rs", "main.rs"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file())?;
    let text = std::fs::read_to_string(&file).ok()?;
    let missing = card_gaps(&text);
    let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
    (!missing.is_empty()).then(|| format!("{shown}:1: the room card lacks: {}", missing.join(", ")))
}

/// The phrases of the room card that the module comment on top of a crate lacks.
fn card_gaps(text: &str) -> Vec<&'static str> {
    let card: Vec<&str> = text
        .lines()
        .take_while(|line| line.trim().is_empty() || line.starts_with("//!") || line.starts_with("#!["))
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.trim_start_matches([' ', '*', '-']))
        .collect();
    CARD.into_iter().filter(|phrase| !card.iter().any(|line| line.starts_with(phrase))).collect()
}

/// Every complaint about one file.
fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if path == "Cargo.lock" {
        return complaints; // cargo's own file: it names its registry
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(what) = foreign_place(line) {
            complaints
                .push(format!("{path}:{}: names {what}; the project speaks only of itself", number + 1));
        }
    }
    let code = [".rs", ".ts", ".svelte", ".css", ".java", ".py", ".sh"].iter().any(|end| path.ends_with(end));
    if !code || generated(path, text) {
        return complaints;
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, {FILE_LINES_MAX} at most; split it by meaning"));
    }
    if path.ends_with(".rs") {
        complaints.extend(check_rust(path, text));
    }
    complaints
}

/// Whether a machine wrote this file: it says so on top, or lies in a folder of built files.
fn generated(path: &str, text: &str) -> bool {
    path.starts_with("ui/dist/")
        || text
            .lines()
            .take(MARK_WITHIN_LINES)
            .any(|line| line.contains("@generated") || line.contains("Generated by"))
}

/// A place outside the repository that this line names: a folder of one machine, a package registry's host.
fn foreign_place(line: &str) -> Option<&'static str> {
    const FOLDERS: [&str; 5] = [
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/tmp/", "bash_jobs"),
    ];
    const HOSTS: [&str; 7] = [
        concat!("registry.", "npmjs.org"),
        concat!("repo.maven.", "apache.org"),
        concat!("repo1.maven.", "org"),
        concat!("pypi", ".org"),
        concat!("files.python", "hosted.org"),
        concat!("index.crates", ".io"),
        concat!("deb.deb", "ian.org"),
    ];
    let begins = |folder: &str| {
        line.match_indices(folder)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~*/}".contains(c)))
    };
    FOLDERS
        .into_iter()
        .find(|folder| begins(folder))
        .or_else(|| HOSTS.into_iter().find(|host| line.contains(host)))
}

fn check_rust(path: &str, text: &str) -> Vec<String> {
    let masked = source::mask(text);
    let mut complaints: Vec<String> = source::functions(&masked)
        .iter()
        .filter(|function| function.length() > FUNCTION_LINES_MAX)
        .map(|function| {
            let (name, length) = (&function.name, function.length());
            format!(
                "{path}:{}: fn {name} has {length} lines, {FUNCTION_LINES_MAX} at most",
                function.lines.start
            )
        })
        .collect();
    complaints.extend(check_unsafe(path, text, &masked));
    complaints.extend(check_banned(path, &masked));
    complaints.extend(check_attributes(path, text, &masked));
    complaints
}

fn check_unsafe(path: &str, text: &str, masked: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (at, _) in words(masked).filter(|(_, word)| *word == "unsafe") {
        let number = line_of(masked, at);
        let above = &lines[number.saturating_sub(SAFETY_WITHIN_LINES + 1)..number];
        if !path.starts_with(UNSAFE_FOLDER) {
            complaints.push(format!("{path}:{number}: unsafe may stand only in {UNSAFE_FOLDER}"));
        } else if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
            complaints.push(format!("{path}:{number}: unsafe without a SAFETY: line above it"));
        }
    }
    complaints
}

fn check_banned(path: &str, masked: &str) -> Vec<String> {
    let sealed = SEALED.iter().any(|room| path.starts_with(&format!("crates/{room}/src/")));
    let mut banned: Vec<(&str, &str)> = vec![
        ("mpsc::unbounded_channel", "every queue has a bound"),
        ("mpsc::channel()", "every queue has a bound"),
        ("!(%endpoint", "a device's name stands in a log line as `endpoint.readable()`"),
    ];
    if !CLOCK_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        banned.push(("Instant::now", "this room is told the time"));
        banned.push(("SystemTime::now", "this room is told the time"));
    }
    if sealed {
        banned.extend(SEALED_BANNED.map(|name| (name, "this room must not know the world")));
    }
    let mut complaints = Vec::new();
    for (phrase, why) in banned {
        for (at, _) in masked.match_indices(phrase) {
            complaints.push(format!("{path}:{}: {phrase}: {why}", line_of(masked, at)));
        }
    }
    complaints
}

/// A silenced lint or a skipped test says why, and unfinished work does not stay under a lint's blanket.
fn check_attributes(path: &str, text: &str, masked: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (at, _) in masked.match_indices(opening) {
            let end = masked[at..].find(")]").map_or(masked.len(), |n| at + n);
            let inside = &masked[at..end];
            let number = line_of(masked, at);
            if !inside.contains("reason") {
                complaints.push(format!("{path}:{number}: a silenced lint needs `reason = \"…\"`"));
            }
            // What several test programs share is used in parts by each, so an `expect` would not hold there.
            let shared_by_tests = path.contains("/tests/") && path.ends_with("/mod.rs");
            if !shared_by_tests
                && opening.contains("allow")
                && (inside.contains("dead_code") || inside.contains("unused"))
            {
                complaints.push(format!(
                    "{path}:{number}: use it or remove it; what only looks unused is an `expect`"
                ));
            }
        }
    }
    for (at, _) in masked.match_indices("#[ignore") {
        complaints.push(format!(
            "{path}:{}: a skipped test proves nothing; run it or remove it",
            line_of(masked, at)
        ));
    }
    for (number, line) in text.lines().enumerate() {
        if [concat!("TO", "DO"), concat!("FIX", "ME")].iter().any(|word| words(line).any(|(_, w)| w == *word))
        {
            complaints.push(format!("{path}:{}: finish it, or write an issue", number + 1));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, text: &str) -> String {
        let found = check_file(path, text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn good_source_passes() {
        let text = "//! Reads.\n\n/// Doubles.\npub fn double(x: u8) -> u8 {\n    x * 2\n}\n";
        assert_eq!(check_file("crates/coap/src/a.rs", text), [] as [String; 0]);
    }

    #[test]
    fn a_long_file_is_refused_and_a_generated_one_is_not() {
        let long = "// line\n".repeat(FILE_LINES_MAX + 1);
        assert!(one("crates/coap/src/a.rs", &long).contains("split it by meaning"));
        assert!(check_file("crates/coap/src/a.rs", &"// line\n".repeat(FILE_LINES_MAX)).is_empty());
        assert!(check_file("crates/coap/src/a.rs", &format!("// @generated\n{long}")).is_empty());
    }

    #[test]
    fn a_long_function_is_refused() {
        let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        assert!(check_file("crates/coap/src/a.rs", &body(FUNCTION_LINES_MAX)).is_empty());
        assert!(one("crates/coap/src/a.rs", &body(FUNCTION_LINES_MAX + 1)).contains("fn f has 71 lines"));
    }

    #[test]
    fn unsafe_stands_in_one_folder_and_gives_its_reason() {
        let bare = "fn f() {\n    unsafe { g() }\n}\n";
        let explained = "fn f() {\n    // SAFETY: g has no precondition.\n    unsafe { g() }\n}\n";
        assert!(one("crates/net/src/udp.rs", explained).contains("only in"));
        assert!(one("crates/net/src/sys/linux.rs", bare).contains("SAFETY"));
        assert!(check_file("crates/net/src/sys/linux.rs", explained).is_empty());
        assert!(check_file("crates/net/src/lib.rs", "#![deny(unsafe_code)] // unsafe\n").is_empty());
    }

    #[test]
    fn clocks_and_the_world_stay_out_of_the_sealed_rooms() {
        assert!(one("crates/server/src/a.rs", "fn f() { Instant::now(); }\n").contains("told the time"));
        assert!(check_file("crates/net/src/a.rs", "fn f() { Instant::now(); }\n").is_empty());
        assert!(one("crates/client/src/a.rs", "use std::fs;\n").contains("must not know the world"));
        assert!(one("crates/net/src/a.rs", "fn f() { mpsc::channel(); }\n").contains("bound"));
    }

    #[test]
    fn silenced_lints_and_skipped_tests_are_refused() {
        assert!(one("dev/sim/src/a.rs", "#[allow(clippy::too_many_lines)]\nfn f() {}\n").contains("reason"));
        assert!(
            check_file("dev/sim/src/a.rs", "#[expect(clippy::x, reason = \"y\")]\nfn f() {}\n").is_empty()
        );
        assert!(
            one("dev/sim/src/a.rs", "#[allow(dead_code, reason = \"y\")]\nfn f() {}\n")
                .contains("use it or remove it")
        );
        assert!(
            check_file("crates/net/tests/support/mod.rs", "#![allow(dead_code, reason = \"y\")]\n")
                .is_empty()
        );
        assert!(one("dev/sim/src/a.rs", "#[ignore]\nfn f() {}\n").contains("proves nothing"));
    }

    #[test]
    fn places_outside_the_repository_are_refused() {
        assert!(one("README.md", concat!("see /wo", "rk/plan\n")).contains("speaks only of itself"));
        assert!(
            one("ui/package-lock.json", concat!("https://registry.", "npmjs.org/x\n"))
                .contains("speaks only")
        );
        assert!(check_file("README.md", "the network/work/life balance\n").is_empty());
        assert!(check_file("Cargo.lock", concat!("index.crates", ".io\n")).is_empty());
    }

    #[test]
    fn a_room_card_has_all_its_phrases() {
        let card = "//! I am x.\n//!\n//! I may: a.\n//! I must not: b.\n//! My invariants: c.\n//! Start reading at: d.\n";
        assert!(card_gaps(card).is_empty());
        assert_eq!(
            card_gaps("//! I am x.\n//! I may: a.\n"),
            ["I must not", "My invariants", "Start reading at"]
        );
    }
}
