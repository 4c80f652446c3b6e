//! `lightship store`: the data folder of a server that does not run.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use lightship_service::archive::{self, ArchiveError, Exported};

use crate::cli::{StoreArguments, StoreCommand};
use crate::failure::{Failure, chain};
use crate::output;

/// Does what was asked.
pub(crate) fn run(arguments: &StoreArguments) -> Result<(), Failure> {
    match &arguments.command {
        StoreCommand::Check { data } => check(data),
        StoreCommand::Export { data, out: None } => {
            let written = archive::export(data, &mut BufWriter::new(std::io::stdout().lock()));
            missing(&written.map_err(|error| failed(&error))?)
        }
        StoreCommand::Export { data, out: Some(path) } => export_to(data, path),
        StoreCommand::Import { data, file } => import(data, file),
    }
}

fn failed(error: &ArchiveError) -> Failure {
    if let ArchiveError::Io(error) = error
        && error.kind() == ErrorKind::BrokenPipe
    {
        return Failure::OutputClosed;
    }
    Failure::failed(chain(error))
}

fn check(data: &Path) -> Result<(), Failure> {
    let report = archive::check(data).map_err(|error| failed(&error))?;
    let mut text = String::new();
    for (what, count) in &report.counts {
        text.push_str(&format!("{count:>12} {what}\n"));
    }
    if let Some((oldest, newest)) = report.events {
        text.push_str(&format!("{:>12} is the first event kept, {newest} the last\n", oldest));
    }
    for problem in &report.problems {
        text.push_str(&format!("wrong: {problem}\n"));
    }
    let more = report.problems_count.saturating_sub(u64::try_from(report.problems.len()).unwrap_or(u64::MAX));
    if more > 0 {
        text.push_str(&format!("wrong: {more} more\n"));
    }
    if report.problems_count == 0 {
        text.push_str("everything agrees");
    }
    output::line(text.trim_end_matches('\n'))?;
    if report.problems_count > 0 {
        return Err(Failure::failed(format_args!("{} things are wrong", report.problems_count)));
    }
    Ok(())
}

fn export_to(data: &Path, path: &Path) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // What devices sent is in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let named = |error| Failure::failed(format_args!("{}: {error}", path.display()));
    let mut file = BufWriter::new(options.open(path).map_err(named)?);
    let exported = archive::export(data, &mut file).map_err(|error| failed(&error)).and_then(|exported| {
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(named)?;
        Ok(exported)
    });
    if exported.is_err() {
        // Half of it is of no use.
        let _ = std::fs::remove_file(path);
    }
    let exported = exported?;
    output::line(&format!("{} lines in {}", exported.lines, path.display()))?;
    missing(&exported)
}

/// What is written out is of use without them, but it is not all: that is a failure, so that whoever saves it every night hears.
fn missing(exported: &Exported) -> Result<(), Failure> {
    if exported.missing == 0 {
        return Ok(());
    }
    let mut text = format!("{} events are missing, all else is written out", exported.missing);
    exported.stretches.iter().for_each(|stretch| text.push_str(&format!("\n  {stretch}")));
    Err(Failure::failed(text))
}

fn import(data: &Path, file: &Path) -> Result<(), Failure> {
    let lines = if file == Path::new("-") {
        archive::import(data, &mut std::io::stdin().lock())
    } else {
        let opened = File::open(file);
        let opened = opened.map_err(|error| Failure::failed(format_args!("{}: {error}", file.display())))?;
        archive::import(data, &mut BufReader::new(opened))
    };
    let lines = lines.map_err(|error| failed(&error))?;
    output::line(&format!("{lines} lines are a store in {}", data.display()))
}
