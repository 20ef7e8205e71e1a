//! A job and all that is known of it. Only `step` changes one.

use crate::{
    Decision, Digest, Failure, HostId, JobId, Limits, Outcome, Pauses, PhaseSpec, PipelineSpec,
    PluginPin, RootId, RunKey, Timestamp, Unknown, Usage,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Given at submit.
    pub id: JobId,
    /// Given by the store, from 1: a root host derives the workspace's owner from it.
    pub number: i64,
    /// What to make.
    pub name: String,
    /// As it was at submit.
    pub spec: PipelineSpec,
    /// For the plugins.
    pub params: Map<String, Value>,
    /// Higher goes first.
    pub priority: i32,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Whose.
    pub group: Option<String>,
    /// Who submitted it: a token's short digest, or `local` where none is asked for.
    #[serde(default = "local")]
    pub submitter: String,
    /// From 1; raised when a person sends the finished job back.
    pub revision: u32,
    /// What the person asked for.
    pub feedback: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// For what it waits.
    pub wait: Option<Wait>,
    /// Where in its pipeline it is; none before the first claim.
    pub at: Option<Cursor>,
    /// Whether a person asked for its end. The store's column rules.
    pub cancel_requested: bool,
    /// One for each phase of the pipeline, in order.
    pub phases: Vec<Phase>,
    /// Who answers `deploy`, from the first call on.
    pub deploy_plugin: Option<PluginPin>,
    /// Passing failures outside of any attempt, as while it deploys.
    pub pauses: u32,
    /// The same, by what was waited for.
    #[serde(default, skip_serializing_if = "Pauses::is_empty")]
    pub paused: Pauses,
    /// What is published of it.
    pub sites: Vec<SiteRef>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// How often it was taken over from a host that died.
    pub rescues: u32,
    /// Where its workspace is, from the first claim on.
    pub root: Option<RootId>,
    /// The container engine that its agent stands in; only hosts that reach it can go on.
    #[serde(default)]
    pub engine: Option<String>,
    /// Who holds it. The store's column rules.
    pub host: Option<HostId>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it was first taken.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What a later version wrote of it, and this one doesn't know.
    #[serde(skip)]
    pub unknown: Unknown,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Wants only a slot. Moved here by submit, retry, feedback and a host that gives it back;
    /// moved on by a claim, or by cancel.
    Queued,
    /// For what `wait` says. Moved here by a step that can't go on yet, or by submit with
    /// `run_at`; moved on by a claim once the time has come, or by cancel.
    Waiting,
    /// A host holds it. Moved here by a claim; moved on by that host's commits, or by a claim
    /// of another host once its lease has run out.
    Running,
    /// Moved here by the commit that publishes, or that accepts the last phase where nothing
    /// is to be published. Moved on by feedback only.
    Succeeded,
    /// Moved here by the commit of the failure. Moved on by retry or feedback.
    Failed,
    /// Moved here by the holder that saw the request, or at once where nobody held it. Moved
    /// on by retry or feedback.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Waiting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word of the HTTP API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether nothing more happens by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// For what a job waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The kind, and what a person would say.
    pub reason: WaitReason,
    /// What a person would say.
    pub message: String,
    /// Until when; then it is taken again. None where nobody knows.
    pub until: Option<Timestamp>,
}

/// The kinds of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitReason {
    /// `run_at` hasn't come.
    RunAt,
    /// A plugin said `unavailable`, or isn't loaded.
    Plugin,
    /// The provider is overloaded or away.
    Provider,
    /// The container engine is away, or lacks the image.
    Engine,
    /// The run was cut off.
    Interrupted,
    /// A budget is used up.
    Budget,
    /// Its group has as many jobs under way as it may.
    Group,
    /// Its group has started as many jobs lately as it may.
    Rate,
    /// Its pipeline has as many jobs under way as it may.
    Pipeline,
    /// Its pipeline, or everything, is paused.
    Pause,
    /// Every host that could take it is busy.
    Slot,
    /// No host is there that could take it.
    Host,
}

/// Where in its pipeline a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The index of the phase; the number of phases while it deploys.
    pub phase: usize,
    /// What is being done.
    pub stage: Stage,
    /// When that began, or went on after a wait: the time that a call is told, also when a crash
    /// makes it be called again. None where a host of before this field began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What is being done, or is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name")]
pub enum Stage {
    /// The plugin is asked for the tasks. Left when the answer is committed.
    Prompt,
    /// The agent works on a task. Left when its outcome is committed.
    Agent {
        /// The task's index.
        task: usize,
    },
    /// The plugin is asked for its verdict. Left when the verdict is committed.
    Validate,
    /// The plugin is asked what to publish. Left by the commit that publishes it.
    Deploy,
}

impl Stage {
    /// The word of the HTTP API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Agent { .. } => "agent",
            Self::Validate => "validate",
            Self::Deploy => "deploy",
        }
    }
}

/// A phase of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// As in the pipeline.
    pub id: String,
    /// Where it stands in the current revision.
    pub status: PhaseStatus,
    /// Who answers, from the first call on; a retry or a new revision chooses anew.
    pub plugin: Option<PluginPin>,
    /// Of all revisions, in order.
    pub attempts: Vec<Attempt>,
    /// How many of them don't count against the limit any more: those before the last retry.
    pub forgiven: usize,
}

/// Where a phase stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseStatus {
    /// Hasn't begun in this revision.
    #[default]
    Pending,
    /// Has begun.
    Running,
    /// Done in this revision.
    Accepted,
    /// Used up its attempts, was rejected or cut off.
    Failed,
}

/// One run of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1 within its revision.
    pub number: u32,
    /// The job's.
    pub revision: u32,
    /// Who answered; more than one where the first was taken away.
    pub plugins: Vec<PluginPin>,
    /// What `prompt` is told: why the last attempt was sent back, or what a person asked for.
    pub feedback: Option<String>,
    /// What `prompt` answered, kept beside the job under this digest.
    pub kept: Option<Digest>,
    /// As `prompt` planned them.
    pub tasks: Vec<Task>,
    /// Passing failures in a row.
    pub pauses: u32,
    /// The same, by what was waited for.
    #[serde(default, skip_serializing_if = "Pauses::is_empty")]
    pub paused: Pauses,
    /// What `validate` decided.
    pub verdict: Option<Decision>,
    /// What `validate` said, or why the attempt failed.
    pub message: Option<String>,
    /// Whether `validate` wants the next attempt to forget the conversation of this one.
    #[serde(default, skip_serializing_if = "crate::spec::is_default")]
    pub fresh_session: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// One task of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique in the phase.
    pub name: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Which run of the agent, from 1.
    pub run: u32,
    /// What the last run left; none before it ended.
    pub outcome: Option<Outcome>,
    /// What earlier runs used that ended for a passing reason.
    pub spent: Usage,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Its turn hasn't come.
    Pending,
    /// The agent works on it, or is about to.
    Running,
    /// The agent ended well.
    Done,
    /// The agent ended badly.
    Failed,
    /// An earlier one failed.
    Skipped,
}

/// A published site of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRef {
    /// Its address.
    pub slug: String,
    /// For people.
    pub title: String,
}

impl Job {
    /// A job as it is submitted: nothing of it has run.
    pub fn new(id: JobId, name: String, spec: PipelineSpec, created_at: Timestamp) -> Self {
        let phase = |spec: &PhaseSpec| Phase {
            id: spec.id.clone(),
            ..Phase::default()
        };
        Self {
            id,
            number: 0,
            name,
            phases: spec.phases.iter().map(phase).collect(),
            spec,
            params: Map::new(),
            priority: 0,
            run_at: None,
            group: None,
            submitter: local(),
            revision: 1,
            feedback: None,
            status: Status::Queued,
            wait: None,
            at: None,
            cancel_requested: false,
            deploy_plugin: None,
            pauses: 0,
            paused: Pauses::default(),
            sites: Vec::new(),
            error: None,
            rescues: 0,
            root: None,
            engine: None,
            host: None,
            created_at,
            started_at: None,
            finished_at: None,
            unknown: Unknown::default(),
        }
    }

    /// The job, not before `run_at`.
    pub fn not_before(mut self, run_at: Option<Timestamp>) -> Self {
        self.run_at = run_at;
        if let Some(until) = run_at.filter(|at| *at > self.created_at) {
            self.status = Status::Waiting;
            let message = format!("not before {until}, as it was submitted");
            self.wait = Some(Wait {
                reason: WaitReason::RunAt,
                message,
                until: Some(until),
            });
        }
        self
    }

    /// The phase that the cursor is in: its form and its state. None while it deploys.
    pub fn phase(&self) -> Option<(&PhaseSpec, &Phase)> {
        let at = self.at?;
        Some((self.spec.phases.get(at.phase)?, self.phases.get(at.phase)?))
    }

    /// The attempt that the cursor is in.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.phase()?.1.attempts.last()
    }

    /// The run of the agent that the cursor is in.
    pub fn run_key(&self) -> Option<RunKey> {
        let Stage::Agent { task } = self.at?.stage else {
            return None;
        };
        let (spec, phase) = self.phase()?;
        let attempt = phase.attempts.last()?;
        let task = attempt.tasks.get(task)?;
        Some(RunKey {
            job: self.id,
            revision: self.revision,
            phase: spec.id.clone(),
            attempt: attempt.number,
            task: task.name.clone(),
            run: task.run,
        })
    }

    /// What all its runs used.
    pub fn usage(&self) -> Usage {
        let tasks = self
            .phases
            .iter()
            .flat_map(|p| &p.attempts)
            .flat_map(|a| &a.tasks);
        tasks.fold(Usage::default(), |sum, task| {
            let last = task
                .outcome
                .as_ref()
                .map(|outcome| outcome.usage)
                .unwrap_or_default();
            sum.plus(task.spent).plus(last)
        })
    }
}

impl Phase {
    /// Attempts of this revision that count against the limit.
    pub fn used(&self, revision: u32) -> usize {
        let counted = self.attempts.iter().skip(self.forgiven);
        counted
            .filter(|attempt| attempt.revision == revision)
            .count()
    }
}

impl Usage {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost_micro_usd: self.cost_micro_usd.saturating_add(other.cost_micro_usd),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cache_read_tokens: self
                .cache_read_tokens
                .saturating_add(other.cache_read_tokens),
            cache_write_tokens: self
                .cache_write_tokens
                .saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

/// `text`, cut to the limit for messages at a character's edge, with a mark where it was cut.
pub(crate) fn cut(text: &str, limits: &Limits) -> String {
    if text.len() <= limits.message_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limits.message_bytes);
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

/// The submitter where no token is asked for.
fn local() -> String {
    "local".to_owned()
}
