//! Archives: a store in a folder of checksummed segments, written and read in steps that survive a crash.
//!
//! `docs/backup.md` has the format for people. A segment is written under another name, synced and renamed, and then
//! entered into the manifest together with where the export stands; so whatever moment an export is killed at, the
//! manifest names only whole segments and the next run goes on behind the last. An import notes in the store how many
//! segments are durable there, and writes rows that may be written twice.

mod digest;
mod error;
mod export;
mod folder;
mod import;
mod manifest;
mod moment;
mod progress;
mod row;
mod segment;

pub use digest::{SectionDigest, StoreDigest, Sum, digest};
pub use error::ArchiveError;
pub use export::{ExportOptions, export};
pub use import::{ImportOptions, import};
pub use manifest::{Manifest, SegmentEntry};
pub use progress::{Event, Report};

use std::path::Path;

use manifest::Depth;

/// Reads a whole archive, every row of it, and checks everything that can be checked without a store; blocks.
pub fn check(folder: &Path, report: &Report) -> Result<Manifest, ArchiveError> {
    let manifest = Manifest::read(folder)?;
    manifest.check_segments(folder, 0, Depth::Rows, report)?;
    Ok(manifest)
}
