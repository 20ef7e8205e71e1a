//! `cargo xtask test`: gets the real parts, runs the workspace's tests on them, and says
//! what did not run. It holds no test of Gantry.

mod outcome;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use self::outcome::{Counts, NotRun, Results};
use crate::clone;
use crate::parts::chromium::{Chromium, Playwright};
use crate::parts::claude::Claude;
use crate::parts::docker::{BASE_IMAGE, COMPOSE_HOST_IMAGE, Compose, Docker, WORKER_IMAGE};
use crate::parts::languages::{JavaScript, Python};
use crate::parts::podman::Podman;
use crate::parts::postgres::{Disk, Postgres};
use crate::parts::wasm::Wasm;
use crate::parts::{Missing, Part};
use crate::plugins::{self, foreign};
use crate::process::{check, start, wait};
use crate::term::{say, table};

const TESTS_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Fail where something did not run for want of a part (so it is when CI=true)
    #[arg(long)]
    require_all: bool,
    /// Run the long ones as well
    #[arg(long)]
    full: bool,
    /// Run the tests whose names contain this
    filter: Option<String>,
}

/// The parts at hand, and those that can't be had. What was started stops with this value.
#[derive(Default)]
pub(crate) struct Parts {
    /// The lines of the table.
    pub(crate) found: Vec<Part>,
    missing: Vec<Missing>,
    env: Vec<(&'static str, String)>,
    postgres: Option<Postgres>,
    docker: Option<Docker>,
    podman: Option<Podman>,
}

impl Parts {
    /// Gets what there is to get. Without plugins there is nothing to run, so those must be.
    pub(crate) fn get(disk: Disk) -> Result<Self> {
        let _lock = clone::lock(&clone::kept()?.join("lock"), "this clone's set-up")?;
        let mut parts = Self::default();
        let wasm = Wasm::find()?;
        parts.add("GANTRY_TEST_PLUGINS", &plugins::build_built_in(&wasm)?);
        parts.add("GANTRY_TEST_GUESTS", &plugins::build_guests(&wasm)?);
        parts.found.push(wasm.part().clone());
        check()?;
        parts.get_foreign(&wasm)?;
        if let Some(postgres) = parts.keep(Postgres::start(disk), |it| &it.part)? {
            parts.env.push(("TEST_DATABASE_URL", postgres.url.clone()));
            parts.postgres = Some(postgres);
        }
        let claude = parts.keep(Claude::find(), |it| &it.part)?;
        if let Some(claude) = &claude {
            parts.add("GANTRY_TEST_CLAUDE", &claude.program);
        }
        parts.get_docker(claude.as_ref())?;
        if let Some(chromium) = parts.keep(Chromium::find(), |it| &it.part)? {
            parts.add("GANTRY_TEST_CHROMIUM", &chromium.program);
        }
        if let Some(playwright) = parts.keep(Playwright::find(), |it| &it.part)? {
            parts.add("GANTRY_TEST_PLAYWRIGHT", &playwright.modules);
        }
        Ok(parts)
    }

    /// The plugins that neither Rust nor the SDK made, and what makes them.
    fn get_foreign(&mut self, wasm: &Wasm) -> Result<()> {
        let python = self.keep(Python::find(), |it| &it.part)?;
        let javascript = self.keep(JavaScript::find(), |it| &it.part)?;
        if let (Some(python), Some(javascript)) = (python, javascript) {
            let folder = foreign::build(&python, &javascript, wasm)?;
            self.add("GANTRY_TEST_FOREIGN", &folder);
        }
        Ok(())
    }

    fn get_docker(&mut self, claude: Option<&Claude>) -> Result<()> {
        let Some(docker) = self.keep(Docker::find(), |it| &it.part)? else {
            return Ok(());
        };
        self.env.push(("DOCKER_HOST", docker.host.clone()));
        if self.keep(docker.base_image(), |part| part)?.is_some()
            && self
                .keep(docker.worker_image(claude), |part| part)?
                .is_some()
        {
            self.env
                .push(("GANTRY_TEST_WORKER_IMAGE", WORKER_IMAGE.to_owned()));
        }
        self.docker = Some(docker);
        Ok(())
    }

    /// Podman, with the images of the other engine.
    fn get_podman(&mut self) -> Result<()> {
        let has_worker = self
            .env
            .iter()
            .any(|(name, _)| *name == "GANTRY_TEST_WORKER_IMAGE");
        if !has_worker {
            return Ok(());
        }
        let Some(docker) = self.docker.take() else {
            return Ok(());
        };
        let _lock = clone::lock(&clone::kept()?.join("lock"), "this clone's set-up")?;
        let started = Podman::start(&docker, &[BASE_IMAGE, WORKER_IMAGE]);
        self.docker = Some(docker);
        if let Some(podman) = self.keep(started, |it| &it.part)? {
            self.env.push(("GANTRY_TEST_PODMAN", podman.host.clone()));
            self.podman = Some(podman);
        }
        Ok(())
    }

    /// Compose, with the images that it starts: the host's has `gantry` in it.
    fn get_compose(&mut self, gantry: &Path) -> Result<()> {
        let Some(docker) = self.docker.take() else {
            return Ok(());
        };
        let _lock = clone::lock(&clone::kept()?.join("lock"), "this clone's set-up")?;
        let plugins = clone::target()?.join("plugins");
        if let Some(compose) = self.keep(Compose::find(), |it| &it.part)?
            && self
                .keep(
                    docker.host_image(COMPOSE_HOST_IMAGE, gantry, &plugins),
                    |part| part,
                )?
                .is_some()
            && self.keep(docker.compose_images(), |part| part)?.is_some()
        {
            self.add("GANTRY_TEST_COMPOSE", &compose.program);
        }
        self.docker = Some(docker);
        Ok(())
    }

    /// Writes down what was found or why it wasn't; an error only for a signal.
    fn keep<T>(
        &mut self,
        got: Result<T, Missing>,
        part: impl Fn(&T) -> &Part,
    ) -> Result<Option<T>> {
        check()?;
        match got {
            Ok(found) => {
                self.found.push(part(&found).clone());
                Ok(Some(found))
            }
            Err(missing) => {
                if !missing.detail.is_empty() {
                    say(&missing.detail);
                }
                say(&missing);
                self.missing.push(missing);
                Ok(None)
            }
        }
    }

    fn add(&mut self, name: &'static str, path: &Path) {
        self.env.push((name, path.display().to_string()));
    }

    /// Tells a program where the parts are, and nothing of what this shell happened to have.
    pub(crate) fn tell(&self, command: &mut Command) {
        let names = ["TEST_DATABASE_URL", "DATABASE_URL", "GANTRY_TEST_FULL"];
        for name in names {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// The parts in use, for people.
    pub(crate) fn table(&self) -> String {
        let row = |part: &Part| {
            [
                part.name.to_owned(),
                part.version.clone(),
                part.origin.clone(),
            ]
        };
        let rows: Vec<[String; 3]> = self.found.iter().map(row).collect();
        table("Parts", ["part", "version", "from"], &rows)
    }
}

/// `cargo xtask test`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let require_all = options.require_all || env::var("CI").is_ok_and(|ci| ci == "true");
    // First, as it is what most often stops a developer, and the parts take longer to say so.
    let gantry = plugins::build_host()?;
    let mut parts = Parts::get(Disk::Careless)?;
    parts.get_podman()?;
    parts.get_compose(&gantry)?;
    let scratch = tempfile::Builder::new().prefix("gantry-test-").tempdir()?;
    let not_run = scratch.path().join("not-run");
    fs::write(&not_run, "").with_context(|| format!("{}", not_run.display()))?;
    let (status, results) = run_tests(options, &parts, &not_run)?;
    let not_run = NotRun::read(&fs::read_to_string(&not_run)?);
    let missing: Vec<_> = parts
        .missing
        .iter()
        .map(|it| (it.part, it.reason()))
        .collect();
    let counts = Counts::new(
        &results,
        &not_run,
        missing.len(),
        status.success(),
        require_all,
    );

    say(outcome::failures(&results, status));
    say(format_args!("\n{}\n", parts.table()));
    say(outcome::not_run_table(&results, &not_run, &missing));
    // The parts stop before the last line, so that it stays the last.
    drop(parts);
    say(format_args!("\n{counts}"));
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_tests(options: &Options, parts: &Parts, not_run: &Path) -> Result<(ExitStatus, Results)> {
    let mut cargo = clone::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(&options.filter);
    parts.tell(&mut cargo);
    cargo.env("GANTRY_TEST_NOT_RUN", not_run);
    if options.full {
        cargo.env("GANTRY_TEST_FULL", "1");
    }
    let mut child = start(cargo.stdout(Stdio::piped()))?;
    let out = child.stdout.take().context("cargo's output")?;
    let reader = thread::spawn(move || {
        let mut results = Results::default();
        for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            say(&line);
            results.read(&line);
        }
        results
    });
    let status = wait(child, TESTS_LIMIT)?;
    let results = reader
        .join()
        .map_err(|_| anyhow::anyhow!("cargo's output wasn't read"))?;
    Ok((status, results))
}
