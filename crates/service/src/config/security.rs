//! Section `[security]`: who may come, and how sessions are secured.

use std::path::PathBuf;
use std::time::Duration;

use lightship_dtls::Suite;

use super::{ConfigError, OneOrMany, RawSecurity, number, rate};

/// Who may come, and how sessions are secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Whether devices without a credential may come without security.
    pub allow_nosec: bool,
    /// What seals credentials in the store.
    pub seal_key: SealKey,
    /// What the server proves itself with; one without names first.
    pub keys: Vec<KeyPair>,
    /// Whether key pairs are made where none is given, for trying out.
    pub self_made_keys: bool,
    /// Files of authorities whose certificates devices may present.
    pub trust_files: Vec<PathBuf>,
    /// How the name of an endpoint is found in what a device presents, in this order.
    pub endpoint_rules: Vec<Rule>,
    /// Whether a device with a trusted certificate may come that has no credential.
    pub accept_trusted: bool,
    /// Cipher suites, the preferred first.
    pub suites: Vec<Suite>,
    /// Whether devices get a connection ID.
    pub cid: bool,
    /// Whether the return routability check is offered.
    pub rrc: bool,
    /// Whether devices without the extended master secret are refused.
    pub require_ems: bool,
    /// How long a session can be resumed; zero = never.
    pub resumption: Duration,
    /// Sessions that a shard holds.
    pub sessions_max: usize,
    /// Handshakes under way at a shard.
    pub handshakes_max: usize,
    /// Handshakes under way at a shard from one address.
    pub handshakes_per_address: u32,
    /// Handshakes under way at a shard from one network.
    pub handshakes_per_network: u32,
    /// Handshakes begun in a minute at a shard from one address.
    pub handshakes_a_minute_per_address: u32,
    /// Handshakes begun in a minute at a shard from one network.
    pub handshakes_a_minute_per_network: u32,
    /// Handshakes in a minute at a shard in which the same identity was proven; 0 = no limit.
    pub handshakes_a_minute_per_identity: u32,
    /// Verdicts on chains of certificates that are kept; 0 = each is judged anew.
    pub verdicts_max: usize,
    /// Within what time a server that was stopped in order may go on with its sessions; zero = never.
    pub hand_over: Duration,
    /// File that secrets of sessions are written to.
    pub key_log_file: Option<PathBuf>,
}

/// A private key and what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The names (SNI) that it is for; empty: for who names none of the others.
    pub names: Vec<String>,
    /// The private key, PEM or DER.
    pub key_file: PathBuf,
    /// The certificates in PEM, its own first.
    pub certificate_file: Option<PathBuf>,
}

/// How the name of an endpoint is found in what a device presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whoever is authenticated may use any name.
    Any,
    /// What the field says, between these texts.
    Of {
        /// Which field.
        field: Field,
        /// What stands before it.
        before: String,
        /// What stands behind it.
        behind: String,
    },
}

/// A field of what a device presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The PSK identity.
    Identity,
    /// The common name of a certificate's subject.
    CommonName,
    /// A DNS name of a certificate's subject.
    DnsName,
    /// A URI of a certificate's subject.
    Uri,
}

/// Where the key is that seals credentials in the store.
#[derive(Clone, PartialEq, Eq)]
pub enum SealKey {
    /// In the folder of the store, made there at the first start; without a folder nothing outlives the process.
    OfFolder,
    /// In this file.
    File(PathBuf),
    /// This text, 64 hex digits.
    Text(String),
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SealKey::OfFolder => f.write_str("OfFolder"),
            SealKey::File(path) => write!(f, "File({})", path.display()),
            SealKey::Text(_) => f.write_str("Text"),
        }
    }
}

impl std::str::FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Rule, String> {
        if text == "any" {
            return Ok(Rule::Any);
        }
        let plain = |field| Rule::Of { field, before: String::new(), behind: String::new() };
        if let Some((_, field)) = FIELDS.iter().find(|(name, _)| *name == text) {
            return Ok(plain(*field));
        }
        for (name, field) in FIELDS {
            if let Some((before, behind)) = text.split_once(&format!("{{{name}}}"))
                && !behind.contains(['{', '}'])
                && !before.contains(['{', '}'])
            {
                return Ok(Rule::Of { field, before: before.to_owned(), behind: behind.to_owned() });
            }
        }
        Err(format!(
            "{text:?} is no rule; a rule is one of identity cn san-dns san-uri, a pattern with one of them such as urn:dev:{{cn}}, or any"
        ))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rule::Of { field, before, behind } = self else { return f.write_str("any") };
        let name = FIELDS.iter().find(|(_, known)| known == field).map_or("", |(name, _)| *name);
        if before.is_empty() && behind.is_empty() {
            return f.write_str(name);
        }
        write!(f, "{before}{{{name}}}{behind}")
    }
}

impl Security {
    /// Checks what people wrote.
    pub(super) fn read(raw: RawSecurity, dev: bool) -> Result<Security, ConfigError> {
        let seconds = |key, value, default, max| number(key, value, default, 0, max).map(Duration::from_secs);
        let count = |key, value, default| {
            number(key, value, default, 1, 100_000_000)
                .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        let small =
            |key, value, default| count(key, value, default).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let one = key_pair("security.certificate_file", raw.key_file, raw.certificate_file)?;
        let others = raw.servers.unwrap_or_default().into_iter().map(|server| KeyPair {
            names: server.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            key_file: server.key_file,
            certificate_file: server.certificate_file,
        });
        let keys: Vec<KeyPair> = one.into_iter().chain(others).collect();
        if keys.iter().skip(1).any(|pair| pair.names.is_empty()) {
            let message = "each further key pair needs the names that it is for".to_owned();
            return Err(ConfigError::Value { key: "security.servers", message });
        }
        Ok(Security {
            allow_nosec: raw.allow_nosec.unwrap_or(dev),
            seal_key: seal_key(raw.seal_key, raw.seal_key_file)?,
            keys,
            self_made_keys: dev,
            trust_files: raw.trust_files.map(paths).unwrap_or_default(),
            endpoint_rules: rules(raw.endpoint_rules)?,
            accept_trusted: raw.accept_trusted.unwrap_or(false),
            suites: suites(raw.suites, raw.cbc.unwrap_or(false))?,
            cid: raw.cid.unwrap_or(true),
            rrc: raw.rrc.unwrap_or(true),
            require_ems: raw.require_ems.unwrap_or(false),
            resumption: seconds("security.resumption_s", raw.resumption_s, 86_400, 7 * 86_400)?,
            sessions_max: count("security.sessions_max", raw.sessions_max, 1_000_000)?,
            handshakes_max: count("security.handshakes_max", raw.handshakes_max, 4096)?,
            handshakes_per_address: small(
                "security.handshakes_per_address",
                raw.handshakes_per_address,
                1024,
            )?,
            handshakes_per_network: small(
                "security.handshakes_per_network",
                raw.handshakes_per_network,
                2048,
            )?,
            handshakes_a_minute_per_address: small(
                "security.handshakes_a_minute_per_address",
                raw.handshakes_a_minute_per_address,
                12_000,
            )?,
            handshakes_a_minute_per_network: small(
                "security.handshakes_a_minute_per_network",
                raw.handshakes_a_minute_per_network,
                60_000,
            )?,
            handshakes_a_minute_per_identity: rate(
                "security.handshakes_a_minute_per_identity",
                raw.handshakes_a_minute_per_identity,
                60,
            )?,
            verdicts_max: number("security.verdicts_max", raw.verdicts_max, 4096, 0, 1_000_000)
                .map(|count| usize::try_from(count).unwrap_or(usize::MAX))?,
            hand_over: seconds("security.hand_over_s", raw.hand_over_s, 600, 86_400)?,
            key_log_file: raw.key_log_file,
        })
    }
}

/// A key pair, if there is one.
pub(super) fn key_pair(
    key: &'static str,
    key_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
) -> Result<Option<KeyPair>, ConfigError> {
    match (key_file, certificate_file) {
        (Some(key_file), certificate_file) => {
            Ok(Some(KeyPair { names: Vec::new(), key_file, certificate_file }))
        }
        (None, Some(_)) => {
            let message = "a certificate needs its private key: give key_file, too".to_owned();
            Err(ConfigError::Value { key, message })
        }
        (None, None) => Ok(None),
    }
}

pub(super) fn paths(texts: OneOrMany) -> Vec<PathBuf> {
    texts.into_vec().into_iter().map(PathBuf::from).collect()
}

fn seal_key(text: Option<String>, file: Option<PathBuf>) -> Result<SealKey, ConfigError> {
    match (text, file) {
        (Some(_), Some(_)) => {
            let message = "give either the key or a file with it".to_owned();
            Err(ConfigError::Value { key: "security.seal_key_file", message })
        }
        (Some(text), None) => Ok(SealKey::Text(text)),
        (None, Some(path)) => Ok(SealKey::File(path)),
        (None, None) => Ok(SealKey::OfFolder),
    }
}

fn rules(raw: Option<OneOrMany>) -> Result<Vec<Rule>, ConfigError> {
    let texts = raw.map_or_else(|| RULES_DEFAULT.map(str::to_owned).to_vec(), OneOrMany::into_vec);
    let wrong = |message| ConfigError::Value { key: "security.endpoint_rules", message };
    texts.iter().map(|text| text.parse().map_err(wrong)).collect()
}

fn suites(raw: Option<OneOrMany>, cbc: bool) -> Result<Vec<Suite>, ConfigError> {
    let wrong = |message| ConfigError::Value { key: "security.suites", message };
    let Some(texts) = raw.map(OneOrMany::into_vec) else {
        return Ok(Suite::ALL.into_iter().filter(|suite| cbc || suite.aead().is_some()).collect());
    };
    let mut suites = Vec::new();
    for text in &texts {
        let number = text.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let suite = match number {
            Some(number) => Suite::from_number(number),
            None => Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(text)),
        };
        let suite = suite.ok_or_else(|| {
            let known: Vec<_> = Suite::ALL.iter().map(|suite| suite.name()).collect();
            wrong(format!("{text:?} is not known; known are {}", known.join(" ")))
        })?;
        if suite.aead().is_none() && !cbc {
            return Err(wrong(format!("{} has CBC; that needs security.cbc = true, too", suite.name())));
        }
        if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    if suites.is_empty() { Err(wrong("at least one suite is needed".to_owned())) } else { Ok(suites) }
}

const FIELDS: [(&str, Field); 4] = [
    ("identity", Field::Identity),
    ("cn", Field::CommonName),
    ("san-dns", Field::DnsName),
    ("san-uri", Field::Uri),
];
const RULES_DEFAULT: [&str; 3] = ["cn", "san-uri", "san-dns"];

#[cfg(test)]
mod tests {
    use super::super::{Config, RawConfig};
    use super::*;

    fn read(text: &str) -> Result<Security, ConfigError> {
        let raw = RawConfig::from_toml(
            &format!("[api]\ntoken = \"0123456789abcdef\"\n[security]\n{text}"),
            "test",
        )?;
        Config::from_raw(raw).map(|config| config.security)
    }

    #[test]
    fn rules_are_fields_and_patterns_around_them() {
        for (text, value, name) in [
            ("cn", "a", "a"),
            ("urn:dev:{identity}", "7", "urn:dev:7"),
            ("{san-dns}:lamp", "x.example", "x.example:lamp"),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            let Rule::Of { before, behind, .. } = rule else { panic!("a pattern") };
            assert_eq!(format!("{before}{value}{behind}"), name);
        }
        assert_eq!("any".parse(), Ok(Rule::Any));
        for bad in ["", "CN", "urn:dev:", "{cn}{identity}", "{ou}", "{cn"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn suites_with_cbc_need_their_switch() {
        assert!(read("").unwrap().suites.iter().all(|suite| suite.aead().is_some()));
        let with = read("cbc = true").unwrap().suites;
        assert_eq!(with.len(), Suite::ALL.len());
        assert_eq!(with.last(), Some(&Suite::PskAes128Cbc), "behind all others");
        let error = read("suites = [\"0x00AE\"]").unwrap_err().to_string();
        assert!(error.contains("security.cbc = true"), "{error}");
        let one = read("suites = [\"0xc0a8\", \"TLS_PSK_WITH_AES_128_GCM_SHA256\", \"0xC0A8\"]").unwrap();
        assert_eq!(one.suites, [Suite::PskAes128Ccm8, Suite::PskAes128Gcm]);
        for bad in ["suites = []", "suites = [\"0x0001\"]", "suites = [\"NULL\"]"] {
            assert!(read(bad).unwrap_err().to_string().starts_with("security.suites"), "{bad}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (text, key) in [
            ("certificate_file = \"x\"", "security.certificate_file"),
            ("seal_key = \"x\"\nseal_key_file = \"y\"", "security.seal_key_file"),
            ("endpoint_rules = [\"name\"]", "security.endpoint_rules"),
            ("key_file = \"k\"\nservers = [{ names = [], key_file = \"x\" }]", "security.servers"),
            ("handshakes_max = 0", "security.handshakes_max"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(key), "{text}: {error}");
        }
        assert!(read("servers = [{ names = [\"a\"], key = \"x\" }]").is_err(), "an unknown member");
    }
}
