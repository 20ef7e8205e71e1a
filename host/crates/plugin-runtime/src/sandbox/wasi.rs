//! WASI p2 over nothing, for guests whose language runtime imports it: no files, sockets,
//! environment or arguments, and clocks and random that answer what `job.now` and `job.seed` do.
//! A context is made only when a guest first calls into it.

use super::{Broke, State};
use std::time::{Duration, Instant};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::{WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
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
        BoundedClock {
            clocks: state.clocks(),
            left,
        }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (now_ms, seed) = self.view.moment();
        let handles = self.handles;
        let Wasi { context, table } = self
            .wasi
            .get_or_insert_with(|| Wasi::new(now_ms, seed, handles));
        WasiCtxView {
            ctx: context,
            table,
        }
    }
}

impl Wasi {
    fn new(now_ms: u64, seed: u64, handles: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let context = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .wall_clock(Frozen { now_ms })
            .monotonic_clock(Frozen { now_ms: 0 })
            .secure_random(Deterministic::new(stream(seed)))
            .insecure_random(Deterministic::new(stream(!seed)))
            .insecure_random_seed(seed.into())
            .max_random_size(RANDOM_BYTES)
            .build();
        Self { context, table }
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
            return Err(Broke::Time.into());
        }
        let left = u64::try_from(self.left.as_nanos()).unwrap_or(u64::MAX);
        self.clocks.subscribe_duration(duration.min(left))
    }
}
