//! Standard output for answers, standard error for logs.

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use std::io::{ErrorKind, IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// Writes one line to standard output at once; a reader that went away ends the command quietly.
///
/// # Errors
/// [`Failure::OutputClosed`] when nobody reads any more, [`Failure::Failed`] when writing fails otherwise.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::failed(format_args!("standard output: {error}"))),
    }
}

/// Starts logging to standard error, by `--log`, else by what suits the command.
pub(crate) fn start_logging(arguments: &Cli) {
    let fallback = match arguments.command {
        Command::Serve(_) => "info",
        Command::Demo(_)
        | Command::Device(_)
        | Command::Ctl(_)
        | Command::Decode(_)
        | Command::Completions(_) => "warn",
    };
    let filter = arguments.log.as_deref().unwrap_or(fallback);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("lightship: --log {filter:?} is not understood ({error}); logging warnings only");
        EnvFilter::new("warn")
    });
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
