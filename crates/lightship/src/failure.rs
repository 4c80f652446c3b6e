//! How a command ends when it does not succeed: what is said on standard error, and the exit code.

use crate::output::harmless;
use std::fmt::Display;
use std::process::ExitCode;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something was refused or did not work: exit code 1.
    Failed(String),
    /// The command line or configuration asks for something impossible: exit code 2.
    Usage(String),
    /// Whoever reads our output went away: nothing to say, and nothing went wrong.
    OutputClosed,
}

impl Failure {
    /// Something was refused or did not work.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// The command line or configuration asks for something impossible.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Says what happened on standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Failed(message) => {
                eprintln!("lightship: {}", harmless(message));
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("lightship: {}\nTry the command with --help.", harmless(message));
                ExitCode::from(2)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// An error and everything that led to it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
