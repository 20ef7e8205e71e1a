//! What Gantry takes longer to an agent's first line in a container than a bare `docker run` of
//! the same image, in turns. It leaves the image of the agent as it is: its own is made on it.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tests::bench::container::Image;
use tests::bench::{Row, Times, place, say};
use tests::harness::{Host, Setup};

use crate::agent::{self, since_1970, time_in};
use crate::submit::with_pipeline;

const RUNS: usize = 30;
const WARM_UP: usize = 2;
const ID: &str = "line-docker";
const WHAT: &str = "submit to the agent's first line in a container, over a bare docker run, p50";

pub(crate) async fn over_bare_run() -> Vec<Row> {
    let (Some(_), Some(worker)) = (place("DOCKER_HOST"), place("GANTRY_TEST_WORKER_IMAGE")) else {
        let why = "no engine, or no image of the agent";
        return vec![Row::missing(ID, WHAT, "ms", why).at_most(100.0)];
    };
    let image = Image::build(&worker, agent::SCRIPT);
    let setup = with_pipeline(Setup::docker("http://127.0.0.1:9", "not-used"));
    let host = Host::start(setup.set("WORKER_IMAGE", image.name())).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        let written = agent::first_line(host.client()).await.written;
        let peer = bare_run(&image);
        if run >= WARM_UP {
            ours.push(written);
            bare.push(peer);
        }
    }
    let (ours, bare) = (Times::new(ours), Times::new(bare));
    say(format_args!("in a container: {ours}"));
    say(format_args!("bare docker run: {bare}"));
    let whole = format!("submit to the agent's first line in a container, p50 of {RUNS}");
    vec![
        Row::new(ID, WHAT, "ms", ours.ms(50) - bare.ms(50)).at_most(100.0),
        Row::new("line-docker-whole", whole, "ms", ours.ms(50))
            .against("bare docker run, same limits", bare.ms(50)),
        Row::new("line-docker-p99", "the same, p99", "ms", ours.ms(99))
            .against("bare docker run, same limits", bare.ms(99)),
    ]
}

/// From before `docker run` starts to the time that the first line says.
fn bare_run(image: &Image) -> Duration {
    let begin = since_1970(SystemTime::now());
    let said = image.bare_run();
    let line: Value = serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap();
    let text = line["message"]["content"][0]["text"].as_str().unwrap();
    time_in(text).saturating_sub(begin)
}
