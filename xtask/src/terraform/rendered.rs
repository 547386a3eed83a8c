//! What machines would be told, written out and read by the programs that it is for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Copy;
use crate::component::Profile;
use crate::shell::say;
use crate::{paths, shell};

/// The most that `systemd-analyze security` may find of a unit, in tenths.
const EXPOSURE_MAX: &str = "20";

#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub role: String,
    pub region: String,
    pub node: String,
    pub private_ip: String,
    pub ipv4: Option<String>,
    #[serde(skip_serializing)]
    pub files: Vec<File>,
    pub packages: Vec<String>,
    pub commands: Vec<Vec<String>>,
}

/// One file that a machine is given.
#[derive(Debug, Deserialize)]
pub struct File {
    pub path: String,
    mode: String,
    content: String,
}

/// The binary that machines install.
#[derive(Debug, Serialize)]
pub struct Release {
    pub url: String,
    pub sha256: String,
}

/// Writes `out/<machine>/root` and `out/<machine>/machine.json`.
pub fn write(
    copy: &Copy,
    deployment: &Path,
    out: &Path,
    multi_node: bool,
    release: Option<&Release>,
) -> Result<BTreeMap<String, Machine>> {
    let machines = machines(copy, deployment, multi_node, release)?;
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    for (name, machine) in &machines {
        let folder = out.join(name);
        for file in &machine.files {
            let path = folder.join("root").join(file.path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().context("it has a folder")?)?;
            fs::write(&path, &file.content).with_context(|| format!("cannot write {}", path.display()))?;
            let mode = u32::from_str_radix(&file.mode, 8).with_context(|| format!("the mode of {}", file.path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        fs::write(folder.join("machine.json"), serde_json::to_string_pretty(machine)?)?;
    }
    Ok(machines)
}

fn machines(
    copy: &Copy,
    deployment: &Path,
    multi_node: bool,
    release: Option<&Release>,
) -> Result<BTreeMap<String, Machine>> {
    let file = format!("-var=deployment_file={}", deployment.display());
    let multi_node = format!("-var=multi_node={multi_node}");
    let release = format!("-var=release={}", serde_json::to_string(&release)?);
    // It prints all that is rendered, twice.
    copy.run_quietly("render", &["apply", "-auto-approve", "-input=false", "-no-color", &file, &multi_node, &release])?;
    let text = shell::output(copy.command("render")?.args(["output", "-json", "machines"]));
    serde_json::from_str(&text.context("Terraform has no output")?).context("the machines are not as expected")
}

/// Has everything read that the example deployment's machines would be given.
pub fn check(copy: &Copy, deployment: &Path) -> Result<()> {
    let out = copy.folder.join("rendered");
    let rookery = paths::binary(Profile::Dev);
    ensure!(rookery.is_file(), "{} is not built", rookery.display());
    shell::run_aside(shell::clean(&rookery).args(["deployment", "check"]).arg(deployment))?;
    let identity = identity(&rookery, &copy.folder.join("identity"))?;
    let machines = write(copy, deployment, &out, false, None)?;
    let mut seen = Vec::new();
    for (name, machine) in &machines {
        let root = out.join(name).join("root");
        say!("reading what {name} would be given");
        firewall(&root.join("etc/nftables.conf"))?;
        match machine.role.as_str() {
            "region" => region(&rookery, &root, &identity)?,
            "voice" => voice(&rookery, &root)?,
            "pop" => pop(&rookery, &root)?,
            "bus" => bus(&root, &identity)?,
            "observability" => observability(&root)?,
            "geodns" => geodns(&rookery, &root)?,
            "database" => database(&root)?,
            other => bail!("nobody checks machines of the role {other}"),
        }
        seen.push(machine.role.as_str());
    }
    for role in ["region", "voice", "pop", "bus", "observability", "database", "geodns"] {
        ensure!(seen.contains(&role), "the example has no machine of the role {role}");
    }
    told_of_each_other(copy, &rookery, deployment)
}

/// Has nodes read what they are told where they are told of the other regions.
fn told_of_each_other(copy: &Copy, rookery: &Path, deployment: &Path) -> Result<()> {
    let out = copy.folder.join("rendered-multi-node");
    let machines = write(copy, deployment, &out, true, None)?;
    for (name, _) in machines.iter().filter(|(_, machine)| machine.role == "region") {
        let folder = out.join(name).join("root/etc/rookery");
        let file = format!("deployment_file={}", folder.join("deployment.json").display());
        let mut check = shell::clean(rookery);
        check.args(["region", "--check", "--config"]).arg(folder.join("region.toml")).args(["--set", &file]);
        shell::run_aside(&mut check)?;
    }
    Ok(())
}

/// A certificate of a deployment's CA, to stand for those that operators bring.
fn identity(rookery: &Path, folder: &Path) -> Result<PathBuf> {
    let mut command = shell::clean(rookery);
    command.args(["ca", "--dir"]).arg(folder.join("ca")).args(["issue", "--role", "region", "--out"]).arg(folder);
    shell::run_aside(&mut command)?;
    let both = [fs::read(folder.join("cert.pem"))?, fs::read(folder.join("key.pem"))?].concat();
    fs::write(folder.join("gateway.pem"), both)?;
    Ok(folder.to_owned())
}

fn region(rookery: &Path, root: &Path, identity: &Path) -> Result<()> {
    let config = root.join("etc/rookery/region.toml");
    shell::run_aside(shell::clean(rookery).args(["region", "--check", "--config"]).arg(config))?;
    unit(rookery, &root.join("etc/systemd/system/rookery-region.service"))?;
    shell::run_aside(shell::clean("sh").arg("-n").arg(root.join("usr/local/sbin/rookery-install")))?;
    let haproxy = root.join("etc/haproxy/haproxy.cfg");
    let text = fs::read_to_string(&haproxy)?;
    let here = text.replace("/etc/rookery/credentials/", &format!("{}/", identity.display()));
    ensure!(here != text, "haproxy reads no certificate");
    let copy = root.join("haproxy-here.cfg");
    fs::write(&copy, here)?;
    shell::run_aside(shell::clean(sbin("haproxy")?).args(["-c", "-f"]).arg(copy))
}

fn pop(rookery: &Path, root: &Path) -> Result<()> {
    let config = root.join("etc/rookery/pop.toml");
    shell::run_aside(shell::clean(rookery).args(["pop", "--check", "--config"]).arg(config))?;
    unit(rookery, &root.join("etc/systemd/system/rookery-pop.service"))
}

fn voice(rookery: &Path, root: &Path) -> Result<()> {
    let config = root.join("etc/rookery/sfu.toml");
    // The relay's secret is brought to the machine.
    let mut check = shell::clean(rookery);
    check.env("ROOKERY_VOICE__TURN__SECRET", "brought").args(["sfu", "--check", "--config"]).arg(config);
    shell::run_aside(&mut check)?;
    let units = root.join("etc/systemd/system");
    unit(rookery, &units.join("rookery-sfu.service"))?;
    // What Debian's package says, with what is changed of it.
    let folder = units.join("here");
    let changed = folder.join("coturn.service.d");
    fs::create_dir_all(&changed)?;
    fs::copy(units.join("coturn.service.d/rookery.conf"), changed.join("rookery.conf"))?;
    let coturn = folder.join("coturn.service");
    fs::copy("/lib/systemd/system/coturn.service", &coturn)
        .context("coturn is not installed; run `cargo xtask setup`")?;
    verify(&coturn)
}

/// Has systemd read a unit, with this build in the place of the installed binary.
fn unit(rookery: &Path, path: &Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    waits_for_the_drain(path, &text)?;
    let here = text.replace("/usr/local/bin/rookery ", &format!("{} ", rookery.display()));
    ensure!(here != text, "{} does not run the installed binary", path.display());
    let folder = path.parent().context("it has a folder")?.join("here");
    fs::create_dir_all(&folder)?;
    let copy = folder.join(path.file_name().context("it has a name")?);
    fs::write(&copy, here)?;
    verify(&copy)?;
    let mut security = shell::clean("systemd-analyze");
    security.args(["security", "--no-pager", "--offline=true", "--threshold", EXPOSURE_MAX]).arg(&copy);
    let output = security.output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{} is too open:\n{told}", path.display());
    Ok(())
}

fn verify(path: &Path) -> Result<()> {
    // It tells of mistakes and ends well all the same.
    let output = shell::clean("systemd-analyze").args(["verify", "--man=no"]).arg(path).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "systemd does not take {}:\n{said}", path.display());
    Ok(())
}

/// What systemd kills before it has drained loses its sessions.
fn waits_for_the_drain(path: &Path, unit: &str) -> Result<()> {
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("rookery-"));
    let source = format!("rookery/src/{}_role.rs", name.context("the unit is called rookery-ROLE")?);
    let code =
        fs::read_to_string(paths::root().join(&source)).with_context(|| format!("{source} could not be read"))?;
    let drain_seconds = number_behind(&code, "const DRAIN_DEADLINE: Duration = Duration::from_secs(");
    let drain_seconds = drain_seconds.with_context(|| format!("{source} names no DRAIN_DEADLINE"))?;
    let stop_seconds = number_behind(unit, "TimeoutStopSec=").context("the unit has no TimeoutStopSec")?;
    ensure!(
        (drain_seconds + 1..=drain_seconds + 30).contains(&stop_seconds),
        "{} is given {stop_seconds} s to stop, and drains for {drain_seconds} s",
        path.display()
    );
    Ok(())
}

fn number_behind(text: &str, words: &str) -> Option<u64> {
    let rest = text.split_once(words)?.1;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn bus(root: &Path, identity: &Path) -> Result<()> {
    let config = root.join("etc/nats-server.conf");
    let secrets = root.join("etc/nats");
    fs::create_dir_all(&secrets)?;
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(identity.join(name), secrets.join(name))?;
    }
    let text = fs::read_to_string(&config)?;
    let here = text.replace("\"/etc/nats/", &format!("\"{}/", secrets.display()));
    ensure!(here != text, "NATS reads no certificate");
    let copy = root.join("etc/nats-here.conf");
    fs::write(&copy, here)?;
    shell::run_aside(shell::clean(sbin("nats-server")?).args(["-t", "-c"]).arg(copy))
}

/// ScyllaDB is in no archive that tests install from: nobody reads its configuration, and its unit is played.
fn database(root: &Path) -> Result<()> {
    let folder = root.join("etc/systemd/system/here");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("scylla-server.service"), "[Service]\nExecStart=/bin/true\n")?;
    for name in ["rookery-scylla-repair.service", "rookery-scylla-repair.timer"] {
        let path = folder.join(name);
        fs::copy(folder.with_file_name(name), &path).with_context(|| format!("{name} is not rendered"))?;
        verify(&path)?;
    }
    Ok(())
}

fn geodns(rookery: &Path, root: &Path) -> Result<()> {
    let folder = root.join("etc/gdnsd");
    let mut generate = shell::clean(rookery);
    generate.args(["deployment", "geodns"]).arg(root.join("etc/rookery/deployment.json")).arg("--out").arg(&folder);
    shell::run_aside(&mut generate)?;
    shell::run_aside(shell::clean(sbin("gdnsd")?).args(["-S", "-c"]).arg(folder).arg("checkconf"))
}

fn observability(root: &Path) -> Result<()> {
    let config = root.join("etc/prometheus/prometheus.yml");
    let text = fs::read_to_string(&config)?;
    let here = text.replace("/etc/prometheus/", &format!("{}/", root.join("etc/prometheus").display()));
    ensure!(here != text, "Prometheus reads no rules");
    let copy = root.join("prometheus-here.yml");
    fs::write(&copy, here)?;
    shell::run_aside(shell::clean("promtool").args(["check", "config"]).arg(copy))
}

/// Servers are not on a user's search path.
pub fn sbin(program: &str) -> Result<PathBuf> {
    let known = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program));
    let found = shell::which(program).or_else(|| known.into_iter().find(|path| path.is_file()));
    found.with_context(|| format!("{program} is not installed; run `cargo xtask setup`"))
}

/// Has nft read a firewall, in a network namespace of its own, so that it never touches this machine's.
fn firewall(rules: &Path) -> Result<()> {
    const NAMESPACE: [&str; 2] = ["--net", "--map-root-user"];
    if shell::output(shell::clean("unshare").args(NAMESPACE).arg("true")).is_none() {
        say!("SKIPPED: {} is not read by nft, because network namespaces cannot be made here", rules.display());
        return Ok(());
    }
    shell::run_aside(shell::clean("unshare").args(NAMESPACE).args(["nft", "--check", "--file"]).arg(rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_killed_while_it_drains_is_told() {
        let path = Path::new("rookery-region.service");
        waits_for_the_drain(path, "TimeoutStopSec=35s\n").unwrap();
        let told = waits_for_the_drain(path, "TimeoutStopSec=30s\n").unwrap_err().to_string();
        assert!(told.contains("drains for 30 s"), "{told}");
        assert!(waits_for_the_drain(path, "Restart=always\n").is_err());
    }
}
