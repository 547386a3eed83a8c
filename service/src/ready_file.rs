//! The file that says where a process can be reached, written once it can be.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why the ready file could not be written or removed.
#[derive(Debug, thiserror::Error)]
pub enum ReadyFileError {
    /// The value is no JSON.
    #[error("the ready file's content cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
    /// A file cannot be written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Writes `value` as one line of JSON, so that a reader sees the whole or nothing.
///
/// The text goes into a file beside it, which then takes its name.
pub fn write(path: &Path, value: &impl Serialize) -> Result<(), ReadyFileError> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .map_err(|source| ReadyFileError::Io { action: "write", path: temporary.clone(), source })
        .and_then(|()| {
            fs::rename(&temporary, path).map_err(|source| ReadyFileError::Io {
                action: "replace",
                path: path.to_owned(),
                source,
            })
        });
    if written.is_err() {
        // It may not be there at all; what matters is said by the error that is returned.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes what an earlier process left, which would name addresses where nobody is. Called before anything listens.
pub fn remove_stale(path: &Path) -> Result<(), ReadyFileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ReadyFileError::Io { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn it_is_one_line_of_json_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        write(&path, &serde_json::json!({"pid": 1, "voice": null})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"pid\":1,\"voice\":null}\n");
        write(&path, &serde_json::json!({"pid": 2})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"pid\":2}\n");
        assert_eq!(names(dir.path()), ["ready.json"]);
        remove_stale(&path).unwrap();
        remove_stale(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn readers_never_see_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        let long = "x".repeat(100_000);
        write(&path, &long).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..50).for_each(|_| write(&path, &long).unwrap()));
            while !writer.is_finished() {
                let read: String = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                assert_eq!(read.len(), long.len());
            }
        });
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/folder/ready.json");
        let error = write(&missing, &1).unwrap_err().to_string();
        assert!(error.contains("no/such/folder/ready.json"), "{error}");
        // A folder stands where the file should be.
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, &1).is_err());
        assert_eq!(names(dir.path()), ["taken"]);
    }
}
