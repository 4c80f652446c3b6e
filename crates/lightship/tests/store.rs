//! `lightship store`: a data folder moves to another place by way of lines of JSON.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod program;

use std::process::Stdio;

use program::{Program, command};

#[test]
fn a_data_folder_is_checked_written_out_and_made_anew() {
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name).display().to_string();
    let (data, new, backup) = (path("data"), path("new"), path("backup.jsonl"));
    let run = |arguments: &[&str]| {
        let output = command(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = run(&["store", "check", "--data", &data]);
    assert_eq!(code, Some(1), "there is none yet: {error}");
    let serve = ["serve", "--dev", "--data", &data, "--coap", "127.0.0.1:0", "--http", "none"];
    let mut server = Program::start(&[&serve[..], &["--coaps", "none"]].concat());
    server.await_line("ready");
    let (code, _, error) = run(&["store", "check", "--data", &data]);
    assert!(code == Some(1) && error.contains("is in use by another process, number "), "{error}");
    let (code, _, error) = run(&[&serve[..], &["--coaps", "none"]].concat());
    assert!(code == Some(1) && error.contains("--take-over tells it to stop"), "{error}");
    let (code, _, error) = run(&["serve", "--dev", "--take-over"]);
    assert!(code == Some(2) && error.contains("needs a data folder"), "{error}");
    server.ask_to_end();
    assert!(server.await_end().success());
    let (code, text, error) = run(&["store", "check", "--data", &data]);
    assert!(code == Some(0) && text.ends_with("everything agrees\n"), "{text} {error}");
    let (code, _, error) = run(&["store", "export", "--data", &data, "--out", &backup]);
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = run(&["store", "export", "--data", &data, "--out", &backup]);
    assert_eq!(code, Some(1), "it is there already: {error}");
    let (code, text, error) = run(&["store", "import", "--data", &new, &backup]);
    assert!(code == Some(0) && text.contains("are a store in"), "{text} {error}");
    let (_, exported, _) = run(&["store", "export", "--data", &new]);
    assert_eq!(exported, std::fs::read_to_string(&backup).unwrap());
}

#[test]
fn what_is_missing_of_the_log_is_told_and_all_else_is_written_out() {
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name).display().to_string();
    let (data, given, backup) = (path("data"), path("given.jsonl"), path("backup.jsonl"));
    let text = "{\"store\":{\"version\":1,\"log\":\"0000002a\",\"oldest\":1,\"newest\":9}}\n\
                {\"missing\":{\"first\":1,\"last\":9}}\n{\"end\":{\"lines\":3}}\n";
    std::fs::write(&given, text).unwrap();
    let run = |arguments: &[&str]| {
        let output = command(arguments).stdin(Stdio::null()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(run(&["store", "import", "--data", &data, &given]).0, Some(0));
    let told =
        "9 events are missing, all else is written out\n  events 0000002a-1 to 0000002a-9 cannot be read";
    let (code, written, error) = run(&["store", "export", "--data", &data]);
    assert!((code, written.as_str()) == (Some(1), text) && error.contains(told), "{error}");
    let (code, said, error) = run(&["store", "export", "--data", &data, "--out", &backup]);
    assert!(code == Some(1) && said.starts_with("3 lines in ") && error.contains(told), "{said} {error}");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), text, "it is kept");
}
