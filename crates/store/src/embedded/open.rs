//! Opening a folder: whose it is, of which format, and what is in it.

use std::fs;
use std::path::Path;

use super::draft::{Access, COUNTS, Ledger, read_counts};
use super::log::newest_number;
use super::records;
use super::trees::{Row, Sync, Tree, Trees, corrupt, failed};
use crate::StoreError;
use crate::batch::Cursor;
use crate::commands::Commands;
use crate::options::EmbeddedOptions;

/// Makes the folder if it is not there; only its owner may look into it.
pub(crate) fn make(folder: &Path) -> Result<(), StoreError> {
    let unavailable = |source| StoreError::Unavailable { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unavailable)?;
    for name in BEFORE {
        let path = folder.join(name);
        if path.exists() {
            let message = "a file that no release ever wrote: move it away, nothing of it is read".to_owned();
            return Err(StoreError::Corrupt { path, message });
        }
    }
    let store = folder.join(STORE);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&store).map_err(|source| StoreError::Unavailable { path: store, source })
}

/// Opens the trees; makes what is new, and brings to today's format what is old.
pub(crate) fn trees(options: &EmbeddedOptions) -> Result<Trees, StoreError> {
    let path = options.folder.join(STORE);
    let trees = Trees::open(&path, options.cache_bytes)?;
    match trees.get(Tree::Meta, FORMAT_KEY)?.as_deref() {
        None if is_new(&trees)? => trees.write(&[format_row(), log_row(options.writer)], Sync::Now)?,
        None => {
            let message = "an import into it has not come to its end: remove it, and import again";
            return Err(corrupt(&path, message));
        }
        Some([FORMAT]) => {}
        Some([newer]) if *newer > FORMAT => {
            let message = format!("it is of format {newer}, this program knows up to {FORMAT}");
            return Err(corrupt(&path, &message));
        }
        Some(other) => return Err(corrupt(&path, &format!("its format is {other:02x?}"))),
    }
    if trees.segments().is_empty() {
        trees.begin_segment(1, 0)?;
    }
    Ok(trees)
}

/// Whether nothing was ever written into it.
pub(crate) fn is_new(trees: &Trees) -> Result<bool, StoreError> {
    Ok(trees.get(Tree::Meta, FORMAT_KEY)?.is_none() && trees.get(Tree::Meta, LOG_KEY)?.is_none())
}

/// Says of which format it is.
pub(crate) fn format_row() -> Row {
    Row { tree: Tree::Meta, key: FORMAT_KEY.into(), value: Some([FORMAT].into()) }
}

/// Says the name of the log.
pub(crate) fn log_row(writer: u32) -> Row {
    Row { tree: Tree::Meta, key: LOG_KEY.into(), value: Some(writer.to_be_bytes().into()) }
}

/// The name of the log.
pub(crate) fn writer(trees: &Trees) -> Result<u32, StoreError> {
    let name = trees.get(Tree::Meta, LOG_KEY)?;
    let name = name.as_deref().and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    name.ok_or_else(|| corrupt(trees.path(), "the log has no name"))
}

/// What the writer has to know.
pub(crate) fn ledger(trees: &Trees, writer: u32) -> Result<Ledger, StoreError> {
    let damaged = |message: String| corrupt(trees.path(), &message);
    let counts = read_counts(trees.get(Tree::Meta, COUNTS)?.as_deref()).map_err(damaged)?;
    let mut commands = Commands::default();
    for row in trees.tree(Tree::Commands)?.iter() {
        let (key, value) = row.into_inner().map_err(|error| failed(trees.path(), error))?;
        let record = records::read_command(&key, &value);
        commands.put(record.map_err(|message| damaged(format!("command {key:02x?}: {message}")))?.into());
    }
    let newest = Cursor { writer, number: newest_number(trees)? };
    Ok(Ledger { newest, counts, commands, access: access(trees)? })
}

fn access(trees: &Trees) -> Result<Access, StoreError> {
    let count = |tree| -> Result<usize, StoreError> {
        let rows = trees.tree(tree)?;
        rows.len().map_err(|error| failed(trees.path(), error))
    };
    Ok(Access { tokens: count(Tree::Tokens)?, entries: count(Tree::Audit)?, entries_from: 0 })
}

/// In the folder that is given.
pub(crate) const STORE: &str = "store";
/// Files of programs that were never released.
const BEFORE: [&str; 4] = ["credentials.log", "commands.cbor", "wanted.cbor", "bootstrap.cbor"];
const FORMAT_KEY: &[u8] = b"format";
const LOG_KEY: &[u8] = b"log";
/// Of the trees and their keys; values have versions of their own.
const FORMAT: u8 = 1;
