//! Instances that wait for a request, and how new ones are made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rookery_edge_engine::EPOCH_TICK_MS;
use wasmtime::component::Component;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::host::{self, HostState, MemoryCap};
use super::instance::{Fault, Instance};
use crate::api_config::ApiConfig;
use crate::config::PopConfig;
use crate::{RegionClient, events};

/// Makes, keeps and retires instances.
///
/// It sets no bound of its own on instances in use: whoever takes one holds a place of the admission, and there are as
/// many places as the engine has slots. For the same reason an idle instance never stands in the way of a new one.
pub(super) struct InstancePool {
    engine: Engine,
    pre: ProxyPre<HostState>,
    idle: Mutex<Vec<Instance>>,
    region: Arc<dyn RegionClient>,
    api_config: Arc<ApiConfig>,
    max_memory_bytes: usize,
    max_idle_memory_bytes: usize,
    ticks_per_request: u64,
    requests_per_instance: u32,
    max_calls: u32,
    max_response_bytes: usize,
}

impl InstancePool {
    pub fn new(
        engine: &Engine,
        component: &Component,
        config: &PopConfig,
        api_config: Arc<ApiConfig>,
        region: Arc<dyn RegionClient>,
    ) -> wasmtime::Result<Self> {
        let pre = ProxyPre::new(host::linker(engine)?.instantiate_pre(component)?)?;
        Ok(Self {
            engine: engine.clone(),
            pre,
            idle: Mutex::new(Vec::new()),
            region,
            api_config,
            max_memory_bytes: config.component.max_memory_bytes,
            max_idle_memory_bytes: config.component.max_idle_memory_bytes,
            ticks_per_request: config.component.max_compute_ms.div_ceil(EPOCH_TICK_MS),
            requests_per_instance: config.component.max_requests_per_instance,
            max_calls: config.component.max_calls_per_request,
            max_response_bytes: config.requests.max_response_bytes,
        })
    }

    /// An instance for one request: the one used last, whose memory is warmest, or a new one.
    pub async fn take(&self) -> Result<Instance, Fault> {
        let generation = self.api_config.generation();
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(instance) if instance.generation == generation => return Ok(instance),
                Some(_outdated) => {}
                None => return self.instantiate().await.map_err(Fault::NotMade),
            }
        }
    }

    /// Takes an instance back after a request that went well.
    pub fn give_back(&self, mut instance: Instance) {
        let memory_bytes = instance.store.data().memory.bytes;
        if memory_bytes <= self.max_idle_memory_bytes && instance.is_reusable(self.api_config.generation()) {
            instance.idle_since = Instant::now();
            self.idle.lock().push(instance);
        }
    }

    /// Drops the instances that have waited for at least `idle_timeout`.
    pub fn drop_idle_since(&self, idle_timeout: Duration) {
        let outdated: Vec<Instance> = {
            let mut idle = self.idle.lock();
            // Last in, first out: the longest idle stand at the front.
            let count = idle.iter().take_while(|instance| instance.idle_since.elapsed() >= idle_timeout).count();
            idle.drain(..count).collect()
        };
        // Dropped outside the lock: giving memory back is a system call each.
        drop(outdated);
        events::component_instances_idle(self.idle.lock().len());
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let settings = self.api_config.current();
        let memory = MemoryCap { bytes: 0, max_bytes: self.max_memory_bytes };
        let state = HostState::new(memory, self.max_calls, Arc::clone(&self.region), settings.cbor);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            if state.ticks_left == 0 {
                return Ok(UpdateDeadline::Interrupt);
            }
            // Counted tick by tick instead of as one far deadline: a long wait for the region then costs one tick, and
            // the worker thread is given back to others at every tick.
            state.ticks_left -= 1;
            // The runtime's own yield, because it looks at sockets and timers before the component goes on.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store.data_mut().ticks_left = self.ticks_per_request;
        store.set_epoch_deadline(1);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        events::component_instantiated();
        Ok(Instance {
            store,
            proxy,
            generation: settings.generation,
            requests_left: self.requests_per_instance,
            idle_since: Instant::now(),
            ticks_per_request: self.ticks_per_request,
            max_response_bytes: self.max_response_bytes,
        })
    }
}
