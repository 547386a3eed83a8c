//! The file of kept sessions: written whole or not at all, read once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::KeptSessions;

/// What the file begins with; the last byte is its version.
const MAGIC: [u8; 8] = *b"RKSESS\x00\x01";
const NAME: &str = "sessions.cbor";
const UNFINISHED: &str = "sessions.cbor.new";
/// More than a region's replay buffers can hold is nothing that a region wrote.
const MAX_BYTES: u64 = 8 << 30;

/// Why sessions could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{0} cannot be written")]
    Io(PathBuf, #[source] io::Error),
    #[error("a session cannot be written: {0}")]
    Encode(String),
}

/// Why what was left cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0} cannot be read")]
    Io(PathBuf, #[source] io::Error),
    #[error("it is not a file of sessions, or of another version")]
    NotSessions,
    #[error("it is damaged")]
    Damaged,
}

/// Writes the sessions down; they are on disk when this returns.
pub fn write(folder: &Path, kept: &KeptSessions) -> Result<(), WriteError> {
    let unfinished = folder.join(UNFINISHED);
    let mut body = Vec::new();
    ciborium::into_writer(kept, &mut body).map_err(|error| WriteError::Encode(error.to_string()))?;
    let written = (|| {
        fs::create_dir_all(folder)?;
        let mut file = private(&unfinished)?;
        file.write_all(&MAGIC)?;
        file.write_all(&checksum(&body).to_be_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&unfinished, folder.join(NAME))?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| WriteError::Io(unfinished, error))
}

/// Takes what was left out of the folder: from here on it is not there any more. None if nothing was left.
pub fn take(folder: &Path) -> Result<Option<KeptSessions>, ReadError> {
    let path = folder.join(NAME);
    let bytes = (|| {
        let _ = fs::remove_file(folder.join(UNFINISHED));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
        // Also when it could not be read: it would be no better the next time, and older by then.
        fs::remove_file(&path)?;
        File::open(folder)?.sync_all()?;
        read.map(|_| Some(bytes))
    })();
    match bytes.map_err(|error| ReadError::Io(path, error))? {
        None => Ok(None),
        Some(bytes) => decode(&bytes).map(Some),
    }
}

fn decode(bytes: &[u8]) -> Result<KeptSessions, ReadError> {
    let body = bytes.strip_prefix(&MAGIC).ok_or(ReadError::NotSessions)?;
    let (sum, body) = body.split_first_chunk::<4>().ok_or(ReadError::Damaged)?;
    if checksum(body) != u32::from_be_bytes(*sum) {
        return Err(ReadError::Damaged);
    }
    ciborium::from_reader(body).map_err(|_| ReadError::Damaged)
}

/// Events are what people wrote: nobody else on the machine reads them.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use rookery_session::Freezer;

    use super::*;

    fn kept(kept_at_unix_ms: u64) -> KeptSessions {
        KeptSessions { kept_at_unix_ms, payloads: Freezer::new().finish(), sessions: Vec::new(), parked: Vec::new() }
    }

    #[test]
    fn what_is_left_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("sessions");
        assert!(take(&folder).unwrap().is_none());
        write(&folder, &kept(7)).unwrap();
        write(&folder, &kept(8)).unwrap();
        assert_eq!(take(&folder).unwrap().unwrap().kept_at_unix_ms, 8);
        assert!(take(&folder).unwrap().is_none());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn no_damage_is_taken_for_sessions_and_none_stays() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &kept(7)).unwrap();
        let whole = fs::read(folder.path().join(NAME)).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            fs::write(folder.path().join(NAME), &damaged).unwrap();
            assert!(take(folder.path()).is_err(), "byte {place}");
            assert!(take(folder.path()).unwrap().is_none());
        }
        for len in 0..whole.len() {
            fs::write(folder.path().join(NAME), &whole[..len]).unwrap();
            assert!(take(folder.path()).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn what_was_not_finished_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(UNFINISHED), b"RKSESS").unwrap();
        assert!(take(folder.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
