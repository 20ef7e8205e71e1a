//! Identifiers: of jobs, hosts, leases, bytes and agent runs. None is made up here.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A job: a UUIDv7, so that ids sort by time of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// One host process family: kept in its `GANTRY_DATA`, so that it is the same after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub String);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A workspace root: kept in a file of the root itself, so that hosts that mount the same
/// folder agree on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootId(pub String);

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a claim. It only grows; a write that carries an old one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lease(pub i64);

/// SHA-256 of some bytes, in lowercase hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The first twelve characters, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which run of an agent: what a container's name says. Two runs never share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The job.
    pub job: JobId,
    /// Its revision, from 1.
    pub revision: u32,
    /// The phase's id.
    pub phase: String,
    /// The attempt of the phase in this revision, from 1.
    pub attempt: u32,
    /// The task's name.
    pub task: String,
    /// From 1; raised only when a run has ended for a passing reason.
    pub run: u32,
}

impl RunKey {
    /// The number of a task's first run.
    pub const FIRST: u32 = 1;

    /// A container's name: letters, digits and hyphens, unique over installations.
    pub fn name(&self, installation: &str) -> String {
        let Self {
            job,
            revision,
            phase,
            attempt,
            task,
            run,
        } = self;
        format!("gantry-{installation}-{job}-r{revision}-{phase}-a{attempt}-{task}-{run}")
    }

    /// Sixteen hex digits: a folder's name that keeps a socket's path short.
    pub fn short(&self) -> String {
        let mut hex = Digest::of(self.name("").as_bytes()).0;
        hex.truncate(16);
        hex
    }

    /// The id of the session that this run begins, where it begins one. A UUID of version 8.
    pub(crate) fn begins_session(&self) -> Uuid {
        let hash = Sha256::digest(self.name("session"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}
