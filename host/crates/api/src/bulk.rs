//! The same act on many jobs, chosen by a filter: each is a transaction of its own, and an answer
//! says where to go on. What an act does to a job is `pipeline`'s.

use crate::caller::Caller;
use crate::jobs::Retry;
use crate::problem::{Code, Problem};
use crate::{Shared, body};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use pipeline::{FailureKind, Input, Job, JobId, Status, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use store::{Acted, Filter};

/// Jobs that one request acts on.
const MOST: u32 = 1_000;
const LIMIT: u32 = 100;
/// Rows that are read at once, and by one request.
const PAGE: u32 = 200;
const ROWS: usize = 4_000;

/// Which jobs, and what they are told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    status: Option<String>,
    pipeline: Option<String>,
    group: Option<String>,
    error_kind: Option<String>,
    q: Option<String>,
    before: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
    dry_run: bool,
    feedback: Option<String>,
    params: Option<Map<String, Value>>,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// Jobs that the filter chose.
    matched: u32,
    /// Those that took it.
    done: u32,
    /// Those that were done, or would be.
    ids: Vec<JobId>,
    skipped: Vec<Skipped>,
    dry_run: bool,
    /// Where the next request goes on; none where there is nothing left.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    id: JobId,
    why: String,
}

/// What is done to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Retry,
    Cancel,
}

impl Verb {
    /// The states that it is for, in the order in which they are gone through; without a word of
    /// the client only the first `usual` of them.
    const fn statuses(self) -> (&'static [Status], usize) {
        match self {
            Self::Retry => (&[Status::Failed, Status::Cancelled], 1),
            // A job moves on to the right, as a rule, and so isn't missed.
            Self::Cancel => (&[Status::Queued, Status::Waiting, Status::Running], 3),
        }
    }
}

pub(crate) async fn retry(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    act(&shared, &caller, request, Verb::Retry).await
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    act(&shared, &caller, request, Verb::Cancel).await
}

async fn act(
    shared: &Shared,
    caller: &Caller,
    request: Request,
    verb: Verb,
) -> Result<Response, Problem> {
    let (asked, _) = body::json::<Asked>(shared, request).await?;
    let mut choice = Choice::of(&asked, verb)?;
    let said = Retry {
        feedback: asked.feedback,
        params: asked.params,
    };
    if verb == Verb::Retry {
        said.check(&shared.config.limits)?;
    } else if said.feedback.is_some() || said.params.is_some() {
        return Err(invalid("a cancel takes no `feedback` and no `params`"));
    }
    let mut answer = Answer {
        dry_run: asked.dry_run,
        ..Answer::default()
    };
    let mut rows = 0;
    while let Some(status) = choice.statuses.first().copied() {
        let filter = choice.filter(status, caller);
        let page = shared.store.jobs(&filter).await?;
        rows += page.items.len();
        for job in &page.items {
            if answer.matched == choice.limit {
                answer.next_cursor = Some(choice.cursor(status));
                return Ok(Json(answer).into_response());
            }
            choice.seen = Some(job.number);
            if choice.takes(job) {
                one(shared, verb, &said, job, &mut answer).await?;
            }
        }
        match page.next_cursor {
            Some(cursor) => choice.seen = Some(cursor),
            None => choice.next_status(),
        }
        if rows >= ROWS
            && let Some(status) = choice.statuses.first()
        {
            answer.next_cursor = Some(choice.cursor(*status));
            break;
        }
    }
    Ok(Json(answer).into_response())
}

/// One job of them. A store that is away ends the request: what was done stays done.
async fn one(
    shared: &Shared,
    verb: Verb,
    said: &Retry,
    job: &Job,
    answer: &mut Answer,
) -> Result<(), Problem> {
    let limits = &shared.config.limits;
    answer.matched += 1;
    let id = job.id;
    let mut skip = |why: String| answer.skipped.push(Skipped { id, why });
    let input = match verb {
        Verb::Cancel => Input::Cancel,
        Verb::Retry => match said.of(job, limits) {
            Ok(input) => input,
            Err(problem) => {
                skip(problem.detail);
                return Ok(());
            }
        },
    };
    if !answer.dry_run {
        let now = (shared.config.now)();
        match shared.store.act(id, input, limits, now).await? {
            Acted::Done(_) => answer.done += 1,
            Acted::Illegal(why) => {
                skip(why.to_string());
                return Ok(());
            }
            Acted::WorkspaceGone { at, going } => {
                skip(Problem::workspace_gone(at, going).detail);
                return Ok(());
            }
            Acted::NotFound => {
                skip("it was deleted just now".to_owned());
                return Ok(());
            }
        }
    }
    answer.ids.push(id);
    Ok(())
}

/// The filter, checked, and where it is.
struct Choice {
    statuses: Vec<Status>,
    pipeline: Option<String>,
    group: Option<String>,
    q: Option<String>,
    error_kind: Option<FailureKind>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    limit: u32,
    /// The number of the last job that was looked at, in the first of the statuses.
    seen: Option<i64>,
}

impl Choice {
    fn of(asked: &Asked, verb: Verb) -> Result<Self, Problem> {
        let texts = [
            &asked.status,
            &asked.pipeline,
            &asked.group,
            &asked.error_kind,
            &asked.q,
            &asked.before,
            &asked.after,
        ];
        let says_nothing = |text: &&Option<String>| text.as_deref().is_none_or(str::is_empty);
        if texts.iter().all(says_nothing) {
            return Err(invalid(
                "the filter is empty, and would take every job: give at least one of `status`, \
                 `pipeline`, `group`, `error_kind`, `q`, `before` and `after`",
            ));
        }
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(invalid("the filter holds a NUL: remove it"));
        }
        let limit = asked.limit.unwrap_or(LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(invalid(format!("`limit` must be 1 to {MOST}")));
        }
        if verb == Verb::Cancel && asked.error_kind.is_some() {
            return Err(invalid(
                "`error_kind` is for retry: what can be cancelled has no error",
            ));
        }
        let mut choice = Self {
            statuses: statuses(asked.status.as_deref(), verb)?,
            pipeline: asked.pipeline.clone(),
            group: asked.group.clone(),
            q: asked.q.clone().filter(|q| !q.is_empty()),
            error_kind: asked.error_kind.as_deref().map(kind).transpose()?,
            before: asked
                .before
                .as_deref()
                .map(|at| time("before", at))
                .transpose()?,
            after: asked
                .after
                .as_deref()
                .map(|at| time("after", at))
                .transpose()?,
            limit,
            seen: None,
        };
        if let Some(cursor) = &asked.cursor {
            choice.go_on(cursor)?;
        }
        Ok(choice)
    }

    fn filter(&self, status: Status, caller: &Caller) -> Filter {
        Filter {
            groups: caller.groups().cloned(),
            status: Some(status),
            pipeline: self.pipeline.clone(),
            group: self.group.clone(),
            q: self.q.clone(),
            limit: PAGE,
            cursor: self.seen,
        }
    }

    fn takes(&self, job: &Job) -> bool {
        let kind = job.error.as_ref().map(|error| error.kind);
        self.error_kind.is_none_or(|wanted| kind == Some(wanted))
            && self.before.is_none_or(|before| job.created_at < before)
            && self.after.is_none_or(|after| job.created_at > after)
    }

    fn next_status(&mut self) {
        self.statuses.remove(0);
        self.seen = None;
    }

    fn cursor(&self, status: Status) -> String {
        match self.seen {
            Some(number) => format!("{}-{number}", status.word()),
            None => status.word().to_owned(),
        }
    }

    fn go_on(&mut self, cursor: &str) -> Result<(), Problem> {
        let wrong = || invalid("`cursor` must be what the last answer gave");
        let (word, number) = match cursor.split_once('-') {
            Some((word, number)) => (word, Some(number)),
            None => (cursor, None),
        };
        let status = Status::from_word(word).ok_or_else(wrong)?;
        let at = self
            .statuses
            .iter()
            .position(|known| *known == status)
            .ok_or_else(wrong)?;
        self.statuses.drain(..at);
        self.seen = number
            .map(|number| number.parse().map_err(|_| wrong()))
            .transpose()?;
        Ok(())
    }
}

fn statuses(word: Option<&str>, verb: Verb) -> Result<Vec<Status>, Problem> {
    let (all, usual) = verb.statuses();
    let Some(word) = word else {
        return Ok(all.iter().take(usual).copied().collect());
    };
    match Status::from_word(word).filter(|status| all.contains(status)) {
        Some(status) => Ok(vec![status]),
        None => {
            let known: Vec<&str> = all.iter().map(|status| status.word()).collect();
            Err(invalid(format!(
                "`status` must be one of {}",
                known.join(", ")
            )))
        }
    }
}

fn kind(word: &str) -> Result<FailureKind, Problem> {
    let found = FailureKind::ALL
        .into_iter()
        .find(|kind| kind.word() == word);
    found.ok_or_else(|| {
        let known = FailureKind::ALL.map(FailureKind::word).join(", ");
        invalid(format!("`error_kind` must be one of {known}"))
    })
}

fn time(what: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).ok_or_else(|| {
        invalid(format!(
            "`{what}` must be an RFC 3339 time, such as 2030-01-31T08:00:00Z"
        ))
    })
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}
