//! Submits a second over HTTP by 64 clients that keep their connections, beside what pgbench
//! inserts of the same rows with as many. No driver runs: nothing but submits is done.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tests::bench::{Row, say};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::hosts::Host;
use crate::pipeline;
use crate::postgres::{self, Bed};
use crate::scale::Scale;

const CLIENTS: usize = 64;
const PART: f64 = 0.35;
const UNIT: &str = "jobs/s";
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let (warm_up, length) = (scale.of(3, 1), scale.of(12, 4));
    let what = format!("submits a second over HTTP, {CLIENTS} clients");
    let Some(bed) = Bed::new().await else {
        return vec![Row::missing("submits", &what, UNIT, "no PostgreSQL server")];
    };
    let data = tempfile::tempdir().unwrap();
    let settings = [("DATABASE_URL", bed.url())];
    pipelines(&bed, &settings).await;
    let mut host = Host::start("api", data.path(), &settings);
    let address = host.address().await;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    clients(&address, seconds(warm_up)).await;
    let ours = clients(&address, seconds(length)).await;
    host.terminate();
    say(format_args!("submits: {ours:.0} a second"));
    let row = Row::new("submits", what, UNIT, ours);
    drop(bed);
    let bed = Bed::new().await.expect("it was there before");
    let script = bed.insert_by_hand().await;
    pgbench(&bed.url(), &script, warm_up);
    let rate = pgbench(&bed.url(), &script, length);
    match rate {
        Some(rate) => {
            let row = row.against("pgbench, the same rows", rate);
            vec![row.at_least(PART * rate)]
        }
        None => vec![row],
    }
}

/// Has a driver say which pipelines there are.
async fn pipelines(bed: &Bed, settings: &[(&str, String)]) {
    let data = tempfile::tempdir().unwrap();
    let mut driver = Host::start("driver", data.path(), settings);
    let there = "SELECT count(*) FROM pipelines WHERE name = 'empty'";
    while postgres::number(&bed.pool, there).await == 0 {
        driver.must_run();
        sleep(LOOK_AGAIN).await;
    }
    driver.terminate();
}

/// Jobs a second of all clients together.
async fn clients(address: &str, length: Duration) -> f64 {
    let connections = (0..CLIENTS).map(|_| connect(address));
    let connections = join_all(connections).await;
    let begin = Instant::now();
    let work = connections.into_iter().map(|connection| {
        let address = address.to_owned();
        tokio::spawn(async move { submit_until(connection, &address, begin + length).await })
    });
    let counts = join_all(work).await;
    let jobs: u32 = counts.into_iter().map(Result::unwrap).sum();
    f64::from(jobs) / begin.elapsed().as_secs_f64()
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn submit_until(mut to: SendRequest<Full<Bytes>>, address: &str, end: Instant) -> u32 {
    let body = json!({ "name": "a job of a benchmark", "pipeline": pipeline::NAME });
    let body = Bytes::from(body.to_string());
    let mut jobs = 0;
    while Instant::now() < end {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/jobs")
            .header("host", address)
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))
            .unwrap();
        to.ready().await.unwrap();
        let answer = to.send_request(request).await.unwrap();
        let status = answer.status();
        let said = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::CREATED, "{said:?}");
        jobs += 1;
    }
    jobs
}

/// Transactions a second of pgbench, each the rows of one job. None where it isn't there.
fn pgbench(url: &str, (script, body): &(String, String), seconds: u32) -> Option<f64> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("submit.sql");
    fs::write(&file, script).unwrap();
    let clients = CLIENTS.to_string();
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", &clients, "-j", "2"])
        .args(["-D", &format!("body={body}")])
        .args(["-T", &seconds.to_string(), "-f"])
        .arg(&file)
        .arg(url)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            say(format_args!("pgbench isn't measured: {error}"));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = tps.and_then(|tps| tps.split_whitespace().next()?.parse().ok());
    let Some(tps) = tps.filter(|_| output.status.success()) else {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        panic!("pgbench: {}\n{text}{error}", output.status);
    };
    say(format_args!("pgbench: {tps:.0} a second"));
    Some(tps)
}
