//! What devices report and what becomes of their observations, in the journal.

use lightship_api as api;
use lightship_api::{EventType, ObservingState, ValueSource};
use lightship_lwm2m::{Endpoint, Path};
use lightship_net::Wait;
use lightship_server::{Ask, Code, ContentFormat, Observed, Outcome};
use lightship_store::{Store, WantedKey};

use super::Journal;
use super::batch::Then;
use super::report::{Asked, Heard, Report};
use crate::content;
use crate::core;
use crate::directory::Device;

impl Journal {
    pub(super) fn observed(&mut self, endpoint: &Endpoint, observed: &Observed, heard: Heard<'_>) {
        let report = self.report(endpoint, &self.asked(endpoint, observed), heard);
        let (key, now) = (key(observed), self.core.now());
        self.known(endpoint, observed, &report);
        let asked = self.core.directory.change(endpoint, None, |device| device.asked.remove(&key));
        self.remember(endpoint, &key, &report, |seen| {
            seen.restarts += u64::from(asked != Some(true));
            seen.since = Some(now);
        });
        self.log(EventType::Observed, endpoint, |event| report.into_event(event, Some(&key), heard));
    }

    pub(super) fn notified(
        &mut self,
        endpoint: &Endpoint,
        observed: &Observed,
        heard: Heard<'_>,
        ask: Option<(u8, Ask)>,
    ) {
        let report = self.report(endpoint, &self.asked(endpoint, observed), heard);
        let key = key(observed);
        self.known(endpoint, observed, &report);
        self.remember(endpoint, &key, &report, |seen| seen.notifications += 1);
        self.log(EventType::Notified, endpoint, |event| report.into_event(event, Some(&key), heard));
        if let Some((shard, ask)) = ask {
            self.pending.then.push(Then::Stored { shard, ask });
        }
    }

    /// What was observed is known from now on, observed or not.
    fn known(&self, endpoint: &Endpoint, observed: &Observed, report: &Report) {
        let Ok(nodes) = &report.content else { return };
        let base = if let Observed::Node(path) = observed { Some(*path) } else { None };
        self.core.fleet.values.told(endpoint, base, nodes, ValueSource::Notify, self.core.now());
    }

    fn asked(&self, endpoint: &Endpoint, observed: &Observed) -> Asked {
        match observed {
            Observed::Node(path) => Asked::Node(*path),
            Observed::Composite(composite) => {
                let device = self.core.directory.find(endpoint.as_str());
                let root = device.as_ref().map_or("", |device| &device.registration.details.objects.root);
                Asked::Several(content::listed(root, &composite.content))
            }
        }
    }

    /// A Send: all of it, or none of it and the code that says why (TS_Core 6.4.7).
    pub(super) fn sent(
        &mut self,
        endpoint: &Endpoint,
        content_format: Option<ContentFormat>,
        payload: &[u8],
    ) -> Result<(), Code> {
        let device = self.core.directory.find(endpoint.as_str()).ok_or(Code::NOT_FOUND)?;
        let heard = Heard { code: None, format: content_format, payload };
        let report = self.report(endpoint, &Asked::Nothing, heard);
        let Ok(content) = &report.content else { return Err(Code::BAD_REQUEST) };
        let links = &device.registration.details.objects.objects;
        let listed = |path: Path| links.iter().any(|link| link.path.object_id() == path.object_id());
        let paths = content.iter().filter_map(|node| node.path.as_deref()?.parse().ok());
        if !paths.into_iter().all(listed) {
            return Err(Code::NOT_FOUND);
        }
        self.core.fleet.values.told(endpoint, None, content, ValueSource::Send, self.core.now());
        self.log(EventType::Sent, endpoint, |event| report.into_event(event, None, heard));
        Ok(())
    }

    pub(super) fn observation_failed(
        &mut self,
        endpoint: &Endpoint,
        key: &WantedKey,
        outcome: &Outcome,
        again: bool,
    ) {
        let (code, reason) = match outcome {
            Outcome::Response(response) => {
                (Some(response.code), format!("the device answered {}", response.code))
            }
            Outcome::Timeout => (None, "the device did not answer in time".to_owned()),
            Outcome::Reset => (None, "the device rejected the message".to_owned()),
            Outcome::Broken => (
                None,
                "the device's answer does not fit together, or is larger than the server takes".to_owned(),
            ),
            Outcome::Cancelled | Outcome::Deregistered | Outcome::Unsent | _ => {
                (None, "it was cancelled".to_owned())
            }
        };
        let was_active = self.core.directory.change(endpoint, None, |device| {
            let observed = device.observations.entry(key.clone()).or_default();
            let was_active = observed.state == ObservingState::Active;
            observed.state = if code.is_some() { ObservingState::Failed } else { ObservingState::Pending };
            observed.reason = Some(reason.clone());
            if !again && !was_active {
                device.observations.remove(key);
            }
            was_active
        });
        if was_active == Some(true) {
            self.log(EventType::ObservationCancelled, endpoint, |event| {
                name(event, key);
                event.code = code.map(|code| code.to_string());
                event.reason = Some(reason);
            });
        }
    }

    /// A format was our guess and the device does not speak it: let it choose, once in a registration.
    pub(super) async fn observe_otherwise(
        &self,
        shard: u8,
        endpoint: &Endpoint,
        key: &WantedKey,
        code: Code,
    ) {
        let composite = matches!(key, WantedKey::Name(_));
        if code != Code::NOT_ACCEPTABLE && !(composite && code == Code::UNSUPPORTED_CONTENT_FORMAT) {
            return;
        }
        let first = |device: &mut Device| device.format_left_open.insert(key.clone());
        if self.core.directory.change(endpoint, None, first) != Some(true) {
            return;
        }
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        let guessed = wanted.iter().find(|one| one.key == *key && one.accept.is_none());
        let Some(guessed) = guessed else { return };
        let Some(device) = self.core.directory.find(endpoint.as_str()) else { return };
        let details = &device.registration.details;
        // The list goes in the other format when the first was not understood.
        let list = usize::from(code == Code::UNSUPPORTED_CONTENT_FORMAT);
        let list = content::list_formats(details, None, None).get(list).copied();
        let wanted = content::wanted(guessed, details, None, list);
        if let (Ok(wanted), Some(inbox)) = (wanted, self.core.inbox(shard)) {
            // Nobody waits for this one; its outcome comes as an event.
            let _ = inbox.observe(endpoint.clone(), wanted, Wait::held(core::WAIT_DEFAULT));
        }
    }

    /// Whether the device's present registration is at that shard: the one that it left may have a last word still.
    pub(super) fn is_at(&self, endpoint: &Endpoint, shard: u8) -> bool {
        self.core.directory.find(endpoint.as_str()).is_none_or(|device| device.shard == shard)
    }

    pub(super) async fn observation_ended(&mut self, endpoint: &Endpoint, key: &WantedKey) {
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        // One that ended with its registration is still wanted, and comes back with the next.
        let wanted = wanted.iter().any(|one| one.key == *key);
        let ended = self.core.directory.change(endpoint, None, |device| {
            if let Some(seen) = device.observations.get_mut(key)
                && wanted
            {
                seen.state = ObservingState::Pending;
                return false;
            }
            device.observations.remove(key).is_some()
        });
        if ended == Some(true) {
            self.log(EventType::ObservationCancelled, endpoint, |event| name(event, key));
        }
    }
}

/// What the store calls it.
pub(crate) fn key(observed: &Observed) -> WantedKey {
    match observed {
        Observed::Node(path) => WantedKey::Path(*path),
        Observed::Composite(composite) => WantedKey::Name(composite.name.to_string()),
    }
}

/// Says in an event which observation it is about.
pub(super) fn name(event: &mut api::Event, key: &WantedKey) {
    match key {
        WantedKey::Path(path) => event.path = Some(path.to_string()),
        WantedKey::Name(name) => event.name = Some(name.clone()),
    }
}

pub(crate) fn raw(format: Option<ContentFormat>, payload: &[u8]) -> api::RawPayload {
    api::RawPayload { content_format: format.map(|format| format.0), payload: api::convert::base64(payload) }
}
