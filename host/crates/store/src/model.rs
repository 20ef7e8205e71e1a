//! What goes into a store and comes out of it. A job itself is `pipeline::Job`.

use pipeline::{
    Digest, HostId, IllegalTransition, Job, JobId, Lease, PipelineSpec, PluginReport, Publication,
    RefusedFile, RootId, RunKey, Status, Step, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose time counts.
    pub clock: Clock,
    /// Connections at most; the one that listens isn't counted.
    pub connections: u32,
    /// How long to try at the start before giving up.
    pub connect_within: Duration,
    /// How long one call may take before the database counts as away.
    pub call_within: Duration,
    /// Between two calls of a host to itself, by which it knows that it hears wake-ups. One that
    /// hears nothing for twice as long is deaf.
    pub echo_every: Duration,
    /// How long a transaction may rest between two statements before PostgreSQL takes it back: a
    /// host that stands still in the middle of one holds no row for longer.
    pub rest_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::Database,
            connections: 10,
            connect_within: Duration::from_secs(30),
            call_within: Duration::from_secs(10),
            echo_every: Duration::from_secs(10),
            rest_within: Duration::from_secs(3),
        }
    }
}

/// Whose time counts for leases, pauses and `run_at`.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The database's.
    #[default]
    Database,
    /// A test's, in milliseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// What SQL is given as now: nothing where it has to ask itself.
    pub(crate) fn fixed(&self) -> Option<i64> {
        match self {
            Self::Database => None,
            Self::Fixed(now) => Some(now.load(Ordering::SeqCst)),
        }
    }
}

/// The right to write a job: each write carries it, and changes nothing once it is old.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The job.
    pub job: JobId,
    /// The claim's number.
    pub lease: Lease,
    /// Who claimed it.
    pub host: HostId,
}

/// What a host would take.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks.
    pub host: HostId,
    /// The workspace roots that it mounts: a job that has a workspace elsewhere isn't given.
    pub roots: Vec<RootId>,
    /// The container engines that it reaches: a job whose agent stands in another isn't given.
    pub engines: Vec<String>,
    /// Jobs at most.
    pub limit: u32,
    /// Whether it looks also at what has become due, rather than only at what is ready.
    pub look: bool,
    /// How long a claim holds without a heartbeat.
    pub lease_time: Duration,
    /// What it holds by now. It is complete where the claim takes over: nothing else may be giving
    /// jobs to the host meanwhile, or they would look as if it had let go of them.
    pub held: Vec<Hold>,
    /// Whether it takes jobs that are running by the store.
    pub take_over: TakeOver,
}

/// Which running jobs a claim may take. Those come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOver {
    /// None.
    None,
    /// At once the host's own that it doesn't hold: it has restarted, or let go of one.
    Own,
    /// Also anybody's whose lease has run out.
    Expired,
}

/// What a holder makes of a job that it was just given, as part of the claim. None: it does so
/// afterwards, in a commit of its own.
pub type Begin<'a> = dyn Fn(&Claimed) -> Option<Change> + Send + Sync + 'a;

/// A job that a claim gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// As it is now: running; where it has begun, as it is after that.
    pub job: Job,
    /// The claim's number.
    pub lease: Lease,
    /// What it was chosen by, among those that wait: the lowest first.
    pub rank: i64,
    /// Whether it was running before: its holder died, or let go of it.
    pub rescued: bool,
    /// Whether what its holder makes of it is committed with the claim. Not where an end was asked
    /// for in between.
    pub begun: bool,
}

/// A claim that still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Which.
    pub hold: Hold,
    /// Whether its end is asked for.
    pub cancel_requested: bool,
}

/// What a step changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// What `pipeline::step` gave.
    pub step: Step,
    /// The `now` that it was given: a pause is as long by the database's clock as by this one.
    pub now: Timestamp,
    /// What the job refers to by digest, to be kept beside it.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    /// What if a person has asked for the job's end.
    pub on_cancel: OnCancel,
}

/// What a commit does about a cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// Change nothing and say so.
    Refuse,
    /// Commit all the same: this is the commit of the cancel itself.
    Ignore,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Done. The number of the job's last event.
    Done {
        /// The number of the job's last event.
        seq: i64,
    },
    /// Nothing changed: the lease is another's, or the job rests.
    LeaseLost,
    /// Nothing changed: a person has asked for the job's end.
    CancelRequested,
}

/// A piece of what an agent printed: the bytes of its output that some events and lines came of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The run's name, or that of another output of it: each has an offset of its own.
    pub run: String,
    /// Where the piece begins: up to here the output was told before.
    pub from: u64,
    /// Where it ends; past `from`.
    pub to: u64,
}

/// How an append of a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Done, with the offset in the same transaction.
    Done,
    /// Nothing changed: the lease is another's, or the job rests.
    LeaseLost,
    /// Nothing changed: up to `at` the output was told, and the piece doesn't begin there. The
    /// same piece again, as after an answer that was lost, ends so.
    Stands {
        /// Up to which byte the run's output was told.
        at: u64,
    },
}

/// What a reaper needs to know of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Where it stands.
    pub status: Status,
    /// The run of the agent that its cursor is in, also while it rests.
    pub current: Option<RunKey>,
    /// Who holds it.
    pub host: Option<HostId>,
}

/// What a host says of itself. Text and JSON are for people; only `host` and `roots` are rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// Who.
    pub host: HostId,
    /// `all`, `api` or `driver`.
    pub role: String,
    /// The program's.
    pub version: String,
    /// When the process began.
    pub started_at: Timestamp,
    /// About its runner.
    pub runner: Value,
    /// About its agent.
    pub agent: Value,
    /// Loaded plugins.
    pub plugins: Vec<PluginReport>,
    /// Files that may not serve.
    pub refused: Vec<RefusedFile>,
    /// The workspace roots that it mounts.
    pub roots: Vec<RootId>,
}

/// A host, as the others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostState {
    /// What it said last.
    pub report: HostReport,
    /// When it was last heard of, by the database's clock.
    pub seen_at: Timestamp,
    /// Whether that is less than a lease ago.
    pub alive: bool,
}

/// A pipeline file, as a driver sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PipelineEntry {
    /// Jobs can be submitted.
    Ready(PipelineSpec),
    /// They can't.
    Broken {
        /// The file's name, without `.toml`.
        name: String,
        /// What is wrong with it.
        error: String,
    },
}

impl PipelineEntry {
    /// The pipeline's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Ready(spec) => &spec.name,
            Self::Broken { name, .. } => name,
        }
    }
}

/// A job to be submitted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Queued or waiting; the store gives the number.
    pub job: Job,
    /// What makes it the same when it comes again.
    pub idempotency: Option<Idempotency>,
    /// What if its group has another job that hasn't ended.
    pub unique: Option<Unique>,
}

impl NewJob {
    /// A job that comes once, and looks at no others.
    pub const fn of(job: Job) -> Self {
        Self {
            job,
            idempotency: None,
            unique: None,
        }
    }
}

/// What if a job's group has another one that hasn't ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unique {
    /// The other one is kept, and this one isn't taken in.
    Keep,
    /// This one is taken in; those that nobody has begun are cancelled.
    Replace,
    /// It is an error.
    Refuse,
}

/// What makes a request the same.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The client's key; the caller puts before it what tells clients apart.
    pub key: String,
    /// Of the request's body.
    pub body: Digest,
}

/// How a submit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// A new job.
    New(Box<Job>),
    /// The job that this key made before, as it is now.
    Same(Box<Job>),
    /// The key was used with another body.
    KeyReused,
    /// Not taken in: this job of its group hasn't ended.
    Open(Box<Job>),
}

/// How an act ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Acted {
    /// Done, or asked for; the job as it is now.
    Done(Box<Job>),
    /// Not in this state.
    Illegal(IllegalTransition),
    /// Not without its workspace, which was removed for its age or for room.
    WorkspaceGone {
        /// When that began.
        at: Timestamp,
        /// Whether it is being removed now; then ask again in a moment.
        going: bool,
    },
    /// No such job.
    NotFound,
}

/// How a delete ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Gone, with its events, lines, sites and addresses. Where its workspace was.
    Done(Option<RootId>),
    /// It runs: cancel it first.
    Running,
    /// No such job.
    NotFound,
}

/// Which jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// Of this group.
    pub group: Option<String>,
    /// Of one of these groups; none where that doesn't count.
    pub groups: Option<BTreeSet<String>>,
    /// With this in its name, whatever the case.
    pub q: Option<String>,
    /// At most this many.
    pub limit: u32,
    /// Older than the job of this number.
    pub cursor: Option<i64>,
}

/// A piece of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Where the next piece begins; none at the end.
    pub next_cursor: Option<i64>,
}

/// A place in the stream of events over all jobs. Only a store can compare two.
pub type Position = (i64, i64);

/// A published site.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its number, from 1: the cursor of lists.
    pub number: i64,
    /// Its address.
    pub slug: String,
    /// Whose.
    pub job: JobId,
    /// Of which revision.
    pub revision: u32,
    /// What is served.
    pub publication: Publication,
    /// When this revision was published, by the database's clock.
    pub published_at: Timestamp,
}
