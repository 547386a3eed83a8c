//! A point of presence with the misbehaving guest inside and a region that answers as the test wants.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rookery_link::CallHeader;
use rookery_pop::{Pop, PopConfig, PopDeps, RegionCallError, RegionClient, RunningPop};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

/// The guest, compiled for this machine.
pub fn guest() -> Vec<u8> {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST
        .get_or_init(|| {
            let path = guest_path();
            let wasm = std::fs::read(&path).unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo xtask component --test-guest` builds it", path.display())
            });
            rookery_edge_engine::precompile(&wasm, None).unwrap()
        })
        .clone()
}

fn guest_path() -> PathBuf {
    if let Some(path) = std::env::var_os("ROOKERY_TEST_GUEST") {
        return path.into();
    }
    // <target>/tmp is what cargo gives to integration tests.
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("component").join("pop-test-guest.wasm")
}

/// A region of the test's making.
#[derive(Default)]
pub struct FakeRegion {
    calls: Mutex<Vec<(CallHeader, Vec<u8>)>>,
    arrived: Notify,
    /// If set, every call waits for a permit.
    gate: Option<Semaphore>,
    failure: Option<RegionCallError>,
    reply: Option<Vec<u8>>,
    abandoned: AtomicUsize,
    abandonment: Notify,
}

impl FakeRegion {
    /// Answers at once with `re:` and the payload.
    pub fn echoing() -> Self {
        Self::default()
    }

    /// Answers only when [`FakeRegion::open`] lets it.
    pub fn gated() -> Self {
        Self { gate: Some(Semaphore::new(0)), ..Self::default() }
    }

    /// Fails every call.
    pub fn failing(failure: RegionCallError) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }

    /// Answers every call with these bytes.
    pub fn replying(reply: Vec<u8>) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }

    /// Lets so many calls through.
    pub fn open(&self, calls: usize) {
        self.gate.as_ref().unwrap().add_permits(calls);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<(CallHeader, Vec<u8>)> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until so many calls have arrived.
    pub async fn wait_for_calls(&self, count: usize) {
        wait_until(&self.arrived, || self.calls.lock().unwrap().len() >= count).await;
    }

    /// Waits until so many calls were given up by the host.
    pub async fn wait_for_abandoned(&self, count: usize) {
        wait_until(&self.abandonment, || self.abandoned.load(Ordering::SeqCst) >= count).await;
    }
}

async fn wait_until(changed: &Notify, done: impl Fn() -> bool) {
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        if done() {
            return;
        }
        change.await;
    }
}

/// Counts a call as abandoned unless it was answered.
struct Pending<'a> {
    region: &'a FakeRegion,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.region.abandoned.fetch_add(1, Ordering::SeqCst);
            self.region.abandonment.notify_waiters();
        }
    }
}

impl RegionClient for FakeRegion {
    fn call(&self, header: CallHeader, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, RegionCallError>> {
        Box::pin(async move {
            let mut pending = Pending { region: self, answered: false };
            self.calls.lock().unwrap().push((header, payload.clone()));
            self.arrived.notify_waiters();
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            pending.answered = true;
            match (self.failure, &self.reply) {
                (Some(failure), _) => Err(failure),
                (None, Some(reply)) => Ok(reply.clone()),
                (None, None) => Ok([b"re:".as_slice(), &payload].concat()),
            }
        })
    }
}

/// A running point of presence and its region.
pub struct TestPop {
    pub pop: RunningPop,
    pub region: Arc<FakeRegion>,
}

/// The settings of tests: any port, few instances.
pub fn test_config() -> PopConfig {
    let mut config = PopConfig { http: ([127, 0, 0, 1], 0).into(), ..PopConfig::default() };
    config.requests.max_concurrent = 8;
    config
}

/// What a point of presence needs, with the guest as its component.
pub fn test_deps(region: &Arc<FakeRegion>) -> PopDeps {
    let region: Arc<dyn RegionClient> = Arc::clone(region) as _;
    let mut deps = PopDeps::new(region, rookery_edge_api::Config::default());
    deps.component = Some(guest());
    deps
}

/// Starts a point of presence whose region echoes.
pub async fn start(configure: impl FnOnce(&mut PopConfig)) -> TestPop {
    start_with(FakeRegion::echoing(), configure).await
}

/// Starts a point of presence with a region.
pub async fn start_with(region: FakeRegion, configure: impl FnOnce(&mut PopConfig)) -> TestPop {
    let region = Arc::new(region);
    let mut config = test_config();
    configure(&mut config);
    let pop = Pop::start(config, test_deps(&region)).await.unwrap();
    TestPop { pop, region }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts status and error body.
    pub fn assert_error(&self, status: u16, code: u32, message: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["code"], code);
        assert_eq!(self.json()["message"], message);
    }
}

impl TestPop {
    pub fn addr(&self) -> SocketAddr {
        self.pop.http_addr
    }

    /// GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    /// GET that may fail because the connection does.
    pub async fn try_get(&self, path: &str) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        get_from(self.addr(), path).await
    }

    /// Any request on a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        send_on(TcpStream::connect(self.addr()).await.unwrap(), request).await.unwrap()
    }
}

/// GET on a connection of its own.
pub async fn get_from(address: SocketAddr, path: &str) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    send_on(TcpStream::connect(address).await?, request(Method::GET, path, "")).await
}

/// A request with a body.
pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).header("host", "pop.test").body(Full::new(body.into())).unwrap()
}

/// One request over HTTP/1.1.
pub async fn send_on<I>(
    io: I,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// An HTTP/2 connection.
pub async fn connect_http2<I>(io: I) -> http2::SendRequest<Full<Bytes>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One request over HTTP/2.
pub async fn send_http2(sender: &mut http2::SendRequest<Full<Bytes>>, path: &str) -> Answer {
    let request = Request::builder().uri(format!("http://pop.test{path}")).body(Full::default()).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
