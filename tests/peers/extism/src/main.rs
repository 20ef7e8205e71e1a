//! Extism as a peer of `bench-plugins`: does calls on request, over lines, so that its rounds and
//! ours can take turns. It judges no figure.
//!
//! `extism-peer GUEST.wasm`; the first line in is the job, and the first line out what the guest
//! made of it. Then `fresh N` or `live N`, and a JSON array of N times in ns.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use extism::{
    CompiledPlugin, CurrentPlugin, Error, Manifest, PTR, Plugin, PluginBuilder, UserData, Val, Wasm,
};

/// As Gantry has them on a call: `CallLimits::default()`.
const CALL_TIME: Duration = Duration::from_secs(2);
const MEMORY_PAGES: u32 = 1024;

fn main() -> Result<()> {
    let guest = std::env::args_os()
        .nth(1)
        .context("extism-peer GUEST.wasm")?;
    let manifest = Manifest::new([Wasm::data(std::fs::read(guest)?)])
        .with_timeout(CALL_TIME)
        .with_memory_max(MEMORY_PAGES);
    let compiled = PluginBuilder::new(manifest)
        .with_cache_disabled()
        .with_function("job_read", [PTR], [PTR], UserData::new(()), job_read)
        .compile()?;
    let mut lines = std::io::stdin().lines();
    let job = lines.next().context("the job")??;
    let mut live = Plugin::new_from_compiled(&compiled)?;
    say(live.call::<_, &str>("prompt", &job)?)?;
    for line in lines {
        let line = line?;
        let (how, count) = line.split_once(' ').context("fresh N or live N")?;
        let count: usize = count.parse()?;
        let times = match how {
            "fresh" => measure(count, || fresh(&compiled, &job)),
            "live" => measure(count, || Ok(live.call::<_, &str>("prompt", &job)?.len())),
            _ => bail!("fresh N or live N"),
        };
        say(&serde_json::to_string(&times?)?)?;
    }
    Ok(())
}

/// What the guest imports for its other steps: there is no workspace here.
fn job_read(_: &mut CurrentPlugin, _: &[Val], _: &mut [Val], _: UserData<()>) -> Result<(), Error> {
    bail!("no call of this peer reads a file")
}

/// A plug-in of its own for one call, and its end.
fn fresh(compiled: &CompiledPlugin, job: &str) -> Result<usize> {
    let mut plugin = Plugin::new_from_compiled(compiled)?;
    Ok(plugin.call::<_, &str>("prompt", job)?.len())
}

fn measure(count: usize, mut call: impl FnMut() -> Result<usize>) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        let bytes = call()?;
        let took = begin.elapsed();
        if bytes == 0 {
            bail!("the guest answered nothing");
        }
        times.push(u64::try_from(took.as_nanos())?);
    }
    Ok(times)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
