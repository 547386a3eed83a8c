//! The manifest: what an archive holds, and where its export stands.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::digest::{SectionDigest, StoreDigest, Sum};
use super::error::ArchiveError;
use super::folder::Folder;
use super::progress::{Event, Report};
use crate::dump::{DamagedRow, Section};

/// The format that this version writes and reads.
pub const FORMAT: u64 = 1;
const NAME: &str = "manifest.json";

/// An archive's table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u64,
    /// See [`ROW_ENCODING`](super::row::ROW_ENCODING).
    pub row_encoding: u32,
    /// Tells archives apart.
    pub archive_id: String,
    /// The program and version that wrote it.
    pub written_by: String,
    /// No id was issued above this moment, Unix milliseconds, when the export began.
    pub id_ceiling_ms: u64,
    /// Whether the export ended.
    pub complete: bool,
    /// Counts and digests so far.
    pub digest: StoreDigest,
    /// In the order in which they are imported.
    pub segments: Vec<SegmentEntry>,
    /// Rows that were left out because they could not be read.
    pub damaged: Vec<DamagedRow>,
}

/// A segment that is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    pub file: String,
    pub section: String,
    pub file_bytes: u64,
    /// XXH3-128 of the file.
    pub file_hash: Sum,
    #[serde(flatten)]
    pub rows: SectionDigest,
    /// Where the section goes on, in hexadecimal; none when this is its last segment.
    pub next: Option<String>,
}

#[derive(Serialize)]
struct Signed<'a> {
    manifest: &'a RawValue,
    checksum: Sum,
}

#[derive(Deserialize)]
struct SignedText {
    manifest: Box<RawValue>,
    checksum: Sum,
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u64,
}

impl Manifest {
    /// Reads and checks the manifest of an archive.
    pub fn read(folder: &Path) -> Result<Self, ArchiveError> {
        Self::find(folder)?.ok_or_else(|| ArchiveError::NotAnArchive { path: folder.to_path_buf() })
    }

    /// Likewise; none where there is none.
    pub fn find(folder: &Path) -> Result<Option<Self>, ArchiveError> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ArchiveError::io("cannot read", &path)(error)),
        };
        let damaged = |reason: String| ArchiveError::Damaged { path: path.clone(), offset: 0, reason };
        let signed: SignedText = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let text = signed.manifest.get();
        if Sum(xxh3_128(text.as_bytes())) != signed.checksum {
            return Err(damaged("its checksum is another".into()));
        }
        let OnlyFormat { format } = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if format != FORMAT {
            return Err(ArchiveError::Format { path: folder.to_path_buf(), found: format, expected: FORMAT });
        }
        serde_json::from_str(text).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes it, durably.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), ArchiveError> {
        let text = || {
            let manifest = serde_json::value::to_raw_value(self)?;
            let checksum = Sum(xxh3_128(manifest.get().as_bytes()));
            serde_json::to_vec(&Signed { manifest: &manifest, checksum })
        };
        let path = folder.path().join(NAME);
        let text = text().map_err(|error| ArchiveError::io("cannot encode", &path)(error.into()))?;
        folder.write(NAME, &text)
    }

    /// Where an export goes on: the section, behind which place, and the number of its next segment.
    pub(super) fn next(&self) -> Option<(Section, Option<String>, u32)> {
        let Some(last) = self.segments.last() else { return Some((Section::ALL[0], None, 1)) };
        let of_section = self.segments.iter().filter(|segment| segment.section == last.section).count();
        let index = Section::ALL.iter().position(|section| section.name() == last.section)?;
        match &last.next {
            Some(next) => Some((Section::ALL[index], Some(next.clone()), of_section as u32 + 1)),
            None => Section::ALL.get(index + 1).map(|section| (*section, None, 1)),
        }
    }

    /// Checks that segments are there, all of their bytes as they were written.
    pub(super) fn check_segments(&self, folder: &Path, from: usize, report: &Report) -> Result<(), ArchiveError> {
        if !self.complete {
            return Err(ArchiveError::Incomplete { path: folder.to_path_buf() });
        }
        let segments_total = self.segments.len() as u32;
        for (index, segment) in self.segments.iter().enumerate().skip(from) {
            segment.check(folder)?;
            report(Event::Checked { segments: index as u32 + 1, segments_total });
        }
        Ok(())
    }
}

impl SegmentEntry {
    fn check(&self, folder: &Path) -> Result<(), ArchiveError> {
        let path = folder.join(&self.file);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ArchiveError::MissingSegment { path });
            }
            Err(error) => return Err(ArchiveError::io("cannot open", &path)(error)),
        };
        let (mut hash, mut bytes, mut buffer) = (Xxh3Default::new(), 0, vec![0; 256 * 1024]);
        loop {
            let read = file.read(&mut buffer).map_err(ArchiveError::io("cannot read", &path))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            bytes += read as u64;
        }
        let damaged = |reason: String| ArchiveError::Damaged { path: path.clone(), offset: 0, reason };
        if bytes != self.file_bytes {
            return Err(damaged(format!("it has {bytes} bytes, the manifest says {}", self.file_bytes)));
        }
        if Sum(hash.digest128()) != self.file_hash {
            // The frames have checksums of their own, and say where.
            super::segment::check(&path, self)?;
            return Err(damaged("its hash is another than the manifest says".into()));
        }
        Ok(())
    }
}
