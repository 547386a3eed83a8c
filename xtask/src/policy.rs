//! Checks the licences and the bans of `deny.toml` against the dependency graph.
//!
//! cargo-deny does this and more (advisories, sources), and is run when it is installed; building it takes minutes
//! and its advisory data a network, so the two rules that must never slip are checked here without either.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell::say;
use crate::{paths, shell, spdx};

#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Crates that may name it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
    reason: String,
}

/// What we read of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// Checks the workspace and the component; runs cargo-deny too where it is installed.
pub fn check() -> Result<()> {
    say!("checking licences and bans (deny.toml)");
    let policy = fs::read_to_string(paths::root().join("deny.toml")).context("deny.toml could not be read")?;
    let policy: Policy = toml::from_str(&policy).context("deny.toml is not as expected")?;
    let mut faults = Vec::new();
    for manifest in std::iter::once("Cargo.toml").chain(paths::SATELLITES) {
        faults.extend(policy.faults(&metadata(manifest)?));
    }
    if !faults.is_empty() {
        bail!("deny.toml is not kept:\n  - {}", faults.join("\n  - "));
    }
    if shell::which("cargo-deny").is_some() {
        shell::run(paths::cargo().args(["deny", "--workspace", "check"]))?;
    }
    Ok(())
}

fn metadata(manifest: &str) -> Result<Metadata> {
    let mut command = paths::cargo();
    command.args(["metadata", "--locked", "--format-version", "1", "--manifest-path", manifest]);
    let text = shell::output(&mut command).with_context(|| {
        format!("`cargo metadata --locked --manifest-path {manifest}` failed; is its lock file current?")
    })?;
    serde_json::from_str(&text).context("cargo metadata is not as expected")
}

impl Policy {
    fn faults(&self, metadata: &Metadata) -> Vec<String> {
        let mut faults: Vec<String> =
            metadata.packages.iter().filter_map(|package| self.licence_fault(package)).collect();
        let names: HashMap<&str, &str> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        for node in &metadata.resolve.nodes {
            let user = names.get(node.id.as_str()).copied().unwrap_or(&node.id);
            let used = node.dependencies.iter().filter_map(|id| names.get(id.as_str()));
            faults.extend(used.filter_map(|used| self.ban_fault(user, used)));
        }
        faults
    }

    fn licence_fault(&self, package: &Package) -> Option<String> {
        let Package { name, version, license, .. } = package;
        let Some(expression) = license else {
            return Some(format!("{name} {version} names no licence"));
        };
        let exceptions = self.licenses.exceptions.iter().filter(|exception| exception.name == *name);
        let extra: Vec<&String> = exceptions.flat_map(|exception| &exception.allow).collect();
        let allowed = |licence: &str| self.licenses.allow.iter().chain(extra.iter().copied()).any(|one| one == licence);
        match spdx::is_satisfied(expression, &allowed) {
            Some(true) => None,
            Some(false) => Some(format!("{name} {version} has the licence {expression}, which is not allowed")),
            None => Some(format!("{name} {version} has a licence that is no expression: {expression}")),
        }
    }

    fn ban_fault(&self, user: &str, used: &str) -> Option<String> {
        let ban = self.bans.deny.iter().find(|ban| ban.name == used)?;
        let fault = || format!("{user} may not depend on {used}: {}", ban.reason);
        (!ban.wrappers.iter().any(|wrapper| wrapper == user)).then(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        toml::from_str(
            r#"
            [licenses]
            allow = ["MIT"]
            exceptions = [{ crate = "odd", allow = ["Zlib"] }]
            [bans]
            deny = [{ crate = "driver", wrappers = ["store"], reason = "one room knows the database" }]
            "#,
        )
        .unwrap()
    }

    fn graph(packages: &[(&str, Option<&str>, &[&str])]) -> Metadata {
        Metadata {
            packages: packages
                .iter()
                .map(|(name, license, _)| Package {
                    id: (*name).into(),
                    name: (*name).into(),
                    version: "1.0.0".into(),
                    license: license.map(str::to_owned),
                })
                .collect(),
            resolve: Resolve {
                nodes: packages
                    .iter()
                    .map(|(name, _, dependencies)| Node {
                        id: (*name).into(),
                        dependencies: dependencies.iter().map(|id| (*id).to_owned()).collect(),
                    })
                    .collect(),
            },
        }
    }

    #[test]
    fn only_a_wrapper_may_use_a_banned_crate() {
        let mit = Some("MIT");
        let kept = graph(&[("driver", mit, &[]), ("store", mit, &["driver"]), ("shell", mit, &["store"])]);
        assert_eq!(policy().faults(&kept), [""; 0]);
        let broken = graph(&[("driver", mit, &[]), ("shell", mit, &["driver"])]);
        assert_eq!(policy().faults(&broken), ["shell may not depend on driver: one room knows the database"]);
    }

    #[test]
    fn a_licence_must_be_allowed_or_an_exception() {
        let faults = policy().faults(&graph(&[
            ("fine", Some("MIT OR GPL-3.0"), &[]),
            ("odd", Some("Zlib"), &[]),
            ("other", Some("Zlib"), &[]),
            ("none", None, &[]),
        ]));
        assert_eq!(faults, ["other 1.0.0 has the licence Zlib, which is not allowed", "none 1.0.0 names no licence"]);
    }
}
