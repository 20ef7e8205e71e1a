//! Submitting, reading, acting on and deleting jobs. What an act does to a job is `pipeline`'s.

use crate::budgets::JobBudgets;
use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::query::{Params, job_id, wrong};
use crate::view::JobView;
use crate::{Shared, body};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::{
    Digest, Input, Job, JobId, Limits, PipelineSpec, Status, Timestamp, check_group,
    check_job_name, check_params,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{Acted, Deleted, Filter, HostState, Idempotency, NewJob, Submitted, Unique};
use uuid::Uuid;

const DEFAULT_PIPELINE: &str = "game";
const PRIORITIES: std::ops::RangeInclusive<i32> = -1000..=1000;
const LONGEST_KEY: usize = 255;
/// Levels of params: what reads them later may wrap them, and stops at some depth.
const DEEPEST: usize = 32;
/// How far ahead `run_at` may be.
const FARTHEST: Duration = Duration::from_secs(10 * 366 * 86_400);

type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    name: String,
    pipeline: Option<String>,
    #[serde(default)]
    params: Option<Map<String, Value>>,
    priority: Option<i32>,
    run_at: Option<String>,
    group: Option<String>,
    unique: Option<Unique>,
}

/// What a retry may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) feedback: Option<String>,
    pub(crate) params: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    text: String,
}

pub(crate) async fn submit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Answer {
    let key = idempotency_key(request.headers())?;
    let (mut submission, bytes) = body::json::<Submission>(&shared, request).await?;
    submission.group = caller.group(submission.group)?;
    let pipeline = submission.pipeline.as_deref().unwrap_or(DEFAULT_PIPELINE);
    let spec = shared.pipelines.wanted(pipeline).await?;
    let unique = submission.unique;
    if unique.is_some() && submission.group.is_none() {
        let detail = "`unique` is within a group: give the job's `group`, too";
        return Err(Problem::new(Code::InvalidJob, detail));
    }
    let new = NewJob {
        unique,
        job: Job {
            submitter: caller.submitter(),
            ..new_job(&shared, submission, spec)?
        },
        idempotency: key.map(|key| Idempotency {
            key: caller.key(&key),
            body: Digest::of(&bytes),
        }),
    };
    let (job, replayed) = match shared.store.submit(&new).await? {
        Submitted::New(job) => (job, false),
        Submitted::Same(job) => (job, true),
        Submitted::Open(job) if unique == Some(Unique::Keep) => {
            return Ok(just_sent(&shared, StatusCode::OK, &job));
        }
        Submitted::Open(job) => {
            let detail = format!(
                "the group's job {} hasn't ended: wait for it, or cancel it",
                job.id
            );
            return Err(Problem::new(Code::NotUnique, detail));
        }
        Submitted::KeyReused => {
            let detail = "this key was sent before with another body: take a new key for a new job";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
    };
    let mut answer = just_sent(&shared, StatusCode::CREATED, &job);
    let headers = answer.headers_mut();
    if let Ok(place) = HeaderValue::from_str(&format!("/api/jobs/{}", job.id)) {
        headers.insert(header::LOCATION, place);
    }
    if replayed {
        let name = HeaderName::from_static("idempotent-replayed");
        headers.insert(name, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

fn new_job(shared: &Shared, from: Submission, spec: PipelineSpec) -> Result<Job, Problem> {
    let limits = &shared.config.limits;
    let invalid = |error: pipeline::NameError| Problem::new(Code::InvalidJob, error.to_string());
    check_job_name(&from.name, limits).map_err(invalid)?;
    if let Some(group) = &from.group {
        check_group(group, limits).map_err(invalid)?;
        if group == "*" {
            let detail =
                "the group `*` stands for groups without limits of their own: take another";
            return Err(Problem::new(Code::InvalidJob, detail));
        }
    }
    let params = from.params.unwrap_or_default();
    checked(&params, limits)?;
    let priority = from.priority.unwrap_or(0);
    if !PRIORITIES.contains(&priority) {
        let (least, most) = PRIORITIES.into_inner();
        let detail = format!("the priority is {priority}; it must be {least} to {most}");
        return Err(Problem::new(Code::InvalidJob, detail));
    }
    let now = (shared.config.now)();
    let run_at = from
        .run_at
        .as_deref()
        .map(|text| run_at(text, now))
        .transpose()?;
    let job = Job {
        params,
        priority,
        group: from.group,
        ..Job::new(JobId(Uuid::now_v7()), from.name, spec, now)
    };
    Ok(job.not_before(run_at))
}

fn checked(params: &Map<String, Value>, limits: &Limits) -> Result<(), Problem> {
    check_params(params, limits)
        .map_err(|error| Problem::new(Code::InvalidJob, error.to_string()))?;
    if params.values().any(|value| is_deeper(value, DEEPEST - 1)) {
        let detail =
            format!("the params are nested deeper than the {DEEPEST} levels that are allowed");
        return Err(Problem::new(Code::InvalidJob, detail));
    }
    Ok(())
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let inner = |value| is_deeper(value, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(inner),
        Value::Object(fields) => levels == 0 || fields.values().any(inner),
        _ => false,
    }
}

fn run_at(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let Some(at) = Timestamp::parse(text) else {
        let detail = "run_at must be an RFC 3339 time, such as 2030-01-31T08:00:00Z";
        return Err(Problem::new(Code::InvalidJob, detail));
    };
    if at < Timestamp::default() || at > now.after(FARTHEST) {
        let detail = "run_at must be after 1970 and at most ten years ahead";
        return Err(Problem::new(Code::InvalidJob, detail));
    }
    Ok(at)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = || {
        let detail =
            format!("send one Idempotency-Key of 1 to {LONGEST_KEY} visible ASCII characters");
        Problem::new(Code::BadIdempotencyKey, detail)
    };
    let name = HeaderName::from_static("idempotency-key");
    let Some(key) = crate::host::one(headers, name).map_err(|()| wrong())? else {
        return Ok(None);
    };
    let fits = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(Some(key.to_owned()))
    } else {
        Err(wrong())
    }
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    mut params: Params,
) -> Answer {
    let status = params
        .text("status")
        .map(|word| status(&word))
        .transpose()?;
    let filter = Filter {
        status,
        pipeline: params.text("pipeline"),
        group: params.text("group"),
        groups: caller.groups().cloned(),
        q: params.text("q").filter(|q| !q.is_empty()),
        limit: params.limit(200, 50)?,
        cursor: params.place("cursor")?,
    };
    params.done("status, pipeline, group, q, limit and cursor")?;
    let page = shared.store.jobs(&filter).await?;
    let hosts = hosts(&shared, &page.items).await?;
    let items: Vec<_> = page
        .items
        .iter()
        .map(|job| JobView::new(job, &shared.config, Some(&hosts)))
        .collect();
    let next_cursor = page.next_cursor.map(|cursor| cursor.to_string());
    Ok(Json(json!({ "items": items, "next_cursor": next_cursor })).into_response())
}

fn status(word: &str) -> Result<Status, Problem> {
    Status::from_word(word).ok_or_else(|| {
        let known = Status::ALL.map(Status::word).join(", ");
        wrong(format!("`status` must be one of {known}"))
    })
}

pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let job = find(&shared, &caller, &id).await?;
    let hosts = hosts(&shared, std::slice::from_ref(&job)).await?;
    let budgets = JobBudgets::of(&shared, &job).await?;
    let view = JobView::new(&job, &shared.config, Some(&hosts)).with(&budgets);
    Ok(Json(view).into_response())
}

/// A job that the caller may see: to them there is no other.
pub(crate) async fn find(shared: &Shared, caller: &Caller, id: &str) -> Result<Job, Problem> {
    let id = job_id(id)?;
    let job = shared.store.job(id).await?;
    job.filter(|job| caller.sees(job))
        .ok_or_else(|| Problem::no_job(id))
}

/// The id of a job that is to be changed: looked up where the caller doesn't see every one. A job
/// never changes its group.
async fn within_reach(shared: &Shared, caller: &Caller, id: &str) -> Result<JobId, Problem> {
    match caller.groups() {
        None => job_id(id),
        Some(_) => Ok(find(shared, caller, id).await?.id),
    }
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    act(&shared, &caller, &id, Input::Cancel).await
}

pub(crate) async fn retry(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    job_id(&id)?;
    let asked: Retry = body::json_or_none(&shared, request).await?;
    let limits = &shared.config.limits;
    asked.check(limits)?;
    let input = asked.of(&find(&shared, &caller, &id).await?, limits)?;
    act(&shared, &caller, &id, input).await
}

impl Retry {
    /// What can be said without looking at a job.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Problem> {
        match &self.feedback {
            Some(text) => check_text("feedback", text, limits),
            None => Ok(()),
        }
    }

    /// What this job is to be given: the params that it would have then are checked as at submit.
    pub(crate) fn of(&self, job: &Job, limits: &Limits) -> Result<Input, Problem> {
        let params = self.params.clone().unwrap_or_default();
        if !params.is_empty() {
            let mut all = job.params.clone();
            all.extend(params.clone());
            checked(&all, limits)?;
        }
        Ok(Input::Retry {
            feedback: self.feedback.clone(),
            params,
        })
    }
}

/// What a person writes for an agent.
fn check_text(what: &str, text: &str, limits: &Limits) -> Result<(), Problem> {
    let limit = limits.message_bytes;
    let invalid = |detail: String| Err(Problem::new(Code::InvalidBody, detail));
    if text.trim().is_empty() {
        return invalid(format!("the {what} is empty: say what should be different"));
    }
    if text.len() > limit {
        return invalid(format!(
            "the {what} is {} bytes long; at most {limit} are allowed",
            text.len()
        ));
    }
    if text.contains('\0') {
        return invalid(format!("the {what} holds a NUL: remove it"));
    }
    Ok(())
}

pub(crate) async fn feedback(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    job_id(&id)?;
    let (Feedback { text }, _) = body::json(&shared, request).await?;
    check_text("text", &text, &shared.config.limits)?;
    act(&shared, &caller, &id, Input::Feedback { text }).await
}

/// Gives a job that the caller may change an input.
pub(crate) async fn act(shared: &Shared, caller: &Caller, id: &str, input: Input) -> Answer {
    let id = within_reach(shared, caller, id).await?;
    let now = (shared.config.now)();
    match shared
        .store
        .act(id, input, &shared.config.limits, now)
        .await?
    {
        Acted::Done(job) => Ok(just_sent(shared, StatusCode::ACCEPTED, &job)),
        Acted::Illegal(why) => Err(Problem::new(Code::WrongState, why.to_string())),
        Acted::WorkspaceGone { at, going } => Err(Problem::workspace_gone(at, going)),
        Acted::NotFound => Err(Problem::no_job(id)),
    }
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let id = within_reach(&shared, &caller, &id).await?;
    match shared.store.delete(id).await? {
        Deleted::Done(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Deleted::Running => {
            let detail = "the job runs: cancel it first, and delete it once it has stopped";
            Err(Problem::new(Code::JobRunning, detail))
        }
        Deleted::NotFound => Err(Problem::no_job(id)),
    }
}

/// A job that was written just now: nobody could have taken it yet.
fn just_sent(shared: &Shared, status: StatusCode, job: &Job) -> Response {
    (status, Json(JobView::new(job, &shared.config, None))).into_response()
}

/// The hosts, where one of these jobs is queued: they say why it isn't taken.
async fn hosts(shared: &Shared, jobs: &[Job]) -> Result<Vec<HostState>, Problem> {
    if jobs.iter().any(|job| job.status == Status::Queued) {
        return Ok(shared.store.hosts().await?);
    }
    Ok(Vec::new())
}
