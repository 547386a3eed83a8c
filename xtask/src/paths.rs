//! Where things are: the clone, the build folder, the cache outside the clone.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::component::Profile;
use crate::shell;

/// Manifests of packages that are no members of the workspace, and so are not covered by `--workspace`.
pub const SATELLITES: [&str; 3] = ["edge/component/Cargo.toml", "edge/pop/tests/guest/Cargo.toml", SONGBIRD];

/// The bot with songbird, whose hundred packages are in a lock file of its own.
pub const SONGBIRD: &str = "tests/songbird/Cargo.toml";

/// The root of the clone that `cargo xtask` was called in.
///
/// Asked at run time: a build folder shared by two clones also shares this program.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        package.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
    });
    &ROOT
}

/// Cargo's build folder.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The rookery binary of one profile.
pub fn binary(profile: Profile) -> PathBuf {
    target().join(profile.folder()).join("rookery")
}

/// What the component build leaves: `edge.wasm`, `edge.cwasm` and their stamps.
pub fn component() -> PathBuf {
    target().join("component")
}

/// Downloads and client libraries, outside the clone: `ROOKERY_CACHE_DIR` or `~/.cache/rookery`.
pub fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("ROOKERY_CACHE_DIR") {
        return std::path::absolute(&dir).context("ROOKERY_CACHE_DIR is not a usable path");
    }
    let home = env::var_os("HOME").context("neither ROOKERY_CACHE_DIR nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/rookery"))
}

/// A name for some bytes: twelve hexadecimal digits of their SHA-256.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The cargo that runs this program, in the root of the clone.
pub fn cargo() -> Command {
    let mut command = shell::clean(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        // Build scripts run elsewhere: a relative path would mean another folder to them.
        command.env("CARGO_TARGET_DIR", target());
    }
    command
}

/// The rustc beside [`cargo`].
pub fn rustc() -> Command {
    let mut command = shell::clean(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root());
    command
}
