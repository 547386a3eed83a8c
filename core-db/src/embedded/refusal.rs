//! The mark that says from which sequence number on batches were refused.
//!
//! When a batch cannot be made durable its callers are told that nothing was written. But its bytes may stand in the
//! journal already, or be written by the engine later. So the sequence number is noted first, in a file that was
//! written when the store was made, so that noting it takes no space on a full disk. Whoever opens the journals next,
//! this process or the one after a crash, cuts them off there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "refused";
const RECORD_BYTES: usize = 16;

/// The file.
#[derive(Debug)]
pub struct Refusal {
    file: File,
}

impl Refusal {
    /// Opens the file, or makes it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(NAME))?;
        let refusal = Self { file };
        if refusal.file.metadata()?.len() < RECORD_BYTES as u64 {
            refusal.write(None)?;
        }
        Ok(refusal)
    }

    /// From which sequence number on batches were refused.
    pub fn read(&self) -> io::Result<Option<u64>> {
        let mut record = [0; RECORD_BYTES];
        self.file.read_exact_at(&mut record, 0)?;
        let (seqno, checksum) = record.split_at(8);
        if checksum != xxh3_64(seqno).to_le_bytes() {
            // Torn while it was written: then nobody was told yet that the batch was refused.
            return Ok(None);
        }
        let number = <[u8; 8]>::try_from(seqno).map(u64::from_le_bytes).unwrap_or_default();
        Ok(number.checked_sub(1))
    }

    /// Notes a refusal, or with none that the journals were cut, durably.
    pub fn write(&self, refused_from: Option<u64>) -> io::Result<()> {
        let number = refused_from.map_or(0, |seqno| seqno.saturating_add(1)).to_le_bytes();
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&number);
        record[8..].copy_from_slice(&xxh3_64(&number).to_le_bytes());
        self.file.write_all_at(&record, 0)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_again_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = Refusal::open(folder.path()).unwrap();
        assert_eq!(refusal.read().unwrap(), None);
        for seqno in [0, 1, 77] {
            refusal.write(Some(seqno)).unwrap();
            assert_eq!(Refusal::open(folder.path()).unwrap().read().unwrap(), Some(seqno));
        }
        refusal.write(None).unwrap();
        assert_eq!(Refusal::open(folder.path()).unwrap().read().unwrap(), None);
        std::fs::write(folder.path().join(NAME), [7; RECORD_BYTES]).unwrap();
        assert_eq!(refusal.read().unwrap(), None);
    }
}
