//! WASI p2 over nothing, for guests whose language runtime imports it: no files, sockets,
//! environment or arguments, and clocks and random that answer what `job.now` and `job.seed` do,
//! where the machine's own aren't granted. A context is made only when a guest first calls into it.

use super::{Broke, State};
use crate::view::View;
use std::time::{Duration, Instant};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::{WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
};

/// Bytes of one request for random bytes.
const RANDOM_BYTES: u64 = 64 << 10;

pub(super) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    // A deadline stops guest code, not a host call that waits. The only thing here that a guest
    // can wait for is a clock, so its waits end with the call's time.
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, BoundedClock<'static>>(linker, |state| {
        let left = state.deadline.saturating_duration_since(Instant::now());
        let host_left = state.view.host_time_left();
        BoundedClock {
            clocks: state.clocks(),
            left: left.min(host_left),
            over: match host_left < left {
                true => Broke::HostTime,
                false => Broke::Time,
            },
        }
    })?;
    poll::add_to_linker::<State, CountedWaits<'static>>(linker, |state| CountedWaits(state))?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (view, handles) = (&self.view, self.handles);
        let Wasi { context, table } = self.wasi.get_or_insert_with(|| Wasi::new(view, handles));
        WasiCtxView {
            ctx: context,
            table,
        }
    }
}

impl Wasi {
    fn new(view: &View, handles: usize) -> Self {
        let (now_ms, seed) = view.moment();
        let granted = view.granted();
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let mut context = WasiCtx::builder();
        context
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES);
        // Without these, a context has the machine's.
        if !granted.real_time {
            context
                .wall_clock(Frozen { now_ms })
                .monotonic_clock(Frozen { now_ms: 0 });
        }
        if !granted.real_random {
            context
                .secure_random(Deterministic::new(stream(seed)))
                .insecure_random(Deterministic::new(stream(!seed)))
                .insecure_random_seed(seed.into());
        }
        Self {
            context: context.build(),
            table,
        }
    }
}

/// Enough bytes that a runtime which seeds its hash tables never sees them repeat: SplitMix64.
fn stream(seed: u64) -> Vec<u8> {
    let word = |i: u64| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    (1..=512).flat_map(word).collect()
}

/// A clock that stands at the moment when the call began.
struct Frozen {
    now_ms: u64,
}

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.now_ms.saturating_mul(1_000_000)
    }
}

struct BoundedClock<'a> {
    clocks: WasiClocksCtxView<'a>,
    left: Duration,
    /// What is broken when nothing is left.
    over: Broke,
}

impl HasData for BoundedClock<'static> {
    type Data<'a> = BoundedClock<'a>;
}

impl monotonic_clock::Host for BoundedClock<'_> {
    fn now(&mut self) -> Result<u64> {
        self.clocks.now()
    }

    fn resolution(&mut self) -> Result<u64> {
        self.clocks.resolution()
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        let now = self.now()?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        if self.left.is_zero() {
            return Err(self.over.into());
        }
        let left = u64::try_from(self.left.as_nanos()).unwrap_or(u64::MAX);
        self.clocks.subscribe_duration(duration.min(left))
    }
}

/// Waits count as time in functions of the host.
struct CountedWaits<'a>(&'a mut State);

impl HasData for CountedWaits<'static> {
    type Data<'a> = CountedWaits<'a>;
}

impl CountedWaits<'_> {
    fn counted<T>(&mut self, wait: impl FnOnce(&mut ResourceTable) -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let answer = wait(self.0.ctx().table)?;
        // A call that is over as a whole ends by that, in the next function.
        if Instant::now() < self.0.deadline {
            self.0.view.took(begin.elapsed())?;
        }
        Ok(answer)
    }
}

impl poll::Host for CountedWaits<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        self.counted(|table| poll::Host::poll(table, pollables))
    }
}

impl poll::HostPollable for CountedWaits<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        poll::HostPollable::ready(self.0.ctx().table, pollable)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.counted(|table| poll::HostPollable::block(table, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(self.0.ctx().table, pollable)
    }
}
