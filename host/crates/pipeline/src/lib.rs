//! The vocabulary of Gantry, and the pure state machine that moves a job.
//!
//! [`step`] says what follows from an input, [`resume`] what to do after a crash.
//! Nothing here reads a clock, a file, a socket or a random number.

mod access;
mod failure;
mod id;
mod names;

mod back_off;
mod blame;
mod breaker;
mod budget;
mod disk;
mod limits;
mod money;
mod network;
mod plugin;
mod redact;
mod retention;
mod spec;
mod timestamp;

mod change;
mod event;
mod job;
mod outcome;
mod session;
mod snapshot;
mod unknown;

mod step;
mod table;

mod boundary;

pub use access::{MOST_GROUPS, Scope, Token, TokenError, TokenSpec, token_text};
pub use back_off::{BackOff, BackOffs, Pauses};
pub use blame::{Accused, BlameRule, PluginFault, blame};
pub use boundary::{Boundaries, Boundary};
pub use breaker::{Breaker, BreakerGate, BreakerRule};
pub use budget::{BudgetKind, BudgetWait};
pub use change::{ChangeKind, ChangedFile, Changes, ContentKind, FileState, LeftOut};
pub use disk::{DiskPast, DiskUse, pause_after_look};
pub use event::{Event, EventKind, Level, LogLine, StoredEvent};
pub use failure::{Failure, FailureKind};
pub use id::{Digest, HostId, JobId, Lease, RootId, RunKey};
pub use job::{
    Attempt, Cursor, Job, Phase, PhaseStatus, SiteRef, Stage, Status, Task, TaskStatus, Wait,
    WaitReason,
};
pub use limits::Limits;
pub use money::{NoAmount, micro_usd, usd};
pub use names::{NameError, check_group, check_job_name, check_params, is_slug, slug_from};
pub use network::{HostRule, Network, NetworkCap, Reach, Registry};
pub use outcome::{
    Decision, FileEntry, Outcome, PlannedTask, Publication, SitePlan, StagedFile, StepError,
    TaskOptions, Usage, Verdict,
};
pub use plugin::{
    HoldKind, Manifest, PluginGeneration, PluginHold, PluginPin, PluginReport, PluginState,
    RecordedCall, RefusedFile,
};
pub use redact::{RedactedStream, Redactor};
pub use retention::{Due, EndedJob, EndedWorkspace, Retention, Why};
pub use session::Session;
pub use snapshot::{AttemptKey, AttemptSnapshots, SnapshotName};
pub use spec::{
    DeploySpec, Permissions, PhaseSpec, PipelineSpec, PluginLimits, PluginReq, SpecError,
    parse_duration, parse_size,
};
pub use step::{Command, IllegalTransition, Input, Step, resume, step};
pub use table::{InputName, StateName, TRANSITIONS, diagram};
pub use timestamp::Timestamp;
pub use unknown::Unknown;
