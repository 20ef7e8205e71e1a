//! Tokens and sessions, by their digests. What a scope opens, the API says.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Row, Store};
use crate::access::{Admins, Created, NewToken, Revoked, Session};
use crate::error::Fault;
use crate::rules::{self, TOKEN_USED_MS, clean};
use pipeline::{Digest, Scope, Timestamp, Token, TokenSpec};
use sqlx::{Row as _, query};

pub(super) async fn create(
    store: &Store,
    new: &NewToken,
    admins: Admins,
) -> Result<Created, Fault> {
    let mut tx = store.begin().await?;
    super::lock_tokens(&mut tx).await?;
    let is_admin = new.spec.scopes.contains(&Scope::Admin);
    if admins == Admins::One && !is_admin && !has_admin_but(&mut tx, "").await? {
        return Ok(Created::NoAdmin);
    }
    let scopes: Vec<&str> = new.spec.scopes.iter().map(|scope| scope.word()).collect();
    let groups = new.spec.groups.as_ref().map(rules::json).transpose()?;
    let row = query(concat!(
        "INSERT INTO tokens (digest, id, name, scopes, group_keys, created_at) ",
        "VALUES ($1, $2, $3, $4, $5, ",
        now!("$6"),
        ") RETURNING id, name, scopes, group_keys, created_at, last_used_at, revoked_at"
    ))
    .bind(&new.digest.0)
    .bind(new.digest.short())
    .bind(clean(&new.spec.name))
    .bind(scopes.join(" "))
    .bind(groups)
    .bind(store.now())
    .fetch_one(&mut *tx)
    .await?;
    let token = token_of(&row)?;
    tx.commit().await?;
    Ok(Created::Done(token))
}

/// Whether a live token with the scope `admin` is there, besides this one.
async fn has_admin_but(conn: &mut Conn, id: &str) -> Result<bool, Fault> {
    let row = query(
        "SELECT count(*) FROM tokens WHERE revoked_at IS NULL AND id <> $1 \
         AND ' ' || scopes || ' ' LIKE '% admin %'",
    )
    .bind(id)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

pub(super) async fn all(store: &Store) -> Result<Vec<Token>, Fault> {
    let found = query(
        "SELECT id, name, scopes, group_keys, created_at, last_used_at, revoked_at FROM tokens \
         ORDER BY created_at DESC, id",
    )
    .fetch_all(store.reads())
    .await?;
    super::read::readable(&found.iter().collect::<Vec<_>>(), token_of)
}

pub(super) async fn live(store: &Store, digest: &Digest) -> Result<Option<Token>, Fault> {
    let row = query(
        "SELECT id, name, scopes, group_keys, created_at, last_used_at, revoked_at FROM tokens \
         WHERE digest = $1 AND revoked_at IS NULL",
    )
    .bind(clean(&digest.0))
    .fetch_optional(store.reads())
    .await?;
    row.as_ref().map(token_of).transpose()
}

pub(super) async fn any(store: &Store) -> Result<bool, Fault> {
    let row = query("SELECT id FROM tokens LIMIT 1")
        .fetch_optional(store.reads())
        .await?;
    Ok(row.is_some())
}

pub(super) async fn used(store: &Store, id: &str) -> Result<(), Fault> {
    let mut conn = store.single().await?;
    query(concat!(
        "UPDATE tokens SET last_used_at = ",
        now!("$1"),
        " WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= ",
        now!("$1"),
        " - $3)"
    ))
    .bind(store.now())
    .bind(clean(id))
    .bind(TOKEN_USED_MS)
    .execute(&mut *conn)
    .await?;
    store.end(conn).await?;
    Ok(())
}

pub(super) async fn revoke(store: &Store, id: &str, admins: Admins) -> Result<Revoked, Fault> {
    let mut tx = store.begin().await?;
    super::lock_tokens(&mut tx).await?;
    let row = query("SELECT digest, scopes, revoked_at FROM tokens WHERE id = $1")
        .bind(clean(id))
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else {
        return Ok(Revoked::NotFound);
    };
    if row.try_get::<Option<i64>, _>("revoked_at")?.is_some() {
        return Ok(Revoked::Done);
    }
    let is_admin = scopes_of(row.try_get("scopes")?).any(|scope| scope == Scope::Admin);
    if admins == Admins::One && is_admin && !has_admin_but(&mut tx, id).await? {
        return Ok(Revoked::LastAdmin);
    }
    query(concat!(
        "UPDATE tokens SET revoked_at = ",
        now!("$1"),
        " WHERE id = $2"
    ))
    .bind(store.now())
    .bind(clean(id))
    .execute(&mut *tx)
    .await?;
    query("DELETE FROM sessions WHERE token = $1")
        .bind(row.try_get::<&str, _>("digest")?)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Revoked::Done)
}

/// A scope of a later version opens nothing here.
fn scopes_of(words: &str) -> impl Iterator<Item = Scope> {
    words.split(' ').filter_map(Scope::from_word)
}

fn token_of(row: &Row) -> Result<Token, Fault> {
    let id: String = row.try_get("id")?;
    let groups: Option<String> = row.try_get("group_keys")?;
    // A list that can't be read is not a list of all.
    let groups = groups
        .map(|groups| rules::parse(&groups, || format!("token {id}")))
        .transpose()?;
    let time = |at: Option<i64>| at.map(Timestamp::from_millis);
    Ok(Token {
        spec: TokenSpec {
            name: row.try_get("name")?,
            scopes: scopes_of(row.try_get("scopes")?).collect(),
            groups,
        },
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        last_used_at: time(row.try_get("last_used_at")?),
        revoked_at: time(row.try_get("revoked_at")?),
        id,
    })
}

pub(super) async fn put_session(
    store: &Store,
    digest: &Digest,
    session: &Session,
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query(concat!(
        "DELETE FROM sessions WHERE expires <= ",
        now!("$1")
    ))
    .bind(store.now())
    .execute(&mut *tx)
    .await?;
    query(
        "INSERT INTO sessions (digest, token, expires) VALUES ($1, $2, $3) \
         ON CONFLICT (digest) DO UPDATE SET token = excluded.token, expires = excluded.expires",
    )
    .bind(clean(&digest.0))
    .bind(clean(&session.token.0))
    .bind(session.expires.as_millis())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn session(store: &Store, digest: &Digest) -> Result<Option<Session>, Fault> {
    let row = query(concat!(
        "SELECT token, expires FROM sessions WHERE digest = $2 AND token <> '' AND expires > ",
        now!("$1")
    ))
    .bind(store.now())
    .bind(clean(&digest.0))
    .fetch_optional(store.reads())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Session {
        token: Digest(row.try_get("token")?),
        expires: Timestamp::from_millis(row.try_get("expires")?),
    }))
}

pub(super) async fn delete_session(store: &Store, digest: &Digest) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query("DELETE FROM sessions WHERE digest = $1")
        .bind(clean(&digest.0))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
