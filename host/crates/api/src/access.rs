//! Which token is whose: `API_TOKEN`, and those of the store, each remembered for a moment so that
//! a request costs no question. It knows no request, and never sees a token in a log.

use crate::caller::{Caller, Kind};
use crate::{ApiConfig, Now, Secret};
use pipeline::{Digest, Timestamp};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{AccessStore, StoreError};

/// How long an answer of the store counts: what another host has revoked is good for as long here.
const REMEMBERED: Duration = Duration::from_secs(3);

/// How often a token's use is told to the store at most, which looks at it once more.
const USED_EVERY: Duration = Duration::from_secs(60);

/// Who may come in, as this host knows it.
pub(crate) struct Access {
    pub(crate) store: Arc<dyn AccessStore>,
    api_token: Option<(ApiToken, Caller)>,
    local: Caller,
    bind_is_loopback: bool,
    now: Now,
    known: Mutex<HashMap<Digest, (Caller, Timestamp)>>,
    door: Mutex<Door>,
}

/// Whether everybody who can connect may do everything.
#[derive(Clone, Copy, Debug)]
enum Door {
    /// A token is wanted, from now on.
    Guarded,
    /// There was no token at this time.
    OpenAt(Timestamp),
    /// Nobody has asked yet.
    Unknown,
}

impl Access {
    pub(crate) fn new(config: &ApiConfig, store: Arc<dyn AccessStore>) -> Self {
        let api_token = config.api_token.as_ref().map(Secret::expose).map(|text| {
            let kind = Kind::ApiToken(Digest::of(text.as_bytes()));
            (ApiToken::new(text), Caller::of_all(kind))
        });
        Self {
            store,
            api_token,
            local: Caller::of_all(Kind::Local),
            bind_is_loopback: config.bind_is_loopback,
            now: Arc::clone(&config.now),
            known: Mutex::default(),
            door: Mutex::new(Door::Unknown),
        }
    }

    pub(crate) fn has_api_token(&self) -> bool {
        self.api_token.is_some()
    }

    /// Who may do everything, as nobody is asked for a token; none where a token is wanted. Once
    /// there was one it always is: that one is revoked opens nothing.
    pub(crate) async fn open(&self) -> Result<Option<Caller>, StoreError> {
        if self.has_api_token() || !self.bind_is_loopback {
            return Ok(None);
        }
        let now = (self.now)();
        let door = *locked(&self.door);
        match door {
            Door::Guarded => return Ok(None),
            Door::OpenAt(then) if is_fresh(then, now) => return Ok(Some(self.local.clone())),
            Door::OpenAt(_) | Door::Unknown => {}
        }
        if self.store.has_tokens().await? {
            self.guard();
            return Ok(None);
        }
        let mut door = locked(&self.door);
        if matches!(*door, Door::Guarded) {
            return Ok(None);
        }
        *door = Door::OpenAt(now);
        Ok(Some(self.local.clone()))
    }

    /// A token was created here: nobody comes in without one any more.
    pub(crate) fn guard(&self) {
        *locked(&self.door) = Door::Guarded;
    }

    /// A token was revoked here.
    pub(crate) fn forget(&self) {
        locked(&self.known).clear();
    }

    /// Whose this token is; none where nobody knows it.
    pub(crate) async fn by_text(&self, given: &str) -> Result<Option<Caller>, StoreError> {
        if let Some((token, caller)) = &self.api_token
            && token.is(given)
        {
            return Ok(Some(caller.clone()));
        }
        self.of_store(&Digest::of(given.as_bytes())).await
    }

    /// Whose the token of this digest is.
    pub(crate) async fn by_digest(&self, digest: &Digest) -> Result<Option<Caller>, StoreError> {
        match &self.api_token {
            Some((_, caller)) if *caller.kind() == Kind::ApiToken(digest.clone()) => {
                Ok(Some(caller.clone()))
            }
            _ => self.of_store(digest).await,
        }
    }

    /// Whether who came in before may stay.
    pub(crate) async fn holds(&self, caller: &Caller) -> Result<bool, StoreError> {
        Ok(match caller.kind() {
            Kind::ApiToken(_) => true,
            Kind::Local => self.open().await?.is_some(),
            Kind::Token { digest, .. } => self.of_store(digest).await?.is_some(),
        })
    }

    async fn of_store(&self, digest: &Digest) -> Result<Option<Caller>, StoreError> {
        let now = (self.now)();
        let known = locked(&self.known).get(digest).cloned();
        if let Some((caller, then)) = known
            && is_fresh(then, now)
        {
            return Ok(Some(caller));
        }
        let Some(token) = self.store.token(digest).await? else {
            locked(&self.known).remove(digest);
            return Ok(None);
        };
        if token
            .last_used_at
            .is_none_or(|then| now.since(then) >= USED_EVERY)
        {
            self.note_use(token.id.clone());
        }
        let caller = Caller::of(token, digest.clone());
        let mut known = locked(&self.known);
        known.retain(|_, (_, then)| is_fresh(*then, now));
        known.insert(digest.clone(), (caller.clone(), now));
        Ok(Some(caller))
    }

    /// Beside the request, which doesn't wait for a write.
    fn note_use(&self, id: String) {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.token_used(&id).await {
                tracing::warn!(error = %error, token.id = %id, "a token's use couldn't be noted");
            }
        });
    }
}

/// Also where the clock was put back.
fn is_fresh(then: Timestamp, now: Timestamp) -> bool {
    then <= now && now.since(then) < REMEMBERED
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SHA-256 of the configured token: what is compared has one length, whatever was sent.
struct ApiToken([u8; 32]);

impl ApiToken {
    fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// In the same time, wherever they differ.
    fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        let differ = self
            .0
            .iter()
            .zip(given)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_only() {
        let token = ApiToken::new("correct horse");
        assert!(token.is("correct horse"));
        for other in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!token.is(other), "{other}");
        }
    }

    #[test]
    fn what_is_remembered_grows_old_and_a_clock_put_back_forgets() {
        let at = Timestamp::from_millis;
        for (then, now, fresh) in [
            (0, 0, true),
            (0, 2_999, true),
            (0, 3_000, false),
            (1, 0, false),
        ] {
            assert_eq!(is_fresh(at(then), at(now)), fresh, "{then} {now}");
        }
    }
}
