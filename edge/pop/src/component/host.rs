//! What an instance may ask of its host: HTTP types, clocks, randomness, standard error, the region, its settings.
//!
//! Files, sockets and outgoing HTTP are not linked: a component that wants them does not start.

use std::sync::Arc;

use http::HeaderName;
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use crate::{CallContext, RegionCallError, RegionClient};

mod wit {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "platform",
        imports: { default: async },
        require_store_data_send: true,
    });
}

use wit::rookery::edge::region::CallError;

/// Bytes of standard error that an instance may write in its life: a panic's place, nothing more.
const MAX_STDERR_BYTES: usize = 4 << 10;

/// What belongs to one instance.
pub(super) struct HostState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoingRequests,
    pub table: ResourceTable,
    pub memory: MemoryCap,
    pub stderr: MemoryOutputPipe,
    /// Ticks that the current request may still compute.
    pub ticks_left: u64,
    /// The current request's context.
    pub context: Option<Arc<CallContext>>,
    max_calls: u32,
    region: Arc<dyn RegionClient>,
    api_config: Arc<[u8]>,
}

impl HostState {
    pub fn new(memory: MemoryCap, max_calls: u32, region: Arc<dyn RegionClient>, api_config: Arc<[u8]>) -> Self {
        let stderr = MemoryOutputPipe::new(MAX_STDERR_BYTES);
        Self {
            wasi: WasiCtx::builder().stderr(stderr.clone()).build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoingRequests,
            table: ResourceTable::new(),
            memory,
            stderr,
            ticks_left: 0,
            context: None,
            max_calls,
            region,
            api_config,
        }
    }
}

/// How much linear memory an instance has, and may have.
#[derive(Debug)]
pub(super) struct MemoryCap {
    /// What it has. Linear memory never shrinks.
    pub bytes: usize,
    /// What it may have.
    pub max_bytes: usize,
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(&mut self, _now: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.max_bytes;
        if allowed {
            self.bytes = desired;
        }
        Ok(allowed)
    }

    /// Tables do not grow beyond what the engine sets aside for each.
    fn table_growing(&mut self, _now: usize, _desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Links everything that [`HostState`] offers.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    let options = wasmtime_wasi_http::p2::bindings::http::types::LinkOptions::default();
    wasmtime_wasi_http::p2::bindings::http::types::add_to_linker::<_, WasiHttp>(l, &options, HostState::http)?;
    wit::rookery::edge::region::add_to_linker::<_, HasSelf<_>>(l, |state| state)?;
    wit::rookery::edge::config::add_to_linker::<_, HasSelf<_>>(l, |state| state)?;
    Ok(linker)
}

impl wit::rookery::edge::region::Host for HostState {
    async fn call(&mut self, request: Vec<u8>) -> Result<Vec<u8>, CallError> {
        // Outside of a request there is nobody to call for.
        let context = self.context.as_ref().ok_or(CallError::Unavailable)?;
        let header = context.next_call(self.max_calls)?;
        Ok(self.region.call(header, request).await?)
    }
}

impl From<RegionCallError> for CallError {
    fn from(error: RegionCallError) -> Self {
        match error {
            RegionCallError::Busy => Self::Busy,
            RegionCallError::Unavailable => Self::Unavailable,
            RegionCallError::DeadlineExceeded => Self::DeadlineExceeded,
            RegionCallError::TooLarge => Self::TooLarge,
        }
    }
}

impl wit::rookery::edge::config::Host for HostState {
    async fn get(&mut self) -> Vec<u8> {
        self.api_config.to_vec()
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// The outgoing half of `wasi:http`, which is not linked and refuses should it ever be.
struct NoOutgoingRequests;

impl WasiHttpHooks for NoOutgoingRequests {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: std::sync::LazyLock<ForbiddenHeaderFilter> =
            std::sync::LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));
        Arc::clone(&FILTER)
    }

    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
    ) -> Box<
        dyn Future<
                Output = wasmtime_wasi_http::Result<(
                    http::Response<WasiBody>,
                    Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
                )>,
            > + Send,
    > {
        Box::new(std::future::ready(Err(wasmtime_wasi_http::Error::HttpRequestDenied)))
    }
}
