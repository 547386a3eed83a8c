//! The API as a WebAssembly component: loaded once, its instances pooled and reused.
//!
//! An instance works on one request at a time and keeps its memory between requests. Whatever goes wrong in it (trap,
//! budget, memory cap, a request given up half-way) costs that request its answer and the instance its life.

mod embedded;
mod host;
mod instance;
mod pool;
mod ticker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rookery_edge_engine::{EngineError, PoolLimits, host_engine};
use wasmtime::component::Component;

pub use embedded::EMBEDDED;
pub(crate) use instance::Fault;

use crate::admission::Admission;
use crate::api_config::ApiConfig;
use crate::config::{PopConfig, ms};
use crate::handler::{ApiRequest, ApiResponse, HandleError, Handler};
use crate::{CallContext, RegionClient, events};
use pool::InstancePool;
use ticker::EpochTicker;

/// Why the component cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// This binary was built without a component.
    #[error("this rookery was built without its component: run `cargo xtask build`")]
    Absent,
    /// The engine cannot be set up on this machine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The component was compiled for another engine or another CPU.
    #[error("the component does not load; it was compiled by another version or for another CPU: {0:#}")]
    Load(wasmtime::Error),
    /// The component wants something that the host does not give, or lacks the handler's export.
    #[error("the component does not fit this host: {0:#}")]
    Fit(wasmtime::Error),
    /// The thread that measures time could not be started.
    #[error("the thread that measures the component's time could not be started")]
    Ticker(#[source] std::io::Error),
}

/// Runs the component.
pub(crate) struct ComponentHandler {
    admission: Admission,
    pool: Arc<InstancePool>,
    reaper: tokio::task::JoinHandle<()>,
    _ticker: EpochTicker,
}

impl ComponentHandler {
    /// Loads a component that `rookery_edge_engine::precompile` made, and starts the tasks it needs.
    pub fn start(
        precompiled: &[u8],
        config: &PopConfig,
        api_config: Arc<ApiConfig>,
        region: Arc<dyn RegionClient>,
    ) -> Result<Self, ComponentError> {
        if precompiled.is_empty() {
            return Err(ComponentError::Absent);
        }
        let engine = host_engine(PoolLimits {
            instances: config.requests.max_concurrent,
            max_memory_bytes: config.component.max_memory_bytes,
        })?;
        // SAFETY: deserialising runs machine code as it stands in the bytes. They are part of this binary or given by
        // the program itself, made by `rookery_edge_engine::precompile`; nothing from the network reaches this.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&engine, precompiled) }.map_err(ComponentError::Load)?;
        let pool = InstancePool::new(&engine, &component, config, api_config, region).map_err(ComponentError::Fit)?;
        let pool = Arc::new(pool);
        let ticker = EpochTicker::start(engine).map_err(ComponentError::Ticker)?;
        let reaper = tokio::spawn(reap(Arc::clone(&pool), ms(config.component.idle_timeout_ms)));
        let requests = &config.requests;
        Ok(Self {
            admission: Admission::new(requests.max_concurrent, requests.max_queued, ms(requests.queue_timeout_ms)),
            pool,
            reaper,
            _ticker: ticker,
        })
    }

    async fn answer(&self, request: ApiRequest, context: Arc<CallContext>) -> Result<ApiResponse, HandleError> {
        let _place = self.admission.enter().await?;
        let deadline = context.deadline();
        let mut instance = self.pool.take().await.map_err(|fault| failed(&fault, &Bytes::new()))?;
        match tokio::time::timeout_at(deadline, instance.answer(request, context)).await {
            Ok(Ok(response)) => {
                self.pool.give_back(instance);
                Ok(response)
            }
            Ok(Err(fault)) => Err(failed(&fault, &instance.last_words())),
            Err(_) => Err(HandleError::DeadlineExceeded),
        }
    }
}

fn failed(fault: &Fault, last_words: &Bytes) -> HandleError {
    events::component_failed(fault, last_words);
    HandleError::Failed(fault.to_string())
}

impl Drop for ComponentHandler {
    fn drop(&mut self) {
        self.reaper.abort();
    }
}

impl Handler for ComponentHandler {
    fn handle(
        &self,
        request: ApiRequest,
        context: Arc<CallContext>,
    ) -> BoxFuture<'_, Result<ApiResponse, HandleError>> {
        Box::pin(self.answer(request, context))
    }
}

/// Gives the memory of instances back that nobody has needed for a while.
async fn reap(pool: Arc<InstancePool>, idle_timeout: Duration) {
    let mut checks = tokio::time::interval((idle_timeout / 2).max(Duration::from_millis(10)));
    checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        pool.drop_idle_since(idle_timeout);
    }
}
