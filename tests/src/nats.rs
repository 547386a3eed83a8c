//! A NATS server for one test.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::process::{self, Signal};

/// The server that set-up installed.
const SERVER: &str = "ROOKERY_TEST_NATS";

/// A running server; killed when dropped.
pub struct NatsServer {
    child: Child,
    /// Where it takes clients: `nats://127.0.0.1:PORT`.
    pub url: String,
}

impl NatsServer {
    /// Starts a server; its files are in the folder.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, &["-a", "127.0.0.1", "-p", "-1"]).await
    }

    /// Starts a server that listens where the arguments say.
    pub async fn start_with(folder: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let server = std::env::var_os(SERVER)
            .with_context(|| format!("{SERVER} is not set: run the tests by `cargo xtask test`"))?;
        let log = std::fs::File::options().create(true).append(true).open(folder.join("nats.log"))?;
        let child = Command::new(server)
            .args(args)
            .arg("--ports_file_dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the NATS server could not be started")?;
        let id = child.id().context("the NATS server has ended already")?;
        let ports = folder.join(format!("nats-server_{id}.ports"));
        let mut poll = tokio::time::interval(std::time::Duration::from_millis(5));
        let url = tokio::time::timeout(PATIENCE, async {
            loop {
                poll.tick().await;
                // Until it is whole it is no JSON.
                let read = std::fs::read(&ports).ok().and_then(|text| serde_json::from_slice(&text).ok());
                if let Some(url) = read.and_then(|ports: serde_json::Value| Some(ports["nats"][0].as_str()?.to_owned()))
                {
                    return url;
                }
            }
        });
        let url = url.await.context("the NATS server does not say where it listens")?;
        Ok(Self { child, url })
    }
    /// Ends the server at once, as a crash would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("SIGKILL")
    }

    /// Sends the server a signal.
    pub fn send(&self, signal: Signal) -> anyhow::Result<()> {
        process::send(&self.child, signal)
    }

    /// The server's process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }
}
