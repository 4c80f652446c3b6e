//! Small files that are replaced whole and atomically, readable by their owner alone: they may hold keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use minicbor::Decoder;

use crate::StoreError;

/// Reads a file of a folder; no file = nothing.
pub(crate) fn read<T: Default>(
    folder: &Path,
    name: &str,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, StoreError> {
    let path = folder.join(name);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => {
            file.take(FILE_LEN_MAX).read_to_end(&mut bytes).map_err(|error| unavailable(&path, error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(unavailable(&path, error)),
    }
    decode(&bytes).map_err(|message| StoreError::Corrupt { path, message })
}

/// Replaces a file of a folder: after this the old or the new one is there, whatever happens, and the new one once this
/// has returned.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    write_open(folder, name, bytes)?.1
}

/// The same; gives the new file, open for more, and whether its name has reached the disk, too.
pub(crate) fn write_open(
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(File, Result<(), StoreError>), StoreError> {
    let path = folder.join(name);
    let file = replace(&path, bytes).map_err(|source| unavailable(&path, source))?;
    // The rename itself must reach the disk, too.
    let settled = File::open(folder).and_then(|folder| folder.sync_all());
    Ok((file, settled.map_err(|source| unavailable(&path, source))))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
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
    fs::rename(&temporary, path)?;
    Ok(file)
}

fn unavailable(path: &Path, source: io::Error) -> StoreError {
    StoreError::Unavailable { path: PathBuf::from(path), source }
}

/// The length of an array that follows.
pub(crate) fn length(input: &mut Decoder<'_>) -> Result<u64, String> {
    input.array().map_err(|error| error.to_string())?.ok_or_else(|| "an array without length".to_owned())
}

const FILE_LEN_MAX: u64 = 1 << 30;
