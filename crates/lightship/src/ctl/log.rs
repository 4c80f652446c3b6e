//! `ctl log`: what happened to a device.

use super::{Session, show};
use crate::cli::LogArguments;
use crate::failure::Failure;
use crate::output;
use lightship_api::EventLog;
use lightship_api::client::HistoryOptions;

impl Session<'_> {
    pub(super) fn log(&self, arguments: &LogArguments) -> Result<(), Failure> {
        let LogArguments { endpoint, types, from, to, limit } = arguments;
        let wanted = usize::try_from(*limit).unwrap_or(usize::MAX);
        let mut found = EventLog { endpoint: endpoint.clone(), items: Vec::new(), next: None, warning: None };
        loop {
            let left = u32::try_from(wanted - found.items.len()).unwrap_or(u32::MAX);
            let which = HistoryOptions {
                from: from.clone(),
                to: to.clone(),
                limit: Some(left.clamp(1, PAGE_LEN_MAX)),
                cursor: found.next.take(),
            };
            let page = self.client.log(endpoint, types, &which).map_err(|error| self.refused(error))?;
            found.items.extend(page.items);
            found.next = page.next;
            found.warning = page.warning.or(found.warning);
            if found.items.len() >= wanted || found.next.is_none() {
                break;
            }
        }
        output::warning(found.warning.as_deref());
        self.print(&found, || match found.items.as_slice() {
            [] => format!("the log holds nothing of {endpoint} in that time"),
            items => items.iter().map(show::event).collect::<Vec<_>>().join("\n"),
        })
    }
}

/// What the server gives at once.
const PAGE_LEN_MAX: u32 = 1000;
