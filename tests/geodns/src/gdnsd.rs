//! A gdnsd of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rookery_deployment::{Deployment, gdnsd};
use tempfile::TempDir;

/// Where Debian puts it, which is no folder of a user's search path.
const PROGRAMS: [&str; 3] = ["/usr/sbin/gdnsd", "/usr/local/sbin/gdnsd", "/sbin/gdnsd"];
/// Ports tried, because another process may take one before gdnsd has it.
const STARTS_TRIED: usize = 5;
const TIME_TO_START: Duration = Duration::from_secs(30);
/// Two checks of two seconds, and ample time on a busy machine.
const TIME_TO_CHANGE: Duration = Duration::from_secs(60);

/// A running name server; it ends when dropped.
pub struct Gdnsd {
    child: Child,
    port: u16,
    domain: String,
    folder: TempDir,
}

impl Gdnsd {
    /// Writes a deployment's configuration, has it checked, and serves it on a loopback address.
    pub fn start(deployment: &Deployment) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write_files(deployment, folder.path())?;
        for _ in 0..STARTS_TRIED {
            let port = free_port()?;
            let local = format!(
                "listen => 127.0.0.1:{port}\nrun_dir => \"{run}\"\nstate_dir => \"{state}\"\n",
                run = folder.path().join("run").display(),
                state = folder.path().join("state").display(),
            );
            fs::write(folder.path().join("options.d/local"), local)?;
            check_folder(folder.path())?;
            let mut child = gdnsd()?.arg("-c").arg(folder.path()).arg("start").stdin(Stdio::null()).spawn()?;
            if answers(&mut child, port, deployment.domain())? {
                return Ok(Self { child, port, domain: deployment.domain().to_owned(), folder });
            }
        }
        bail!("gdnsd did not start")
    }

    /// Writes the networks anew; gdnsd sees that by itself.
    pub fn write_nets(&self, deployment: &Deployment) -> Result<()> {
        write_files(deployment, self.folder.path())
    }

    /// The addresses that a client of this network is given for a name under the domain, `@` for itself.
    pub fn ask(&self, name: &str, subnet: &str) -> Result<BTreeSet<Ipv4Addr>> {
        let name = if name == "@" { self.domain.clone() } else { format!("{name}.{}", self.domain) };
        let subnet = format!("+subnet={subnet}");
        let text = dig(self.port, &["+short", &subnet, &name, "A"])?.context("gdnsd does not answer")?;
        text.lines().map(|line| line.parse().with_context(|| format!("{line:?} is no address"))).collect()
    }

    /// Everything that dig says of an answer.
    pub fn ask_in_full(&self, subnet: &str) -> Result<String> {
        dig(self.port, &[&format!("+subnet={subnet}"), &self.domain, "A"])?.context("gdnsd does not answer")
    }
}

impl Drop for Gdnsd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks until the answer is `expected`; fails with the last one.
pub fn until<T: PartialEq + std::fmt::Debug>(expected: &T, mut ask: impl FnMut() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let found = ask()?;
        if found == *expected {
            return Ok(start.elapsed());
        }
        if start.elapsed() > TIME_TO_CHANGE {
            bail!("still {found:?} and not {expected:?} after {TIME_TO_CHANGE:?}");
        }
    }
}

/// As `rookery deployment geodns` does.
fn write_files(deployment: &Deployment, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("options.d"))?;
    for file in gdnsd::generate(deployment)? {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().context("it has a folder")?)?;
        let beside = path.with_file_name(".new");
        fs::write(&beside, file.text)?;
        fs::rename(&beside, &path)?;
    }
    Ok(())
}

fn gdnsd() -> Result<Command> {
    let program = PROGRAMS.iter().map(PathBuf::from).find(|path| path.is_file());
    Ok(Command::new(program.context("gdnsd is not installed: `cargo xtask setup` installs it")?))
}

/// Has gdnsd read a deployment's whole configuration; warnings count.
pub fn check(deployment: &Deployment) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_files(deployment, folder.path())?;
    fs::write(folder.path().join("options.d/local"), "listen => 127.0.0.1\n")?;
    check_folder(folder.path())
}

fn check_folder(folder: &Path) -> Result<()> {
    let output = gdnsd()?.arg("-S").arg("-c").arg(folder).arg("checkconf").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let warns = said.lines().any(|line| line.contains("warning:"));
    if !output.status.success() || warns {
        bail!("gdnsd does not take its configuration:\n{said}");
    }
    Ok(())
}

/// A port that is free for UDP and TCP.
fn free_port() -> Result<u16> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = tcp.local_addr()?.port();
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port).or_else(|_| free_port())
}

/// Waits until it answers; whether it does, and has not ended instead.
fn answers(child: &mut Child, port: u16, domain: &str) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < TIME_TO_START {
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if dig(port, &["+short", domain, "SOA"])?.is_some_and(|text| !text.trim().is_empty()) {
            return Ok(true);
        }
    }
    child.kill()?;
    child.wait()?;
    bail!("gdnsd does not answer within {TIME_TO_START:?}")
}

/// Asks once; none if there is no answer.
fn dig(port: u16, args: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("dig");
    command.args(["@127.0.0.1", "-p", &port.to_string(), "+tries=1", "+time=1", "+nocookie"]).args(args);
    let output = command.output().context("dig is not installed: `cargo xtask setup` installs it")?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}
