//! The servers that `rookery bench voice --peer` measures beside: built into the cache, by hand only. No test needs them.
//!
//! mediasoup is the last version whose package brings the sources of all it is built from; later ones fetch them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{clients, paths, shell, terraform};

const MEDIASOUP: &str = "bench/peers/mediasoup";
const MEDIASOUP_FILES: [&str; 5] = ["package.json", "package-lock.json", "peer.js", "sitecustomize.py", "compat.h"];
const PION: &str = "bench/peers/pion";
const PION_FILES: [&str; 6] = ["go.mod", "go.sum", "main.go", "sfu.go", "members.go", "loop.go"];

/// Installs both where they are missing, and prints the variables by which the benchmark finds them.
pub fn install() -> Result<()> {
    let pion = place("pion", PION, &PION_FILES)?.join("peer");
    if !pion.is_file() {
        terraform::build_go(PION, ".", &pion)?;
    }
    let mediasoup = place("mediasoup", MEDIASOUP, &MEDIASOUP_FILES)?;
    if !clients::is_complete(&mediasoup) {
        install_mediasoup(&mediasoup)?;
    }
    let mut out = std::io::stdout().lock();
    for (name, path) in [("PION", pion), ("MEDIASOUP", mediasoup.join("peer"))] {
        let path = path.display().to_string().replace('\'', r"'\''");
        writeln!(out, "export ROOKERY_PEER_{name}='{path}'").context("standard output is closed")?;
    }
    Ok(())
}

/// A folder named after what it is made from.
fn place(name: &str, source: &str, files: &[&str]) -> Result<PathBuf> {
    let mut bytes = Vec::new();
    for file in files {
        let path = paths::root().join(source).join(file);
        bytes.extend(fs::read(&path).with_context(|| format!("{} could not be read", path.display()))?);
    }
    Ok(paths::cache()?.join("bench-peers").join(format!("{name}-{}", paths::short_hash(&bytes))))
}

fn install_mediasoup(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    for file in MEDIASOUP_FILES {
        fs::copy(paths::root().join(MEDIASOUP).join(file), folder.join(file))
            .with_context(|| format!("{file} could not be copied"))?;
    }
    say!("installing mediasoup into {}; its C++ takes some minutes", folder.display());
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"];
    shell::run_aside(shell::clean("npm").args(npm).current_dir(folder))?;
    let worker = folder.join("node_modules/mediasoup/worker");
    let python = shell::which("python3").context("Python 3 is not installed")?;
    let header = folder.join("compat.h");
    let mut configure = shell::clean(python);
    configure.args(["./scripts/configure.py", "-R", "mediasoup-worker"]).env("PYTHONPATH", folder);
    shell::run_aside(configure.current_dir(&worker))?;
    let mut make = shell::clean("make");
    make.args(["-C", "out", "BUILDTYPE=Release", "mediasoup-worker"]);
    make.env("CXXFLAGS", format!("-w -include {}", header.display())).env("CFLAGS", "-w");
    shell::run_aside(make.current_dir(&worker))?;
    let node = clients::node()?.context("Node is not installed; run `cargo xtask setup`")?;
    let program = format!("#!/bin/sh\nexec '{}' '{}'\n", node.display(), folder.join("peer.js").display());
    let peer = folder.join("peer");
    fs::write(&peer, program).with_context(|| format!("{} could not be written", peer.display()))?;
    fs::set_permissions(&peer, fs::Permissions::from_mode(0o755))?;
    clients::mark_complete(folder)
}
