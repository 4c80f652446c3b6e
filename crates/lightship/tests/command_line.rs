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
        &["ctl", "read", "endpoint-without-path"],
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
            if arguments[0] == "ctl" {
                continue;
            }
            let output = lightship(arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(stdout(&output).contains(mark), "{arguments:?}");
            assert!(stdout(&output).contains("observations"), "{arguments:?} knows no ctl commands");
        }
    }
}
