//! `lightship ctl tokens`, `session` and `audit` against a server that asks for a token.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod program;

use std::process::Stdio;

use program::{Program, command};
use serde_json::Value as Json;

const ADMIN: &str = "the-token-of-the-configuration";

#[test]
fn a_token_is_made_used_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, ADMIN).unwrap();
    let config = folder.path().join("lightship.toml");
    std::fs::write(&config, format!("[api]\ntoken_file = {:?}\n", file.display().to_string())).unwrap();
    let config = config.display().to_string();
    let off =
        ["--coap", "127.0.0.1:0", "--coaps", "none", "--bootstrap-coap", "none", "--bootstrap-coaps", "none"];
    let serve = [&["serve", "--config", &config, "--http", "127.0.0.1:0"][..], &off].concat();
    let mut server = Program::start(&serve);
    let listening = server.await_line("listening http");
    let http = listening.rsplit(' ').next().unwrap().to_owned();
    server.await_line("ready");
    let run = |token: &str, arguments: &[&str]| {
        let url = format!("http://{http}");
        let all = [&["ctl", "--url", &url, "--token", token][..], arguments].concat();
        let output = command(&all).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(ADMIN, &["session"]).1, "configuration (admin)\n");
    let (code, made, error) =
        run(ADMIN, &["tokens", "create", "screen", "--role", "viewer", "--expires", "2d"]);
    assert_eq!(code, Some(0), "{error}");
    let secret = made.lines().next().unwrap();
    assert!(secret.starts_with("ls_") && made.contains("this once"), "{made}");
    let (_, me, _) = run(secret, &["session"]);
    assert!(me.starts_with("screen (viewer, until "), "{me}");
    let (code, _, error) = run(secret, &["forget", "nobody"]);
    assert!(code == Some(1) && error.contains("operator"), "{error}");
    let (code, _, error) = run(secret, &["tokens", "list"]);
    assert!(code == Some(1) && error.contains("admin"), "{error}");
    let (_, listed, _) = run(ADMIN, &["tokens", "list"]);
    assert!(listed.contains("screen") && !listed.contains(secret), "{listed}");
    let (_, audit, _) = run(ADMIN, &["audit", "--actor", "screen"]);
    assert!(audit.contains("forgetEndpoint") && audit.contains("403"), "{audit}");
    let (_, audit, _) = run(secret, &["--json", "audit", "nobody"]);
    let audit: Json = serde_json::from_str(&audit).unwrap();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    let (code, _, error) = run(ADMIN, &["tokens", "delete", "screen"]);
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = run(secret, &["session"]);
    assert!(code == Some(1) && error.contains("not accepted"), "{error}");
}
