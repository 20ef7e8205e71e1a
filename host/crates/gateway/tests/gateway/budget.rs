//! What is spent, and what isn't since no budget has it.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, future, stream};
use gateway::{Credential, Gateway, Limits, Run, RunSpec};
use http_body_util::BodyExt as _;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::accounts::{Book, TestAccounts, with_limit};
use crate::client::{ask, hello, message, post, send, within};
use crate::provider::{Body, Seen, TestProvider, piecewise, whole};
use crate::{KEY, gateway, spec};

/// An answer that is complete: 7 tokens read, 3 written, which is 37 micro-dollars.
const ANSWER: &str = r#"{"type":"message","usage":{"input_tokens":7,"output_tokens":3}}"#;

pub(crate) struct Paying {
    pub(crate) run: Run,
    book: Arc<Mutex<Book>>,
    _fence: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl Paying {
    pub(crate) async fn open(gateway: &Gateway, book: &Arc<Mutex<Book>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (fence, fenced) = watch::channel(false);
        let spec = RunSpec {
            accounts: TestAccounts::of(book),
            ..spec(&folder, fenced)
        };
        Self {
            run: gateway.open(spec).await.unwrap(),
            book: Arc::clone(book),
            _fence: fence,
            _folder: folder,
        }
    }

    async fn to(provider: &TestProvider, book: &Arc<Mutex<Book>>) -> Self {
        Self::open(&to(provider), book).await
    }

    pub(crate) async fn ask(&self, body: &Value) -> (StatusCode, Value) {
        ask(
            self.run.socket_path(),
            post("/v1/messages", body.to_string()),
        )
        .await
    }

    /// Spent, assumed and still set aside, once all is told.
    pub(crate) async fn end(mut self) -> (u64, u64, u64) {
        self.run.close().await.unwrap();
        let book = self.book.lock().unwrap();
        (book.spent, book.assumed, book.reserved)
    }
}

pub(crate) fn to(provider: &TestProvider) -> Gateway {
    gateway(
        provider.url(),
        Credential::ApiKey(KEY.into()),
        Limits::default(),
    )
}

pub(crate) fn wanting(max_tokens: u64) -> Value {
    let mut hello = hello();
    hello["max_tokens"] = max_tokens.into();
    hello
}

fn is_count(seen: &Seen) -> bool {
    seen.target.contains("count_tokens")
}

/// Answers counts with 10 tokens, and all else as told.
async fn provider(
    answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
) -> TestProvider {
    TestProvider::start(move |seen| {
        let answer = match is_count(&seen) {
            true => whole(r#"{"input_tokens":10}"#),
            false => answer(&seen),
        };
        async move { answer }
    })
    .await
}

fn messages(provider: &TestProvider) -> Vec<Value> {
    let seen = provider.seen().into_iter().filter(|seen| !is_count(seen));
    seen.map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect()
}

#[tokio::test]
async fn what_was_used_is_booked_to_the_micro_dollar() {
    let provider = provider(|_| whole(ANSWER)).await;
    let paying = Paying::to(&provider, &with_limit(1_000_000)).await;
    for _ in 0..3 {
        assert_eq!(paying.ask(&wanting(1_000)).await.0, StatusCode::OK);
    }
    assert_eq!(paying.end().await, (111, 0, 0));
    assert!(!provider.seen().iter().any(is_count), "far from the limit");
}

#[tokio::test]
async fn what_no_budget_holds_is_booked_all_the_same() {
    let provider = provider(|_| whole(ANSWER)).await;
    let paying = Paying::to(&provider, &Arc::default()).await;
    assert_eq!(paying.ask(&wanting(1_000)).await.0, StatusCode::OK);
    assert_eq!(paying.end().await, (37, 0, 0));
}

#[tokio::test]
async fn what_doesnt_fit_is_refused_in_words_and_not_sent() {
    let provider = provider(|_| whole(ANSWER)).await;
    // A prompt of 10 by the count is 510 at its worst, and the shortest answer is 1,024.
    let paying = Paying::to(&provider, &with_limit(510 + 10_239)).await;
    let (status, body) = paying.ask(&wanting(64_000)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let words = body["error"]["message"].as_str().unwrap();
    assert!(
        words.contains("the budget of the job is used up"),
        "{words}"
    );
    assert!(words.contains("0.00 of 0.010749 dollars"), "{words}");
    assert_eq!(messages(&provider), Vec::<Value>::new());
    assert!(paying.run.usage().over.is_some());
    assert_eq!(paying.end().await, (0, 0, 0));
}

#[tokio::test]
async fn money_that_came_while_the_agent_ended_is_seen_at_the_end_of_its_run() {
    for (later, has_more) in [(10_749, false), (10_750, true)] {
        let provider = provider(|_| whole(ANSWER)).await;
        let book = with_limit(10_749);
        let mut paying = Paying::to(&provider, &book).await;
        let (status, _) = paying.ask(&wanting(64_000)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        book.lock().unwrap().limit = Some(later);
        book.lock().unwrap().lost_before = 1;
        assert!(paying.run.close().await.is_err(), "it is asked again");
        let usage = paying.run.close().await.unwrap();
        assert_eq!(usage.over.unwrap().has_more, has_more, "{later}");
    }
}

#[tokio::test]
async fn near_the_limit_the_prompt_is_counted_and_the_answer_cut() {
    let provider = provider(|_| whole(ANSWER)).await;
    let paying = Paying::to(&provider, &with_limit(510 + 50_000)).await;
    let mut asked = wanting(64_000);
    asked["stream"] = false.into();
    asked["thinking"] = json!({"type": "enabled", "budget_tokens": 2_000});
    assert_eq!(paying.ask(&asked).await.0, StatusCode::OK);
    let sent = messages(&provider);
    let mut cut = asked.clone();
    cut["max_tokens"] = 5_000.into();
    assert_eq!(sent, [cut]);
    // The count takes no field that the provider would refuse.
    let counted: Value = serde_json::from_slice(&provider.seen()[0].body).unwrap();
    assert!(counted.get("max_tokens").is_none() && counted.get("stream").is_none());
    assert_eq!(counted["thinking"], asked["thinking"]);
    assert_eq!(paying.end().await, (37, 0, 0));

    // Thinking takes what it asks for.
    asked["thinking"]["budget_tokens"] = 4_000.into();
    let poor = Paying::to(&provider, &with_limit(510 + 50_000)).await;
    assert_eq!(poor.ask(&asked).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_booked_at_its_longest() {
    let (pieces, written) = mpsc::channel(1);
    let written = Mutex::new(Some(written));
    let provider = provider(move |_| piecewise(written.lock().unwrap().take().unwrap())).await;
    let paying = Paying::to(&provider, &with_limit(1_000_000)).await;
    let mut body = send(paying.run.socket_path(), message()).await.into_body();
    let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
    pieces.send(start).await.unwrap();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    within(pieces.closed()).await;
    // 10 read, and at most 100 written; 20 of these 1,010 are known.
    assert_eq!(paying.end().await, (1_010, 990, 0));
}

#[tokio::test]
async fn a_provider_that_says_nothing_of_its_length_is_booked_in_full() {
    let provider = provider(|_| whole("{}")).await;
    let paying = Paying::to(&provider, &with_limit(1_000_000)).await;
    assert_eq!(paying.ask(&hello()).await.0, StatusCode::OK);
    let worst = 2_000 + hello().to_string().len() as u64 + 1_000;
    assert_eq!(paying.end().await, (worst, worst, 0));
}

#[tokio::test]
async fn what_the_provider_turns_away_costs_nothing() {
    let provider = provider(|_| {
        let mut answer = whole("{}");
        *answer.status_mut() = StatusCode::from_u16(529).unwrap();
        answer
            .headers_mut()
            .insert("retry-after", "3600".parse().unwrap());
        answer
    })
    .await;
    let paying = Paying::to(&provider, &with_limit(1_000_000)).await;
    let answer = send(paying.run.socket_path(), message()).await;
    assert_eq!(answer.status().as_u16(), 529);
    // Nobody waits for an hour in a container.
    assert_eq!(answer.headers()["x-should-retry"], "false");
    assert_eq!(paying.end().await, (0, 0, 0));

    // Nobody listens on the port of a socket that is bound and doesn't.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    let nowhere = gateway(&url, Credential::ApiKey(KEY.into()), Limits::default());
    let paying = Paying::open(&nowhere, &with_limit(1_000_000)).await;
    assert_eq!(paying.ask(&hello()).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(paying.end().await, (0, 0, 0));
}

#[tokio::test]
async fn who_finds_the_rest_set_aside_waits_for_it() {
    let (pieces, written) = mpsc::channel(1);
    let written = Mutex::new(Some(written));
    let provider = provider(move |_| match written.lock().unwrap().take() {
        Some(written) => piecewise(written),
        None => whole(ANSWER),
    })
    .await;
    // For one of the two at a time, whatever its answer is cut to.
    let book = with_limit(510 + 15_000);
    let paying = Paying::to(&provider, &book).await;
    let first = send(
        paying.run.socket_path(),
        post("/v1/messages", wanting(1_200).to_string()),
    )
    .await;
    assert_eq!(first.status(), StatusCode::OK);
    let body = wanting(1_200);
    let mut second = Box::pin(paying.ask(&body));
    let early = tokio::select! {
        biased;
        answer = &mut second => Some(answer),
        () = async { for _ in 0..1_000 { tokio::task::yield_now().await } } => None,
    };
    assert!(early.is_none(), "{early:?}");
    let end =
        "data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}\n\n";
    pieces.send(end).await.unwrap();
    drop(pieces);
    within(first.into_body().collect()).await.unwrap();
    assert_eq!(within(second).await.0, StatusCode::OK);
    assert_eq!(paying.end().await, (11 + 37, 0, 0));
}

#[tokio::test]
async fn a_turn_that_wasnt_answered_is_done_once() {
    let provider = provider(|_| whole(ANSWER)).await;
    for (before, after) in [(3, 0), (0, 3), (2, 2)] {
        let book = with_limit(1_000_000);
        let paying = Paying::to(&provider, &book).await;
        assert_eq!(paying.ask(&hello()).await.0, StatusCode::OK);
        {
            let mut book = book.lock().unwrap();
            (book.lost_before, book.lost_after) = (before, after);
        }
        let mut paying = paying;
        while paying.run.close().await.is_err() {}
        assert_eq!(paying.end().await, (37, 0, 0));
    }
}

#[tokio::test]
async fn accounts_that_are_away_hold_requests_back() {
    let provider = provider(|_| whole(ANSWER)).await;
    let book = with_limit(1_000_000);
    book.lock().unwrap().lost_before = u32::MAX;
    let paying = Paying::to(&provider, &book).await;
    assert_eq!(
        paying.ask(&hello()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(messages(&provider), Vec::<Value>::new());
    book.lock().unwrap().lost_before = 0;
    assert_eq!(paying.ask(&hello()).await.0, StatusCode::OK);
    assert_eq!(paying.end().await, (37, 0, 0));
}

/// Ten runs on two hosts, and a budget for less than a hundredth of what they ask for.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_at_once_spend_no_more_than_there_is() {
    const LIMIT: u64 = 100_000;
    // Each uses all that it may.
    let provider = provider(|seen| {
        let asked: Value = serde_json::from_slice(&seen.body).unwrap();
        let answer = json!({"type": "message",
            "usage": {"input_tokens": 510, "output_tokens": asked["max_tokens"]}});
        whole(&answer.to_string())
    })
    .await;
    let book = with_limit(LIMIT);
    let gateways = [to(&provider), to(&provider)];
    let runs = future::join_all((0..10).map(|n| Paying::open(&gateways[n % 2], &book))).await;
    let asked = wanting(1_500);
    // As many at once as a socket's queue takes: most of them wait there.
    let all = runs.iter().map(|paying| {
        stream::iter(0..1_000)
            .map(|_| async {
                let (status, body) = paying.ask(&asked).await;
                let words = body["error"]["message"].as_str();
                assert!(status.is_success() || words.is_some(), "{status} {body}");
                status
            })
            .buffer_unordered(100)
            .collect::<Vec<_>>()
    });
    let statuses = future::join_all(all).await.concat();
    assert_eq!(statuses.len(), 10_000);
    let passed = statuses.iter().filter(|status| status.is_success()).count();
    assert_eq!(passed, messages(&provider).len());
    for paying in runs {
        paying.end().await;
    }
    let book = book.lock().unwrap();
    assert_eq!((book.reserved, book.assumed), (0, 0));
    assert!(book.peak <= LIMIT && book.spent <= LIMIT, "{book:?}");
    // What is left is less than the least that a request can cost.
    assert!(LIMIT - book.spent < 510 + 10_240, "{book:?}");
}
