//! Events that aren't kept, from host to host: over the channel of the wake-ups, a few at a time,
//! and only of jobs that somebody watches elsewhere. What can't be sent at once is lost.

use super::listen::Names;
use crate::live::{Call, Live, WATCH_EVERY};
use pipeline::{Event, EventKind, JobId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgPool;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};

/// Between two statements.
const THROTTLE: Duration = Duration::from_millis(50);

/// How long one may take.
const SENT_WITHIN: Duration = Duration::from_secs(2);

/// Calls in one statement.
const CALLS: usize = 64;

/// Of a notification; PostgreSQL takes fewer than 8000.
const BYTES: usize = 7_900;

/// An event on its way.
#[derive(Serialize, Deserialize)]
struct Said {
    job: JobId,
    kind: EventKind,
    phase: Option<String>,
    attempt: Option<u32>,
    data: Map<String, Value>,
}

/// As a hint of the channel; those of wake-ups begin with other letters.
pub(super) fn payload(call: &Call) -> Option<String> {
    let text = match call {
        Call::Watch(job) => format!("w{job}"),
        Call::Say(job, event) => {
            let said = Said {
                job: *job,
                kind: event.kind,
                phase: event.phase.clone(),
                attempt: event.attempt,
                data: event.data.clone(),
            };
            format!("l{}", serde_json::to_string(&said).ok()?)
        }
    };
    (text.len() <= BYTES && !text.contains('\0')).then_some(text)
}

/// From [`payload`]; whether it was one.
pub(super) fn hear(live: &Live, hint: &str) -> bool {
    if let Some(job) = hint.strip_prefix('w') {
        if let Ok(job) = JobId::from_str(job) {
            live.watched_elsewhere(job);
        }
        return true;
    }
    let Some(said) = hint.strip_prefix('l') else {
        return false;
    };
    // A later version may say what this one can't read.
    if let Ok(said) = serde_json::from_str::<Said>(said) {
        let event = Event {
            kind: said.kind,
            phase: said.phase,
            attempt: said.attempt,
            data: said.data,
        };
        live.hear(said.job, &Arc::new(event));
    }
    true
}

/// Sends what is called, and from time to time what is watched here.
pub(super) async fn send(pool: PgPool, names: Names, live: Live, mut calls: mpsc::Receiver<Call>) {
    let mut again = tokio::time::interval(WATCH_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut gathered: Vec<Call> = tokio::select! {
            call = calls.recv() => match call {
                Some(call) => vec![call],
                None => return,
            },
            _ = again.tick() => live.watched_here().into_iter().map(Call::Watch).collect(),
        };
        while gathered.len() < CALLS
            && let Ok(more) = calls.try_recv()
        {
            gathered.push(more);
        }
        let hints = gathered.iter().filter_map(payload);
        let hints: Vec<String> = hints.map(|hint| format!("{} {hint}", names.me)).collect();
        if hints.is_empty() {
            continue;
        }
        // None is opened for it: who is busy says less.
        let Some(mut conn) = pool.try_acquire() else {
            tokio::time::sleep(THROTTLE).await;
            continue;
        };
        let sent = sqlx::query("SELECT pg_notify($1, hint) FROM unnest($2) AS hint")
            .bind(&names.channel)
            .bind(hints)
            .execute(&mut *conn);
        match timeout(SENT_WITHIN, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "what is said isn't heard elsewhere"),
            Err(_) => tracing::debug!("what is said isn't heard elsewhere in time"),
        }
        tokio::time::sleep(THROTTLE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Call {
        let job = JobId(uuid::Uuid::from_u128(7));
        let event = Event {
            kind: EventKind::AgentDelta,
            phase: Some("idea".to_owned()),
            attempt: Some(2),
            data: Map::from_iter([("text".to_owned(), text.into())]),
        };
        Call::Say(job, Arc::new(event))
    }

    #[test]
    fn what_is_said_comes_as_it_was_and_what_is_too_long_does_not() {
        let job = JobId(uuid::Uuid::from_u128(7));
        let live = Live::here();
        let mut watching = live.watch(job);
        let text = "a \"quoted\"\nline, ä";
        assert!(hear(&live, &payload(&said(text)).unwrap()));
        let event = watching.now().unwrap();
        assert_eq!(
            (event.kind, event.attempt),
            (EventKind::AgentDelta, Some(2))
        );
        assert_eq!(event.phase.as_deref(), Some("idea"));
        assert_eq!(event.data["text"], text);
        // The longest piece, at its worst.
        assert!(payload(&said(&"\"".repeat(2 << 10))).is_some());
        assert!(payload(&said(&"\"".repeat(4 << 10))).is_none());
        assert!(hear(&live, &payload(&Call::Watch(job)).unwrap()));
        for hint in ["lrubbish", "l{}", "wrubbish"] {
            assert!(hear(&live, hint), "{hint}");
        }
        for hint in ["r", "e", "echo", "", "ä"] {
            assert!(!hear(&live, hint), "{hint}");
        }
        assert!(watching.now().is_none());
    }
}
