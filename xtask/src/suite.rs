//! Every test, in the order in which a mistake is cheapest to find.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::component::{self, LockFile, Profile};
use crate::setup::{self, Scope};
use crate::shell::say;
use crate::wasm::{self, Builder};
use crate::{clients, paths, policy, shell};

/// Tells the PoP host's tests where the component is that misbehaves on request.
const TEST_GUEST: &str = "ROOKERY_TEST_GUEST";

/// What to leave out.
#[derive(Debug, Default, Clone, Args)]
pub struct Options {
    /// Leaves out the tests with client libraries, and what they need installed.
    #[arg(long)]
    skip_clients: bool,
}

/// Runs the suite; the first failing step ends it.
pub fn run(options: &Options) -> Result<()> {
    let scope = if options.skip_clients { Scope::TestRust } else { Scope::Test };
    step("set-up", || setup::install(scope))?;
    step("formatting", format)?;
    step("licences and bans", policy::check)?;
    step("component", || component::build(Profile::Dev, LockFile::MustBeCurrent))?;
    step("lints", lints)?;
    step("programs under test", || programs(options))?;
    step("tests", || tests(options))?;
    say!("everything passed");
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say!("== {name}");
    let start = Instant::now();
    work().with_context(|| format!("the step \"{name}\" failed"))?;
    say!("== {name}: passed in {} s", start.elapsed().as_secs());
    Ok(())
}

fn format() -> Result<()> {
    shell::run(paths::cargo().args(["fmt", "--all", "--check"]))?;
    for manifest in paths::SATELLITES.into_iter().chain(["fuzz/Cargo.toml"]) {
        shell::run(paths::cargo().args(["fmt", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn lints() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    shell::run(paths::cargo().args(["clippy", "--locked", "--workspace", "--all-targets"]).args(deny))?;
    if Builder::find() != Some(Builder::Toolchain) {
        say!("the component is not linted: clippy does not come with Debian's compiler");
        return Ok(());
    }
    let mut component = paths::cargo();
    component.args(["clippy", "--locked", "--manifest-path", "edge/component/Cargo.toml", "--target", wasm::TARGET]);
    component.arg("--target-dir").arg(paths::component().join("lint"));
    shell::run(component.args(deny))
}

/// The binary is built by itself, as users build it: together with the bots it would get the features that their
/// libraries ask of common dependencies.
fn programs(options: &Options) -> Result<()> {
    let build = |package| shell::run(paths::cargo().args(["build", "--locked", "--package", package]));
    build("rookery")?;
    if options.skip_clients {
        return Ok(());
    }
    build("rookery-test-bots")
}

fn tests(options: &Options) -> Result<()> {
    let guest = component::build_test_guest(LockFile::MustBeCurrent)?;
    let mut command = paths::cargo();
    command.env(TEST_GUEST, guest);
    // Together with the bots' libraries the engine and much else would be built a second time with other features.
    command.args(["test", "--locked", "--workspace", "--exclude", "rookery-test-bots", "--no-fail-fast"]);
    command.envs(environment(options.skip_clients)?);
    shell::run(&mut command)
}

/// What the acceptance tests read to find the programs that they start.
fn environment(skip_clients: bool) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables: Vec<(&str, PathBuf)> = vec![("ROOKERY_BIN", paths::binary(Profile::Dev))];
    if skip_clients {
        variables.push(("ROOKERY_SKIP_CLIENTS", "1".into()));
    } else {
        variables.push(("ROOKERY_NODE", clients::node()?.context("Node is not installed")?));
        variables.push(("ROOKERY_NODE_MODULES", clients::node_modules()?));
        variables.push(("ROOKERY_PYTHON", clients::python()?));
    }
    Ok(variables.into_iter().map(|(name, path)| (name, path.into_os_string())).collect())
}

/// Prints the variables in the form that a shell reads: `eval "$(cargo xtask env)"`.
pub fn print_env() -> Result<()> {
    let mut out = std::io::stdout().lock();
    let guest = component::build_test_guest(LockFile::MayChange)?.into_os_string();
    for (name, value) in environment(false)?.into_iter().chain([(TEST_GUEST, guest)]) {
        let value = value.to_string_lossy().replace('\'', r"'\''");
        writeln!(out, "export {name}='{value}'").context("standard output is closed")?;
    }
    Ok(())
}
