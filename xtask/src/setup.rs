//! Finds what is missing on this machine and installs it, saying what it does.
//!
//! Every need is tried, even when an earlier one failed: the report at the end is complete, and each line of it names
//! the missing thing and the command that would provide it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cql::{jars, java};
use crate::shell::say;
use crate::terraform::{self, sbin};
use crate::wasm::{self, Builder};
use crate::{clients, nats, shell, web};

/// How long adding a rustup target may take before Debian's compiler is tried.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// What a command needs things for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To build and run Rookery.
    Build,
    /// To check how the sources look.
    Lint,
    /// To run the tests with a database cluster.
    Cluster,
    /// To run the tests with NATS servers.
    Bus,
    /// To run the tests with client libraries.
    Clients,
    /// To check what machines are told: name servers, Terraform, units, rules.
    Infra,
}

/// Every purpose.
pub const EVERYTHING: &[Purpose] =
    &[Purpose::Build, Purpose::Lint, Purpose::Cluster, Purpose::Bus, Purpose::Clients, Purpose::Infra];

/// One thing that has to be on the machine.
struct Need {
    name: &'static str,
    purpose: Purpose,
    is_met: fn() -> Result<bool>,
    /// What a person can do to provide it, for the report.
    remedy: fn() -> String,
    install: fn() -> Result<()>,
}

const NEEDS: &[Need] = &[
    Need {
        name: "a C compiler (for the cryptography library)",
        purpose: Purpose::Build,
        is_met: || Ok(shell::which("cc").is_some()),
        remedy: || "run `apt-get install gcc libc6-dev`".into(),
        install: || apt(&["gcc", "libc6-dev"]),
    },
    Need {
        name: "make (for the allocator)",
        purpose: Purpose::Build,
        is_met: || Ok(shell::which("make").is_some()),
        remedy: || "run `apt-get install --no-install-recommends make`".into(),
        install: || apt(&["make"]),
    },
    Need {
        name: "a Rust compiler for wasm32-wasip2",
        purpose: Purpose::Build,
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
        purpose: Purpose::Lint,
        is_met: || Ok(shell::output(crate::paths::cargo().args(["fmt", "--version"])).is_some()),
        remedy: || "run `rustup component add rustfmt`".into(),
        install: || rustup(&["component", "add", "rustfmt"]),
    },
    Need {
        name: "clippy",
        purpose: Purpose::Lint,
        is_met: || Ok(shell::output(crate::paths::cargo().args(["clippy", "--version"])).is_some()),
        remedy: || "run `rustup component add clippy`".into(),
        install: || rustup(&["component", "add", "clippy"]),
    },
    Need {
        name: "Java 17 (for the database cluster of the tests)",
        purpose: Purpose::Cluster,
        is_met: || Ok(java::find().is_some()),
        remedy: || "run `apt-get install --no-install-recommends openjdk-17-jre-headless`, or set JAVA_HOME".into(),
        install: || apt(&["openjdk-17-jre-headless"]),
    },
    Need {
        name: "Maven (for Cassandra's jars)",
        purpose: Purpose::Cluster,
        is_met: || Ok(shell::which("mvn").is_some() || jars::are_complete()?),
        remedy: || "run `apt-get install --no-install-recommends maven`".into(),
        install: || apt(&["maven"]),
    },
    Need {
        name: "Cassandra's jars (infra/cassandra/pom.xml)",
        purpose: Purpose::Cluster,
        is_met: jars::are_complete,
        remedy: || "run `cargo xtask setup` where Maven can reach its repository".into(),
        install: jars::install,
    },
    Need {
        name: "Go 1.21 or newer (for the NATS server of the tests)",
        purpose: Purpose::Bus,
        is_met: || Ok(nats::has_go() || nats::is_installed()?),
        remedy: || "run `apt-get install --no-install-recommends golang-go` where that is Go 1.21 or newer".into(),
        install: || apt(&["golang-go"]),
    },
    Need {
        name: "the NATS server (infra/nats/go.mod)",
        purpose: Purpose::Bus,
        is_met: nats::is_installed,
        remedy: || "run `cargo xtask setup` where Go can reach its module proxy".into(),
        install: nats::install,
    },
    Need {
        name: "npm",
        purpose: Purpose::Clients,
        is_met: || Ok(shell::which("npm").is_some()),
        remedy: || "run `apt-get install --no-install-recommends npm`".into(),
        install: || apt(&["npm"]),
    },
    Need {
        name: "Node 20 or newer",
        purpose: Purpose::Clients,
        is_met: || Ok(clients::node()?.is_some()),
        remedy: || "run `npm install -g node@22`".into(),
        install: clients::install_node,
    },
    Need {
        name: "Node 22.12 or newer, for the voice library",
        purpose: Purpose::Clients,
        is_met: || Ok(clients::voice_node()?.is_some()),
        remedy: || "run `npm install -g node@22`".into(),
        install: clients::install_node,
    },
    Need {
        name: "Python 3.10 or newer with venv",
        purpose: Purpose::Clients,
        is_met: || {
            let modules = ["-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 10)"];
            Ok(shell::output(shell::clean("python3").args(modules)).is_some())
        },
        remedy: || "run `apt-get install --no-install-recommends python3 python3-venv`".into(),
        install: || apt(&["python3", "python3-venv"]),
    },
    Need {
        name: "libopus, for discord.py's voice",
        purpose: Purpose::Clients,
        is_met: || {
            let look = ["-c", "import ctypes.util; assert ctypes.util.find_library('opus')"];
            Ok(shell::output(shell::clean("python3").args(look)).is_some())
        },
        remedy: || "run `apt-get install --no-install-recommends libopus0`".into(),
        install: || apt(&["libopus0"]),
    },
    Need {
        name: "libopus to link with, for songbird",
        purpose: Purpose::Clients,
        is_met: || Ok(shell::output(shell::clean("pkg-config").args(["--libs", "opus"])).is_some()),
        remedy: || "run `apt-get install --no-install-recommends libopus-dev pkg-config`".into(),
        install: || apt(&["libopus-dev", "pkg-config"]),
    },
    Need {
        name: "the JavaScript client libraries (tests/clients/node)",
        purpose: Purpose::Clients,
        is_met: || Ok(clients::is_complete(&clients::node_modules()?)),
        remedy: || "run `cargo xtask setup` where npm can reach its registry".into(),
        install: clients::install_node_modules,
    },
    Need {
        name: "the JavaScript voice library (tests/clients/voice)",
        purpose: Purpose::Clients,
        is_met: || Ok(clients::is_complete(&clients::voice_modules()?)),
        remedy: || "run `cargo xtask setup` where npm can reach its registry".into(),
        install: clients::install_voice_modules,
    },
    Need {
        name: "the web client's packages (web/transport)",
        purpose: Purpose::Clients,
        is_met: web::is_installed,
        remedy: || "run `cargo xtask setup` where npm can reach its registry".into(),
        install: web::install,
    },
    Need {
        name: "Chromium (for the web client's tests)",
        purpose: Purpose::Clients,
        is_met: || Ok(web::chromium().is_some()),
        remedy: || "run `apt-get install --no-install-recommends chromium`".into(),
        install: || apt(&["chromium"]),
    },
    coturn("coturn (for pages that reach voice by a relay)", Purpose::Clients),
    coturn("coturn (beside the voice nodes of a deployment)", Purpose::Infra),
    Need {
        name: "the Python client libraries (tests/clients/python)",
        purpose: Purpose::Clients,
        is_met: || Ok(clients::is_complete(&clients::python()?)),
        remedy: || "run `cargo xtask setup` where pip can reach its package index".into(),
        install: clients::install_python,
    },
    Need {
        name: "gdnsd (the name server)",
        purpose: Purpose::Infra,
        is_met: || Ok(sbin("gdnsd").is_ok()),
        remedy: || "run `apt-get install --no-install-recommends gdnsd`".into(),
        install: || apt_without_service("gdnsd", "gdnsd.service"),
    },
    Need {
        name: "dig",
        purpose: Purpose::Infra,
        is_met: || Ok(shell::which("dig").is_some()),
        remedy: || "run `apt-get install --no-install-recommends dnsutils`".into(),
        install: || apt(&["dnsutils"]),
    },
    Need {
        name: "Debian's NATS server (which machines run)",
        purpose: Purpose::Infra,
        is_met: || Ok(sbin("nats-server").is_ok()),
        remedy: || "run `apt-get install --no-install-recommends nats-server`".into(),
        install: || apt_without_service("nats-server", "nats-server.service"),
    },
    Need {
        name: "HAProxy",
        purpose: Purpose::Infra,
        is_met: || Ok(sbin("haproxy").is_ok()),
        remedy: || "run `apt-get install --no-install-recommends haproxy`".into(),
        install: || apt_without_service("haproxy", "haproxy.service"),
    },
    Need {
        name: "promtool (for alerts)",
        purpose: Purpose::Infra,
        is_met: || Ok(shell::which("promtool").is_some()),
        remedy: || "run `apt-get install --no-install-recommends prometheus`".into(),
        install: || apt_without_service("prometheus", "prometheus.service"),
    },
    Need {
        name: "nft (for firewalls)",
        purpose: Purpose::Infra,
        is_met: || Ok(sbin("nft").is_ok()),
        remedy: || "run `apt-get install --no-install-recommends nftables`".into(),
        install: || apt(&["nftables"]),
    },
    Need {
        name: "systemd-analyze (for units)",
        purpose: Purpose::Infra,
        is_met: || Ok(shell::which("systemd-analyze").is_some()),
        remedy: || "run `apt-get install --no-install-recommends systemd`".into(),
        install: || apt(&["systemd"]),
    },
    Need {
        name: "ip (for machines that are namespaces)",
        purpose: Purpose::Infra,
        is_met: || Ok(sbin("ip").is_ok()),
        remedy: || "run `apt-get install --no-install-recommends iproute2`".into(),
        install: || apt(&["iproute2"]),
    },
    Need {
        name: "curl (which machines run)",
        purpose: Purpose::Infra,
        is_met: || Ok(shell::which("curl").is_some()),
        remedy: || "run `apt-get install --no-install-recommends curl`".into(),
        install: || apt(&["curl"]),
    },
    Need {
        name: "Go 1.21 or newer (for Terraform's provider)",
        purpose: Purpose::Infra,
        is_met: || Ok(terraform::has_go() || terraform::has_provider()? && terraform::has_terraform()?),
        remedy: || {
            "install Go 1.21 or newer; the packages are golang-go of Debian 13, golang-1.2x-go of backports".into()
        },
        install: || apt(&["golang-go"]),
    },
    Need {
        name: "Terraform 1.10 or newer, or OpenTofu 1.11",
        purpose: Purpose::Infra,
        is_met: terraform::has_terraform,
        remedy: || "install Terraform, or run `cargo xtask setup` where Go reaches its module proxy".into(),
        install: terraform::install_terraform,
    },
    Need {
        name: "Terraform's provider hcloud (terraform/tools/hcloud)",
        purpose: Purpose::Infra,
        is_met: terraform::has_provider,
        remedy: || "run `cargo xtask setup` where Go reaches its module proxy".into(),
        install: terraform::install_provider,
    },
];

/// Says what is missing and how to get it; fails when something is.
pub fn check(purposes: &[Purpose]) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs(purposes) {
        let met = (need.is_met)()?;
        say!("{} {}", if met { "ok     " } else { "MISSING" }, need.name);
        if !met {
            missing.push(format!("{}: {}", need.name, (need.remedy)()));
        }
    }
    report(&missing)
}

/// Installs what is missing; fails with all that could not be installed.
pub fn install(purposes: &[Purpose]) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs(purposes) {
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

fn needs(purposes: &[Purpose]) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| purposes.contains(&need.purpose))
}

const fn coturn(name: &'static str, purpose: Purpose) -> Need {
    Need {
        name,
        purpose,
        is_met: || Ok(shell::which("turnserver").is_some()),
        remedy: || "run `apt-get install --no-install-recommends coturn`".into(),
        install: || apt_without_service("coturn", "coturn.service"),
    }
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
    if shell::run_aside(&mut command(&install)).is_ok() {
        return Ok(());
    }
    shell::run_aside(&mut command(&["update"]))?;
    shell::run_aside(&mut command(&install))
}

/// Installs a package for its program; the service that Debian starts with it is stopped again, and does not come back.
fn apt_without_service(package: &str, service: &str) -> Result<()> {
    apt(&[package])?;
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    let mut systemctl = shell::clean("systemctl");
    if !is_root() {
        systemctl = shell::clean("sudo");
        systemctl.args(["-n", "systemctl"]);
    }
    shell::run_aside(systemctl.args(["disable", "--now", service]))
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
    fn every_purpose_needs_something_of_its_own() {
        for purpose in EVERYTHING {
            let count = needs(&[*purpose]).count();
            assert!((1..NEEDS.len()).contains(&count), "{purpose:?}: {count}");
        }
        assert_eq!(needs(EVERYTHING).count(), NEEDS.len());
    }

    #[test]
    fn the_report_names_every_missing_thing() {
        assert!(report(&[]).is_ok());
        let text = report(&["one: run `a`".into(), "two: run `b`".into()]).unwrap_err().to_string();
        assert_eq!(text, "2 missing on this machine:\n  - one: run `a`\n  - two: run `b`");
    }
}
