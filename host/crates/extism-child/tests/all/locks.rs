//! The locks on a child, tried from inside by the probe of the tests' own program, and seen from
//! outside in `/proc`. Which locks there are, `locks.rs` of the crate says.

use crate::extism::{host, plugin};
use std::fs;
use std::process::Command;

/// Run where descriptors and an environment could be inherited.
fn probe() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_extism-child"));
    let output = command.arg("probe").env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_kernel_refuses_what_a_plugin_has_no_need_of() {
    let told = probe();
    let eperm = |what: &str| format!("\n{what} {}\n", rustix::io::Errno::PERM.raw_os_error());
    assert!(
        !told.lines().next().unwrap().contains("seccomp"),
        "this machine has no seccomp, so nothing here can be shown: {told}"
    );
    for what in [
        "openat", "create", "socket", "execve", "clone", "getppid", "kill", "ptrace", "setuid",
        "mount", "prctl",
    ] {
        assert!(told.contains(&eperm(what)), "{what}: {told}");
    }
    assert!(told.contains("\nthread refused\n"), "{told}");
    assert!(told.contains("\nenvironment 0\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_seen_locked_from_outside() {
    let (host, processes) = host(|_| {}).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let pids = processes.pids();
    let [pid] = pids[..] else {
        panic!("{pids:?}");
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let found = status.lines().find(|line| line.starts_with(name)).unwrap();
        found
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(line("Seccomp:"), "2");
    for set in ["CapInh:", "CapPrm:", "CapEff:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    if rustix::process::geteuid().is_root() {
        let nobody = ["65534"; 4].join(" ");
        assert_eq!(
            (line("Uid:"), line("Gid:"), line("Groups:")),
            (nobody.clone(), nobody, String::new())
        );
        let open: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().collect();
        assert_eq!(open.len(), 3, "{open:?}");
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert_eq!(environment, b"");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    for (name, most) in [
        ("Max address space", "2147483648 2147483648"),
        ("Max file size", "0 0"),
        ("Max open files", "0 0"),
        ("Max processes", "0 0"),
        ("Max core file size", "0 0"),
    ] {
        let found = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<_> = found.split_whitespace().collect();
        assert!(words.join(" ").contains(most), "{found}");
    }
}
