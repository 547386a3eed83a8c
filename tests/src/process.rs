//! Rookery as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{PATIENCE, Seed};

/// A running `rookery dev`; killed when dropped.
pub struct Rookery {
    child: Child,
    /// What the ready file says.
    pub ready: Value,
    data_dir: PathBuf,
}

/// The binary under test, as `cargo xtask test` built it.
pub fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("ROOKERY_BIN").context("ROOKERY_BIN is not set: run the tests by `cargo xtask test`")?;
    Ok(path.into())
}

impl Rookery {
    /// Starts `rookery dev` on a data folder, all ports free ones, and waits for its ready file.
    pub async fn start(data_dir: &Path, extra: &[&str]) -> anyhow::Result<Self> {
        let ready_file = data_dir.with_extension("ready.json");
        match std::fs::remove_file(&ready_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let log = std::fs::File::options().create(true).append(true).open(data_dir.with_extension("log"))?;
        let mut child = Command::new(binary()?)
            .args(["dev", "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--operator", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data_dir)
            .arg("--ready-file")
            .arg(&ready_file)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the binary could not be started")?;
        let ready = tokio::time::timeout(PATIENCE, wait_for_file(&ready_file, &mut child)).await;
        let ready = ready.context("no ready file in time").and_then(|ready| ready).with_context(|| {
            let log = std::fs::read_to_string(data_dir.with_extension("log")).unwrap_or_default();
            format!("the log of the process:\n{log}")
        })?;
        Ok(Self { child, ready, data_dir: data_dir.to_owned() })
    }

    /// A string of the ready file.
    pub fn address(&self, name: &str) -> anyhow::Result<&str> {
        self.ready[name].as_str().with_context(|| format!("the ready file has no {name}: {}", self.ready))
    }

    /// The base of the REST API, without a version.
    pub fn api(&self) -> anyhow::Result<&str> {
        self.address("api")
    }

    /// Runs `rookery admin seed` and reads what it made.
    pub async fn seed(&self, users: usize) -> anyhow::Result<Seed> {
        let out = self.admin(&["seed", "--users", &users.to_string()]).await?;
        Seed::from_json(&out)
    }

    /// Runs an operator's command with the secret of the data folder.
    pub async fn admin(&self, command: &[&str]) -> anyhow::Result<Value> {
        let out = Command::new(binary()?)
            .args(["admin", "--api", self.api()?, "--json", "--token-file"])
            .arg(self.data_dir.join("admin.token"))
            .args(command)
            .stdin(Stdio::null())
            .output()
            .await?;
        if !out.status.success() {
            bail!("rookery admin {command:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        serde_json::from_slice(&out.stdout).context("rookery admin printed no JSON")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir.with_extension("log")).unwrap_or_default()
    }

    /// Ends the process at once, as a crash or the kernel would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("SIGKILL")
    }

    /// Asks the process to drain and waits for it; its exit code.
    pub async fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        let pid = self.child.id().context("the process has ended already")?;
        // SAFETY: `kill` takes two integers; the child was not waited for, so the id is its own.
        #[allow(unsafe_code, reason = "std has no call that sends SIGTERM")]
        let sent = unsafe { libc::kill(pid.cast_signed(), libc::SIGTERM) };
        if sent != 0 {
            bail!("SIGTERM: {}", std::io::Error::last_os_error());
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("no end after SIGTERM")??;
        Ok(status.code())
    }
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
