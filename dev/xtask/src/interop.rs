//! `cargo xtask interop`: builds the program, then hands over to `dev/interop`.

use crate::Outcome;
use crate::files;
use std::process::Command;

/// Builds what the run needs and starts it; every option is passed on.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let root = files::root();
    let says = |some: &[&str]| arguments.iter().any(|argument| some.contains(&argument.as_str()));
    let release = !says(&["--debug", "--program"]);
    // These start no program of ours.
    let needs_program = !says(&["--list", "--class-path", "--write-coverage", "--program"]);
    let mut build = Command::new("cargo");
    build.args([
        "build",
        "--quiet",
        "--package",
        "lightship",
        "--package",
        "lightship-dtls",
        "--bin",
        "lightship",
    ]);
    build.args(["--example", "echo_client", "--example", "echo_server"]).current_dir(&root);
    if release {
        build.arg("--release");
    }
    let mut drive = Command::new("cargo");
    drive.args(["run", "--quiet", "--package", "lightship-interop", "--"]).args(arguments).current_dir(&root);
    for command in needs_program.then_some(&mut build).into_iter().chain([&mut drive]) {
        let status = command.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!("interop: {status}"));
        }
    }
    Ok(())
}
