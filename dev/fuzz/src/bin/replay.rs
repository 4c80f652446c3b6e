//! Runs every target over its corpus, or over the files named: `replay [TARGET FILE…]`. A finding is a panic.

use lightship_fuzz::TARGETS;
use std::path::{Path, PathBuf};

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let files = if files.is_empty() { inside(&corpus.join(name))? } else { files.clone() };
        for file in &files {
            let data = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            eprintln!("{name} {}", file.display());
            target(&data);
        }
        println!("{name}: {} inputs", files.len());
    }
    Ok(())
}

fn inside(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    if files.is_empty() { Err(format!("{} is empty", folder.display())) } else { Ok(files) }
}
