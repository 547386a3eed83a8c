//! Processes of the binary under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{PATIENCE, START_PATIENCE};

/// The binary under test, as `cargo xtask test` built it.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    let path =
        std::env::var_os("ROOKERY_BIN").context("ROOKERY_BIN is not set: run the tests by `cargo xtask test`")?;
    Ok(path.into())
}

/// A program that `cargo xtask test` built beside the binary under test.
pub fn program(name: &str) -> anyhow::Result<Command> {
    let path = binary()?.with_file_name(name);
    ensure!(path.is_file(), "{} is not built: run the tests by `cargo xtask test`", path.display());
    Ok(Command::new(path))
}

/// An address where nobody listened a moment ago, neither over TCP nor over UDP.
pub fn free_address() -> anyhow::Result<String> {
    // Those that the system chose and UDP has not are held, so that each is another one.
    let mut passed = Vec::new();
    while passed.len() < ADDRESSES_TRIED {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        if std::net::UdpSocket::bind(address).is_ok() {
            return Ok(address.to_string());
        }
        passed.push(listener);
    }
    bail!("of {ADDRESSES_TRIED} addresses all were in use over UDP")
}

/// How many of those that are free over TCP are looked at.
const ADDRESSES_TRIED: usize = 1_000;

/// A running role; killed when dropped.
pub struct Process {
    child: Child,
    /// What the ready file says.
    pub ready: Value,
    log: PathBuf,
}

impl Process {
    /// Starts the binary with these arguments and waits for its ready file, `BASE.ready.json`; its log is `BASE.log`.
    pub async fn start(base: &Path, args: impl IntoIterator<Item: AsRef<OsStr>>) -> anyhow::Result<Self> {
        Self::start_with(base, args, &[]).await
    }

    /// Likewise, with these variables in its environment.
    pub async fn start_with(
        base: &Path,
        args: impl IntoIterator<Item: AsRef<OsStr>>,
        variables: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut process = Self::spawn(base, args, variables)?;
        process.ready().await?;
        Ok(process)
    }

    /// Waits for the ready file.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let ready_file = self.log.with_extension("ready.json");
        let ready = tokio::time::timeout(START_PATIENCE, wait_for_file(&ready_file, &mut self.child)).await;
        let ready = ready.context("no ready file in time").and_then(|ready| ready);
        self.ready = ready.with_context(|| format!("the log of the process:\n{}", self.log()))?;
        Ok(())
    }

    /// Likewise, but waits only until the log has this text; nothing is ready then.
    pub async fn start_until(
        base: &Path,
        args: impl IntoIterator<Item: AsRef<OsStr>>,
        text: &str,
    ) -> anyhow::Result<Self> {
        let process = Self::spawn(base, args, &[])?;
        let mut poll = tokio::time::interval(std::time::Duration::from_millis(1));
        let found = async {
            while !process.log().contains(text) {
                poll.tick().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.with_context(|| format!("the log does not come to {text:?}:\n{}", process.log()))?;
        Ok(process)
    }

    fn spawn(
        base: &Path,
        args: impl IntoIterator<Item: AsRef<OsStr>>,
        variables: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let ready_file = base.with_extension("ready.json");
        match std::fs::remove_file(&ready_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let log_file = base.with_extension("log");
        let log = std::fs::File::options().create(true).append(true).open(&log_file)?;
        let child = command(base.parent())?
            .args(args)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .arg("--ready-file")
            .arg(&ready_file)
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the binary could not be started")?;
        Ok(Self { child, ready: Value::Null, log: log_file })
    }

    /// A string of the ready file.
    pub fn address(&self, name: &str) -> anyhow::Result<&str> {
        self.ready[name].as_str().with_context(|| format!("the ready file has no {name}: {}", self.ready))
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process's id, as long as it was not waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the process at once, as a crash or the kernel would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("SIGKILL")
    }

    /// Asks the process to drain.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        send(&self.child, Signal::End)
    }

    /// Sends the process a signal.
    pub fn send(&self, signal: Signal) -> anyhow::Result<()> {
        send(&self.child, signal)
    }

    /// Waits for the end; the exit code.
    pub async fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(status.with_context(|| format!("the process does not end; its log:\n{}", self.log()))??.code())
    }

    /// Asks the process to drain and waits for it; its exit code.
    pub async fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        self.ask_to_end()?;
        self.ended().await
    }
}

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: to end in good order.
    End,
    /// SIGSTOP: to do nothing until told to go on.
    Halt,
    /// SIGCONT.
    GoOn,
}

/// Sends a signal to a process that was not waited for.
pub(crate) fn send(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = child.id().context("the process has ended already")?;
    let number = match signal {
        Signal::End => libc::SIGTERM,
        Signal::Halt => libc::SIGSTOP,
        Signal::GoOn => libc::SIGCONT,
    };
    // SAFETY: `kill` takes two integers; the child was not waited for, so the id is its own.
    #[allow(unsafe_code, reason = "std has no call that sends a signal of choice")]
    let sent = unsafe { libc::kill(pid.cast_signed(), number) };
    if sent != 0 {
        bail!("{signal:?}: {}", std::io::Error::last_os_error());
    }
    Ok(())
}

/// What a command that ran to its end left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// All that it printed.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs the binary with these arguments to its end; what it keeps for its user lies in `home`.
pub async fn run(home: &Path, args: impl IntoIterator<Item: AsRef<OsStr>>) -> anyhow::Result<Ended> {
    run_for(PATIENCE, home, args).await
}

/// Likewise, for a command that may take so long.
pub async fn run_for(
    patience: std::time::Duration,
    home: &Path,
    args: impl IntoIterator<Item: AsRef<OsStr>>,
) -> anyhow::Result<Ended> {
    let out = command(Some(home))?.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).output();
    let out = tokio::time::timeout(patience, out).await.context("the command does not end")??;
    Ok(Ended {
        code: out.status.code(),
        stdout: String::from_utf8(out.stdout)?,
        stderr: String::from_utf8(out.stderr)?,
    })
}

/// The binary, without anything of the environment that would change what it does.
fn command(home: Option<&Path>) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(name);
        }
    }
    if let Some(home) = home {
        command.env("XDG_STATE_HOME", std::path::absolute(home)?.join("state"));
    }
    Ok(command)
}

async fn wait_for_file(path: &Path, child: &mut Child) -> anyhow::Result<Value> {
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    loop {
        poll.tick().await;
        match std::fs::read(path) {
            // Written by rename: what is there is whole.
            Ok(bytes) => return serde_json::from_slice(&bytes).context("the ready file is not JSON"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = child.try_wait()? {
            bail!("the process ended with {status} before it was ready");
        }
    }
}
