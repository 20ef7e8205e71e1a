//! Wake-ups between hosts: one connection that listens, and one task that notifies, both beside
//! the jobs' transactions. What is lost here costs time only: everybody polls as well.

use crate::Wake;
use crate::wake::Bell;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Between two notifications: PostgreSQL serialises the commits of those who notify.
const THROTTLE: Duration = Duration::from_millis(10);

/// Hints in one notification; beyond it they are one that stands for any.
const HINTS: usize = 100;

/// The two tasks; they end with it.
#[derive(Debug)]
pub(super) struct Wire {
    out: mpsc::UnboundedSender<Wake>,
    tasks: [JoinHandle<()>; 2],
}

/// What tells this store's hints from another's, and this process's from others'.
#[derive(Clone, Debug)]
struct Names {
    channel: String,
    me: String,
}

impl Wire {
    /// Starts both, and returns once the listener listens, or has found that it can't.
    pub(super) async fn start(
        pool: PgPool,
        to: PgConnectOptions,
        (installation, me): (String, String),
        bell: Bell,
    ) -> Self {
        let names = Names {
            channel: format!("gantry_{installation}"),
            me,
        };
        let (out, hints) = mpsc::unbounded_channel();
        let (ready, listens) = oneshot::channel();
        let tasks = [
            tokio::spawn(notify(pool, names.clone(), hints)),
            tokio::spawn(listen(to, names, bell, ready)),
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

/// Sends what has gathered, the first at once, the next not before the throttle allows it.
async fn notify(pool: PgPool, names: Names, mut hints: mpsc::UnboundedReceiver<Wake>) {
    while let Some(first) = hints.recv().await {
        let mut gathered = BTreeSet::from([first]);
        while let Ok(more) = hints.try_recv() {
            gathered.insert(more);
        }
        if gathered.len() > HINTS {
            gathered.retain(|wake| !matches!(wake, Wake::Events(_)));
            gathered.insert(Wake::Events(None));
        }
        let payloads: Vec<String> = gathered
            .iter()
            .map(|wake| format!("{} {}", names.me, wake.payload()))
            .collect();
        let sent = sqlx::query("SELECT pg_notify($1, hint) FROM unnest($2) AS hint")
            .bind(&names.channel)
            .bind(payloads)
            .execute(&pool)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "a wake-up isn't sent; the others poll");
        }
        tokio::time::sleep(THROTTLE).await;
    }
}

/// Listens for ever. Whenever that fails it says so, and once it works again it wakes everybody,
/// since nobody knows what was missed.
async fn listen(to: PgConnectOptions, names: Names, bell: Bell, ready: oneshot::Sender<()>) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(to);
    let mut ready = Some(ready);
    let mut pause = Duration::from_millis(100);
    loop {
        match open(&pool, &names.channel).await {
            Ok(listener) => {
                pause = Duration::from_millis(100);
                if !tell(&mut ready) {
                    for wake in [Wake::Ready, Wake::Events(None), Wake::Sites] {
                        bell.ring(wake);
                    }
                }
                receive(listener, &names.me, &bell).await;
                tracing::warn!("wake-ups of other hosts don't arrive: connecting again");
            }
            Err(error) => tracing::warn!(%error, "can't listen for wake-ups of other hosts"),
        }
        tell(&mut ready);
        bell.ring(Wake::Deaf);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Tells whoever waits for the first try; whether this was it.
fn tell(ready: &mut Option<oneshot::Sender<()>>) -> bool {
    ready.take().is_some_and(|ready| ready.send(()).is_ok())
}

async fn open(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

/// Passes hints on until the connection is lost.
async fn receive(mut listener: PgListener, me: &str, bell: &Bell) {
    while let Ok(Some(heard)) = listener.try_recv().await {
        let Some((from, hint)) = heard.payload().split_once(' ') else {
            continue;
        };
        // One's own came at once, within the process.
        if from != me
            && let Some(wake) = Wake::from_payload(hint)
        {
            bell.ring(wake);
        }
    }
}
