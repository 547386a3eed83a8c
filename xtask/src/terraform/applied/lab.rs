//! Machines that are namespaces: a network between them, and in each its own files, processes and systemd.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{self, say};

const SITE: &str = include_str!("site.sh");
const MACHINE: &str = include_str!("machine.sh");
/// What commands in a machine find programs by.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long one command may take, in seconds.
const COMMAND_SECONDS_MAX: &str = "240";

/// A network with machines in it; all ends when this is dropped, or when this program does.
pub struct Lab {
    scratch: PathBuf,
    site: Booted,
    control_groups: String,
    machines: Vec<Machine>,
}

/// One machine.
pub struct Machine {
    pub name: String,
    scratch: PathBuf,
    booted: Booted,
}

/// A process that said under which number its namespaces are found.
struct Booted {
    child: Child,
    stdin: Option<ChildStdin>,
    init: u32,
    rest: String,
}

/// Where a machine stands in the network.
pub struct Addresses<'a> {
    /// With the length of the network's prefix.
    pub private: String,
    pub public: Option<&'a str>,
}

/// Why there can be no lab here; `None` if there can.
pub fn obstacle() -> Option<&'static str> {
    let works = |command: &[&str]| shell::output(shell::clean(command[0]).args(&command[1..])).is_some();
    // A user namespace alone would not do: units run as users of their own.
    if shell::output(shell::clean("id").arg("-u")).as_deref() != Some("0") {
        return Some("only root can be other machines' root");
    }
    const NAMESPACES: [&str; 8] = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"];
    let inside = |script| works(&[&NAMESPACES[..], &["sh", "-euc", script]].concat());
    if !inside("mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; ip link add lan type bridge") {
        return Some("namespaces cannot be made here");
    }
    let groups =
        "mount --make-rprivate /; mount -t cgroup2 cgroup2 /mnt; mkdir /mnt/rookery-trial; rmdir /mnt/rookery-trial";
    if !inside(groups) {
        return Some("control groups of version 2 cannot be made here");
    }
    let layers = "mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work root; \
        mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root";
    (!inside(layers)).then_some("nothing can be laid over this machine's files")
}

impl Lab {
    /// Makes the network. `client` is this program's own address in it, with the length of its prefix.
    pub fn start(scratch: &Path, client: &str) -> Result<Self> {
        fs::create_dir_all(scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        for (name, text) in [("site.sh", SITE), ("machine.sh", MACHINE)] {
            fs::write(scratch.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        let mut command = shell::clean("unshare");
        command.args(["--mount", "sh"]).arg(scratch.join("site.sh")).arg(scratch).arg(client);
        let site = Booted::start(&mut command).context("the network")?;
        let control_groups = site.rest.clone();
        Ok(Self { scratch: scratch.to_owned(), site, control_groups, machines: Vec::new() })
    }

    /// Boots a machine, and goes on before it is up. `paths` are folders that it shares with this one.
    pub fn boot(&mut self, name: &str, addresses: &Addresses<'_>, gateway: &str, paths: &[PathBuf]) -> Result<()> {
        let scratch = self.scratch.join(name);
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let mut command = shell::clean("nsenter");
        command.args(["--target", &self.site.init.to_string(), "--mount", "--net", "--pid", "sh"]);
        command.arg(self.scratch.join("machine.sh")).args([name, &self.control_groups]).arg(&scratch).args(paths);
        let mut booted = Booted::start(&mut command).with_context(|| format!("the machine {name}"))?;
        self.wire(booted.init, addresses, gateway).with_context(|| format!("the network of {name}"))?;
        let mut stdin = booted.stdin.take().context("it was asked for")?;
        stdin.write_all(b"wired\n").with_context(|| format!("{name} ended before it booted"))?;
        self.machines.push(Machine { name: name.to_owned(), scratch, booted });
        Ok(())
    }

    fn wire(&self, init: u32, addresses: &Addresses<'_>, gateway: &str) -> Result<()> {
        let port = format!("port{}", self.machines.len());
        let init = init.to_string();
        // In this program's process namespace, in which `init` is a number.
        let mut pair = shell::clean("nsenter");
        pair.args([
            "--target",
            &self.site.init.to_string(),
            "--net",
            "ip",
            "link",
            "add",
            &port,
            "master",
            "lan",
            "up",
        ]);
        succeed(pair.args(["type", "veth", "peer", "name", "eth0", "netns", &init]))?;
        let inside =
            |args: &[&str]| succeed(shell::clean("nsenter").args(["--target", &init, "--net", "ip"]).args(args));
        inside(&["link", "set", "eth0", "up"])?;
        inside(&["address", "add", &addresses.private, "dev", "eth0"])?;
        if let Some(public) = addresses.public {
            inside(&["address", "add", &format!("{public}/24"), "dev", "eth0"])?;
            inside(&["route", "add", "default", "via", gateway])?;
        }
        Ok(())
    }

    /// One of the machines.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.machines.iter().find(|machine| machine.name == name).with_context(|| format!("there is no machine {name}"))
    }

    /// A program that sees the network as a client does, with this machine's files.
    pub fn client(&self, program: &str) -> Command {
        let mut command = shell::clean("nsenter");
        command.args(["--target", &self.site.init.to_string(), "--net", program]);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // With its standard input the network's first process ends, and every process with it.
        drop(self.site.stdin.take());
        if let Err(error) = self.site.child.wait() {
            say!("the machines' end could not be waited for: {error}");
        }
        for machine in &mut self.machines {
            let _ = machine.booted.child.wait();
        }
    }
}

impl Machine {
    /// A program in the machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = shell::clean("nsenter");
        command.args(["--target", &self.booted.init.to_string(), "--all"]);
        command.args(["env", "-i", PATH, "LANG=C.UTF-8", "timeout", COMMAND_SECONDS_MAX, program]);
        command.stdin(Stdio::null());
        command
    }

    /// Waits until systemd has started what it starts.
    pub fn wait_until_up(&self) -> Result<()> {
        let script = "until [ -S /run/systemd/private ]; do sleep 0.05; done; systemctl is-system-running --wait";
        let output = self.command("sh").args(["-c", script]).output()?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            "running" => Ok(()),
            "degraded" => {
                let failed = self.run("systemctl", &["list-units", "--failed", "--plain", "--no-legend"])?;
                say!("{}: units of this machine's own system fail in a namespace: {failed}", self.name);
                Ok(())
            }
            other => {
                let console = fs::read_to_string(self.scratch.join("console.log")).unwrap_or_default();
                bail!("{} does not come up ({other:?}):\n{console}", self.name)
            }
        }
    }

    /// Runs a command, which must succeed; what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        succeed(self.command(program).args(args)).with_context(|| format!("on {}", self.name))
    }

    /// Likewise for what services hang on: if it fails, the end of the machine's journal is told.
    pub fn run_or_explain(&self, program: &str, args: &[&str]) -> Result<String> {
        self.run(program, args).with_context(|| {
            let journal = self.run("journalctl", &["--no-pager", "--output=short-monotonic", "--lines=40"]);
            format!("the journal of {}:\n{}", self.name, journal.unwrap_or_else(|error| format!("{error:#}")))
        })
    }

    /// Writes a file as somebody who signs in would.
    pub fn write(&self, path: &str, mode: &str, group: &str, content: &[u8]) -> Result<()> {
        let mut command = self.command("install");
        command.args(["-D", "-o", "root", "-g", group, "-m", mode, "/dev/stdin", path]).stdin(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("it was asked for")?.write_all(content)?;
        let output = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {path} could not be written: {told}", self.name);
        Ok(())
    }

    /// Runs a script until it succeeds; else tells what `unit` wrote.
    pub fn wait_for(&self, what: &str, script: &str, unit: &str) -> Result<String> {
        self.wait_at(self, what, script, unit)
    }

    /// Likewise, with the script on another machine.
    pub fn wait_at(&self, from: &Machine, what: &str, script: &str, unit: &str) -> Result<String> {
        let script = format!("until {script}; do sleep 0.1; done");
        from.run("sh", &["-c", &script]).with_context(|| {
            let log = self.run("journalctl", &["--no-pager", "--output=cat", "--lines=30", "--unit", unit]);
            format!("{}: {what}; {unit} says:\n{}", self.name, log.unwrap_or_else(|error| format!("{error:#}")))
        })
    }
}

impl Booted {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().context("it was asked for")?);
        stdout.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        if words.next() != Some("ready") {
            drop(stdin);
            let mut told = String::new();
            child.stderr.take().context("it was asked for")?.read_to_string(&mut told)?;
            child.wait()?;
            bail!("it did not come up: {}", told.trim());
        }
        let init = words.next().context("no number")?.parse().context("no number")?;
        Ok(Self { child, stdin, init, rest: words.collect::<Vec<_>>().join(" ") })
    }
}

/// Runs a command that must succeed; what it printed.
pub fn succeed(command: &mut Command) -> Result<String> {
    let shown = command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = command.output().with_context(|| format!("`{shown}` could not be started"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{shown}` failed: {}\n{text}{told}", output.status);
    Ok(text)
}
