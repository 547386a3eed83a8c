//! What Terraform would bring to the machines of a deployment: the same files, out of the same templates.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Folders of the repository that the modules read.
const PARTS: [&str; 3] = ["terraform", "infra", "deployment"];

/// What `terraform/render` says of a machine.
#[derive(Debug, Deserialize)]
pub struct Rendered {
    pub region: String,
    pub private_ip: Ipv4Addr,
    pub files: Vec<RenderedFile>,
}

/// A file of a machine.
#[derive(Debug, Deserialize)]
pub struct RenderedFile {
    /// Where it lies on the machine.
    pub path: String,
    pub mode: String,
    pub content: String,
}

/// Renders every machine of a deployment; `scratch` is a folder that this may write to.
pub fn render(
    terraform: &Path,
    repository: &Path,
    deployment_file: &Path,
    scratch: &Path,
) -> Result<BTreeMap<String, Rendered>> {
    // Terraform writes into the folders that it runs in.
    for part in PARTS {
        copy(&repository.join(part), &scratch.join(part))?;
    }
    let folder = scratch.join("terraform/render");
    let file = format!("-var=deployment_file={}", deployment_file.display());
    run(terraform, &folder, &["init", "-input=false", "-no-color"])?;
    run(terraform, &folder, &["apply", "-auto-approve", "-input=false", "-no-color", "-var=multi_node=true", &file])?;
    let text = run(terraform, &folder, &["output", "-json", "machines"])?;
    serde_json::from_slice(&text).context("the rendered machines are not as expected")
}

fn run(terraform: &Path, folder: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new(terraform);
    command.current_dir(folder).args(args);
    // Neither a person's settings nor a look for newer versions; the folder needs no provider.
    command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1").env("TF_CLI_CONFIG_FILE", "/dev/null");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TF_VAR_") || name == "TF_CLI_ARGS" {
            command.env_remove(name);
        }
    }
    let output = command.output().with_context(|| format!("{} could not be started", terraform.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`terraform {}` failed: {}", args.join(" "), said.trim());
    Ok(output.stdout)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        // What somebody left who ran Terraform in the clone.
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

impl Rendered {
    /// Writes the machine's files under `root`, as on the machine under `/`.
    pub fn write(&self, root: &Path) -> Result<()> {
        for file in &self.files {
            let path = inside(root, &file.path);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(&path, &file.content).with_context(|| format!("{} cannot be written", path.display()))?;
            let mode = u32::from_str_radix(&file.mode, 8).with_context(|| format!("the mode of {}", file.path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }
}

/// Where a path of a machine is under its root.
pub fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The text of a file of a machine with the machine's own folders, in quotes or bare, under its root.
pub fn rooted(text: &str, root: &Path) -> String {
    const FOLDERS: [&str; 3] = ["/etc/", "/run/credentials/", "/var/lib/"];
    let mut rooted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Comments speak of machines.
        if line.trim_start().starts_with('#') {
            rooted.push_str(line);
            continue;
        }
        let mut line = line.to_owned();
        for folder in FOLDERS {
            for before in ["\"", " "] {
                let there = format!("{before}{}{folder}", root.display());
                line = line.replace(&format!("{before}{folder}"), &there);
            }
        }
        rooted.push_str(&line);
    }
    rooted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_machine_are_found_under_its_root() {
        let text = "# see /etc/x, \"/etc/y\"\na = \"/etc/rookery/a.toml\"\n  - /etc/prometheus/rules/*.yml\nb = \"/run/credentials/u/k\" \
                    # \"x\"\nc = \"./etc/z\"\nd = \"/usr/bin\"\n";
        let expected = "# see /etc/x, \"/etc/y\"\na = \"/lab/m/etc/rookery/a.toml\"\n  - /lab/m/etc/prometheus/rules/*.yml\nb = \
                        \"/lab/m/run/credentials/u/k\" # \"x\"\nc = \"./etc/z\"\nd = \"/usr/bin\"\n";
        assert_eq!(rooted(text, Path::new("/lab/m")), expected);
        assert_eq!(inside(Path::new("/lab/m"), "/etc/a"), Path::new("/lab/m/etc/a"));
    }
}
