//! `rookery dev` as a process of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{Process, Seed, process};

/// A running `rookery dev`; killed when dropped.
pub struct Rookery {
    process: Process,
    data_dir: PathBuf,
}

impl Rookery {
    /// Starts `rookery dev` on a data folder, all ports free ones, and waits for its ready file.
    pub async fn start(data_dir: &Path, extra: &[&str]) -> anyhow::Result<Self> {
        Ok(Self {
            process: Process::start(data_dir, Self::args(data_dir, extra)).await?,
            data_dir: data_dir.to_owned(),
        })
    }

    /// The arguments with which [`Rookery::start`] starts it.
    pub fn args(data_dir: &Path, extra: &[&str]) -> Vec<OsString> {
        let ports = [
            "dev",
            "--http",
            "127.0.0.1:0",
            "--gateway",
            "127.0.0.1:0",
            "--operator",
            "127.0.0.1:0",
            "--webtransport",
            "127.0.0.1:0",
            "--voice",
            "127.0.0.1:0",
        ];
        let mut args: Vec<OsString> = ports.iter().map(OsString::from).collect();
        args.extend(["--data-dir".into(), data_dir.into()]);
        // What else the machine does must not decide what a test sees; a test of degradation names its level.
        args.extend(["--set".into(), "degradation.enabled=false".into()]);
        args.extend(crate::store::args(data_dir).into_iter().map(OsString::from));
        args.extend(extra.iter().map(OsString::from));
        args
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What the ready file says.
    pub fn ready(&self) -> &Value {
        &self.process.ready
    }

    /// A string of the ready file.
    pub fn address(&self, name: &str) -> anyhow::Result<&str> {
        self.process.address(name)
    }

    /// The base of the REST API, without a version.
    pub fn api(&self) -> anyhow::Result<&str> {
        self.address("api")
    }

    /// Where the gateway answers.
    pub fn gateway(&self) -> anyhow::Result<&str> {
        self.address("gateway")
    }

    /// The folder with everything that lasts.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Runs `rookery admin seed` and reads what it made.
    pub async fn seed(&self, users: usize) -> anyhow::Result<Seed> {
        let out = self.admin(&["seed", "--users", &users.to_string()]).await?;
        Seed::from_json(&out)
    }

    /// Runs an operator's command with the secret of the data folder.
    pub async fn admin(&self, command: &[&str]) -> anyhow::Result<Value> {
        let mut args: Vec<OsString> = ["admin", "--api", self.api()?, "--json", "--token-file"].map(Into::into).into();
        args.push(self.data_dir.join("admin.token").into());
        args.extend(command.iter().map(Into::into));
        let home = self.data_dir.parent().context("the data folder lies in a folder")?;
        let ended = process::run(home, args).await?;
        if ended.code != Some(0) {
            bail!("rookery admin {command:?}: {:?} {}", ended.code, ended.stderr);
        }
        serde_json::from_str(&ended.stdout).context("rookery admin printed no JSON")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends the process at once, as a crash or the kernel would.
    pub async fn kill(self) -> anyhow::Result<()> {
        self.process.kill().await
    }

    /// Asks the process to drain and waits for it; its exit code.
    pub async fn terminate(self) -> anyhow::Result<Option<i32>> {
        self.process.terminate().await
    }
}
