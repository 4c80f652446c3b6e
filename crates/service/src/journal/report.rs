//! What devices report: understood, remembered, told.

use std::sync::atomic::Ordering;

use lightship_api as api;
use lightship_api::{ObservingState, Timestamp};
use lightship_lwm2m::{Endpoint, Path};
use lightship_server::{Code, ContentFormat};
use lightship_store::WantedKey;

use super::Journal;
use super::observations::{name, raw};
use crate::content::{self, Dialect, Payload};
use crate::deviation::Deviation;
use crate::directory::{self, LastContent};

impl Journal {
    /// What a device reported, as far as it can be understood.
    pub(super) fn report(&self, endpoint: &Endpoint, asked: &Asked, heard: Heard<'_>) -> Report {
        let Some(details) = self.core.directory.details(endpoint.as_str()) else {
            return Report { content: Err("the device is not registered".to_owned()) };
        };
        let definitions = self.core.models.snapshot();
        let dialect = Dialect { definitions: &definitions, details: &details, now: self.core.now() };
        let payload = Payload { asked: None, format: heard.format, bytes: heard.payload };
        let decoded = match asked {
            Asked::Node(path) => dialect.nodes(*path, payload),
            Asked::Several(paths) => dialect.several(paths, payload),
            Asked::Nothing => dialect.sent(payload),
        };
        let content = match decoded {
            Ok(decoded) => {
                self.core.directory.deviated(endpoint, decoded.deviations);
                Ok(decoded.nodes)
            }
            Err(reason) => {
                self.core.counters.undecoded.fetch_add(1, Ordering::Relaxed);
                self.core.directory.deviated(endpoint, [Deviation::Undecodable]);
                tracing::debug!(endpoint = %endpoint.readable(), reason, "a report cannot be decoded");
                Err(reason)
            }
        };
        Report { content }
    }

    pub(super) fn remember(
        &self,
        endpoint: &Endpoint,
        key: &WantedKey,
        report: &Report,
        count: impl FnOnce(&mut directory::Observed),
    ) {
        let now = self.core.now();
        let until = self.core.clock.now() + self.core.config.queue.awake_window;
        self.core.directory.reported(endpoint, key, until, |observed| {
            observed.state = ObservingState::Active;
            count(observed);
            observed.reason = report.content.as_ref().err().cloned();
            if let Ok(content) = &report.content {
                let known = || observed.content.nodes(key);
                observed.content = LastContent::of(key, newest(content, known, observed.time, now));
                observed.time = Some(now);
            }
        });
    }
}

/// What a report answers.
pub(super) enum Asked {
    Node(Path),
    Several(Vec<Path>),
    /// The device speaks of its own accord.
    Nothing,
}

/// What came from a device.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) code: Option<Code>,
    pub(super) format: Option<ContentFormat>,
    pub(super) payload: &'a [u8],
}

/// Something a device reported.
pub(super) struct Report {
    pub(super) content: Result<Vec<api::Node>, String>,
}

impl Report {
    pub(super) fn into_event(self, event: &mut api::Event, key: Option<&WantedKey>, heard: Heard<'_>) {
        if let Some(key) = key {
            name(event, key);
        }
        event.code = heard.code.map(|code| code.to_string());
        event.format = heard.format.map(content::format_name);
        match self.content {
            Ok(content) => event.content = Some(content),
            Err(reason) => {
                event.reason = Some(reason);
                event.raw = Some(raw(heard.format, heard.payload));
            }
        }
    }
}

/// What is true now: of each Resource the value with the latest time, for a device that was out of reach reports all
/// that it has kept, oldest first, and maybe after a newer one. A value without a time is as old as its arrival. Nodes
/// that hold several Resources are all kept, the latest first: each may hold others.
fn newest(
    reported: &[api::Node],
    known: impl FnOnce() -> Option<Vec<api::Node>>,
    known_at: Option<Timestamp>,
    now: Timestamp,
) -> Vec<api::Node> {
    let is_resource =
        |node: &api::Node| matches!(node.content, api::Content::Value(_) | api::Content::Instances(_));
    let time = |node: &api::Node| node.time.unwrap_or(now);
    let mut newest: Vec<&api::Node> = Vec::new();
    for node in reported {
        let same = |other: &&mut &api::Node| is_resource(other) && other.path == node.path;
        match newest.iter_mut().find(same) {
            Some(other) if time(other) <= time(node) => *other = node,
            Some(_) => {}
            None => newest.push(node),
        }
    }
    if !newest.iter().all(|node| is_resource(node)) {
        newest.sort_by_key(|node| std::cmp::Reverse(time(node)));
    }
    // What has just been measured is newer than all that is known, which need not be looked at then.
    let known = newest.iter().any(|node| node.time.is_some()).then(known).flatten();
    let later = |node: &api::Node| {
        let before = known.as_ref()?.iter().find(|other| is_resource(other) && other.path == node.path)?;
        // A device's clock may be ahead, the time of arrival is not.
        let before_at = before.time.map_or(known_at, |time| known_at.map(|at| at.min(time)))?;
        (before_at > time(node)).then(|| before.clone())
    };
    newest.into_iter().map(|node| later(node).unwrap_or_else(|| node.clone())).collect()
}
