//! `lightship demo`.

use crate::cli::DemoArguments;
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn run(_arguments: &DemoArguments) -> Result<(), Failure> {
    Err(Failure::failed("demo is not available in this build"))
}
