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
use crate::engine::LeaseRow;

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
    /// The store that it is of; empty where an earlier version began it.
    #[serde(default)]
    pub source: String,
    /// No id was issued above this moment, Unix milliseconds, when the export began.
    pub id_ceiling_ms: u64,
    /// The store's own ceiling could not be read: the moment is that of the newest row so far, and of the end.
    #[serde(default)]
    pub ceiling_of_rows: bool,
    /// What every node of the store had used when the export began.
    #[serde(default)]
    pub leases: Vec<LeaseRow>,
    /// The store was in use meanwhile: the archive is not of one moment.
    #[serde(default)]
    pub live: bool,
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

/// How closely segments are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Their bytes are those that were written.
    Bytes,
    /// What was written is rows, as many as it says.
    Rows,
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
        let manifest: Self = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        manifest.check_contents(&path)?;
        Ok(Some(manifest))
    }

    /// Checks that all of it is known here, and that its segments are a whole.
    fn check_contents(&self, path: &Path) -> Result<(), ArchiveError> {
        let mut names = self.segments.iter().map(|segment| &segment.section).chain(self.digest.sections.keys());
        if let Some(section) = names.find(|name| Section::of_name(name).is_none()) {
            let (path, written_by) = (path.to_path_buf(), self.written_by.clone());
            return Err(ArchiveError::UnknownSection { path, section: section.clone(), written_by });
        }
        let damaged = |reason: String| ArchiveError::Damaged { path: path.to_path_buf(), offset: 0, reason };
        self.check_chain().map_err(damaged)?;
        let mut total = StoreDigest::default();
        for segment in &self.segments {
            total.sections.entry(segment.section.clone()).or_default().merge(segment.rows);
        }
        match total == self.digest {
            true => Ok(()),
            false => Err(damaged("its counts and digests are not the sum of its segments'".into())),
        }
    }

    /// Every section is whole, from its first segment to its last, and none comes before one that it depends on.
    fn check_chain(&self) -> Result<(), String> {
        let mut last: Option<(Section, u32, bool)> = None;
        for segment in &self.segments {
            let section = Section::of_name(&segment.section).ok_or_else(|| "a section that is not known".to_owned())?;
            let number = match last {
                Some((of, number, goes_on)) if of == section && goes_on => number + 1,
                Some((of, _, goes_on)) if goes_on || of >= section => {
                    return Err(format!("{} does not belong behind the segments of {}", segment.file, of.name()));
                }
                _ => 1,
            };
            if segment.file != super::segment::file_name(section, number) {
                return Err(format!(
                    "{} stands in the place of {}",
                    segment.file,
                    super::segment::file_name(section, number)
                ));
            }
            last = Some((section, number, segment.next.is_some()));
        }
        match last {
            Some((section, _, true)) if self.complete => Err(format!("the end of {} is missing", section.name())),
            None if self.complete => Err("it has no segments".into()),
            _ => Ok(()),
        }
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
    pub(super) fn check_segments(
        &self,
        folder: &Path,
        from: usize,
        depth: Depth,
        report: &Report,
    ) -> Result<(), ArchiveError> {
        if !self.complete {
            return Err(ArchiveError::Incomplete { path: folder.to_path_buf() });
        }
        let segments_total = self.segments.len() as u32;
        for (index, segment) in self.segments.iter().enumerate().skip(from) {
            segment.check(folder)?;
            if depth == Depth::Rows {
                super::segment::check(&folder.join(&segment.file), segment)?;
            }
            report(Event::Checked { segments: index as u32 + 1, segments_total });
        }
        Ok(())
    }
}

impl SegmentEntry {
    /// The section, which was looked at when the manifest was read.
    pub(super) fn section(&self) -> Section {
        Section::of_name(&self.section).unwrap_or(Section::ALL[0])
    }

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
