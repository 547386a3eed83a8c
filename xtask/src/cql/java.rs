//! Java 17, on which Cassandra 5.0 runs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::shell;

const MAJOR: &str = "17";
/// Where Debian and others keep several versions beside each other.
const INSTALLED: &str = "/usr/lib/jvm";

/// The `java` of version 17: that of JAVA_HOME, that of the search path, or one that lies ready beside it.
pub fn find() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    home.into_iter().chain(shell::which("java")).chain(installed()).find(|java| is_right(java))
}

fn installed() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(INSTALLED) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join("bin/java")).collect();
    found.sort();
    found
}

fn is_right(java: &Path) -> bool {
    let output = shell::clean(java).arg("-version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| major(&String::from_utf8_lossy(&output.stderr)) == Some(MAJOR))
}

/// The first number of `… version "17.0.15" …`.
fn major(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("version \"")?;
    after.split(['.', '"', '-']).next().filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), Some("17"));
        assert_eq!(major("openjdk version \"17\" 2021-09-14"), Some("17"));
        assert_eq!(major("openjdk version \"21-ea\" 2023-09-19"), Some("21"));
        assert_eq!(major("java version \"1.8.0_202\""), Some("1"));
        assert_eq!(major("Error: no java"), None);
    }
}
