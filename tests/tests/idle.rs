//! What a host asks of its database while there is nothing to do, counted on the way there.

use std::time::Duration;

use serde_json::json;
use tests::harness::{Database, Host, Part, Parts, Setup, Wire, in_a_year};

/// Long enough that all that a host does from time to time comes in it; seconds.
const SPAN: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_asks_at_most_once_a_second_and_wakes_at_once() {
    let test = "an_idle_host_asks_at_most_once_a_second_and_wakes_at_once";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let wire = Wire::before(&database.url()).await;
    let host = Host::start(Setup::demo().set("DATABASE_URL", wire.url())).await;
    let client = host.client();
    let id = client.submit("a game about waiting").await;
    client.succeeded(&id).await;
    // A job that is due in a year is nothing to do, either.
    let later = json!({"name": "later", "run_at": in_a_year()});
    client.submit_with(&later).await;
    // What the job before left to do, and the submit woke, isn't idleness.
    tokio::time::sleep(Duration::from_secs(5)).await;
    // The span is what is counted over: nothing is waited for.
    let before = wire.asked();
    tokio::time::sleep(Duration::from_secs(SPAN)).await;
    let asked = wire.asked() - before;
    assert!(asked <= SPAN, "{asked} statements in {SPAN} s");
    assert!(asked > 0, "the wire counts");
    let id = client.submit("a game about waking").await;
    client.succeeded(&id).await;
}
