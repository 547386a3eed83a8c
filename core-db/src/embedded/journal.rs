//! Reads the engine's journal to find out where it ends.
//!
//! At a start the engine cuts off whatever it cannot read, without a word, and refuses to open when a last batch has
//! the wrong checksum. Neither will do: an operator must hear of a repair, and damage in front of acknowledged batches
//! must never be cut off. So the journals are read here first, in the engine's own format (fjall 3):
//!
//! ```text
//! batch = 0x01, items: u32, sequence number: u64, item*, 0x03, xxh3 of the items: u64, "FJL" 0x03
//! item  = 0x02, kind: u8, compression: u8, tree: u64, key length: u16, length: u32, stored length: u32, key, value
//!       | 0x04, tree: u64
//! ```
//!
//! All numbers are little-endian. Files are made 64 MiB long, so that zeros follow the last batch.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

const BATCH: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Sequence numbers grow by one a batch, and a little by other things; a find beyond this is chance, or somebody's
/// message that looks like a batch.
const SEQNO_WINDOW: u64 = 4_096;
/// The most that is searched for batches behind damage; far above what one group may write.
const SEARCH_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Journal {
    /// Where the last whole batch ends.
    pub valid_bytes: u64,
    /// Whole batches.
    pub batches: u64,
    /// What follows them.
    pub tail: Tail,
}

/// What follows the last whole batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or the zeros that the file was made with.
    Clean,
    /// A batch that the engine could not make durable and that was refused.
    Refused { bytes: u64 },
    /// A batch that was being written when the process or machine stopped, or other rubbish.
    Torn { bytes: u64 },
    /// A broken batch with whole ones behind it, or a whole one out of order: not the end of the journal.
    Damaged { next_batch: u64 },
}

/// Reads a journal; batches from the sequence number `refused_from` on count as refused.
pub fn read(path: &Path, refused_from: Option<u64>) -> io::Result<Journal> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut scanner = Scanner { input: BufReader::with_capacity(256 * 1024, file), position: 0, length };
    let mut journal = Journal { valid_bytes: 0, batches: 0, tail: Tail::Clean };
    let mut last_seqno = None;
    loop {
        match scanner.batch(refused_from)? {
            // No checksum covers the sequence numbers, but they only grow.
            Parsed::Whole(seqno) if last_seqno.is_some_and(|last| seqno <= last) => {
                journal.tail = Tail::Damaged { next_batch: journal.valid_bytes };
                return Ok(journal);
            }
            Parsed::Whole(seqno) => {
                journal.valid_bytes = scanner.position;
                journal.batches += 1;
                last_seqno = Some(seqno);
            }
            Parsed::Refused => {
                let bytes = scanner.written_end(journal.valid_bytes)?.saturating_sub(journal.valid_bytes);
                journal.tail = Tail::Refused { bytes };
                return Ok(journal);
            }
            Parsed::Broken => break,
        }
    }
    let written_end = scanner.written_end(journal.valid_bytes)?;
    if written_end > journal.valid_bytes {
        let bytes = written_end - journal.valid_bytes;
        let next_batch = scanner.find_batch(journal.valid_bytes + 1, written_end, last_seqno)?;
        journal.tail = next_batch.map_or(Tail::Torn { bytes }, |next_batch| Tail::Damaged { next_batch });
    }
    Ok(journal)
}

enum Parsed {
    Whole(u64),
    Refused,
    /// No whole batch here.
    Broken,
}

struct Scanner<R> {
    input: R,
    position: u64,
    length: u64,
}

/// A number or tag was not there: the input ended.
struct Ended;

impl<R: BufRead + Seek> Scanner<R> {
    fn exact<const N: usize>(&mut self) -> io::Result<Result<[u8; N], Ended>> {
        if self.length - self.position < N as u64 {
            return Ok(Err(Ended));
        }
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(Ok(bytes))
    }

    /// Reads one batch and checks it.
    fn batch(&mut self, refused_from: Option<u64>) -> io::Result<Parsed> {
        let Ok([BATCH, head @ ..]) = self.exact::<13>()? else { return Ok(Parsed::Broken) };
        let items = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let seqno = u64::from_le_bytes([head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]]);
        if refused_from.is_some_and(|from| seqno >= from) {
            return Ok(Parsed::Refused);
        }
        let mut hasher = Xxh3::new();
        for _ in 0..items {
            if !self.item(&mut hasher)? {
                return Ok(Parsed::Broken);
            }
        }
        let Ok([END, end @ ..]) = self.exact::<13>()? else { return Ok(Parsed::Broken) };
        let checksum = u64::from_le_bytes([end[0], end[1], end[2], end[3], end[4], end[5], end[6], end[7]]);
        if end[8..] != MAGIC || checksum != hasher.digest() {
            return Ok(Parsed::Broken);
        }
        Ok(Parsed::Whole(seqno))
    }

    /// Reads one item into the checksum; says whether there was one.
    fn item(&mut self, hasher: &mut Xxh3) -> io::Result<bool> {
        let Ok([tag]) = self.exact::<1>()? else { return Ok(false) };
        hasher.update(&[tag]);
        match tag {
            CLEAR => {
                let Ok(tree) = self.exact::<8>()? else { return Ok(false) };
                hasher.update(&tree);
                Ok(true)
            }
            ITEM => {
                let Ok(head) = self.exact::<20>()? else { return Ok(false) };
                hasher.update(&head);
                let key_bytes = u16::from_le_bytes([head[10], head[11]]);
                let value_bytes = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                let bytes = u64::from(key_bytes) + u64::from(value_bytes);
                if self.length - self.position < bytes {
                    return Ok(false);
                }
                self.hash(bytes, hasher)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn hash(&mut self, mut bytes: u64, hasher: &mut Xxh3) -> io::Result<()> {
        while bytes > 0 {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = buffer.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            hasher.update(&buffer[..take]);
            self.input.consume(take);
            self.position += take as u64;
            bytes -= take as u64;
        }
        Ok(())
    }

    fn seek(&mut self, position: u64) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(position))?;
        self.position = position;
        Ok(())
    }

    /// Where the last byte that is not zero ends, from a position on.
    fn written_end(&mut self, from: u64) -> io::Result<u64> {
        self.seek(from)?;
        let mut end = from;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(end);
            }
            if let Some(last) = buffer.iter().rposition(|byte| *byte != 0) {
                end = self.position + last as u64 + 1;
            }
            let taken = buffer.len();
            self.input.consume(taken);
            self.position += taken as u64;
        }
    }

    /// Finds a whole batch between two positions.
    ///
    /// Lengths may be what is damaged, so that every byte may begin a batch. The values between hold what users wrote;
    /// to look like a batch, it would have to name the coming sequence number, which nobody outside knows. Even then a
    /// store would refuse to open after a crash at that very write, and lose nothing.
    fn find_batch(&mut self, from: u64, to: u64, last_seqno: Option<u64>) -> io::Result<Option<u64>> {
        let to = to.min(from.saturating_add(SEARCH_MAX_BYTES));
        if from >= to {
            return Ok(None);
        }
        self.seek(from)?;
        let mut bytes = Vec::new();
        self.input.by_ref().take(to - from).read_to_end(&mut bytes)?;
        let plausible = |seqno: u64| last_seqno.is_none_or(|last| seqno > last && seqno - last < SEQNO_WINDOW);
        for (offset, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == BATCH) {
            let rest = &bytes[offset..];
            let mut inner = Scanner { input: io::Cursor::new(rest), position: 0, length: rest.len() as u64 };
            if let Parsed::Whole(seqno) = inner.batch(None)?
                && inner.position > 26
                && plausible(seqno)
            {
                return Ok(Some(from + offset as u64));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::db::Db;
    use crate::embedded::group::{Group, KnownBuckets};
    use crate::key::Key;
    use crate::tables::{Change, Table};
    use fjall::Slice;

    /// A journal that the engine wrote, and where its batches end.
    fn made(folder: &Path, batches: u64) -> (Vec<u8>, Vec<u64>) {
        let db = Db::open(folder, 1 << 20).unwrap();
        let mut ends = Vec::new();
        for number in 0..batches {
            let mut group = Group::default();
            for part in 0..=number % 3 {
                let (key, row) = (Key::of(Table::Guilds).id(number).id(part), Slice::from(vec![0x41; 30]));
                group.add(Change::Put(Table::Guilds, key, row), &KnownBuckets::default());
            }
            group.add(Change::Delete(Table::Messages, Key::of(Table::Messages).id(1)), &KnownBuckets::default());
            group.commit(&db, &mut KnownBuckets::default()).unwrap();
            ends.push(read(&folder.join("0.jnl"), None).unwrap().valid_bytes);
        }
        drop(db);
        let mut bytes = std::fs::read(folder.join("0.jnl")).unwrap();
        bytes.truncate(*ends.last().unwrap() as usize);
        (bytes, ends)
    }

    #[test]
    fn the_engines_format_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), 6);
        let journal = read(&folder.path().join("0.jnl"), None).unwrap();
        assert_eq!((journal.batches, journal.tail), (6, Tail::Clean));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, ends) = made(folder.path(), 4);
        let path = folder.path().join("changed");
        let whole_up_to = |position: u64| ends.iter().filter(|end| **end <= position).count();
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let journal = read(&path, None).unwrap();
            let whole = whole_up_to(cut as u64);
            let valid = whole.checked_sub(1).map_or(0, |last| ends[last]);
            assert_eq!((journal.batches, journal.valid_bytes), (whole as u64, valid), "cut at {cut}");
            let clean = bytes[valid as usize..cut].iter().all(|byte| *byte == 0);
            assert_eq!(journal.tail == Tail::Clean, clean, "cut at {cut}");
            assert!(!matches!(journal.tail, Tail::Damaged { .. }), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            std::fs::write(&path, &changed).unwrap();
            let journal = read(&path, None).unwrap();
            let whole = whole_up_to(at as u64);
            let begin = whole.checked_sub(1).map_or(0, |last| ends[last]);
            let is_last = whole == ends.len() - 1;
            if (5..13).contains(&(at as u64 - begin)) {
                // A sequence number, which no checksum covers, is noticed by those behind it.
                assert!(is_last || matches!(journal.tail, Tail::Damaged { .. }), "flipped at {at}: {journal:?}");
                continue;
            }
            assert_eq!(journal.batches, whole as u64, "flipped at {at}");
            match journal.tail {
                Tail::Torn { .. } => assert!(is_last, "flipped at {at}, and taken for the end"),
                Tail::Damaged { next_batch } => assert_eq!(next_batch, ends[whole], "flipped at {at}"),
                other => panic!("flipped at {at}: {other:?}"),
            }
        }
    }

    #[test]
    fn refused_batches_are_told_from_kept_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, ends) = made(folder.path(), 4);
        let path = folder.path().join("changed");
        std::fs::write(&path, &bytes).unwrap();
        let all = read(&path, None).unwrap();
        assert_eq!(all.batches, 4);
        // Sequence numbers begin somewhere: find the first refusal that cuts one batch.
        let cut = (0..1_000).rev().map(|from| read(&path, Some(from)).unwrap()).find(|journal| journal.batches == 3);
        let cut = cut.unwrap();
        assert_eq!(cut.valid_bytes, ends[2]);
        assert_eq!(cut.tail, Tail::Refused { bytes: ends[3] - ends[2] });
    }
}
