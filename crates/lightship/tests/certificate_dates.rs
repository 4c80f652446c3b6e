//! A server whose own certificate ends, or has not begun, says so to its operator: the real program and its log.

mod program;

use std::path::Path;
use std::time::{Duration, SystemTime};

use lightship_api::client::Client;
use program::{Logged, eventually, listening, start_logged};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

const DAY_S: i64 = 24 * 60 * 60;

/// Writes a key and a certificate that begins and ends so many seconds from now, and gives the lines of the configuration that name
/// them.
fn pair(folder: &Path, name: &str, (from_s, until_s): (i64, i64)) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let date = |offset_s: i64| {
        let since_1970 = now.checked_add_signed(offset_s).expect("a date");
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date(from_s), date(until_s));
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("signed");
    let at = |extension: &str| folder.join(format!("{name}.{extension}"));
    std::fs::write(at("key"), key.serialize_pem()).expect("written");
    std::fs::write(at("pem"), certificate.pem()).expect("written");
    format!("key_file = {:?}\ncertificate_file = {:?}\n", at("key"), at("pem"))
}

fn serve(folder: &Path, config: &str) -> Logged {
    std::fs::write(folder.join("server.toml"), config).expect("written");
    let config = folder.join("server.toml");
    let fixed = ["serve", "--dev", "--coap", "none", "--bootstrap-coap", "none", "--coaps", "127.0.0.1:0"];
    let more =
        ["--bootstrap-coaps", "none", "--http", "127.0.0.1:0", "--config", config.to_str().expect("UTF-8")];
    start_logged(&[&fixed[..], &more].concat(), &folder.join("log"))
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// The warnings of a log that have this in them.
fn warnings<'a>(log: &'a str, part: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(" WARN ") && line.contains(part)).collect()
}

#[test]
fn a_certificate_with_wrong_dates_is_told_before_the_server_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = |name: &str, from_s, until_s| pair(folder.path(), name, (from_s, until_s));
    let year_s = 365 * DAY_S;
    let config = [
        "[security]\n".to_owned(),
        pair("past", -2 * year_s, -3 * DAY_S),
        "[[security.servers]]\nnames = [\"a.example\"]\n".to_owned(),
        pair("good", -DAY_S, 31 * DAY_S),
        "[[security.servers]]\nnames = [\"b.example\"]\n".to_owned(),
        pair("near", -DAY_S, 12 * DAY_S + DAY_S / 2),
        "[bootstrap]\n".to_owned(),
        pair("future", 3 * DAY_S, year_s),
    ];
    let server = serve(folder.path(), &config.concat());
    eventually("it is ready", || log(folder.path()).contains("\nready").then_some(()));
    drop(server);
    let said = log(folder.path());
    let (before, _) = said.split_once("\nready").expect("ready");
    for (name, words) in [
        ("past", ["the server's own certificate", "it expired on 20"]),
        ("near", ["the server's own certificate", "it expires in 12 days"]),
        ("future", ["the Bootstrap-Server's own certificate", "it is not valid before 20"]),
    ] {
        let found = warnings(before, &format!("CN={name}"));
        let [line] = found.as_slice() else { panic!("one line about {name}: {said}") };
        for part in words.into_iter().chain([&*format!("{name}.pem"), "refuse"]) {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(warnings(&said, "CN=good").is_empty(), "{said}");
}

#[test]
fn a_certificate_that_expires_while_the_server_runs_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // Its end is a whole second, and it holds until that is over.
    let pair = pair(folder.path(), "brief", (-DAY_S, 5));
    let _server = serve(folder.path(), &format!("[security]\n{pair}"));
    let http = listening(&folder.path().join("log"), "http");
    let expired = || warnings(&log(folder.path()), "it expired on").len();
    assert_eq!(warnings(&log(folder.path()), "it expires within a day").len(), 1, "{}", log(folder.path()));
    assert_eq!(expired(), 0, "it has not expired yet: {}", log(folder.path()));
    eventually("its end is told", || (expired() > 0).then_some(()));
    // What is told is what is shown.
    let overview = Client::new(&format!("http://{http}"), None).security().expect("told");
    let shown = serde_json::to_string(&overview.identities).expect("JSON");
    assert!(shown.contains("it expired on"), "{shown}");
    std::thread::park_timeout(Duration::from_secs(3));
    assert_eq!(expired(), 1, "{}", log(folder.path()));
}
