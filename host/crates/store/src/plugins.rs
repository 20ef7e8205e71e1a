//! What hosts remember of plugins together: what each file held, which digests may not answer,
//! and recorded calls. It runs none, and doesn't know what a recording says.

use crate::StoreError;
use async_trait::async_trait;
use pipeline::{BlameRule, Digest, JobId, PluginGeneration, PluginHold, PluginPin, RecordedCall};

/// A call that faulted.
#[derive(Clone, Debug)]
pub struct Faulted {
    /// Who faulted.
    pub pin: PluginPin,
    /// Whose call it was.
    pub job: JobId,
    /// `prompt`, `validate` or `deploy`.
    pub step: String,
    /// What the host said of it.
    pub message: String,
}

/// What a person's rollback came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolledBack {
    /// The digest may not answer any more.
    Held(PluginHold),
    /// Nothing else of this name was ever accepted that may answer.
    NothingElse,
}

/// The plugins' part of a store, for drivers and the API alike.
#[async_trait]
pub trait PluginStore: Send + Sync + std::fmt::Debug {
    /// Keeps bytes that a host accepted, and notes that the file of this name held them. It is
    /// nothing where they are what the file held last.
    async fn accepted(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), StoreError>;

    /// What the file of this name held, the newest first.
    async fn held_by(&self, file: &str) -> Result<Vec<PluginGeneration>, StoreError>;

    /// Forgets what a file held: it was removed.
    async fn forget_file(&self, file: &str) -> Result<(), StoreError>;

    /// Notes a fault, and judges it together with the others of its digest: the hold on that
    /// digest, where this fault or an earlier one brought it about. The hold, and the event that
    /// tells of it, are written in the same transaction.
    async fn faulted(
        &self,
        fault: &Faulted,
        rule: &BlameRule,
    ) -> Result<Option<PluginHold>, StoreError>;

    /// A person takes a digest back. An older generation answers, where there is one.
    async fn roll_back(&self, pin: &PluginPin, message: &str) -> Result<RolledBack, StoreError>;

    /// Lifts every hold on plugins of this name; which there were.
    async fn release(&self, name: &str) -> Result<Vec<Digest>, StoreError>;

    /// The digests that may not answer.
    async fn holds(&self) -> Result<Vec<PluginHold>, StoreError>;

    /// Keeps a recorded call, in place of the oldest where the plugin has more than its share:
    /// 50 calls, 64 MiB.
    async fn record(&self, call: &RecordedCall) -> Result<(), StoreError>;

    /// Recorded calls of a plugin, the newest first.
    async fn recorded(&self, name: &str, limit: u32) -> Result<Vec<RecordedCall>, StoreError>;
}
