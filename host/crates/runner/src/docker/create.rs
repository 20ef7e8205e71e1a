//! What a run's container is made of: labels, folders, limits and locks.
//! Asks nothing of the engine.

use super::DockerConfig;
use super::facts::{Facts, Kind};
use crate::{RunSpec, RunnerError};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use pipeline::RunKey;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) const WORKSPACE: &str = "/workspace";
pub(super) const RUN: &str = "/run/gantry";
pub(super) const OUT: &str = "/out";
pub(super) const SESSION: &str = "/session";
const HOME: &str = "/home/agent";

pub(super) const INSTALLATION: &str = "gantry.installation";
const JOB: &str = "gantry.job";
const REVISION: &str = "gantry.revision";
const PHASE: &str = "gantry.phase";
const ATTEMPT: &str = "gantry.attempt";
const TASK: &str = "gantry.task";
const RUN_NUMBER: &str = "gantry.run";

/// An allow-list after the engine's default profile, for 64-bit calls only. Against the
/// default it lacks io_uring, and sockets other than unix, IPv4, IPv6 and netlink: AF_VSOCK
/// reaches past network namespaces.
const SECCOMP: &str = include_str!("seccomp.json");

/// Of `/dev/shm`, in bytes; a part of the container's memory.
const SHARED_MEMORY: i64 = 64 << 20;

/// File descriptors of one process.
const OPEN_FILES: i64 = 16_384;
/// Processes of one user; how many an agent may have, its control group says.
const PROCESSES: i64 = 16_384;

pub(super) fn body(
    config: &DockerConfig,
    facts: &Facts,
    installation: String,
    spec: &RunSpec,
) -> Result<ContainerCreateBody, RunnerError> {
    let mut env = spec.env.clone();
    env.entry("HOME".to_owned())
        .or_insert_with(|| HOME.to_owned());
    Ok(ContainerCreateBody {
        image: Some(config.image.clone()),
        entrypoint: config.command.clone(),
        cmd: config.command.as_ref().map(|_| Vec::new()),
        hostname: Some("agent".to_owned()),
        user: Some(format!("{}:{}", spec.owner.uid, spec.owner.gid)),
        working_dir: Some(WORKSPACE.to_owned()),
        env: Some(
            env.iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        labels: Some(labels(installation, &spec.key)),
        network_disabled: Some(true),
        host_config: Some(host_config(config, facts, spec)?),
        ..ContainerCreateBody::default()
    })
}

fn host_config(
    config: &DockerConfig,
    facts: &Facts,
    spec: &RunSpec,
) -> Result<HostConfig, RunnerError> {
    let limits = &spec.limits;
    let memory = signed(limits.memory_bytes);
    let in_memory = format!("rw,exec,nosuid,nodev,size={}", limits.tmp_bytes);
    let (home, tmp, seccomp) = match facts.kind {
        Kind::Docker => (
            format!(
                "{in_memory},mode=0700,uid={},gid={}",
                spec.owner.uid, spec.owner.gid
            ),
            format!("{in_memory},mode=1777"),
            SECCOMP.to_owned(),
        ),
        // It takes no owner, and nobody else is in there; it would copy what the image has, and
        // reads a profile from a file.
        Kind::Podman => (
            format!("{in_memory},mode=1777,notmpcopyup"),
            format!("{in_memory},mode=1777,notmpcopyup"),
            there(config, spec, &profile_path(spec))?,
        ),
    };
    let ulimit = |name: &str, most: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    };
    let mut ulimits = vec![
        ulimit("nofile", OPEN_FILES),
        ulimit("fsize", signed(limits.file_bytes)),
        ulimit("core", 0),
    ];
    if facts.kind == Kind::Podman {
        // It would ask for the most that there is, which it may not where it lacks the capability.
        ulimits.push(ulimit("nproc", PROCESSES));
    }
    let log = HashMap::from([
        ("max-size".to_owned(), limits.log_bytes.to_string()),
        ("max-file".to_owned(), "1".to_owned()),
    ]);
    Ok(HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec![
            "no-new-privileges".to_owned(),
            format!("seccomp={seccomp}"),
        ]),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([
            ("/tmp".to_owned(), tmp),
            (HOME.to_owned(), home),
        ])),
        mounts: Some(vec![
            bind(config, spec, &spec.workspace, WORKSPACE, false)?,
            bind(config, spec, &spec.run_dir, RUN, true)?,
            bind(config, spec, &spec.out_dir, OUT, false)?,
            bind(config, spec, &spec.session_dir, SESSION, false)?,
        ]),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: facts.limits_cpus.then(|| nano_cpus(limits.cpus)),
        ipc_mode: Some("private".to_owned()),
        shm_size: Some(SHARED_MEMORY),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(ulimits),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log),
        }),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        ..HostConfig::default()
    })
}

/// A mount rather than a bind of the old kind: the engine then refuses a source that isn't
/// there, where it would make an empty folder of root's.
fn bind(
    config: &DockerConfig,
    spec: &RunSpec,
    here: &Path,
    target: &str,
    read_only: bool,
) -> Result<Mount, RunnerError> {
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(there(config, spec, here)?),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    })
}

/// A path of this host's as the engine has it.
fn there(config: &DockerConfig, spec: &RunSpec, here: &Path) -> Result<String, RunnerError> {
    if !here.is_absolute() {
        return Err(bad_path(spec, here, "isn't an absolute path"));
    }
    let there = seen_by_engine(&config.path_map, here);
    let there = there.to_str().map(str::to_owned);
    there.ok_or_else(|| bad_path(spec, here, "isn't UTF-8"))
}

fn bad_path(spec: &RunSpec, here: &Path, why: &str) -> RunnerError {
    RunnerError::BadSpec {
        name: spec.name.clone(),
        reason: format!("`{}` {why}", here.display()),
    }
}

/// Of the next profile that is written.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Where an engine finds the profile that wants it in a file: where the agent can't write.
fn profile_path(spec: &RunSpec) -> PathBuf {
    spec.run_dir.join("seccomp.json")
}

/// What must be on the disk before the container is made. An engine may make a folder that isn't
/// there, as root, for an agent that couldn't write to it.
pub(super) fn lay_ready(kind: Kind, spec: &RunSpec) -> Result<(), RunnerError> {
    for folder in [
        &spec.workspace,
        &spec.run_dir,
        &spec.out_dir,
        &spec.session_dir,
    ] {
        if !folder.is_dir() {
            return Err(bad_path(spec, folder, "isn't a folder that is there"));
        }
    }
    let path = profile_path(spec);
    if kind == Kind::Docker || fs::read(&path).is_ok_and(|found| found == SECCOMP.as_bytes()) {
        return Ok(());
    }
    // By rename, and each its own: two hosts may start the same run at the same time.
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let staged = path.with_extension(format!("{process}.{number}"));
    fs::write(&staged, SECCOMP).map_err(RunnerError::io("writing", &staged))?;
    fs::rename(&staged, &path).map_err(RunnerError::io("writing", path))
}

/// By the longest of the mapped folders that holds it; as it is where none does.
fn seen_by_engine(map: &[(PathBuf, PathBuf)], here: &Path) -> PathBuf {
    let holding = map
        .iter()
        .filter_map(|(from, to)| Some((from, to, here.strip_prefix(from).ok()?)));
    let longest = holding.max_by_key(|(from, ..)| from.components().count());
    match longest {
        None => here.to_owned(),
        Some((_, to, rest)) if rest.as_os_str().is_empty() => to.clone(),
        Some((_, to, rest)) => to.join(rest),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "float to integer saturates, and the engine refuses what makes no sense"
)]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus * 1e9) as i64
}

fn labels(installation: String, key: &RunKey) -> HashMap<String, String> {
    let labels = [
        (INSTALLATION, installation),
        (JOB, key.job.to_string()),
        (REVISION, key.revision.to_string()),
        (PHASE, key.phase.clone()),
        (ATTEMPT, key.attempt.to_string()),
        (TASK, key.task.clone()),
        (RUN_NUMBER, key.run.to_string()),
    ];
    labels
        .map(|(label, value)| (label.to_owned(), value))
        .into()
}

/// The run that these labels name; none where they make no sense.
pub(super) fn key(labels: &HashMap<String, String>) -> Option<RunKey> {
    Some(RunKey {
        job: labels.get(JOB)?.parse().ok()?,
        revision: labels.get(REVISION)?.parse().ok()?,
        phase: labels.get(PHASE)?.clone(),
        attempt: labels.get(ATTEMPT)?.parse().ok()?,
        task: labels.get(TASK)?.clone(),
        run: labels.get(RUN_NUMBER)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mapped_folder_rules() {
        let map = [
            (PathBuf::from("/data"), PathBuf::from("/srv/gantry")),
            (PathBuf::from("/data/run"), PathBuf::from("/var/run/gantry")),
        ];
        let seen = |path: &str| seen_by_engine(&map, Path::new(path));
        assert_eq!(
            seen("/data/workspaces/7"),
            Path::new("/srv/gantry/workspaces/7")
        );
        assert_eq!(seen("/data/run/0a"), Path::new("/var/run/gantry/0a"));
        assert_eq!(seen("/data/run"), Path::new("/var/run/gantry"));
        assert_eq!(seen("/database"), Path::new("/database"));
    }

    #[test]
    fn labels_carry_the_whole_key() {
        let key = RunKey {
            job: "0197b6c2-7a1e-7000-8000-000000000001".parse().unwrap(),
            revision: 2,
            phase: "build".to_owned(),
            attempt: 3,
            task: "page".to_owned(),
            run: 4,
        };
        let mut labels = labels("here".to_owned(), &key);
        assert_eq!(super::key(&labels), Some(key));
        labels.insert(ATTEMPT.to_owned(), "many".to_owned());
        assert_eq!(super::key(&labels), None);
    }

    #[test]
    fn the_seccomp_profile_names_neither_io_uring_nor_new_namespaces() {
        let profile: serde_json::Value = serde_json::from_str(SECCOMP).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        let allowed = rules
            .iter()
            .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
        let names: Vec<_> = allowed
            .flat_map(|rule| rule["names"].as_array().unwrap())
            .collect();
        assert!(names.iter().any(|name| *name == "openat"));
        for name in names {
            let name = name.as_str().unwrap();
            assert!(!name.starts_with("io_uring"), "{name}");
            assert!(!["unshare", "setns", "mount", "clone3", "bpf", "socketcall"].contains(&name));
        }
    }
}
