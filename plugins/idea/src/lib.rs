//! The phase `idea`: asks for one game idea, and accepts an `idea.json` of the right form. It
//! doesn't judge whether the idea is any good.

use gantry_sdk::{
    Describe, Error, Job, Manifest, Node, Problems, Prompt, SelfTest, Task, Validate, Verdict,
};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// What the phase leaves in the workspace.
pub const FILE: &str = "idea.json";

const PROMPT: &str = include_str!("../prompts/idea.md");
const SAMPLE: &str = include_str!("sample.json");
const SETTINGS: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "genre": {
      "type": "string",
      "minLength": 1,
      "maxLength": 100,
      "description": "the genre of the game, unless the job's params name another"
    }
  }
}"#;

/// Where the words of an ask leave room, the job's seed picks one of these, so that the same
/// name doesn't give the same game each time.
const ANGLES: [&str; 12] = [
    "a trade that hardly exists any more",
    "something that is usually thrown away",
    "a place at an unusual hour",
    "weather as the main character",
    "something very small seen from up close",
    "a journey there and back",
    "the care of something that lives",
    "a message that has to arrive",
    "a collection that wants completing",
    "repairing what others made",
    "a festival and its eve",
    "sounds rather than sights",
];

/// The plugin.
pub struct Idea;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    genre: Option<String>,
}

impl Describe for Idea {
    fn describe() -> Manifest {
        Manifest::new(
            "idea",
            env!("CARGO_PKG_VERSION"),
            "Invents one small browser game",
        )
        .settings_schema(SETTINGS)
    }
}

impl Prompt for Idea {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        let settings: Settings = job.settings()?;
        let params: Value = job.params()?;
        let genre = match &params["genre"] {
            Value::String(genre) if !genre.trim().is_empty() => Some(genre.clone()),
            _ => settings.genre,
        };
        let mut prompt = PROMPT.to_owned();
        // Writing to a String can't fail.
        if let Some(genre) = genre {
            let _ = write!(
                prompt,
                "\nThe genre asked for: {}.\n",
                gantry_sdk::clip(&genre, 200)
            );
        }
        let angle = ANGLES[(job.seed() % ANGLES.len() as u64) as usize];
        let _ = write!(
            prompt,
            "\nThe job's name is the brief. Where it leaves room, think of {angle}.\n\n{}",
            job.briefing()
        );
        Ok(vec![Task::new("idea", prompt).expects(FILE)])
    }
}

impl Validate for Idea {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        let mut problems = Problems::new();
        if let Some(idea) = problems.read_json(job, FILE) {
            check(&idea, &mut problems);
        }
        Ok(problems.verdict("idea.json is complete"))
    }
}

impl SelfTest for Idea {
    fn self_test() -> Result<(), String> {
        let sample: Value = serde_json::from_str(SAMPLE).map_err(|error| error.to_string())?;
        let mut problems = Problems::new();
        check(&sample, &mut problems);
        if !problems.is_empty() {
            return Err(format!("a good idea is refused:\n{}", problems.message()));
        }
        check(&Value::Null, &mut problems);
        if problems.is_empty() {
            return Err("an idea that is null is accepted".to_owned());
        }
        Ok(())
    }
}

gantry_sdk::export!(Idea: prompt, validate, self_test);

/// Tells all that is wrong with an idea.
pub fn check(idea: &Value, problems: &mut Problems) {
    let root = Node::root(FILE, idea).object(problems);
    root.key("title").text(3..=60, problems);
    root.key("theme").text(1..=2_000, problems);
    root.key("pitch").text(1..=600, problems);
    root.key("genre").text(1..=2_000, problems);
    root.key("player_goal").text(1..=2_000, problems);
    for step in root.key("core_loop").list(3..=6, problems) {
        step.text(1..=2_000, problems);
    }
    root.key("tone").text(1..=2_000, problems);
    for color in root.key("palette").list(5..=5, problems) {
        color.color(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{Decision, JobInMemory};

    fn prompt(job: JobInMemory) -> String {
        let [task] = <[Task; 1]>::try_from(Idea::prompt(&job.job()).unwrap()).unwrap();
        assert_eq!(
            (task.name.as_str(), task.expects.as_slice()),
            ("idea", &[FILE.to_owned()][..])
        );
        task.prompt
    }

    fn validate(content: &str) -> Verdict {
        Idea::validate(&JobInMemory::new("Fog").file(FILE, content).job()).unwrap()
    }

    #[test]
    fn the_prompt_carries_name_genre_and_feedback() {
        let job = JobInMemory::new("Fog").settings(r#"{"genre": "idle"}"#);
        let text = prompt(job.attempt(2).feedback("title: is missing"));
        for part in [
            "called \"Fog\"",
            "The genre asked for: idle.",
            "title: is missing",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let job = JobInMemory::new("Fog").settings(r#"{"genre": "idle"}"#);
        let text = prompt(job.params(r#"{"genre": "puzzle"}"#));
        assert!(text.contains("The genre asked for: puzzle.") && !text.contains("idle"));
        assert!(!prompt(JobInMemory::new("Fog")).contains("genre asked for:"));
    }

    #[test]
    fn the_seed_chooses_the_angle() {
        assert_ne!(
            prompt(JobInMemory::new("Fog").seed(u64::MAX)),
            prompt(JobInMemory::new("Fog").seed(0))
        );
    }

    #[test]
    fn a_wrong_setting_is_the_pipelines_fault() {
        let job = JobInMemory::new("Fog")
            .settings(r#"{"gnre": "idle"}"#)
            .job();
        assert!(matches!(Idea::prompt(&job), Err(Error::InvalidJob(why)) if why.contains("gnre")));
    }

    #[test]
    fn the_sample_is_accepted() {
        assert_eq!(validate(SAMPLE).decision, Decision::Accept);
        assert_eq!(Idea::self_test(), Ok(()));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let mut idea: Value = serde_json::from_str(SAMPLE).unwrap();
        idea["title"] = "ab".into();
        idea["pitch"] = "x".repeat(601).into();
        idea["core_loop"] = serde_json::json!(["a", "b"]);
        idea["palette"][4] = "red".into();
        idea.as_object_mut().unwrap().remove("tone");
        let verdict = validate(&idea.to_string());
        assert_eq!(verdict.decision, Decision::Revise);
        assert_eq!(
            verdict.message,
            "- idea.json, title: has 2 characters; it must be a text of 3 to 60 characters\n\
             - idea.json, pitch: has 601 characters; it must be a text of 1 to 600 characters\n\
             - idea.json, core_loop: has 2 items; it must be a list of 3 to 6 items\n\
             - idea.json, tone: is missing; it must be a text of 1 to 2000 characters\n\
             - idea.json, palette[4]: is \"red\"; it must be a colour like \"#0a141e\""
        );
    }

    #[test]
    fn a_missing_and_a_broken_file_are_sent_back() {
        let verdict = Idea::validate(&JobInMemory::new("Fog").job()).unwrap();
        assert_eq!(verdict, Verdict::revise("- idea.json is missing"));
        let message = validate("{\"title\": ").message;
        assert!(
            message.starts_with("- idea.json isn't the JSON it should be"),
            "{message}"
        );
    }

    #[test]
    fn limits_of_the_lengths() {
        let mut idea: Value = serde_json::from_str(SAMPLE).unwrap();
        for (title, decision) in [(60, Decision::Accept), (61, Decision::Revise)] {
            idea["title"] = "x".repeat(title).into();
            assert_eq!(validate(&idea.to_string()).decision, decision, "{title}");
        }
    }
}
