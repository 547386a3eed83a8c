//! Files of an archive: private, and durable under their names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::error::ArchiveError;

/// A folder that this process alone writes to.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks a folder, making it if it does not exist. An archive holds everybody's messages: nobody else may read it.
    pub fn lock(path: &Path) -> Result<Self, ArchiveError> {
        let is_new = !path.exists();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(ArchiveError::io("cannot make the folder", path))?;
        if is_new {
            sync_above(path)?;
        }
        check_private(path)?;
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

/// Makes a new folder durable in the ones above it, of which some may be new as well.
fn sync_above(path: &Path) -> Result<(), ArchiveError> {
    let absolute = std::path::absolute(path).map_err(ArchiveError::io("cannot name", path))?;
    for above in absolute.ancestors().skip(1) {
        let synced = File::open(above).and_then(|folder| folder.sync_all());
        match synced {
            Ok(()) => {}
            // Folders that one may go through and not read were not made here.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            Err(error) => return Err(ArchiveError::io("cannot write through", above)(error)),
        }
    }
    Ok(())
}

/// Refuses a folder in which others could put files in the place of those of the archive; warns where they can look.
fn check_private(path: &Path) -> Result<(), ArchiveError> {
    let mode = fs::metadata(path).map_err(ArchiveError::io("cannot look at", path))?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(ArchiveError::OpenToOthers { path: path.to_path_buf(), mode: mode & 0o7777 });
    }
    if mode & 0o055 != 0 {
        warn!(path = %path.display(), mode = format!("{mode:o}"), "others may look into the archive's folder");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_private_and_one_that_others_write_to_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        drop(Folder::lock(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        for (mode, is_refused) in [(0o755, false), (0o770, true), (0o702, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused =
                matches!(Folder::lock(&path), Err(ArchiveError::OpenToOthers { mode: found, .. }) if found == mode);
            assert_eq!(refused, is_refused, "{mode:o}");
        }
    }
}
