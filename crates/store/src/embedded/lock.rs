//! One process at a time: a lock that ends with the process, and who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::StoreError;

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder, and writes the number of this process into the file.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it.
    pub(crate) fn take(folder: &Path) -> Result<FolderLock, StoreError> {
        let path = folder.join(FILE);
        let unavailable = |source| StoreError::Unavailable { path: path.clone(), source };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(StoreError::InUse { path: folder.to_owned(), by: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // On a full disk the lock holds, too.
        if let Err(error) = write(&mut file) {
            tracing::debug!(%error, "the number of this process is not in the lock file");
        }
        Ok(FolderLock { _file: file })
    }
}

const FILE: &str = "lock";
