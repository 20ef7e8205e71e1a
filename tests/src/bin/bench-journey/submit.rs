//! From a submit to the agent's first line, on an idle host with the process runner. The jobs
//! come one after the other: it measures no throughput.

use tests::bench::{Row, Times, guest, place, say};
use tests::harness::{Database, Host, Part, Parts, Setup};

use crate::agent::{self, FirstLine};

const JOBS: usize = 200;
const WARM_UP: usize = 10;

/// A host with the agent of these benchmarks as a process, and its pipeline.
pub(crate) fn setup() -> Setup {
    let program = std::env::current_exe().unwrap();
    let command = format!("{} {}", program.display(), agent::ARGUMENT);
    with_pipeline(Setup::demo())
        .set("WORKER_COMMAND", command)
        // It counts as a real agent, which wants a provider; it never asks it.
        .set("ANTHROPIC_API_KEY", "not-used")
        .set("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
}

/// The pipeline of one phase, with its plugin.
pub(crate) fn with_pipeline(setup: Setup) -> Setup {
    let (name, text) = agent::PIPELINE;
    setup
        .pipeline(name, text)
        .plugin("probe.wasm", guest("probe"))
}

pub(crate) async fn sqlite() -> Vec<Row> {
    let host = Host::start(setup()).await;
    rows(&host, "sqlite", "SQLite").await
}

pub(crate) async fn postgres() -> Vec<Row> {
    let name = "TEST_DATABASE_URL";
    let parts = place(name).and_then(|_| Parts::of("bench-journey", &[Part::Postgres]));
    let Some(parts) = parts else {
        let why = format!("{name} names no server");
        return vec![
            Row::missing("line-postgres", &what("PostgreSQL", 0), "ms", &why).at_most(50.0),
        ];
    };
    let database = Database::new(parts).await;
    let host = Host::start(setup().set("DATABASE_URL", database.url())).await;
    rows(&host, "postgres", "PostgreSQL with fsync").await
}

fn what(store: &str, jobs: usize) -> String {
    format!("submit to the agent's first line, process runner, {store}, p50 of {jobs}")
}

async fn rows(host: &Host, id: &str, store: &str) -> Vec<Row> {
    for _ in 0..WARM_UP {
        agent::first_line(host.client()).await;
    }
    let mut lines = Vec::new();
    for _ in 0..JOBS {
        lines.push(agent::first_line(host.client()).await);
    }
    let times =
        |of: fn(&FirstLine) -> std::time::Duration| Times::new(lines.iter().map(of).collect());
    let (written, seen) = (times(|line| line.written), times(|line| line.seen));
    say(format_args!("{store}: written {written}"));
    say(format_args!("{store}: seen {seen}"));
    let row =
        |kind: &str, what: &str, ours| Row::new(&format!("line-{id}{kind}"), what, "ms", ours);
    vec![
        row("", &what(store, JOBS), written.ms(50)).at_most(50.0),
        row("-p99", "the same, p99", written.ms(99)),
        row(
            "-seen",
            "until a client of the job's events has that line, p50",
            seen.ms(50),
        ),
    ]
}
