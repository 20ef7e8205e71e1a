//! The one engine of a host, its pool, its linker and its ticking. What it compiles is decided
//! here too, so that a child process that compiles can't differ.

use crate::sandbox::{self, State};
use crate::{CallLimits, Grants, PluginError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

/// How often guest code looks whether its time is over.
const TICK: Duration = Duration::from_millis(5);
/// Memories, and tables, of one plugin; a plugin with a language runtime has one or two.
const PER_PLUGIN: u32 = 4;
/// Core instances of one plugin: its modules, adapters and shims.
const CORE_INSTANCES: u32 = 32;
const WASM_PAGE: usize = 64 << 10;

/// The engine with what belongs to it.
pub(crate) struct Sandboxes {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    /// Where a pipeline says nothing else.
    pub(crate) limits: CallLimits,
    pub(crate) grants: Grants,
    /// One for each call that the pool has room for.
    pub(crate) slots: Arc<Semaphore>,
}

impl Sandboxes {
    pub(crate) fn new(limits: CallLimits, grants: Grants) -> Result<Arc<Self>, PluginError> {
        let failed = |error: wasmtime::Error| PluginError::Engine(format!("{error:#}"));
        let mut config = compiled_for(limits.stack_bytes);
        config.allocation_strategy(pool(&limits));
        let engine = Engine::new(&config).map_err(failed)?;
        let linker = sandbox::linker(&engine).map_err(failed)?;
        tick(&engine).map_err(|error| PluginError::Engine(format!("no thread: {error}")))?;
        let slots = usize::try_from(limits.concurrent_calls).unwrap_or(usize::MAX);
        Ok(Arc::new(Self {
            engine,
            linker,
            slots: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))),
            limits,
            grants,
        }))
    }

    /// Changes with everything that compiled code depends on.
    pub(crate) fn compatibility(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Ticks until the first look at the clock of a call that may take so long.
pub(crate) fn ticks(call_time: Duration) -> u64 {
    let ticks = call_time.as_millis() / TICK.as_millis();
    u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
}

/// An engine that only compiles: no pool, no ticks.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&compiled_for(CallLimits::default().stack_bytes))
}

/// Everything that compiled code depends on. The stack's size isn't part of that.
fn compiled_for(stack_bytes: usize) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(stack_bytes)
        .concurrency_support(false)
        .memory_init_cow(true)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16))
        // A call can be replayed, on any machine.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true);
    config
}

fn pool(limits: &CallLimits) -> PoolingAllocationConfig {
    let calls = limits.concurrent_calls.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(calls.saturating_mul(PER_PLUGIN))
        .max_memories_per_component(PER_PLUGIN)
        .max_memories_per_module(PER_PLUGIN)
        .max_memory_size(limits.memory_bytes_most().next_multiple_of(WASM_PAGE))
        .total_tables(calls.saturating_mul(PER_PLUGIN))
        .max_tables_per_component(PER_PLUGIN)
        .max_tables_per_module(PER_PLUGIN)
        .table_elements(limits.table_elements_most())
        // Calls are synchronous: no stack of the pool is ever used.
        .total_stacks(1)
        .max_unused_warm_slots(16)
        .linear_memory_keep_resident(keep_resident())
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Bytes of a memory that a call leaves to the next one in the same slot, wiped. Where the kernel
/// tells which pages were written (Linux 6.7), only those are wiped, and giving none back spares
/// the page faults. Elsewhere all of it is wiped, so that it has to be little.
fn keep_resident() -> usize {
    match PoolingAllocationConfig::is_pagemap_scan_available() {
        true => 2 << 20,
        false => 64 << 10,
    }
}

/// Ends by itself within a tick of the engine's end.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("plugin-ticks".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(drop)
}
