//! History: the last handshakes of each device, and the last failures of anybody; all of it bounded.
//!
//! What a device's sessions came to is in the log of events as well, and is read there where it is no longer here. Failures of strangers
//! make no events: they are kept in the store by themselves, once a minute and at the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lightship_api::{Handshake, HandshakeResult};
use lightship_lwm2m::Endpoint;
use lightship_store::{Fact, Store, StoreError};

use super::judge::shown;

/// Handshakes for people to look at.
#[derive(Debug, Default)]
pub(crate) struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    devices: HashMap<Endpoint, Device>,
    /// Devices in the order in which they were last heard of.
    order: BTreeMap<u64, Endpoint>,
    last: u64,
    /// Newest last.
    failures: VecDeque<Handshake>,
    /// How often these have changed, and how often they had when the store took them last.
    changes: u64,
    written: u64,
}

/// The failures that the store does not have yet; tell [`History::wrote`] once it has.
pub(crate) struct Unwritten {
    pub(crate) fact: Fact,
    pub(crate) changes: u64,
}

#[derive(Debug, Default)]
struct Device {
    touched: u64,
    /// Newest last.
    handshakes: VecDeque<Handshake>,
}

impl History {
    /// Goes on with the failures that a process before has kept.
    pub(crate) async fn open(store: &impl Store) -> Result<History, StoreError> {
        let history = History::default();
        for (_, body) in store.notes(FAILURES).await? {
            match serde_json::from_str(&body) {
                Ok(failures) => history.state().failures = failures,
                Err(error) => tracing::warn!(%error, "the failed handshakes of before cannot be read"),
            }
        }
        Ok(history)
    }

    /// The failures, if there were any since the store took them.
    pub(crate) fn unwritten(&self) -> Option<Unwritten> {
        let state = self.state();
        let body =
            Some(&state.failures).filter(|_| state.changes != state.written).map(serde_json::to_string)?;
        let body =
            body.inspect_err(|error| tracing::error!(%error, "failed handshakes cannot be kept")).ok()?;
        let fact = Fact::Note { name: FAILURES.into(), body: Some(body.into()) };
        Some(Unwritten { fact, changes: state.changes })
    }

    /// The store has taken what had changed so often.
    pub(crate) fn wrote(&self, changes: u64) {
        self.state().written = changes;
    }

    /// Takes note of a handshake; says whether it is news, and not the same failure once more.
    pub(crate) fn add(&self, endpoint: Option<&Endpoint>, handshake: &Handshake) -> bool {
        let mut state = self.state();
        let mut is_news = true;
        if handshake.result == HandshakeResult::Failed {
            is_news = join(&mut state.failures, handshake, FAILURES_MAX);
            state.changes += 1;
        }
        if let Some(endpoint) = endpoint {
            is_news = join(state.of(endpoint), handshake, HANDSHAKES_MAX);
        }
        is_news
    }

    /// The last handshakes of a device, newest first, with those of the log that are no longer here. Behind its own list stand the
    /// failures of whoever gave its name as identity, or came in its name without security: they have a bound of their own, so that
    /// strangers do not push anything out of it.
    pub(crate) fn of(&self, endpoint: &str, logged: Vec<Handshake>) -> Vec<Handshake> {
        let state = self.state();
        let device = state.devices.get(endpoint);
        let mut all: Vec<_> =
            device.map(|device| device.handshakes.iter().rev().cloned().collect()).unwrap_or_default();
        for one in logged {
            if !all.iter().any(|own| (own.time, own.result) == (one.time, one.result)) {
                all.push(one);
            }
        }
        all.sort_by_key(|one| Reverse(one.time));
        all.truncate(HANDSHAKES_MAX);
        let name = shown(endpoint.as_bytes());
        let is_claimed = |failure: &&Handshake| {
            let by = failure.endpoint.as_deref().or(failure.identity.as_deref());
            let is_told = |own: &Handshake| {
                (own.result, own.server, &own.reason) == (failure.result, failure.server, &failure.reason)
            };
            by.is_some_and(|by| by == endpoint || by == name) && !all.iter().any(is_told)
        };
        let claimed: Vec<_> =
            state.failures.iter().rev().filter(is_claimed).take(HANDSHAKES_MAX).cloned().collect();
        all.extend(claimed);
        all.sort_by_key(|one| Reverse(one.time));
        all
    }

    /// The last failures, newest first.
    pub(crate) fn failures(&self) -> Vec<Handshake> {
        self.state().failures.iter().rev().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&mut self, endpoint: &Endpoint) -> &mut VecDeque<Handshake> {
        self.last += 1;
        let before = self.devices.get(endpoint).map(|device| device.touched);
        if let Some(before) = before {
            self.order.remove(&before);
        } else if self.devices.len() >= DEVICES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.devices.remove(&oldest);
        }
        self.order.insert(self.last, endpoint.clone());
        let device = self.devices.entry(endpoint.clone()).or_default();
        device.touched = self.last;
        &mut device.handshakes
    }
}

/// Adds a handshake, or counts it to the same failure of a moment ago.
fn join(kept: &mut VecDeque<Handshake>, new: &Handshake, max: usize) -> bool {
    if new.result == HandshakeResult::Failed
        && let Some(same) = kept.iter_mut().rev().take(JOINED_MAX).find(|old| is_same(old, new))
    {
        same.count = Some(same.count.unwrap_or(1) + 1);
        same.last_at = Some(new.time);
        return false;
    }
    if kept.len() >= max {
        kept.pop_front();
    }
    // Most devices have one, and room for more is not for nothing.
    kept.reserve_exact(1);
    kept.push_back(new.clone());
    true
}

fn is_same(old: &Handshake, new: &Handshake) -> bool {
    let recent = old.last_at.unwrap_or(old.time).0 > new.time.0 - JOINED_MS;
    recent
        && (old.result, old.server, host(&old.address)) == (new.result, new.server, host(&new.address))
        && (&old.identity, &old.reason) == (&new.identity, &new.reason)
}

/// An address without its port.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// The note of the failures.
const FAILURES: &str = "failed-handshakes";
/// Handshakes kept of one device.
pub(crate) const HANDSHAKES_MAX: usize = 16;
/// Devices of which handshakes are kept.
const DEVICES_MAX: usize = 20_000;
/// Failures kept of anybody.
const FAILURES_MAX: usize = 1000;
/// Entries that a failure is compared with, to be counted there.
const JOINED_MAX: usize = 64;
/// How long ago the same may lie, in milliseconds.
const JOINED_MS: i64 = 600_000;

#[cfg(test)]
mod tests {
    use lightship_api::{ServerRole, Timestamp};

    use super::*;

    fn handshake(at: i64, result: HandshakeResult, address: &str, reason: &str) -> Handshake {
        let told = Handshake::new(Timestamp(at), result, ServerRole::Lwm2m, address.to_owned());
        Handshake { reason: Some(reason.to_owned()), ..told }
    }

    #[test]
    fn the_same_failure_is_counted_and_another_is_kept_beside_it() {
        let history = History::default();
        let failed = HandshakeResult::Failed;
        assert!(history.add(None, &handshake(1, failed, "10.0.0.1:1", "unknown")));
        assert!(!history.add(None, &handshake(2, failed, "10.0.0.1:2", "unknown")));
        assert!(history.add(None, &handshake(3, failed, "10.0.0.2:1", "unknown")));
        assert!(history.add(None, &handshake(4, failed, "10.0.0.1:1", "expired")));
        assert!(history.add(None, &handshake(JOINED_MS + 10, failed, "10.0.0.1:1", "unknown")), "long ago");
        let failures = history.failures();
        assert_eq!(failures.len(), 4);
        assert_eq!((failures[3].count, failures[3].last_at), (Some(2), Some(Timestamp(2))));
    }

    #[test]
    fn a_device_shows_what_failed_in_its_name_and_strangers_push_nothing_out() {
        let history = History::default();
        let endpoint = Endpoint::new("dev-1").unwrap();
        history.add(Some(&endpoint), &handshake(1, HandshakeResult::Opened, "10.0.0.1:1", ""));
        let claim = |at: i64, identity: &str| {
            let failed = handshake(at, HandshakeResult::Failed, "10.0.0.2:1", &format!("unknown {at}"));
            Handshake { identity: Some(identity.to_owned()), ..failed }
        };
        history.add(None, &claim(2, "dev-10"));
        // The credential of another has this identity.
        let others = Handshake { endpoint: Some("dev-2".to_owned()), ..claim(3, "dev-1") };
        history.add(Some(&Endpoint::new("dev-2").unwrap()), &others);
        for at in 10..100 {
            history.add(None, &claim(at, "dev-1"));
        }
        let shown = history.of("dev-1", Vec::new());
        assert_eq!(shown.len(), 1 + HANDSHAKES_MAX);
        assert_eq!((shown[0].time, shown[HANDSHAKES_MAX].result), (Timestamp(99), HandshakeResult::Opened));
        assert_eq!(history.of("dev-2", Vec::new()), [others], "once, though it stands in both lists");
    }

    #[test]
    fn what_the_log_has_is_joined_with_what_is_here() {
        let history = History::default();
        let endpoint = Endpoint::new("dev-1").unwrap();
        let (opened, closed) = (HandshakeResult::Opened, HandshakeResult::Closed);
        history.add(Some(&endpoint), &handshake(5, opened, "10.0.0.1:1", ""));
        let logged = vec![
            handshake(5, opened, "10.0.0.1:1", ""),
            handshake(4, closed, "10.0.0.1:1", "gone"),
            handshake(3, opened, "10.0.0.1:1", ""),
        ];
        let times: Vec<_> = history.of("dev-1", logged).iter().map(|one| one.time.0).collect();
        assert_eq!(times, [5, 4, 3]);
        let many = (0..100).map(|at| handshake(at, opened, "10.0.0.1:1", "")).rev().collect();
        assert_eq!(history.of("dev-1", many).len(), HANDSHAKES_MAX);
    }

    #[test]
    fn failures_are_written_when_there_are_new_ones() {
        let history = History::default();
        assert!(history.unwritten().is_none());
        history.add(None, &handshake(1, HandshakeResult::Failed, "10.0.0.1:1", "unknown"));
        let unwritten = history.unwritten().unwrap();
        history.add(None, &handshake(2, HandshakeResult::Failed, "10.0.0.1:1", "unknown"));
        history.wrote(unwritten.changes);
        let unwritten = history.unwritten().expect("it was counted meanwhile");
        history.wrote(unwritten.changes);
        assert!(history.unwritten().is_none());
        history.add(None, &handshake(3, HandshakeResult::Opened, "10.0.0.1:1", ""));
        assert!(history.unwritten().is_none());
    }

    #[test]
    fn every_list_has_its_end() {
        let history = History::default();
        for number in 0..DEVICES_MAX + 5 {
            let endpoint = Endpoint::new(&format!("dev-{number}")).unwrap();
            history.add(Some(&endpoint), &handshake(1, HandshakeResult::Opened, "10.0.0.1:1", ""));
        }
        assert!(history.of("dev-4", Vec::new()).is_empty() && history.of("dev-5", Vec::new()).len() == 1);
        let endpoint = Endpoint::new("dev-9").unwrap();
        for number in 0..100 {
            let one = handshake(number, HandshakeResult::Failed, "10.0.0.1:1", &number.to_string());
            history.add(Some(&endpoint), &one);
        }
        let kept = history.of("dev-9", Vec::new());
        assert_eq!((kept.len(), kept[0].time), (HANDSHAKES_MAX, Timestamp(99)));
        for number in 0..2 * i64::try_from(FAILURES_MAX).unwrap() {
            history.add(None, &handshake(number, HandshakeResult::Failed, "10.0.0.1:1", &number.to_string()));
        }
        assert_eq!(history.failures().len(), FAILURES_MAX);
    }
}
