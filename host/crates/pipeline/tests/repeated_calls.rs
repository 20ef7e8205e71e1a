//! What a plugin's call is told of the time when it is called again. What follows from each input
//! is the table's matter.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use pipeline::*;

const SPEC: &str = "name = \"one\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"";

/// The job, and when its next call began.
struct Going(Job);

impl Going {
    fn submitted() -> Self {
        let id = JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap());
        let spec = PipelineSpec::parse(SPEC).unwrap();
        let job = Job::new(id, "a game".into(), spec, Timestamp::from_millis(0));
        Self(job)
    }

    fn go(&mut self, input: Input, ms: i64) -> Option<i64> {
        let now = Timestamp::from_millis(ms);
        self.0 = step(&self.0, input, &Limits::default(), now).unwrap().next;
        self.0.at.unwrap().since.map(Timestamp::as_millis)
    }

    /// What the store does to a row when a host takes it, and what the host does then.
    fn taken(&mut self, rescued: bool, ms: i64) -> Option<i64> {
        self.0.status = Status::Running;
        self.go(Input::Claimed { rescued }, ms)
    }
}

fn pin() -> PluginPin {
    PluginPin {
        name: "idea".into(),
        version: "1.0.0".into(),
        digest: Digest::of(b"idea"),
    }
}

#[test]
fn a_call_that_is_repeated_after_a_crash_is_told_the_same_time() {
    let mut job = Going::submitted();
    assert_eq!(job.taken(false, 10), Some(10));
    assert_eq!(job.taken(true, 20), Some(10), "its host died");
    assert_eq!(job.go(Input::GivenBack, 30), Some(10), "its host stopped");
    assert_eq!(job.taken(false, 40), Some(10));
}

#[test]
fn each_step_has_a_time_of_its_own() {
    let mut job = Going::submitted();
    job.taken(false, 10);
    let prompted = Input::Prompted {
        plugin: pin(),
        tasks: Vec::new(),
        kept: Digest::of(b"kept"),
    };
    assert_eq!(job.go(prompted, 20), Some(20));
    assert_eq!(job.taken(true, 30), Some(20));
}

#[test]
fn a_call_that_waited_is_told_when_it_goes_on() {
    let mut job = Going::submitted();
    job.taken(false, 10);
    let unavailable = Input::StepFailed {
        plugin: Some(pin()),
        error: StepError::Unavailable("tomorrow".into()),
    };
    job.go(unavailable, 20);
    assert_eq!(job.taken(false, 90_000), Some(90_000));
    assert_eq!(job.taken(true, 95_000), Some(90_000));
}

#[test]
fn a_job_that_an_older_host_began_can_be_read() {
    let mut job = Going::submitted();
    job.taken(false, 10);
    let mut json = serde_json::to_value(&job.0).unwrap();
    json["at"].as_object_mut().unwrap().remove("since").unwrap();
    job.0 = serde_json::from_value(json).unwrap();
    assert_eq!(job.taken(true, 20), None);
}
