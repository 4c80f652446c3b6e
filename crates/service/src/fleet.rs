//! Fleet: what is known of all devices together. Nothing here grows with a device, and nothing here makes a device wait.
//!
//! ```text
//! journal, REST ──► values: what was heard last ──► little by little into the store ──► columns, filters, firmware
//!              ├──► rates: counters ──► rings of an hour, a day, a week ──► once a minute into the store
//!              └──► lost: who did not come back, written with the event that says so
//! directory ──► list, overview: looked through in steps, beside the runtime, two at a time
//! ```

pub(crate) mod bulk;
pub(crate) mod gone;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod lost;
pub(crate) mod noise;
pub(crate) mod overview;
pub(crate) mod rates;
pub(crate) mod values;

use std::sync::Arc;

use lightship_api::{EventType, ProblemType, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_store::{Fact, Store, StoreError};
use tokio::sync::Semaphore;

use self::bulk::Bulks;
use self::list::Ahead;
use self::lost::Lost;
use self::noise::Noise;
use self::overview::Overview;
use self::rates::{Rates, Series};
use self::values::Values;
use crate::core::Core;
use crate::rest::Refusal;
use crate::rest::order::Done;

/// What is shared about the fleet.
pub(crate) struct Fleet {
    pub(crate) values: Values,
    pub(crate) rates: Rates,
    pub(crate) noise: Noise,
    pub(crate) lost: Lost,
    pub(crate) bulks: Bulks,
    pub(crate) ahead: Ahead,
    overview: Overview,
    /// Who may look through the directory or the values.
    looks: Arc<Semaphore>,
}

impl Fleet {
    /// The fleet as a store knows it.
    pub(crate) async fn open(store: &impl Store, now: Timestamp) -> Result<Fleet, StoreError> {
        let (rates, noise) = keep::open(store, now).await?;
        Ok(Fleet {
            values: Values::default(),
            rates,
            noise,
            lost: Lost::open(store, now).await?,
            bulks: Bulks::open(store).await?,
            ahead: Ahead::default(),
            overview: Overview::default(),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
        })
    }

    /// Counts what the journal tells of a device by an event; gives what is to be written with it.
    pub(crate) fn happened(
        &self,
        kind: EventType,
        endpoint: &Endpoint,
        now: Timestamp,
        event: &str,
    ) -> Option<Fact> {
        self.rates.happened(kind);
        let by_itself = [EventType::Registered, EventType::Updated, EventType::Notified, EventType::Sent];
        if by_itself.contains(&kind) {
            self.noise.heard(endpoint);
        }
        if kind == EventType::Registered {
            return self.lost.take(endpoint);
        }
        if kind == EventType::Expired { self.lost.expired(endpoint, now, event) } else { None }
    }

    /// Counts an operation with a device by what came of it.
    pub(crate) fn operated(&self, done: &Result<Done, Refusal>) {
        self.rates.count(Series::Operations);
        let failed = match done {
            Ok(Done::Answered(answer) | Done::Created(answer)) if !answer.code.starts_with('2') => {
                format!("the device answered {}", answer.code)
            }
            Ok(_) => return,
            Err(refusal) => refusal.0.title.trim_end_matches('.').to_owned(),
        };
        self.rates.count(Series::OperationsFailed);
        self.rates.failed(&failed);
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
