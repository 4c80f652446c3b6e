//! Take-over: a new process asks the one that has the store's folder to stop, and goes on where it stopped.

use std::time::Duration;

use lightship_store::StoreError;

use crate::config::Config;
use crate::start::{Running, Service, StartError};

impl Service {
    /// The same as [`Service::start`]; a process of ours that has the folder of the store is told to stop in order (SIGTERM), and what it
    /// leaves is gone on with: registrations, observations, commands, secured sessions. Devices notice a short silence at most.
    ///
    /// # Errors
    /// As [`Service::start`]; the folder is in use still when the other process is of another user, or does not stop within a minute.
    pub fn take_over(config: &Config) -> Result<Running, StartError> {
        let mut told = None;
        for _ in 0..STEPS_MAX {
            let error = match Service::start(config.clone()) {
                Err(error) => error,
                started => return started,
            };
            match (&error, told) {
                (StartError::Store(StoreError::InUse { by: Some(pid), .. }), _)
                    if told != Some(*pid) && *pid != std::process::id() =>
                {
                    tracing::info!(pid, "telling the server that has the folder to stop");
                    if !ask_to_stop(*pid) {
                        return Err(error);
                    }
                    told = Some(*pid);
                }
                // It is at it. Its sockets may close a little after its folder.
                (StartError::Store(StoreError::InUse { .. }) | StartError::Listen { .. }, Some(_)) => {}
                _ => return Err(error),
            }
            std::thread::park_timeout(STEP);
        }
        Service::start(config.clone())
    }
}

/// Whether the process could be told.
#[cfg(unix)]
fn ask_to_stop(pid: u32) -> bool {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| {
        kill_process(pid, Signal::TERM)
            .inspect_err(|error| tracing::error!(%error, "it cannot be told"))
            .is_ok()
    })
}

#[cfg(not(unix))]
fn ask_to_stop(_pid: u32) -> bool {
    false
}

const STEP: Duration = Duration::from_millis(20);
/// A minute.
const STEPS_MAX: u32 = 3000;
