//! The Bootstrap-Server as a role of the service: which device gets which document, how a session goes, what is kept of it.

mod document;
mod history;
mod live;
mod plan;
mod role;
mod secret;
mod template;

use std::sync::{Arc, Mutex, PoisonError};

use lightship_api::bootstrap::{BootstrapDocument, BootstrapTemplate};
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::{Endpoint, Format};
use lightship_net::BootstrapInbox;
use lightship_store::{DocumentKey, Store, StoreError};
use tokio::sync::mpsc;

use crate::core::Core;

pub(crate) use document::{Document, Unusable, format};
pub(crate) use history::History;
pub(crate) use plan::{Known, Plan, Step};
pub(crate) use role::{News, Role, shape_of};
pub(crate) use secret::{hide, keep};
pub(crate) use template::example;

/// What REST and the role share.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    /// The way to the engine; `None` without a listener.
    pub(crate) inbox: Option<BootstrapInbox>,
    pub(crate) history: History,
    /// What the journal should write down.
    pub(crate) news: mpsc::Sender<News>,
    templates: Templates,
}

/// All templates as they were read last; many devices ask, and templates rarely change.
#[derive(Debug, Default)]
struct Templates {
    read: Mutex<(u64, Option<Arc<[Named]>>)>,
}

/// A template under its name.
pub(crate) type Named = (String, BootstrapTemplate);

impl Bootstrap {
    /// The role's share of the core, and what the journal reads.
    pub(crate) fn new(inbox: Option<BootstrapInbox>) -> (Bootstrap, mpsc::Receiver<News>) {
        let (news, reader) = mpsc::channel(NEWS_LEN);
        (Bootstrap { inbox, history: History::default(), news, templates: Templates::default() }, reader)
    }

    /// All templates, by name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn templates(&self, core: &Core) -> Result<Arc<[Named]>, StoreError> {
        let read = || self.templates.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (change, known) = read().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let templates = read_templates(core).await?;
        let mut now = read();
        // One that was changed meanwhile is read again by the next.
        if now.0 == change {
            now.1 = Some(templates.clone());
        }
        Ok(templates)
    }

    /// A template was changed.
    pub(crate) fn forget_templates(&self) {
        let mut read = self.templates.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = (read.0 + 1, None);
    }
}

/// A document for one device, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// `document`, or `template:NAME`.
    pub(crate) from: String,
    /// With its secrets.
    pub(crate) shape: BootstrapDocument,
}

/// Why there is no document that could be used.
#[derive(Debug)]
pub(crate) enum NotFound {
    /// There is none for that device.
    Nothing,
    /// The store does not answer.
    Store(StoreError),
    /// A template cannot be filled for that device.
    Template(String, String),
}

/// The document for a device: its own, or what the template says that fits best.
pub(crate) async fn find(core: &Core, endpoint: &Endpoint) -> Result<Found, NotFound> {
    let key = DocumentKey::Device(endpoint.clone());
    if let Some(body) = core.store.document(&key).await.map_err(NotFound::Store)? {
        let unreadable =
            |error: &dyn std::error::Error| NotFound::Template("document".to_owned(), error.to_string());
        let body = core.keeper.open_document(&key, &body).map_err(|error| unreadable(&error))?;
        let shape = serde_json::from_str(&body).map_err(|error| unreadable(&error))?;
        return Ok(Found { from: "document".to_owned(), shape });
    }
    let templates = core.bootstrap.templates(core).await.map_err(NotFound::Store)?;
    let fitting = templates.iter().filter(|(_, one)| template::captures(&one.pattern, endpoint).is_some());
    // Of equals the first by name.
    let best = fitting.rev().max_by_key(|(_, one)| template::weight(&one.pattern));
    let Some((name, best)) = best else { return Err(NotFound::Nothing) };
    match filled(best, endpoint) {
        Ok(shape) => Ok(Found { from: format!("template:{name}"), shape }),
        Err(reason) => Err(NotFound::Template(name.clone(), reason)),
    }
}

async fn read_templates(core: &Core) -> Result<Arc<[Named]>, StoreError> {
    let first = DocumentKey::Template(String::new());
    let read = |(key, body): (DocumentKey, Arc<str>)| {
        let body = core.keeper.open_document(&key, &body).ok()?;
        match key {
            DocumentKey::Template(name) => Some((name, serde_json::from_str(&body).ok()?)),
            DocumentKey::Device(_) => None,
        }
    };
    let all = core.store.documents(Some(&first), TEMPLATES_MAX).await?;
    Ok(all.into_iter().filter_map(read).collect())
}

/// A template's document for one device.
///
/// # Errors
/// Which placeholder means nothing.
pub(crate) fn filled(template: &BootstrapTemplate, endpoint: &str) -> Result<BootstrapDocument, String> {
    let captures = template::captures(&template.pattern, endpoint)
        .ok_or_else(|| "the pattern does not fit".to_owned())?;
    let mut json = serde_json::to_value(&template.document).map_err(|error| error.to_string())?;
    template::fill(&mut json, endpoint, &captures)?;
    serde_json::from_value(json).map_err(|error| error.to_string())
}

/// What would be sent to a device: the document judged and planned.
///
/// # Errors
/// Why nothing would.
pub(crate) fn planned(
    shape: &BootstrapDocument,
    definitions: &Definitions,
    known: &Known,
    preferred: Option<Format>,
) -> Result<Plan, String> {
    let document = Document::read(shape, definitions).map_err(|unusable| unusable.in_public())?;
    plan::plan(&document, known, preferred)
}

/// News that may wait for the journal.
const NEWS_LEN: usize = 256;
/// Templates that are kept.
pub(crate) const TEMPLATES_MAX: usize = 1000;
