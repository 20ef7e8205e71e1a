//! The real parts that a test wants, by the names that `cargo xtask test` gives them in the
//! environment. A part that is missing is said, and never replaced by a fake.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Something that can't be taken for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A server in which databases can be made.
    Postgres,
    /// An engine.
    Docker,
    /// Podman's service, with the images of that engine.
    Podman,
    /// The agent's image on that engine.
    WorkerImage,
    /// The Claude Code CLI, without a container.
    Claude,
    /// A browser.
    Chromium,
    /// What drives it.
    Playwright,
    /// The guests of `tests/guests`, as components.
    Guests,
    /// The plugins of `tests/foreign`, from Python, from JavaScript and for Extism.
    Foreign,
    /// Docker Compose, with the images that `docker-compose.yml` names.
    Compose,
}

impl Part {
    const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "TEST_DATABASE_URL",
            Self::Docker => "DOCKER_HOST",
            Self::Podman => "GANTRY_TEST_PODMAN",
            Self::WorkerImage => "GANTRY_TEST_WORKER_IMAGE",
            Self::Claude => "GANTRY_TEST_CLAUDE",
            Self::Chromium => "GANTRY_TEST_CHROMIUM",
            Self::Playwright => "GANTRY_TEST_PLAYWRIGHT",
            Self::Guests => "GANTRY_TEST_GUESTS",
            Self::Foreign => "GANTRY_TEST_FOREIGN",
            Self::Compose => "GANTRY_TEST_COMPOSE",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Postgres => "names no PostgreSQL server",
            Self::Docker => "names no Docker Engine",
            Self::Podman => "names no service of Podman's",
            Self::WorkerImage => "names no image of the agent",
            Self::Claude => "does not name the Claude Code CLI",
            Self::Chromium => "names no browser",
            Self::Playwright => "names no folder with playwright-core",
            Self::Guests => "names no folder of guests",
            Self::Foreign => "names no folder of plugins in other languages",
            Self::Compose => "names no Docker Compose",
        }
    }

    /// Where it is; none where it isn't there.
    pub(crate) fn place(self) -> Option<String> {
        env::var(self.variable())
            .ok()
            .filter(|place| !place.is_empty())
    }
}

/// The parts of one test, all there.
#[derive(Clone, Copy, Debug)]
pub struct Parts(());

impl Parts {
    /// The parts that `test` wants. None: the list of what did not run says so, and the test
    /// returns.
    #[must_use]
    pub fn of(test: &str, wanted: &[Part]) -> Option<Self> {
        let missing = wanted.iter().find(|part| part.place().is_none());
        let Some(part) = missing else {
            return Some(Self(()));
        };
        not_run(test, &format!("{} {}", part.variable(), part.words()));
        None
    }

    /// Where a part is that was asked for.
    ///
    /// # Panics
    /// Where it wasn't asked for, and isn't there.
    #[must_use]
    pub fn place(self, part: Part) -> String {
        part.place().expect("the part was asked for")
    }
}

/// Puts a test on the list of what did not run.
pub(super) fn not_run(test: &str, reason: &str) {
    let line = format!("{test}: {reason}");
    println!("{line}");
    if let Some(list) = env::var_os("GANTRY_TEST_NOT_RUN") {
        let list = OpenOptions::new().append(true).create(true).open(list);
        // One write, since other tests write to it at the same time.
        list.unwrap().write_all((line + "\n").as_bytes()).unwrap();
    }
}
