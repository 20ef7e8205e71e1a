//! What holds for both databases and needs none: how a row becomes a job, what may go into a
//! text column, where a page ends, which address comes next.

use crate::{Claimed, Page, Site, StoreError, Wake};
use pipeline::{
    Event, EventKind, HoldKind, HostId, Job, JobId, Level, LogLine, Publication, Status,
    StoredEvent, Timestamp, Wait, WaitReason,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;
use uuid::Uuid;

/// The owner of blobs that are no job's.
pub(crate) const NOBODY: Uuid = Uuid::nil();

/// How long a row that can't be read is left alone before another host may try, ms.
pub(crate) const UNREADABLE_PAUSE_MS: i64 = 60_000;

/// What a point of priority is worth, in ms of waiting: who waits long enough is overtaken by
/// nobody. In the table it is a constant of the row, so that an index serves it.
pub(crate) const PRIORITY_MS: i64 = 60_000;

/// Hosts that were silent for longer are forgotten, ms: a week.
pub(crate) const FORGET_HOST_MS: i64 = 7 * 86_400_000;

/// A host that has never sent a heartbeat, as one with the role `api`, is alive for so long, ms.
pub(crate) const HOST_WITHOUT_LEASE_MS: i64 = 60_000;

/// How often a token's use is noted at most, ms.
pub(crate) const TOKEN_USED_MS: i64 = 60_000;

/// From its word; the table holds no other.
pub(crate) fn hold_kind(word: &str) -> HoldKind {
    match word {
        "rolled-back" => HoldKind::RolledBack,
        _ => HoldKind::Quarantined,
    }
}

/// What is read of a job. The columns rule over the body.
pub(crate) struct JobRow {
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) status: String,
    pub(crate) wait_until: Option<i64>,
    pub(crate) cancel_requested: bool,
    pub(crate) host: Option<String>,
    pub(crate) engine: Option<String>,
    /// What keeps it back, if it isn't a time.
    pub(crate) line: Option<String>,
    /// Until when, where its group's rate does.
    pub(crate) line_until: Option<i64>,
    /// JSON: the addresses that are published.
    pub(crate) live: String,
    pub(crate) body: String,
}

impl JobRow {
    /// As people and drivers see it.
    pub(crate) fn job(self) -> Result<Job, StoreError> {
        let mut job = self.stored()?;
        if job.status != Status::Waiting {
            job.wait = None;
        }
        Ok(job)
    }

    /// As its new holder gets it: with what it waited for until now, which a step wants to know.
    pub(crate) fn taken_by(self, host: &HostId) -> Result<Job, StoreError> {
        let mut job = self.stored()?;
        job.status = Status::Running;
        job.host = Some(host.clone());
        Ok(job)
    }

    fn stored(self) -> Result<Job, StoreError> {
        let what = || format!("job {}", self.id);
        let mut job = Job::from_json(&self.body).map_err(unreadable(what))?;
        let live: BTreeSet<String> = parse(&self.live, what)?;
        job.id = JobId(self.id);
        job.number = self.number;
        job.status = Status::from_word(&self.status).ok_or_else(|| StoreError::Unreadable {
            what: what(),
            why: format!("there is no status `{}`", self.status),
        })?;
        job.cancel_requested = self.cancel_requested;
        job.host = self.host.map(HostId);
        job.engine = self.engine;
        job.sites.retain(|site| live.contains(&site.slug));
        match (&mut job.wait, self.wait_until) {
            (Some(wait), Some(until)) => wait.until = Some(Timestamp::from_millis(until)),
            // Whoever waits for a person has no time to wait for.
            (Some(wait), None) if wait.reason == WaitReason::Budget => {}
            (wait, None) => *wait = None,
            (None, Some(_)) => {}
        }
        if let Some(line) = &self.line {
            job.wait = Some(kept_back(line, self.line_until, &job));
        }
        Ok(job)
    }
}

/// What a person is told of a job that stands in this line.
pub(crate) fn kept_back(line: &str, until: Option<i64>, job: &Job) -> Wait {
    let group = job.group.as_deref().unwrap_or_default();
    let pipeline = &job.spec.name;
    let (reason, message) = match (line, until) {
        ("group", Some(_)) => (
            WaitReason::Rate,
            format!("the group `{group}` has started as many jobs lately as it may"),
        ),
        ("group", None) => (
            WaitReason::Group,
            format!("the group `{group}` has as many jobs under way as it may"),
        ),
        ("pipeline", _) => (
            WaitReason::Pipeline,
            format!("the pipeline `{pipeline}` has as many jobs under way as it may"),
        ),
        _ => (
            WaitReason::Pause,
            format!("the pipeline `{pipeline}` is paused, or everything is"),
        ),
    };
    Wait {
        reason,
        message,
        until: until.map(Timestamp::from_millis),
    }
}

/// What is read of an event.
pub(crate) struct EventRow {
    pub(crate) position: (i64, i64),
    pub(crate) job: Option<Uuid>,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) at: i64,
    pub(crate) phase: Option<String>,
    pub(crate) attempt: Option<i64>,
    pub(crate) data: String,
}

impl EventRow {
    pub(crate) fn event(self) -> Result<StoredEvent, StoreError> {
        let what = || format!("event {} of job {:?}", self.seq, self.job);
        Ok(StoredEvent {
            seq: self.seq,
            position: self.position,
            job: self.job.map(JobId),
            kind: EventKind::from_word(&self.kind).ok_or_else(|| StoreError::Unreadable {
                what: what(),
                why: format!("there is no event type `{}`", self.kind),
            })?,
            at: Timestamp::from_millis(self.at),
            data: parse(&self.data, what)?,
            phase: self.phase,
            attempt: self.attempt.map(small),
        })
    }
}

/// What is read of a line.
pub(crate) struct LineRow {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) phase: Option<String>,
    pub(crate) attempt: Option<i64>,
    pub(crate) level: String,
    pub(crate) line: String,
}

impl LineRow {
    pub(crate) fn line(self) -> LogLine {
        let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        LogLine {
            seq: self.seq,
            at: Timestamp::from_millis(self.at),
            phase: self.phase,
            attempt: self.attempt.map(small),
            level: levels
                .into_iter()
                .find(|level| level.word() == self.level)
                .unwrap_or(Level::Info),
            text: self.line,
        }
    }
}

/// What is read of a site.
pub(crate) struct SiteRow {
    pub(crate) number: i64,
    pub(crate) slug: String,
    pub(crate) job: Uuid,
    pub(crate) revision: i64,
    pub(crate) publication: String,
    pub(crate) published_at: i64,
}

impl SiteRow {
    pub(crate) fn site(self) -> Result<Site, StoreError> {
        let publication: Publication =
            parse(&self.publication, || format!("site `{}`", self.slug))?;
        Ok(Site {
            number: self.number,
            slug: self.slug,
            job: JobId(self.job),
            revision: small(self.revision),
            publication,
            published_at: Timestamp::from_millis(self.published_at),
        })
    }
}

/// The value of some JSON that a row holds.
pub(crate) fn parse<T: DeserializeOwned>(
    json: &str,
    what: impl Fn() -> String,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(unreadable(what))
}

/// For `map_err`: which row.
fn unreadable(what: impl Fn() -> String) -> impl FnOnce(serde_json::Error) -> StoreError {
    move |error| StoreError::Unreadable {
        what: what(),
        why: error.to_string(),
    }
}

/// The JSON of a value of ours.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    let what = || "a value to be stored".to_owned();
    serde_json::to_string(value).map_err(unreadable(what))
}

/// The JSON of a job, as [`JobRow`] reads it again.
pub(crate) fn body(job: &Job) -> Result<String, StoreError> {
    job.to_json()
        .map_err(unreadable(|| format!("job {}", job.id)))
}

/// As SQL counts time.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// As SQL counts bytes. No file that a host reads is as long as what doesn't fit.
pub(crate) fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The numbers of so many rows, the last of which has the number `last`.
pub(crate) fn numbers(last: i64, count: usize) -> RangeInclusive<i64> {
    last - i64::try_from(count).unwrap_or(i64::MAX) + 1..=last
}

/// A number that was a `u32` when it was written.
pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Text as a column can hold it: PostgreSQL has no U+0000.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name, as the search compares it.
pub(crate) fn folded(name: &str) -> String {
    clean(name).to_lowercase()
}

/// The LIKE pattern, with `!` as its escape, of names that hold `q`. SQLite takes no long ones,
/// and no name is as long: such a `q` finds nothing.
pub(crate) fn pattern(q: &str) -> String {
    if q.len() > 4_000 {
        return String::new();
    }
    let mut pattern = String::from("%");
    for c in folded(q).chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Until when a job waits: a moment, or ms from the database's now.
///
/// `run_at` is a moment, and so is a new day. A pause was reckoned from a host's `now`; only its length counts.
pub(crate) fn wait(job: &Job, now: Timestamp) -> (Option<i64>, Option<i64>) {
    match (&job.wait, job.status) {
        (Some(wait), Status::Waiting)
            if matches!(wait.reason, WaitReason::RunAt | WaitReason::Budget) =>
        {
            (wait.until.map(Timestamp::as_millis), None)
        }
        (Some(wait), Status::Waiting) => (None, wait.until.map(|until| millis(until.since(now)))),
        _ => (None, None),
    }
}

/// What is told of a job that was just submitted.
pub(crate) fn submitted(job: &Job) -> Event {
    let told = |kind, data| Event {
        kind,
        phase: None,
        attempt: None,
        data,
    };
    match &job.wait {
        None => told(EventKind::JobQueued, Map::new()),
        Some(wait) => {
            let data =
                json!({ "reason": wait.reason, "message": wait.message, "until": wait.until });
            let data = match data {
                Value::Object(data) => data,
                _ => Map::new(),
            };
            told(EventKind::JobWaiting, data)
        }
    }
}

/// One error for each of those that failed together.
pub(crate) fn all_failed<T>(error: StoreError, count: usize) -> Vec<Result<T, StoreError>> {
    let mut answers: Vec<_> = (1..count).map(|_| Err(error.again())).collect();
    answers.push(Err(error));
    answers
}

/// Whom to wake after a job was written.
pub(crate) fn wakes(job: &Job, events: usize, sites: bool) -> Vec<Wake> {
    let mut wakes = Vec::new();
    if events > 0 {
        wakes.push(Wake::Events(Some(job.id)));
    }
    // One that waits is told of, too: who sleeps reckons anew until when.
    if matches!(job.status, Status::Queued | Status::Waiting) {
        wakes.push(Wake::Ready);
    }
    if sites {
        wakes.push(Wake::Sites);
    }
    wakes
}

/// Those to take over first, then by priority and age.
pub(crate) fn order(claimed: &mut [Claimed]) {
    claimed.sort_by_key(|claimed| {
        let job = &claimed.job;
        (!claimed.rescued, claimed.rank, job.number)
    });
}

/// How many rows to read for a page: one more tells whether there is a next one.
pub(crate) fn rows(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// A page of what was read by [`rows`].
pub(crate) fn page<T>(mut items: Vec<T>, limit: u32, number: impl Fn(&T) -> i64) -> Page<T> {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().map(number).filter(|_| more);
    Page { items, next_cursor }
}

/// The `n`th address to try for a wish, from 1: itself, then with `-2`, `-3` …
pub(crate) fn address(wish: &str, n: i64) -> String {
    if n <= 1 {
        wish.to_owned()
    } else {
        format!("{wish}-{n}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_takes_nothing_as_a_wildcard() {
        assert_eq!(pattern("100%_A!"), "%100!%!_a!!%");
        assert_eq!(pattern("a\0b"), "%a\u{fffd}b%");
        assert_ne!(pattern(&"x".repeat(4_000)), "");
        assert_eq!(pattern(&"x".repeat(4_001)), "");
    }

    #[test]
    fn a_page_knows_whether_there_is_a_next_one() {
        let at = |limit| page(vec![5_i64, 4, 3], limit, |n| *n);
        assert_eq!((at(2).items, at(2).next_cursor), (vec![5, 4], Some(4)));
        assert_eq!((at(3).items, at(3).next_cursor), (vec![5, 4, 3], None));
        assert_eq!(rows(0), 2);
    }

    #[test]
    fn addresses_fit_a_dns_label() {
        assert_eq!(address("fog", 1), "fog");
        assert_eq!(address("fog", 2), "fog-2");
        let longest = pipeline::slug_from(&"x".repeat(99));
        assert!(pipeline::is_slug(&address(&longest, 99_999_999)));
    }
}
