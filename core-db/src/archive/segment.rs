//! Segments: files of frames, each compressed and with a checksum.
//!
//! ```text
//! head     "RKXSEG" · u16 format · u8 length, name of the section · u32 number · u64 checksum of the head
//! frame    u32 packed bytes · u32 raw bytes · u32 rows · u64 checksum of the three numbers and the packed bytes
//!          · rows packed with LZ4 (block format): u32 length, CBOR; and so on
//! end      u32 zero · u64 rows · u128 digest of the rows · u64 checksum of the end
//! ```
//! Numbers are little-endian, checksums XXH3-64.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::digest::{SectionDigest, Sum};
use super::error::ArchiveError;
use super::folder::Folder;
use super::manifest::{FORMAT, SegmentEntry};
use super::row;
use crate::dump::{DumpRow, Section};

const MAGIC: &[u8; 6] = b"RKXSEG";
/// A frame is ended when it has so many bytes.
const FRAME_BYTES: usize = 256 * 1024;
/// What a reader takes for a frame at most: the largest row and what may stand before it.
const FRAME_MAX_BYTES: usize = 32 * 1024 * 1024;

/// A segment under construction.
pub struct SegmentWriter {
    name: String,
    section: Section,
    path: PathBuf,
    file: BufWriter<File>,
    hash: Xxh3Default,
    file_bytes: u64,
    raw_bytes: u64,
    digest: SectionDigest,
    frame: Vec<u8>,
    frame_rows: u32,
}

impl SegmentWriter {
    pub fn create(folder: &Folder, section: Section, number: u32) -> Result<Self, ArchiveError> {
        let name = file_name(section, number);
        let (file, path) = folder.create(&name)?;
        let mut writer = Self {
            name,
            section,
            path,
            file: BufWriter::with_capacity(256 * 1024, file),
            hash: Xxh3Default::new(),
            file_bytes: 0,
            raw_bytes: 0,
            digest: SectionDigest::default(),
            frame: Vec::with_capacity(FRAME_BYTES * 2),
            frame_rows: 0,
        };
        writer.write(&head(section, number))?;
        Ok(writer)
    }

    /// Adds a row.
    pub fn push(&mut self, dumped: &DumpRow) -> Result<(), ArchiveError> {
        let begin = self.frame.len();
        self.frame.extend_from_slice(&[0; 4]);
        row::encode(dumped, &mut self.frame)?;
        let length = self.frame.len() - begin - 4;
        // The store holds no row of more than 8 MiB.
        self.frame[begin..begin + 4].copy_from_slice(&(length as u32).to_le_bytes());
        self.digest.add(self.section, &self.frame[begin + 4..]);
        self.frame_rows += 1;
        if self.frame.len() >= FRAME_BYTES { self.end_frame() } else { Ok(()) }
    }

    /// Bytes of rows so far, before compression.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes + self.frame.len() as u64
    }

    /// Makes the segment durable under its name.
    pub fn finish(mut self, folder: &Folder, next: Option<String>) -> Result<SegmentEntry, ArchiveError> {
        self.end_frame()?;
        let end = end(self.digest);
        self.write(&end)?;
        let file = self.file.into_inner().map_err(|error| error.into_error());
        let file = file.map_err(ArchiveError::io("cannot write", &self.path))?;
        folder.finish(&file, &self.path, &self.name)?;
        Ok(SegmentEntry {
            file: self.name,
            section: self.section.name().to_owned(),
            file_bytes: self.file_bytes,
            file_hash: Sum(self.hash.digest128()),
            rows: self.digest,
            next,
        })
    }

    fn end_frame(&mut self) -> Result<(), ArchiveError> {
        if self.frame_rows == 0 {
            return Ok(());
        }
        let packed = lz4_flex::block::compress(&self.frame);
        let mut frame = frame_numbers(packed.len(), self.frame.len(), self.frame_rows).to_vec();
        frame.extend_from_slice(&packed);
        let checksum = xxh3_64(&frame);
        self.write(&frame[..12])?;
        self.write(&checksum.to_le_bytes())?;
        self.write(&packed)?;
        self.raw_bytes += self.frame.len() as u64;
        self.frame.clear();
        self.frame_rows = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hash.update(bytes);
        self.file_bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(ArchiveError::io("cannot write", &self.path))
    }
}

/// The name of a section's segment.
pub fn file_name(section: Section, number: u32) -> String {
    format!("{}-{number:04}.rkx", section.name())
}

fn head(section: Section, number: u32) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&(FORMAT as u16).to_le_bytes());
    head.push(section.name().len() as u8);
    head.extend_from_slice(section.name().as_bytes());
    head.extend_from_slice(&number.to_le_bytes());
    let checksum = xxh3_64(&head);
    head.extend_from_slice(&checksum.to_le_bytes());
    head
}

fn end(digest: SectionDigest) -> Vec<u8> {
    let mut end = vec![0; 4];
    end.extend_from_slice(&digest.rows.to_le_bytes());
    end.extend_from_slice(&digest.digest.0.to_le_bytes());
    let checksum = xxh3_64(&end);
    end.extend_from_slice(&checksum.to_le_bytes());
    end
}

fn frame_numbers(packed: usize, raw: usize, rows: u32) -> [u8; 12] {
    let mut numbers = [0; 12];
    numbers[..4].copy_from_slice(&(packed as u32).to_le_bytes());
    numbers[4..8].copy_from_slice(&(raw as u32).to_le_bytes());
    numbers[8..].copy_from_slice(&rows.to_le_bytes());
    numbers
}

/// A segment being read.
pub struct SegmentReader {
    path: PathBuf,
    section: Section,
    file: BufReader<File>,
    offset: u64,
    digest: SectionDigest,
    /// What the manifest says.
    expected: SectionDigest,
}

impl SegmentReader {
    pub fn open(path: &Path, entry: &SegmentEntry) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(ArchiveError::io("cannot open", path))?;
        let damaged =
            |reason: &str| ArchiveError::Damaged { path: path.to_path_buf(), offset: 0, reason: reason.into() };
        let section = Section::of_name(&entry.section).ok_or_else(|| damaged("a section that is not known"))?;
        let number = entry.file.strip_suffix(".rkx").and_then(|name| name.rsplit_once('-')?.1.parse().ok());
        let number = number.ok_or_else(|| damaged("not a name of a segment"))?;
        let mut reader = Self {
            path: path.to_path_buf(),
            section,
            file: BufReader::with_capacity(256 * 1024, file),
            offset: 0,
            digest: SectionDigest::default(),
            expected: entry.rows,
        };
        let expected = head(section, number);
        let mut found = vec![0; expected.len()];
        reader.read(&mut found)?;
        if found != expected {
            return Err(damaged("it does not begin as this segment does"));
        }
        Ok(reader)
    }

    pub const fn section(&self) -> Section {
        self.section
    }

    /// The rows of the next frame; none at the end, when all that was to be there was there.
    pub fn next_frame(&mut self) -> Result<Option<Vec<DumpRow>>, ArchiveError> {
        let begin = self.offset;
        let mut packed_bytes = [0; 4];
        self.read(&mut packed_bytes)?;
        let packed_bytes = u32::from_le_bytes(packed_bytes) as usize;
        if packed_bytes == 0 {
            return self.read_end(begin).map(|()| None);
        }
        let mut numbers = [0; 16];
        self.read(&mut numbers)?;
        let number = |at: usize| u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        let (raw_bytes, rows) = (number(0) as usize, number(4));
        let checksum = u64::from(number(8)) | u64::from(number(12)) << 32;
        if packed_bytes > FRAME_MAX_BYTES || raw_bytes > FRAME_MAX_BYTES {
            return Err(self.damaged(begin, "a frame's length is out of range"));
        }
        let mut frame = frame_numbers(packed_bytes, raw_bytes, rows).to_vec();
        frame.resize(12 + packed_bytes, 0);
        self.read(&mut frame[12..])?;
        if xxh3_64(&frame) != checksum {
            return Err(self.damaged(begin, "a frame's checksum is another"));
        }
        let raw = lz4_flex::block::decompress(&frame[12..], raw_bytes);
        let raw = raw.map_err(|error| self.damaged(begin, &error.to_string()))?;
        self.rows(begin, &raw, rows).map(Some)
    }

    fn rows(&mut self, begin: u64, mut raw: &[u8], rows: u32) -> Result<Vec<DumpRow>, ArchiveError> {
        let mut found = Vec::with_capacity(rows.min(65_536) as usize);
        while let Some((length, rest)) = raw.split_first_chunk::<4>() {
            let row = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
            let (bytes, rest) = row.ok_or_else(|| self.damaged(begin, "a row is cut off"))?;
            self.digest.add(self.section, bytes);
            found.push(row::decode(self.section, bytes).map_err(|reason| self.damaged(begin, &reason))?);
            raw = rest;
        }
        if !raw.is_empty() || found.len() != rows as usize {
            return Err(self.damaged(begin, "a frame has another number of rows than it says"));
        }
        Ok(found)
    }

    fn read_end(&mut self, begin: u64) -> Result<(), ArchiveError> {
        let expected = end(self.digest);
        let mut found = vec![0; expected.len()];
        self.read(&mut found[4..])?;
        if found != expected || self.digest != self.expected {
            return Err(self.damaged(begin, "its rows are not those that it ends with"));
        }
        let after = self.file.read(&mut [0; 1]).map_err(ArchiveError::io("cannot read", &self.path))?;
        if after != 0 {
            return Err(self.damaged(self.offset, "something follows its end"));
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        match self.file.read_exact(bytes) {
            Ok(()) => self.offset += bytes.len() as u64,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged(self.offset, "it is cut off"));
            }
            Err(error) => return Err(ArchiveError::io("cannot read", &self.path)(error)),
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, reason: &str) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), offset, reason: reason.to_owned() }
    }
}

/// Reads a segment to its end.
pub fn check(path: &Path, entry: &SegmentEntry) -> Result<(), ArchiveError> {
    let mut reader = SegmentReader::open(path, entry)?;
    while reader.next_frame()?.is_some() {}
    Ok(())
}
