//! The child process alone, for tests: `gantry __extism` is the same function. With the argument
//! `probe` it locks itself and then says what the kernel refuses; it serves nothing then.

use plugin_runtime::wire::ChildLimits;
use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("probe") => match probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => extism_child::run(),
    }
}

/// One line for each thing that a plug-in out of its sandbox would try: `open 1` where the kernel
/// refuses with that error, `open done` where it doesn't.
fn probe() -> io::Result<()> {
    let missing = extism_child::lock(&ChildLimits {
        memory_bytes: 64 << 20,
        table_elements: 20_000,
        stack_bytes: 512 << 10,
        address_bytes: 2 << 30,
        cpu_seconds: 60,
        body_bytes: 1 << 20,
    })?;
    let mut lines = format!("missing {}\n", missing.join(", "));
    let mut tried = |what: &str, answer: libc::c_long| {
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        lines += &match answer {
            -1 => format!("{what} {error}\n"),
            _ => format!("{what} done\n"),
        };
    };
    let (file, shell, null) = (c"/etc/passwd", c"/bin/sh", std::ptr::null::<u8>());
    // SAFETY: each is a call with its own arguments; what is pointed to is constant text.
    unsafe {
        let at = libc::AT_FDCWD;
        tried(
            "openat",
            libc::syscall(libc::SYS_openat, at, file.as_ptr(), libc::O_RDONLY, 0),
        );
        let new = c"/tmp/extism-child-probe";
        let flags = libc::O_CREAT | libc::O_WRONLY;
        tried(
            "create",
            libc::syscall(libc::SYS_openat, at, new.as_ptr(), flags, 0o600),
        );
        let inet = libc::AF_INET;
        tried(
            "socket",
            libc::syscall(libc::SYS_socket, inet, libc::SOCK_STREAM, 0),
        );
        tried(
            "execve",
            libc::syscall(libc::SYS_execve, shell.as_ptr(), null, null),
        );
        tried(
            "clone",
            libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
        );
        let parent = libc::syscall(libc::SYS_getppid);
        tried("getppid", parent);
        tried("kill", libc::syscall(libc::SYS_kill, -1, 0));
        tried(
            "ptrace",
            libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0),
        );
        tried("setuid", libc::syscall(libc::SYS_setuid, 0));
        tried(
            "mount",
            libc::syscall(libc::SYS_mount, null, null, null, 0, null),
        );
        tried(
            "prctl",
            libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0),
        );
    }
    let threaded = std::thread::Builder::new().spawn(|| {});
    lines += &format!(
        "thread {}\n",
        if threaded.is_ok() { "done" } else { "refused" }
    );
    lines += &format!("environment {}\n", std::env::vars_os().count());
    io::stdout().write_all(lines.as_bytes())
}
