//! The children of one plug-in, and the one thread that starts and ends all of a host's. A child
//! has one call at a time; what it may do in it isn't decided here.

use super::child::{Broken, Child};
use crate::fault::size;
use crate::wire::{ChildLimits, FromChild, ToChild};
use crate::{CallLimits, ExtismChild, PluginError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, mem};

/// Children of one plug-in: so many of its calls run at once, more wait for their turn.
const MOST: usize = 4;
/// How long a child may have nothing to do before it is ended.
const IDLE: Duration = Duration::from_secs(60);
/// Calls of one child; then another one begins afresh.
const CALLS: u32 = 100;
/// How often children are looked at that have nothing to do.
const SWEEP: Duration = Duration::from_secs(5);

type Spawned = mpsc::Sender<io::Result<Child>>;

/// Starts and ends the children of a host. They are asked to die with the thread that started
/// them, so one thread that lives as long as the host does starts them all.
pub(crate) struct Nursery {
    wanted: mpsc::Sender<Spawned>,
    pools: Arc<Mutex<Vec<Weak<Pool>>>>,
    told: AtomicBool,
}

impl Nursery {
    pub(crate) fn open(program: ExtismChild) -> Result<Arc<Self>, PluginError> {
        let (wanted, requests) = mpsc::channel::<Spawned>();
        let pools = Arc::new(Mutex::new(Vec::new()));
        let swept = Arc::clone(&pools);
        thread::Builder::new()
            .name("extism-children".to_owned())
            .spawn(move || {
                loop {
                    match requests.recv_timeout(SWEEP) {
                        // Who asked may be gone: then the child goes too.
                        Ok(reply) => {
                            let _ = reply.send(Child::spawn(&program.exe, &program.args));
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                    sweep(&swept);
                }
            })
            .map_err(|error| PluginError::Engine(format!("no thread: {error}")))?;
        Ok(Arc::new(Self {
            wanted,
            pools,
            told: AtomicBool::new(false),
        }))
    }

    fn spawn(&self) -> io::Result<Child> {
        let (reply, spawned) = mpsc::channel();
        let gone = || io::Error::other("the thread that starts children has ended");
        self.wanted.send(reply).map_err(|_| gone())?;
        spawned.recv().map_err(|_| gone())?
    }

    /// Once a host: what this machine can't lock.
    fn tell(&self, missing: &[String]) {
        if !missing.is_empty() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                missing = missing.join(", "),
                "Extism plug-ins run in children without these locks, which this machine doesn't \
                 have"
            );
        }
    }
}

fn sweep(pools: &Mutex<Vec<Weak<Pool>>>) {
    let pools: Vec<Arc<Pool>> = {
        let mut pools = lock(pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.iter().filter_map(Weak::upgrade).collect()
    };
    for pool in pools {
        let old: Vec<Child> = {
            let mut children = lock(&pool.children);
            let idle = mem::take(&mut children.idle);
            let (old, young): (Vec<_>, Vec<_>) = idle.into_iter().partition(is_old);
            children.idle = young;
            children.live = children.live.saturating_sub(old.len());
            old
        };
        if !old.is_empty() {
            pool.freed.notify_all();
        }
    }
}

fn is_old(child: &Child) -> bool {
    child.idle_since.elapsed() >= IDLE
}

/// A poisoned lock guards counts that are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no child for a call.
pub(super) enum Unready {
    /// The plug-in can't be loaded; why, about its file.
    Refused(String),
    /// This host can't have another child now; why.
    NoRoom(String),
}

/// The children of one plug-in.
pub(super) struct Pool {
    nursery: Arc<Nursery>,
    wasm: Arc<[u8]>,
    functions: Vec<String>,
    children: Mutex<Children>,
    freed: Condvar,
}

#[derive(Default)]
struct Children {
    idle: Vec<Child>,
    /// Those, and those that are lent or on their way.
    live: usize,
}

impl Children {
    /// The idle child with these limits that was busy last.
    fn idle_with(&mut self, limits: &ChildLimits) -> Option<Child> {
        let fits = |child: &Child| child.limits.as_ref() == Some(limits);
        let at = self.idle.iter().rposition(fits)?;
        Some(self.idle.remove(at))
    }
}

/// None, and the child is ended, where it is too old or gone.
fn still_there(mut child: Child) -> Option<Child> {
    (!is_old(&child) && child.is_there()).then_some(child)
}

/// A child for one call. It is ended with this, unless it is given back.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    pub(super) child: Child,
    // Free only once the child is gone.
    place: Place<'a>,
}

/// One of the places that a pool has; free again when this is dropped.
struct Place<'a>(Option<&'a Pool>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            let mut children = lock(&pool.children);
            children.live = children.live.saturating_sub(1);
            drop(children);
            pool.freed.notify_one();
        }
    }
}

impl Pool {
    pub(super) fn new(
        nursery: &Arc<Nursery>,
        wasm: Arc<[u8]>,
        functions: Vec<String>,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            nursery: Arc::clone(nursery),
            wasm,
            functions,
            children: Mutex::new(Children::default()),
            freed: Condvar::new(),
        });
        lock(&nursery.pools).push(Arc::downgrade(&pool));
        pool
    }

    /// A child that keeps to these limits and has the plug-in compiled: an idle one, a new one, or
    /// the next that is free.
    pub(super) fn take(&self, limits: &CallLimits) -> Result<Lent<'_>, Unready> {
        let wanted = child_limits(limits);
        let until = Instant::now() + limits.compile_time;
        let mut children = lock(&self.children);
        loop {
            while let Some(child) = children.idle_with(&wanted) {
                let place = Place(Some(self));
                drop(children);
                if let Some(child) = still_there(child) {
                    return Ok(Lent {
                        pool: self,
                        place,
                        child,
                    });
                }
                drop(place);
                children = lock(&self.children);
            }
            // One that keeps to another pipeline's limits makes room.
            let makes_room = match children.live < MOST {
                true => None,
                false => children.idle.pop(),
            };
            if children.live < MOST || makes_room.is_some() {
                children.live += usize::from(makes_room.is_none());
                drop(children);
                let place = Place(Some(self));
                drop(makes_room);
                let child = self.start(limits, wanted)?;
                return Ok(Lent {
                    pool: self,
                    place,
                    child,
                });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unready::NoRoom(format!(
                    "all {MOST} of its processes are busy"
                )));
            }
            let waited = self.freed.wait_timeout(children, left);
            children = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A new child, locked, with the plug-in compiled.
    fn start(&self, limits: &CallLimits, told: ChildLimits) -> Result<Child, Unready> {
        let until = Instant::now() + limits.compile_wall_time();
        let mut child = self.nursery.spawn().map_err(|error| {
            Unready::NoRoom(format!(
                "a process for Extism plug-ins doesn't start: {error}"
            ))
        })?;
        let broken = |broken: Broken, child: &mut Child| match broken {
            Broken::Time => Unready::Refused(format!(
                "took longer than {:?} to compile",
                limits.compile_wall_time()
            )),
            Broken::Gone => Unready::Refused(format!(
                "couldn't be compiled within {}: its process ended with {}",
                size(usize::try_from(limits.compile_memory_bytes).unwrap_or(usize::MAX)),
                child.ended()
            )),
            other => Unready::NoRoom(format!("its process doesn't start well: {other:?}")),
        };
        match self.load(&mut child, &told, until) {
            Ok(FromChild::Loaded) => {
                child.limits = Some(told);
                Ok(child)
            }
            Ok(FromChild::Refused { why }) => Err(Unready::Refused(why)),
            Ok(other) => {
                let nonsense = Broken::Nonsense(format!("{other:?} at its start"));
                Err(broken(nonsense, &mut child))
            }
            Err(error) => Err(broken(error, &mut child)),
        }
    }

    fn load(
        &self,
        child: &mut Child,
        limits: &ChildLimits,
        until: Instant,
    ) -> Result<FromChild, Broken> {
        let start = ToChild::Start(limits.clone());
        child.send(&start, &[], until)?;
        let (head, _) = child.receive(0, until)?;
        let FromChild::Ready { missing } = head else {
            return Ok(head);
        };
        self.nursery.tell(&missing);
        let load = ToChild::Load {
            functions: self.functions.clone(),
        };
        child.send(&load, &self.wasm, until)?;
        Ok(child.receive(0, until)?.0)
    }
}

fn child_limits(limits: &CallLimits) -> ChildLimits {
    let calls = limits.call_time.saturating_mul(CALLS);
    // Compiling is one thread's work; the engine itself wants a moment.
    let cpu = limits.compile_time + calls + Duration::from_secs(10);
    ChildLimits {
        memory_bytes: limits.memory_bytes,
        table_elements: limits.table_elements,
        stack_bytes: limits.stack_bytes,
        address_bytes: limits.compile_memory_bytes,
        cpu_seconds: cpu.as_secs().max(1),
        body_bytes: limits.handed_bytes,
    }
}

impl Lent<'_> {
    /// For the next call, where its own went as it should.
    pub(super) fn give_back(self) {
        let Self {
            pool,
            mut place,
            mut child,
        } = self;
        child.calls = child.calls.saturating_add(1);
        if child.calls >= CALLS {
            return;
        }
        child.idle_since = Instant::now();
        // The place goes on with the child.
        place.0 = None;
        lock(&pool.children).idle.push(child);
        pool.freed.notify_one();
    }
}
