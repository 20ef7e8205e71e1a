//! What became of a job, as an outsider counts it: what was done twice, lost or left out. It
//! finds faults and fails nothing, so that a long run can add them up.

use std::collections::BTreeMap;

use serde_json::Value;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The job didn't succeed, or isn't there.
    Lost(String),
    /// A revision was published more than once, or not at all.
    Published(usize),
    /// A phase was accepted more than once, or not at all.
    Accepted(String, usize),
    /// A task was done well more than once, or not at all.
    Done(String, usize),
    /// The numbers of the events have a gap.
    Gap(u64),
    /// A run was started more than once.
    RanTwice(String),
    /// A task was started again after it had been done.
    RanAgain(String),
    /// A job whose cancel was taken ended otherwise, or went on afterwards.
    NotCancelled(String),
}

/// What a job's events say of it, given the tasks of each of its phases, once each.
#[must_use]
pub fn faults(job: &Value, events: &[Value], tasks: &[(&str, &str)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if job["status"] != "succeeded" {
        let why = events.iter().rev().find(|it| it["type"] == "job.failed");
        let why = why.map_or(&Value::Null, |it| &it["data"]);
        faults.push(Fault::Lost(format!("{}: {why}", job["status"])));
        return faults;
    }
    let of_type = |kind: &'static str| events.iter().filter(move |it| it["type"] == kind);
    faults.extend(gap(events));
    let published = of_type("job.deployed").count();
    if published != 1 {
        faults.push(Fault::Published(published));
    }
    let mut phases: Vec<&str> = tasks.iter().map(|(phase, _)| *phase).collect();
    phases.dedup();
    for phase in phases {
        let accepted = of_type("phase.accepted").filter(|it| it["phase"] == phase);
        let accepted = accepted.count();
        if accepted != 1 {
            faults.push(Fault::Accepted(phase.to_owned(), accepted));
        }
    }
    for (phase, task) in tasks {
        let ends = of_type("agent.finished").filter(|it| it["phase"] == *phase);
        let done = ends.filter(|it| it["data"]["task"] == *task && it["data"]["exit_code"] == 0);
        let done = done.count();
        if done != 1 {
            faults.push(Fault::Done(format!("{phase}/{task}"), done));
        }
    }
    faults
}

/// The same of a job that was cancelled in its first revision: nothing in it happened twice, and
/// nothing after its end.
#[must_use]
pub fn cancelled(events: &[Value], tasks: &[(&str, &str)]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = gap(events).into_iter().collect();
    let of_type = |kind: &'static str| events.iter().filter(move |it| it["type"] == kind);
    let ends = of_type("job.cancelled").count();
    let last = events.last().map_or(&Value::Null, |it| &it["type"]);
    if ends != 1 || last != "job.cancelled" {
        let words = format!("cancelled {ends} times, and then {last}");
        faults.push(Fault::NotCancelled(words));
    }
    let published = of_type("job.deployed").count();
    if published != 0 {
        faults.push(Fault::Published(published));
    }
    for (phase, task) in tasks {
        let done = of_type("agent.finished")
            .filter(|it| it["phase"] == *phase)
            .filter(|it| it["data"]["task"] == *task && it["data"]["exit_code"] == 0)
            .count();
        if done > 1 {
            faults.push(Fault::Done(format!("{phase}/{task}"), done));
        }
    }
    faults
}

/// The first number that none of the events has.
fn gap(events: &[Value]) -> Option<Fault> {
    let mut numbered = events.iter().zip(1_u64..);
    let (_, missing) = numbered.find(|(event, expected)| event["seq"] != *expected)?;
    Some(Fault::Gap(missing))
}

/// What the agents' own book says: `start TASK RUN`, and `end TASK RUN STATUS`, where `TASK` is
/// of one job. A run that is started twice, and a task that is started once more after it was
/// done, are faults.
#[must_use]
pub fn runs(book: &[String]) -> Vec<Fault> {
    let (mut started, mut done) = (BTreeMap::new(), BTreeMap::new());
    let mut faults = Vec::new();
    for line in book {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["start", task, run] => {
                let times: &mut usize = started.entry(run).or_default();
                *times += 1;
                if *times > 1 {
                    faults.push(Fault::RanTwice(format!("{task} {run}")));
                } else if done.contains_key(task) {
                    faults.push(Fault::RanAgain(format!("{task} {run}")));
                }
            }
            ["end", task, run, "0"] => _ = done.insert(task, run),
            _ => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn events(kinds: &[(&str, &str)]) -> Vec<Value> {
        let event = |(seq, (kind, phase)): (usize, &(&str, &str))| {
            let data = json!({ "task": "t", "exit_code": 0, "run": 1 });
            json!({ "seq": seq + 1, "type": kind, "phase": phase, "attempt": 1, "data": data })
        };
        kinds.iter().enumerate().map(event).collect()
    }

    #[test]
    fn what_is_done_once_has_no_fault_and_everything_else_has() {
        let job = json!({ "id": "j", "status": "succeeded" });
        let once = [
            ("agent.finished", "p"),
            ("phase.accepted", "p"),
            ("job.deployed", ""),
        ];
        let tasks = [("p", "t")];
        assert_eq!(faults(&job, &events(&once), &tasks), []);
        let twice = [once, once].concat();
        assert_eq!(
            faults(&job, &events(&twice), &tasks),
            [
                Fault::Published(2),
                Fault::Accepted("p".into(), 2),
                Fault::Done("p/t".into(), 2),
            ]
        );
        let never = faults(&job, &events(&once[..1])[..], &tasks);
        assert_eq!(never, [Fault::Published(0), Fault::Accepted("p".into(), 0)]);
        let late = &events(&twice)[3..];
        assert_eq!(faults(&job, late, &tasks), [Fault::Gap(1)]);
        let failed = json!({ "id": "j", "status": "failed" });
        assert!(matches!(faults(&failed, &[], &tasks)[..], [Fault::Lost(_)]));
    }

    #[test]
    fn a_cancelled_job_ends_as_such_and_has_no_site() {
        let end = [("agent.finished", "p"), ("job.cancelled", "")];
        let tasks = [("p", "t")];
        assert_eq!(cancelled(&events(&end), &tasks), []);
        let went_on = events(&[end[1], end[0]]);
        assert!(matches!(
            cancelled(&went_on, &tasks)[..],
            [Fault::NotCancelled(_)]
        ));
        let published = events(&[("job.deployed", ""), end[0], end[0], end[1]]);
        assert_eq!(
            cancelled(&published, &tasks),
            [Fault::Published(1), Fault::Done("p/t".into(), 2)]
        );
        assert_eq!(cancelled(&published[1..], &tasks)[0], Fault::Gap(1));
    }

    #[test]
    fn a_run_may_follow_one_that_was_cut_off_and_no_other() {
        let book = |lines: &[&str]| lines.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let fine = [
            "start t 1",
            "start t 2",
            "end t 2 0",
            "start u 3",
            "end u 3 1",
        ];
        assert_eq!(runs(&book(&fine)), []);
        let again = ["start t 1", "end t 1 0", "start t 2"];
        assert_eq!(runs(&book(&again)), [Fault::RanAgain("t 2".into())]);
        let same = ["start t 1", "start t 1"];
        assert_eq!(runs(&book(&same)), [Fault::RanTwice("t 1".into())]);
    }
}
