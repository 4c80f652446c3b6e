use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn settings(line: &str) -> Result<Settings, Failure> {
    let words = ["lightship", "load"].into_iter().chain(line.split_whitespace());
    let Command::Load(arguments) = Cli::parse_from(words).command else { panic!("not load") };
    Settings::new(&arguments)
}

fn refusal(line: &str) -> String {
    match settings(line) {
        Err(Failure::Usage(text)) => text,
        Err(other) => panic!("{line}: {other:?}"),
        Ok(_) => panic!("{line} is allowed"),
    }
}

#[test]
fn without_arguments_it_is_a_small_load_on_loopback() {
    let settings = settings("").expect("allowed");
    assert_eq!(settings.server, "127.0.0.1:5683".parse().expect("an address"));
    assert_eq!(settings.server_text, "coap://127.0.0.1:5683");
    assert_eq!((settings.devices, settings.first, settings.outstanding), (1000, 0, 64));
    assert_eq!((settings.duration, settings.ramp, settings.rate), (Duration::from_secs(10), None, None));
    assert_eq!((settings.loss, settings.lifetime_s, settings.version), (0, 86_400, Version::V1_1));
    let objects: Vec<_> = settings.objects.iter().map(|(id, count)| (id.get(), *count)).collect();
    assert_eq!(objects, [(1, 1), (3, 1), (3303, 1)]);
    assert!(
        settings.awake.is_none() && settings.secure.is_none() && settings.ledger.is_none() && !settings.stay
    );
    assert_eq!(settings.origin, Origin::default());
    assert_eq!((settings.ack_timeout, settings.max_retransmit), (Duration::from_secs(2), 4));
    assert!(settings.threads >= 1);
}

#[test]
fn every_argument_has_its_effect() {
    let settings = settings(
        "--server coap://localhost:7000 --devices 9 --first 100 --name d{n:04} --duration 1.5m --ramp 250ms --mix change=1 \
         --outstanding 7 --rate 12.5 --loss 25 --lifetime 60 --lwm2m 1.2 --object 3303=5 --object 5 --queue-mode --awake 0.5 \
         --threads 3 --ports 2 --ack-timeout 0.25 --max-retransmit 1 --retry 9 --stay --ledger x.jsonl",
    )
    .expect("allowed");
    assert_eq!(settings.server.port(), 7000);
    assert_eq!((settings.devices, settings.first, settings.name.of(100)), (9, 100, "d0100".to_owned()));
    assert_eq!(settings.duration, Duration::from_secs(90));
    assert_eq!(settings.ramp, Some(Duration::from_millis(250)));
    assert_eq!((settings.outstanding, settings.rate, settings.loss), (7, Some(12.5), u32::MAX / 4));
    let objects: Vec<_> = settings.objects.iter().map(|(id, count)| (id.get(), *count)).collect();
    assert_eq!(objects, [(5, 1), (3303, 5)]);
    assert_eq!((settings.lifetime_s, settings.version), (60, Version::V1_2));
    assert_eq!(settings.awake, Some(Duration::from_millis(500)));
    assert_eq!((settings.threads, settings.origin.ports), (3, 2));
    assert_eq!((settings.ack_timeout, settings.max_retransmit), (Duration::from_millis(250), 1));
    assert_eq!(settings.retry, Duration::from_secs(9));
    assert!(settings.stay && settings.ledger.is_some());
}

#[test]
fn credentials_follow_from_patterns() {
    let key = "000102030405060708090a0b{n:08x}";
    let plain = settings(&format!("--server coaps://127.0.0.1 --psk-key {key} --no-cid")).expect("allowed");
    assert_eq!(plain.server.port(), 5684);
    let secure = plain.secure.expect("secured");
    assert_eq!(secure.identity.of(10), "load-10");
    assert_eq!(bytes_of(&secure.key.of(258)), Some(vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 1, 2]));
    assert!(!secure.config.connection_id);
    assert_eq!(secure.config.suites, [Suite::PskAes128Ccm8]);
    let named = settings(&format!("--server coaps://127.0.0.1 --psk-key {key} --psk-identity id{{n}}"))
        .expect("allowed");
    assert_eq!(named.secure.expect("secured").identity.of(3), "id3");
}

#[test]
fn what_makes_no_sense_is_refused_clearly() {
    for (line, part) in [
        ("--server http://127.0.0.1", "scheme must be coap:// or coaps://"),
        ("--server coap://", "no URI of a server"),
        ("--devices 0", "--devices"),
        ("--devices 4294967295 --first 1", "--devices"),
        ("--name all-the-same", "put {n} into it"),
        ("--name {m}", "{m} is no place for a number"),
        ("--name x{n:300}", "no place for a number"),
        ("--duration soon", "--duration \"soon\" is no time"),
        ("--duration 10d", "is no time"),
        ("--ramp nans", "--ramp \"nans\" is no time"),
        ("--mix jump=1", "--mix: \"jump\" is no operation"),
        ("--lwm2m 1.0", "LwM2M 1.0 has no Send"),
        ("--lwm2m 2", "--lwm2m \"2\""),
        ("--outstanding 0", "--outstanding"),
        ("--ports 0", "--ports: at least 1"),
        ("--rate 0", "--rate"),
        ("--rate NaN", "--rate"),
        ("--loss 100", "--loss"),
        ("--object x", "--object \"x\""),
        ("--object 3303=0", "--object \"3303=0\""),
        ("--object 3 --object 3", "twice"),
        ("--object 3303=100 --object 3304=100", "too long for one Register"),
        ("--awake 0 --queue-mode", "--awake"),
        ("--threads 0", "--threads"),
        ("--ack-timeout 0", "--ack-timeout"),
        ("--retry inf", "--retry"),
        ("--local somewhere", "--local \"somewhere\" is no IP address"),
        ("--local ::1", "another family"),
        ("--local 127.0.0.1 --devices 70000", "each device takes a port"),
        ("--server coaps://127.0.0.1", "coaps needs --psk-key"),
        ("--psk-key 00{n:02x}", "--psk-key is for a coaps:// server"),
        ("--psk-identity {n}", "--psk-identity needs --psk-key"),
        ("--server coaps://127.0.0.1 --psk-key abc", "is no key"),
        ("--server coaps://127.0.0.1 --psk-key 0{n:02x}", "is no key"),
        ("--server coaps://127.0.0.1 --psk-key 0{n}", "the device 10 is no key"),
        ("--server coaps://127.0.0.1 --psk-key 00 --psk-identity me", "the same identity"),
    ] {
        let text = refusal(line);
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[test]
fn a_name_that_leads_nowhere_is_a_failure_not_a_mistake() {
    let failure = settings("--server coap://no-such-host.invalid").err().expect("refused");
    assert!(matches!(failure, Failure::Failed(text) if text.contains("no-such-host.invalid")));
}
