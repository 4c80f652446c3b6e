//! Small files that are replaced whole and atomically, readable by their owner alone: they may hold keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use minicbor::Decoder;

use crate::StoreError;

/// Replaces a file of a folder: after this the old or the new one is there, whatever happens, and the new one once this
/// has returned.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    // The rename itself must reach the disk, too.
    let written = replace(&path, bytes).and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|source| unavailable(&path, source))
}

/// What such a file holds; `None` if there is none.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(&path, error)),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // One that was left behind might be readable by others.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn unavailable(path: &Path, source: io::Error) -> StoreError {
    StoreError::Unavailable { path: PathBuf::from(path), source }
}

/// The length of an array that follows.
pub(crate) fn length(input: &mut Decoder<'_>) -> Result<u64, String> {
    input.array().map_err(|error| error.to_string())?.ok_or_else(|| "an array without length".to_owned())
}
