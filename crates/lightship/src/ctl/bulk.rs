//! `ctl bulk`: one operation for many devices.

use super::{Session, input, parse_path, show};
use crate::cli::{BulkArguments, BulkCommand};
use crate::failure::Failure;
use lightship_api::{Bulk, BulkOrder, BulkState};

impl Session<'_> {
    pub(super) fn bulk(&self, command: &BulkCommand) -> Result<(), Failure> {
        match command {
            BulkCommand::Start(arguments) => self.start_bulk(arguments),
            BulkCommand::List => {
                let bulks = self.client.bulks().map_err(|error| self.refused(error))?;
                self.print(&bulks, || {
                    let lines: Vec<String> = bulks.items.iter().map(line).collect();
                    if lines.is_empty() { "there was none".to_owned() } else { lines.join("\n") }
                })
            }
            BulkCommand::Show { id } => self.print_bulk(self.client.bulk(id)),
            BulkCommand::Cancel { id } => self.print_bulk(self.client.cancel_bulk(id)),
        }
    }

    fn start_bulk(&self, arguments: &BulkArguments) -> Result<(), Failure> {
        let BulkArguments { operation, path, filter, endpoints, content, not_after, dry_run } = arguments;
        let wrong = |error| Failure::usage(format_args!("--content is no JSON: {error}"));
        let content = content.as_deref().map(input::json).transpose()?;
        let order = BulkOrder {
            filter: filter.clone().unwrap_or_default(),
            endpoints: endpoints.clone(),
            operation: operation.clone(),
            path: parse_path(path)?.to_string(),
            content: content.as_deref().map(serde_json::from_str).transpose().map_err(wrong)?,
            not_after: not_after.clone(),
        };
        if !dry_run {
            return self.print_bulk(self.client.start_bulk(&order));
        }
        let preview = self.client.preview_bulk(&order).map_err(|error| self.refused(error))?;
        self.print(&preview, || {
            let more = if preview.matches > 10 { " …" } else { "" };
            match preview.matches {
                0 => "no device is registered that fits".to_owned(),
                1 => format!("1 device: {}", preview.sample.join(" ")),
                devices => format!("{devices} devices: {}{more}", preview.sample.join(" ")),
            }
        })
    }

    fn print_bulk(&self, bulk: Result<Bulk, lightship_api::client::ClientError>) -> Result<(), Failure> {
        let bulk = bulk.map_err(|error| self.refused(error))?;
        self.print(&bulk, || {
            let failures = bulk.failures.iter().map(|(reason, count)| format!("  {count} × {reason}"));
            std::iter::once(line(&bulk)).chain(failures).collect::<Vec<_>>().join("\n")
        })
    }
}

fn line(bulk: &Bulk) -> String {
    let state = match bulk.state {
        BulkState::Running => "running",
        BulkState::Done => "done",
        BulkState::Cancelled => "cancelled",
    };
    let counts: Vec<String> = bulk
        .counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let BulkOrder { operation, path, filter, endpoints, .. } = &bulk.order;
    let whom =
        if endpoints.is_empty() { format!("{filter:?}") } else { format!("{} devices", endpoints.len()) };
    format!(
        "{} {} {operation} {path} for {whom}: {state}, {} of {} made{}{}",
        bulk.id,
        show::moment(bulk.created_at),
        bulk.made,
        bulk.matches,
        if counts.is_empty() { "" } else { "; " },
        counts.join(", "),
    )
}
