//! What one process leaves for the next after an orderly stop: a file that is gone from the disk before anybody reads what was in it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::{StoreError, file};

/// Leaves it for the next process.
pub(crate) fn write(folder: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    file::write(folder, FILE, bytes)
}

/// Takes what was left: whatever happens from now on, nobody gets it again.
pub(crate) fn take(folder: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let path = folder.join(FILE);
    let taken = || -> io::Result<Option<Vec<u8>>> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        fs::remove_file(&path)?;
        // The name must be gone from the disk, too, before what it named is used.
        File::open(folder)?.sync_all()?;
        Ok(Some(bytes))
    };
    taken().map_err(|source| StoreError::Unavailable { path: path.clone(), source })
}

const FILE: &str = "hand-over";
