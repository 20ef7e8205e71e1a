//! Extism in this process: one plug-in compiled once, each call in an instance of its own. What a
//! plug-in says is handed on as it is.

use crate::pipe;
use extism::{
    CompiledPlugin, CurrentPlugin, EXTISM_USER_MODULE, Error, Function, Manifest, PTR,
    PluginBuilder, UserData, Val, Wasm,
};
use extism_wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Trap, WasmBacktrace,
};
use plugin_runtime::wire::{ChildLimits, FromChild, TEXT_BYTES, ToChild, Why};
use std::io;

const WASM_PAGE: usize = 64 << 10;
/// The host functions: each takes JSON and answers JSON. The host refuses a plug-in that imports
/// another one, with a sentence.
const FUNCTIONS: [&str; 3] = ["job_files", "job_stat", "job_read"];
/// Memories of a call: Extism's own, the plug-in's, and the engine's for references.
const MEMORIES: u32 = 4;
const INSTANCES: u32 = 4;
const TABLES: u32 = 4;
/// Frames of a backtrace that are told.
const FRAMES: usize = 5;
/// Bytes that are told of a function's name, which the plug-in chose.
const NAME_BYTES: usize = 80;
/// The smallest module there is.
const EMPTY: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Extism's clock thread and the engine's signal handlers are begun by the first instance.
pub(crate) fn warm_up(limits: &ChildLimits) -> io::Result<()> {
    let compiled = compile(EMPTY.to_vec(), limits).map_err(io::Error::other)?;
    extism::Plugin::new_from_compiled(&compiled)
        .map(drop)
        .map_err(io::Error::other)
}

/// A compiled plug-in.
pub(crate) struct Plugin {
    compiled: CompiledPlugin,
    limits: ChildLimits,
}

impl Plugin {
    /// Compiles one; the reason, about the file, where it can't be.
    pub(crate) fn load(
        wasm: Vec<u8>,
        functions: &[String],
        limits: ChildLimits,
    ) -> Result<Self, String> {
        let compiled = compile(wasm, &limits)
            .map_err(|error| cut(format!("isn't a valid Extism plug-in: {error:#}")))?;
        // Its imports are looked at, and none of its code runs.
        let instance = extism::Plugin::new_from_compiled(&compiled)
            .map_err(|error| cut(format!("doesn't link: {error:#}")))?;
        for function in functions {
            if !instance.function_exists(function) {
                return Err(format!(
                    "exports a function `{function}` that isn't Extism's: it has no parameter, \
                     and gives an i32 or nothing"
                ));
            }
        }
        Ok(Self { compiled, limits })
    }

    /// One call in a new instance; says what came of it.
    pub(crate) fn call(&self, function: &str, input: &[u8]) -> io::Result<()> {
        let output = extism::Plugin::new_from_compiled(&self.compiled)
            .map_err(failed)
            .and_then(|mut instance| {
                let output: &[u8] = instance.call(function, input).map_err(failed)?;
                if output.len() > self.limits.body_bytes {
                    return Err((Why::TooMuch, String::new()));
                }
                Ok(output.to_vec())
            });
        let memory_bytes = memory_bytes();
        match output {
            Ok(output) => pipe::say(&FromChild::Answered { memory_bytes }, &output),
            Err((why, text)) => {
                let failed = FromChild::Failed {
                    why,
                    text: cut(text),
                    memory_bytes,
                };
                pipe::say(&failed, &[])
            }
        }
    }
}

fn compile(wasm: Vec<u8>, limits: &ChildLimits) -> Result<CompiledPlugin, Error> {
    let pages = u32::try_from(limits.memory_bytes / WASM_PAGE).unwrap_or(u32::MAX);
    let manifest = Manifest::new([Wasm::data(wasm)]).with_memory_max(pages);
    let functions = FUNCTIONS.map(|name| {
        let asked = move |plugin: &mut CurrentPlugin, given: &[Val], answer: &mut [Val], _| {
            ask(name, plugin, given, answer)
        };
        Function::new(name, [PTR], [PTR], UserData::new(()), asked)
            .with_namespace(EXTISM_USER_MODULE)
    });
    PluginBuilder::new(manifest)
        .with_wasmtime_config(config(limits))
        .with_cache_disabled()
        // Over nothing: no files, no arguments, no environment, no output.
        .with_wasi(true)
        .with_functions(functions)
        .compile()
}

/// Everything that an instance may have is reserved before it is there.
fn config(limits: &ChildLimits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(INSTANCES)
        .total_memories(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .max_memory_size(limits.memory_bytes.next_multiple_of(WASM_PAGE))
        .total_tables(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(limits.table_elements)
        .total_gc_heaps(1)
        .total_stacks(1)
        .pagemap_scan(Enabled::No);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .max_wasm_stack(limits.stack_bytes)
        // What address space there is must do for the compiler as well.
        .memory_reservation(limits.memory_bytes.next_multiple_of(WASM_PAGE) as u64)
        .memory_guard_size(0)
        .memory_reservation_for_growth(0)
        // Would want a file in memory, and the locks allow no file.
        .memory_init_cow(false)
        .parallel_compilation(false)
        .wasm_memory64(false)
        // A call can be replayed, on any machine.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true);
    config
}

/// A host function: the argument goes to the host, its answer into the plug-in's memory.
fn ask(
    name: &str,
    plugin: &mut CurrentPlugin,
    given: &[Val],
    answer: &mut [Val],
) -> Result<(), Error> {
    let (Some(given), Some(answer)) = (given.first(), answer.first_mut()) else {
        return Err(Error::msg("a host function without its argument"));
    };
    let argument: &[u8] = plugin.memory_get_val(given)?;
    let host = FromChild::Host {
        function: name.to_owned(),
    };
    pipe::say(&host, argument)?;
    match pipe::hear()? {
        (ToChild::HostAnswer, said) => plugin.memory_set_val(answer, said),
        (head, _) => Err(Error::msg(format!("{head:?} out of turn"))),
    }
}

fn failed(error: Error) -> (Why, String) {
    let root = error.root_cause().to_string();
    if root == "oom" {
        return (Why::Memory, root);
    }
    let trap = error.downcast_ref::<Trap>();
    let frames = error.downcast_ref::<WasmBacktrace>().map(backtrace);
    if trap.is_none() && frames.is_none() {
        return (Why::Said, root);
    }
    let text = trap.map_or(root, ToString::to_string);
    match frames {
        Some(frames) if !frames.is_empty() => (Why::Trap, format!("{text}; in {frames}")),
        _ => (Why::Trap, text),
    }
}

/// The innermost functions, called ones first.
fn backtrace(trace: &WasmBacktrace) -> String {
    let named = trace
        .frames()
        .iter()
        .take(FRAMES)
        .map(|frame| match frame.func_name() {
            Some(name) => {
                let cut = &name[..name.floor_char_boundary(NAME_BYTES)];
                cut.chars().filter(|c| !c.is_control()).collect()
            }
            None => format!("function {}", frame.func_index()),
        });
    named.collect::<Vec<String>>().join(", called by ")
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES));
    text
}

/// The most that this process has had in memory.
fn memory_bytes() -> usize {
    // SAFETY: `rusage` is plain numbers, for which zeroes are a value.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` of this function's own.
    let got = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut used) };
    match got {
        0 => usize::try_from(used.ru_maxrss).unwrap_or(0) << 10,
        _ => 0,
    }
}
