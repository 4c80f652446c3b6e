//! `lightship ctl security` and `ctl handshakes`: how sessions are secured, how they came about, and what came to nothing.

use super::{Session, show};
use crate::cli::SecurityCommand;
use crate::failure::Failure;
use lightship_api::{Handshake, HandshakeResult, SecurityOverview, ServerIdentity, ServerRole};

impl Session<'_> {
    pub(super) fn security(&self, command: Option<&SecurityCommand>) -> Result<(), Failure> {
        match command {
            None => {
                let found = self.client.security().map_err(|error| self.refused(error))?;
                self.print(&found, || overview(&found))
            }
            Some(SecurityCommand::Failures) => {
                let found = self.client.security_failures().map_err(|error| self.refused(error))?;
                self.print(&found, || list(&found.items, "no failed handshake is remembered"))
            }
            Some(SecurityCommand::PublicKey { bootstrap, name }) => {
                let found = self.client.security().map_err(|error| self.refused(error))?;
                let wanted = if *bootstrap { ServerRole::Bootstrap } else { ServerRole::Lwm2m };
                let is = |own: &&ServerIdentity| {
                    own.server == wanted
                        && name.as_ref().map_or(own.names.is_empty(), |name| own.names.contains(name))
                };
                let none = || Failure::failed("the server has no such key");
                let own = found.identities.iter().find(is).ok_or_else(none)?;
                self.print(own, || own.public_key_pem.trim_end().to_owned())
            }
        }
    }

    pub(super) fn handshakes(&self, endpoint: &str) -> Result<(), Failure> {
        let found = self.client.handshakes(endpoint).map_err(|error| self.refused(error))?;
        self.print(&found, || list(&found.items, "no handshake of this device is remembered"))
    }
}

fn overview(found: &SecurityOverview) -> String {
    let yes_or_no =
        |yes: bool, meaning: &str, otherwise: &str| if yes { meaning } else { otherwise }.to_owned();
    let mut lines = vec![
        ("sessions", format!("{}, {} handshakes under way", found.sessions, found.handshakes)),
        ("no security", yes_or_no(found.allow_nosec, "allowed without a credential", "refused")),
        ("CID", yes_or_no(found.cid, "given", "not given")),
        ("RRC", yes_or_no(found.rrc, "offered", "not offered")),
        ("suites", found.cipher_suites.join(" ")),
        ("endpoints by", found.endpoint_rules.join(" ")),
    ];
    for own in &found.identities {
        let names =
            if own.names.is_empty() { String::new() } else { format!(" for {}", own.names.join(" ")) };
        let kept = if own.ephemeral { ", gone with the process" } else { "" };
        lines.push((role(own.server), format!("public key {}{names}{kept}", own.public_key_sha256)));
        if let Some(certificate) = &own.certificate {
            lines
                .push(("", format!("certificate {} of {}", certificate.sha256, certificate.names.join(" "))));
        }
    }
    for authority in &found.trust {
        lines.push(("trusts", format!("{} {}", authority.sha256, authority.names.join(" "))));
    }
    if found.key_log {
        lines.push(("warning", "the key log is on: whoever reads it reads every session".to_owned()));
    }
    lines.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}

fn role(server: ServerRole) -> &'static str {
    match server {
        ServerRole::Lwm2m => "server",
        ServerRole::Bootstrap => "bootstrap",
    }
}

fn list(items: &[Handshake], nothing: &str) -> String {
    if items.is_empty() {
        return nothing.to_owned();
    }
    let mut table =
        show::table(["TIME", "RESULT", "SERVER", "ENDPOINT", "MODE", "IDENTITY", "ADDRESS", "WHAT"]);
    for item in items {
        table.add_row([
            show::moment(item.last_at.unwrap_or(item.time)),
            result(item),
            role(item.server).to_owned(),
            item.endpoint.clone().unwrap_or_default(),
            item.mode.as_ref().map(show::json_name).unwrap_or_default(),
            item.identity.clone().unwrap_or_default(),
            item.address.clone(),
            what(item),
        ]);
    }
    show::finish(&table)
}

fn result(item: &Handshake) -> String {
    let word = match (item.result, item.resumed) {
        (HandshakeResult::Opened, Some(true)) => "resumed",
        (HandshakeResult::Opened, _) => "opened",
        (HandshakeResult::Failed, _) => "failed",
        (HandshakeResult::Closed, _) => "closed",
    };
    match item.count {
        Some(count) if count > 1 => format!("{word} {count} times"),
        _ => word.to_owned(),
    }
}

/// Why, or else with what.
pub(super) fn what(item: &Handshake) -> String {
    if let Some(reason) = &item.reason {
        return reason.clone();
    }
    let cid = item.cid.as_ref().map(|cid| format!("CID {cid}"));
    item.cipher_suite.iter().cloned().chain(cid).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stand_with_their_reasons_and_how_often() {
        let item: Handshake = serde_json::from_value(serde_json::json!({
            "time": "2026-01-01T00:00:00.000Z", "last_at": "2026-01-01T00:05:00.000Z", "result": "failed", "count": 3,
            "server": "bootstrap", "address": "192.0.2.1:4711", "mode": "psk", "identity": "pump-3",
            "reason": "unknown PSK identity 'pump-3'"
        }))
        .unwrap();
        let text = list(&[item], "");
        for part in
            ["00:05:00", "failed 3 times", "bootstrap", "psk", "pump-3", "unknown PSK identity 'pump-3'"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(list(&[], "none"), "none");
    }
}
