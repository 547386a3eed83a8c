//! `rookery deployment`: the one file of truth, checked and turned into what name servers read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rookery_deployment::{Deployment, gdnsd};

use crate::{region_role, secrets};

#[derive(Debug, Args)]
pub struct DeploymentArgs {
    #[command(subcommand)]
    command: DeploymentCommand,
}

#[derive(Debug, Subcommand)]
enum DeploymentCommand {
    /// Reads a deployment.json, prints every mistake in it, and ends: 0 if there is none, else 2.
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Generates gdnsd's configuration: `config`, `geoip/nets` and the domain's zone.
    Geodns {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Folder to write to, as gdnsd's `-c` has it; without it the files are printed.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Makes the secrets that all nodes of a deployment share: the key that signs tokens (`token.key`) and the operator's
    /// secret (`admin.token`), and what points of presence check tokens with (`token.pub`). What is there stays.
    Keys {
        /// Folder to write to.
        #[arg(value_name = "DIR")]
        out: PathBuf,
    },
}

/// Runs one command.
pub fn run(args: &DeploymentArgs) -> anyhow::Result<()> {
    match &args.command {
        DeploymentCommand::Check { file } => check(file),
        DeploymentCommand::Geodns { file, out } => geodns(file, out.as_deref()),
        DeploymentCommand::Keys { out } => keys(out),
    }
}

fn check(file: &Path) -> anyhow::Result<()> {
    let deployment = Deployment::load(file)?;
    let (regions, nodes, pops) = (deployment.regions().len(), deployment.nodes().count(), deployment.pops().count());
    let summary = format!("{regions} regions, {nodes} nodes, {pops} points of presence");
    writeln!(std::io::stdout(), "{}: no mistakes; {summary}", file.display())?;
    Ok(())
}

fn geodns(file: &Path, out: Option<&Path>) -> anyhow::Result<()> {
    let files = gdnsd::generate(&Deployment::load(file)?)?;
    let Some(out) = out else {
        let mut stdout = std::io::stdout().lock();
        for file in files {
            writeln!(stdout, "==> {} <==\n{}", file.path, file.text)?;
        }
        return Ok(());
    };
    // gdnsd reads it when it starts, and a folder that is missing would be a mistake to it.
    fs::create_dir_all(out.join("options.d")).with_context(|| format!("cannot make {}", out.display()))?;
    for file in files {
        let path = out.join(&file.path);
        write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(std::io::stdout(), "wrote {}", path.display())?;
    }
    Ok(())
}

fn keys(out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let key = secrets::token_key(out)?;
    secrets::admin_token(out)?;
    let public = out.join(region_role::TOKEN_KEYS);
    region_role::write_public_keys(&public, &key.public_keys())?;
    writeln!(std::io::stdout(), "{} holds token.key, admin.token and token.pub", out.display())?;
    Ok(())
}

/// By rename: gdnsd watches some of these files, and must not see half of one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Hidden, because every other file among the zones is one.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_match() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("keys");
        keys(&out).unwrap();
        let first = fs::read(out.join("token.key")).unwrap();
        keys(&out).unwrap();
        assert_eq!(fs::read(out.join("token.key")).unwrap(), first);
        assert!(out.join(secrets::ADMIN_TOKEN).exists());
        let public = region_role::read_public_keys(&out.join("token.pub")).unwrap();
        assert_eq!(public, secrets::token_key(&out).unwrap().public_keys());
    }

    #[test]
    fn name_servers_are_given_their_files_and_a_wrong_deployment_every_mistake() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deployment/example.json");
        let folder = tempfile::tempdir().unwrap();
        geodns(&example, Some(folder.path())).unwrap();
        for path in ["config", "geoip/nets", "zones/chat.example.org", "options.d"] {
            assert!(folder.path().join(path).exists(), "{path}");
        }
        let wrong = folder.path().join("deployment.json");
        let text = fs::read_to_string(&example).unwrap().replace("\"number\": 2", "\"number\": 1");
        fs::write(&wrong, text.replace("\"regional\"", "\"global\"")).unwrap();
        let error = check(&wrong).unwrap_err();
        assert!(error.is::<rookery_service::ConfigErrors>());
        let text = error.to_string();
        assert!(text.contains("durability") && text.contains("regions.1.nodes.0.number"), "{text}");
    }
}
