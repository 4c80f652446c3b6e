//! `lightship ctl`.

use crate::cli::CtlArguments;
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn run(_arguments: CtlArguments) -> Result<(), Failure> {
    Err(Failure::failed("ctl is not available in this build"))
}
