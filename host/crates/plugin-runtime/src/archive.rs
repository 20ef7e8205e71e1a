//! What the runtime needs of a memory that outlives this host and is shared with others: the store,
//! seen from here. It decides nothing.

use async_trait::async_trait;
use pipeline::{Digest, PluginHold, PluginPin, RecordedCall};

/// Plugins' bytes and past. Its errors are logged here, and never stop a plugin from serving.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Keeps accepted bytes, and notes that the file of this name held them; again is nothing.
    async fn put(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), String>;

    /// The bytes of a digest, where they are known.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String>;

    /// What the file of this name held, the newest first.
    async fn history(&self, file: &str) -> Result<Vec<PluginPin>, String>;

    /// Forgets what a file held: it was removed. Bytes stay, for phases that began with them.
    async fn forget(&self, file: &str) -> Result<(), String>;

    /// Which digests may not answer.
    async fn holds(&self) -> Result<Vec<PluginHold>, String>;

    /// Recorded calls of a plugin, the newest first.
    async fn calls(&self, name: &str) -> Result<Vec<RecordedCall>, String>;
}

/// No memory at all, for plugins that are only looked at.
#[derive(Clone, Copy, Debug)]
pub struct NoArchive;

#[async_trait]
impl Archive for NoArchive {
    async fn put(&self, _file: &str, _pin: &PluginPin, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }

    async fn get(&self, _digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    async fn history(&self, _file: &str) -> Result<Vec<PluginPin>, String> {
        Ok(Vec::new())
    }

    async fn forget(&self, _file: &str) -> Result<(), String> {
        Ok(())
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, String> {
        Ok(Vec::new())
    }

    async fn calls(&self, _name: &str) -> Result<Vec<RecordedCall>, String> {
        Ok(Vec::new())
    }
}
