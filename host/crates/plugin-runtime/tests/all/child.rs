//! Compiling in a child process, under its limits.

use crate::guests::guest;
use crate::host::Host;
use plugin_runtime::{Compiler, Config};
use std::time::Duration;

fn in_a_child(config: &mut Config) {
    config.compiler = Compiler::Child {
        exe: env!("CARGO_BIN_EXE_compile-plugin").into(),
        args: Vec::new(),
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_compiles_for_this_engine() {
    let host = Host::with(in_a_child).await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    assert_eq!(host.reason("innocent.wasm"), "");
    host.innocent_call().await;
    let whole = guest("traps");
    host.drop_in("truncated.wasm", &whole[..whole.len() / 2])
        .await;
    let reason = host.reason("truncated.wasm");
    assert!(reason.starts_with("isn't a valid component"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_without_memory_is_a_refusal() {
    let host = Host::with(|config| {
        in_a_child(config);
        config.limits.compile_memory_bytes = 4 << 20;
    })
    .await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    let reason = host.reason("innocent.wasm");
    assert!(
        reason.contains(
            "couldn't be compiled within 4 MiB and 60s of a processor's time: the compiler ended"
        ),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_takes_too_long_is_ended() {
    let host = Host::with(|config| {
        config.limits.compile_time = Duration::from_millis(200);
        config.compiler = Compiler::Child {
            exe: "/bin/sh".into(),
            args: vec!["-c".into(), "exec sleep 600".into()],
        };
    })
    .await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    let reason = host.reason("innocent.wasm");
    assert_eq!(reason, "took longer than 800ms to compile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_is_not_there_is_named() {
    let host = Host::with(|config| {
        config.compiler = Compiler::Child {
            exe: "/nowhere/gantry".into(),
            args: Vec::new(),
        };
    })
    .await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    let reason = host.reason("innocent.wasm");
    assert!(reason.contains("/nowhere/gantry doesn't start"), "{reason}");
}
