//! The one engine configuration that the component's ahead-of-time compiler and its host share.
//!
//! A precompiled component only loads into an engine whose code-shaping settings are the same, so both
//! sides build theirs from [`codegen_config`]. What only matters at run time is added by [`host_engine`].

use wasmtime::{Config, Enabled, Engine, OptLevel, PoolingAllocationConfig};

/// How often the host advances the engine's epoch, and so how finely a component's running time is measured.
pub const EPOCH_TICK_MS: u64 = 10;

/// Virtual address space kept for each linear memory: with 4 GiB no load or store needs a bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// Unmapped space behind each linear memory, for constant offsets that reach beyond it.
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// Core modules in one component: the API, its WASI adapters, and room to spare.
const MAX_CORE_INSTANCES_PER_COMPONENT: u32 = 16;
/// Largest function table of a module, in elements.
const MAX_TABLE_ELEMENTS: usize = 50_000;
/// Memory that an instance may leave behind warm in its slot when it is thrown away.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Why an engine could not be made or a component not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The settings contradict each other, or this machine cannot satisfy them (address space, CPU).
    #[error("the WebAssembly engine could not be set up: {0:#}")]
    SetUp(wasmtime::Error),
    /// The bytes are not a component that this engine can compile.
    #[error("the component could not be compiled: {0:#}")]
    Compile(wasmtime::Error),
}

/// What the pooling allocator sets aside.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Most instances that exist at once, idle ones included.
    pub instances: u32,
    /// Most linear memory that one instance may have.
    pub max_memory_bytes: usize,
}

/// Settings that decide what code is generated; the same for compiler and host.
fn codegen_config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .wasm_component_model(true);
    config
}

/// Compiles a component ahead of time for [`host_engine`].
///
/// `target` is a target triple. Naming one, even that of this machine, restricts the code to the instructions
/// that every CPU of that architecture has, so that the binary may be copied anywhere; `None` uses
/// all that this machine's CPU offers, for components that stay here.
pub fn precompile(wasm: &[u8], target: Option<&str>) -> Result<Vec<u8>, EngineError> {
    let mut config = codegen_config();
    if let Some(target) = target {
        config.target(target).map_err(EngineError::SetUp)?;
    }
    let engine = Engine::new(&config).map_err(EngineError::SetUp)?;
    engine.precompile_component(wasm).map_err(EngineError::Compile)
}

/// The engine that runs precompiled components: instances come from a pool set aside at start.
pub fn host_engine(limits: PoolLimits) -> Result<Engine, EngineError> {
    let mut pool = PoolingAllocationConfig::new();
    let core_instances = limits.instances.saturating_mul(MAX_CORE_INSTANCES_PER_COMPONENT);
    pool.total_component_instances(limits.instances)
        .total_core_instances(core_instances)
        .max_core_instances_per_component(MAX_CORE_INSTANCES_PER_COMPONENT)
        // One linear memory per component: that of the API. WASI's adapters share it.
        .total_memories(limits.instances)
        .max_memories_per_component(1)
        .max_memory_size(limits.max_memory_bytes)
        .total_tables(core_instances)
        .max_tables_per_component(MAX_CORE_INSTANCES_PER_COMPONENT)
        .table_elements(MAX_TABLE_ELEMENTS)
        .total_stacks(limits.instances)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);

    let mut config = codegen_config();
    config.allocation_strategy(pool);
    Engine::new(&config).map_err(EngineError::SetUp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::component::Component;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const LIMITS: PoolLimits = PoolLimits { instances: 4, max_memory_bytes: 16 << 20 };

    #[test]
    fn a_component_compiled_for_any_cpu_loads_into_the_host_engine() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let compiled = precompile(EMPTY_COMPONENT, Some(&target)).unwrap();
        let engine = host_engine(LIMITS).unwrap();
        // SAFETY: the bytes come from `precompile` two lines up.
        #[allow(unsafe_code)]
        unsafe { Component::deserialize(&engine, &compiled) }.unwrap();
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(matches!(precompile(b"not wasm", None), Err(EngineError::Compile(_))));
    }
}
