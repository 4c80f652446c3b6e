//! The program's outer shape: help, versions, exit codes, completions.

use std::process::{Command, Output, Stdio};

fn lightship(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lightship"))
        .args(arguments)
        .env_remove("LIGHTSHIP_URL")
        .env_remove("LIGHTSHIP_TOKEN")
        .env_remove("LIGHTSHIP_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn every_command_explains_itself() {
    let commands: &[&[&str]] = &[
        &[],
        &["demo"],
        &["serve"],
        &["device"],
        &["load"],
        &["decode"],
        &["completions"],
        &["ctl"],
        &["ctl", "endpoints"],
        &["ctl", "show"],
        &["ctl", "forget"],
        &["ctl", "read"],
        &["ctl", "write"],
        &["ctl", "create"],
        &["ctl", "delete"],
        &["ctl", "exec"],
        &["ctl", "discover"],
        &["ctl", "attributes"],
        &["ctl", "observe"],
        &["ctl", "unobserve"],
        &["ctl", "observations"],
        &["ctl", "events"],
        &["ctl", "models"],
        &["ctl", "models", "list"],
        &["ctl", "models", "show"],
        &["ctl", "models", "add"],
        &["ctl", "completions"],
        &["store"],
        &["store", "check"],
        &["store", "export"],
        &["store", "import"],
    ];
    for command in commands {
        let arguments = [command, &["--help"][..]].concat();
        let output = lightship(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let text = stdout(&output);
        assert!(text.contains("Usage: lightship"), "{arguments:?}: {text}");
        assert!(text.contains("Example"), "{arguments:?}: {text}");
    }
}

#[test]
fn version_is_the_packages() {
    let output = lightship(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), concat!("lightship ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let cases: &[&[&str]] = &[
        &[],
        &["no-such-command"],
        &["serve", "--no-such-flag"],
        &["serve", "--shards", "many"],
        &["load", "--devices", "0"],
        &["load", "--mix", "sing=1"],
        &["load", "--print-credentials"],
        &["ctl", "read", "endpoint-without-path"],
        &["ctl", "read", "endpoint", "/3", "--format", "xml"],
        &["ctl", "read", "endpoint", "/3", "--check", "twice"],
        &["ctl", "--url", "127.0.0.1:8080", "endpoints"],
        &["ctl", "--url", "http://", "endpoints"],
        &["decode", "not-hex-at-all"],
        &["completions", "no-such-shell"],
    ];
    for arguments in cases {
        let output = lightship(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{arguments:?} prints to standard output");
        assert!(!stderr(&output).is_empty(), "{arguments:?} does not say why");
    }
}

#[test]
fn completions_for_each_shell() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef lightship"), ("fish", "complete -c lightship")]
    {
        for arguments in [&["completions", shell][..], &["ctl", "completions", shell][..]] {
            let output = lightship(arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(stdout(&output).contains(mark), "{arguments:?}");
            assert!(stdout(&output).contains("observations"), "{arguments:?} knows no ctl commands");
        }
    }
}

const REGISTER: &str = "44022a1f7b2d19e0b272641128396c776d326d3d312e310b65703d73656e736f722d31066c743d333030\
                        ff3c2f332f303e2c3c2f333330332f303e";

#[test]
fn decode_reads_hex_from_arguments_files_and_standard_input() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let text_file = folder.path().join("register.hex");
    std::fs::write(&text_file, REGISTER).expect("written");
    let from_argument = lightship(&["decode", REGISTER]);
    assert_eq!(from_argument.status.code(), Some(0), "{}", stderr(&from_argument));
    assert!(stdout(&from_argument).contains("LwM2M Register"));
    let from_file = lightship(&["decode", text_file.to_str().expect("UTF-8")]);
    assert_eq!(stdout(&from_file), stdout(&from_argument));
    let mut child = Command::new(env!("CARGO_BIN_EXE_lightship"))
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(REGISTER.as_bytes()).expect("written");
    let from_input = child.wait_with_output().expect("ends");
    assert_eq!(stdout(&from_input), stdout(&from_argument));
}

/// A capture of raw IP: who sends to whom, by port on loopback, and what.
fn capture(datagrams: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut file =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];
    for (from, to, payload) in datagrams {
        let udp_len = u16::try_from(payload.len() + 8).expect("short");
        let total = udp_len + 20;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        for number in [*from, *to, udp_len, 0] {
            packet.extend_from_slice(&number.to_be_bytes());
        }
        packet.extend_from_slice(payload);
        let length = u32::from(total).to_le_bytes();
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(&length);
        file.extend_from_slice(&length);
        file.extend_from_slice(&packet);
    }
    file
}

#[test]
fn decode_opens_a_capture_of_dtls_with_a_key_log_or_a_key() {
    let text = include_str!("vectors/dtls12_cid_ccm8.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let exchange = &vectors["vectors"][0];
    let member = |name: &str| exchange[name].as_str().expect("text");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    let datagrams: Vec<(bool, Vec<u8>)> = exchange["datagrams"]
        .as_array()
        .expect("datagrams")
        .iter()
        .map(|item| (item["dir"] == "C>S", bytes(item["hex"].as_str().expect("hex"))))
        .collect();
    let datagrams: Vec<(u16, u16, &[u8])> = datagrams
        .iter()
        .map(|(up, bytes)| if *up { (40000, 5684, &bytes[..]) } else { (5684, 40000, &bytes[..]) })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let name = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (pcap, log) = (name("x.pcap"), name("keys.log"));
    std::fs::write(&pcap, capture(&datagrams)).expect("written");
    let line = format!("CLIENT_RANDOM {} {}\n", member("client_random"), member("master_secret"));
    std::fs::write(&log, line).expect("written");
    let plain = stdout(&lightship(&["decode", &pcap]));
    assert!(plain.contains("identity: \"Client_identity\""), "{plain}");
    assert!(plain.contains("protected; --keylog or --psk opens it"), "{plain}");
    for secret in [["--keylog", &log], ["--psk", member("psk")]] {
        let opened = lightship(&["decode", &pcap, secret[0], secret[1]]);
        assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
        let text = stdout(&opened);
        assert!(text.contains("opened: ApplicationData") && text.contains("warning: close_notify"), "{text}");
        assert!(!text.contains("not opened"), "{text}");
    }
    let wrong = lightship(&["decode", &pcap, "--psk", "xy"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn decode_reads_a_capture_and_names_what_an_answer_is_about() {
    // GET /3/0/9 by the server, 2.05 with the text 84 by the device, noise on another port.
    let get = [0x42, 0x01, 0x12, 0x34, 0xab, 0xcd, 0xb1, b'3', 0x01, b'0', 0x01, b'9'];
    let content = [0x62, 0x45, 0x12, 0x34, 0xab, 0xcd, 0xc0, 0xff, b'8', b'4'];
    let file = capture(&[(5683, 40000, &get), (40000, 5683, &content), (53, 99, b"noise")]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.pcap");
    std::fs::write(&path, &file).expect("written");
    let path = path.to_str().expect("UTF-8");
    let output = lightship(&["decode", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("127.0.0.1:5683 > 127.0.0.1:40000"), "{text}");
    assert!(text.contains("LwM2M Read /3/0/9 (Device / Battery Level)"), "{text}");
    assert!(text.contains("/3/0/9 Battery Level = 84"), "{text}");
    assert!(!text.contains("127.0.0.1:53 "), "{text}");
    assert_eq!(stdout(&lightship(&["decode", path, "--port", "6000"])), "");
    std::fs::write(folder.path().join("cut.pcap"), &file[..file.len() - 3]).expect("written");
    let cut = lightship(&["decode", folder.path().join("cut.pcap").to_str().expect("UTF-8")]);
    assert_eq!(cut.status.code(), Some(1));
    assert!(stderr(&cut).contains("the capture ends inside a record"), "{}", stderr(&cut));
}

#[test]
fn decode_says_what_is_wrong_and_where() {
    let output = lightship(&["decode", "40017d34b37272"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("it ends inside this option (at byte 4)"), "{}", stdout(&output));
    let payload = lightship(&["decode", "--payload", "tlv", "--path", "/3/0/9", "c10954"]);
    assert_eq!(payload.status.code(), Some(0), "{}", stderr(&payload));
    assert_eq!(stdout(&payload), "/3/0/9 Battery Level = 84 /100\n");
    let broken = lightship(&["decode", "--payload", "tlv", "--path", "/3/0/9", "c10a"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stdout(&broken).contains("! not tlv"), "{}", stdout(&broken));
}

#[test]
fn what_a_peer_writes_does_not_steer_the_terminal() {
    // GET /\x1b[2J?\x1b[2J
    let text = stdout(&lightship(&["decode", "40011234b41b5b324a441b5b324a"]));
    assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[2J"), "{text}");
}
