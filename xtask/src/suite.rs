//! Every test, in the order in which a mistake is cheapest to find.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use rookery_test_cluster::Cluster;

use crate::component::{self, LockFile, Profile};
use crate::setup::{self, EVERYTHING, Purpose};
use crate::shell::say;
use crate::wasm::{self, Builder};
use crate::{clients, cql, nats, observability, paths, policy, shell, terraform, web};

/// Tells the PoP host's tests where the component is that misbehaves on request.
const TEST_GUEST: &str = "ROOKERY_TEST_GUEST";

/// Packages that are built apart: they ask for features of common dependencies, and together with them the engine and
/// much else would be built a second time.
const BOTS: &str = "rookery-test-bots";
const SCHEMA: &str = "rookery-test-schema";
/// Its tests want tokio's paused clock.
const STORE: &str = "rookery-core-db";
/// Tests that run on a database cluster as well: what bots do.
const ACCEPTANCE: &str = "rookery-tests";
const ON_CLUSTER: [&str; 1] = ["clients"];
/// Kills nodes of clusters of its own, which takes longest: last.
const FAULTS: &str = "rookery-test-database";
/// Starts deployments of three regions with clusters of their own, one after the other.
const GAME_DAYS: &str = "rookery-scenarios";
/// Tells tests which store their servers run on.
const TEST_STORE: &str = "ROOKERY_TEST_STORE";
const EMBEDDED: &str = "embedded";
const CQL: &str = "cql";

/// What to leave out.
#[derive(Debug, Default, Clone, Args)]
pub struct Options {
    /// Leaves out the tests with client libraries, and what they need installed.
    #[arg(long)]
    skip_clients: bool,
    /// Leaves out the tests with a database cluster, and what they need installed.
    #[arg(long)]
    skip_cql: bool,
    /// Leaves out the tests with NATS servers, and what they need installed.
    #[arg(long)]
    skip_nats: bool,
    /// Leaves out the checks of Terraform, name servers, units and alerts, and what they need installed.
    #[arg(long)]
    skip_infra: bool,
}

impl Options {
    fn purposes(&self) -> Vec<Purpose> {
        let left_out = |purpose: &Purpose| match purpose {
            Purpose::Clients => self.skip_clients,
            Purpose::Cluster => self.skip_cql,
            Purpose::Bus => self.skip_nats,
            Purpose::Infra => self.skip_infra,
            Purpose::Build | Purpose::Lint => false,
        };
        EVERYTHING.iter().copied().filter(|purpose| !left_out(purpose)).collect()
    }
}

/// Runs the suite; the first failing step ends it.
pub fn run(options: &Options) -> Result<()> {
    step("set-up", || setup::install(&options.purposes()))?;
    step("formatting", format)?;
    step("licences and bans", policy::check)?;
    step("component", || component::build(Profile::Dev, LockFile::MustBeCurrent))?;
    step("lints", lints)?;
    step("programs under test", || programs(options))?;
    if !options.skip_infra {
        step("alerts", observability::test)?;
        step("Terraform", terraform::test)?;
        if !options.skip_cql {
            step("a region out of its cloud-init", terraform::trial)?;
        }
    }
    // Ended when this function returns, whatever the tests say.
    let cluster = match options.skip_cql {
        true => None,
        false => Some(step("database cluster", cql::for_tests)?),
    };
    step("tests", || tests(options, cluster.as_deref()))?;
    say!("everything passed");
    Ok(())
}

fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say!("== {name}");
    let start = Instant::now();
    let result = work().with_context(|| format!("the step \"{name}\" failed"))?;
    say!("== {name}: passed in {} s", start.elapsed().as_secs());
    Ok(result)
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
    build(BOTS)?;
    // Into the same folder: the tests look there, and some of it is built already.
    let mut songbird = paths::cargo();
    songbird.args(["build", "--locked", "--manifest-path", paths::SONGBIRD, "--target-dir"]).arg(paths::target());
    shell::run(&mut songbird)?;
    web::test_and_build()
}

fn tests(options: &Options, cluster: Option<&Cluster>) -> Result<()> {
    let guest = component::build_test_guest(LockFile::MustBeCurrent)?;
    let environment = environment(options, cluster.map(cql::contact_points))?;
    let test = |packages: &[&str], store: &str| {
        let mut command = paths::cargo();
        command.args(["test", "--locked", "--no-fail-fast"]).args(packages);
        // The trace of a test's `Err` is that of the test itself, and pushes the error's text out of sight.
        command.env("RUST_LIB_BACKTRACE", "0").env(TEST_STORE, store);
        shell::run(command.env(TEST_GUEST, &guest).envs(environment.iter().cloned()))
    };
    let mut most = vec!["--workspace"];
    for package in [BOTS, SCHEMA, STORE, FAULTS, GAME_DAYS] {
        most.extend(["--exclude", package]);
    }
    let mut outcomes =
        vec![test(&["--package", STORE], EMBEDDED), test(&most, EMBEDDED), test(&["--package", SCHEMA], EMBEDDED)];
    if cluster.is_some() {
        let mut again = vec!["--package", ACCEPTANCE];
        again.extend(ON_CLUSTER.iter().flat_map(|name| ["--test", name]));
        outcomes.push(test(&again, CQL));
    }
    outcomes.push(test(&["--package", FAULTS], EMBEDDED));
    outcomes.push(test(&["--package", GAME_DAYS], EMBEDDED));
    outcomes.into_iter().collect()
}

/// What of it programs read that start servers, but use no client libraries.
pub fn servers() -> Result<Vec<(&'static str, OsString)>> {
    environment(&Options { skip_clients: true, skip_infra: true, ..Options::default() }, None)
}

/// What the acceptance tests read to find the programs that they start.
fn environment(options: &Options, contact_points: Option<String>) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables: Vec<(&str, OsString)> = vec![("ROOKERY_BIN", paths::binary(Profile::Dev).into())];
    if options.skip_clients {
        variables.push(("ROOKERY_SKIP_CLIENTS", "1".into()));
    } else {
        variables.push(("ROOKERY_NODE", clients::node()?.context("Node is not installed")?.into()));
        variables.push(("ROOKERY_NODE_MODULES", clients::node_modules()?.into()));
        variables.push(("ROOKERY_VOICE_NODE", clients::voice_node()?.context("a newer Node is not installed")?.into()));
        variables.push(("ROOKERY_VOICE_MODULES", clients::voice_modules()?.into()));
        variables.push(("ROOKERY_WEB_TRANSPORT", web::bundle()?.into()));
        variables.push(("ROOKERY_CHROMIUM", web::chromium().context("Chromium is not installed")?.into()));
        variables.push(("ROOKERY_TURNSERVER", shell::which("turnserver").context("coturn is not installed")?.into()));
        variables.push(("ROOKERY_PYTHON", clients::python()?.into()));
    }
    if options.skip_cql {
        variables.push((rookery_test_cluster::SKIP_VARIABLE, "1".into()));
    } else {
        variables.extend(cql::runtime()?.variables());
    }
    if options.skip_nats {
        variables.push((nats::SKIP_VARIABLE, "1".into()));
    } else {
        variables.push((nats::SERVER_VARIABLE, nats::server()?.into()));
    }
    if options.skip_infra {
        variables.push(("ROOKERY_SKIP_INFRA", "1".into()));
    } else {
        variables.push((rookery_lab::TERRAFORM_VARIABLE, terraform::terraform_program()?.into()));
    }
    variables.extend(contact_points.map(|points| (cql::CONTACT_POINTS, points.into())));
    Ok(variables)
}

/// Prints the variables in the form that a shell reads: `eval "$(cargo xtask env)"`.
pub fn print_env() -> Result<()> {
    let mut out = std::io::stdout().lock();
    let guest = component::build_test_guest(LockFile::MayChange)?.into_os_string();
    for (name, value) in
        environment(&Options::default(), cql::running_contact_points()?)?.into_iter().chain([(TEST_GUEST, guest)])
    {
        let value = value.to_string_lossy().replace('\'', r"'\''");
        writeln!(out, "export {name}='{value}'").context("standard output is closed")?;
    }
    Ok(())
}
