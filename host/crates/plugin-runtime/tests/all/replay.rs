//! Recorded calls, and other versions tried on them.

use crate::guests::{guest, named};
use crate::host::{Host, job};
use pipeline::{RecordedCall, Timestamp};
use plugin_runtime::{Answer, CallContext, Look, Recording, TrialOutcome};

fn recorded() -> CallContext {
    CallContext {
        record: true,
        ..job()
    }
}

impl Host {
    /// A recorded `prompt` of the plugin that serves, put where the archive has it.
    async fn recorded_call(&self, name: &str) -> Recording {
        let served = self.served(name).await;
        let called = served.prompt(recorded()).await;
        let recording = *called.recording.expect("a recording was asked for");
        self.memory.calls.lock().unwrap().push(RecordedCall {
            pin: served.pin(),
            step: recording.step.word().to_owned(),
            job: recording.given.job,
            at: Timestamp::from_millis(0),
            body: recording.to_bytes(),
        });
        recording
    }

    async fn tried(&self, file: &str, wasm: Vec<u8>, on: &Recording) -> TrialOutcome {
        let candidate = self.plugins.examine(file, wasm).await.unwrap();
        candidate.replay(on).await.outcome
    }
}

#[tokio::test]
async fn a_recording_holds_what_the_call_saw_and_answered() {
    let host = Host::open().await;
    host.drop_in("stats-a-file.wasm", &guest("stats-a-file"))
        .await;
    let unrecorded = host.served("stats-a-file").await.prompt(job()).await;
    assert!(unrecorded.recording.is_none());

    let recording = host.recorded_call("stats-a-file").await;
    assert_eq!(recording.given.name, "Lighthouse");
    assert_eq!(recording.answer, Answer::Tasks(Vec::new()));
    assert!(matches!(&recording.looks[0], Look::Stat { path, found: Ok(_) } if path == "a.txt"));
    let Look::Read {
        found: Ok(bytes), ..
    } = &recording.looks[1]
    else {
        panic!("{:?}", recording.looks)
    };
    assert_eq!(bytes.0, b"hello");
    assert!(recording.memory_bytes >= 64 << 10 && !recording.cut);
    let again = Recording::from_bytes(&recording.to_bytes()).unwrap();
    assert_eq!(again, recording);
    assert_eq!(Recording::from_bytes(b"{}"), None);
}

#[tokio::test]
async fn a_version_that_does_the_same_differs_or_does_worse_is_told_apart() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    let on = host.recorded_call("innocent").await;
    let same = named("innocent", "innocent", "1.1.0");
    assert_eq!(
        host.tried("innocent.wasm", same, &on).await,
        TrialOutcome::Same
    );
    let other = named("stats-a-file", "innocent", "1.1.0");
    // It looks at a file, which the recorded call did not.
    let outcome = host.tried("innocent.wasm", other, &on).await;
    assert_eq!(outcome, TrialOutcome::Inconclusive("`a.txt`".to_owned()));
    let traps = named("traps", "innocent", "1.1.0");
    let TrialOutcome::Worse(why) = host.tried("innocent.wasm", traps, &on).await else {
        panic!("a trap is worse than an answer")
    };
    assert!(why.contains("`innocent` 1.1.0 trapped in prompt"), "{why}");
    // Trials count for nothing, and nothing of them serves.
    assert_eq!(host.plugins.reports().len(), 1);
    assert_eq!(host.plugins.reports()[0].calls, 1);
}

#[tokio::test]
async fn with_the_gate_a_version_that_does_worse_is_refused_and_the_old_one_serves() {
    let host = Host::with(|config| config.replay_gate = true).await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    let first = host.served("innocent").await.pin();
    host.kept(&first).await;
    host.recorded_call("innocent").await;
    host.drop_in("innocent.wasm", &named("traps", "innocent", "1.1.0"))
        .await;
    let reason = host.reason("innocent.wasm");
    for told in [
        "recorded call 1 of 1",
        "`prompt`",
        "trapped",
        "PLUGIN_REPLAY",
    ] {
        assert!(reason.contains(told), "{reason}");
    }
    host.innocent_call().await;

    // What differs passes, what isn't conclusive too.
    host.drop_in("innocent.wasm", &named("stats-a-file", "innocent", "1.2.0"))
        .await;
    assert_eq!(host.version("innocent").await, "1.2.0");
    // What was accepted once isn't asked again, whatever serves now.
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    assert_eq!(host.version("innocent").await, "1.0.0");
}

#[tokio::test]
async fn without_the_gate_the_same_file_serves() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    host.recorded_call("innocent").await;
    host.drop_in("innocent.wasm", &named("traps", "innocent", "1.1.0"))
        .await;
    assert_eq!(host.version("innocent").await, "1.1.0");
}
