//! A real NATS server on loopback, its ports picked by the system.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::stage::LIMIT;

const SERVER: &str = "ROOKERY_TEST_NATS";
const SKIP: &str = "ROOKERY_SKIP_NATS";

/// A server that ends with this value.
pub struct Server {
    folder: TempDir,
    config: String,
    child: Child,
    port: u16,
}

fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(SERVER) {
        return Some(path.into());
    }
    assert!(
        std::env::var_os(SKIP).is_some(),
        "{SERVER} is not set: use `cargo xtask test` or `eval \"$(cargo xtask env)\"`, or set {SKIP}=1"
    );
    eprintln!("SKIPPED, because {SKIP} is set");
    None
}

impl Server {
    /// Starts one with some lines of configuration; `None` where tests with NATS are left out.
    pub async fn start(config: &str) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(&program, &folder, config, 0);
        let mut server = Self { folder, config: config.to_owned(), child, port: 0 };
        server.wait_until_ready().await;
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where other servers' gateways connect to.
    pub async fn gateway_url(&self) -> String {
        let port = self.wait_for_port("Listening for gateways connections on ").await;
        format!("nats://127.0.0.1:{port}")
    }

    async fn wait_until_ready(&mut self) {
        self.port = self.wait_for_port("Listening for client connections on ").await;
        self.wait_for("Server is ready").await;
    }

    /// The port at the end of a line of the log.
    async fn wait_for_port(&self, before: &str) -> u16 {
        let line = self.wait_for(before).await;
        line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port: {line}"))
    }

    /// Waits for a line of the log.
    pub async fn wait_for(&self, text: &str) -> String {
        let found = async {
            loop {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                // The last may still be written.
                let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
                if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, found).await.unwrap_or_else(|_| {
            panic!("{text:?} is not in the log:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default())
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it once more, on its port.
    pub async fn start_again(&mut self) {
        std::fs::remove_file(self.log()).unwrap();
        self.child = spawn(&program().expect("it was there before"), &self.folder, &self.config, self.port);
        self.wait_until_ready().await;
    }

    /// Halts it, or lets it go on: its sockets stay, and nobody reads them.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

fn spawn(program: &PathBuf, folder: &TempDir, config: &str, port: u16) -> Child {
    let file = folder.path().join("nats.conf");
    let (log, port) = (folder.path().join("log"), if port == 0 { -1 } else { i32::from(port) });
    let text = format!("listen: \"127.0.0.1:{port}\"\nlog_file: {log:?}\n{config}\n");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
