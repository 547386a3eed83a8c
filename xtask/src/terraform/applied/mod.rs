//! What the machines of one region would be given, applied to machines that are namespaces, until people chat there.
//!
//! Each machine boots systemd, gets the rendered files and runs the rendered commands; then the operator's steps of
//! `docs/deploying.md` follow. Played are: packages, which are what this machine has; the name service of the
//! internet, by `/etc/hosts`; the download of the release, from a file; ScyllaDB, by Cassandra with `infra/cassandra`'s
//! settings, because it is in no archive that tests install from. The other region of the deployment is not there.

mod checks;
mod database;
mod lab;
mod secrets;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::lab::{Addresses, Lab, Machine};
use self::secrets::Secrets;
use super::rendered::{self, Release};
use super::{Copy, EXAMPLE};
use crate::component::Profile;
use crate::shell::say;
use crate::{paths, shell};

/// The region that is brought up; the deployment's first.
const REGION: &str = "eu";
/// Where clients come from, in the public network of the example, and what leads nowhere from there.
const CLIENT: &str = "192.0.2.250/24";
const GATEWAY: &str = "192.0.2.250";
/// Stands for wherever an operator keeps releases.
const RELEASE_URL: &str = "https://releases.example.org/rookery";

/// What was rendered and what stands ready for it.
struct Trial {
    scratch: PathBuf,
    rookery: PathBuf,
    deployment: Value,
    machines: BTreeMap<String, rendered::Machine>,
}

/// Brings the region up, has people chat in it, and takes it down in order.
pub fn check(copy: &Copy) -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        say!("SKIPPED: what machines would be given is rendered and read, but not applied: {obstacle}");
        return Ok(());
    }
    let start = Instant::now();
    let trial = Trial::prepare(copy)?;
    let mut lab = Lab::start(&trial.scratch, CLIENT)?;
    trial.boot(&mut lab)?;
    trial.apply(&lab)?;
    trial.start(&lab)?;
    checks::all(&trial, &lab)?;
    say!("a region came up out of its cloud-init, in {} s", start.elapsed().as_secs());
    Ok(())
}

impl Trial {
    fn prepare(copy: &Copy) -> Result<Self> {
        let scratch = copy.folder.join("applied");
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        // Every machine gets a copy, and debug information is nine tenths of it.
        let rookery = scratch.join("rookery");
        shell::run_aside(shell::clean("strip").arg("-o").arg(&rookery).arg(paths::binary(Profile::Dev)))?;
        let hash = Sha256::digest(fs::read(&rookery)?);
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let release = Release { url: RELEASE_URL.into(), sha256 };

        let text =
            fs::read_to_string(paths::root().join(EXAMPLE)).with_context(|| format!("{EXAMPLE} is not there"))?;
        let deployment = smaller(serde_json::from_str(&text)?)?;
        let file = scratch.join("deployment.json");
        fs::write(&file, serde_json::to_string_pretty(&deployment)?)?;
        let mut check = shell::clean(&rookery);
        shell::run_aside(check.args(["deployment", "check"]).arg(&file))?;
        let mut machines = rendered::write(copy, &file, &scratch.join("rendered"), true, Some(&release))?;
        machines.retain(|_, machine| machine.region == REGION);
        Ok(Self { scratch, rookery, deployment, machines })
    }

    fn boot(&self, lab: &mut Lab) -> Result<()> {
        let prefix = self.region()?["machines"]["network"].as_str().and_then(|network| network.split('/').nth(1));
        let prefix = prefix.context("the region has a network")?;
        let mut paths = vec![self.scratch.clone()];
        paths.extend(database::paths()?);
        for (name, machine) in &self.machines {
            say!("booting {name}");
            let private = format!("{}/{prefix}", machine.private_ip);
            let addresses = Addresses { private, public: machine.ipv4.as_deref() };
            lab.boot(name, &addresses, GATEWAY, &paths)?;
        }
        Ok(())
    }

    /// What cloud-init does.
    fn apply(&self, lab: &Lab) -> Result<()> {
        // The slowest to start first: it starts while the others are made.
        let is_other = |machine: &rendered::Machine| machine.role != "database";
        let (others, databases): (Vec<_>, Vec<_>) = self.machines.iter().partition(|(_, machine)| is_other(machine));
        for (name, given) in databases.into_iter().chain(others) {
            let machine = lab.machine(name)?;
            machine.wait_until_up()?;
            self.apply_to(machine, given)?;
            if given.role == "database" {
                database::start(machine, &self.scratch.join(name), &self.rendered(name))?;
            }
        }
        Ok(())
    }

    fn apply_to(&self, machine: &Machine, given: &rendered::Machine) -> Result<()> {
        let files = format!("{}/.", self.rendered(&machine.name).display());
        machine.run("cp", &["--archive", "--no-preserve=ownership", &files, "/"])?;
        machine.run("sh", &["-c", "printf '%s\n' \"$1\" >> /etc/hosts", "sh", &self.hosts()?])?;
        say!(
            "{} has {}; of this machine, in place of the packages {}",
            machine.name,
            given.role,
            given.packages.join(" ")
        );
        for command in &given.commands {
            let [program, args @ ..] = &command[..] else { continue };
            let file = format!("file://{}", self.rookery.display());
            let args: Vec<&str> = args.iter().map(|arg| if arg == RELEASE_URL { file.as_str() } else { arg }).collect();
            if program == "sysctl" {
                self.sysctl(machine, &args)?;
            } else {
                machine.run_or_explain(program, &args)?;
            }
        }
        Ok(())
    }

    /// What a namespace has no setting of its own for stays as it is on this machine.
    fn sysctl(&self, machine: &Machine, args: &[&str]) -> Result<()> {
        let _ = machine.command("sysctl").args(args).output()?;
        let text = fs::read_to_string(self.rendered(&machine.name).join("etc/sysctl.d/60-rookery.conf"))?;
        let mut own = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, wanted) = line.split_once(" = ").with_context(|| format!("no setting: {line}"))?;
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            if machine.run("test", &["-w", &path]).is_err() || !name.starts_with("net.") {
                continue;
            }
            let set = machine.run("sysctl", &["--values", name])?;
            ensure!(set.split_whitespace().eq(wanted.split_whitespace()), "{}: {name} is {set}", machine.name);
            own += 1;
        }
        ensure!(own >= 3, "{}: only {own} of the kernel's settings are its own", machine.name);
        Ok(())
    }

    /// What an operator does then: sections 4 and 5 of `docs/deploying.md`.
    fn start(&self, lab: &Lab) -> Result<()> {
        let secrets = Secrets::make(&self.rookery, &self.scratch.join("secrets"), self)?;
        for (name, given) in &self.machines {
            secrets.bring(lab.machine(name)?, given)?;
        }
        for name in self.of_role("database") {
            database::wait(lab.machine(name)?, &self.machines[name].private_ip)?;
        }
        let node = lab.machine(self.only("region")?)?;
        let schema = "set -a; . /etc/rookery/credentials/region.env; exec rookery admin schema --config /etc/rookery/region.toml";
        say!("{}", node.run("sh", &["-c", schema])?.trim());
        for name in self.of_role("bus") {
            lab.machine(name)?.run_or_explain("systemctl", &["restart", "nats-server"])?;
        }
        self.spare_descriptors(node)?;
        node.run_or_explain("systemctl", &["restart", "haproxy", "rookery-region"])?;
        let voice = lab.machine(self.only("voice")?)?;
        voice.run_or_explain("systemctl", &["restart", "rookery-sfu", "coturn"])?;
        let pop = lab.machine(self.only("pop")?)?;
        pop.run_or_explain("systemctl", &["start", "rookery-pop"])?;
        Ok(())
    }

    /// A machine of its own may open as many files as HAProxy asks for; this one may not.
    fn spare_descriptors(&self, node: &Machine) -> Result<()> {
        const RENDERED: &str = "maxconn 100000";
        let hard: u64 = node.run("sh", &["-c", "ulimit -Hn"])?.trim().parse().unwrap_or(u64::MAX);
        let text = node.run("cat", &["/etc/haproxy/haproxy.cfg"])?;
        ensure!(text.contains(RENDERED), "haproxy.cfg says nothing of {RENDERED}");
        if hard < 250_000 {
            say!(
                "NOT AS RENDERED: no process may open more than {hard} files here, so HAProxy takes 2,000 connections"
            );
            let fewer = text.replace(RENDERED, "maxconn 2000");
            node.write("/etc/haproxy/haproxy.cfg", "0644", "root", fewer.as_bytes())?;
        }
        Ok(())
    }

    fn rendered(&self, name: &str) -> PathBuf {
        self.scratch.join("rendered").join(name).join("root")
    }

    fn region(&self) -> Result<&Value> {
        let regions = self.deployment["regions"].as_array().context("regions")?;
        regions.iter().find(|region| region["name"] == REGION).with_context(|| format!("no region {REGION}"))
    }

    fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a String> {
        self.machines.iter().filter(move |(_, machine)| machine.role == role).map(|(name, _)| name)
    }

    fn only<'a>(&'a self, role: &'a str) -> Result<&'a str> {
        self.of_role(role).next().map(String::as_str).with_context(|| format!("no machine of the role {role}"))
    }

    /// The lines of `/etc/hosts` that stand for the name service.
    fn hosts(&self) -> Result<String> {
        let mut lines = Vec::new();
        for region in self.deployment["regions"].as_array().context("regions")? {
            for node in region["nodes"].as_array().context("nodes")? {
                let host = node["link"].as_str().and_then(|link| link.split(':').next()).context("a link")?;
                let address = node["addresses"][0].as_str().context("a node has an address")?;
                lines.push(format!("{address} {host}"));
            }
            for node in region["voice_nodes"].as_array().context("voice nodes")? {
                let host = node["endpoint"].as_str().and_then(|endpoint| endpoint.split(':').next());
                let address = node["addresses"][0].as_str().context("a voice node has an address")?;
                lines.push(format!("{address} {}", host.context("an endpoint")?));
            }
        }
        Ok(lines.join("\n"))
    }
}

/// The example, with a machine where it has several, so that it fits into one; two of the bus, which find each other.
fn smaller(mut deployment: Value) -> Result<Value> {
    let regions = deployment["regions"].as_array_mut().context("regions")?;
    for region in regions {
        for (list, length) in
            [("/machines/database_addresses", 1), ("/machines/bus_addresses", 2), ("/nats_urls", 2), ("/pops", 1)]
        {
            let list = region.pointer_mut(list).and_then(Value::as_array_mut).with_context(|| format!("no {list}"))?;
            list.truncate(length);
        }
    }
    Ok(deployment)
}
