//! Cassandra's jars, copied by Maven into the cache.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{clients, paths, shell};

const MANIFEST: &str = "infra/cassandra/pom.xml";

/// The folder for exactly the versions that the manifest names.
pub fn folder() -> Result<PathBuf> {
    let manifest = fs::read(paths::root().join(MANIFEST)).with_context(|| format!("{MANIFEST} could not be read"))?;
    Ok(paths::cache()?.join(format!("cassandra-{}", paths::short_hash(&manifest))))
}

/// Whether they have all been copied.
pub fn are_complete() -> Result<bool> {
    Ok(clients::is_complete(&folder()?.join("lib")))
}

/// Has Maven find and copy them.
pub fn install() -> Result<()> {
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    // Maven keeps a second copy of all it finds, which nobody reads again.
    let repository = tempfile::Builder::new().prefix("maven-").tempdir_in(&folder)?;
    say!("copying Cassandra's jars into {}", folder.display());
    let mut maven = shell::clean("mvn");
    maven.args(["--quiet", "--batch-mode", "-Dstyle.color=never", "--file"]).arg(paths::root().join(MANIFEST));
    maven.arg(format!("-Dmaven.repo.local={}", repository.path().display()));
    maven.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", folder.join("lib").display()));
    shell::run_aside(&mut maven)?;
    clients::mark_complete(&folder)
}
