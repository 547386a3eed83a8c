//! What an idle WebTransport session costs in memory.
//!
//! The clients are a process of their own: this test binary, started again with one of its tests.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use common::wt_client::{WtClient, endpoint_that_trusts};
use common::{ALL_INTENTS, World};

/// Above the kernel's socket, which all sessions share.
const SESSION_MAX_BYTES: u64 = 40 * 1024;
const SESSIONS: u64 = 500;
/// Opened before anything is measured, so that pools and caches are there.
const WARM_UP: u64 = 100;
const TASK: &str = "ROOKERY_TEST_CLIENTS";

/// The process of the clients; does nothing when it is run as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [address, hash, token, count] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let endpoint = endpoint_that_trusts(&[hash.to_owned()]);
    let mut clients = Vec::new();
    for _ in 0..count.parse::<usize>().unwrap() {
        let address = address.parse().unwrap();
        let mut client = WtClient::open(endpoint.clone(), address, "/gateway?v=10&encoding=json").await;
        client.expect_op(10).await;
        client.identify(token, ALL_INTENTS).await;
        // As every client says within a heartbeat's time what it got: READY is kept until then.
        client.beat().await;
        clients.push(client);
    }
    println!("\nopen");
    // Until the parent lets go.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

struct Clients(Child);

impl Clients {
    fn start(world: &World, token: &str, count: u64) -> Self {
        let hash = &world.region().webtransport().unwrap().certificates.hashes()[0];
        let task = format!("{} {hash} {token} {count}", world.running.webtransport_addr.unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "client_process", "--nocapture"])
            .env(TASK, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_open = lines.map_while(Result::ok).any(|line| line == "open");
        let clients = Self(child);
        assert!(is_open, "the clients did not open their sessions");
        clients
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_is_small() {
    if std::env::var_os(TASK).is_some() {
        return;
    }
    let world = World::with_webtransport(|config| config.lift_rate_limits()).await;
    let ann = world.person("ann").await;
    let start = async |count| tokio::task::block_in_place(|| Clients::start(&world, &ann.token, count));
    let _warm_up = start(WARM_UP).await;
    let before = resident_bytes();
    let _clients = start(SESSIONS).await;
    assert_eq!(world.region().figures().sessions as u64, WARM_UP + SESSIONS);
    let each = resident_bytes().saturating_sub(before) / SESSIONS;
    println!("an idle WebTransport session: {} B of {SESSION_MAX_BYTES}", each);
    assert!(each <= SESSION_MAX_BYTES, "{each} B a session");
}
