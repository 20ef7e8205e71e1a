//! The phase `plan`: asks for a plan of the build, and accepts a `plan.json` of the right form.
//! It doesn't compare the plan with what is later built.

use gantry_sdk::{
    Describe, Error, Job, Manifest, NoSettings, Node, Problems, Prompt, SelfTest, Task, Validate,
    Verdict,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What the phase leaves in the workspace.
pub const FILE: &str = "plan.json";

const PROMPT: &str = include_str!("../prompts/plan.md");
const SAMPLE: &str = include_str!("sample.json");
/// Of which the prompt says that they are to be read.
const SOURCES: [&str; 4] = [
    "idea.json",
    "design/currencies.json",
    "design/progression.json",
    "design/interface.json",
];
const ENTRY: &str = "site/index.html";

/// The plugin.
pub struct Planning;

impl Describe for Planning {
    fn describe() -> Manifest {
        Manifest::new(
            "plan",
            env!("CARGO_PKG_VERSION"),
            "Plans how a game is built",
        )
        .settings_schema(NoSettings::SCHEMA)
    }
}

impl Prompt for Planning {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        job.settings::<NoSettings>()?;
        let mut prompt = PROMPT.to_owned();
        let missing: Vec<&str> = SOURCES.into_iter().filter(|file| !job.has(file)).collect();
        // Writing to a String can't fail.
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let _ = write!(prompt, "\nNot there, so decide it yourself: {missing}.\n");
        }
        let _ = write!(prompt, "\n{}", job.briefing());
        Ok(vec![Task::new("plan", prompt).expects(FILE)])
    }
}

impl Validate for Planning {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        let mut problems = Problems::new();
        if let Some(plan) = problems.read_json(job, FILE) {
            check(&plan, &mut problems);
        }
        Ok(problems.verdict("plan.json is complete"))
    }
}

impl SelfTest for Planning {
    fn self_test() -> Result<(), String> {
        let mut sample: Value = serde_json::from_str(SAMPLE).map_err(|error| error.to_string())?;
        let mut problems = Problems::new();
        check(&sample, &mut problems);
        if !problems.is_empty() {
            return Err(format!("a good plan is refused:\n{}", problems.message()));
        }
        sample["files"] = Value::Array(Vec::new());
        check(&sample, &mut problems);
        if problems.is_empty() {
            return Err("a plan without a page is accepted".to_owned());
        }
        Ok(())
    }
}

gantry_sdk::export!(Planning: prompt, validate, self_test);

/// Tells all that is wrong with a plan.
pub fn check(plan: &Value, problems: &mut Problems) {
    let root = Node::root(FILE, plan).object(problems);
    let mut ids = BTreeSet::new();
    for step in root.key("steps").list(4..=12, problems) {
        let step = step.object(problems);
        step.key("id").unique_id(&mut ids, problems);
        for key in ["title", "detail", "done_when"] {
            step.key(key).text(1..=5_000, problems);
        }
    }
    files(&root.key("files"), problems);
    for check in root.key("checks").list(3..=12, problems) {
        check.text(1..=2_000, problems);
    }
}

fn files(list: &Node<'_>, problems: &mut Problems) {
    let items = list.list(1..=200, problems);
    let must = "a path like \"site/index.html\", below site/";
    let mut seen = BTreeSet::new();
    let mut wrong = items.is_empty();
    for item in items {
        match item.text_where(must, is_below_site, problems) {
            Some(path) if !seen.insert(path) => {
                problems.add(item.place(), format_args!("{path:?} is there twice"));
            }
            Some(_) => {}
            None => wrong = true,
        }
    }
    if !wrong && !seen.contains(ENTRY) {
        problems.add(list.place(), format_args!("{ENTRY:?} must be one of them"));
    }
}

fn is_below_site(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\');
    path.strip_prefix("site/")
        .is_some_and(|rest| rest.split('/').all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{Decision, JobInMemory};
    use serde_json::json;

    fn validate(change: impl FnOnce(&mut Value)) -> Verdict {
        let mut plan = serde_json::from_str(SAMPLE).unwrap();
        change(&mut plan);
        let job = JobInMemory::new("Fog").file(FILE, plan.to_string()).job();
        Planning::validate(&job).unwrap()
    }

    #[test]
    fn the_prompt_tells_what_is_not_there() {
        let job = JobInMemory::new("Fog")
            .file("idea.json", "{}")
            .feedback("no steps")
            .attempt(2);
        let [task] = <[Task; 1]>::try_from(Planning::prompt(&job.job()).unwrap()).unwrap();
        assert_eq!(
            (task.name.as_str(), task.expects.as_slice()),
            ("plan", &[FILE.to_owned()][..])
        );
        assert!(
            task.prompt
                .contains("decide it yourself: design/currencies.json, design/prog")
        );
        assert!(task.prompt.contains("sent back:\n\nno steps"));
        let mut job = JobInMemory::new("Fog");
        for file in SOURCES {
            job = job.file(file, "{}");
        }
        assert!(
            !Planning::prompt(&job.job()).unwrap()[0]
                .prompt
                .contains("Not there")
        );
    }

    #[test]
    fn the_sample_is_accepted() {
        assert_eq!(validate(|_| ()).decision, Decision::Accept);
        assert_eq!(Planning::self_test(), Ok(()));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let verdict = validate(|plan| {
            plan["steps"][1]["id"] = "page".into();
            plan["steps"][2]["done_when"] = " ".into();
            plan["files"] = json!(["site/index.html", "site/../x", "site/index.html"]);
            plan["checks"] = json!(["a", "b"]);
        });
        assert_eq!(
            verdict,
            Verdict::revise(
                "- plan.json, steps[1].id: \"page\" is there twice\n\
                 - plan.json, steps[2].done_when: is empty; it must be a text of 1 to 5000 characters\n\
                 - plan.json, files[1]: is \"site/../x\"; it must be a path like \"site/index.html\", below site/\n\
                 - plan.json, files[2]: \"site/index.html\" is there twice\n\
                 - plan.json, checks: has 2 items; it must be a list of 3 to 12 items"
            )
        );
    }

    #[test]
    fn the_page_must_be_planned() {
        let verdict = validate(|plan| plan["files"] = json!(["site/game.html"]));
        assert_eq!(
            verdict.message,
            "- plan.json, files: \"site/index.html\" must be one of them"
        );
    }

    #[test]
    fn steps_at_and_past_their_number() {
        let with = |count: usize| {
            validate(|plan| {
                let step = plan["steps"][0].clone();
                let numbered = |at| {
                    let mut step = step.clone();
                    step["id"] = format!("s{at}").into();
                    step
                };
                plan["steps"] = (0..count).map(numbered).collect();
            })
        };
        for (count, decision) in [
            (3, Decision::Revise),
            (4, Decision::Accept),
            (12, Decision::Accept),
            (13, Decision::Revise),
        ] {
            assert_eq!(with(count).decision, decision, "{count}");
        }
    }
}
