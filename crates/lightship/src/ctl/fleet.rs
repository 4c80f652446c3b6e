//! `ctl` about the fleet: devices by filter, what is known of their values.

use super::value::from_json;
use super::{Session, parse_path, show};
use crate::cli::ListArguments;
use crate::failure::Failure;
use crate::output;
use lightship_api::client::ListOptions;
use lightship_api::{Endpoint, Fleet, KnownValue, KnownValues};
use std::io::{BufRead, BufReader, IsTerminal};

impl Session<'_> {
    pub(super) fn endpoints(&self, arguments: &ListArguments) -> Result<(), Failure> {
        let ListArguments { filter, columns, sort, limit, count, csv } = arguments;
        let mut which = ListOptions {
            filter: filter.clone(),
            columns: columns.clone(),
            sort: sort.clone(),
            limit: *limit,
            ..ListOptions::default()
        };
        if *csv {
            return self.endpoints_table(&which);
        }
        if *count {
            which = ListOptions { count: true, limit: Some(1), ..which };
            let page = self.client.list(&which).map_err(|error| self.refused(error))?;
            let total = page.total;
            return self.print(&serde_json::json!({ "total": total }), || {
                total.map_or("too many to look at their values".to_owned(), |total| total.to_string())
            });
        }
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let mut items: Vec<Endpoint> = Vec::new();
        while items.len() < limit {
            let left = u32::try_from(limit - items.len()).unwrap_or(u32::MAX);
            which.limit = Some(left.min(PAGE_LEN));
            let page = self.client.list(&which).map_err(|error| self.refused(error))?;
            items.extend(page.items);
            which.cursor = page.next;
            if which.cursor.is_none() {
                break;
            }
        }
        items.truncate(limit);
        let columns: Vec<&str> = columns.iter().flat_map(|columns| columns.split(',')).collect();
        self.print(&serde_json::json!({ "items": items }), || listed(&items, &columns))
    }

    fn endpoints_table(&self, which: &ListOptions) -> Result<(), Failure> {
        let table = self.client.endpoints_table(which).map_err(|error| self.refused(error))?;
        // A program gets it as it is; what a device says must not steer a terminal.
        let is_terminal = std::io::stdout().is_terminal();
        for line in BufReader::new(table).lines() {
            let line = line.map_err(|error| Failure::failed(format_args!("the table broke off: {error}")))?;
            if is_terminal {
                output::line(&line)?
            } else {
                output::exactly(&line)?
            };
        }
        Ok(())
    }

    pub(super) fn values(&self, endpoint: &str, path: Option<&str>) -> Result<(), Failure> {
        let path = path.map(parse_path).transpose()?.map(|path| path.to_string());
        let known = self.client.values(endpoint, path.as_deref()).map_err(|error| self.refused(error))?;
        self.print(&known, || self.known(&known))
    }

    pub(super) fn fleet(&self) -> Result<(), Failure> {
        let fleet = self.client.fleet().map_err(|error| self.refused(error))?;
        self.print(&fleet, || counted(&fleet))
    }

    pub(super) fn rates(&self, minutes: u32) -> Result<(), Failure> {
        let rates = self.client.rates(minutes).map_err(|error| self.refused(error))?;
        self.print(&rates, || {
            let mut table = show::table(["WHAT", "IN ALL", "MOST A SECOND", "LAST STEP"]);
            let failures =
                rates.failures.iter().map(|(reason, counts)| (format!("failed: {reason}"), counts));
            for (name, counts) in
                rates.series.iter().map(|(name, counts)| (name.clone(), counts)).chain(failures)
            {
                let known = || counts.iter().flatten().copied();
                let total: u64 = known().map(u64::from).sum();
                let most = f64::from(known().max().unwrap_or(0)) / f64::from(rates.step_s.max(1));
                let last = counts.last().copied().flatten().map_or("-".to_owned(), |count| count.to_string());
                table.add_row([name, total.to_string(), format!("{most:.1}"), last]);
            }
            format!(
                "{}\nin steps of {} s, the first from {}",
                show::finish(&table),
                rates.step_s,
                show::moment(rates.from)
            )
        })
    }

    fn known(&self, known: &KnownValues) -> String {
        if known.items.is_empty() {
            return format!("nothing has been heard of {}'s Resources yet", known.endpoint);
        }
        let mut table = show::table(["PATH", "NAME", "VALUE", "TIME", "FROM"]);
        for item in &known.items {
            let definition =
                item.path.parse().ok().and_then(|path| self.definitions.resource(&known.endpoint, path));
            let (name, unit) = definition.map(|known| (known.name, known.units)).unwrap_or_default();
            let value = text(item);
            let value = unit.map_or(value.clone(), |unit| format!("{value} {unit}"));
            table.add_row([
                item.path.clone(),
                name,
                value,
                show::moment(item.time),
                item.source.name().to_owned(),
            ]);
        }
        show::finish(&table)
    }
}

fn text(value: &KnownValue) -> String {
    from_json(&value.value, value.kind)
}

/// The fleet in lines.
fn counted(fleet: &Fleet) -> String {
    let Fleet { registered, awake, asleep, late, lost, .. } = fleet;
    let mut lines = vec![format!(
        "{registered} registered: {awake} awake, {asleep} asleep; {late} of them late; {lost} lost"
    )];
    let kinds = [("LwM2M", &fleet.lwm2m), ("security", &fleet.security), ("binding", &fleet.bindings)];
    for (name, counts) in kinds {
        let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        lines.push(format!("{name}: {}", counts.join(", ")));
    }
    let firmware = fleet.firmware.iter().map(|one| format!("firmware {}: {}", one.value, one.count));
    let models = fleet.models.iter().map(|one| format!("{} {}: {}", one.manufacturer, one.model, one.count));
    let noisiest = fleet.noisiest.iter();
    let noisiest =
        noisiest.map(|one| format!("{}: {} messages a minute", one.endpoint, one.messages_per_minute));
    let lost = fleet
        .lost_devices
        .iter()
        .map(|one| format!("lost since {}: {}", show::moment(one.since), one.endpoint));
    let unknown = fleet.unknown.iter().map(|one| {
        let name = one.endpoint.as_deref().unwrap_or("no name");
        format!(
            "refused {} times, last {}: {name} from {}: {}",
            one.count,
            show::moment(one.last),
            one.address,
            one.reason
        )
    });
    lines.extend(firmware.chain(models).chain(noisiest).chain(lost).chain(unknown));
    lines.join("\n")
}

/// The list of devices.
fn listed(items: &[Endpoint], columns: &[&str]) -> String {
    if items.is_empty() {
        return "no device is registered that fits".to_owned();
    }
    let mut table = show::table(["ENDPOINT", "STATE", "LWM2M", "ADDRESS", "LIFETIME", "UPDATED"]);
    let mut head: Vec<String> =
        ["ENDPOINT", "STATE", "LWM2M", "ADDRESS", "LIFETIME", "UPDATED"].map(str::to_owned).to_vec();
    head.extend(columns.iter().map(|column| (*column).to_owned()));
    head.extend(columns.is_empty().then(|| "OBJECTS".to_owned()));
    table.set_header(head);
    for item in items {
        let mut row = vec![
            item.endpoint.clone(),
            item.state.name().to_owned(),
            item.lwm2m_version.clone(),
            item.address.clone(),
            format!("{} s", item.lifetime_s),
            show::moment(item.updated_at),
        ];
        let values = columns.iter().map(|column| item.values.get(*column).map(text).unwrap_or_default());
        row.extend(values);
        row.extend(columns.is_empty().then(|| objects(item)));
        table.add_row(row);
    }
    show::finish(&table)
}

fn objects(item: &Endpoint) -> String {
    let mut objects: Vec<&str> = Vec::new();
    for entry in &item.objects {
        let object = entry.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !objects.contains(&object) {
            objects.push(object);
        }
    }
    objects.join(" ")
}

/// Devices asked for at once.
const PAGE_LEN: u32 = 1000;
