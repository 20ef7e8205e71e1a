//! What the API needs of a store to know who calls: tokens, found by their digests, and the page's
//! sessions. It never sees the text of either.

use crate::StoreError;
use async_trait::async_trait;
use pipeline::{Digest, Timestamp, Token, TokenSpec};

/// A token to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Of its text.
    pub digest: Digest,
    /// What it is.
    pub spec: TokenSpec,
}

/// Whether a token with the scope `admin` has to be live afterwards. Where nobody can administer,
/// nobody can create one either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admins {
    /// There has to be one.
    One,
    /// There need not: another way in is known.
    Any,
}

/// How a create ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// Kept.
    Done(Token),
    /// Not kept: none that is live has the scope `admin`, nor has this one.
    NoAdmin,
}

/// How a revoke ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is good for nothing, and its sessions are over; also where that was so before.
    Done,
    /// Not done: it is the last one that is live and has the scope `admin`.
    LastAdmin,
    /// There is none of this id.
    NotFound,
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The digest of the token that it was begun with.
    pub token: Digest,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Who may call. Times are the database's clock.
#[async_trait]
pub trait AccessStore: Send + Sync + std::fmt::Debug {
    /// Keeps a token.
    async fn create_token(&self, new: &NewToken, admins: Admins) -> Result<Created, StoreError>;

    /// All of them, the revoked ones too, newest first.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// The live token of this digest.
    async fn token(&self, digest: &Digest) -> Result<Option<Token>, StoreError>;

    /// Whether there ever was one.
    async fn has_tokens(&self) -> Result<bool, StoreError>;

    /// Notes that a token was used: a write a minute at most, over all hosts.
    async fn token_used(&self, id: &str) -> Result<(), StoreError>;

    /// Ends a token and its sessions.
    async fn revoke_token(&self, id: &str, admins: Admins) -> Result<Revoked, StoreError>;

    /// Keeps a session.
    async fn put_session(&self, digest: &Digest, session: &Session) -> Result<(), StoreError>;

    /// A session; none once its time has passed.
    async fn session(&self, digest: &Digest) -> Result<Option<Session>, StoreError>;

    /// Ends a session.
    async fn delete_session(&self, digest: &Digest) -> Result<(), StoreError>;
}
