//! `lightship ctl session`, `tokens` and `audit`: who one is to the server, who else may come, and who did what.

use super::{Session, parse_duration, show};
use crate::cli::{AuditArguments, TokensCommand};
use crate::failure::Failure;
use lightship_api::client::AuditOptions;
use lightship_api::{Audit, AuditEntry, Caller, MadeToken, NewToken, Token};

impl Session<'_> {
    pub(super) fn session(&self) -> Result<(), Failure> {
        let caller = self.client.session().map_err(|error| self.refused(error))?;
        self.print(&caller, || who(&caller))
    }

    pub(super) fn tokens(&self, command: TokensCommand) -> Result<(), Failure> {
        match command {
            TokensCommand::List => {
                let found = self.client.tokens().map_err(|error| self.refused(error))?;
                self.print(&found, || list(&found.items))
            }
            TokensCommand::Create { name, role, expires } => {
                let expires_in_s = expires.as_deref().map(seconds).transpose()?;
                let new = NewToken { name, role: role.into(), expires_in_s };
                let made = self.client.create_token(&new).map_err(|error| self.refused(error))?;
                self.print(&made, || shown_once(&made))
            }
            TokensCommand::Delete { which } => {
                let id = self.token_id(&which)?;
                self.client.delete_token(&id).map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || format!("{which} is taken away"))
            }
        }
    }

    /// People know tokens by name, the API by id.
    fn token_id(&self, token: &str) -> Result<String, Failure> {
        let all = self.client.tokens().map_err(|error| self.refused(error))?.items;
        let found = all.iter().find(|known| known.id == token || known.name == token);
        Ok(found.map_or(token, |known| &known.id).to_owned())
    }

    pub(super) fn audit(&self, arguments: AuditArguments) -> Result<(), Failure> {
        let mut which = AuditOptions {
            endpoint: arguments.endpoint,
            actor: arguments.actor,
            from: arguments.from,
            to: arguments.to,
            ..AuditOptions::default()
        };
        let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
        let mut items: Vec<AuditEntry> = Vec::new();
        loop {
            which.limit = u32::try_from((limit - items.len()).min(1000)).ok();
            let page = self.client.audit(&which).map_err(|error| self.refused(error))?;
            items.extend(page.items);
            which.cursor = page.next;
            if which.cursor.is_none() || items.len() >= limit {
                break;
            }
        }
        let found = Audit { items, next: which.cursor };
        self.print(&found, || entries(&found.items))
    }
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    match days.and_then(|days| days.checked_mul(86_400)) {
        Some(seconds) => Ok(seconds),
        None => parse_duration(text).map(|span| span.as_secs()),
    }
}

fn who(caller: &Caller) -> String {
    let end = caller.expires_at.map_or_else(String::new, |end| format!(", until {}", show::moment(end)));
    format!("{} ({}{end})", caller.name, caller.role)
}

fn shown_once(made: &MadeToken) -> String {
    let end = made
        .token
        .expires_at
        .map_or_else(|| "until it is taken away".to_owned(), |end| format!("until {}", show::moment(end)));
    let token = &made.token;
    format!(
        "{}\n\n{:?} has the role {}, {end}. The token is shown this once.",
        made.secret, token.name, token.role
    )
}

fn list(items: &[Token]) -> String {
    if items.is_empty() {
        return "there is no token but that of the configuration".to_owned();
    }
    let mut table = show::table(["ID", "NAME", "ROLE", "MADE BY", "ENDS", "LAST USED"]);
    for item in items {
        let ends = item.expires_at.map_or_else(|| "-".to_owned(), show::moment);
        table.add_row([
            item.id.clone(),
            item.name.clone(),
            item.role.to_string(),
            item.created_by.clone(),
            if item.expired { format!("{ends} (over)") } else { ends },
            item.last_used_at.map_or_else(|| "-".to_owned(), show::moment),
        ]);
    }
    show::finish(&table)
}

fn entries(items: &[AuditEntry]) -> String {
    if items.is_empty() {
        return "nobody changed anything".to_owned();
    }
    let mut table = show::table(["TIME", "WHO", "WHAT", "ENDPOINT", "PATH", "STATUS", "CODE", "DETAIL"]);
    for item in items {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([
            show::moment(item.time),
            format!("{} ({})", item.actor, item.role),
            item.action.clone(),
            or_dash(&item.endpoint),
            or_dash(&item.path),
            item.status.map_or_else(|| "?".to_owned(), |status| status.to_string()),
            or_dash(&item.code),
            or_dash(&item.detail),
        ]);
    }
    show::finish(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lasts_days_or_less() {
        for (text, expected) in [("90d", 7_776_000), ("12h", 43_200), ("30s", 30)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        assert!(seconds("d").is_err() && seconds("1y").is_err());
    }
}
