//! Builds the edge component and compiles it ahead of time for the host that embeds it.
//!
//! Both steps are skipped when a stamp beside the result holds the hash of everything that goes in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::shell::say;
use crate::wasm::{self, Builder};
use crate::{paths, shell};

/// Something built for WebAssembly outside the workspace.
struct Guest {
    /// What it is called in messages.
    title: &'static str,
    /// Its package, relative to the root.
    folder: &'static str,
    /// Everything that it is made of, relative to the root.
    sources: &'static [&'static str],
    /// What cargo names the result.
    artifact: &'static str,
    /// What we name it, without the extension.
    name: &'static str,
}

/// The REST API. The root's manifest counts among its sources: crates inherit versions and features from it.
const EDGE: Guest = Guest {
    title: "the edge component",
    folder: "edge/component",
    sources: &["Cargo.toml", "edge/component", "edge/api", "model", "token", "wit"],
    artifact: "rookery_edge_component.wasm",
    name: "edge",
};

/// The component that misbehaves on request, for the tests of the PoP host.
const TEST_GUEST: Guest = Guest {
    title: "the test guest of the PoP host",
    folder: "edge/pop/tests/guest",
    sources: &["edge/pop/tests/guest", "wit"],
    artifact: "rookery_pop_test_guest.wasm",
    name: "pop-test-guest",
};

/// What decides the compiled form besides the component itself.
const COMPILER_SOURCES: &[&str] = &["Cargo.lock", "edge/engine", "edge/precompile"];

/// Cargo's profiles that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The folder under `target/`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Whether a build may bring `edge/component/Cargo.lock` up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFile {
    /// Someone is working on the dependencies.
    MayChange,
    /// A difference is a mistake to report.
    MustBeCurrent,
}

/// Leaves an up-to-date `edge.wasm` and `edge.cwasm` in the component folder.
///
/// `profile` is that of the program that compiles, not of the component, which is always built for release: it is
/// the profile of the binary built next, so that nothing is compiled for this step alone.
pub fn build(profile: Profile, lock: LockFile) -> Result<()> {
    let wasm = EDGE.build(lock)?;
    precompile(&wasm, profile)
}

/// Leaves an up-to-date `pop-test-guest.wasm` in the component folder and tells where that is.
pub fn build_test_guest(lock: LockFile) -> Result<PathBuf> {
    TEST_GUEST.build(lock)
}

impl Guest {
    fn build(&self, lock: LockFile) -> Result<PathBuf> {
        let builder =
            Builder::find().context("nothing here builds WebAssembly; `cargo xtask setup` says what is missing")?;
        let out = paths::component();
        fs::create_dir_all(&out).with_context(|| format!("{} could not be made", out.display()))?;
        let wasm = out.join(self.name).with_extension("wasm");
        let mut hash = Sha256::new();
        hash.update(builder.name());
        hash.update(builder.identity().context("the WebAssembly compiler did not tell its version")?);
        hash_sources(&mut hash, self.sources)?;
        let stamp = Stamp::new(&wasm, hash);
        if stamp.is_current() {
            return Ok(wasm);
        }

        say!("building {} for {} ({} compiler)", self.title, wasm::TARGET, builder.name());
        let folder = out.join(format!("build-{}", builder.name()));
        let mut command = builder.cargo_build();
        command.args(["--release", "--manifest-path"]).arg(Path::new(self.folder).join("Cargo.toml"));
        command.arg("--target-dir").arg(&folder);
        if lock == LockFile::MustBeCurrent {
            command.arg("--locked");
        }
        shell::run(&mut command)?;
        let built = folder.join(wasm::TARGET).join("release").join(self.artifact);
        if !built.is_file() {
            bail!("the build ended well but left no {}", built.display());
        }
        replace(&wasm, |temporary| fs::copy(&built, temporary).map(drop))?;
        stamp.write()?;
        Ok(wasm)
    }
}

fn precompile(wasm: &Path, profile: Profile) -> Result<()> {
    let compiled = wasm.with_extension("cwasm");
    let target = host_target()?;
    let mut hash = Sha256::new();
    hash.update(&target);
    hash.update(fs::read(wasm)?);
    hash_sources(&mut hash, COMPILER_SOURCES)?;
    let stamp = Stamp::new(&compiled, hash);
    if stamp.is_current() {
        return Ok(());
    }

    say!("compiling the component ahead of time for {target}");
    let mut build = paths::cargo();
    // Naming the main binary's package as well gives the compiler the same dependency features, so that
    // the engine is built once for both.
    build.args(["build", "--package", "rookery", "--package", "rookery-precompile", "--bin", "rookery-precompile"]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    shell::run(&mut build)?;
    let program = paths::target().join(profile.folder()).join("rookery-precompile");
    replace(&compiled, |temporary| {
        shell::run(shell::clean(&program).arg(wasm).arg("--out").arg(temporary).args(["--target", &target]))
            .map_err(std::io::Error::other)
    })?;
    stamp.write()
}

/// The target triple of the toolchain that builds the host. Naming it keeps this machine's newer CPU
/// instructions out of the compiled component.
fn host_target() -> Result<String> {
    let version = shell::output(paths::rustc().arg("-vV")).context("rustc did not tell its version")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc did not tell its host")
}

/// The hash of everything that went into a file, kept beside it.
struct Stamp {
    result: PathBuf,
    file: PathBuf,
    hash: String,
}

impl Stamp {
    fn new(result: &Path, hash: Sha256) -> Self {
        let digest = hash.finalize();
        let hash = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { result: result.to_owned(), file: result.with_added_extension("stamp"), hash }
    }

    fn is_current(&self) -> bool {
        self.result.is_file() && fs::read_to_string(&self.file).is_ok_and(|stored| stored == self.hash)
    }

    fn write(&self) -> Result<()> {
        replace(&self.file, |temporary| fs::write(temporary, &self.hash))
    }
}

/// Writes a file whole or not at all; one that would not change keeps its time, so that nothing is rebuilt for it.
fn replace(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let temporary = path.with_added_extension(format!("{}.tmp", std::process::id()));
    let replaced = write(&temporary).and_then(|()| {
        let is_same = fs::read(path).is_ok_and(|old| fs::read(&temporary).is_ok_and(|new| new == old));
        if is_same { fs::remove_file(&temporary) } else { fs::rename(&temporary, path) }
    });
    replaced.with_context(|| format!("{} could not be written", path.display()))
}

fn hash_sources(hash: &mut Sha256, sources: &[&str]) -> Result<()> {
    let mut files = Vec::new();
    for source in sources {
        collect(&paths::root().join(source), &mut files)?;
    }
    files.sort();
    for file in files {
        hash.update(file.strip_prefix(paths::root()).unwrap_or(&file).as_os_str().as_encoded_bytes());
        let content = fs::read(&file).with_context(|| format!("{} could not be read", file.display()))?;
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("{} could not be read", path.display()))?;
    for entry in entries {
        let entry = entry?.path();
        if entry.file_name().is_some_and(|name| name != "target") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of ours that the component uses but [`EDGE`] forgets would leave a stale component behind.
    #[test]
    fn every_local_crate_of_the_component_is_a_source() {
        let lock = fs::read_to_string(paths::root().join("edge/component/Cargo.lock")).unwrap();
        let lock: toml::Table = lock.parse().unwrap();
        let local = lock["package"].as_array().unwrap().iter().filter(|package| package.get("source").is_none());
        let mut names: Vec<_> = local.map(|package| package["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["rookery-edge-api", "rookery-edge-component", "rookery-model", "rookery-token"]);
    }

    #[test]
    fn a_stamp_is_current_only_for_the_same_inputs_and_an_existing_result() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let result = folder.join("result");
        let stamp = |input: &str| Stamp::new(&result, Sha256::new_with_prefix(input));

        fs::write(&result, "x").unwrap();
        assert!(!stamp("a").is_current());
        stamp("a").write().unwrap();
        assert!(stamp("a").is_current());
        assert!(!stamp("b").is_current());
        fs::remove_file(&result).unwrap();
        assert!(!stamp("a").is_current());
        fs::remove_dir_all(&folder).unwrap();
    }
}
