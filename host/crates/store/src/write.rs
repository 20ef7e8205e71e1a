//! What is written of a job, made ready before a transaction is begun: many are written in one,
//! and none of them waits for another's JSON.

use crate::error::Fault;
use crate::rules::{self, clean};
use crate::{Change, Hold, NewJob, OnCancel, StoreError, Wake};
use pipeline::{Digest, Event, EventKind, Job, JobId, Publication, Status, Timestamp};
use uuid::Uuid;

/// An event as a row.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) phase: Option<String>,
    pub(crate) attempt: Option<i64>,
    /// JSON.
    pub(crate) data: String,
}

impl Told {
    pub(crate) fn of(event: &Event) -> Result<Self, StoreError> {
        Ok(Self {
            kind: event.kind.word(),
            phase: event
                .phase
                .as_deref()
                .map(|phase| clean(phase).into_owned()),
            attempt: event.attempt.map(i64::from),
            data: rules::json(&event.data)?,
        })
    }

    /// The events that are kept: all but pieces of an agent's text.
    pub(crate) fn kept(events: &[Event]) -> Result<Vec<Self>, StoreError> {
        let kept = events
            .iter()
            .filter(|event| event.kind != EventKind::AgentDelta);
        kept.map(Self::of).collect()
    }
}

/// An event with its place: the job's number of it, and 0 where it is no job's.
pub(crate) struct Numbered<'a> {
    pub(crate) job: Option<JobId>,
    pub(crate) seq: i64,
    pub(crate) told: &'a Told,
}

/// Events of a job, the last of which has the number `last`.
pub(crate) fn numbered(job: JobId, last: i64, told: &[Told]) -> impl Iterator<Item = Numbered<'_>> {
    let numbers = rules::numbers(last, told.len());
    numbers.zip(told).map(move |(seq, told)| Numbered {
        job: Some(job),
        seq,
        told,
    })
}

/// Events of no job.
pub(crate) fn of_no_job(told: &[Told]) -> Vec<Numbered<'_>> {
    let numbered = |told| Numbered {
        job: None,
        seq: 0,
        told,
    };
    told.iter().map(numbered).collect()
}

/// What a step changes, as a row.
#[derive(Debug)]
pub(crate) struct JobChange {
    pub(crate) hold: Hold,
    pub(crate) body: String,
    pub(crate) status: Status,
    pub(crate) revision: i64,
    pub(crate) root: Option<String>,
    pub(crate) engine: Option<String>,
    pub(crate) finished_at: Option<i64>,
    /// A moment to wait for.
    pub(crate) until: Option<i64>,
    /// Or ms from the database's now.
    pub(crate) pause: Option<i64>,
    pub(crate) told: Vec<Told>,
    pub(crate) ignore_cancel: bool,
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
    pub(crate) group: Option<String>,
    pub(crate) pipeline: String,
    /// Whether its pipeline had a limit when it was submitted.
    pub(crate) limited: bool,
    /// What to publish, by place.
    pub(crate) publish: Vec<Publication>,
    /// What stays published once this is committed; none where nothing was published before.
    pub(crate) keep: Option<Vec<String>>,
    pub(crate) wakes: Vec<Wake>,
}

impl JobChange {
    pub(crate) fn of(hold: &Hold, change: &Change) -> Result<Self, StoreError> {
        let job = &change.step.next;
        let told = Told::kept(&change.step.events)?;
        let (until, pause) = rules::wait(job, change.now);
        let publishes = !change.step.publish.is_empty();
        // An earlier revision may have published what this one doesn't.
        let again = job.status == Status::Succeeded && (publishes || job.revision > 1);
        let sites = job.sites.iter().map(|site| site.slug.clone());
        Ok(Self {
            hold: hold.clone(),
            body: rules::body(job)?,
            status: job.status,
            revision: i64::from(job.revision),
            root: job.root.as_ref().map(|root| root.0.clone()),
            // Only what an agent may stand in ties a job to an engine.
            engine: job.engine.clone().filter(|_| job.run_key().is_some()),
            finished_at: job.finished_at.map(Timestamp::as_millis),
            until,
            pause,
            wakes: rules::wakes(job, told.len(), publishes),
            told,
            ignore_cancel: change.on_cancel == OnCancel::Ignore,
            blobs: change.blobs.clone(),
            group: job.group.as_deref().map(|group| clean(group).into_owned()),
            pipeline: clean(&job.spec.name).into_owned(),
            limited: job.spec.concurrency.is_some(),
            publish: change.step.publish.clone(),
            keep: again.then(|| sites.collect()),
        })
    }

    /// Whether the job gives up its places. One that is given back keeps them: its agent may be
    /// running.
    pub(crate) fn leaves(&self) -> bool {
        !matches!(self.status, Status::Running | Status::Queued)
    }

    /// Whether rows and events are all of it.
    pub(crate) fn is_plain(&self) -> bool {
        let has_places = self.group.is_some() || self.limited;
        self.blobs.is_empty() && !self.alone() && !(has_places && self.leaves())
    }

    /// Whether it can fail for a reason of its own, and would take others with it.
    pub(crate) fn alone(&self) -> bool {
        !self.publish.is_empty() || self.keep.is_some()
    }
}

/// A changed row.
pub(crate) struct Changed {
    /// The number of its last event.
    pub(crate) seq: i64,
    /// Whether it has, or had, a place in its group and in its pipeline.
    pub(crate) slots: (bool, bool),
}

/// A job to be submitted, as a row.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) id: Uuid,
    pub(crate) name_folded: String,
    pub(crate) pipeline: String,
    pub(crate) group: Option<String>,
    pub(crate) priority: i32,
    pub(crate) revision: i64,
    pub(crate) until: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) submitter: String,
    pub(crate) body: String,
    /// What is told of it where it comes into no line.
    pub(crate) told: Told,
    pub(crate) new: NewJob,
}

impl NewRow {
    pub(crate) fn of(new: &NewJob) -> Result<Self, Fault> {
        let job: &Job = &new.job;
        // What a person asked for is a moment, whoever looked at the clock.
        let until = job.wait.as_ref().and_then(|wait| wait.until);
        Ok(Self {
            id: job.id.0,
            name_folded: rules::folded(&job.name),
            pipeline: clean(&job.spec.name).into_owned(),
            group: job.group.as_deref().map(|group| clean(group).into_owned()),
            priority: job.priority,
            revision: i64::from(job.revision),
            until: until.map(Timestamp::as_millis),
            created_at: job.created_at.as_millis(),
            submitter: clean(&job.submitter).into_owned(),
            body: rules::body(job)?,
            told: Told::of(&rules::submitted(job))?,
            new: new.clone(),
        })
    }

    /// Whether others are looked at before it is added, so that it goes by itself.
    pub(crate) fn alone(&self) -> bool {
        self.new.idempotency.is_some() || self.new.unique.is_some()
    }
}

/// A new job that came into no line.
pub(crate) struct Entered {
    pub(crate) number: i64,
    pub(crate) rank: i64,
    /// Whether it has begun.
    pub(crate) begins: bool,
}

/// Where a new job stands.
pub(crate) struct Placed {
    pub(crate) number: i64,
    /// What keeps it back.
    pub(crate) line: Option<String>,
}
