//! The same on SQLite, which says how it would go about each statement that was logged.

use crate::setup::{job, real_now, submit};
use crate::{all_day, of_group, one_at_once, seen};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

#[tokio::test]
async fn every_statement_of_the_queue_goes_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gantry.db");
    seen::listen();
    let store = store::Sqlite::open(&path, store::Options::default())
        .await
        .unwrap();
    let store: std::sync::Arc<dyn crate::Store> = std::sync::Arc::new(store);
    one_at_once(&store).await;
    submit(&store, of_group("first")).await;
    submit(&store, job("second", real_now())).await;
    seen::take(seen::QUERIES);
    all_day(&store).await;
    let mut conn = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let mut asked = 0;
    for statement in seen::take(seen::QUERIES) {
        let sql = statement.trim().to_owned();
        if !["WITH", "SELECT", "UPDATE", "INSERT"]
            .iter()
            .any(|word| sql.starts_with(word))
        {
            continue;
        }
        asked += 1;
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(AssertSqlSafe(explain))
            .fetch_all(&mut conn)
            .await
            .unwrap();
        for row in rows {
            let detail: String = row.get("detail");
            let scans = detail
                .strip_prefix("SCAN jobs")
                .or_else(|| detail.strip_prefix("SCAN events"));
            assert!(
                scans.is_none_or(|how| how.contains("USING INDEX") || how.contains("COVERING INDEX")),
                "{detail}: {sql}"
            );
        }
    }
    assert!(asked > 5, "{asked} statements were logged only");
}
