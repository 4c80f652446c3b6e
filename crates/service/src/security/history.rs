//! History: the last handshakes of each device, and the last failures of anybody; all of it bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lightship_api::{Handshake, HandshakeResult};
use lightship_lwm2m::Endpoint;

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
}

#[derive(Debug, Default)]
struct Device {
    touched: u64,
    /// Newest last.
    handshakes: VecDeque<Handshake>,
}

impl History {
    /// Takes note of a handshake; says whether it is news, and not the same failure once more.
    pub(crate) fn add(&self, endpoint: Option<&Endpoint>, handshake: &Handshake) -> bool {
        let mut state = self.state();
        let mut is_news = true;
        if handshake.result == HandshakeResult::Failed {
            is_news = join(&mut state.failures, handshake, FAILURES_MAX);
        }
        if let Some(endpoint) = endpoint {
            is_news = join(state.of(endpoint), handshake, HANDSHAKES_MAX);
        }
        is_news
    }

    /// The last handshakes of a device, newest first.
    pub(crate) fn of(&self, endpoint: &str) -> Vec<Handshake> {
        let state = self.state();
        let device = state.devices.get(endpoint);
        device.map(|device| device.handshakes.iter().rev().cloned().collect()).unwrap_or_default()
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

/// Handshakes kept of one device.
const HANDSHAKES_MAX: usize = 16;
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
    fn every_list_has_its_end() {
        let history = History::default();
        for number in 0..DEVICES_MAX + 5 {
            let endpoint = Endpoint::new(&format!("dev-{number}")).unwrap();
            history.add(Some(&endpoint), &handshake(1, HandshakeResult::Opened, "10.0.0.1:1", ""));
        }
        assert!(history.of("dev-4").is_empty() && history.of("dev-5").len() == 1);
        let endpoint = Endpoint::new("dev-9").unwrap();
        for number in 0..100 {
            let one = handshake(number, HandshakeResult::Failed, "10.0.0.1:1", &number.to_string());
            history.add(Some(&endpoint), &one);
        }
        let kept = history.of("dev-9");
        assert_eq!((kept.len(), kept[0].time), (HANDSHAKES_MAX, Timestamp(99)));
        for number in 0..2 * i64::try_from(FAILURES_MAX).unwrap() {
            history.add(None, &handshake(number, HandshakeResult::Failed, "10.0.0.1:1", &number.to_string()));
        }
        assert_eq!(history.failures().len(), FAILURES_MAX);
    }
}
