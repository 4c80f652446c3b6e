//! What happened in bootstrap sessions, for people: the last ones of each device, bounded.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_api::bootstrap::BootstrapSession;
use lightship_lwm2m::Endpoint;

use super::plan::Known;

/// The sessions of all devices.
#[derive(Debug, Default)]
pub(crate) struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<Endpoint, Device>,
    /// Devices in the order in which they were last heard of.
    order: BTreeMap<u64, Endpoint>,
    /// Those among them that have nothing but refusals: strangers give way to strangers.
    strangers: BTreeMap<u64, Endpoint>,
    last: u64,
}

#[derive(Debug, Default)]
struct Device {
    touched: u64,
    is_stranger: bool,
    /// Newest last.
    sessions: VecDeque<(u64, Arc<BootstrapSession>)>,
    known: Option<Known>,
}

impl History {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session of a device, or replaces what was kept of it under that number.
    pub(crate) fn put(&self, endpoint: &Endpoint, number: u64, session: BootstrapSession) {
        let is_refusal = session.from.is_none();
        self.state().touch(endpoint, is_refusal, |device| {
            let session = Arc::new(session);
            match device.sessions.iter_mut().find(|(kept, _)| *kept == number) {
                Some((_, kept)) => *kept = session,
                None => device.sessions.push_back((number, session)),
            }
            if device.sessions.len() > SESSIONS_MAX {
                device.sessions.pop_front();
            }
        });
    }

    /// Remembers what a device said of itself.
    pub(crate) fn learn(&self, endpoint: &Endpoint, known: Known) {
        self.state().touch(endpoint, false, |device| device.known = Some(known));
    }

    /// What a device said of itself in its last session.
    pub(crate) fn known(&self, endpoint: &str) -> Option<Known> {
        self.state().devices.get(endpoint)?.known.clone()
    }

    /// The sessions of a device, newest first.
    pub(crate) fn sessions(&self, endpoint: &str) -> Vec<Arc<BootstrapSession>> {
        let state = self.state();
        let sessions = state.devices.get(endpoint).map(|device| &device.sessions);
        sessions.into_iter().flatten().rev().map(|(_, session)| session.clone()).collect()
    }

    /// Devices behind that name with their last sessions, in the order of names.
    pub(crate) fn page(&self, after: Option<&str>, max: usize) -> Vec<(Endpoint, Arc<BootstrapSession>)> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let devices = state.devices.range::<str, _>((from, Bound::Unbounded));
        let last = |(endpoint, device): (&Endpoint, &Device)| {
            device.sessions.back().map(|(_, session)| (endpoint.clone(), session.clone()))
        };
        devices.filter_map(last).take(max).collect()
    }
}

impl State {
    fn touch(&mut self, endpoint: &Endpoint, is_refusal: bool, change: impl FnOnce(&mut Device)) {
        self.last += 1;
        let now = self.last;
        let device = self
            .devices
            .entry(endpoint.clone())
            .or_insert_with(|| Device { is_stranger: true, ..Device::default() });
        let list = if device.is_stranger { &mut self.strangers } else { &mut self.order };
        list.remove(&device.touched);
        device.is_stranger &= is_refusal;
        device.touched = now;
        let list = if device.is_stranger { &mut self.strangers } else { &mut self.order };
        list.insert(now, endpoint.clone());
        change(device);
        for (list, max) in [(&mut self.strangers, STRANGERS_MAX), (&mut self.order, DEVICES_MAX)] {
            if list.len() > max
                && let Some((_, oldest)) = list.pop_first()
            {
                self.devices.remove(&oldest);
            }
        }
    }
}

/// Sessions kept of one device.
const SESSIONS_MAX: usize = 8;
/// Devices of which sessions are kept; the one heard of longest ago gives way.
const DEVICES_MAX: usize = 10_000;
/// Devices without a document that asked in vain, of which that is kept.
const STRANGERS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use lightship_api::bootstrap::BootstrapResult;
    use lightship_api::{SecurityMode, Timestamp};

    use super::*;

    fn session(from: Option<&str>, at: i64) -> BootstrapSession {
        BootstrapSession {
            started_at: Timestamp(at),
            ended_at: None,
            result: BootstrapResult::Running,
            reason: None,
            address: "192.0.2.1:5683".to_owned(),
            security: SecurityMode::Nosec,
            from: from.map(str::to_owned),
            lwm2m_version: None,
            preferred_format: None,
            steps: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_last_sessions_of_a_device_are_kept_and_each_is_replaced_as_it_goes_on() {
        let history = History::default();
        let name = Endpoint::new("a").unwrap();
        for number in 0..20 {
            history.put(&name, number, session(Some("document"), 0));
            history.put(&name, number, session(Some("document"), i64::try_from(number).unwrap()));
        }
        let kept: Vec<_> = history.sessions("a").iter().map(|session| session.started_at.0).collect();
        assert_eq!(kept, [19, 18, 17, 16, 15, 14, 13, 12]);
        assert!(history.sessions("b").is_empty());
    }

    #[test]
    fn strangers_do_not_drive_out_devices() {
        let history = History::default();
        let known = Endpoint::new("known").unwrap();
        history.put(&known, 1, session(Some("document"), 0));
        for number in 0..3000_u64 {
            let stranger = Endpoint::new(&format!("x{number:05}")).unwrap();
            history.put(&stranger, number, session(None, 0));
        }
        assert_eq!(history.sessions("known").len(), 1);
        assert_eq!(history.page(Some("x"), 10_000).len(), STRANGERS_MAX);
        assert_eq!(history.page(None, 2).len(), 2);
        // One that is given a document later is no stranger any more.
        let late = Endpoint::new("x02999").unwrap();
        history.put(&late, 5000, session(Some("document"), 1));
        assert_eq!(history.sessions("x02999").len(), 2);
        assert_eq!(history.page(Some("x"), 10_000).len(), STRANGERS_MAX);
    }
}
