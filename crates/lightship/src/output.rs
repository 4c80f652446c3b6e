//! Standard output for answers, standard error for logs.

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use lightship_lwm2m::readable::deceives;
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// Writes text to standard output at once; a reader that went away ends the command quietly.
///
/// The text may hold what devices say: what would steer a terminal is escaped.
///
/// # Errors
/// [`Failure::OutputClosed`] when nobody reads any more, [`Failure::Failed`] when writing fails otherwise.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    exactly(&harmless(text))
}

/// Says on standard error what whoever reads the answer must know.
pub(crate) fn warning(text: Option<&str>) {
    if let Some(text) = text {
        eprintln!("lightship: {}", harmless(text));
    }
}

/// Writes text as it is: for machines.
///
/// # Errors
/// As [`line()`].
pub(crate) fn exactly(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::failed(format_args!("standard output: {error}"))),
    }
}

/// The text with everything escaped, line ends apart, that would steer a terminal or turn the order of letters.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c != '\n' && deceives(c);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Starts logging to standard error, by `--log`, else by what suits the command.
pub(crate) fn start_logging(arguments: &Cli) {
    let fallback = match arguments.command {
        // What the library of the store finds worth telling is not about the life of the process.
        Command::Serve(_) => "info,fjall=warn,lsm_tree=warn",
        Command::Demo(_)
        | Command::Device(_)
        | Command::Ctl(_)
        | Command::Load(_)
        | Command::Decode(_)
        | Command::Store(_)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a\u{1b}[2Jb\r\nc\u{9b}\u{202e}ä";
        assert_eq!(harmless(text), "a\\u{1b}[2Jb\\r\nc\\u{9b}\\u{202e}ä");
        assert_eq!(harmless("/3/0 (Device)"), "/3/0 (Device)");
    }
}
