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
/// Sequence numbers grow by one a batch, and a little by other things; a find beyond this is chance.
const SEQNO_WINDOW: u64 = 1 << 24;
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
    /// A broken batch with whole ones behind it: not the end of the journal.
    Damaged { next_batch: u64 },
}

/// Reads a journal; batches from the sequence number `refused_from` on count as refused.
pub fn read(path: &Path, refused_from: Option<u64>) -> io::Result<Journal> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut scanner = Scanner { input: BufReader::with_capacity(256 * 1024, file), position: 0, length };
    let mut journal = Journal { valid_bytes: 0, batches: 0, tail: Tail::Clean };
    let mut last_seqno = None;
    let broken_at = loop {
        match scanner.batch(refused_from)? {
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
            Parsed::Broken(position) => break position,
        }
    };
    let written_end = scanner.written_end(journal.valid_bytes)?;
    if written_end > journal.valid_bytes {
        let bytes = written_end - journal.valid_bytes;
        let next_batch = scanner.find_batch(broken_at, written_end, last_seqno)?;
        journal.tail = next_batch.map_or(Tail::Torn { bytes }, |next_batch| Tail::Damaged { next_batch });
    }
    Ok(journal)
}

enum Parsed {
    Whole(u64),
    Refused,
    /// No whole batch here; where its structure broke, at the latest where a value runs past the end.
    Broken(u64),
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
        let begin = self.position;
        let Ok([BATCH, head @ ..]) = self.exact::<13>()? else { return Ok(Parsed::Broken(begin)) };
        let items = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let seqno = u64::from_le_bytes([head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]]);
        if refused_from.is_some_and(|from| seqno >= from) {
            return Ok(Parsed::Refused);
        }
        let mut hasher = Xxh3::new();
        for _ in 0..items {
            if let Err(broken_at) = self.item(&mut hasher)? {
                return Ok(Parsed::Broken(broken_at));
            }
        }
        let end_at = self.position;
        let Ok([END, end @ ..]) = self.exact::<13>()? else { return Ok(Parsed::Broken(end_at)) };
        let checksum = u64::from_le_bytes([end[0], end[1], end[2], end[3], end[4], end[5], end[6], end[7]]);
        if end[8..] != MAGIC || checksum != hasher.digest() {
            return Ok(Parsed::Broken(self.position));
        }
        Ok(Parsed::Whole(seqno))
    }

    /// Reads one item into the checksum; `Err` says where it broke.
    fn item(&mut self, hasher: &mut Xxh3) -> io::Result<Result<(), u64>> {
        let begin = self.position;
        let Ok([tag]) = self.exact::<1>()? else { return Ok(Err(begin)) };
        hasher.update(&[tag]);
        match tag {
            CLEAR => {
                let Ok(tree) = self.exact::<8>()? else { return Ok(Err(begin)) };
                hasher.update(&tree);
                Ok(Ok(()))
            }
            ITEM => {
                let Ok(head) = self.exact::<20>()? else { return Ok(Err(begin)) };
                hasher.update(&head);
                let key_bytes = u16::from_le_bytes([head[10], head[11]]);
                let value_bytes = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                let bytes = u64::from(key_bytes) + u64::from(value_bytes);
                if self.length - self.position < bytes {
                    return Ok(Err(self.position));
                }
                self.hash(bytes, hasher)?;
                Ok(Ok(()))
            }
            _ => Ok(Err(begin)),
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
    /// The search begins where the structure broke, not where the batch began: the values in front of that hold what
    /// users wrote, and nobody shall be able to write something that looks like a batch.
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
