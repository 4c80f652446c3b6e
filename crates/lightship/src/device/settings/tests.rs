//! Settings from flags and files.

use super::*;
use crate::cli::{Cli, Command};
use clap::{CommandFactory, Parser};

fn loaded(line: &str) -> Result<Settings, String> {
    let cli = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
    let Command::Device(arguments) = cli.command else { panic!("not device") };
    Settings::load(*arguments).map_err(|failure| format!("{failure:?}"))
}

#[test]
fn flags_outrank_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    std::fs::write(
        &file,
        "endpoint = \"from-file\"\nserver = [\"coap://127.0.0.1:1000\", \"coap://localhost\"]\nlifetime = 77\n\
         ack-timeout = 3.5\nmax_retransmit = 2\nobject = \"3313=2\"\n",
    )
    .unwrap();
    let settings =
        loaded(&format!("lightship device --config {} --endpoint from-flag", file.display())).unwrap();
    assert_eq!(settings.config.endpoint.as_str(), "from-flag");
    assert_eq!(settings.config.coap.ack_timeout, Duration::from_millis(3500));
    assert_eq!(settings.config.coap.max_retransmit, 2);
    let accounts: Vec<(u16, &str, u32)> = settings
        .accounts
        .iter()
        .map(|account| (account.ssid.unwrap().get(), account.uri.as_str(), account.lifetime_s))
        .collect();
    assert_eq!(accounts, [(1, "coap://127.0.0.1:1000", 77), (2, "coap://localhost", 77)]);
    assert_eq!(settings.objects, [(ObjectId::new(3313).unwrap(), 2)]);
}

fn from_file(text: &str, flags: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    std::fs::write(&file, text).unwrap();
    loaded(&format!("lightship device --config {} {flags}", file.display()))
}

#[test]
fn accounts_have_every_resource_that_servers_cannot_know() {
    let text = "lifetime = 77\nretry-count = 3\n\
         [[account]]\nuri = \"coap://one\"\npriority = 2\ninitial-delay = 4\nfailure-block = true\n\
         bootstrap_on_failure = false\ndefault-pmin = 1\ndefault-pmax = 9\ndisable-timeout = 8\n\
         notification-storing = false\nmute-send = true\nconfirmable-notifications = true\n\
         preferred-transport = \"U\"\nretry-timer = 6\n\
         [[account]]\nuri = \"coap://two:99\"\nshort-server-id = 500\nlifetime = 60\nbinding = \"UT\"\n";
    let settings = from_file(text, "").unwrap();
    let [one, two] = settings.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!((one.ssid.map(|id| id.get()), one.uri.as_str(), one.lifetime_s), (Some(1), "coap://one", 77));
    assert_eq!((one.priority, one.initial_delay_s), (Some(2), Some(4)));
    assert_eq!((one.failure_block, one.bootstrap_on_failure), (Some(true), Some(false)));
    assert_eq!((one.default_pmin_s, one.default_pmax_s, one.disable_timeout_s), (Some(1), Some(9), Some(8)));
    assert_eq!((one.notification_storing, one.mute_send), (false, Some(true)));
    assert_eq!(
        (one.confirmable_notifications, one.retry.count, one.retry.timer_s),
        (Some(true), Some(3), Some(6))
    );
    assert_eq!(one.preferred_transport.as_ref().map(|text| text.as_str()), Some("U"));
    assert_eq!((two.ssid.map(|id| id.get()), two.lifetime_s, two.binding.as_str()), (Some(500), 60, "UT"));
    assert_eq!((two.priority, two.mute_send), (None, Some(false)));
    // Addresses on the command line take the place of all accounts.
    let settings = from_file(text, "--server coap://other").unwrap();
    assert_eq!(settings.accounts.iter().map(|one| one.uri.as_str()).collect::<Vec<_>>(), ["coap://other"]);
}

// Proves: COA-21
#[test]
fn the_uri_of_a_server_has_at_most_255_bytes() {
    let with = |len: usize| loaded(&format!("lightship device --server coap://{}", "x".repeat(len - 7)));
    assert_eq!(with(255).unwrap().accounts[0].uri.as_str().len(), 255);
    assert!(with(256).unwrap_err().contains("more than 255 bytes"));
}

#[test]
fn accounts_that_contradict_each_other_are_refused() {
    let account = "[[account]]\nuri = \"coap://one\"\n";
    for (text, words) in [
        (format!("server = \"coap://x\"\n{account}"), "not from both"),
        (account.repeat(5), "more than 4"),
        (format!("{account}short-server-id = 2\n{account}"), "short-server-id 2"),
        (format!("{account}short-server-id = 65535\n"), "expected 1 to 65534"),
        (format!("{account}binding = \"udp\"\n"), "binding"),
        (format!("{account}hold-off = 5\n"), "Bootstrap-Server's"),
        ("[[account]]\npriority = 1\n".to_owned(), "coap"),
        ("[[access]]\nobject = 3\nacl = { 1 = 32 }\n".to_owned(), "rights"),
        ("[[access]]\nobject = 3\nacl = { x = 1 }\n".to_owned(), "Short Server ID"),
        ("[[access]]\nowner = 1\n".to_owned(), "object"),
        (format!("{account}pirority = 1\n"), "pirority"),
    ] {
        let error = from_file(&text, "").unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn the_sample_file_says_the_defaults() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/device.toml");
    let from_sample = loaded(&format!("lightship device --config {sample}")).unwrap();
    let default = loaded("lightship device").unwrap();
    assert_eq!(format!("{from_sample:?}"), format!("{default:?}"));
}

#[test]
fn every_flag_has_its_key_in_the_sample_file() {
    let sample = include_str!("../../../device.toml");
    let cli = Cli::command();
    let device = cli.find_subcommand("device").unwrap();
    let flags = device.get_arguments().filter_map(|flag| flag.get_long());
    for flag in flags.filter(|flag| !["config", "log", "help"].contains(flag)) {
        let has_key = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{flag} = "));
        assert!(sample.lines().any(has_key), "--{flag}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    for (text, expected) in
        [("", true), ("no-cid = true", false), ("cid = false", false), ("cid = true", true)]
    {
        std::fs::write(&file, text).unwrap();
        let settings = loaded(&format!("lightship device --config {}", file.display())).unwrap();
        assert_eq!(settings.secure.cid, expected, "{text}");
    }
}

#[test]
fn unknown_keys_of_the_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    std::fs::write(&file, "endpoint = \"x\"\nlifetiem = 5\n").unwrap();
    let error = loaded(&format!("lightship device --config {}", file.display())).unwrap_err();
    assert!(error.contains("lifetiem"), "{error}");
}

#[test]
fn what_does_not_work_yet_is_refused() {
    assert!(loaded("lightship device --binding T").is_err());
}

#[test]
fn nonsense_is_refused() {
    for flags in [
        "--server http://x",
        "--server 127.0.0.1",
        "--lwm2m 2.0",
        "--awake 5",
        "--root /3",
        "--root /a//b",
        "--root a?b",
        "--root /a23456789-123456789-123456789-123",
        "--profile x",
        "--profile oma:",
        "--profile v:a_b",
        "--sms +49123",
        "--wake-every 60",
        "--queue-mode --awake 0",
        "--queue-mode --wake-every -1",
        "--local here",
        "--object x",
        "--object 0=1",
        "--object 1",
        "--ack-timeout 0",
        "--ack-timeout -1",
        "--ack-random-factor 0.5",
        "--block-size 100",
        "--nstart 0",
        "--max-retransmit 21",
        "--server coaps+tcp://127.0.0.1",
        "--dtls-timeout 0",
        "--record-size-limit 63",
        "--record-size-limit 16385",
        "--max-fragment-length 513",
    ] {
        assert!(loaded(&format!("lightship device {flags}")).is_err(), "{flags}");
    }
}

#[test]
fn queue_mode_and_profiles_are_understood() {
    let profile = |flags: &str| loaded(&format!("lightship device {flags}")).unwrap().config.profile;
    assert_eq!(profile(""), Profile::None);
    assert_eq!(profile("--profile hash"), Profile::Hashed);
    assert_eq!(profile("--profile v:meter-3"), Profile::Named(Text::new("v:meter-3")));
    let mode = |flags: &str| loaded(&format!("lightship device {flags}")).unwrap().config.queue_mode;
    let span = Duration::from_secs;
    assert_eq!(mode(""), None);
    assert_eq!(mode("--queue-mode"), Some(QueueMode { awake: span(93), wake_every: None }));
    assert_eq!(mode("--binding UQ"), mode("--queue-mode"));
    let both = "--queue-mode --awake 10 --wake-every 60";
    assert_eq!(mode(both), Some(QueueMode { awake: span(10), wake_every: Some(span(60)) }));
}

#[test]
fn a_bare_device_goes_to_the_servers_default_port_on_this_machine() {
    let settings = loaded("lightship device").unwrap();
    assert_eq!(settings.accounts.len(), 1);
    assert_eq!(settings.accounts[0].uri.as_str(), "coap://127.0.0.1:5683");
    assert_eq!(settings.config.version, Version::V1_2);
    assert!(!settings.virtual_clock);
}
