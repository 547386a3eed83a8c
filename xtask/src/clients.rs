//! The client libraries that the acceptance tests speak with, installed outside the clone.
//!
//! Each set lives in a folder named after the hash of the file that pins it, so that two checkouts never share
//! versions by accident.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{paths, shell};

/// The oldest Node that discord.js 14 runs on with everything we use.
pub const NODE_MAJOR_MIN: u32 = 20;
/// What set-up installs from npm when the machine has no Node of [`NODE_MAJOR_MIN`].
const NODE_PACKAGE: &str = "node@22";

/// The oldest that @discordjs/voice runs on: 22.12.
const VOICE_NODE_MIN: (u32, u32) = (22, 12);

/// Node: that of the machine when it is new enough, else the one that set-up put into the cache.
pub fn node() -> Result<Option<PathBuf>> {
    let cached = cached_node()?;
    Ok(shell::which("node").into_iter().chain([cached]).find(is_new_enough))
}

/// Node for the voice library, likewise.
pub fn voice_node() -> Result<Option<PathBuf>> {
    let cached = cached_node()?;
    let fits = |node: &PathBuf| version(node).is_some_and(|version| version >= VOICE_NODE_MIN);
    Ok(shell::which("node").into_iter().chain([cached]).find(fits))
}

fn is_new_enough(node: &PathBuf) -> bool {
    version(node).is_some_and(|(major, _)| major >= NODE_MAJOR_MIN)
}

/// Major and minor.
fn version(node: &PathBuf) -> Option<(u32, u32)> {
    let text = shell::output(shell::clean(node).arg("--version"))?;
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn cached_node() -> Result<PathBuf> {
    Ok(paths::cache()?.join("node/node_modules/node/bin/node"))
}

/// Puts a Node into the cache, with whatever npm the machine has.
pub fn install_node() -> Result<()> {
    let folder = paths::cache()?.join("node");
    fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    // npm looks for the nearest package.json upwards; without one here it could pick that of a parent folder.
    fs::write(folder.join("package.json"), "{\"private\":true}\n")?;
    shell::run(
        shell::clean("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(NODE_PACKAGE),
    )
}

/// The `node_modules` folder for `tests/clients/node/package-lock.json`.
pub fn node_modules() -> Result<PathBuf> {
    modules_of("node")
}

/// The one for `tests/clients/voice/package-lock.json`.
pub fn voice_modules() -> Result<PathBuf> {
    modules_of("voice")
}

fn modules_of(kind: &str) -> Result<PathBuf> {
    Ok(set(kind, &format!("tests/clients/{kind}/package-lock.json"))?.join("node_modules"))
}

/// Installs exactly what the lock file says.
pub fn install_node_modules() -> Result<()> {
    install_modules("node")
}

/// The same for the voice library.
pub fn install_voice_modules() -> Result<()> {
    install_modules("voice")
}

fn install_modules(kind: &str) -> Result<()> {
    let modules = modules_of(kind)?;
    let folder = modules.parent().context("node_modules has a parent")?;
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(paths::root().join("tests/clients").join(kind).join(file), folder.join(file))
            .with_context(|| format!("tests/clients/{kind}/{file} could not be copied"))?;
    }
    say!("installing the JavaScript client libraries into {}", folder.display());
    shell::run(
        shell::clean("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"])
            .current_dir(folder),
    )?;
    mark_complete(folder)
}

/// The Python of the environment for `tests/clients/python/requirements.txt`.
pub fn python() -> Result<PathBuf> {
    Ok(set("python", "tests/clients/python/requirements.txt")?.join("bin/python"))
}

/// Makes the virtual environment and installs exactly what the requirements file pins.
pub fn install_python() -> Result<()> {
    let python = python()?;
    let folder = python.parent().and_then(|bin| bin.parent()).context("the path has two parents")?;
    say!("installing the Python client libraries into {}", folder.display());
    shell::run(shell::clean("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    shell::run(
        shell::clean(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary"])
            .args([":all:", "--requirement"])
            .arg(paths::root().join("tests/clients/python/requirements.txt")),
    )?;
    mark_complete(folder)
}

/// Whether a set is wholly installed; an interrupted installation leaves no mark.
pub fn is_complete(inside: &std::path::Path) -> bool {
    inside.ancestors().take(3).any(|folder| folder.join(COMPLETE).is_file()) && inside.exists()
}

/// The mark of [`is_complete`].
const COMPLETE: &str = "rookery-complete";

/// Marks a set as wholly installed.
pub fn mark_complete(folder: &std::path::Path) -> Result<()> {
    fs::write(folder.join(COMPLETE), "").with_context(|| format!("{} could not be written", folder.display()))
}

fn set(kind: &str, pin: &str) -> Result<PathBuf> {
    let pinned = fs::read(paths::root().join(pin)).with_context(|| format!("{pin} could not be read"))?;
    Ok(paths::cache()?.join("clients").join(format!("{kind}-{}", paths::short_hash(&pinned))))
}
