//! Terraform and its provider: found, or built from Go modules that go.sum pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::say;
use crate::{paths, shell};

/// Folders with go.mod and go.sum.
const PROVIDER_MODULE: &str = "terraform/tools/hcloud";
const OPENTOFU_MODULE: &str = "terraform/tools/opentofu";
const PROVIDER_PACKAGE: &str = "github.com/hetznercloud/terraform-provider-hcloud";
const OPENTOFU_PACKAGE: &str = "github.com/opentofu/opentofu/cmd/tofu";
/// As `versions.tf` has it.
const PROVIDER_VERSION: &str = "1.68.0";
/// What a source without a host means to Terraform, and to OpenTofu.
const REGISTRIES: [&str; 2] = ["registry.terraform.io", "registry.opentofu.org"];
/// Where Go is when it is not on the search path.
const GO: &str = "/usr/local/go/bin/go";
/// The first that fetches the toolchain which a go.mod asks for.
const GO_MIN: (u32, u32) = (1, 21);
/// The first with ephemeral variables.
const TERRAFORM_MIN: (u32, u32) = (1, 10);
const OPENTOFU_MIN: (u32, u32) = (1, 11);

/// Where Terraform is, or OpenTofu where that is what there is.
pub fn terraform_program() -> Result<PathBuf> {
    find_terraform()?.context("Terraform is not installed; run `cargo xtask setup`")
}

/// Terraform, or OpenTofu where that is what there is.
pub fn terraform() -> Result<Command> {
    let mut command = shell::clean(terraform_program()?);
    // Neither a person's settings nor a look for newer versions.
    command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1").env_remove("TF_CLI_ARGS");
    command.env("TF_CLI_CONFIG_FILE", "/dev/null");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TF_VAR_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Whether there is one that is new enough.
pub fn has_terraform() -> Result<bool> {
    Ok(find_terraform()?.is_some())
}

/// Builds OpenTofu, which is Terraform under a free licence.
pub fn install_terraform() -> Result<()> {
    build(OPENTOFU_MODULE, OPENTOFU_PACKAGE, &built_tofu()?)
}

fn find_terraform() -> Result<Option<PathBuf>> {
    let known = [("terraform", TERRAFORM_MIN), ("tofu", OPENTOFU_MIN)];
    let installed = known.into_iter().filter_map(|(name, min)| Some((shell::which(name)?, min)));
    let candidates = installed.chain([(built_tofu()?, OPENTOFU_MIN)]);
    Ok(candidates.filter(|(path, min)| version(path).is_some_and(|found| found >= *min)).map(|(path, _)| path).next())
}

/// `Terraform v1.11.4`, `OpenTofu v1.11.4`.
fn version(program: &Path) -> Option<(u32, u32)> {
    let text = shell::output(shell::clean(program).arg("version").env("CHECKPOINT_DISABLE", "1"))?;
    two_numbers(text.lines().next()?.split_once(" v")?.1)
}

fn two_numbers(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|part| part.trim().parse());
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn built_tofu() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("opentofu-{}", module_hash(OPENTOFU_MODULE)?)).join("tofu"))
}

/// Whether the provider's build is there.
pub fn has_provider() -> Result<bool> {
    Ok(REGISTRIES
        .iter()
        .map(|registry| provider(registry))
        .collect::<Result<Vec<_>>>()?
        .iter()
        .all(|path| path.is_file()))
}

/// Builds the provider into a mirror in the cache.
pub fn install_provider() -> Result<()> {
    let [first, second] = [provider(REGISTRIES[0])?, provider(REGISTRIES[1])?];
    build(PROVIDER_MODULE, PROVIDER_PACKAGE, &first)?;
    fs::create_dir_all(second.parent().context("it has a folder")?)?;
    drop(fs::remove_file(&second));
    fs::hard_link(&first, &second).with_context(|| format!("cannot make {}", second.display()))
}

fn mirror() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("terraform-mirror-{}", module_hash(PROVIDER_MODULE)?)))
}

/// Where the mirror has it for one registry.
fn provider(registry: &str) -> Result<PathBuf> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let name = format!("hetznercloud/hcloud/{PROVIDER_VERSION}/linux_{architecture}");
    Ok(mirror()?.join(registry).join(name).join(format!("terraform-provider-hcloud_v{PROVIDER_VERSION}")))
}

/// What has Terraform install the provider out of the mirror, and nothing from anywhere else.
pub fn cli_config() -> Result<String> {
    let path = mirror()?;
    let mirror = format!("filesystem_mirror {{\n    path = \"{}\"\n  }}", path.display());
    Ok(format!("disable_checkpoint = true\nprovider_installation {{\n  {mirror}\n}}\n"))
}

/// A name for what a module pins.
fn module_hash(module: &str) -> Result<String> {
    let folder = paths::root().join(module);
    let mut bytes = fs::read(folder.join("go.mod")).with_context(|| format!("{module}/go.mod could not be read"))?;
    bytes.extend(fs::read(folder.join("go.sum")).with_context(|| format!("{module}/go.sum could not be read"))?);
    Ok(paths::short_hash(&bytes))
}

/// Whether there is a Go that can build them.
pub fn has_go() -> bool {
    let version =
        go().and_then(|go| shell::output(shell::clean(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local")));
    version.as_deref().and_then(|text| two_numbers(text.strip_prefix("go")?)).is_some_and(|found| found >= GO_MIN)
}

fn go() -> Option<PathBuf> {
    shell::which("go").or_else(|| Some(PathBuf::from(GO)).filter(|path| path.is_file()))
}

/// Builds a program out of a folder with go.mod and go.sum.
pub fn build(module: &str, package: &str, to: &Path) -> Result<()> {
    let folder = to.parent().context("it has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let beside = to.with_extension("new");
    say!("building {package}");
    let mut command = shell::clean(go().context("Go is not installed")?);
    command.args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&beside).arg(package);
    // The packages need no C compiler's help, and are the same everywhere without it.
    shell::run_aside(command.current_dir(paths::root().join(module)).env("CGO_ENABLED", "0").env("GOWORK", "off"))?;
    // By rename: an interrupted build leaves nothing that looks whole.
    fs::rename(&beside, to).with_context(|| format!("cannot make {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(two_numbers("1.11.4"), Some((1, 11)));
        assert_eq!(two_numbers("1.9"), Some((1, 9)));
        assert!(two_numbers("1.11.4") > two_numbers("1.9.1"));
        assert_eq!(two_numbers("devel"), None);
    }

    #[test]
    fn the_provider_is_the_one_that_the_modules_ask_for() {
        let root = paths::root();
        let versions = fs::read_to_string(root.join("terraform/versions.tf")).unwrap();
        assert!(versions.contains(&format!("version = \"{PROVIDER_VERSION}\"")), "{versions}");
        let module = fs::read_to_string(root.join(PROVIDER_MODULE).join("go.mod")).unwrap();
        assert!(module.contains(&format!("{PROVIDER_PACKAGE} v{PROVIDER_VERSION}")), "{module}");
    }
}
