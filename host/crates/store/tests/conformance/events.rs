//! What is told of jobs, and how lists are read. What only PostgreSQL can get wrong about the
//! stream is in `postgres`.

use crate::setup::*;
use pipeline::{EventKind, Level, LogLine, StoredEvent};
use std::sync::Arc;
use store::Filter;
use tokio::sync::Barrier;

pub(crate) async fn the_events_of_a_job_have_no_gaps(bed: Bed) {
    const WRITERS: usize = 4;
    const EACH: usize = 10;
    let stores = [bed.open().await, bed.open().await];
    let (job, hold) = running(&stores[0], "busy").await;
    let before = stores[0].job_events(job.id, 0, 100).await.unwrap().len();
    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let (store, barrier, hold) = (stores[n % 2].clone(), barrier.clone(), hold.clone());
        writers.push(tokio::spawn(async move {
            barrier.wait().await;
            for _ in 0..EACH {
                let told = [
                    event(EventKind::AgentMessage),
                    event(EventKind::AgentDelta),
                    event(EventKind::AgentTool),
                ];
                assert!(store.append(&hold, &told, &[]).await.unwrap());
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let told = stores[1].job_events(job.id, 0, 1000).await.unwrap();
    let seqs: Vec<i64> = told.iter().map(|event| event.seq).collect();
    let count = i64::try_from(before + WRITERS * EACH * 2).unwrap();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>());
    // A pair stays a pair, and a piece of text isn't stored.
    let new: Vec<_> = told.iter().skip(before).map(|event| event.kind).collect();
    for pair in new.chunks(2) {
        assert_eq!(pair, [EventKind::AgentMessage, EventKind::AgentTool]);
    }
    let some = stores[1].job_events(job.id, 2, 3).await.unwrap();
    assert_eq!(some, told[2..5]);
}

/// The stream after `after`, once it has as many.
async fn streamed(store: &Arc<dyn Store>, after: (i64, i64), count: usize) -> Vec<StoredEvent> {
    until("the events", || async {
        let told = store.stream(after, 1000).await.unwrap();
        (told.len() >= count).then_some(told)
    })
    .await
}

pub(crate) async fn the_stream_gives_each_event_once_and_in_order(bed: Bed) {
    let store = bed.open().await;
    let (first, _) = running(&store, "first").await;
    let all = streamed(&store, (0, 0), 3).await;
    let end = until("the end", || async {
        let end = store.stream_end().await.unwrap();
        store
            .stream(end, 10)
            .await
            .unwrap()
            .is_empty()
            .then_some(end)
    })
    .await;
    store
        .tell(&[
            event(EventKind::PluginLoaded),
            event(EventKind::PluginRefused),
        ])
        .await
        .unwrap();
    let (second, _) = running(&store, "second").await;
    let new = streamed(&store, end, 5).await;
    let said: Vec<_> = new
        .iter()
        .map(|event| (event.job, event.seq, event.kind))
        .collect();
    let id = Some(second.id);
    use EventKind as K;
    let expected = [
        (None, 0, K::PluginLoaded),
        (None, 0, K::PluginRefused),
        (id, 1, K::JobQueued),
        (id, 2, K::JobStarted),
        (id, 3, K::PhaseStarted),
    ];
    assert_eq!(said, expected);
    assert!(all.iter().all(|event| event.job == Some(first.id)));
    // Piece by piece it is the same.
    let mut after = (0, 0);
    let mut pieces = Vec::new();
    loop {
        let piece = store.stream(after, 3).await.unwrap();
        let Some(last) = piece.last() else { break };
        after = last.position;
        pieces.extend(piece);
    }
    assert_eq!(pieces, [all, new].concat());
}

pub(crate) async fn lines_are_numbered_and_any_text_is_kept(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "chatty").await;
    let odd = LogLine {
        level: Level::Warn,
        phase: Some("idea".to_owned()),
        attempt: Some(2),
        ..line("a\0b '; DROP TABLE jobs; -- \u{1f41f}")
    };
    assert!(store.append(&hold, &[], &[line("one"), odd]).await.unwrap());
    assert!(store.append(&hold, &[], &[line("three")]).await.unwrap());
    assert!(store.append(&hold, &[], &[]).await.unwrap());
    let lines = store.logs(job.id, 0, 100).await.unwrap();
    let said: Vec<_> = lines
        .iter()
        .map(|line| (line.seq, line.text.as_str()))
        .collect();
    let odd = "a\u{fffd}b '; DROP TABLE jobs; -- \u{1f41f}";
    assert_eq!(said, [(1, "one"), (2, odd), (3, "three")]);
    assert_eq!((lines[1].level, lines[1].attempt), (Level::Warn, Some(2)));
    assert_eq!(
        (lines[1].phase.as_deref(), lines[1].at),
        (Some("idea"), bed.now())
    );
    assert_eq!(store.logs(job.id, 1, 1).await.unwrap(), lines[1..2]);
}

pub(crate) async fn pages_hold_each_job_once_while_others_come(bed: Bed) {
    let store = bed.open().await;
    let mut wanted = Vec::new();
    for n in 0..7 {
        wanted.push(submit(&store, job(&format!("job {n}"), bed.now())).await.id);
    }
    wanted.reverse();
    let mut filter = Filter {
        limit: 3,
        ..Filter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = store.jobs(&filter).await.unwrap();
        seen.extend(page.items.iter().map(|job| job.id));
        submit(&store, job("between", bed.now())).await;
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, wanted);
    let numbers: Vec<i64> = store
        .jobs(&Filter {
            limit: 200,
            ..Filter::default()
        })
        .await
        .unwrap()
        .items
        .iter()
        .map(|job| job.number)
        .collect();
    assert_eq!(numbers, (1..=10).rev().collect::<Vec<_>>());
}

pub(crate) async fn filters(bed: Bed) {
    let store = bed.open().await;
    let mut odd = job("ÄRGER 100%_done", bed.now());
    odd.group = Some("blue".to_owned());
    odd.params.insert("nul".to_owned(), "\0".into());
    let odd = submit(&store, odd).await;
    let mut other = job("plain", bed.now());
    other.spec.name = "book".to_owned();
    let other = submit(&store, other).await;
    let base = Filter {
        limit: 10,
        ..Filter::default()
    };
    let find = |filter: Filter| {
        let store = store.clone();
        async move {
            let page = store.jobs(&filter).await.unwrap();
            page.items.iter().map(|job| job.id).collect::<Vec<_>>()
        }
    };
    let q = |q: &str| Filter {
        q: Some(q.to_owned()),
        ..base.clone()
    };
    for text in ["ärger", "Ärger 100%_", "%_DONE"] {
        assert_eq!(find(q(text)).await, [odd.id], "{text}");
    }
    for text in ["%", "_", "0_", "\0", "'", "!", &"x".repeat(60_000)] {
        let found = find(q(text)).await;
        let wanted = if "ärger 100%_done".contains(text) {
            vec![odd.id]
        } else {
            vec![]
        };
        assert_eq!(found, wanted, "{text:.9}");
    }
    let group = Filter {
        group: Some("blue".to_owned()),
        ..base.clone()
    };
    assert_eq!(find(group).await, [odd.id]);
    let pipeline = Filter {
        pipeline: Some("book".to_owned()),
        ..base.clone()
    };
    assert_eq!(find(pipeline).await, [other.id]);
    let nul = Filter {
        pipeline: Some("\0".to_owned()),
        ..base.clone()
    };
    assert_eq!(find(nul).await, []);
    store
        .claim(&store::Ask {
            limit: 1,
            ..ask("a")
        })
        .await
        .unwrap();
    let status = Filter {
        status: Some(pipeline::Status::Running),
        ..base.clone()
    };
    assert_eq!(find(status.clone()).await, [odd.id]);
    let none = Filter {
        pipeline: Some("book".to_owned()),
        ..status
    };
    assert_eq!(find(none).await, []);
    assert_eq!(store.job(odd.id).await.unwrap().unwrap().params, odd.params);
}

pub(crate) async fn an_event_that_cant_be_read_holds_up_no_other(bed: Bed) {
    let store = bed.open().await;
    let (job, _) = running(&store, "work").await;
    bed.execute("UPDATE events SET kind = 'job.invented' WHERE seq = 1")
        .await;
    let told = streamed(&store, (0, 0), 2).await;
    assert_eq!(
        told.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(store.job_events(job.id, 0, 9).await.unwrap(), told);
}
