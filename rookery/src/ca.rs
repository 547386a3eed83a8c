//! `rookery ca`: the deployment's certificate authority.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use rookery_link::{DeploymentCa, Role};

#[derive(Debug, Args)]
pub struct CaArgs {
    /// Folder of the CA, made at first use: ca.pem and ca.key.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Issues a certificate and its key for one process: cert.pem, key.pem and a copy of ca.pem.
    Issue {
        /// What the process is.
        #[arg(long)]
        role: CaRole,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// DNS names or addresses of the process, beside the name of its role.
        #[arg(long = "name")]
        names: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CaRole {
    Pop,
    Region,
    /// No process of the deployment's own: what clients are shown, where no public authority knows the names.
    Https,
}

/// Runs one command of the authority.
pub fn run(args: &CaArgs) -> anyhow::Result<()> {
    let ca = DeploymentCa::create_or_load(&args.dir)?;
    let CaCommand::Issue { role, out, names } = &args.command;
    let identity = match role {
        CaRole::Pop => ca.issue(Role::Pop, names)?,
        CaRole::Region => ca.issue(Role::Region, names)?,
        CaRole::Https => ca.issue_https(names)?,
    };
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    write(&out.join("cert.pem"), identity.chain_pem().as_bytes(), 0o644)?;
    write(&out.join("key.pem"), identity.key_pem().as_bytes(), 0o600)?;
    let authority = fs::read(ca.certificate_path()).context("the CA's certificate")?;
    write(&out.join("ca.pem"), &authority, 0o644)?;
    writeln!(std::io::stdout(), "wrote cert.pem, key.pem and ca.pem to {}", out.display())?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let open = fs::File::options().write(true).create_new(true).mode(mode).open(path);
    let mut file = open.with_context(|| format!("cannot make {} (it is never overwritten)", path.display()))?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))
}
