//! `cargo xtask proofs`: which test proves which requirement.
//!
//! A test claims rows of the requirement list with a line `// Proves: REG-01, REG-02` above its function (or above
//! its `test("…")` call in the UI's tests). A claim means: the test fails when the requirement is broken.

use crate::{Outcome, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page this command writes.
const PAGE: &str = "docs/proofs.md";
/// Where the requirement list is looked for when no option names it, beside the repository.
const REQUIREMENTS_NEARBY: &str = "../shared/spec/requirements.md";
/// The rows that nothing proves, with reasons; kept by hand.
const UNPROVEN: &str = "dev/xtask/unproven.txt";
/// How a mark begins, after the comment sign.
const MARK: &str = "Proves:";

/// One test and the rows it claims.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Claim {
    row: String,
    file: String,
    test: String,
}

/// Writes or checks the page; with the requirement list at hand also checks the claims against it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let root = files::root();
    let claims = collect(&root)?;
    let unproven = files::text(&root, UNPROVEN)?.unwrap_or_default();
    let unproven = reasons(&unproven, &claims)?;
    let page = render(&claims) + &render_unproven(&unproven);
    let path = root.join(PAGE);
    if options.check {
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        if present != page {
            return Err(format!("{PAGE} is stale: run `cargo xtask proofs` and commit it"));
        }
    } else {
        let folder = path.parent().expect("the page lies in a folder");
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        std::fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    let Some(list) = options.requirements.or_else(|| nearby(&root)) else { return Ok(()) };
    let text = std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let rows = requirement_rows(&text);
    if rows.is_empty() {
        return Err(format!("{}: no requirement rows found", list.display()));
    }
    if !options.check {
        eprint!("{}", unclaimed(&rows, &claims));
    }
    if let Some((row, _)) = unproven.iter().find(|(row, _)| !rows.contains(**row)) {
        return Err(format!("{UNPROVEN}: {row} is no requirement"));
    }
    unknown(&rows, &claims)
}

struct Options {
    check: bool,
    requirements: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { check: false, requirements: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--check" => options.check = true,
                "--requirements" => {
                    let file = rest.next().ok_or("--requirements needs a file")?;
                    options.requirements = Some(PathBuf::from(file));
                }
                other => return Err(format!("proofs does not know {other}")),
            }
        }
        Ok(options)
    }
}

fn nearby(root: &Path) -> Option<PathBuf> {
    Some(root.join(REQUIREMENTS_NEARBY)).filter(|path| path.is_file())
}

fn collect(root: &Path) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    for path in files::listed(root)? {
        let test_code = path.ends_with(".rs")
            || (path.starts_with("ui/")
                && (path.ends_with(".ts") || path.ends_with(".mjs") || path.ends_with(".js")));
        if !test_code || path.starts_with("ui/dist/") || path == "dev/xtask/src/proofs.rs" {
            continue;
        }
        if let Some(text) = files::text(root, &path)? {
            claims.extend(claims_in(&path, &text)?);
        }
    }
    claims.sort();
    claims.dedup();
    Ok(claims)
}

/// The claims of one file. A mark that no test follows, or that names something unlike a row, is an error.
fn claims_in(path: &str, text: &str) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{path}:{}", number + 1);
        let trimmed = line.trim();
        let comment = trimmed.strip_prefix("//").map(|rest| rest.trim_start_matches('/').trim());
        if let Some(list) = comment.and_then(|comment| comment.strip_prefix(MARK)) {
            for row in list.split([',', ' ']).map(str::trim).filter(|row| !row.is_empty()) {
                let row = row.trim_end_matches('.');
                if !is_row(row) {
                    return Err(format!("{}: `{row}` is not the name of a requirement", at()));
                }
                open.push(row.to_owned());
            }
            continue;
        }
        if open.is_empty()
            || trimmed.is_empty()
            || comment.is_some()
            || trimmed.starts_with("#[")
            || trimmed.starts_with(')')
        {
            continue;
        }
        if let Some(test) = test_name(trimmed) {
            claims.extend(open.drain(..).map(|row| Claim { row, file: path.to_owned(), test: test.clone() }));
        } else if trimmed.ends_with([']', ',']) || trimmed.starts_with('"') {
            // the rest of an attribute that covers several lines
        } else {
            return Err(format!("{}: a `{MARK}` mark stands above something that is no test", at()));
        }
    }
    if open.is_empty() { Ok(claims) } else { Err(format!("{path}: a `{MARK}` mark at the end of the file")) }
}

fn is_row(text: &str) -> bool {
    text.split_once('-').is_some_and(|(group, number)| {
        (2..=4).contains(&group.len())
            && group.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            && (2..=3).contains(&number.len())
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

/// The name of the test that this line begins: a Rust function, or `test("…"` and `it("…"`.
fn test_name(line: &str) -> Option<String> {
    let mut code = line;
    for word in ["pub(crate) ", "pub ", "async ", "const "] {
        code = code.strip_prefix(word).unwrap_or(code);
    }
    if let Some(rest) = code.strip_prefix("fn ") {
        return Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    let rest = code.strip_prefix("await ").unwrap_or(code);
    let rest = ["test(", "it(", "step("].iter().find_map(|call| rest.strip_prefix(call))?;
    let quote = rest.chars().next().filter(|c| "\"'`".contains(*c))?;
    rest[1..].split_once(quote).map(|(name, _)| name.to_owned())
}

fn render(claims: &[Claim]) -> String {
    let mut page = String::from(
        "<!-- Generated by `cargo xtask proofs`; do not edit. -->\n\n# Proofs\n\n\
         Which tests prove which requirement: each fails when the requirement is broken.\n\n\
         | Requirement | Tests |\n|---|---|\n",
    );
    let mut by_row: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        by_row.entry(&claim.row).or_default().push(claim);
    }
    for (row, claims) in by_row {
        let tests: Vec<String> = claims
            .iter()
            .map(|claim| format!("`{}` {}", claim.file, claim.test.replace('|', "\\|")))
            .collect();
        writeln!(page, "| {row} | {} |", tests.join("<br>")).expect("writing to a string");
    }
    page
}

/// The rows that are not proven, each with its reason. A row that a test claims as well is an error.
fn reasons<'a>(text: &'a str, claims: &[Claim]) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let mut unproven = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts = line.split_once(' ').filter(|(row, reason)| is_row(row) && !reason.trim().is_empty());
        let Some((row, reason)) = parts else {
            return Err(format!("{UNPROVEN}: `{line}` is not a row and a reason"));
        };
        if let Some(claim) = claims.iter().find(|claim| claim.row == row) {
            return Err(format!("{UNPROVEN}: {row} is claimed by {} in {}", claim.test, claim.file));
        }
        if unproven.insert(row, reason.trim()).is_some() {
            return Err(format!("{UNPROVEN}: {row} is there twice"));
        }
    }
    Ok(unproven)
}

fn render_unproven(unproven: &BTreeMap<&str, &str>) -> String {
    let mut page = String::from("\n## Not proven yet, and why\n\n| Requirement | Reason |\n|---|---|\n");
    for (row, reason) in unproven {
        writeln!(page, "| {row} | {} |", reason.replace('|', "\\|")).expect("writing to a string");
    }
    page
}

/// The rows of the requirement list: table lines whose first cell is a row's name.
fn requirement_rows(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .map(str::trim)
        .filter(|cell| is_row(cell))
        .map(str::to_owned)
        .collect()
}

/// What nobody claims yet, a line per group.
fn unclaimed(rows: &BTreeSet<String>, claims: &[Claim]) -> String {
    let claimed: BTreeSet<&str> = claims.iter().map(|claim| claim.row.as_str()).collect();
    let mut groups: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for row in rows {
        let (group, number) = row.split_once('-').expect("a row's name has a dash");
        let entry = groups.entry(group).or_default();
        entry.0 += 1;
        if !claimed.contains(row.as_str()) {
            entry.1.push(number);
        }
    }
    let mut text = format!("{} of {} requirements have a proof; unclaimed:\n", claimed.len(), rows.len());
    for (group, (total, open)) in groups.iter().filter(|(_, (_, open))| !open.is_empty()) {
        writeln!(text, "  {group} {} of {total}: {}", open.len(), open.join(" "))
            .expect("writing to a string");
    }
    text
}

/// Fails when a claim names a row that the list does not have.
fn unknown(rows: &BTreeSet<String>, claims: &[Claim]) -> Outcome {
    let wrong: Vec<String> = claims
        .iter()
        .filter(|claim| !rows.contains(&claim.row))
        .map(|claim| format!("{}: {} claims {}, which is no requirement", claim.file, claim.test, claim.row))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "// Proves: REG-01, REG-02\n#[test]\nfn registers() {}\n\n#[test]\nfn other() {}\n";

    fn claims(text: &str) -> Vec<(String, String)> {
        claims_in("a.rs", text).unwrap().into_iter().map(|claim| (claim.row, claim.test)).collect()
    }

    fn pair(row: &str, test: &str) -> (String, String) {
        (row.to_owned(), test.to_owned())
    }

    #[test]
    fn a_mark_belongs_to_the_next_test() {
        assert_eq!(claims(RUST), [pair("REG-01", "registers"), pair("REG-02", "registers")]);
        assert_eq!(
            claims("#[test]\n// Proves: COA-03\nfn after_the_attribute() {}"),
            [pair("COA-03", "after_the_attribute")]
        );
        assert_eq!(
            claims("// Proves: OPS-01\ntest('reads a value', async () => {"),
            [pair("OPS-01", "reads a value")]
        );
    }

    #[test]
    fn a_mark_without_a_test_or_with_a_strange_name_is_refused() {
        assert!(claims_in("a.rs", "// Proves: REG-01\n").is_err());
        assert!(claims_in("a.rs", "// Proves: REG-01\nstruct S;\n").is_err());
        assert!(claims_in("a.rs", "// Proves: everything\nfn f() {}\n").is_err());
    }

    #[test]
    fn a_claim_on_a_row_that_does_not_exist_fails() {
        let rows = requirement_rows(
            "| ID | Requirement |\n|---|---|\n| REG-01 | Register. |\n| GEN | group | 3 |\n",
        );
        assert_eq!(rows.len(), 1);
        let claims = claims_in("a.rs", RUST).unwrap();
        let complaint = unknown(&rows, &claims).unwrap_err();
        assert_eq!(complaint, "a.rs: registers claims REG-02, which is no requirement");
    }

    #[test]
    fn the_unclaimed_rows_are_listed_by_group() {
        let rows = requirement_rows("| REG-01 | a |\n| REG-02 | b |\n| REG-03 | c |\n| COA-01 | d |\n");
        let text = unclaimed(&rows, &claims_in("a.rs", RUST).unwrap());
        assert_eq!(
            text,
            "2 of 4 requirements have a proof; unclaimed:\n  COA 1 of 1: 01\n  REG 1 of 3: 03\n"
        );
    }

    #[test]
    fn the_page_groups_tests_under_their_row() {
        let mut all = claims_in("a.rs", RUST).unwrap();
        all.extend(claims_in("b.rs", "// Proves: REG-01\nfn again() {}\n").unwrap());
        all.sort();
        assert!(render(&all).contains("| REG-01 | `a.rs` registers<br>`b.rs` again |\n"));
    }

    #[test]
    fn a_row_is_either_claimed_or_excused() {
        let claimed = claims_in("a.rs", RUST).unwrap();
        let excused = reasons("# why\nREG-03 Not yet.\n", &claimed).unwrap();
        assert!(render_unproven(&excused).ends_with("| REG-03 | Not yet. |\n"));
        for wrong in ["REG-01 Not yet.", "REG-03 a\nREG-03 b", "REG-03", "REG-03 ", "everything else"] {
            assert!(reasons(wrong, &claimed).is_err(), "{wrong}");
        }
    }
}
