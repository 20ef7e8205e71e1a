//! From wasm to code: by the cache, in this process, or in a child with limits. Whether the code
//! makes a plugin is `admit`'s matter.

mod cache;
mod child;

use crate::engine::Sandboxes;
use crate::{Compiler, PluginError};
use cache::Cache;
use pipeline::Digest;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::Component;

pub use child::compile_child;

/// What wasmtime says before it says what of a component no slot of the pool can hold.
const POOL: &str = "pooling allocator requirements: ";

/// Compiles for one engine.
pub(crate) struct Workshop {
    sandboxes: Arc<Sandboxes>,
    compiler: Compiler,
    cache: Cache,
}

impl Workshop {
    pub(crate) fn open(
        sandboxes: Arc<Sandboxes>,
        compiler: Compiler,
        cache_dir: PathBuf,
    ) -> Result<Self, PluginError> {
        let cache = Cache::open(cache_dir, &sandboxes.compatibility())?;
        Ok(Self {
            sandboxes,
            compiler,
            cache,
        })
    }

    /// The component of these bytes; the reason where they are none.
    pub(crate) fn component(&self, wasm: &[u8], digest: &Digest) -> Result<Component, String> {
        kind(wasm)?;
        if let Some(code) = self.cache.get(digest) {
            match self.load(&code) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(
                    plugin.digest = %digest,
                    error,
                    "a compiled plugin in the cache doesn't load; it is compiled again"
                ),
            }
        }
        let code = self.compile(wasm)?;
        if let Err(error) = self.cache.put(digest, &code) {
            tracing::warn!(
                plugin.digest = %digest,
                %error,
                "a compiled plugin can't be kept; it is compiled again at the next start"
            );
        }
        self.load(&code)
    }

    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, String> {
        let limits = &self.sandboxes.limits;
        match &self.compiler {
            Compiler::InProcess => self
                .sandboxes
                .engine
                .precompile_component(wasm)
                .map_err(|error| format!("isn't a valid component: {error:#}")),
            Compiler::Child { exe, args } => child::compile(exe, args, wasm, limits),
        }
    }

    fn load(&self, code: &[u8]) -> Result<Component, String> {
        // SAFETY: these bytes were written by `precompile_component`, in this process, in our own
        // child just now, or in a file of the cache: a folder that is this user's alone, whose
        // checksum fits the very bytes that are loaded. Bytes from the plugin folder never get
        // here. That the engine fits is checked by wasmtime.
        let loaded = unsafe { Component::deserialize(&self.sandboxes.engine, code) };
        loaded.map_err(|error| {
            let whole = format!("{error:#}");
            match whole.split_once(POOL) {
                Some((_, why)) => format!("wants more at its start than a call may have: {why}"),
                None => format!("doesn't fit this host's engine: {whole}"),
            }
        })
    }
}

/// Tells components from what else ends in `.wasm`.
fn kind(wasm: &[u8]) -> Result<(), String> {
    let told = match wasm {
        [] => "is empty",
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "is a core module, not a component: build it with the SDK, or wrap it with `wasm-tools \
             component new`; an Extism plug-in is a core module too, and those aren't served yet"
        }
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', ..] => "is cut off, or wasm of a version that this host doesn't know",
        _ => "isn't wasm: it doesn't begin with `\\0asm`",
    };
    Err(told.to_owned())
}
