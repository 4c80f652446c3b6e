//! `lightship ctl bootstrap`: documents, templates, plans and sessions.

use super::{Session, input, show};
use crate::cli::{BootstrapCommand, DocumentArguments, TemplatesCommand};
use crate::failure::Failure;
use crate::output;
use lightship_api::SecurityMode;
use lightship_api::bootstrap::{
    BootstrapAccount, BootstrapDocument, BootstrapEntry, BootstrapPlan, BootstrapSession, BootstrapStep,
    BootstrapTemplate, BootstrapTemplates,
};
use lightship_api::problem::without_values;
use serde::Serialize;

impl Session<'_> {
    pub(super) fn bootstrap(&self, command: BootstrapCommand) -> Result<(), Failure> {
        match command {
            BootstrapCommand::List { filter } => self.list(filter.as_deref()),
            BootstrapCommand::Get { endpoint } => {
                let document = self.client.bootstrap(&endpoint).map_err(|error| self.refused(error))?;
                as_json(&document)
            }
            BootstrapCommand::Put { endpoint, document } => {
                let document = read(&document)?;
                let kept = self.client.put_bootstrap(&endpoint, &document);
                let kept = kept.map_err(|error| self.refused(error))?;
                self.print(&kept, || format!("{endpoint} is given {}", summary(&kept)))
            }
            BootstrapCommand::Delete { endpoint } => {
                self.client.delete_bootstrap(&endpoint).map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || format!("{endpoint} has no document any more"))
            }
            BootstrapCommand::Plan { endpoint, format, lwm2m } => {
                let plan = self.client.bootstrap_plan(&endpoint, format.as_deref(), lwm2m.as_deref());
                let plan = plan.map_err(|error| self.refused(error))?;
                self.print(&plan, || plan_text(&plan))
            }
            BootstrapCommand::Sessions { endpoint, last } => {
                let mut sessions =
                    self.client.bootstrap_sessions(&endpoint).map_err(|error| self.refused(error))?;
                sessions.0.truncate(last.unwrap_or(usize::MAX));
                self.print(&sessions, || sessions_text(&sessions.0))
            }
            BootstrapCommand::Templates { command } => self.templates(command),
        }
    }

    fn list(&self, filter: Option<&str>) -> Result<(), Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.client.bootstrap_list(filter, cursor.as_deref());
            let page = page.map_err(|error| self.refused(error))?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.print(&serde_json::json!({ "items": items }), || entries_text(&items))
    }

    fn templates(&self, command: TemplatesCommand) -> Result<(), Failure> {
        match command {
            TemplatesCommand::List => {
                let found = self.client.bootstrap_templates().map_err(|error| self.refused(error))?;
                self.print(&found, || templates_text(&found))
            }
            TemplatesCommand::Get { name } => {
                let found = self.client.bootstrap_template(&name).map_err(|error| self.refused(error))?;
                as_json(&found)
            }
            TemplatesCommand::Put { name, pattern, document } => {
                let template = BootstrapTemplate { name: None, pattern, document: read(&document)? };
                let kept = self.client.put_bootstrap_template(&name, &template);
                let kept = kept.map_err(|error| self.refused(error))?;
                self.print(&kept, || format!("{} gives {}", kept.pattern, summary(&kept.document)))
            }
            TemplatesCommand::Delete { name } => {
                self.client.delete_bootstrap_template(&name).map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || format!("there is no template {name} any more"))
            }
        }
    }
}

/// Documents are JSON for people, too: what is printed can be changed and put back.
fn as_json(value: &impl Serialize) -> Result<(), Failure> {
    output::exactly(&serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

fn read(arguments: &DocumentArguments) -> Result<BootstrapDocument, Failure> {
    let Some(file) = &arguments.file else { return of_servers(arguments) };
    serde_json::from_str(&input::text(file)?).map_err(|error| {
        let what = without_values(&error.to_string());
        Failure::usage(format_args!("{} is no bootstrap document: {what}", file.display()))
    })
}

fn of_servers(arguments: &DocumentArguments) -> Result<BootstrapDocument, Failure> {
    let key = match &arguments.psk_key_file {
        Some(file) => Some(input::text(file)?.trim().to_owned()),
        None => arguments.psk_key.clone(),
    };
    let account = |(ssid, uri): (u16, &String)| {
        let account = BootstrapAccount::nosec(ssid, uri);
        BootstrapAccount {
            mode: if key.is_some() { SecurityMode::Psk } else { SecurityMode::Nosec },
            identity: arguments.psk_identity.clone(),
            key_hex: key.clone(),
            lifetime_s: arguments.lifetime.unwrap_or(account.lifetime_s),
            ..account
        }
    };
    let servers = (1..).zip(&arguments.servers).map(account).collect();
    Ok(BootstrapDocument { servers, ..BootstrapDocument::default() })
}

fn summary(document: &BootstrapDocument) -> String {
    let servers: Vec<_> = document.servers.iter().map(|server| server.uri.as_str()).collect();
    let more = match document.write.len() {
        0 => String::new(),
        1 => " and one node more".to_owned(),
        count => format!(" and {count} nodes more"),
    };
    if servers.is_empty() { format!("no server of the short form{more}") } else { servers.join(", ") + &more }
}

fn entries_text(items: &[BootstrapEntry]) -> String {
    if items.is_empty() {
        return "no device has a document of its own or has asked for one".to_owned();
    }
    let mut table = show::table(["ENDPOINT", "GIVEN BY", "LAST SESSION", "RESULT", "REASON"]);
    for item in items {
        table.add_row([
            item.endpoint.clone(),
            item.from.clone().unwrap_or_else(|| "nothing".to_owned()),
            item.last_session_at.map(show::moment).unwrap_or_default(),
            item.result.as_ref().map(show::json_name).unwrap_or_default(),
            item.reason.clone().unwrap_or_default(),
        ]);
    }
    show::finish(&table)
}

fn templates_text(found: &BootstrapTemplates) -> String {
    if found.items.is_empty() {
        return "there is no template".to_owned();
    }
    let mut table = show::table(["NAME", "PATTERN", "GIVES"]);
    for item in &found.items {
        table.add_row([item.name.clone().unwrap_or_default(), item.pattern.clone(), summary(&item.document)]);
    }
    show::finish(&table)
}

fn plan_text(plan: &BootstrapPlan) -> String {
    let mut out = format!("from {}; taken for granted: {}\n", plan.from, plan.assumes);
    out.push_str(&steps_text(&plan.steps));
    for note in &plan.notes {
        out.push_str(&format!("\nnote: {note}"));
    }
    if let Some(reason) = &plan.refused {
        out.push_str(&format!("\nnothing more would be sent: {reason}"));
    }
    out
}

fn sessions_text(sessions: &[BootstrapSession]) -> String {
    if sessions.is_empty() {
        return "no session is kept".to_owned();
    }
    let one = |session: &BootstrapSession| {
        let mut out = format!("{}  {}", show::moment(session.started_at), show::json_name(&session.result));
        if let Some(reason) = &session.reason {
            out.push_str(&format!(": {reason}"));
        }
        let more = [
            ("from", &session.from),
            ("LwM2M", &session.lwm2m_version),
            ("prefers", &session.preferred_format),
        ];
        let more = more.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        let more: Vec<_> = std::iter::once(format!("at {}", session.address)).chain(more).collect();
        out.push_str(&format!("\n{}\n", more.join(", ")));
        out.push_str(&steps_text(&session.steps));
        for note in &session.notes {
            out.push_str(&format!("\nnote: {note}"));
        }
        out
    };
    sessions.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn steps_text(steps: &[BootstrapStep]) -> String {
    if steps.is_empty() {
        return "no step".to_owned();
    }
    let mut table = show::table(["STEP", "PATH", "FORMAT", "BYTES", "ANSWER", "MS", ""]);
    for step in steps {
        let again = step.attempts.map(|attempts| format!("begun {attempts} times"));
        table.add_row([
            step.operation.clone(),
            format!("{} {}", step.method, step.path),
            step.format.clone().unwrap_or_default(),
            step.payload_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            step.code.clone().unwrap_or_default(),
            step.elapsed_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            step.detail.iter().cloned().chain(again).collect::<Vec<_>>().join(", "),
        ]);
    }
    show::finish(&table)
}
