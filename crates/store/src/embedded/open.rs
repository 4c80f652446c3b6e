//! Opening a folder: whose it is, of which format, and what is in it.

use std::fs;
use std::path::Path;

use super::draft::{Access, COUNTS, Ledger, read_counts};
use super::log::{newest_number, newest_number_max};
use super::trees::{Row, Sync, Tree, Trees, among, corrupt, failed};
use super::{decoded, records};
use crate::StoreError;
use crate::batch::{Cursor, Unreadable};
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
        None => return Err(StoreError::Unfinished { path }),
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
        commands.put(decoded(trees, row, records::read_command).map_err(among("commands"))?.into());
    }
    let newest = Cursor { writer, number: newest(trees)? };
    Ok(Ledger { newest, counts, commands, access: access(trees)? })
}

/// The number of the newest event. Where the end of the log is damaged it goes on behind all that may have been there: no number
/// is given twice, and readers are told what is missing.
fn newest(trees: &Trees) -> Result<u64, StoreError> {
    match newest_number(trees) {
        Err(error) if error.is_damage() => {
            let newest = newest_number_max(trees)?;
            trees.begin_segment(newest + 1, 0)?;
            let reason = error.reason();
            tracing::error!(reason, next = newest + 1, "the end of the log is damaged: it goes on behind it");
            Ok(newest)
        }
        newest => newest,
    }
}

/// What the log had lost already where it was written out.
pub(crate) fn missing(trees: &Trees) -> Result<Vec<Unreadable>, StoreError> {
    let Some(value) = trees.get(Tree::Meta, MISSING_KEY)? else { return Ok(Vec::new()) };
    let number = |bytes: &[u8; 16], from: usize| {
        let half = bytes.get(from..).and_then(<[u8]>::first_chunk::<8>);
        half.map_or(0, |half| u64::from_be_bytes(*half))
    };
    let (stretches, _) = value.as_chunks::<16>();
    Ok(stretches.iter().map(|both| Unreadable { first: number(both, 0), last: number(both, 8) }).collect())
}

/// Keeps what the log has lost already.
pub(crate) fn missing_row(missing: &[Unreadable]) -> Row {
    let numbers = missing.iter().flat_map(|stretch| [stretch.first, stretch.last]);
    let value = numbers.flat_map(u64::to_be_bytes).collect::<Vec<u8>>();
    Row { tree: Tree::Meta, key: MISSING_KEY.into(), value: Some(value.into()) }
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
const MISSING_KEY: &[u8] = b"missing";
/// Of the trees and their keys; values have versions of their own.
const FORMAT: u8 = 1;
