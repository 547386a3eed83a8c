//! One instance of the component, and how it answers a request.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use super::host::HostState;
use crate::CallContext;
use crate::handler::{ApiRequest, ApiResponse};

type Outcome = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// What went wrong in an instance.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// No instance could be made.
    #[error("no instance of the component could be made: {0:#}")]
    NotMade(wasmtime::Error),
    /// A trap: a panic, the compute budget, the memory cap, a broken rule of the component model.
    #[error("the component trapped: {0:#}")]
    Trap(wasmtime::Error),
    /// It returned without an answer, or left the body unfinished.
    #[error("the component gave no complete response")]
    NoResponse,
    /// It said itself that it could not answer.
    #[error("the component failed: {0:?}")]
    Failed(ErrorCode),
    /// Its body exceeds the cap.
    #[error("the component's response is larger than {0} bytes")]
    TooLarge(usize),
}

impl Fault {
    /// The name in metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotMade(_) => "not_made",
            Self::Trap(_) => "trap",
            Self::NoResponse => "no_response",
            Self::Failed(_) => "failed",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// An instance with its store.
pub(super) struct Instance {
    pub store: Store<HostState>,
    pub proxy: Proxy,
    /// The settings' generation it was made with.
    pub generation: u64,
    pub requests_left: u32,
    pub idle_since: Instant,
    pub ticks_per_request: u64,
    pub max_response_bytes: usize,
}

impl Instance {
    /// Answers one request. After an error, or if the future is dropped, the instance must not be used again.
    pub async fn answer(&mut self, request: ApiRequest, context: Arc<CallContext>) -> Result<ApiResponse, Fault> {
        self.requests_left = self.requests_left.saturating_sub(1);
        let state = self.store.data_mut();
        state.context = Some(context);
        state.ticks_left = self.ticks_per_request;
        let (outcome_tx, outcome_rx) = oneshot::channel();
        let incoming = state.http().new_incoming_request(Scheme::Http, into_http(request)).map_err(Fault::Trap)?;
        let out = state.http().new_response_outparam(outcome_tx).map_err(Fault::Trap)?;
        // The callback set by the pool runs at every tick from here on.
        self.store.set_epoch_deadline(1);
        let answer = self.run(incoming, out, outcome_rx).await;
        self.store.data_mut().context = None;
        answer
    }

    async fn run(
        &mut self,
        incoming: Resource<HostIncomingRequest>,
        out: Resource<HostResponseOutparam>,
        outcome: oneshot::Receiver<Outcome>,
    ) -> Result<ApiResponse, Fault> {
        let handler = self.proxy.wasi_http_incoming_handler();
        let run = pin!(handler.call_handle(&mut self.store, incoming, out));
        // Beyond the scheduler's budget a channel may pretend to be empty; below, empty has to mean empty.
        let collect = pin!(tokio::task::unconstrained(collect(outcome, self.max_response_bytes)));
        match select(run, collect).await {
            Either::Left((ran, collect)) => {
                ran.map_err(Fault::Trap)?;
                // What the component wrote is all there now; if that is not a whole response, none will come.
                collect.now_or_never().ok_or(Fault::NoResponse)?
            }
            Either::Right((answer, run)) => {
                run.await.map_err(Fault::Trap)?;
                answer
            }
        }
    }

    /// Whether it may take a further request.
    pub fn is_reusable(&self, generation: u64) -> bool {
        // A resource left in the table is a leak; it would stay for the instance's life.
        self.requests_left > 0 && self.generation == generation && self.store.data().table.is_empty()
    }

    /// What the component wrote to standard error: the place of its panic.
    pub fn last_words(&self) -> Bytes {
        self.store.data().stderr.contents()
    }
}

fn into_http(request: ApiRequest) -> Request<Full<Bytes>> {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = request.method;
    parts.headers = request.headers;
    parts.uri = with_authority(request.uri);
    Request::from_parts(parts, Full::new(request.body))
}

/// `wasi:http` wants an authority; the API does not look at it.
fn with_authority(uri: Uri) -> Uri {
    if uri.authority().is_some() {
        return uri;
    }
    let mut parts = uri.into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(http::uri::Authority::from_static("rookery.invalid"));
    // `*` is the only target without a path, and it is answered before a handler sees it.
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("http://rookery.invalid/"))
}

async fn collect(outcome: oneshot::Receiver<Outcome>, max_bytes: usize) -> Result<ApiResponse, Fault> {
    let (parts, body) = match outcome.await {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(code)) => return Err(Fault::Failed(code)),
        Err(_) => return Err(Fault::NoResponse),
    };
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(ApiResponse { status: parts.status, headers: parts.headers, body: collected.to_bytes() }),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Fault::TooLarge(max_bytes)),
        Err(_) => Err(Fault::NoResponse),
    }
}
