//! The NATS server of the tests and the lab, built from its Go module into the cache.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{clients, paths, shell};

/// Tells tests where the server is.
pub const SERVER_VARIABLE: &str = "ROOKERY_TEST_NATS";
/// Tells tests that there is none on purpose.
pub const SKIP_VARIABLE: &str = "ROOKERY_SKIP_NATS";

const MODULE: &str = "infra/nats";
const PACKAGE: &str = "github.com/nats-io/nats-server/v2";
/// From this minor version of Go 1 on, `go` gets the compiler that a module asks for by itself.
const GO_MINOR_MIN: u32 = 21;

/// Where the server is for exactly the versions that `go.sum` names.
pub fn server() -> Result<PathBuf> {
    let read = |file: &str| {
        let path = paths::root().join(MODULE).join(file);
        fs::read(&path).with_context(|| format!("{MODULE}/{file} could not be read"))
    };
    let pinned = [read("go.mod")?, read("go.sum")?].concat();
    Ok(paths::cache()?.join(format!("nats-{}", paths::short_hash(&pinned))).join("nats-server"))
}

/// Whether it was built.
pub fn is_installed() -> Result<bool> {
    Ok(clients::is_complete(&server()?))
}

/// Whether there is a Go that can build it.
pub fn has_go() -> bool {
    let version = shell::output(shell::clean("go").args(["env", "GOVERSION"]));
    version.as_deref().and_then(go_minor).is_some_and(|minor| minor >= GO_MINOR_MIN)
}

/// Of `go1.26.8` the 26.
fn go_minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Builds it.
pub fn install() -> Result<()> {
    let server = server()?;
    let folder = server.parent().context("the server is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    say!("building the NATS server into {}", folder.display());
    // Beside its place and then moved: two clones may build at once.
    let build = tempfile::Builder::new().prefix("build-").tempdir_in(folder)?;
    let built = build.path().join("nats-server");
    let mut go = shell::clean("go");
    go.current_dir(paths::root().join(MODULE));
    // What the user set for their own modules does not fit this one.
    go.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").env("CGO_ENABLED", "0");
    go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(&built).arg(PACKAGE);
    shell::run_aside(&mut go)?;
    fs::rename(&built, &server).with_context(|| format!("{} could not be written", server.display()))?;
    clients::mark_complete(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_read() {
        assert_eq!(go_minor("go1.26.8"), Some(26));
        assert_eq!(go_minor("go1.26rc1"), Some(26));
        assert_eq!(go_minor("go1.19"), Some(19));
        assert_eq!(go_minor("devel +a1b2c3"), None);
    }
}
