//! `cargo xtask bench`: runs the measurements behind `BENCHMARKS.md` and writes one table of goals, figures and commands.
//!
//! A part is a command that prints, among whatever else, lines such as `{"figure": "update-vs-echo", "value": 0.83}`
//! (`lightship_bench::report::figure`). Figures without a goal are shown, too.

#![allow(clippy::print_stdout, reason = "the table is for whoever called")]

mod parts;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use self::parts::{Goal, PARTS, Part, Want};
use crate::Outcome;
use crate::files;

const USAGE: &str = "\
usage: cargo xtask bench [--list] [--strict] [PART...]

Runs the named parts, or all of them, one after another, and writes the table to standard output and target/bench.md.
It fails if a part does not run or gives no figure; with --strict also if a goal is not met.";

/// A line of the table.
struct Row {
    what: String,
    figure: String,
    goal: String,
    met: &'static str,
    command: String,
}

/// Runs the parts and writes the table.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (options, names): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    if options.iter().any(|option| *option == "--list") {
        for part in PARTS {
            println!("{:<12} {}", part.name, part.about);
        }
        return Ok(());
    }
    if options.iter().any(|option| *option != "--strict") {
        return Err(USAGE.to_owned());
    }
    let unknown = names.iter().find(|name| PARTS.iter().all(|part| part.name != name.as_str()));
    if let Some(name) = unknown {
        return Err(format!("no part named {name}; see cargo xtask bench --list"));
    }
    let chosen = PARTS.iter().filter(|part| names.is_empty() || names.iter().any(|name| *name == part.name));
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for part in chosen {
        eprintln!("== {}: {}", part.name, part.about);
        let figures = measure(part).unwrap_or_else(|fault| {
            faults.push(format!("{}: {fault}", part.name));
            Vec::new()
        });
        for goal in part.goals {
            let figure = figures.iter().rfind(|(name, _)| name == goal.figure).map(|(_, value)| *value);
            if figure.is_none() {
                faults.push(format!("{}: no figure named {}", part.name, goal.figure));
            }
            rows.push(row(part, goal, figure));
        }
        let others = figures.iter().filter(|(name, _)| part.goals.iter().all(|goal| goal.figure != name));
        rows.extend(others.map(|(name, value)| plain_row(part, name, *value)));
    }
    let table = table(&rows);
    print!("{table}");
    let at = files::root().join("target/bench.md");
    std::fs::write(&at, &table).map_err(|error| format!("{}: {error}", at.display()))?;
    if options.iter().any(|option| *option == "--strict") {
        faults.extend(rows.iter().filter(|row| row.met == "no").map(|row| format!("not met: {}", row.what)));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Runs one part, shows what it prints, and gives its figures.
fn measure(part: &Part) -> Result<Vec<(String, f64)>, String> {
    let (program, arguments) = part.command.split_first().ok_or("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(files::root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut figures = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(|error| error.to_string())?;
        eprintln!("{line}");
        figures.extend(figure(&line));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(figures) } else { Err(status.to_string()) }
}

/// The figure that a line tells.
fn figure(line: &str) -> Option<(String, f64)> {
    let told: Value = serde_json::from_str(line).ok()?;
    Some((told.get("figure")?.as_str()?.to_owned(), told.get("value")?.as_f64()?))
}

fn row(part: &Part, goal: &Goal, figure: Option<f64>) -> Row {
    let met = match (figure, goal.want) {
        (Some(figure), Want::AtLeast(least)) if figure >= least => "yes",
        (Some(figure), Want::AtMost(most)) if figure <= most => "yes",
        (Some(_), _) => "no",
        (None, _) => "not measured",
    };
    let sign = match goal.want {
        Want::AtLeast(_) => "at least",
        Want::AtMost(_) => "at most",
    };
    let (Want::AtLeast(bound) | Want::AtMost(bound)) = goal.want;
    Row {
        what: goal.what.to_owned(),
        figure: figure.map_or("–".to_owned(), |figure| format!("{}{}", digits(figure), goal.unit)),
        goal: format!("{sign} {}{}", digits(bound), goal.unit),
        met,
        command: part.command.join(" "),
    }
}

/// A figure that has no goal.
fn plain_row(part: &Part, name: &str, value: f64) -> Row {
    let (what, command) = (format!("{}: {name}", part.name), part.command.join(" "));
    Row { what, figure: digits(value), goal: "–".to_owned(), met: "–", command }
}

/// Three digits that matter of what is small, whole numbers of what is large.
fn digits(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from("| what | figure | goal | met | command |\n|---|---|---|---|---|\n");
    for Row { what, figure, goal, met, command } in rows {
        table.push_str(&format!("| {what} | {figure} | {goal} | {met} | `{command}` |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_from_its_line_and_nothing_from_others() {
        let told = figure(r#"{"figure": "update-vs-echo", "value": 0.83, "note": "of 271 k/s"}"#);
        assert_eq!(told, Some(("update-vs-echo".to_owned(), 0.83)));
        for line in
            ["| what | per second |", "{\"figure\": 1}", "{\"figure\": \"a\", \"value\": \"b\"}", "17"]
        {
            assert_eq!(figure(line), None, "{line}");
        }
    }

    #[test]
    fn a_goal_is_met_on_its_side_of_the_bound() {
        let part = Part { name: "part", about: "", command: &["true"], goals: &[] };
        let goal = |want| Goal { figure: "f", what: "What", want, unit: " ms" };
        let met = |want, figure| row(&part, &goal(want), figure).met;
        assert_eq!(met(Want::AtLeast(0.8), Some(0.8)), "yes");
        assert_eq!(met(Want::AtLeast(0.8), Some(0.79)), "no");
        assert_eq!(met(Want::AtMost(20.0), Some(20.0)), "yes");
        assert_eq!(met(Want::AtMost(20.0), Some(20.1)), "no");
        assert_eq!(met(Want::AtMost(20.0), None), "not measured");
        let shown = row(&part, &goal(Want::AtMost(20.0)), Some(3.456));
        assert_eq!((shown.figure.as_str(), shown.goal.as_str()), ("3.46 ms", "at most 20 ms"));
    }

    #[test]
    fn parts_and_figures_have_names_of_their_own() {
        let unique = |mut names: Vec<&str>| {
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        };
        unique(PARTS.iter().map(|part| part.name).collect());
        unique(PARTS.iter().flat_map(|part| part.goals).map(|goal| goal.figure).collect());
    }
}
