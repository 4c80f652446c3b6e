//! `ctl history`: what a device has told of a path.

use super::definition::Definitions;
use super::value::from_json;
use super::{Session, parse_path, show};
use crate::cli::HistoryArguments;
use crate::failure::Failure;
use crate::output;
use lightship_api::client::HistoryOptions;
use lightship_api::{History, HistoryItem};
use std::io::IsTerminal;

impl Session<'_> {
    pub(super) fn history(&self, arguments: &HistoryArguments) -> Result<(), Failure> {
        let HistoryArguments { endpoint, path, from, to, limit, csv } = arguments;
        let path = parse_path(path)?.to_string();
        let mut found =
            History { endpoint: endpoint.clone(), path, items: Vec::new(), next: None, warning: None };
        loop {
            let taken = u32::try_from(found.items.len()).unwrap_or(u32::MAX);
            let left = limit.saturating_sub(taken);
            let which = HistoryOptions {
                from: from.clone(),
                to: to.clone(),
                limit: Some(left.clamp(1, PAGE_LEN_MAX)),
                cursor: found.next.take(),
            };
            let page = self.client.history(endpoint, &found.path, &which);
            let page = page.map_err(|error| self.refused(error))?;
            found.items.extend(page.items);
            found.next = page.next;
            found.warning = page.warning.or(found.warning);
            let is_full = usize::try_from(*limit).is_ok_and(|limit| found.items.len() >= limit);
            if is_full || found.next.is_none() {
                break;
            }
        }
        output::warning(found.warning.as_deref());
        if *csv {
            let text = found.to_csv();
            let text = text.trim_end();
            // A program gets it as it is; what a device says must not steer a terminal.
            return if std::io::stdout().is_terminal() { output::line(text) } else { output::exactly(text) };
        }
        self.print(&found, || shown(&found, &self.definitions))
    }
}

fn shown(found: &History, definitions: &Definitions<'_>) -> String {
    if found.items.is_empty() {
        return format!("{} has told nothing of {} in that time", found.endpoint, found.path);
    }
    let known = |item: &HistoryItem| definitions.resource(&found.endpoint, item.path.parse().ok()?);
    let with_unit = |item: &HistoryItem, unit: Option<String>| {
        let value = from_json(&item.value, item.kind);
        unit.map_or(value.clone(), |unit| format!("{value} {unit}"))
    };
    if found.items.iter().all(|item| item.path == found.path) {
        let mut table = show::table(["TIME", "VALUE"]);
        for item in &found.items {
            let unit = known(item).and_then(|known| known.units);
            table.add_row([show::moment(item.time), with_unit(item, unit)]);
        }
        return show::finish(&table);
    }
    let mut table = show::table(["TIME", "PATH", "NAME", "VALUE"]);
    for item in &found.items {
        let (name, unit) = known(item).map(|known| (known.name, known.units)).unwrap_or_default();
        table.add_row([show::moment(item.time), item.path.clone(), name, with_unit(item, unit)]);
    }
    show::finish(&table)
}

/// What the server gives at once.
const PAGE_LEN_MAX: u32 = 10_000;
