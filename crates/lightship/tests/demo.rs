//! `lightship demo` keeps what it has in a temporary folder, and takes that along when it goes.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod program;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use program::{Program, command};

/// What there is in the folder for temporary files.
fn left(temporary: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(arguments).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_store_of_a_demo_is_in_a_temporary_folder_and_gone_with_it() {
    for signal in ["-TERM", "-INT"] {
        let temporary = tempfile::tempdir().unwrap();
        let mut prepared = command(&["demo", "--free-ports"]);
        prepared.env("TMPDIR", temporary.path());
        let mut demo = Program::of(prepared);
        let http = demo.await_line("listening http tcp ");
        demo.await_line("ready");
        let url = format!("http://{}", http.rsplit(' ').next().unwrap());
        let (code, text) = said(&["ctl", "--url", &url, "read", "demo-sensor", "/3303/0"]);
        assert_eq!(code, Some(0), "{text}");
        let [folder] = &left(temporary.path())[..] else { panic!("{:?}", left(temporary.path())) };
        assert!(folder.join("seal.key").exists(), "{:?}", left(folder));
        // It is a store, and the demo has it open.
        let (code, text) = said(&["store", "check", "--data", folder.to_str().unwrap()]);
        assert!(code == Some(1) && text.contains("is in use by another process"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "keys are in it");
        }
        demo.signal(signal);
        assert_eq!(demo.await_end().code(), Some(0), "{signal}");
        assert_eq!(left(temporary.path()), Vec::<PathBuf>::new(), "{signal}");
    }
}

#[test]
fn a_demo_that_does_not_start_leaves_no_folder_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let others = ["--coap", "--coaps", "--bootstrap-coap", "--bootstrap-coaps"];
    let mut prepared = command(&["demo", "--http", &address]);
    prepared.args(others.iter().flat_map(|flag| [*flag, "127.0.0.1:0"])).env("TMPDIR", temporary.path());
    let output = prepared.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains(&address), "{text}");
    assert_eq!(left(temporary.path()), Vec::<PathBuf>::new(), "{text}");
}
