//! Wake-ups between hosts: one connection that listens, and one task that notifies, both beside
//! the jobs' transactions. What is lost here costs time only: everybody polls as well.
//!
//! A connection that is cut says so; one that has gone silent, as where a router forgot it or a
//! pooler in between gives the session away, doesn't. So the notifier calls itself from time to
//! time, and a listener that doesn't hear even that is deaf.

use super::live;
use crate::Wake;
use crate::live::{Call, Live};
use crate::wake::Bell;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};

/// Between two notifications: PostgreSQL serialises the commits of those who notify.
const THROTTLE: Duration = Duration::from_millis(10);

/// How long a notification may take to be sent.
const SENT_WITHIN: Duration = Duration::from_secs(2);

/// Before it is tried to listen again, the first time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Hints in one notification; beyond it they are one that stands for any.
const HINTS: usize = 100;

/// What a host tells itself.
const ECHO: &str = "echo";

/// The tasks; they end with it.
#[derive(Debug)]
pub(super) struct Wire {
    out: mpsc::UnboundedSender<Wake>,
    tasks: [JoinHandle<()>; 3],
}

/// What tells this store's hints from another's, and this process's from others'.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) channel: String,
    pub(super) me: String,
}

/// What is heard goes to both.
#[derive(Clone, Debug)]
pub(super) struct Ears {
    pub(super) bell: Bell,
    pub(super) live: Live,
}

impl Wire {
    /// Starts them, and returns once the listener listens, or has found that it can't.
    pub(super) async fn start(
        pool: PgPool,
        to: PgConnectOptions,
        (installation, me): (String, String),
        ears: Ears,
        calls: mpsc::Receiver<Call>,
        echo_every: Duration,
    ) -> Self {
        let names = Names {
            channel: format!("gantry_{installation}"),
            me,
        };
        let (out, hints) = mpsc::unbounded_channel();
        let (ready, listens) = oneshot::channel();
        let tasks = [
            tokio::spawn(live::send(
                pool.clone(),
                names.clone(),
                ears.live.clone(),
                calls,
            )),
            tokio::spawn(notify(pool, names.clone(), hints, echo_every)),
            tokio::spawn(listen(to, names, ears, ready, echo_every * 2)),
        ];
        // An error says that the task is gone, which nobody has asked for yet.
        let _ = listens.await;
        Self { out, tasks }
    }

    pub(super) fn send(&self, wake: Wake) {
        // The task that reads lives as long as this.
        let _ = self.out.send(wake);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Sends what has gathered, the first at once, the next not before the throttle allows it; and
/// this host's call to itself.
async fn notify(
    pool: PgPool,
    names: Names,
    mut hints: mpsc::UnboundedReceiver<Wake>,
    echo_every: Duration,
) {
    let mut echo = tokio::time::interval(echo_every);
    echo.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (first, calls) = tokio::select! {
            first = hints.recv() => match first {
                Some(first) => (Some(first), false),
                None => return,
            },
            _ = echo.tick() => (None, true),
        };
        let mut gathered = BTreeSet::from_iter(first);
        while let Ok(more) = hints.try_recv() {
            gathered.insert(more);
        }
        if gathered.len() > HINTS {
            gathered.retain(|wake| !matches!(wake, Wake::Events(_)));
            gathered.insert(Wake::Events(None));
        }
        let texts = gathered.iter().map(|wake| wake.payload());
        let payloads: Vec<String> = texts
            .chain(calls.then(|| ECHO.to_owned()))
            .map(|hint| format!("{} {hint}", names.me))
            .collect();
        let sent = sqlx::query("SELECT pg_notify($1, hint) FROM unnest($2) AS hint")
            .bind(&names.channel)
            .bind(payloads)
            .execute(&pool);
        match timeout(SENT_WITHIN, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a wake-up isn't sent; the others poll"),
            Err(_) => tracing::debug!("a wake-up isn't sent in time; the others poll"),
        }
        tokio::time::sleep(THROTTLE).await;
    }
}

/// Listens for ever. Whenever that fails it says so, and everybody polls until it works again.
async fn listen(
    to: PgConnectOptions,
    names: Names,
    ears: Ears,
    ready: oneshot::Sender<()>,
    patience: Duration,
) {
    let mut ready = Some(ready);
    let mut pause = FIRST_PAUSE;
    loop {
        // A pool of its own each time: a connection that has gone silent may never be given back.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(to.clone());
        match open(&pool, &names).await {
            Ok(listener) => {
                tell(&mut ready);
                let heard = receive(listener, &names.me, &ears, patience).await;
                if heard {
                    pause = FIRST_PAUSE;
                }
                tracing::warn!("wake-ups of other hosts don't arrive: connecting again");
            }
            Err(error) => tracing::warn!(%error, "can't listen for wake-ups of other hosts"),
        }
        tell(&mut ready);
        ears.bell.fall_deaf();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Tells whoever waits for the first try.
fn tell(ready: &mut Option<oneshot::Sender<()>>) {
    if let Some(ready) = ready.take() {
        // Who went away needs no answer.
        let _ = ready.send(());
    }
}

/// A listener that has called itself, so that the first it hears comes at once.
async fn open(pool: &PgPool, names: &Names) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(&names.channel).await?;
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(&names.channel)
        .bind(format!("{} {ECHO}", names.me))
        .execute(&mut listener)
        .await?;
    Ok(listener)
}

/// Passes hints on until the connection is lost, or is silent for longer than this host's own
/// calls are apart; whether anything was heard.
async fn receive(mut listener: PgListener, me: &str, ears: &Ears, patience: Duration) -> bool {
    let mut any = false;
    while let Ok(Ok(Some(heard))) = timeout(patience, listener.try_recv()).await {
        any = true;
        ears.bell.hear_again();
        let Some((from, hint)) = heard.payload().split_once(' ') else {
            continue;
        };
        // One's own came at once, within the process.
        if from != me
            && !live::hear(&ears.live, hint)
            && let Some(wake) = Wake::from_payload(hint)
        {
            ears.bell.ring(wake);
        }
    }
    any
}
