//! The programs with unmodified libraries, and where `cargo xtask test` put what they need.

use std::path::PathBuf;

use anyhow::Context as _;

/// Set by `cargo xtask test --skip-clients`; without it a missing library is a failure.
pub fn skipped() -> bool {
    std::env::var_os("ROOKERY_SKIP_CLIENTS").is_some()
}

/// A path of the environment.
pub fn variable(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::var_os(name)
        .with_context(|| format!("{name} is not set: run the tests by `cargo xtask test`"))?
        .into())
}

/// Looked up when the test runs: with a build folder that clones share, a path compiled in may be another clone's.
pub fn source(path: &str) -> anyhow::Result<PathBuf> {
    Ok(variable("CARGO_MANIFEST_DIR")?.join("clients").join(path))
}
