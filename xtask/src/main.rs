//! Set-up, build and test commands of the project; run as `cargo xtask COMMAND`.

mod bench_peers;
mod clients;
mod component;
mod cql;
mod gameday;
mod lab;
mod nats;
mod observability;
mod paths;
mod policy;
mod setup;
mod shell;
mod spdx;
mod suite;
mod terraform;
mod wasm;
mod web;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::component::{LockFile, Profile};
use crate::setup::{EVERYTHING, Purpose};
use crate::shell::say;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, build and test commands of Rookery")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what building and testing need and this machine lacks.
    Setup {
        /// Only say what is missing; install nothing.
        #[arg(long)]
        check: bool,
    },
    /// Builds the edge component and compiles it ahead of time for its host.
    Component {
        /// Builds the component that the PoP host's tests misuse instead, and prints where it is.
        #[arg(long)]
        test_guest: bool,
    },
    /// Builds everything and runs all of Rookery in this terminal.
    Dev {
        /// Passed to `rookery dev`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Builds target/release/rookery, with the component inside.
    Build,
    /// Checks the dependencies' licences and the bans of deny.toml.
    Policy,
    /// Runs every test that CI runs.
    Test(suite::Options),
    /// What CI runs: the same as `test`.
    Ci,
    /// A real Cassandra cluster on loopback addresses, for tests and for `rookery dev --cql`.
    Cql(cql::Cli),
    /// Plays a fault under load, on processes that it starts or in a lab, and prints what its clients saw.
    Gameday(gameday::Cli),
    /// Many regions on this machine, each in a network of its own, with delay and loss between them.
    Lab(lab::Cli),
    /// The Terraform modules of a deployment, checked and tested without an account.
    Terraform(terraform::Cli),
    /// Has the alerts read and tried, and looks that each has its runbook.
    Alerts,
    /// Builds the servers that `rookery bench voice --peer` measures beside, and prints the variables that name them.
    BenchPeers,
    /// Prints the variables that the acceptance tests read, for running them by hand with `cargo test -p rookery-tests`.
    Env,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup { check: true } => setup::check(EVERYTHING),
        Command::Setup { check: false } => setup::install(EVERYTHING),
        Command::Component { test_guest: true } => {
            setup::install(&[Purpose::Build])?;
            let guest = component::build_test_guest(LockFile::MayChange)?;
            writeln!(std::io::stdout(), "{}", guest.display()).context("standard output is closed")
        }
        Command::Component { test_guest: false } => {
            setup::install(&[Purpose::Build])?;
            component::build(Profile::Dev, LockFile::MayChange)
        }
        Command::Dev { args } => dev(&args),
        Command::Build => {
            setup::install(&[Purpose::Build])?;
            component::build(Profile::Release, LockFile::MustBeCurrent)?;
            say!("building the binary (release)");
            shell::run(paths::cargo().args(["build", "--release", "--package", "rookery"]))?;
            say!("built {}", paths::binary(Profile::Release).display());
            Ok(())
        }
        Command::Policy => policy::check(),
        Command::Test(options) => suite::run(&options),
        Command::Ci => suite::run(&suite::Options::default()),
        Command::Cql(cli) => cql::run(&cli),
        Command::Gameday(cli) => gameday::run(&cli),
        Command::Lab(cli) => lab::run(&cli),
        Command::Terraform(cli) => terraform::run(&cli),
        Command::Alerts => {
            setup::install(&[Purpose::Infra])?;
            observability::test()
        }
        Command::BenchPeers => bench_peers::install(),
        Command::Env => suite::print_env(),
    }
}

fn dev(args: &[String]) -> Result<()> {
    setup::install(&[Purpose::Build])?;
    component::build(Profile::Dev, LockFile::MayChange)?;
    say!("building the binary");
    shell::run(paths::cargo().args(["build", "--package", "rookery"]))?;
    say!("starting rookery dev");
    // Replaces this process, so that signals reach the server itself.
    let mut command = shell::clean(paths::binary(Profile::Dev));
    Err(anyhow::Error::from(command.arg("dev").args(args).exec()).context("rookery dev could not be started"))
}
