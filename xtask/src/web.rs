//! The web client's packages: installed beside their sources, checked, built, and run in Chromium by the tests.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{clients, paths, shell};

const PACKAGE: &str = "web/transport";
/// Which lock file the installed packages are of.
const INSTALLED: &str = "node_modules/.rookery-lock";
/// What the bundler writes, in the package's folder.
const BUNDLE: &str = "dist/transport.js";

fn package() -> PathBuf {
    paths::root().join(PACKAGE)
}

fn lock_hash() -> Result<String> {
    let path = package().join("package-lock.json");
    let lock = fs::read(&path).with_context(|| format!("{} could not be read", path.display()))?;
    Ok(paths::short_hash(&lock))
}

/// Whether what the lock file pins is installed.
pub fn is_installed() -> Result<bool> {
    Ok(fs::read_to_string(package().join(INSTALLED)).is_ok_and(|installed| Some(installed) == lock_hash().ok()))
}

/// Installs exactly what the lock file says.
pub fn install() -> Result<()> {
    say!("installing the web client's packages into {PACKAGE}/node_modules");
    shell::run(
        shell::clean("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"])
            .current_dir(package()),
    )?;
    // Written last: an interrupted installation leaves no mark.
    fs::write(package().join(INSTALLED), lock_hash()?).context("the installation could not be marked")
}

/// Checks types, runs the tests, and builds the bundle.
pub fn test_and_build() -> Result<()> {
    script("test")?;
    script("build")
}

/// The bundle that pages load, built now.
pub fn bundle() -> Result<PathBuf> {
    let path = package().join(BUNDLE);
    if !path.is_file() {
        script("build")?;
    }
    Ok(path)
}

/// The browser of the tests.
pub fn chromium() -> Option<PathBuf> {
    shell::which("chromium")
}

fn script(name: &str) -> Result<()> {
    let mut command = shell::clean("npm");
    // The Node that set-up found may not be the first on the path, which npm's scripts take.
    let node = clients::node()?.context("Node is not installed")?;
    let folder = node.parent().context("a program lies in a folder")?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path)))?;
    shell::run(command.args(["run", "--silent", name]).env("PATH", path).current_dir(package()))
}
