use super::fields::FIELDS;
use super::*;

fn flags(text: &str) -> RawConfig {
    RawConfig::from_toml(text, "test").unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

const TOKEN: (&str, &str) = ("LIGHTSHIP_API__TOKEN", "0123456789abcdef");

#[test]
fn a_flag_outranks_the_environment_which_outranks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lightship.toml");
    std::fs::write(&file, "[limits]\nevents_kept = 1\ninbox_len = 1\nwait_max_s = 1\n").unwrap();
    let environment = variables(&[
        TOKEN,
        ("LIGHTSHIP_LIMITS__INBOX_LEN", "2"),
        ("LIGHTSHIP_LIMITS__WAIT_MAX_S", "2"),
        ("LIGHTSHIP_URL", "x"),
    ]);
    let config = Config::load(Some(&file), environment, flags("[limits]\nwait_max_s = 3")).unwrap();
    assert_eq!(config.limits.events_kept, 1);
    assert_eq!(config.limits.inbox_len, 2);
    assert_eq!(config.limits.wait_max, Duration::from_secs(3));
}

#[test]
fn lists_come_from_the_environment_separated_by_commas() {
    let environment = variables(&[TOKEN, ("LIGHTSHIP_LISTEN__COAP", "127.0.0.1:1, [::1]:2")]);
    let config = Config::load(None, environment, RawConfig::default()).unwrap();
    assert_eq!(config.listen.coap, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
}

#[test]
fn the_sealing_key_has_a_short_name_and_is_not_printed() {
    for name in ["LIGHTSHIP_SEAL_KEY", "LIGHTSHIP_SECURITY__SEAL_KEY"] {
        let key = "0123456789abcdef".repeat(4);
        let config = Config::load(None, variables(&[TOKEN, (name, &key)]), RawConfig::default()).unwrap();
        assert_eq!(config.security.seal_key, SealKey::Text(key));
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    assert!(RawConfig::from_toml("[listen]\ncaop = \"x\"", "file").unwrap_err().to_string().contains("caop"));
    assert!(RawConfig::from_toml("[lisen]\n", "file").is_err());
    let error = RawConfig::from_environment(variables(&[("LIGHTSHIP_LISTEN__CAOP", "x")])).unwrap_err();
    assert!(error.to_string().contains("LIGHTSHIP_LISTEN__CAOP"), "{error}");
}

#[test]
fn wrong_values_are_named() {
    for (text, key) in [
        ("[listen]\ncoap = \"nonsense\"", "listen.coap"),
        ("[listen]\nhttp = [\"none\", \"127.0.0.1:1\"]", "listen.http"),
        ("[listen]\nshards = 0", "listen.shards"),
        ("[listen]\nshards = 65", "listen.shards"),
        ("[registration]\nrebinding = \"maybe\"", "registration.rebinding"),
        ("[api]\ntoken = \"short\"", "api.token"),
        ("[limits]\ninbox_len = 0", "limits.inbox_len"),
    ] {
        let raw = flags("[api]\ntoken = \"0123456789abcdef\"").under(flags(text));
        let error = Config::from_raw(raw).unwrap_err().to_string();
        assert!(error.starts_with(key), "{text}: {error}");
    }
}

#[test]
fn registrations_follow_their_devices_only_where_that_is_asked_for() {
    let dev = RawConfig { dev: Some(true), ..RawConfig::default() };
    assert_eq!(Config::from_raw(dev.clone()).unwrap().registration.rebinding, Rebinding::Refuse);
    let follow = dev.under(flags("[registration]\nrebinding = \"follow\""));
    assert_eq!(Config::from_raw(follow).unwrap().registration.rebinding, Rebinding::Follow);
}

#[test]
fn without_dev_there_must_be_a_token_and_security() {
    assert!(Config::from_raw(RawConfig::default()).unwrap_err().to_string().contains("token"));
    let config = Config::from_raw(flags("[api]\ntoken = \"0123456789abcdef\"")).unwrap();
    assert!(!config.security.allow_nosec);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn dev_stays_on_loopback() {
    let dev = RawConfig { dev: Some(true), ..RawConfig::default() };
    let config = Config::from_raw(dev.clone()).unwrap();
    assert!(config.security.allow_nosec && config.api.token.is_none());
    assert_eq!(config.listen.coap, ["127.0.0.1:5683".parse().unwrap()]);
    assert!(Config::from_raw(dev.under(flags("[listen]\nhttp = \"0.0.0.0:80\""))).is_err());
}

// Proves: COA-21
#[test]
fn devices_are_listened_for_at_the_usual_ports_unless_others_are_named() {
    let ports = |text: &str| {
        let config =
            Config::from_raw(flags("[api]\ntoken = \"0123456789abcdef\"").under(flags(text))).unwrap();
        let of = |addresses: &[SocketAddr]| addresses.iter().map(|one| one.port()).collect::<Vec<_>>();
        (of(&config.listen.coap), of(&config.listen.coaps))
    };
    assert_eq!(ports(""), (vec![5683], vec![5684]));
    let other = "[listen]\ncoap = [\"127.0.0.1:61616\", \"127.0.0.1:7\"]\ncoaps = \"[::1]:99\"";
    assert_eq!(ports(other), (vec![61616, 7], vec![99]));
}

#[test]
fn none_switches_a_listener_off_and_then_needs_no_token() {
    let config = Config::from_raw(flags("[listen]\nhttp = \"none\"")).unwrap();
    assert!(config.listen.http.is_empty());
}

#[test]
fn the_sample_file_says_the_truth_about_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/lightship.toml");
    if std::env::var_os("LIGHTSHIP_WRITE_SAMPLE").is_some() {
        std::fs::write(path, sample()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    let stale =
        "lightship.toml is stale; run: LIGHTSHIP_WRITE_SAMPLE=1 cargo test -p lightship-service sample";
    assert!(kept == sample(), "{stale}");
    let mut active = String::new();
    for line in kept.lines() {
        let key = line.strip_prefix("# ").unwrap_or(line);
        let is_value =
            FIELDS.iter().any(|field| key.starts_with(&format!("{} = ", field.key))) && !key.ends_with('>');
        active.push_str(if is_value { key } else { line });
        active.push('\n');
    }
    let token = flags("[api]\ntoken = \"0123456789abcdef\"");
    let explicit = Config::from_raw(token.clone().under(flags(&active))).unwrap();
    assert_eq!(explicit, Config::from_raw(token).unwrap());
    assert!(active.contains("\ninbox_len = 1024\n"));
}

#[test]
fn the_page_about_security_has_every_key_as_it_is() {
    const PAGE: &str = include_str!("../../../../docs/security.md");
    for field in FIELDS.iter().filter(|field| field.section == "security") {
        let words = field.default.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        let default = words.map_or_else(|| format!("`{}`", field.default), str::to_owned);
        let row = format!("| `{}` | {default} | {} |\n", field.key, field.about);
        assert!(PAGE.contains(&row), "docs/security.md lacks this row:\n{row}");
    }
}

// Proves: SEC-08
#[test]
fn what_is_no_toml_is_told_with_its_place_and_without_what_stands_there() {
    for (line, place) in [
        (
            "seal_key = 1122334455667788",
            "line 3 (seal_key), column 12: invalid type: integer, expected a string",
        ),
        ("seal_key = 0x1122334455667788", "line 3 (seal_key), column 12: "),
        ("seal_key = 1122334455667788aabb", "line 3 (seal_key), column "),
        ("seal_key = \"1122334455667788", "line 3 (seal_key), column "),
        ("seal_key = [\"1122334455667788\"]", "line 3 (seal_key), column 12: invalid type: "),
        ("cid = \"1122334455667788\"", "line 3 (cid), column 7: invalid type: string, expected a boolean"),
        ("1122334455667788", "line 3, column "),
        ("no_such_key = 1", "line 3 (no_such_key), column 1: unknown field `no_such_key`"),
    ] {
        let error =
            RawConfig::from_toml(&format!("# \u{fc}\n[security]\n{line}\n"), "file").unwrap_err().to_string();
        assert!(error.starts_with(&format!("file: {place}")), "{line}: {error}");
        assert!(!error.contains("334455") && !error.contains('\n'), "{error}");
    }
}
