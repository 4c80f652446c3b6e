//! Object definitions: listed, compared, checked, added, taken away, and who uses them.

use lightship_api::{
    Model, ModelChange, ModelCheck, ModelDevices, ModelDiff, ModelResource, Models, Severity,
};

use super::show::{finish, table};
use super::{Session, input};
use crate::cli::ModelsCommand;
use crate::failure::Failure;

impl Session<'_> {
    pub(super) fn models(&self, command: ModelsCommand) -> Result<(), Failure> {
        match command {
            ModelsCommand::List { filter } => {
                let found = self.client.models(filter.as_deref()).map_err(|error| self.refused(error))?;
                self.print(&found, || models(&found))
            }
            ModelsCommand::Show { object, version } => {
                let found =
                    self.client.model(object, version.as_deref()).map_err(|error| self.refused(error))?;
                self.print(&found, || model(&found))
            }
            ModelsCommand::Diff { object, from, to } => {
                let found = self.client.model_diff(object, &from, to.as_deref());
                let found = found.map_err(|error| self.refused(error))?;
                self.print(&found, || diff(&found))
            }
            ModelsCommand::Check { files } => {
                let mut is_valid = true;
                for file in files {
                    let found = self
                        .client
                        .check_model(&input::bytes(&file)?)
                        .map_err(|error| self.refused(error))?;
                    is_valid &= found.valid;
                    self.print(&found, || format!("{}: {}", file.display(), findings(&found)))?;
                }
                if is_valid {
                    Ok(())
                } else {
                    Err(Failure::failed("there are errors, so it cannot be added"))
                }
            }
            ModelsCommand::Add { files } => {
                for file in files {
                    let added =
                        self.client.add_model(&input::bytes(&file)?).map_err(|error| self.refused(error))?;
                    self.print(&added, || models(&added))?;
                }
                Ok(())
            }
            ModelsCommand::Remove { object, version } => {
                self.client.delete_model(object, &version).map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || {
                    format!("object {object} version {version} is taken away")
                })
            }
            ModelsCommand::Devices { object, version } => self.users(object, version.as_deref()),
        }
    }

    /// All pages.
    fn users(&self, object: u16, version: Option<&str>) -> Result<(), Failure> {
        let page = |cursor: Option<&str>| {
            self.client.model_devices(object, version, cursor).map_err(|error| self.refused(error))
        };
        let mut found = page(None)?;
        while let Some(cursor) = found.next.take() {
            let more = page(Some(&cursor))?;
            found.items.extend(more.items);
            found.next = more.next;
        }
        self.print(&found, || users(&found))
    }
}

fn models(models: &Models) -> String {
    let mut table = table(["ID", "VERSIONS", "NAME", ""]);
    for model in &models.items {
        let loaded = if model.loaded { "loaded" } else { "" };
        table.add_row([&model.id.to_string(), &model.versions.join(" "), &model.name, loaded]);
    }
    finish(&table)
}

fn model(model: &Model) -> String {
    let instances = if model.multiple { "multiple instances" } else { "a single instance" };
    let head = format!("{} {}, version {}, {instances}", model.id, model.name, model.version);
    let urn = model.urn.as_ref().map(|urn| format!("\n{urn}")).unwrap_or_default();
    format!("{head}{urn}\n{}", resources("", &model.resources))
}

fn resources(mark: &str, resources: &[ModelResource]) -> String {
    let mut table = table(["ID", "NAME", "OP", "TYPE", "INSTANCES", "NEED", "RANGE", "UNIT"]);
    for resource in resources {
        table.add_row([
            format!("{mark}{}", resource.id),
            resource.name.clone(),
            resource.operations.clone(),
            resource.kind.map(|kind| kind.name().to_owned()).unwrap_or_default(),
            if resource.multiple { "multiple" } else { "single" }.to_owned(),
            if resource.mandatory { "mandatory" } else { "optional" }.to_owned(),
            resource.range.clone().unwrap_or_default(),
            resource.units.clone().unwrap_or_default(),
        ]);
    }
    finish(&table)
}

fn diff(diff: &ModelDiff) -> String {
    let mut lines = vec![format!("object {}: version {} → {}", diff.id, diff.from, diff.to)];
    lines.extend(diff.object.iter().map(change));
    if !diff.added.is_empty() {
        lines.push(resources("+", &diff.added));
    }
    if !diff.removed.is_empty() {
        lines.push(resources("-", &diff.removed));
    }
    for resource in &diff.changed {
        lines.push(format!("~{} {}", resource.id, resource.name));
        lines.extend(resource.changes.iter().map(change));
    }
    if lines.len() == 1 {
        lines.push("nothing differs".to_owned());
    }
    lines.join("\n")
}

fn change(change: &ModelChange) -> String {
    format!("  {}: {:?} → {:?}", change.field, change.from, change.to)
}

fn findings(check: &ModelCheck) -> String {
    if check.findings.is_empty() {
        return "nothing to complain about".to_owned();
    }
    let line = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let told = check.findings.iter().map(|found| {
        let place = if found.place.is_empty() { String::new() } else { format!(" {}:", found.place) };
        format!("\n  {}:{place} {}", line(found.severity), found.message)
    });
    told.collect()
}

fn users(found: &ModelDevices) -> String {
    let counts = found.versions.iter().map(|one| {
        let known = if one.known { "" } else { " (not known here)" };
        format!("{} with version {}{known}", one.devices, one.version)
    });
    let counts: Vec<String> = counts.collect();
    let mut table = table(["ENDPOINT", "VERSION", "INSTANCES"]);
    for item in &found.items {
        table.add_row([item.endpoint.clone(), item.version.clone(), item.instances.to_string()]);
    }
    let head = if counts.is_empty() { "no device has it".to_owned() } else { counts.join(", ") };
    format!("{head}\n{}", finish(&table))
}
