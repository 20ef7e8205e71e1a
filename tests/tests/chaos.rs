//! A short run of what `cargo xtask chaos` does for longer: hosts are killed, stopped and cut
//! off, and nothing is lost or doubled.

use tests::chaos::{Plan, run};
use tests::harness::{Part, Parts};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_hosts_die() {
    let test = "nothing_is_lost_or_doubled_while_hosts_die";
    if Parts::of(test, &[Part::Postgres]).is_some() {
        clean(false, 25).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_with_containers() {
    let test = "nothing_is_lost_or_doubled_with_containers";
    let parts = [Part::Postgres, Part::Docker, Part::WorkerImage];
    if Parts::of(test, &parts).is_some() {
        clean(true, 12).await;
    }
}

async fn clean(docker: bool, kills: usize) {
    let seed = 4;
    let plan = Plan {
        kills,
        seed,
        docker,
    };
    let report = run(plan).await;
    let report = report.unwrap_or_else(|| panic!("the parts are there"));
    assert!(report.is_clean(), "{report}");
}
