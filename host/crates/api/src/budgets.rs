//! What a job and its phases may spend, and what they have: as people see it and set it.

use crate::caller::Caller;
use crate::jobs::{act, find};
use crate::problem::{Code, Problem};
use crate::{ApiConfig, Shared, body};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use pipeline::{BudgetKind, Input, Job, Status, WaitReason, micro_usd, usd};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{AccountState, BudgetOf, BudgetState, JobMoney};

type Answer = Result<Response, Problem>;

/// What was spent of what may be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BudgetView {
    /// None where nothing holds it.
    limit_usd: Option<String>,
    spent_usd: String,
    /// Of what is spent: taken at its dearest, since nobody said what it was.
    assumed_usd: String,
    /// For requests that are under way, or about to be.
    set_aside_usd: String,
    /// Whether nine tenths of it are spent.
    near: bool,
    requests: u64,
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    output_tokens: u64,
}

impl BudgetView {
    pub(crate) fn new(
        kind: BudgetKind,
        planned: Option<&str>,
        account: &AccountState,
        config: &ApiConfig,
    ) -> Self {
        let of = BudgetOf {
            planned: planned.and_then(|usd| micro_usd(usd).ok()),
            ceiling: config.budgets.get(&kind).copied(),
        };
        let limit = of.limit(account.own);
        let AccountState {
            spent, reserved, ..
        } = account;
        let usage = &spent.usage;
        let near = |limit| {
            BudgetState {
                kind,
                limit,
                spent: usage.cost_micro_usd,
                reserved: *reserved,
            }
            .is_near()
        };
        Self {
            limit_usd: limit.map(usd),
            spent_usd: usd(usage.cost_micro_usd),
            assumed_usd: usd(spent.assumed_micro_usd),
            set_aside_usd: usd(*reserved),
            near: limit.is_some_and(near),
            requests: spent.requests,
            input_tokens: usage.input_tokens,
            cache_read_tokens: usage.cache_read_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            output_tokens: usage.output_tokens,
        }
    }
}

/// A job's budgets: its own, and each phase's by id.
#[derive(Clone, Debug)]
pub(crate) struct JobBudgets {
    pub(crate) job: BudgetView,
    pub(crate) phases: BTreeMap<String, BudgetView>,
}

impl JobBudgets {
    pub(crate) async fn of(shared: &Shared, job: &Job) -> Result<Self, Problem> {
        let money = shared.money.job_money(job.id, job.revision).await?;
        Ok(Self::new(job, &money, &shared.config))
    }

    fn new(job: &Job, money: &JobMoney, config: &ApiConfig) -> Self {
        let none = AccountState::default();
        let phase = |spec: &pipeline::PhaseSpec| {
            let account = money.phases.get(&spec.id).unwrap_or(&none);
            let planned = spec.budget_usd.as_deref();
            let view = BudgetView::new(BudgetKind::Phase, planned, account, config);
            (spec.id.clone(), view)
        };
        let planned = job.spec.budget_usd.as_deref();
        Self {
            job: BudgetView::new(BudgetKind::Job, planned, &money.job, config),
            phases: job.spec.phases.iter().map(phase).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBudget {
    /// None: as the pipeline says.
    usd: Option<String>,
    /// None: the job's.
    phase: Option<String>,
}

/// Gives a job or a phase another budget; where the job waits for money, it goes on.
pub(crate) async fn put_job(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let (asked, _) = body::json::<NewBudget>(&shared, request).await?;
    let micro_usd = amount("usd", asked.usd.as_deref())?;
    let job = find(&shared, &caller, &id).await?;
    let phase = match &asked.phase {
        None => None,
        Some(phase) if job.spec.phases.iter().any(|spec| spec.id == *phase) => {
            Some((job.revision, phase.as_str()))
        }
        Some(phase) => {
            let known: Vec<&str> = job
                .spec
                .phases
                .iter()
                .map(|spec| spec.id.as_str())
                .collect();
            let phase: String = phase.chars().take(100).collect();
            let detail = format!(
                "the job has no phase `{phase}`; it has {}",
                known.join(", ")
            );
            return Err(Problem::new(Code::InvalidBody, detail));
        }
    };
    shared
        .money
        .set_job_budget(job.id, phase, micro_usd)
        .await?;
    // Only now: whoever comes to wait from here on knows of the money.
    let job = find(&shared, &caller, &id).await?;
    let waits = job.status == Status::Waiting
        && job
            .wait
            .as_ref()
            .is_some_and(|wait| wait.reason == WaitReason::Budget);
    if waits {
        return act(&shared, &caller, &id, Input::Resume).await;
    }
    let budgets = JobBudgets::of(&shared, &job).await?;
    Ok(Json(json!({ "budget": budgets.job, "phases": budgets.phases })).into_response())
}

/// Lets a job that waits try again now, whatever it waits for.
pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    act(&shared, &caller, &id, Input::Resume).await
}

/// An amount of money in this field of a body, in micro-dollars.
pub(crate) fn amount(field: &str, usd: Option<&str>) -> Result<Option<u64>, Problem> {
    usd.map(micro_usd)
        .transpose()
        .map_err(|error| Problem::new(Code::InvalidBody, format!("`{field}`: {error}")))
}
