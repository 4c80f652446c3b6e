//! Fleet: what is known of all devices together. Nothing here grows with a device, and nothing here makes a device wait.
//!
//! ```text
//! journal, REST ──► values: what was heard last ──► little by little into the store ──► columns, filters, firmware
//!              └──► rates: counters ──► rings of an hour, a day, a week
//! directory ──► list, overview: looked through in steps, beside the runtime, two at a time
//! ```

pub(crate) mod list;
pub(crate) mod values;

use std::sync::Arc;

use lightship_api::ProblemType;
use tokio::sync::Semaphore;

use self::values::Values;
use crate::core::Core;
use crate::rest::Refusal;

/// What is shared about the fleet.
pub(crate) struct Fleet {
    pub(crate) values: Values,
    /// Who may look through the directory or the values.
    looks: Arc<Semaphore>,
}

impl Fleet {
    pub(crate) fn new() -> Fleet {
        Fleet { values: Values::default(), looks: Arc::new(Semaphore::new(LOOKS_MAX)) }
    }
}

/// Does what takes long, beside the runtime; few at a time, the others wait for their turn.
pub(crate) async fn beside<T: Send + 'static>(
    core: &Arc<Core>,
    look: impl FnOnce(&Arc<Core>) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let overloaded = || Refusal::new(ProblemType::Overloaded, "");
    let turn = tokio::time::timeout(TURN_MAX, core.fleet.looks.clone().acquire_owned()).await;
    let turn = turn.ok().and_then(Result::ok).ok_or_else(overloaded)?;
    let core = core.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        look(&core)
    });
    done.await.map_err(|_| overloaded())?
}

/// How many look through everything at the same time.
const LOOKS_MAX: usize = 2;
/// How long the others wait.
const TURN_MAX: std::time::Duration = std::time::Duration::from_secs(20);
