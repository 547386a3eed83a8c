//! Files of an archive: private, and durable under their names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::ArchiveError;

/// A folder that this process alone writes to.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks a folder, making it if it does not exist. An archive holds everybody's messages: nobody else may read it.
    pub fn lock(path: &Path) -> Result<Self, ArchiveError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(ArchiveError::io("cannot make the folder", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(ArchiveError::io("cannot open the lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ArchiveError::Locked { path: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(ArchiveError::io("cannot lock", &lock_path)(error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file under a name that nobody takes for a finished one.
    pub fn create(&self, name: &str) -> Result<(File, PathBuf), ArchiveError> {
        let path = self.path.join(format!("{name}.tmp"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        Ok((file.map_err(ArchiveError::io("cannot create", &path))?, path))
    }

    /// Makes a file durable, then gives it its name, durably.
    pub fn finish(&self, file: &File, temporary: &Path, name: &str) -> Result<(), ArchiveError> {
        file.sync_all().map_err(ArchiveError::io("cannot write through", temporary))?;
        fs::rename(temporary, self.path.join(name)).map_err(ArchiveError::io("cannot rename", temporary))?;
        let sync = || File::open(&self.path)?.sync_all();
        sync().map_err(ArchiveError::io("cannot write through", &self.path))
    }

    /// Writes a whole file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let (mut file, path) = self.create(name)?;
        file.write_all(bytes).map_err(ArchiveError::io("cannot write", &path))?;
        self.finish(&file, &path, name)
    }
}
