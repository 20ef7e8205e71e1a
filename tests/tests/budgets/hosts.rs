//! Two hosts, one database, one budget of a day: what both let out together.

use std::path::Path;

use futures_util::{StreamExt as _, future, stream};
use pipeline::BudgetKind;
use serde_json::json;
use store::{BudgetOf, MoneyStore as _, Options, Postgres};
use tests::bank::{Bank, MODEL, TOKEN};
use tests::harness::{Database, Part, Parts};
use tests::standin::{Asked, Reply, Standin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::{KEY, cost, used};

/// A dollar and a half, for what would cost about twelve.
const LIMIT: u64 = 1_500_000;
const REQUESTS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_never_let_out_more_than_their_one_budget() {
    let test = "two_hosts_never_let_out_more_than_their_one_budget";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let api = Standin::start(|asked: &Asked| Reply::text("as told").usage(used(asked))).await;
    let api = api.unwrap();
    let hosts = [
        host("a", &database, api.url()).await,
        host("b", &database, api.url()).await,
    ];
    let day = BudgetOf {
        planned: None,
        ceiling: Some(LIMIT),
    };
    let mut runs = Vec::new();
    for host in &hosts {
        for number in 0..2 {
            runs.push(host.run(number, BudgetKind::Day, day).await);
        }
    }
    let all = runs.iter().map(|run| {
        let asked = stream::iter(0..REQUESTS).map(|_| ask(run.socket_path()));
        asked.buffer_unordered(8).collect::<Vec<_>>()
    });
    let answers = future::join_all(all).await.concat();
    for run in &mut runs {
        run.close().await.unwrap();
    }

    let let_out = cost(&api.asked());
    let today = hosts[0].store.day_money().await.unwrap().all;
    assert_eq!(today.spent.usage.cost_micro_usd, let_out);
    assert_eq!((today.reserved, today.spent.assumed_micro_usd), (0, 0));
    assert!(let_out <= LIMIT, "{let_out}");
    // Both met it, in words; and what is left is less than one more request could cost.
    let refused = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 400"));
    let refused: Vec<_> = refused.collect();
    assert!(refused.len() > REQUESTS, "{}", refused.len());
    for answer in refused {
        assert!(
            answer.contains("the budget of all jobs for today is used up"),
            "{answer}"
        );
    }
    assert!(LIMIT - let_out < 100_000, "{let_out}");
}

async fn host(name: &str, database: &Database, provider: &str) -> Bank<Postgres> {
    let store = Postgres::connect(&database.url(), Options::default()).await;
    Bank::open(store.unwrap(), name, provider, KEY).await
}

/// The whole answer to one request, as it came.
async fn ask(socket: &Path) -> String {
    let body = json!({ "model": MODEL, "max_tokens": 3_000,
        "messages": [{ "role": "user", "content": "x".repeat(4_000) }] });
    let body = body.to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
