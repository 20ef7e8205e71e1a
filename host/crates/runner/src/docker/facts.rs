//! What an engine says of itself, and what follows for the agents in it: which of their limits and
//! locks it can't enforce, and whether it can run one at all. Asks the engine nothing.

use bollard::models::{
    SystemInfo, SystemInfoCgroupDriverEnum as Driver, SystemInfoCgroupVersionEnum as Cgroup,
    SystemVersion,
};
use pipeline::Digest;

/// Whose engine speaks Docker's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Podman,
}

/// What is known of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    /// As people call it: its name and version.
    pub(super) name: String,
    /// The same for as long as its containers stand there.
    pub(super) id: String,
    /// Whether it may be asked to limit processors: one that can't refuses the whole container.
    pub(super) limits_cpus: bool,
    /// For people, each with its mend: what is asked for and not enforced.
    pub(super) unenforced: Vec<String>,
    /// Why no agent can run in it, and the mend.
    pub(super) unusable: Option<(&'static str, &'static str)>,
}

/// Where this host runs, as far as an engine's answer must be read by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    /// What tells this machine from others; empty where it isn't known.
    pub(super) machine: String,
    /// Whether users have the numbers here that the kernel knows them by.
    pub(super) has_own_uids: bool,
}

const CONTROLLERS: &str = "Let systemd delegate the controllers to the engine's user \
    (`Delegate=cpu memory pids` for `user@.service`, with cgroup v2), or run the engine as root";

impl Facts {
    pub(super) fn of(version: &SystemVersion, info: &SystemInfo, here: &Here) -> Self {
        let kind = kind(version);
        let name = match kind {
            Kind::Docker => "Docker Engine",
            Kind::Podman => "Podman",
        };
        let number = version.version.as_deref().unwrap_or_default();
        Self {
            kind,
            name: format!("{name} {number}").trim_end().to_owned(),
            id: id(kind, info, here),
            limits_cpus: info.cpu_cfs_quota != Some(false) && info.cpu_cfs_period != Some(false),
            unenforced: unenforced(info),
            unusable: unusable(kind, info, here),
        }
    }
}

fn kind(version: &SystemVersion) -> Kind {
    let components = version.components.iter().flatten();
    let mut names = components.map(|component| component.name.as_str());
    match names.any(|name| name.starts_with("Podman")) {
        true => Kind::Podman,
        false => Kind::Docker,
    }
}

/// Docker keeps one. Podman makes up another one for each answer, so the place of its containers
/// stands for it.
fn id(kind: Kind, info: &SystemInfo, here: &Here) -> String {
    if kind == Kind::Docker {
        return info.id.clone().unwrap_or_default();
    }
    let name = info.name.as_deref().unwrap_or_default();
    let place = info.docker_root_dir.as_deref().unwrap_or_default();
    let text = format!("{}\n{name}\n{place}", here.machine);
    format!("podman-{}", Digest::of(text.as_bytes()).short())
}

fn has(info: &SystemInfo, option: &str) -> bool {
    let wanted = format!("name={option}");
    let options = info.security_options.iter().flatten();
    options
        .filter_map(|option| option.split(',').next())
        // The oldest engines give the bare name.
        .any(|name| name == wanted || name == option)
}

fn unusable(kind: Kind, info: &SystemInfo, here: &Here) -> Option<(&'static str, &'static str)> {
    if info.os_type.as_deref().is_some_and(|os| os != "linux") {
        return Some((
            "its containers aren't Linux's",
            "Set DOCKER_HOST to an engine with Linux containers",
        ));
    }
    if !has(info, "seccomp") {
        return Some((
            "it can't filter system calls, and agents run with no more than are listed",
            "Give the kernel CONFIG_SECCOMP_FILTER, or take an engine that is built with seccomp",
        ));
    }
    // An agent would be somebody else there than who owns its workspace here.
    let maps = has(info, "rootless") || has(info, "userns");
    if maps && here.has_own_uids {
        return Some(match kind {
            Kind::Docker => (
                "it gives users other numbers than this host has for them (rootless, or userns-remap), so an agent couldn't write to its workspace",
                "Set DOCKER_HOST to an engine that runs as root, without userns-remap",
            ),
            Kind::Podman => (
                "it is rootless and gives users other numbers than this host has for them, so an agent couldn't write to its workspace",
                "Set DOCKER_HOST to the service that root runs (`systemctl enable --now podman.socket`, unix:///run/podman/podman.sock)",
            ),
        });
    }
    None
}

fn unenforced(info: &SystemInfo) -> Vec<String> {
    let rootless = has(info, "rootless");
    let no_cgroups = info.cgroup_driver == Some(Driver::NONE);
    if no_cgroups {
        return vec![format!(
            "none of an agent's limits on memory, processors and processes is enforced: this engine has no cgroups. {CONTROLLERS}"
        )];
    }
    let is_v1 = info.cgroup_version == Some(Cgroup::_1);
    let kernel = |mend: &'static str| if rootless { CONTROLLERS } else { mend };
    let mut said = Vec::new();
    let mut tell = |can: Option<bool>, what: &str, mend: &str| {
        match can {
            Some(true) => {}
            Some(false) => said.push(format!("{what}. {mend}")),
            None => said.push(format!(
                "this engine doesn't say whether it can enforce a limit: {what} where it can't. {mend}"
            )),
        }
        can
    };
    let memory = tell(
        info.memory_limit,
        "an agent's memory isn't limited",
        kernel(match is_v1 {
            true => "Start the kernel with `cgroup_enable=memory`",
            false => "Enable the memory controller (`cgroup.subtree_control`)",
        }),
    );
    // It is a part of the limit on memory.
    if memory != Some(false) {
        tell(
            info.swap_limit,
            "an agent's swap isn't limited, so that it may use more than its memory",
            kernel("Start the kernel with `swapaccount=1`, or turn swap off"),
        );
    }
    let cpus = match (info.cpu_cfs_period, info.cpu_cfs_quota) {
        (Some(period), Some(quota)) => Some(period && quota),
        (period, quota) => period.or(quota).filter(|can| !can),
    };
    tell(
        cpus,
        "an agent's processors aren't limited",
        kernel("Give the kernel CONFIG_CFS_BANDWIDTH and the cpu controller"),
    );
    tell(
        info.pids_limit,
        "an agent's processes aren't limited",
        kernel("Give the kernel the pids controller"),
    );
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What engines answered to `GET /version` and `GET /info`, as far as it is read.
    const RECORDED: &str = include_str!("engines.json");

    fn here() -> Here {
        Here {
            machine: "m".to_owned(),
            has_own_uids: true,
        }
    }

    fn facts_of(answers: &Value, here: &Here) -> Facts {
        let version = serde_json::from_value(answers["version"].clone()).unwrap();
        let info = serde_json::from_value(answers["info"].clone()).unwrap();
        Facts::of(&version, &info, here)
    }

    fn recorded(name: &str) -> Value {
        let all: Value = serde_json::from_str(RECORDED).unwrap();
        assert!(all[name].is_object(), "{name}");
        all[name].clone()
    }

    #[test]
    fn what_each_engine_cannot_enforce_is_a_line_with_its_mend() {
        for (engine, name, unusable, lines) in [
            (
                "docker-20.10-cgroup-1",
                "Docker Engine 20.10.24",
                None,
                &[][..],
            ),
            ("docker-27-cgroup-2", "Docker Engine 27.5.1", None, &[]),
            (
                "docker-27-no-swap-accounting",
                "Docker Engine 27.5.1",
                None,
                &["swap isn't limited"],
            ),
            (
                "docker-27-rootless-without-delegation",
                "Docker Engine 27.5.1",
                Some("an agent couldn't write to its workspace"),
                &["no cgroups. Let systemd delegate"],
            ),
            (
                "docker-27-rootless-delegated-in-part",
                "Docker Engine 27.5.1",
                Some("an agent couldn't write to its workspace"),
                &["processors aren't limited. Let systemd delegate"],
            ),
            (
                "docker-27-userns-remap",
                "Docker Engine 27.5.1",
                Some("userns-remap"),
                &[],
            ),
            (
                "docker-27-bare-kernel",
                "Docker Engine 27.5.1",
                Some("can't filter system calls"),
                &[
                    "memory isn't limited. Enable the memory controller",
                    "processors aren't limited. Give the kernel",
                    "processes aren't limited. Give the kernel",
                ],
            ),
            ("podman-4.3-cgroup-1", "Podman 4.3.1", None, &[]),
            (
                "podman-5-rootless",
                "Podman 5.4.0",
                Some("podman.socket"),
                &[],
            ),
        ] {
            let facts = facts_of(&recorded(engine), &here());
            assert_eq!(facts.name.split('+').next(), Some(name), "{engine}");
            assert_eq!(facts.unusable.is_some(), unusable.is_some(), "{facts:?}");
            if let (Some((reason, mend)), Some(said)) = (facts.unusable, unusable) {
                let all = format!("{reason}. {mend}");
                assert!(all.contains(said), "{engine}: {all}");
            }
            assert_eq!(facts.unenforced.len(), lines.len(), "{engine}: {facts:?}");
            for (told, line) in facts.unenforced.iter().zip(lines) {
                assert!(told.contains(line), "{engine}: {told}");
            }
        }
    }

    #[test]
    fn an_engine_that_says_nothing_promises_nothing() {
        let answers = json!({ "version": {}, "info": { "SecurityOptions": ["name=seccomp"] } });
        let facts = facts_of(&answers, &here());
        assert_eq!(facts.unenforced.len(), 4, "{facts:?}");
        assert!(facts.unenforced[0].contains("doesn't say"), "{facts:?}");
        assert!(facts.limits_cpus && facts.unusable.is_none());
    }

    #[test]
    fn what_an_engine_would_refuse_is_not_asked_for() {
        let mut answers = recorded("docker-27-cgroup-2");
        assert!(facts_of(&answers, &here()).limits_cpus);
        answers["info"]["CpuCfsQuota"] = json!(false);
        assert!(!facts_of(&answers, &here()).limits_cpus);
    }

    #[test]
    fn numbers_that_are_another_engines_are_fine_where_they_are_this_hosts_too() {
        let answers = recorded("docker-27-rootless-delegated-in-part");
        let inside = Here {
            has_own_uids: false,
            ..here()
        };
        assert_eq!(facts_of(&answers, &inside).unusable, None);
    }

    #[test]
    fn an_engines_id_lasts_and_is_no_others() {
        let docker = facts_of(&recorded("docker-27-cgroup-2"), &here());
        assert_eq!((docker.kind, docker.id.as_str()), (Kind::Docker, "the-id"));
        let mut podman = recorded("podman-4.3-cgroup-1");
        let first = facts_of(&podman, &here());
        assert_eq!(first.kind, Kind::Podman);
        // It has another one at each answer.
        podman["info"]["ID"] = json!("another");
        assert_eq!(facts_of(&podman, &here()).id, first.id);
        let elsewhere = Here {
            machine: "n".to_owned(),
            ..here()
        };
        assert_ne!(facts_of(&podman, &elsewhere).id, first.id);
        podman["info"]["DockerRootDir"] = json!("/home/somebody/storage");
        assert_ne!(facts_of(&podman, &here()).id, first.id);
    }
}
