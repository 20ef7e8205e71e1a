//! Watching a run: until it ends, or something is told from outside, what it prints is told.
//! What the ending means is said in `outcome`.

use super::{ASK_AGAIN, GRACE, Gate, Under};
use crate::ending::Overdue;
use crate::hold::Holder;
use crate::listener::Heard;
use crate::signal::{Signal, told};
use runner::{Ended, RunnerError};
use std::pin::pin;
use std::time::{Duration, Instant};

/// How often an agent's output is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What an agent that has filled its room has to end in.
const FULL_GRACE: Duration = Duration::from_secs(1);

/// Why the watch over a run ended.
pub(super) enum Watched {
    Ended(Ended),
    /// It turned out that nothing ran, or that nothing is known of it any more.
    Lost(RunnerError),
    Told(Signal),
}

impl Holder<'_> {
    /// Listens until the run ends or something is told from outside. One that doesn't end by
    /// itself is stopped, and listened to until it has.
    pub(super) async fn watch(&self, under: &mut Under) -> Watched {
        loop {
            let why = match self.listen(under).await {
                Ok(watched) => return watched,
                Err(why) => why,
            };
            under.overdue = Some(why);
            tracing::warn!(job.id = %self.hold.job, ?why, "an agent is stopped");
            // Where that fails, its patience runs out once more.
            if let Err(error) = under.run.stop(GRACE).await {
                tracing::warn!(job.id = %self.hold.job, %error, "an agent didn't stop");
            }
        }
    }

    async fn listen(&self, under: &mut Under) -> Result<Watched, Overdue> {
        let mut signal = self.signal.clone();
        let Under {
            run,
            listener,
            gate,
            probe,
            disk,
            past,
            patience,
            ..
        } = under;
        let mut wait = run.wait();
        let mut look = LOOK;
        let mut full = pin!(disk.past());
        loop {
            tokio::select! {
                biased;
                told = told(&mut signal) => return Ok(Watched::Told(told)),
                too_much = &mut full, if past.is_none() => {
                    tracing::warn!(job.id = %self.hold.job, why = %too_much, "an agent is stopped");
                    *past = Some(too_much);
                    drop(wait);
                    // It may write on until it is gone.
                    if let Err(error) = run.stop(FULL_GRACE).await {
                        tracing::warn!(job.id = %self.hold.job, %error, "an agent didn't stop");
                    }
                    wait = run.wait();
                }
                ended = &mut wait => match ended {
                    Ok(ended) => return Ok(Watched::Ended(ended)),
                    // It says nothing about the run: the engine may be back in a moment.
                    Err(error @ (RunnerError::Engine { .. } | RunnerError::Io { .. })) => {
                        tracing::warn!(job.id = %self.hold.job, %error, "a run can't be watched");
                        drop(wait);
                        tokio::time::sleep(ASK_AGAIN).await;
                        wait = run.wait();
                    }
                    Err(error) => return Ok(Watched::Lost(error)),
                },
                () = tokio::time::sleep(look) => {
                    if *probe && gate.as_ref().is_some_and(|gate| gate.run.usage().answered > 0) {
                        *probe = false;
                        self.provider_answered().await;
                    }
                    self.tell_near(gate.as_ref()).await;
                    look = match listener.listen(false).await {
                        Heard::All => LOOK,
                        Heard::Later => ASK_AGAIN,
                        Heard::Lost => return Ok(Watched::Told(Signal::Lost)),
                    };
                    listener.say(gate.as_ref().map(|gate| gate.accounts.booked()));
                    let (read, done) = (listener.read_so_far(), listener.has_result());
                    if let Some(why) = patience.look(read, done, Instant::now()) {
                        return Err(why);
                    }
                }
            }
        }
    }

    /// Tells people of budgets that are nearly used up. What the store doesn't take is lost: what
    /// was spent is shown with the job in any case.
    pub(super) async fn tell_near(&self, gate: Option<&Gate>) {
        let events = gate.map(|gate| gate.accounts.near()).unwrap_or_default();
        if events.is_empty() {
            return;
        }
        if let Err(error) = self
            .driver
            .parts
            .store
            .append(&self.hold, &events, &[])
            .await
        {
            tracing::warn!(job.id = %self.hold.job, %error, "nobody is told of a budget's end");
        }
    }

    /// Tells the rest of a run that has ended. None where this holder can't: the run stands until
    /// its outcome is committed, so the next one begins where the store says.
    pub(super) async fn hear_out(&self, under: &mut Under) -> Option<()> {
        loop {
            match under.listener.listen(true).await {
                Heard::All => return Some(()),
                Heard::Lost => return None,
                Heard::Later => self.pause().await?,
            }
        }
    }

    /// Before the store is asked again. None where something is told meanwhile.
    pub(super) async fn pause(&self) -> Option<()> {
        let mut signal = self.signal.clone();
        tokio::select! {
            biased;
            _ = told(&mut signal) => None,
            () = tokio::time::sleep(ASK_AGAIN) => Some(()),
        }
    }
}
