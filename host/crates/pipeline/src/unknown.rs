//! What a later version wrote into a job that this one doesn't know: it is put back where it
//! stood, so that an older host in a rolling upgrade takes nothing away. It gives none of it a
//! meaning.

use crate::Job;
use serde_json::Value;
use std::sync::Arc;

/// Records that live on while what is in them changes. Any other object is put in the place of
/// the one before it, and what was in that one is over with it.
const LIVE_ON: [&str; 3] = ["phases", "attempts", "tasks"];

/// The fields of a job that this version doesn't know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unknown(Option<Arc<Read>>);

/// A job's JSON as it was read, and what this version would have written of it.
#[derive(Debug, PartialEq)]
struct Read {
    all: Value,
    known: Value,
}

impl Job {
    /// A job from the JSON that [`Job::to_json`] gave, of this version or of another.
    ///
    /// # Errors
    /// Where it says what this version can't read, as a state that it doesn't know.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let mut job: Self = serde_json::from_str(json)?;
        // As a rule it was written by this version: the same text again says so.
        if serde_json::to_string(&job)? != json {
            let all = serde_json::from_str(json)?;
            let known = serde_json::to_value(&job)?;
            job.unknown = Unknown::of(all, known);
        }
        Ok(job)
    }

    /// The whole job as JSON, with what this version doesn't know of it.
    ///
    /// # Errors
    /// Never, but for a fault in this crate.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let Some(read) = &self.unknown.0 else {
            return serde_json::to_string(self);
        };
        let mut written = serde_json::to_value(self)?;
        put_back(&read.all, &read.known, &mut written, true);
        serde_json::to_string(&written)
    }
}

impl Unknown {
    fn of(all: Value, known: Value) -> Self {
        let mut same = known.clone();
        put_back(&all, &known, &mut same, true);
        // Another order of the fields, or one that is left out where it says nothing.
        if same == known {
            return Self::default();
        }
        Self(Some(Arc::new(Read { all, known })))
    }
}

/// Adds to what is to be written the fields that were read and aren't known.
fn put_back(all: &Value, known: &Value, written: &mut Value, lives_on: bool) {
    match (all, known) {
        (Value::Object(all), Value::Object(known)) => {
            let Value::Object(written) = written else {
                return;
            };
            if !lives_on && written != known {
                return;
            }
            for (name, value) in all {
                let Some(known) = known.get(name) else {
                    written.entry(name).or_insert_with(|| value.clone());
                    continue;
                };
                if let Some(written) = written.get_mut(name) {
                    let lives_on = value.is_array() && LIVE_ON.contains(&name.as_str());
                    put_back(value, known, written, lives_on);
                }
            }
        }
        (Value::Array(all), Value::Array(known)) => {
            let Value::Array(written) = written else {
                return;
            };
            // Those that live on keep their places; others come behind them.
            for ((all, known), written) in all.iter().zip(known).zip(written) {
                put_back(all, known, written, lives_on);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, JobId, Limits, PipelineSpec, Status, Timestamp, step};
    use serde_json::json;

    fn begun() -> Job {
        let spec = "name = \"game\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";
        let spec = PipelineSpec::parse(spec).unwrap();
        let id = JobId(uuid::Uuid::from_u128(7));
        let mut job = Job::new(id, "work".into(), spec, Timestamp::from_millis(1));
        // As the store gives it to who has claimed it.
        job.status = Status::Running;
        go(&job, Input::Claimed { rescued: false })
    }

    fn go(job: &Job, input: Input) -> Job {
        let now = Timestamp::from_millis(2);
        step(job, input, &Limits::default(), now).unwrap().next
    }

    /// As a later version might write it.
    fn later(job: &Job) -> Value {
        let mut body: Value = serde_json::from_str(&job.to_json().unwrap()).unwrap();
        body["colour"] = json!({ "hue": 3 });
        body["at"]["lane"] = json!(1);
        body["phases"][0]["owner"] = json!("ada");
        body["phases"][0]["attempts"][0]["mood"] = json!(["calm"]);
        body
    }

    #[test]
    fn a_job_of_this_version_has_nothing_unknown() {
        let job = begun();
        let json = job.to_json().unwrap();
        let read = Job::from_json(&json).unwrap();
        assert_eq!((&read, &read.unknown), (&job, &Unknown::default()));
        // Nor has one whose fields stand in another order, or say at length what goes without.
        let mut body: Value = serde_json::from_str(&json).unwrap();
        let read = Job::from_json(&body.to_string()).unwrap();
        assert_eq!(read.unknown, Unknown::default());
        body.as_object_mut().unwrap().remove("engine");
        let read = Job::from_json(&body.to_string()).unwrap();
        assert_eq!(read, job);
    }

    #[test]
    fn what_is_unknown_comes_back_as_it_was() {
        let body = later(&begun());
        let read = Job::from_json(&body.to_string()).unwrap();
        let written: Value = serde_json::from_str(&read.to_json().unwrap()).unwrap();
        assert_eq!(written, body);
    }

    #[test]
    fn what_is_unknown_stays_with_what_lives_on() {
        let read = Job::from_json(&later(&begun()).to_string()).unwrap();
        let next = go(&read, Input::GivenBack);
        assert_eq!(next.status, Status::Queued);
        let next = go(&next, Input::Cancel);
        let written: Value = serde_json::from_str(&next.to_json().unwrap()).unwrap();
        assert_eq!(written["status"], "cancelled");
        assert_eq!(written["colour"]["hue"], 3);
        assert_eq!(written["phases"][0]["owner"], "ada");
        assert_eq!(written["phases"][0]["attempts"][0]["mood"][0], "calm");
    }

    #[test]
    fn what_is_unknown_of_a_place_ends_with_it() {
        let job = begun();
        let read = Job::from_json(&later(&job).to_string()).unwrap();
        let plugin = crate::PluginPin {
            name: "idea".to_owned(),
            version: "1.0.0".to_owned(),
            digest: crate::Digest::of(b"idea"),
        };
        let (tasks, kept) = (vec!["one".to_owned()], crate::Digest::of(b""));
        let prompted = Input::Prompted {
            plugin,
            tasks,
            kept,
        };
        let next = go(&read, prompted);
        let written: Value = serde_json::from_str(&next.to_json().unwrap()).unwrap();
        assert_eq!(written["at"]["stage"]["name"], "agent");
        assert_eq!(written["at"]["lane"], Value::Null, "{written:#}");
        assert_eq!(written["phases"][0]["attempts"][0]["mood"][0], "calm");
    }

    #[test]
    fn what_cant_be_read_is_an_error() {
        let mut body = later(&begun());
        body["at"]["stage"]["name"] = json!("dream");
        assert!(Job::from_json(&body.to_string()).is_err());
    }
}
