//! A million rows in PostgreSQL. What a statement read is what counts: the rows that it looked at,
//! those that it passed over included, and through which indexes.

use crate::setup::{Bed, Store, job, real_now, submit};
use crate::{FULL, all_day, of_group, one_at_once, seen};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Options, Postgres};

const MILLION: u32 = 1_000_000;

/// Rows of `jobs` and `events` that one statement may look at: those of a batch, and some that
/// others have changed meanwhile. Nothing near a thousandth of what is there.
const MOST: f64 = 100.0;

/// The server explains each statement of these connections to the client.
const EXPLAIN: &str = "&options[session_preload_libraries]=auto_explain\
    &options[auto_explain.log_min_duration]=0&options[auto_explain.log_analyze]=on\
    &options[auto_explain.log_timing]=off&options[auto_explain.log_format]=json\
    &options[auto_explain.log_level]=notice&options[jit]=off";

/// What a statement does with a table.
#[derive(Debug)]
struct Visit {
    node: String,
    table: String,
    index: Option<String>,
    rows: f64,
}

/// Every visit of a plan.
fn visits(plan: &Value, found: &mut Vec<Visit>) {
    let text = |key: &str| plan[key].as_str().map(str::to_owned);
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let table = text("Relation Name").or_else(|| {
        // A bitmap's index says no table; ours begin with its name.
        let index = text("Index Name")?;
        index.split('_').next().map(str::to_owned)
    });
    if let Some(table) = table {
        let each = number("Actual Rows") + number("Rows Removed by Filter");
        found.push(Visit {
            node: text("Node Type").unwrap(),
            table,
            index: text("Index Name"),
            rows: each * number("Actual Loops").max(1.0),
        });
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        visits(part, found);
    }
}

/// The indexes of `jobs` that `work` went by. It fails where any statement looked through a table,
/// or at more rows than it may.
async fn indexes_of(work: impl Future<Output = ()>) -> BTreeSet<String> {
    seen::take(seen::NOTICES);
    work.await;
    let mut indexes = BTreeSet::new();
    let mut plans = 0;
    for notice in seen::take(seen::NOTICES) {
        let Some((_, plan)) = notice.split_once("plan:\n") else {
            continue;
        };
        plans += 1;
        let plan: Value = serde_json::from_str(plan).unwrap();
        let mut found = Vec::new();
        visits(&plan["Plan"], &mut found);
        for visit in found {
            let is_large = ["jobs", "events"].contains(&visit.table.as_str());
            if !is_large || visit.node == "ModifyTable" {
                continue;
            }
            let text = || format!("{visit:?}: {}", plan["Query Text"]);
            assert_ne!(visit.node, "Seq Scan", "{}", text());
            assert!(visit.rows <= MOST, "{}", text());
            indexes.extend(visit.index.clone());
        }
    }
    assert!(plans > 5, "the server explained {plans} statements only");
    indexes
}

/// A million rows like one that is there, with another id and a later rank each. Nobody reads
/// their bodies.
async fn a_million_like(bed: &Bed, like: &pipeline::Job) {
    let mut conn = bed.connection().await;
    let sql = format!(
        "INSERT INTO jobs (id, name_folded, pipeline, group_key, priority, revision, status, line, \
         ready, rank, created_at, body) \
         SELECT gen_random_uuid(), '', pipeline, group_key, 0, 1, status, line, ready, rank + n, \
         created_at, '{{}}' FROM jobs, generate_series(1, {MILLION}) AS n WHERE id = '{}'",
        like.id
    );
    let added = conn
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await
        .unwrap();
    assert_eq!(added.rows_affected(), u64::from(MILLION));
    conn.execute("VACUUM ANALYZE jobs").await.unwrap();
}

async fn explained(bed: &Bed) -> Arc<dyn Store> {
    seen::listen();
    let url = format!("{}{EXPLAIN}", bed.url());
    Arc::new(Postgres::connect(&url, Options::default()).await.unwrap())
}

/// Runs a case, and takes its database away where it ends well.
async fn run<F: Future<Output = ()>>(case: impl FnOnce(Bed) -> F) {
    let Some(bed) = Bed::postgres().await else {
        return;
    };
    case(bed.clone()).await;
    bed.remove().await;
}

#[tokio::test]
async fn a_million_queued_jobs_are_found_by_their_indexes() {
    run(|bed| async move {
        let store = explained(&bed).await;
        one_at_once(&store).await;
        for name in ["first", "second"] {
            submit(&store, job(name, real_now())).await;
        }
        let like = submit(&store, job("like a million", real_now())).await;
        a_million_like(&bed, &like).await;
        let indexes = indexes_of(all_day(&store)).await;
        // Where nothing waits for a time, more than one index finds that out at once.
        for wanted in ["jobs_ready", "jobs_pkey"] {
            assert!(indexes.contains(wanted), "{wanted}: {indexes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_group_that_owns_a_million_jobs_costs_the_others_nothing() {
    run(|bed| async move {
        let store = explained(&bed).await;
        one_at_once(&store).await;
        // It holds its group's only place, and is the first to be claimed and to end: then its
        // line is looked at.
        submit(&store, of_group("first")).await;
        submit(&store, job("second", real_now())).await;
        let like = submit(&store, of_group("like a million")).await;
        a_million_like(&bed, &like).await;
        let full = format!("a million wait for {FULL}");
        let indexes = indexes_of(all_day(&store)).await;
        for wanted in ["jobs_ready", "jobs_line_group"] {
            assert!(indexes.contains(wanted), "{full}: {wanted}: {indexes:?}");
        }
    })
    .await;
}
