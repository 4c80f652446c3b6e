//! `lightship ctl certificate`: what certificates and public keys mean.

use lightship_api::{Certificate, Explanation, PublicKey};

use super::{Session, input, show};
use crate::cli::CertificateCommand;
use crate::failure::Failure;

impl Session<'_> {
    pub(super) fn certificate(&self, command: &CertificateCommand) -> Result<(), Failure> {
        let found = match command {
            CertificateCommand::Explain { file, endpoint } => {
                self.client.explain_certificate(&input::public(file)?, endpoint.as_deref())
            }
            CertificateCommand::Show { endpoint } => self.client.endpoint_certificate(endpoint),
        };
        let found = found.map_err(|error| self.refused(error))?;
        self.print(&found, || in_words(&found))
    }
}

fn in_words(found: &Explanation) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (at, certificate) in found.certificates.iter().enumerate() {
        let mut lines = lines(certificate);
        let signed = match (certificate.self_signed, certificate.signed_by) {
            (true, _) => "by itself".to_owned(),
            (false, Some(by)) => format!("by certificate {}", by + 1),
            (false, None) => "by none of these".to_owned(),
        };
        lines.push(("signed", format!("{signed}, {}", certificate.signature_algorithm)));
        let mut text = table(&lines);
        if found.certificates.len() > 1 {
            text = format!("certificate {}\n{text}", at + 1);
        }
        parts.push(text);
    }
    parts.extend(found.public_key.as_ref().map(|key| table(&of_key(key))));
    let mut whole = Vec::new();
    if let Some(trusted) = found.trusted {
        let reason = found.trust_reason.clone().unwrap_or_default();
        whole.push(("trusted", if trusted { "yes".to_owned() } else { format!("no: {reason}") }));
        whole.push(("stands for", some(&found.endpoints, "no endpoint")));
    }
    whole.extend(found.warnings.iter().map(|warning| {
        let which = warning.certificate.filter(|_| found.certificates.len() > 1);
        let which = which.map(|at| format!("certificate {}: ", at + 1)).unwrap_or_default();
        ("warning", format!("{which}{}", warning.text))
    }));
    if !whole.is_empty() {
        parts.push(table(&whole));
    }
    parts.join("\n\n")
}

/// What one certificate says, line by line.
pub(super) fn lines(found: &Certificate) -> Vec<(&'static str, String)> {
    let left = match found.days_left {
        0 => "less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        days if days >= 0 => format!("{days} days left"),
        _ => "over".to_owned(),
    };
    let mut names = some(&found.alternative_names, "");
    if found.alternative_names_left_out > 0 {
        names = format!("{names} and {} more", found.alternative_names_left_out);
    }
    let role = match (found.authority, found.path_length) {
        (false, _) => "no authority".to_owned(),
        (true, None) => "an authority".to_owned(),
        (true, Some(below)) => format!("an authority, {below} below it at most"),
    };
    let usage = |said: &Option<Vec<String>>| said.as_ref().map_or("any".to_owned(), |all| some(all, "none"));
    let mut lines = vec![
        ("subject", some_text(&found.subject, "nobody")),
        ("issuer", some_text(&found.issuer, "nobody")),
        ("names", names),
        ("serial", found.serial.clone()),
        (
            "valid",
            format!("{} to {}, {left}", show::moment(found.valid_from), show::moment(found.valid_until)),
        ),
        ("role", role),
        ("key usage", usage(&found.key_usage)),
        ("extended", usage(&found.extended_key_usage)),
        ("SHA-256", found.sha256.clone()),
    ];
    lines.extend(of_key(&found.public_key));
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

fn of_key(key: &PublicKey) -> Vec<(&'static str, String)> {
    let bits = key.bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
    let curve = key.curve.as_ref().map(|curve| format!(" {curve}")).unwrap_or_default();
    let fits = if key.supported { "" } else { ", not for devices here" };
    vec![
        ("key", format!("{}{curve}{bits}{fits}", key.kind)),
        ("key SHA-256", key.sha256.clone()),
        ("key hex", key.spki_hex.clone()),
    ]
}

fn some(all: &[String], nothing: &str) -> String {
    some_text(&all.join(" "), nothing)
}

fn some_text(text: &str, nothing: &str) -> String {
    if text.is_empty() { nothing.to_owned() } else { text.to_owned() }
}

fn table(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}
