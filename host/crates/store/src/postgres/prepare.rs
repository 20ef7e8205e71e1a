//! Bringing the schema up to date beside hosts that are at work: one host does it, and it waits
//! for no lock for long, since whoever comes after it for the same table waits behind it. What a
//! version changes is in `migrations/`.

use crate::error::Fault;
use crate::{StoreError, migrate};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio::time::sleep;

/// How long a statement waits for a lock, and so how long it holds up those that come after it:
/// shorter than a heartbeat may take.
const LOCK_WITHIN: &str = "1s";
/// Before it is tried again, at first and at most: meanwhile the others catch up.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// Between two looks whether the other host is done.
const LOOK: Duration = Duration::from_millis(100);

/// `lock_not_available`: what `lock_timeout` ends with.
const NOT_LOCKED: &str = "55P03";

/// Migrates, on connections of its own, which are closed whatever happens: sqlx's lock is the
/// session's, and would stay held in the store's pool.
pub(super) async fn prepare(to: &PgConnectOptions, place: &str) -> Result<(), StoreError> {
    let sql = |error: sqlx::Error| Fault::from(error).at(place);
    let mut turn = take_turn(to, place).await.map_err(sql)?;
    let mut rest = REST;
    while let Err(error) = migrated(to).await {
        if !is_locked(&error) {
            return Err(StoreError::Migrate {
                place: place.to_owned(),
                source: error,
            });
        }
        let held_by = oldest(&mut turn).await;
        tracing::warn!(
            %error,
            held_by,
            retry_ms = rest.as_millis(),
            "a transaction that is open keeps the schema as it is: it isn't waited for in line, \
             so that others go on"
        );
        sleep(rest).await;
        rest = (rest * 2).min(LONGEST_REST);
    }
    // It only gives its turn back, which the end of the connection does as well.
    let _ = turn.close().await;
    Ok(())
}

/// Waits for this host's turn, which lasts as long as the connection. Looked for again and again
/// rather than waited for: a statement that waits would keep an index from being made beside it.
async fn take_turn(to: &PgConnectOptions, place: &str) -> Result<PgConnection, sqlx::Error> {
    let mut turn = PgConnection::connect_with(to).await?;
    let mut told = false;
    loop {
        let taken: bool = sqlx::query_scalar(
            "SELECT pg_try_advisory_lock(hashtextextended('gantry migrates ' || current_schema(), 0))",
        )
        .fetch_one(&mut turn)
        .await?;
        if taken {
            return Ok(turn);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(place, "another host brings the schema up to date");
        }
        sleep(LOOK).await;
    }
}

async fn migrated(to: &PgConnectOptions) -> Result<(), sqlx::migrate::MigrateError> {
    let to = to.clone().options([("lock_timeout", LOCK_WITHIN)]);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(to);
    let done = async {
        migrate::postgres().run(&pool).await?;
        // A database that was restored from a dump has events of a cluster whose transactions
        // were numbered higher: they would hold up the stream until this one gets there.
        sqlx::query(
            "UPDATE events SET xid = '3' WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())",
        )
        .execute(&pool)
        .await?;
        Ok(())
    };
    let done = done.await;
    pool.close().await;
    done
}

/// Whether it was given up only because somebody else's lock was in the way.
fn is_locked(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError as E;
    let (E::Execute(error) | E::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == NOT_LOCKED)
}

/// Whose transaction is open for longest, for people: as much of it as this user may see.
async fn oldest(turn: &mut PgConnection) -> String {
    let found: Result<Option<(i32, String, f64)>, _> = sqlx::query_as(
        "SELECT pid, application_name, CAST(extract(epoch FROM now() - xact_start) AS float8) \
         FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() \
         AND datname = current_database() ORDER BY xact_start LIMIT 1",
    )
    .fetch_optional(turn)
    .await;
    match found {
        Ok(Some((pid, name, seconds))) => {
            format!("perhaps process {pid} (`{name}`), whose transaction is {seconds:.0} s old")
        }
        _ => "a transaction that can't be seen from here".to_owned(),
    }
}
