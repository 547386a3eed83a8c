//! What the tests of the link share: a deployment with its CA, servers, clients, and a raw peer.
#![allow(dead_code, reason = "each test file uses a part")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_link::{
    CallHeader, Client, ClientOptions, DeploymentCa, DrainOutcome, LinkTls, Role, Server, ServerOptions,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const REGION: &str = "region.rookery.internal";

pub struct Deployment {
    _dir: TempDir,
    pub ca: DeploymentCa,
}

impl Deployment {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = DeploymentCa::create_or_load(dir.path()).unwrap();
        Self { _dir: dir, ca }
    }

    /// An end of `role` that trusts this deployment's CA.
    pub fn tls(&self, role: Role) -> LinkTls {
        let identity = self.ca.issue(role, &["localhost".to_owned()]).unwrap();
        LinkTls::new(&[self.ca.certificate().clone()], identity).unwrap()
    }

    pub fn client(&self, address: SocketAddr, options: ClientOptions) -> Client {
        Client::connect(address, REGION, &self.tls(Role::Pop), options).unwrap()
    }

    pub fn server<H, F>(&self, options: ServerOptions, handler: H) -> Running
    where
        H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Bytes> + Send + 'static,
    {
        Running::start(loopback(), &self.tls(Role::Region), options, handler)
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<DrainOutcome>,
}

impl Running {
    pub fn start<H, F>(address: SocketAddr, tls: &LinkTls, options: ServerOptions, handler: H) -> Self
    where
        H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Bytes> + Send + 'static,
    {
        let server = Server::bind(address, tls, options).unwrap();
        let address = server.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(handler, stop.clone()));
        Self { address, stop, task }
    }
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn header(n: u32, deadline_ms: u32) -> CallHeader {
    CallHeader::new(u128::from(n).to_be_bytes(), deadline_ms)
}

/// Fails the test instead of hanging.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

pub async fn until_healthy(client: &Client, wanted: bool) {
    within(client.healthy().wait_for(|healthy| *healthy == wanted)).await.unwrap();
}

/// A connection that speaks no protocol of its own accord.
pub async fn raw_connection(address: SocketAddr, tls: &LinkTls) -> quinn::Connection {
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(tls.client_config().unwrap()));
    within(endpoint.connect_with(config, address, REGION).unwrap()).await.unwrap()
}
