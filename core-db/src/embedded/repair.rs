//! What happens to the journals before the engine opens them.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::journal::{self, Tail};
use crate::OpenError;

/// Wraps the file system's errors with what was tried.
pub fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { what, path, source }
}

/// Cuts off what was never acknowledged, and refuses when acknowledged batches are damaged.
pub fn repair_journals(folder: &Path, refused_from: Option<u64>) -> Result<(), OpenError> {
    let journals = list(folder)?;
    let newest = journals.len().saturating_sub(1);
    for (index, path) in journals.iter().enumerate() {
        let found = journal::read(path, refused_from).map_err(io_error("cannot read the journal", path))?;
        match found.tail {
            Tail::Clean => {}
            Tail::Refused { bytes } => {
                cut(path, found.valid_bytes)?;
                warn!(
                    journal = %path.display(), valid_bytes = found.valid_bytes, dropped_bytes = bytes,
                    "cut off a batch that could not be made durable and was refused"
                );
            }
            // An older journal was written through before the next was begun: its end cannot be torn, except by a
            // refused batch.
            Tail::Torn { .. } if index != newest && refused_from.is_none() => {
                return Err(damaged(path, found.valid_bytes, "an older journal does not end with a whole batch"));
            }
            Tail::Torn { bytes } => {
                cut(path, found.valid_bytes)?;
                warn!(
                    journal = %path.display(), valid_bytes = found.valid_bytes, dropped_bytes = bytes,
                    batches = found.batches,
                    "repaired a torn tail: cut off a write that was under way when the process or machine stopped; \
                     it was never acknowledged"
                );
            }
            Tail::Damaged { next_batch } => {
                let reason = format!("a broken batch with acknowledged ones behind it, from byte {next_batch} on");
                return Err(damaged(path, found.valid_bytes, reason));
            }
        }
    }
    Ok(())
}

fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), offset, reason: reason.into() }
}

fn cut(path: &Path, valid_bytes: u64) -> Result<(), OpenError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("cannot repair the journal", path))?;
    file.set_len(valid_bytes).map_err(io_error("cannot repair the journal", path))?;
    file.sync_all().map_err(io_error("cannot repair the journal", path))
}

/// The journals of a database, oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("cannot list", folder))? {
        let path = entry.map_err(io_error("cannot list", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl")
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok())
        {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// Makes a rename or a new file in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(io_error("cannot write through", folder))
}
