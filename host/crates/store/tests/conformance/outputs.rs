//! What an agent printed is told once, whoever says it again. How it is read is the driver's.

use crate::setup::*;
use pipeline::{EventKind, Input, JobId};
use std::sync::Arc;
use store::{Appended, Ask, Deleted, Hold, Piece, TakeOver};
use tokio::sync::Barrier;

fn piece(run: &str, from: u64, to: u64) -> Piece {
    Piece {
        run: run.to_owned(),
        from,
        to,
    }
}

/// Appends a message and a line of this text.
async fn say(store: &Arc<dyn Store>, hold: &Hold, piece: &Piece, text: &str) -> Appended {
    let told = [event(EventKind::AgentMessage), event(EventKind::AgentDelta)];
    let lines = [line(text)];
    let done = store.append_output(hold, piece, &told, &lines).await;
    done.unwrap()
}

/// The texts of the job's lines, once the numbers of lines and messages have no gaps.
async fn said(store: &Arc<dyn Store>, job: JobId) -> Vec<String> {
    let lines = store.logs(job, 0, 100).await.unwrap();
    let told = store.job_events(job, 0, 100).await.unwrap();
    let seqs: Vec<i64> = told.iter().map(|event| event.seq).collect();
    assert_eq!(
        seqs,
        (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>()
    );
    let messages = told
        .iter()
        .filter(|event| event.kind == EventKind::AgentMessage);
    assert_eq!(messages.count(), lines.len());
    let seqs: Vec<i64> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(
        seqs,
        (1..=i64::try_from(lines.len()).unwrap()).collect::<Vec<_>>()
    );
    lines.into_iter().map(|line| line.text).collect()
}

pub(crate) async fn a_piece_is_told_once(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let at = async || store.output_at(job.id, "run").await.unwrap();
    assert_eq!(at().await, 0);
    let first = piece("run", 0, 10);
    assert_eq!(say(&store, &hold, &first, "one").await, Appended::Done);
    assert_eq!(at().await, 10);
    // Again, as after a crash, or an answer that was lost.
    let stands = Appended::Stands { at: 10 };
    assert_eq!(say(&store, &hold, &first, "one").await, stands);
    // What overlaps, leaves a gap, goes back or has no bytes is no better.
    for odd in [(0, 12), (5, 12), (11, 12), (10, 10), (10, 9), (0, 0)] {
        let odd = piece("run", odd.0, odd.1);
        assert_eq!(say(&store, &hold, &odd, "odd").await, stands, "{odd:?}");
    }
    let none = Appended::Stands { at: 0 };
    assert_eq!(say(&store, &hold, &piece("new", 0, 0), "odd").await, none);
    assert_eq!(say(&store, &hold, &piece("new", 3, 4), "odd").await, none);
    assert_eq!(at().await, 10);
    let second = piece("run", 10, 1 << 40);
    assert_eq!(say(&store, &hold, &second, "two").await, Appended::Done);
    assert_eq!(at().await, 1 << 40);
    assert_eq!(said(&store, job.id).await, ["one", "two"]);
}

pub(crate) async fn a_piece_under_an_old_lease_changes_nothing(bed: Bed) {
    let store = bed.open().await;
    let (job, old) = running(&store, "work").await;
    say(&store, &old, &piece("run", 0, 10), "one").await;
    bed.advance(LEASE * 2);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    let (_, new) = claim_one(&store, &expired).await;
    let next = piece("run", 10, 20);
    assert_eq!(say(&store, &old, &next, "late").await, Appended::LeaseLost);
    assert_eq!(store.output_at(job.id, "run").await.unwrap(), 10);
    assert_eq!(say(&store, &new, &next, "two").await, Appended::Done);
    assert_eq!(said(&store, job.id).await, ["one", "two"]);
    // Nor does one of a job that rests.
    go(&store, &new, &job, Input::GivenBack).await;
    let last = piece("run", 20, 30);
    assert_eq!(say(&store, &new, &last, "late").await, Appended::LeaseLost);
    assert_eq!(store.output_at(job.id, "run").await.unwrap(), 20);
}

pub(crate) async fn two_runs_dont_mix(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let (other, others) = running(&store, "other").await;
    say(&store, &hold, &piece("run 1", 0, 10), "one").await;
    let second = piece("run 2", 0, 5);
    assert_eq!(say(&store, &hold, &second, "two").await, Appended::Done);
    let theirs = piece("run 1", 0, 7);
    assert_eq!(
        say(&store, &others, &theirs, "their one").await,
        Appended::Done
    );
    // The first one's offset is still known, also after the second began.
    let again = say(&store, &hold, &piece("run 1", 0, 10), "one").await;
    assert_eq!(again, Appended::Stands { at: 10 });
    for (job, run, at) in [
        (&job, "run 1", 10),
        (&job, "run 2", 5),
        (&other, "run 1", 7),
    ] {
        assert_eq!(store.output_at(job.id, run).await.unwrap(), at, "{run}");
    }
    assert_eq!(said(&store, job.id).await, ["one", "two"]);
    assert_eq!(said(&store, other.id).await, ["their one"]);
    // A deleted job takes its offsets along.
    go(&store, &hold, &job, Input::GivenBack).await;
    let deleted = store.delete(job.id).await.unwrap();
    assert!(matches!(deleted, Deleted::Done(_)), "{deleted:?}");
    assert_eq!(store.output_at(job.id, "run 1").await.unwrap(), 0);
    assert_eq!(store.output_at(other.id, "run 1").await.unwrap(), 7);
}

pub(crate) async fn the_same_piece_twice_at_once_is_told_once(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let (job, hold) = running(&stores[0], "work").await;
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(2));
        let piece = piece("run", round, round + 1);
        let mut writers = Vec::new();
        for store in stores.clone() {
            let (hold, piece, barrier) = (hold.clone(), piece.clone(), barrier.clone());
            writers.push(tokio::spawn(async move {
                barrier.wait().await;
                say(&store, &hold, &piece, &format!("line {round}")).await
            }));
        }
        let mut ends = Vec::new();
        for writer in writers {
            ends.push(writer.await.unwrap());
        }
        let done = ends.iter().filter(|end| **end == Appended::Done).count();
        assert_eq!(done, 1, "{ends:?}");
        assert!(
            ends.contains(&Appended::Stands { at: round + 1 }),
            "{ends:?}"
        );
    }
    let wanted: Vec<String> = (0..10).map(|round| format!("line {round}")).collect();
    assert_eq!(said(&stores[1], job.id).await, wanted);
}
