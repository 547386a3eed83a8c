//! `cargo xtask terraform`: the modules checked and tested offline, and what they would bring to machines looked at by
//! the programs that read it.

mod applied;
mod rendered;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::component::{self, LockFile, Profile};
use crate::setup::{self, Purpose};
use crate::shell::say;
use crate::{paths, shell};

pub use rendered::sbin;
pub use tools::{
    build as build_go, has_go, has_provider, has_terraform, install_provider, install_terraform, terraform_program,
};

#[derive(Args)]
pub struct Cli {
    #[command(subcommand)]
    command: TerraformCommand,
}

#[derive(Subcommand)]
enum TerraformCommand {
    /// Checks form and validity, runs the tests against an account that is played, and has every rendered file read.
    Test,
    /// Applies what the machines of one region would be given to machines that are namespaces, until people chat there.
    Trial,
    /// Writes what every machine of a deployment would run: DIR/<machine>/root and DIR/<machine>/machine.json.
    Render {
        /// A deployment.json.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Folder to write to; what is in it is removed.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Tells regions of each other.
        #[arg(long)]
        multi_node: bool,
    },
}

/// Folders that `terraform init` and `validate` are run in, the whole first.
const ROOTS: [&str; 3] = [".", "addresses", "render"];
const EXAMPLE: &str = "deployment/example.json";

/// Runs a command of this module.
pub fn run(cli: &Cli) -> Result<()> {
    match &cli.command {
        TerraformCommand::Test => {
            prepare()?;
            test()?;
            trial()
        }
        TerraformCommand::Trial => {
            prepare()?;
            trial()
        }
        TerraformCommand::Render { file, out, multi_node } => {
            setup::install(&[Purpose::Infra])?;
            let file = file.canonicalize().with_context(|| format!("{} is not there", file.display()))?;
            let copy = Copy::make()?;
            copy.run("render", &["init", "-input=false", "-no-color"])?;
            rendered::write(&copy, &file, out, *multi_node, None)?;
            say!("wrote {}", out.display());
            Ok(())
        }
    }
}

fn prepare() -> Result<()> {
    setup::install(&[Purpose::Build, Purpose::Infra, Purpose::Cluster])?;
    component::build(Profile::Dev, LockFile::MayChange)?;
    shell::run(paths::cargo().args(["build", "--package", "rookery"]))
}

/// What `cargo xtask test` does; the binary is built.
pub fn test() -> Result<()> {
    let form = ["fmt", "-check", "-diff", "-recursive", "-no-color"];
    shell::run(tools::terraform()?.args(form).current_dir(paths::root().join("terraform")))?;
    let copy = Copy::make()?;
    for root in ROOTS {
        copy.run(root, &["init", "-input=false", "-no-color"])?;
        copy.run(root, &["validate", "-no-color"])?;
    }
    copy.run(".", &["test", "-no-color"])?;
    rendered::check(&copy, &paths::root().join(EXAMPLE))
}

/// Brings a region up out of what its machines would be given; the binary is built.
pub fn trial() -> Result<()> {
    let copy = Copy::make()?;
    copy.run_quietly("render", &["init", "-input=false", "-no-color"])?;
    applied::check(&copy)
}

/// The modules and what they read, copied: Terraform writes into its folders, and adds to the lock files what it finds.
struct Copy {
    folder: PathBuf,
    cli_config: PathBuf,
}

impl Copy {
    fn make() -> Result<Self> {
        let folder = paths::target().join("terraform");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        for part in ["terraform", "infra", "deployment"] {
            copy(&paths::root().join(part), &folder.join(part))?;
        }
        let cli_config = folder.join("cli.tfrc");
        fs::write(&cli_config, tools::cli_config()?)?;
        Ok(Self { folder, cli_config })
    }

    /// Terraform in one of the copied folders.
    fn command(&self, root: &str) -> Result<Command> {
        let mut command = tools::terraform()?;
        command.current_dir(self.folder.join("terraform").join(root)).env("TF_CLI_CONFIG_FILE", &self.cli_config);
        Ok(command)
    }

    /// Like [`Self::run`], but shows what it printed only when it failed.
    fn run_quietly(&self, root: &str, args: &[&str]) -> Result<()> {
        shell::run_quietly(self.command(root)?.args(args))
    }

    fn run(&self, root: &str, args: &[&str]) -> Result<()> {
        shell::run_aside(self.command(root)?.args(args))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        // What Terraform left in the clone, when someone ran it there, is not the modules'.
        if entry.file_name() == ".terraform" || entry.file_name() == "terraform.tfstate" {
            continue;
        }
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => _ = fs::copy(entry.path(), &target)?,
        }
    }
    Ok(())
}
