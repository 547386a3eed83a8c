//! Rookery as a process of its own, on a fresh data folder.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cpu;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub api: String,
    pub gateway: String,
    operator: String,
    pub started_in: Duration,
    folder: tempfile::TempDir,
}

/// What `rookery admin seed` made.
pub struct Seed {
    pub guild_id: String,
    pub channel_id: String,
    pub bot_token: String,
    pub user_ids: Vec<String>,
    pub user_tokens: Vec<String>,
}

impl Server {
    /// Starts this binary as `rookery dev` without rate limits.
    pub async fn start(sets: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ready_file = folder.path().join("ready.json");
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
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
        ]);
        command.arg("--data-dir").arg(folder.path().join("data")).arg("--ready-file").arg(&ready_file);
        for set in ["limits=off", "log.filter=warn"].iter().chain(sets) {
            command.args(["--set", set]);
        }
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        let mut server = Self {
            child,
            api: String::new(),
            gateway: String::new(),
            operator: String::new(),
            started_in: Duration::ZERO,
            folder,
        };
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        let ready: Value = loop {
            poll.tick().await;
            if let Ok(bytes) = std::fs::read(&ready_file) {
                break serde_json::from_slice(&bytes)?;
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}");
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!("the server did not become ready");
            }
        };
        server.started_in = begun.elapsed();
        server.api = ready["api"].as_str().context("no api")?.to_owned();
        server.gateway = ready["gateway"].as_str().context("no gateway")?.to_owned();
        server.operator = ready["operator"].as_str().context("no operator's port")?.to_owned();
        Ok(server)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of the server so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.pid())
    }

    /// Waits until the server has no more than so many sessions.
    pub async fn wait_for_sessions(&self, wanted: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut poll = tokio::time::interval(Duration::from_millis(50));
        loop {
            poll.tick().await;
            let metrics = reqwest::get(format!("{}/metrics", self.operator)).await?.text().await?;
            let gauge = metrics.lines().find_map(|line| line.strip_prefix("rookery_sessions "));
            let sessions: f64 = gauge.context("no gauge of sessions")?.trim().parse()?;
            if sessions <= wanted as f64 {
                return Ok(());
            }
            if begun.elapsed() > SESSIONS_TIMEOUT {
                bail!("{sessions} sessions are still there");
            }
        }
    }

    /// Makes a guild with this many people.
    pub async fn seed(&self, users: usize) -> anyhow::Result<Seed> {
        self.seed_with(users, 0).await
    }

    /// As [`Self::seed`], with more members who have no tokens.
    pub async fn seed_with(&self, users: usize, members: usize) -> anyhow::Result<Seed> {
        let secret = std::fs::read_to_string(self.folder.path().join("data/admin.token"))?;
        let response = reqwest::Client::new()
            .post(format!("{}/v10/operator/seed", self.api))
            .header("Authorization", format!("Operator {}", secret.trim()))
            .json(&serde_json::json!({ "users": users, "members": members }))
            .send()
            .await?
            .error_for_status()?;
        let seed: Value = response.json().await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("the seed is not as documented");
        let users = seed["users"].as_array().context("no users")?;
        let of_users = |field: &str| users.iter().map(|user| text(&user[field])).collect::<anyhow::Result<Vec<_>>>();
        Ok(Seed {
            guild_id: text(&seed["guild_id"])?,
            channel_id: text(&seed["channel_id"])?,
            bot_token: text(&seed["bot"]["token"])?,
            user_ids: of_users("id")?,
            user_tokens: of_users("token")?,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
