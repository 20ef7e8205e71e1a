//! What this process gives away before it sees a plug-in: descriptors, its user, files, network,
//! other processes. Nothing of it can be taken back; what a plug-in still needs of the kernel is
//! in one list.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope,
};
use plugin_runtime::wire::ChildLimits;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};
use seccompiler::{SeccompAction, SeccompFilter};
use std::io;

/// `nobody`: owns no file and no other process.
const NOBODY: u32 = 65_534;

/// Before there is a second thread. Names the locks that this machine doesn't have.
pub(crate) fn begin(limits: &ChildLimits) -> io::Result<Vec<String>> {
    let mut missing = Vec::new();
    close_descriptors()?;
    rustix::process::chdir("/")?;
    rustix::thread::set_no_new_privs(true)?;
    if !landlock()? {
        missing.push("Landlock (Linux 5.13)".to_owned());
    }
    if !another_user()? {
        missing.push("another uid (there is none for root to become)".to_owned());
    }
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    // A change of user takes this back, so it comes after. A host that is gone already is seen
    // by the closed pipe.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [
        (Resource::As, limits.address_bytes),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
    ] {
        limit(resource, most)?;
    }
    Ok(missing)
}

/// After the last thread was begun.
pub(crate) fn finish(missing: &mut Vec<String>) -> io::Result<()> {
    limit(Resource::Nproc, 0)?;
    if !seccomp()? {
        missing.push("seccomp".to_owned());
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = Some(most);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// All but the three standard ones. The host's own are closed when a child begins; this is for
/// those that it was given itself.
fn close_descriptors() -> io::Result<()> {
    // SAFETY: nothing in this process has opened a descriptor yet.
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    match closed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Root becomes nobody; others stay who they are. False where root can't.
fn another_user() -> io::Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Ok(true);
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let became = rustix::thread::set_thread_groups(&[])
        .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid));
    match became {
        Ok(()) => Ok(true),
        // A container whose root is a user of the machine has no other uid.
        Err(Errno::INVAL | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// No file may be opened, made or run, no port reached, no process outside signalled.
fn landlock() -> io::Result<bool> {
    let abi = ABI::V6;
    let locked = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map_err(io::Error::other)?;
    Ok(locked.ruleset != RulesetStatus::NotEnforced)
}

/// What running wasm needs of the kernel: memory, clocks, its two pipes, its end. Everything else
/// is refused, so that files, sockets, programs, threads and other processes are out of reach also
/// for a plug-in that has left its sandbox.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // A thread that was begun a moment ago does these two.
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

fn seccomp() -> io::Result<bool> {
    let Ok(machine) = std::env::consts::ARCH.try_into() else {
        return Ok(false);
    };
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, machine)
        .map_err(io::Error::other)?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(io::Error::other)?;
    match seccompiler::apply_filter_all_threads(&program) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(false)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::TcpListener;
    use std::thread;

    /// In a thread of its own, which is all that it locks; beside it seccomp would hide it.
    #[test]
    fn landlock_alone_keeps_files_and_ports_shut() {
        let tried = thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            assert!(landlock().unwrap(), "this kernel has no Landlock to test");
            let open = File::open("/etc/passwd").map(drop);
            let bind = TcpListener::bind("127.0.0.1:0").map(drop);
            (open.unwrap_err().kind(), bind.unwrap_err().kind())
        });
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(tried.join().unwrap(), (denied, denied));
        assert!(File::open("/etc/passwd").is_ok());
    }
}
