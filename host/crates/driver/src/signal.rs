//! What the holder of a job is told from outside while it works. Nothing is told twice.

use tokio::sync::watch;

/// In order of weight: a heavier one is never replaced by a lighter one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Go on.
    #[default]
    Go,
    /// The host shuts down: give the job back, leave its agent running.
    GiveBack,
    /// A person asked for its end: stop the agent.
    Cancel,
    /// The lease is lost: drop everything, stop nothing, write nothing.
    Lost,
}

/// The first thing that is told but to go on; who told it being gone counts as the lease lost.
pub(crate) async fn told(signal: &mut watch::Receiver<Signal>) -> Signal {
    signal
        .wait_for(|signal| *signal != Signal::Go)
        .await
        .map_or(Signal::Lost, |told| *told)
}
