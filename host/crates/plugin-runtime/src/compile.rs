//! From wasm to code: by the cache, in this process, or in a child with limits. Whether the code
//! makes a plugin is `admit`'s matter.

mod cache;
mod child;

use crate::engine::Sandboxes;
use crate::guest::extism::{self, Nursery};
use crate::step::Steps;
use crate::{Compiler, ExtismChild, PluginError};
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
    nursery: Option<Arc<Nursery>>,
    cache: Cache,
}

impl Workshop {
    pub(crate) fn open(
        sandboxes: Arc<Sandboxes>,
        compiler: Compiler,
        extism: Option<ExtismChild>,
        cache_dir: PathBuf,
    ) -> Result<Self, PluginError> {
        let cache = Cache::open(cache_dir, &sandboxes.compatibility())?;
        Ok(Self {
            sandboxes,
            compiler,
            nursery: extism.map(Nursery::open).transpose()?,
            cache,
        })
    }

    /// The component of these bytes; the reason where they are none.
    pub(crate) fn component(&self, wasm: &[u8], digest: &Digest) -> Result<Component, String> {
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

    /// Who starts the children that Extism plug-ins compile and run in.
    pub(crate) fn nursery(&self) -> Result<&Arc<Nursery>, String> {
        self.nursery.as_ref().ok_or_else(|| {
            "is an Extism plug-in, and this host serves components only: build it with the SDK"
                .to_owned()
        })
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

/// What bytes are, by their head; and by imports and exports, where that is a core module.
pub(crate) enum Form {
    Component,
    Extism(Steps),
}

/// Tells plugins from what else ends in `.wasm`.
pub(crate) fn form(wasm: &[u8]) -> Result<Form, String> {
    let told = match wasm {
        [] => "is empty",
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return extism::steps(wasm).map(Form::Extism),
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => return Ok(Form::Component),
        [0, b'a', b's', b'm', ..] => "is cut off, or wasm of a version that this host doesn't know",
        _ => "isn't wasm: it doesn't begin with `\\0asm`",
    };
    Err(told.to_owned())
}
