//! Finds what is missing on this machine and installs it, saying what it does.
//!
//! Every need is tried, even when an earlier one failed: the report at the end is complete, and each line of it names
//! the missing thing and the command that would provide it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::shell::say;
use crate::wasm::{self, Builder};
use crate::{clients, shell};

/// How long adding a rustup target may take before Debian's compiler is tried.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// How much of the machine a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Scope {
    /// To build and run Rookery.
    Build,
    /// To run every test but those with client libraries.
    TestRust,
    /// To run every test.
    Test,
}

/// One thing that has to be on the machine.
struct Need {
    name: &'static str,
    /// The smallest scope that needs it.
    scope: Scope,
    is_met: fn() -> Result<bool>,
    /// What a person can do to provide it, for the report.
    remedy: fn() -> String,
    install: fn() -> Result<()>,
}

const NEEDS: &[Need] = &[
    Need {
        name: "a C compiler (for the cryptography library)",
        scope: Scope::Build,
        is_met: || Ok(shell::which("cc").is_some()),
        remedy: || "run `apt-get install gcc libc6-dev`".into(),
        install: || apt(&["gcc", "libc6-dev"]),
    },
    Need {
        name: "a Rust compiler for wasm32-wasip2",
        scope: Scope::Build,
        is_met: || Ok(Builder::find().is_some()),
        remedy: || {
            let packages = wasm::DEBIAN_PACKAGES.join(" ");
            let target = wasm::TARGET;
            format!("run `rustup target add {target}` or `apt-get install --no-install-recommends {packages}`")
        },
        install: install_wasm_builder,
    },
    Need {
        name: "rustfmt",
        scope: Scope::TestRust,
        is_met: || Ok(shell::output(crate::paths::cargo().args(["fmt", "--version"])).is_some()),
        remedy: || "run `rustup component add rustfmt`".into(),
        install: || rustup(&["component", "add", "rustfmt"]),
    },
    Need {
        name: "clippy",
        scope: Scope::TestRust,
        is_met: || Ok(shell::output(crate::paths::cargo().args(["clippy", "--version"])).is_some()),
        remedy: || "run `rustup component add clippy`".into(),
        install: || rustup(&["component", "add", "clippy"]),
    },
    Need {
        name: "npm",
        scope: Scope::Test,
        is_met: || Ok(shell::which("npm").is_some()),
        remedy: || "run `apt-get install --no-install-recommends npm`".into(),
        install: || apt(&["npm"]),
    },
    Need {
        name: "Node 20 or newer",
        scope: Scope::Test,
        is_met: || Ok(clients::node()?.is_some()),
        remedy: || "run `npm install -g node@22`".into(),
        install: clients::install_node,
    },
    Need {
        name: "Python 3.10 or newer with venv",
        scope: Scope::Test,
        is_met: || {
            let modules = ["-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 10)"];
            Ok(shell::output(shell::clean("python3").args(modules)).is_some())
        },
        remedy: || "run `apt-get install --no-install-recommends python3 python3-venv`".into(),
        install: || apt(&["python3", "python3-venv"]),
    },
    Need {
        name: "the JavaScript client libraries (tests/clients/node)",
        scope: Scope::Test,
        is_met: || Ok(clients::is_complete(&clients::node_modules()?)),
        remedy: || "run `cargo xtask setup` where npm can reach its registry".into(),
        install: clients::install_node_modules,
    },
    Need {
        name: "the Python client libraries (tests/clients/python)",
        scope: Scope::Test,
        is_met: || Ok(clients::is_complete(&clients::python()?)),
        remedy: || "run `cargo xtask setup` where pip can reach its package index".into(),
        install: clients::install_python,
    },
];

/// Says what is missing and how to get it; fails when something is.
pub fn check(scope: Scope) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs(scope) {
        let met = (need.is_met)()?;
        say!("{} {}", if met { "ok     " } else { "MISSING" }, need.name);
        if !met {
            missing.push(format!("{}: {}", need.name, (need.remedy)()));
        }
    }
    report(&missing)
}

/// Installs what is missing; fails with all that could not be installed.
pub fn install(scope: Scope) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs(scope) {
        if (need.is_met)()? {
            continue;
        }
        say!("missing: {}; installing it", need.name);
        let failure = match (need.install)() {
            Ok(()) if (need.is_met)()? => continue,
            Ok(()) => "the installation ended well, but it is still not there".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        say!("not installed: {failure}");
        missing.push(format!("{}: {}\n    ({failure})", need.name, (need.remedy)()));
    }
    report(&missing)
}

fn needs(scope: Scope) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| need.scope <= scope)
}

fn report(missing: &[String]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} missing on this machine:", missing.len());
    for line in missing {
        let _ = write!(text, "\n  - {line}");
    }
    bail!(text)
}

fn install_wasm_builder() -> Result<()> {
    let mut failures = Vec::new();
    if Builder::toolchain_allowed() {
        match rustup(&["target", "add", wasm::TARGET]) {
            Ok(()) if Builder::find().is_some() => return Ok(()),
            Ok(()) => failures.push("rustup added the target, but the toolchain does not have it".to_owned()),
            Err(error) => failures.push(format!("{error:#}")),
        }
        say!("no target from rustup ({}); trying Debian's compiler", failures.join("; "));
    }
    apt(wasm::DEBIAN_PACKAGES).map_err(|error| {
        failures.push(format!("{error:#}"));
        anyhow::anyhow!(failures.join("; "))
    })
}

/// rustup may wait for ever for a server that is out of reach, so it gets a limit.
fn rustup(args: &[&str]) -> Result<()> {
    let rustup = shell::which("rustup").context("rustup is not installed")?;
    shell::run_within(RUSTUP_LIMIT, shell::clean(rustup).args(args).current_dir(crate::paths::root()))
}

fn apt(packages: &[&str]) -> Result<()> {
    let apt = shell::which("apt-get").context("this machine has no apt-get")?;
    let sudo = if is_root() {
        None
    } else {
        let sudo = shell::which("sudo")
            .filter(|sudo| shell::output(shell::clean(sudo).args(["-n", "true"])).is_some())
            .context("installing packages needs root")?;
        Some(sudo)
    };
    let command = |args: &[&str]| {
        let mut command = match &sudo {
            Some(sudo) => {
                let mut command = shell::clean(sudo);
                command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive"]).arg(&apt);
                command
            }
            None => shell::clean(&apt),
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=120"]).args(args);
        command
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // A new machine has no package lists, an old one has outdated ones: both show as a failed installation.
    if shell::run(&mut command(&install)).is_ok() {
        return Ok(());
    }
    shell::run(&mut command(&["update"]))?;
    shell::run(&mut command(&install))
}

fn is_root() -> bool {
    // The owner of a process's own folder in /proc is its effective user.
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self").metadata().is_ok_and(|folder| folder.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_scope_needs_less() {
        let count = |scope| needs(scope).count();
        assert!(count(Scope::Build) < count(Scope::TestRust));
        assert!(count(Scope::TestRust) < count(Scope::Test));
        assert_eq!(count(Scope::Test), NEEDS.len());
    }

    #[test]
    fn the_report_names_every_missing_thing() {
        assert!(report(&[]).is_ok());
        let text = report(&["one: run `a`".into(), "two: run `b`".into()]).unwrap_err().to_string();
        assert_eq!(text, "2 missing on this machine:\n  - one: run `a`\n  - two: run `b`");
    }
}
