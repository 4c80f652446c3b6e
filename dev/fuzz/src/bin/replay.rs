//! Runs targets over their corpus; a finding is a panic.
//!
//! `replay` all targets · `replay TARGET FILE…` these files · `replay --unpack TARGET FOLDER` · `replay --pack TARGET FOLDER`

use lightship_fuzz::{TARGETS, corpus};
use std::path::Path;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--unpack", target, folder] => corpus::unpack(target, Path::new(folder)),
        ["--pack", target, folder] => corpus::pack(target, Path::new(folder)),
        [] => TARGETS.iter().try_for_each(|(name, target)| run(name, *target, &corpus::read(name)?)),
        [wanted, files @ ..] => {
            let (name, target) =
                TARGETS.iter().find(|(name, _)| name == wanted).ok_or(format!("no target {wanted}"))?;
            let read = |file: &&str| std::fs::read(file).map_err(|error| format!("{file}: {error}"));
            let inputs = if files.is_empty() {
                corpus::read(name)?
            } else {
                files.iter().map(read).collect::<Result<_, _>>()?
            };
            run(name, *target, &inputs)
        }
    }
}

fn run(name: &str, target: fn(&[u8]), inputs: &[Vec<u8>]) -> Result<(), String> {
    for (number, input) in inputs.iter().enumerate() {
        eprintln!("{name} line {}", number + 1);
        target(input);
    }
    println!("{name}: {} inputs", inputs.len());
    Ok(())
}
