//! A job as the HTTP API gives it. The stored form is another one, and may change.

use crate::ApiConfig;
use crate::budgets::{BudgetView, JobBudgets};
use pipeline::{
    Attempt, Decision, Failure, Job, JobId, Phase, PhaseStatus, PluginPin, Status, Task,
    TaskStatus, Timestamp, Usage, Wait, usd,
};
use serde::Serialize;
use serde_json::{Map, Value};
use store::HostState;

#[derive(Serialize)]
pub(crate) struct JobView<'a> {
    id: JobId,
    name: &'a str,
    pipeline: &'a str,
    params: &'a Map<String, Value>,
    priority: i32,
    run_at: Option<Timestamp>,
    group: Option<&'a str>,
    revision: u32,
    feedback: Option<&'a str>,
    status: Status,
    wait: Option<Wait>,
    phase: Option<&'a str>,
    stage: Option<&'static str>,
    attempt: Option<u32>,
    cancel_requested: bool,
    phases: Vec<PhaseView<'a>>,
    site: Option<SiteRefView<'a>>,
    sites: Vec<SiteRefView<'a>>,
    error: Option<&'a Failure>,
    cost_usd: String,
    /// Where somebody asks for one job only.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<&'a BudgetView>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

#[derive(Clone, Serialize)]
struct SiteRefView<'a> {
    slug: &'a str,
    title: &'a str,
    url: String,
}

#[derive(Serialize)]
struct PhaseView<'a> {
    id: &'a str,
    status: PhaseStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<&'a BudgetView>,
    attempts: Vec<AttemptView<'a>>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    number: u32,
    revision: u32,
    /// Who answered last.
    plugin: Option<&'a PluginPin>,
    /// Who answered; more than one where the first was taken away.
    plugins: &'a [PluginPin],
    tasks: Vec<TaskView<'a>>,
    verdict: Option<Decision>,
    message: Option<&'a str>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct TaskView<'a> {
    name: &'a str,
    status: TaskStatus,
    run: u32,
    exit_code: Option<i32>,
    failure: Option<&'a Failure>,
    duration_ms: Option<u64>,
    cost_usd: String,
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    output_tokens: u64,
}

impl<'a> JobView<'a> {
    /// `hosts` say why a job that is queued isn't taken; none where nobody has asked that.
    pub(crate) fn new(job: &'a Job, config: &ApiConfig, hosts: Option<&[HostState]>) -> Self {
        let site = |site: &'a pipeline::SiteRef| SiteRefView {
            slug: &site.slug,
            title: &site.title,
            url: config.site_url(&site.slug),
        };
        let sites: Vec<_> = job.sites.iter().map(site).collect();
        Self {
            id: job.id,
            name: &job.name,
            pipeline: &job.spec.name,
            params: &job.params,
            priority: job.priority,
            run_at: job.run_at,
            group: job.group.as_deref(),
            revision: job.revision,
            feedback: job.feedback.as_deref(),
            status: job.status,
            wait: match hosts {
                Some(hosts) => crate::waits::of(job, hosts),
                None => job.wait.clone(),
            },
            phase: job.phase().map(|(spec, _)| spec.id.as_str()),
            stage: job.at.map(|at| at.stage.word()),
            attempt: job.attempt().map(|attempt| attempt.number),
            cancel_requested: job.cancel_requested,
            phases: job.phases.iter().map(phase).collect(),
            site: sites.first().cloned(),
            sites,
            error: job.error.as_ref(),
            cost_usd: usd(job.usage().cost_micro_usd),
            budget: None,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }

    /// With what it and its phases have spent by now.
    pub(crate) fn with(mut self, budgets: &'a JobBudgets) -> Self {
        self.budget = Some(&budgets.job);
        for phase in &mut self.phases {
            phase.budget = budgets.phases.get(phase.id);
        }
        self
    }
}

fn phase(phase: &Phase) -> PhaseView<'_> {
    PhaseView {
        id: &phase.id,
        status: phase.status,
        budget: None,
        attempts: phase.attempts.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &Attempt) -> AttemptView<'_> {
    AttemptView {
        number: attempt.number,
        revision: attempt.revision,
        plugin: attempt.plugins.last(),
        plugins: &attempt.plugins,
        tasks: attempt.tasks.iter().map(task).collect(),
        verdict: attempt.verdict,
        message: attempt.message.as_deref(),
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
    }
}

fn task(task: &Task) -> TaskView<'_> {
    let outcome = task.outcome.as_ref();
    let last = outcome.map_or_else(Usage::default, |outcome| outcome.usage);
    let usage = task.spent.plus(last);
    TaskView {
        name: &task.name,
        status: task.status,
        run: task.run,
        exit_code: outcome.and_then(|outcome| outcome.exit_code),
        failure: outcome.and_then(|outcome| outcome.failure.as_ref()),
        duration_ms: outcome.map(|outcome| outcome.duration_ms),
        cost_usd: usd(usage.cost_micro_usd),
        input_tokens: usage.input_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
    }
}
