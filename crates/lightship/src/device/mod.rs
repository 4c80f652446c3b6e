//! `lightship device`.

use crate::cli::DeviceArguments;
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn run(_arguments: DeviceArguments) -> Result<(), Failure> {
    Err(Failure::failed("device is not available in this build"))
}
