//! What Terraform never sees: made as an operator makes it, and brought as `docs/deploying.md` says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::lab::Machine;
use super::{Trial, rendered};
use crate::shell;

/// What the relay and the voice node beside it have in common.
pub const TURN_SECRET: &str = "trial";

/// The folder that holds them all.
pub struct Secrets {
    folder: PathBuf,
    rookery: PathBuf,
    domain: String,
}

/// Who signs: each is a CA of its own.
#[derive(Clone, Copy)]
enum Authority {
    /// Lets processes into the link.
    Link,
    /// Lets servers and nodes into the bus.
    Bus,
    /// Stands for the one that browsers know.
    Public,
}

impl Authority {
    fn name(self) -> &'static str {
        match self {
            Self::Link => "ca",
            Self::Bus => "bus-ca",
            Self::Public => "public-ca",
        }
    }
}

impl Secrets {
    /// Makes what the whole deployment shares.
    pub fn make(rookery: &Path, folder: &Path, trial: &Trial) -> Result<Self> {
        let domain = trial.deployment["domain"].as_str().context("the deployment has a domain")?.to_owned();
        fs::create_dir_all(folder)?;
        shell::run_aside(shell::clean(rookery).args(["deployment", "keys"]).arg(folder.join("shared")))?;
        Ok(Self { folder: folder.to_owned(), rookery: rookery.to_owned(), domain })
    }

    /// Brings a machine its own.
    pub fn bring(&self, machine: &Machine, given: &rendered::Machine) -> Result<()> {
        match given.role.as_str() {
            "region" => self.bring_to_node(machine, given),
            "voice" => self.bring_to_voice_node(machine, given),
            "pop" => self.bring_to_pop(machine),
            "bus" => self.bring_to_bus(machine, given),
            _ => Ok(()),
        }
    }

    fn bring_to_node(&self, machine: &Machine, given: &rendered::Machine) -> Result<()> {
        let name = format!("{}.{}", given.node, self.domain);
        self.bring_link(machine, "region", &name)?;
        let tls = self.bring_tls(machine, &name)?;
        let both = [fs::read(tls.join("cert.pem"))?, fs::read(tls.join("key.pem"))?].concat();
        machine.write("/etc/rookery/credentials/gateway.pem", "0600", "root", &both)?;
        for secret in ["token.key", "admin.token"] {
            let bytes = fs::read(self.folder.join("shared").join(secret))?;
            machine.write(&format!("/etc/rookery/credentials/{secret}"), "0600", "root", &bytes)?;
        }
        let user = "ROOKERY_STORE__CQL__USER=rookery_region\nROOKERY_STORE__CQL__PASSWORD=trial\n";
        machine.write("/etc/rookery/credentials/region.env", "0600", "root", user.as_bytes())?;
        self.bring_bus(machine, &name)
    }

    fn bring_to_voice_node(&self, machine: &Machine, given: &rendered::Machine) -> Result<()> {
        let name = format!("{}.{}", given.node, self.domain);
        self.bring_tls(machine, &name)?;
        self.bring_bus(machine, &name)?;
        for (file, key) in [("sfu.env", "ROOKERY_VOICE__TURN__SECRET"), ("turn.secret", "static-auth-secret")] {
            let text = format!("{key}={TURN_SECRET}\n");
            machine.write(&format!("/etc/rookery/credentials/{file}"), "0600", "root", text.as_bytes())?;
        }
        Ok(())
    }

    fn bring_to_pop(&self, machine: &Machine) -> Result<()> {
        self.bring_link(machine, "pop", &machine.name)?;
        self.bring_tls(machine, &self.domain)?;
        let keys = fs::read(self.folder.join("shared/token.pub"))?;
        machine.write("/etc/rookery/token.pub", "0644", "root", &keys)
    }

    fn bring_to_bus(&self, machine: &Machine, given: &rendered::Machine) -> Result<()> {
        let names = [Some(given.private_ip.as_str()), given.ipv4.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let own = self.issue(Authority::Bus, &machine.name, "region", &names)?;
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            machine.write(&format!("/etc/nats/{file}"), "0640", "nats", &fs::read(own.join(file))?)?;
        }
        Ok(())
    }

    fn bring_link(&self, machine: &Machine, role: &str, name: &str) -> Result<()> {
        let own = self.issue(Authority::Link, &machine.name, role, &[name])?;
        for file in ["ca.pem", "cert.pem"] {
            machine.write(&format!("/etc/rookery/link/{file}"), "0644", "root", &fs::read(own.join(file))?)?;
        }
        machine.write("/etc/rookery/credentials/link.key", "0600", "root", &fs::read(own.join("key.pem"))?)
    }

    fn bring_bus(&self, machine: &Machine, name: &str) -> Result<()> {
        let own = self.issue(Authority::Bus, &machine.name, "region", &[name])?;
        for file in ["ca.pem", "cert.pem"] {
            machine.write(&format!("/etc/rookery/bus/{file}"), "0644", "root", &fs::read(own.join(file))?)?;
        }
        machine.write("/etc/rookery/credentials/bus.key", "0600", "root", &fs::read(own.join("key.pem"))?)
    }

    fn bring_tls(&self, machine: &Machine, name: &str) -> Result<PathBuf> {
        let own = self.issue(Authority::Public, &machine.name, "region", &[name])?;
        machine.write("/etc/rookery/tls/cert.pem", "0644", "root", &fs::read(own.join("cert.pem"))?)?;
        machine.write("/etc/rookery/credentials/tls.key", "0600", "root", &fs::read(own.join("key.pem"))?)?;
        Ok(own)
    }

    fn issue(&self, authority: Authority, machine: &str, role: &str, names: &[&str]) -> Result<PathBuf> {
        let out = self.folder.join(format!("{}-{machine}", authority.name()));
        let mut command = shell::clean(&self.rookery);
        command.args(["ca", "--dir"]).arg(self.folder.join(authority.name())).args(["issue", "--role", role]);
        command.args(names.iter().flat_map(|name| ["--name", name])).arg("--out").arg(&out);
        super::lab::succeed(&mut command)?;
        Ok(out)
    }

    /// What clients check certificates with.
    pub fn public_authority(folder: &Path) -> PathBuf {
        folder.join(Authority::Public.name()).join("ca.pem")
    }
}
