//! What was counted of devices that have left, for when they come back.

use std::collections::{BTreeMap, HashMap, VecDeque};

use lightship_lwm2m::Endpoint;
use lightship_store::WantedKey;

use super::Device;
use crate::deviation::Deviation;

/// What was counted of a device that is not registered now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Past {
    pub(super) of_content: BTreeMap<Deviation, u64>,
    pub(super) of_messages: BTreeMap<lightship_server::Deviation, u64>,
    pub(super) restarts: BTreeMap<WantedKey, u64>,
}

impl Past {
    pub(super) fn of(device: &Device) -> Past {
        let restarts = device.observations.iter().map(|(key, seen)| (key.clone(), seen.restarts));
        Past {
            of_content: device.deviations.clone(),
            of_messages: device.of_messages(),
            restarts: restarts.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// The pasts of devices that left last.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    kept: HashMap<Endpoint, Past>,
    /// In the order of leaving; may name devices that have come back.
    order: VecDeque<Endpoint>,
}

impl Pasts {
    pub(super) fn keep(&mut self, endpoint: &Endpoint, past: Past) {
        if past == Past::default() {
            return;
        }
        if self.kept.insert(endpoint.clone(), past).is_none() {
            self.order.push_back(endpoint.clone());
        }
        while self.order.len() > PASTS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
    }

    /// What is kept of a device, which stays here.
    pub(super) fn find(&self, endpoint: &Endpoint) -> Option<&Past> {
        self.kept.get(endpoint)
    }

    pub(super) fn take(&mut self, endpoint: &Endpoint) -> Option<Past> {
        let past = self.kept.remove(endpoint);
        if past.is_some() && self.order.len() > 2 * self.kept.len() + PASTS_SLACK {
            self.order.retain(|name| self.kept.contains_key(name));
        }
        past
    }
}

/// Devices that are gone and whose counts are kept.
const PASTS_MAX: usize = 65_536;
/// Names of devices that have come back, before they are swept out.
const PASTS_SLACK: usize = 1024;
