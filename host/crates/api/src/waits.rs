//! Why a job that may run doesn't: what the store can't say, since it takes a look at the hosts.

use pipeline::{Job, Status, Wait, WaitReason};
use store::HostState;

/// For what this job waits; none where it doesn't.
pub(crate) fn of(job: &Job, hosts: &[HostState]) -> Option<Wait> {
    if job.status != Status::Queued {
        return job.wait.clone();
    }
    let wait = |reason, message: String| {
        Some(Wait {
            reason,
            message,
            until: None,
        })
    };
    let mut drivers = hosts
        .iter()
        .filter(|host| host.alive && host.report.role != "api")
        .peekable();
    if drivers.peek().is_none() {
        let message = "no host that drives jobs is up: start one".to_owned();
        return wait(WaitReason::Host, message);
    }
    if let Some(root) = &job.root
        && !drivers.clone().any(|host| host.report.roots.contains(root))
    {
        let message = format!(
            "its workspace is in the root `{}`, which no host that is up mounts",
            root.0
        );
        return wait(WaitReason::Host, message);
    }
    if let Some(engine) = &job.engine
        && !drivers.any(|host| host.report.runner["engine"] == engine.as_str())
    {
        let message = format!(
            "its agent is in the container engine `{engine}`, which no host that is up reaches"
        );
        return wait(WaitReason::Host, message);
    }
    let message = "every host that may take it is busy: it goes by its priority and age";
    wait(WaitReason::Slot, message.to_owned())
}
