//! The table of the state machine: which input each state takes, and where it may lead.
//! `step` refuses what isn't listed; the tests hold `step` and the documentation against it.

use crate::{Input, Job, Stage, Status};
use std::fmt;

/// Where a job stands, as finely as the machine tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// Wants a slot.
    Queued,
    /// Rests until a time.
    Waiting,
    /// Claimed for the first time: no phase has begun.
    Claimed,
    /// The plugin is asked for the tasks.
    Prompting,
    /// The agent works.
    Working,
    /// The plugin is asked for its verdict.
    Validating,
    /// The plugin is asked what to publish.
    Deploying,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by request.
    Cancelled,
}

/// What may happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputName {
    /// [`Input::Claimed`].
    Claimed,
    /// [`Input::Prompted`].
    Prompted,
    /// [`Input::AgentEnded`].
    AgentEnded,
    /// [`Input::Validated`].
    Validated,
    /// [`Input::Deployed`].
    Deployed,
    /// [`Input::StepFailed`].
    StepFailed,
    /// [`Input::Broken`].
    Broken,
    /// [`Input::HeldBack`].
    HeldBack,
    /// [`Input::GivenBack`].
    GivenBack,
    /// [`Input::Cancel`].
    Cancel,
    /// [`Input::Resume`].
    Resume,
    /// [`Input::Retry`].
    Retry,
    /// [`Input::Feedback`].
    Feedback,
}

impl StateName {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Waiting,
        Self::Claimed,
        Self::Prompting,
        Self::Working,
        Self::Validating,
        Self::Deploying,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Where this job stands.
    pub fn of(job: &Job) -> Self {
        match (job.status, job.at.map(|at| at.stage)) {
            (Status::Queued, _) => Self::Queued,
            (Status::Waiting, _) => Self::Waiting,
            (Status::Succeeded, _) => Self::Succeeded,
            (Status::Failed, _) => Self::Failed,
            (Status::Cancelled, _) => Self::Cancelled,
            (Status::Running, None) => Self::Claimed,
            (Status::Running, Some(Stage::Prompt)) => Self::Prompting,
            (Status::Running, Some(Stage::Agent { .. })) => Self::Working,
            (Status::Running, Some(Stage::Validate)) => Self::Validating,
            (Status::Running, Some(Stage::Deploy)) => Self::Deploying,
        }
    }
}

impl InputName {
    /// Every input.
    pub const ALL: [Self; 13] = [
        Self::Claimed,
        Self::Prompted,
        Self::AgentEnded,
        Self::Validated,
        Self::Deployed,
        Self::StepFailed,
        Self::Broken,
        Self::HeldBack,
        Self::GivenBack,
        Self::Cancel,
        Self::Resume,
        Self::Retry,
        Self::Feedback,
    ];

    /// The name of this input.
    pub fn of(input: &Input) -> Self {
        match input {
            Input::Claimed { .. } => Self::Claimed,
            Input::Prompted { .. } => Self::Prompted,
            Input::AgentEnded(_) => Self::AgentEnded,
            Input::Validated { .. } => Self::Validated,
            Input::Deployed { .. } => Self::Deployed,
            Input::StepFailed { .. } => Self::StepFailed,
            Input::Broken(_) => Self::Broken,
            Input::HeldBack { .. } => Self::HeldBack,
            Input::GivenBack => Self::GivenBack,
            Input::Cancel => Self::Cancel,
            Input::Resume => Self::Resume,
            Input::Retry { .. } => Self::Retry,
            Input::Feedback { .. } => Self::Feedback,
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claimed => "claimed",
            Self::Prompted => "prompted",
            Self::AgentEnded => "agent ended",
            Self::Validated => "validated",
            Self::Deployed => "deployed",
            Self::StepFailed => "step failed",
            Self::Broken => "broken",
            Self::HeldBack => "held back",
            Self::GivenBack => "given back",
            Self::Cancel => "cancel",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Feedback => "feedback",
        })
    }
}

use InputName as I;
use StateName as S;

/// Every legal pair of state and input, and the states that may follow.
/// What a claim finds in a job that was cut off depends on where that was.
pub const TRANSITIONS: &[(StateName, InputName, &[StateName])] = &[
    (S::Queued, I::Cancel, &[S::Cancelled]),
    (S::Waiting, I::Cancel, &[S::Cancelled]),
    (S::Waiting, I::Resume, &[S::Queued]),
    (S::Claimed, I::Claimed, &[S::Prompting, S::Failed]),
    (S::Claimed, I::Cancel, &[S::Cancelled]),
    (S::Claimed, I::GivenBack, &[S::Queued]),
    (S::Claimed, I::Broken, &[S::Waiting, S::Failed]),
    (S::Prompting, I::Claimed, &[S::Prompting, S::Failed]),
    (S::Prompting, I::Prompted, &[S::Working, S::Validating]),
    (S::Prompting, I::StepFailed, &[S::Waiting, S::Failed]),
    (S::Prompting, I::Broken, &[S::Waiting, S::Failed]),
    (S::Prompting, I::GivenBack, &[S::Queued]),
    (S::Prompting, I::Cancel, &[S::Cancelled]),
    (S::Working, I::Claimed, &[S::Working, S::Failed]),
    (
        S::Working,
        I::AgentEnded,
        &[
            S::Working,
            S::Validating,
            S::Prompting,
            S::Waiting,
            S::Failed,
        ],
    ),
    (S::Working, I::Broken, &[S::Waiting, S::Failed]),
    (S::Working, I::HeldBack, &[S::Waiting]),
    (S::Working, I::GivenBack, &[S::Queued]),
    (S::Working, I::Cancel, &[S::Cancelled]),
    (S::Validating, I::Claimed, &[S::Validating, S::Failed]),
    (
        S::Validating,
        I::Validated,
        &[S::Prompting, S::Deploying, S::Succeeded, S::Failed],
    ),
    (S::Validating, I::StepFailed, &[S::Waiting, S::Failed]),
    (S::Validating, I::Broken, &[S::Waiting, S::Failed]),
    (S::Validating, I::GivenBack, &[S::Queued]),
    (S::Validating, I::Cancel, &[S::Cancelled]),
    (S::Deploying, I::Claimed, &[S::Deploying, S::Failed]),
    (S::Deploying, I::Deployed, &[S::Succeeded]),
    (S::Deploying, I::StepFailed, &[S::Waiting, S::Failed]),
    (S::Deploying, I::Broken, &[S::Waiting, S::Failed]),
    (S::Deploying, I::GivenBack, &[S::Queued]),
    (S::Deploying, I::Cancel, &[S::Cancelled]),
    (S::Succeeded, I::Feedback, &[S::Queued]),
    (S::Failed, I::Retry, &[S::Queued]),
    (S::Failed, I::Feedback, &[S::Queued]),
    (S::Cancelled, I::Retry, &[S::Queued]),
    (S::Cancelled, I::Feedback, &[S::Queued]),
];

pub(crate) fn is_legal(state: StateName, input: InputName) -> bool {
    TRANSITIONS
        .iter()
        .any(|(s, i, _)| (*s, *i) == (state, input))
}

/// Which jobs could take it, for people.
pub(crate) fn takers(input: InputName) -> String {
    let takers = TRANSITIONS.iter().filter(|(_, i, _)| *i == input);
    let states: Vec<String> = takers.map(|(state, ..)| state.to_string()).collect();
    match states.split_last() {
        Some((last, [])) => format!("only one that is {last} can"),
        Some((last, rest)) => format!("only one that is {} or {last} can", rest.join(", ")),
        None => "none can".to_owned(),
    }
}

/// The table as a Mermaid diagram: what `docs/src/jobs.md` shows, to the letter.
/// A claim of a queued or waiting job is the store's, and drawn beside the table's own arrows.
pub fn diagram() -> String {
    let mut lines = vec![
        "stateDiagram-v2".to_owned(),
        "    [*] --> queued: submit".to_owned(),
        "    [*] --> waiting: submit with run_at".to_owned(),
    ];
    for rest in [S::Queued, S::Waiting] {
        for found in [
            S::Claimed,
            S::Prompting,
            S::Working,
            S::Validating,
            S::Deploying,
        ] {
            lines.push(format!("    {rest} --> {found}: a host takes it"));
        }
    }
    let mut arrows: Vec<(StateName, StateName, String)> = Vec::new();
    for (from, input, targets) in TRANSITIONS {
        for to in *targets {
            match arrows.iter_mut().find(|(f, t, _)| (f, t) == (from, to)) {
                Some((_, _, label)) => *label = format!("{label}, {input}"),
                None => arrows.push((*from, *to, input.to_string())),
            }
        }
    }
    lines.extend(
        arrows
            .iter()
            .map(|(from, to, label)| format!("    {from} --> {to}: {label}")),
    );
    lines.join("\n")
}
