//! From a folder to an open database.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tracing::info;

use super::db::Db;
use super::refusal::Refusal;
use super::repair::{io_error, repair_journals, sync_folder};
use crate::{EmbeddedConfig, OpenError};

/// The layout that this version reads and writes.
const LAYOUT: u64 = 1;

/// A locked folder of a store; it stays locked while the database inside is opened anew.
pub struct Folder {
    path: PathBuf,
    cache_bytes: u64,
    refusal: Refusal,
    _lock: File,
}

impl Folder {
    /// Locks the folder, making it if it does not exist.
    pub fn lock(config: &EmbeddedConfig) -> Result<Self, OpenError> {
        let path = config.path.clone();
        fs::create_dir_all(&path).map_err(io_error("cannot make the folder", &path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(io_error("cannot open the lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(io_error("cannot lock", &lock_path)(error)),
        }
        let refusal = Refusal::open(&path).map_err(io_error("cannot open the mark of refused batches", &path))?;
        Ok(Self { path, cache_bytes: config.cache_bytes, refusal, _lock: lock })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mark of refused batches.
    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Opens the database, making or repairing it first.
    pub fn open(&self) -> Result<Db, OpenError> {
        let database = self.path.join("embedded");
        if !database.try_exists().map_err(io_error("cannot look for", &database))? {
            self.create(&database)?;
        }
        self.check_layout(&database)?;
        let refused_from =
            self.refusal.read().map_err(io_error("cannot read the mark of refused batches", &self.path))?;
        repair_journals(&database, refused_from)?;
        let db = self.open_engine(&database)?;
        if refused_from.is_some() {
            self.refusal.write(None).map_err(io_error("cannot clear the mark of refused batches", &self.path))?;
        }
        Ok(db)
    }

    /// Makes a database under another name first, so that a crash on the way leaves nothing half-made.
    fn create(&self, database: &Path) -> Result<(), OpenError> {
        let new = self.path.join("embedded.new");
        if new.try_exists().map_err(io_error("cannot look for", &new))? {
            fs::remove_dir_all(&new).map_err(io_error("cannot remove a half-made database", &new))?;
        }
        drop(self.open_engine(&new)?);
        let layout = new.join("layout");
        let write = || {
            fs::write(&layout, format!("{LAYOUT}\n"))?;
            File::open(&layout)?.sync_all()
        };
        write().map_err(io_error("cannot write", &layout))?;
        sync_folder(&new)?;
        fs::rename(&new, database).map_err(io_error("cannot make the database", database))?;
        sync_folder(&self.path)?;
        info!(path = %self.path.display(), "made a new store");
        Ok(())
    }

    /// What tells this store from others: drawn once, and copied with the store.
    pub fn store_id(&self) -> Result<String, OpenError> {
        let path = self.path.join("embedded").join("id");
        match fs::read_to_string(&path) {
            Ok(id) => return Ok(id.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("cannot read", &path)(error)),
        }
        // Random enough to tell stores apart: each state is seeded by the system.
        let random = || std::hash::RandomState::new().build_hasher().finish();
        let (id, new) = (format!("{:016x}{:016x}", random(), random()), path.with_extension("new"));
        let write = || {
            fs::write(&new, format!("{id}\n"))?;
            File::open(&new)?.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(io_error("cannot write", &path))?;
        sync_folder(&self.path.join("embedded"))?;
        Ok(id)
    }

    fn check_layout(&self, database: &Path) -> Result<(), OpenError> {
        let path = database.join("layout");
        let text = fs::read_to_string(&path).map_err(io_error("cannot read", &path))?;
        match text.trim().parse() {
            Ok(LAYOUT) => Ok(()),
            Ok(found) => Err(OpenError::Layout { path: self.path.clone(), found, expected: LAYOUT }),
            Err(_) => Err(OpenError::Engine { path, reason: "the layout is not a number".into() }),
        }
    }

    fn open_engine(&self, database: &Path) -> Result<Db, OpenError> {
        // The engine asserts what it finds in its files; a damaged store shall be an error, not a crash.
        let opened = catch_unwind(AssertUnwindSafe(|| Db::open(database, self.cache_bytes)));
        let failed = |reason: String| OpenError::Engine { path: database.to_path_buf(), reason };
        match opened {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(fjall::Error::Io(source))) => Err(io_error("the engine cannot open the store", database)(source)),
            Ok(Err(fjall::Error::Locked)) => Err(OpenError::Locked { path: self.path.clone() }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Err(failed(text.unwrap_or_else(|| "the engine panicked".into())))
            }
        }
    }
}
