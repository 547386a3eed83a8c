//! `cargo xtask gameday SCENARIO`: plays a scenario of `rookery-scenarios` with what it needs.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::component::{self, LockFile, Profile};
use crate::setup::{self, Purpose};
use crate::{paths, shell, suite};

/// Tells the scenario which program has the `lab` command.
const XTASK_VARIABLE: &str = "ROOKERY_XTASK";
/// And in which clone it is to be run.
const XTASK_FOLDER_VARIABLE: &str = "ROOKERY_XTASK_FOLDER";

#[derive(Debug, Args)]
pub struct Cli {
    /// The scenario and its options; `cargo xtask gameday -- --help` names them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    args: Vec<String>,
}

/// Builds the binary and plays.
pub fn run(cli: &Cli) -> Result<()> {
    setup::install(&[Purpose::Build, Purpose::Cluster, Purpose::Bus])?;
    component::build(Profile::Dev, LockFile::MayChange)?;
    shell::run(paths::cargo().args(["build", "--package", "rookery"]))?;
    let xtask = std::env::current_exe().context("this program's own path")?;
    let mut command = paths::cargo();
    command.args(["run", "--quiet", "--package", "rookery-scenarios", "--bin", "gameday", "--"]).args(&cli.args);
    command.envs(suite::servers()?).env(XTASK_VARIABLE, xtask);
    command.env(XTASK_FOLDER_VARIABLE, paths::root().join("xtask"));
    shell::run(&mut command)
}
