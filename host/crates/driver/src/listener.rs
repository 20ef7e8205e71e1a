//! Telling the store what an agent prints, each piece once: the store keeps how far it was told,
//! and is asked for it by whoever listens next. What the agent is writing by now is said to whoever
//! watches, and not kept. How long to listen is the holder's matter.

use crate::output::{From, Told};
use crate::tail::Tail;
use pipeline::{Boundaries, Boundary, EventKind, usd};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Appended, DriverStore, Hold, Piece, StoreError};

/// One holder's ear at one run.
pub(crate) struct Listener {
    store: Arc<dyn DriverStore>,
    hold: Hold,
    /// The run's name.
    run: String,
    out: PathBuf,
    from: From,
    tail: Tail,
    /// Up to which byte the store has it.
    told: u64,
    /// What came of the bytes that were read after that.
    news: Told,
    /// Who is told of each piece.
    pub(crate) boundaries: Boundaries,
    /// When something was said to whoever watches.
    said_at: Option<Instant>,
    /// What the run had cost by then, in micro-dollars.
    said_cost: Option<u64>,
}

/// Between two pieces of what an agent is writing.
const SAY_EVERY: Duration = Duration::from_millis(200);

/// How a look at the output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The store has all that there was.
    All,
    /// The store doesn't answer, or says otherwise: the next look tells what is left.
    Later,
    /// The lease is lost: the next holder tells what is left.
    Lost,
}

impl Listener {
    /// Begins where the last holder got to, by the store.
    pub(crate) async fn begin(
        store: &Arc<dyn DriverStore>,
        hold: &Hold,
        run: &str,
        out: &Path,
        from: From,
    ) -> Result<Self, StoreError> {
        let told = store.output_at(hold.job, run).await?;
        Ok(Self {
            store: Arc::clone(store),
            hold: hold.clone(),
            run: run.to_owned(),
            out: out.to_owned(),
            tail: Tail::new(out, from.clone(), told),
            from,
            told,
            news: Told::default(),
            boundaries: Boundaries::default(),
            said_at: None,
            said_cost: None,
        })
    }

    /// Tells what has been printed since the last time; at the end of the run also a last line
    /// that has no end.
    pub(crate) async fn listen(&mut self, to_the_end: bool) -> Heard {
        loop {
            // What couldn't be told the last time comes first, as the same piece.
            let heard = self.tell().await;
            if heard != Heard::All {
                return heard;
            }
            if !self.read(to_the_end) {
                return self.tell().await;
            }
        }
    }

    /// Reads on; whether there may be more.
    fn read(&mut self, to_the_end: bool) -> bool {
        let more = match self.tail.pump(&mut self.news) {
            Ok(more) => more,
            Err(error) => {
                tracing::debug!(run.name = self.run, %error, "no output to read");
                false
            }
        };
        if to_the_end && !more {
            self.tail.finish(&mut self.news);
        }
        more
    }

    async fn tell(&mut self) -> Heard {
        if self.news.is_empty() {
            return Heard::All;
        }
        let piece = Piece {
            run: self.run.clone(),
            from: self.told,
            to: self.tail.offset(),
        };
        let (events, logs) = (&self.news.events, &self.news.logs);
        let appended = self.store.append_output(&self.hold, &piece, events, logs);
        match appended.await {
            Ok(Appended::Done) => {
                self.told = piece.to;
                self.boundaries.at(Boundary::OutputTold);
            }
            // Done before, by an append whose answer was lost.
            Ok(Appended::Stands { at }) if at == piece.to => self.told = at,
            Ok(Appended::Stands { at }) => {
                tracing::warn!(
                    run.name = self.run,
                    at,
                    "output is read again from where the store has it"
                );
                self.told = at;
                self.tail = Tail::new(&self.out, self.from.clone(), at);
                self.news = Told::default();
                return Heard::Later;
            }
            Ok(Appended::LeaseLost) => return Heard::Lost,
            Err(error) if error.passes() => {
                tracing::warn!(run.name = self.run, %error, "an agent's output isn't logged yet");
                return Heard::Later;
            }
            // It would be refused each time.
            Err(error) => tracing::warn!(run.name = self.run, %error, "output is left out"),
        }
        self.news = Told::default();
        Heard::All
    }

    /// Says what the agent is writing, and what it has cost so far, where somebody watches. It may
    /// be lost, and nobody waits for it.
    pub(crate) fn say(&mut self, cost_micro_usd: Option<u64>) {
        let now = Instant::now();
        let rests = self.said_at.is_some_and(|at| now - at < SAY_EVERY);
        if rests || !self.store.is_watched(self.hold.job) {
            return;
        }
        let typed = self.tail.output.typing.take();
        if typed.is_none() && cost_micro_usd == self.said_cost {
            return;
        }
        (self.said_at, self.said_cost) = (Some(now), cost_micro_usd);
        let mut data = typed.unwrap_or_default();
        data.insert("task".to_owned(), self.from.task.clone().into());
        if let Some(cost) = cost_micro_usd {
            data.insert("cost_usd".to_owned(), usd(cost).into());
        }
        let event = self.from.event(EventKind::AgentDelta, Value::Object(data));
        self.store.say(self.hold.job, event);
    }

    /// Bytes that the agent has printed, as far as they were read.
    pub(crate) fn read_so_far(&self) -> u64 {
        self.tail.read()
    }

    /// Whether the agent has said that it is done, one way or the other.
    pub(crate) fn has_result(&self) -> bool {
        self.tail.output.result.is_some()
    }

    /// What the output came to.
    pub(crate) fn into_output(self) -> crate::output::Output {
        self.tail.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use store::ApiStore as _;

    async fn listener(bed: &Bed, hold: &Hold) -> Listener {
        let store = Arc::clone(&bed.store) as Arc<dyn DriverStore>;
        let begun = Listener::begin(&store, hold, "run", bed.dir.path(), Bed::from());
        begun.await.unwrap()
    }

    #[tokio::test]
    async fn a_crash_after_an_append_repeats_nothing_and_loses_nothing() {
        let (mut bed, old) = Bed::new().await;
        let mut first = listener(&bed, &old).await;
        bed.print("one\ntw");
        assert_eq!(first.listen(false).await, Heard::All);
        // The append is committed. Of this process nothing is left, here or on disk.
        let new = bed.claim().await;
        let mut second = listener(&bed, &new).await;
        bed.print("o\n{\"type\":\"result\",\"result\":\"done\"}\nlast");
        assert_eq!(second.listen(true).await, Heard::All);
        // And once more, after the end.
        let newest = bed.claim().await;
        let mut third = listener(&bed, &newest).await;
        assert_eq!(third.listen(true).await, Heard::All);
        assert_eq!(bed.logged(&new).await, ["one", "two", "last"]);
        assert_eq!(third.into_output().answer, "done");
        // Nor does one who wasn't dead after all.
        assert_eq!(first.listen(true).await, Heard::Lost);
        assert_eq!(bed.logged(&new).await, ["one", "two", "last"]);
    }

    #[tokio::test]
    async fn what_is_typed_is_said_to_who_watches_and_not_kept() {
        let (mut bed, hold) = Bed::new().await;
        let mut listener = listener(&bed, &hold).await;
        let typed = |text: &str| {
            format!(
                "{{\"type\":\"stream_event\",\"event\":{{\"type\":\"content_block_delta\",\
                 \"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}}}\n"
            )
        };
        bed.print(
            "{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_start\",\
             \"content_block\":{\"type\":\"text\"}}}\n",
        );
        bed.print(&typed("nobody "));
        assert_eq!(listener.listen(false).await, Heard::All);
        listener.say(Some(0));
        let mut watching = bed.store.watch(hold.job);
        bed.print(&typed("listens"));
        assert_eq!(listener.listen(false).await, Heard::All);
        listener.say(Some(1_500));
        let said = watching.next().await;
        assert_eq!(said.kind, EventKind::AgentDelta);
        // Who comes late is told what is there.
        assert_eq!(said.data["text"], "nobody listens");
        assert_eq!(said.data["cost_usd"], "0.0015");
        bed.print(&typed(" on"));
        assert_eq!(listener.listen(false).await, Heard::All);
        listener.said_at = None;
        listener.say(Some(1_500));
        assert_eq!(watching.next().await.data["text"], " on");
        // Neither anew nor too soon.
        listener.say(Some(1_600));
        listener.said_at = None;
        listener.say(Some(1_500));
        assert!(watching.now().is_none());
        let kept = bed.store.job_events(hold.job, 0, 100).await.unwrap();
        assert!(kept.iter().all(|event| event.kind != EventKind::AgentDelta));
    }

    #[tokio::test]
    async fn an_append_whose_answer_was_lost_is_not_repeated() {
        let (mut bed, hold) = Bed::new().await;
        let (mut first, mut second) = (listener(&bed, &hold).await, listener(&bed, &hold).await);
        bed.print("one\n");
        assert_eq!(first.listen(false).await, Heard::All);
        // To the second one it is as if it had said this and heard no answer.
        assert_eq!(second.listen(false).await, Heard::All);
        bed.print("two\n");
        assert_eq!(second.listen(false).await, Heard::All);
        // The first one comes back with more than the store lacks.
        bed.print("three\n");
        assert_eq!(first.listen(false).await, Heard::Later);
        assert_eq!(first.listen(false).await, Heard::All);
        assert_eq!(bed.logged(&hold).await, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn what_a_store_that_was_away_missed_is_told_later() {
        let (mut bed, hold) = Bed::new().await;
        let mut listener = listener(&bed, &hold).await;
        listener.store = bed.hasty().await;
        let lines: Vec<String> = (0..5_000).map(|n| format!("line {n}")).collect();
        bed.print(&(lines.join("\n") + "\n"));
        for _ in 0..2 {
            assert_eq!(listener.listen(false).await, Heard::Later);
        }
        assert!(bed.logged(&hold).await.is_empty());
        listener.store = Arc::clone(&bed.store) as Arc<dyn DriverStore>;
        bed.print("last");
        assert_eq!(listener.listen(true).await, Heard::All);
        assert_eq!(
            bed.logged(&hold).await,
            [lines, vec!["last".to_owned()]].concat()
        );
    }
}
