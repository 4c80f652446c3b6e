//! `lightship ctl credentials`: how devices may prove who they are.

use super::{Session, input, show};
use crate::cli::{CredentialsCommand, ProofArguments};
use crate::failure::Failure;
use lightship_api::client::{ClientError, CredentialSet};
use lightship_api::problem::without_values;
use lightship_api::{Credential, CredentialImport, ProblemType, SecurityMode};
use std::path::PathBuf;

impl Session<'_> {
    pub(super) fn credentials(&self, command: CredentialsCommand) -> Result<(), Failure> {
        match command {
            CredentialsCommand::List { filter, bootstrap } => {
                self.list_credentials(set(bootstrap), filter.as_deref())
            }
            CredentialsCommand::Get { endpoint, bootstrap } => {
                let found = self.client.credential(set(bootstrap), &endpoint);
                let found = found.map_err(|error| self.refused(error))?;
                self.print(&found, || one(&found))
            }
            CredentialsCommand::Put { endpoint, proof, bootstrap } => {
                let credential = read(&proof)?;
                let kept = self.client.put_credential(set(bootstrap), &endpoint, &credential);
                let kept = kept.map_err(|error| {
                    let keyless = credential.key_set == Some(true) && is_unusable(&error);
                    match self.refused(error) {
                        Failure::Failed(message) if keyless => Failure::failed(format_args!(
                            "{message}\nThe server has no key of this device that could stay: give one with --psk-key or --psk-key-file."
                        )),
                        failure @ (Failure::Failed(_) | Failure::Usage(_) | Failure::OutputClosed) => failure,
                    }
                })?;
                self.print(&kept, || one(&kept))
            }
            CredentialsCommand::Import { file, dry_run, bootstrap } => {
                let table = input::public_text(&file)?;
                let done = self.client.import_credentials(set(bootstrap), table.as_bytes(), dry_run);
                let done = done.map_err(|error| self.refused(error))?;
                self.print(&done, || imported(&done))?;
                match done.refused {
                    0 => Ok(()),
                    1 => Err(Failure::failed(format_args!("1 row is wrong, and nothing of it is kept"))),
                    more => Err(Failure::failed(format_args!(
                        "{more} rows are wrong, and nothing of them is kept"
                    ))),
                }
            }
            CredentialsCommand::Delete { endpoint, bootstrap } => {
                let gone = self.client.delete_credential(set(bootstrap), &endpoint);
                gone.map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || format!("{endpoint} has no credential any more"))
            }
        }
    }

    fn list_credentials(&self, set: CredentialSet, filter: Option<&str>) -> Result<(), Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.client.credentials(set, filter, cursor.as_deref());
            let page = page.map_err(|error| self.refused(error))?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.print(&serde_json::json!({ "items": items }), || list(&items))
    }
}

fn is_unusable(error: &ClientError) -> bool {
    matches!(error, ClientError::Problem(problem) if problem.is(ProblemType::InvalidCredential))
}

fn set(bootstrap: bool) -> CredentialSet {
    if bootstrap { CredentialSet::Bootstrap } else { CredentialSet::Server }
}

fn read(arguments: &ProofArguments) -> Result<Credential, Failure> {
    if let Some(file) = &arguments.file {
        let text = input::public_text(file)?;
        return serde_json::from_str(&text).map_err(|error| {
            let what = without_values(&error.to_string());
            Failure::usage(format_args!("{} is no credential: {what}", file.display()))
        });
    }
    let pem = |file: &Option<PathBuf>, label| file.as_deref().map(|file| input::pem(file, label)).transpose();
    Ok(if let Some(identity) = &arguments.psk_identity {
        let key = match &arguments.psk_key_file {
            Some(file) => Some(input::text(file)?.trim().to_owned()),
            None => arguments.psk_key.clone(),
        };
        Credential {
            identity: Some(identity.clone()),
            // Without a key the one that is kept stays.
            key_set: key.is_none().then_some(true),
            key_hex: key,
            ..Credential::of(SecurityMode::Psk)
        }
    } else if arguments.rpk.is_some() {
        Credential { public_key_pem: pem(&arguments.rpk, "PUBLIC KEY")?, ..Credential::of(SecurityMode::Rpk) }
    } else if arguments.nosec {
        Credential::of(SecurityMode::Nosec)
    } else {
        Credential {
            certificate_pem: pem(&arguments.certificate, "CERTIFICATE")?,
            name: arguments.name.clone(),
            ..Credential::of(SecurityMode::X509)
        }
    })
}

fn one(item: &Credential) -> String {
    let mut lines = vec![
        ("endpoint", item.endpoint.clone().unwrap_or_default()),
        ("mode", show::json_name(&item.mode)),
        ("proves", proof(item)),
        ("changed", item.changed_at.map(show::moment).unwrap_or_default()),
    ];
    lines.extend(item.certificate.iter().flat_map(|certificate| super::certificate::lines(certificate)));
    lines.extend(item.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}

fn imported(done: &CredentialImport) -> String {
    let mut lines: Vec<String> = done
        .rows
        .iter()
        .flat_map(|row| {
            let endpoint = row.endpoint.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
            let column = row.column.as_deref().map(|column| format!(" {column}:")).unwrap_or_default();
            let wrong = row.reason.iter().map(move |reason| format!("{column} {reason}"));
            let unwise = row.warnings.iter().map(|warning| format!(" {warning}"));
            wrong.chain(unwise).map(move |what| format!("line {}{endpoint}:{what}", row.line))
        })
        .collect();
    let would = if done.dry_run { "would be " } else { "" };
    lines.push(format!(
        "{} {would}created, {} {would}replaced, {} refused",
        done.created, done.replaced, done.refused
    ));
    lines.join("\n")
}

fn list(items: &[Credential]) -> String {
    if items.is_empty() {
        return "no device has a credential".to_owned();
    }
    let mut table = show::table(["ENDPOINT", "MODE", "PROVES", "CHANGED"]);
    for item in items {
        table.add_row([
            item.endpoint.clone().unwrap_or_default(),
            show::json_name(&item.mode),
            proof(item),
            item.changed_at.map(show::moment).unwrap_or_default(),
        ]);
    }
    show::finish(&table)
}

fn proof(item: &Credential) -> String {
    let identity = item.identity.as_ref().map(|text| format!("identity {text:?}"));
    let hex = item.identity_hex.as_ref().map(|hex| format!("identity 0x{hex}"));
    let key = item.public_key_sha256.as_ref().map(|sha256| format!("public key {sha256}"));
    let certificate = item.certificate_sha256.as_ref().map(|sha256| format!("certificate {sha256}"));
    let name = item.name.as_ref().map(|name| format!("a trusted certificate with the name {name:?}"));
    identity.or(hex).or(key).or(certificate).or(name).unwrap_or_else(|| match item.mode {
        SecurityMode::X509 => "a trusted certificate with the endpoint's name".to_owned(),
        SecurityMode::Nosec | SecurityMode::Psk | SecurityMode::Rpk => "nothing".to_owned(),
    })
}
