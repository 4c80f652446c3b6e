//! `lightship serve`.

use crate::cli::ServeArguments;
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn run(_arguments: &ServeArguments) -> Result<(), Failure> {
    Err(Failure::failed("serve is not available in this build"))
}
