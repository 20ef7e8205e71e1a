//! Several versions of the interface at once: each guest uses what its own has. What isn't served
//! is refused, and stands in `hostile`'s table.

use crate::guests::guest;
use crate::host::{Host, job};
use pipeline::{Decision, Level, Permissions};

/// The version that a loaded plugin was built for.
fn interface(host: &Host, name: &str) -> String {
    let reports = host.plugins.reports();
    let report = reports.into_iter().find(|report| report.name == name);
    report.unwrap().interface
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_for_the_first_version_serves_beside_all_others() {
    let host = Host::open().await;
    for name in ["innocent", "uses-group", "typed-options"] {
        host.drop_in(&format!("{name}.wasm"), &guest(name)).await;
        assert_eq!(host.reason(&format!("{name}.wasm")), "", "{name}");
    }
    host.innocent_call().await;
    let built_for = ["innocent", "uses-group", "typed-options"].map(|it| interface(&host, it));
    assert_eq!(built_for, ["0.9.0", "0.9.1", "0.10.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_for_0_9_1_is_told_the_group() {
    let host = Host::open().await;
    host.drop_in("uses-group.wasm", &guest("uses-group")).await;
    let served = host.served("uses-group").await;
    let called = served.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    assert_eq!(called.logs, [(Level::Info, "jam-7".to_owned())]);
    let mut alone = job();
    alone.group = None;
    assert_eq!(served.prompt(alone).await.logs, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_for_0_10_types_its_options() {
    let host = Host::open().await;
    host.drop_in("typed-options.wasm", &guest("typed-options"))
        .await;
    let served = host.served("typed-options").await;
    let called = served.prompt(job()).await;
    assert_eq!(called.logs, [(Level::Info, "make".to_owned())]);
    let tasks = called.result.unwrap().unwrap();
    let options = &tasks[0].options;
    assert_eq!((tasks.len(), tasks[0].prompt.as_str()), (1, "Make it."));
    assert_eq!((options.model.as_ref(), options.timeout), (None, Some(5)));
    let permissions = Some(Permissions::Edit);
    assert_eq!(
        (options.max_turns, options.permissions),
        (Some(3), permissions)
    );
    let verdict = served.validate(job()).await.result.unwrap().unwrap();
    assert_eq!(verdict.decision, Decision::Revise);
    assert_eq!(
        (
            verdict.message.as_str(),
            verdict.score,
            verdict.fresh_session
        ),
        ("Again", Some(7.5), true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_for_a_later_version_that_uses_nothing_new_serves() {
    let host = Host::open().await;
    host.drop_in("newer-patch.wasm", &guest("newer-patch"))
        .await;
    assert_eq!(host.reason("newer-patch.wasm"), "");
    let called = host.served("newer-patch").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    assert_eq!(interface(&host, "newer-patch"), "0.9.3");
}
