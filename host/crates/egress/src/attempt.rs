//! What is told of each attempt, and to whom. How it is kept is the host's matter.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::refusal::Refusal;

/// Characters of a target that are told.
const TARGET_CHARS: usize = 300;

/// Where the attempts of a run are written down.
#[async_trait]
pub trait Book: Send + Sync + fmt::Debug {
    /// Writes it down; false where it isn't kept. A connection is made only once this has said
    /// that it will be found in the book.
    async fn note(&self, attempt: &Attempt) -> bool;
}

/// A step of an attempt to reach something. Its `Display` is a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Name and port, as they were understood; what was asked for where they weren't. Empty
    /// where nothing was.
    pub target: String,
    /// What came of it.
    pub what: What,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing.
    Refused(Refusal),
    /// It is about to be connected to.
    Allowed {
        /// The addresses, all looked at, in the order in which they are tried.
        addresses: Vec<IpAddr>,
    },
    /// The connection is over.
    Ended {
        /// Why.
        end: End,
        /// Bytes from the agent.
        sent: u64,
        /// Bytes to the agent.
        received: u64,
        /// Since it was made.
        took: Duration,
    },
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// Both sides had ended it.
    #[error("closed")]
    Closed,
    /// One side broke it off.
    #[error("broken off")]
    BrokenOff,
    /// Nothing passed for too long.
    #[error("cut off, since nothing passed any more")]
    Idle,
    /// It was open for too long.
    #[error("cut off, since it was open for too long")]
    TooLong,
    /// The run has sent or received all that it may.
    #[error("cut off, since this run has sent or received all the bytes that it may")]
    UsedUp,
    /// This host's lease is past.
    #[error("cut off, since this host may let nothing out any more")]
    Fenced,
    /// The run is over, or this host gives it up.
    #[error("cut off with the run")]
    RunOver,
}

impl Attempt {
    /// `asked` may be anything that an agent wrote.
    pub(crate) fn new(asked: &str, what: What) -> Self {
        let target = asked.escape_debug().take(TARGET_CHARS).collect();
        Self { target, what }
    }

    /// Whether it is only told that it went as it should.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(
            self.what,
            What::Allowed { .. }
                | What::Ended {
                    end: End::Closed | End::BrokenOff | End::RunOver,
                    ..
                }
        )
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target.as_str() {
            "" => f.write_str("network: a connection: ")?,
            target => write!(f, "network: {target}: ")?,
        }
        match &self.what {
            What::Refused(refusal) => refusal.fmt(f),
            What::Allowed { addresses } => {
                f.write_str("allowed, at ")?;
                for (index, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if index > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            What::Ended {
                end,
                sent,
                received,
                took,
            } => write!(
                f,
                "{end}; {sent} bytes sent, {received} received, in {:.1} s",
                took.as_secs_f64()
            ),
        }
    }
}
