//! What stands around one call of a component: the store's state, with every limit, and the
//! functions that a guest may call. It doesn't decide what follows from a broken limit; `fault`
//! words it.

mod limiter;
mod v0_10;
mod v0_9;
mod wasi;

use crate::engine::ticks;
use crate::view::View;
use limiter::Limiter;
use std::time::Instant;
use wasmtime::component::Linker;
use wasmtime::{Engine, Result, Store, UpdateDeadline};

pub(crate) use limiter::Broke;

/// The state of one store: one call, then gone.
pub(crate) struct State {
    limiter: Limiter,
    pub(crate) view: View,
    deadline: Instant,
    handles: usize,
    wasi: Option<wasi::Wasi>,
}

/// The functions that every guest may import, linked once.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    v0_9::add_to_linker(&mut linker)?;
    v0_10::add_to_linker(&mut linker)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A store for one call, under all limits.
pub(crate) fn store(engine: &Engine, view: View) -> Store<State> {
    let limits = view.limits().clone();
    let deadline = Instant::now() + limits.call_time;
    let state = State {
        limiter: Limiter::new(limits.memory_bytes, limits.table_elements),
        view,
        deadline,
        handles: limits.handles,
        wasi: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.handed_bytes);
    store.set_max_component_handles(limits.handles);
    store.set_epoch_deadline(ticks(limits.call_time));
    // Ticks can be late on a busy machine, so a clock decides; they only say when to look.
    store.epoch_deadline_callback(move |_| {
        if Instant::now() >= deadline {
            return Err(Broke::Time.into());
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

impl State {
    /// Which limit was broken, also where the guest's own error hides it.
    pub(crate) fn broke(&self) -> Option<Broke> {
        self.limiter.broke
    }

    /// Bytes of all linear memories of this call together.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.limiter.memory_used()
    }
}
