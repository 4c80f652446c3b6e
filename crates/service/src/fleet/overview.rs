//! Overview: how many devices are how. Counted anew when somebody asks, but the less often the longer it takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lightship_api as api;
use lightship_api::{FleetModel, FleetShare, Timestamp, UnknownDevice};
use lightship_lwm2m::Path;
use lightship_platform::Instant;
use lightship_store::Store;

use super::{beside, values};
use crate::core::Core;
use crate::filter::Moment;
use crate::queue::unread;
use crate::rest::Refusal;

/// What was counted last.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    devices: Mutex<Option<Counted<api::Fleet>>>,
    kinds: Mutex<Option<Counted<Kinds>>>,
}

#[derive(Clone, Debug)]
struct Counted<T> {
    at: Instant,
    took: Duration,
    what: T,
}

/// What devices say they are.
#[derive(Clone, Debug, Default)]
struct Kinds {
    firmware: Vec<FleetShare>,
    models: Vec<FleetModel>,
}

impl<T: Clone> Counted<T> {
    /// What was counted, if that was not long ago.
    fn recent(kept: &Mutex<Option<Counted<T>>>, now: Instant) -> Option<T> {
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        let age = now.saturating_duration_since(kept.at);
        (age < (kept.took * PAUSES).clamp(PAUSE_MIN, PAUSE_MAX)).then(|| kept.what.clone())
    }

    fn keep(kept: &Mutex<Option<Counted<T>>>, began: Instant, now: Instant, what: &T) {
        let took = now.saturating_duration_since(began);
        let counted = Counted { at: now, took, what: what.clone() };
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }
}

/// The fleet now.
pub(crate) async fn fleet(core: &Arc<Core>) -> Result<api::Fleet, Refusal> {
    let mut fleet = match Counted::recent(&core.fleet.overview.devices, core.clock.now()) {
        Some(fleet) => fleet,
        None => {
            beside(core, |core| {
                let began = core.clock.now();
                let fleet = devices(core);
                Counted::keep(&core.fleet.overview.devices, began, core.clock.now(), &fleet);
                Ok(fleet)
            })
            .await?
        }
    };
    let kinds = match Counted::recent(&core.fleet.overview.kinds, core.clock.now()) {
        Some(kinds) => kinds,
        None => {
            values::write(core).await;
            beside(core, |core| {
                let began = core.clock.now();
                let counted = kinds(core)?;
                Counted::keep(&core.fleet.overview.kinds, began, core.clock.now(), &counted);
                Ok(counted)
            })
            .await?
        }
    };
    (fleet.firmware, fleet.models) = (kinds.firmware, kinds.models);
    (fleet.lost, fleet.lost_devices) = core.fleet.lost.shape(core.now());
    fleet.noisiest = core.fleet.noise.loudest();
    fleet.unknown = unknown(core);
    Ok(fleet)
}

fn devices(core: &Core) -> api::Fleet {
    let now = core.now();
    let mut fleet = api::Fleet {
        as_of: now,
        registered: 0,
        awake: 0,
        asleep: 0,
        late: 0,
        lost: 0,
        lost_devices: Vec::new(),
        lwm2m: BTreeMap::new(),
        security: BTreeMap::new(),
        bindings: BTreeMap::new(),
        firmware: Vec::new(),
        models: Vec::new(),
        noisiest: Vec::new(),
        unknown: Vec::new(),
    };
    // Few of these are different: their texts are made at the end.
    let mut kinds = HashMap::new();
    core.directory.walk("", None, &mut |seen| {
        let facts = seen.facts();
        fleet.registered += 1;
        *(if facts.asleep { &mut fleet.asleep } else { &mut fleet.awake }) += 1;
        fleet.late += u64::from(facts.is_late(Moment(now)));
        let kind = (facts.terms.version, facts.terms.binding, facts.terms.queue_mode, facts.security as u8);
        let kind = kinds.entry(kind).or_insert((facts.security, 0_u64));
        kind.1 += 1;
        true
    });
    for ((version, binding, queue_mode, _), (security, count)) in kinds {
        *fleet.lwm2m.entry(version.to_string()).or_default() += count;
        let mut text = binding.to_text(version, queue_mode).as_str().to_owned();
        if queue_mode && !text.contains('Q') {
            text.push('Q');
        }
        *fleet.bindings.entry(text).or_default() += count;
        *fleet.security.entry(security.name().to_owned()).or_default() += count;
    }
    fleet
}

/// Looks through what is known of Object 3 of those that are registered.
fn kinds(core: &Core) -> Result<Kinds, Refusal> {
    let path = |resource| Path::from_numbers(&[3, 0, resource]);
    let (manufacturer, model, firmware) = (path(0), path(1), path(3));
    let mut versions: HashMap<String, u64> = HashMap::new();
    let mut models: HashMap<(String, String), u64> = HashMap::new();
    let (mut device, mut is_here) = (String::new(), false);
    let mut kind = (String::new(), String::new());
    let note = |models: &mut HashMap<_, u64>, kind: &mut (String, String)| {
        let kind = std::mem::take(kind);
        if kind != Default::default() && (models.len() < KINDS_MAX || models.contains_key(&kind)) {
            *models.entry(kind).or_default() += 1;
        }
    };
    let walked = core.store.each_value(None, &mut |name, path, body| {
        if name != device {
            note(&mut models, &mut kind);
            name.clone_into(&mut device);
            is_here = core.directory.has(name);
        }
        if is_here && [manufacturer, model, firmware].contains(&Some(path)) {
            let text = values::text_of(body).unwrap_or_default();
            if Some(path) == firmware {
                if versions.len() < KINDS_MAX || versions.contains_key(&text) {
                    *versions.entry(text).or_default() += 1;
                }
            } else if Some(path) == model {
                kind.1 = text;
            } else {
                kind.0 = text;
            }
        }
        true
    });
    walked.map_err(|error| unread(&error))?;
    note(&mut models, &mut kind);
    let mut firmware: Vec<_> =
        versions.into_iter().map(|(value, count)| FleetShare { value, count }).collect();
    firmware.sort_unstable_by(|a, b| (b.count, &a.value).cmp(&(a.count, &b.value)));
    firmware.truncate(SHOWN);
    let shape = |((manufacturer, model), count)| FleetModel { manufacturer, model, count };
    let mut models: Vec<FleetModel> = models.into_iter().map(shape).collect();
    models.sort_unstable_by(|a, b| {
        (b.count, &a.manufacturer, &a.model).cmp(&(a.count, &b.manufacturer, &b.model))
    });
    models.truncate(SHOWN);
    Ok(Kinds { firmware, models })
}

/// Who was refused: the same one from the same address once.
fn unknown(core: &Core) -> Vec<UnknownDevice> {
    let mut all: Vec<UnknownDevice> = Vec::new();
    for failure in core.gate.history.failures() {
        let endpoint = failure.endpoint.or(failure.identity);
        let address = failure.address.rsplit_once(':').map_or(failure.address.as_str(), |(host, _)| host);
        let reason = failure.reason.unwrap_or_default();
        let (count, last) = (failure.count.unwrap_or(1), failure.last_at.unwrap_or(failure.time));
        let same = |one: &&mut UnknownDevice| {
            (&one.endpoint, one.address.as_str(), &one.reason) == (&endpoint, address, &reason)
        };
        if let Some(one) = all.iter_mut().find(same) {
            one.count += count;
            one.last = Timestamp(one.last.0.max(last.0));
        } else if all.len() < SHOWN {
            all.push(UnknownDevice { endpoint, address: address.to_owned(), reason, count, last });
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.last.0));
    all
}

/// After counting, so many times as long nothing is counted anew.
const PAUSES: u32 = 20;
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Different versions, or models, that are counted.
const KINDS_MAX: usize = 10_000;
/// Of them, those that are shown.
const SHOWN: usize = 50;
