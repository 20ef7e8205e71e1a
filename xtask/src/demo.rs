//! `cargo xtask demo`: a host on embedded defaults makes one site. It speaks to the host
//! through `gantry`'s own client commands, and asks for the site as a browser would.

mod site;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::parts::wasm::Wasm;
use crate::plugins;
use crate::process::{Running, capture, interrupted, pause, tied};
use crate::term::{say, tail};

const JOB: &str = "a game about lighthouse keepers";
const READY: &str = "gantry: ready on ";
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const CLIENT_LIMIT: Duration = Duration::from_secs(30);
/// Of a job that takes some seconds.
const JOB_LIMIT: Duration = Duration::from_secs(300);
const LOG_LINES: usize = 20;

/// All that the host is given of the environment: a demo runs on the defaults, whatever settings
/// are exported here.
const KEPT: [&str; 7] = [
    "PATH",
    "HOME",
    "TERM",
    "LANG",
    "TMPDIR",
    "GANTRY_LOG",
    "RUST_BACKTRACE",
];

/// Of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// End with status 0 as soon as the site has answered
    #[arg(long)]
    once: bool,
    /// The host's port; 0 takes any that is free
    #[arg(long, default_value_t = 3010)]
    port: u16,
}

struct Demo {
    gantry: PathBuf,
    url: String,
    // In this order: the host stops, then its folder goes.
    host: Running,
    folder: TempDir,
}

/// `cargo xtask demo`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Err(error) = TcpListener::bind(("127.0.0.1", options.port)) {
        let port = options.port;
        bail!("127.0.0.1:{port} can't be had ({error}); choose another with --port N, 0 for any");
    }
    plugins::build_built_in(&Wasm::find()?)?;
    let mut demo = Demo::start(plugins::build_host()?, options.port)?;
    match demo.play(options.once) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if interrupted() => Err(error),
        Err(error) => Err(demo.explain(&error)),
    }
}

impl Demo {
    fn start(gantry: PathBuf, port: u16) -> Result<Self> {
        // Short, as the paths of the sockets in it must be.
        let folder = tempfile::Builder::new().prefix("gantry-demo-").tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        let mut command = match tied("TERM") {
            Some(mut setpriv) => {
                setpriv.arg("--").arg(&gantry);
                setpriv
            }
            None => Command::new(&gantry),
        };
        on_defaults(&mut command)
            .current_dir(folder.path())
            .arg("serve");
        command.env("GANTRY_DATA", &data).env("RUNNER", "process");
        command
            .env("BIND", "127.0.0.1")
            .env("PORT", port.to_string());
        let log = folder.path().join("host.log");
        let mut host = Running::start("gantry", &mut command, &log, (Signal::TERM, STOP_LIMIT))?;
        let url = host.until(READY_LIMIT, ready_at)?;
        say(format_args!(
            "host     {url}, its data in {}",
            data.display()
        ));
        Ok(Self {
            gantry,
            url,
            host,
            folder,
        })
    }

    /// One job, its site, and then, but for `once`, nothing until Ctrl-C.
    fn play(&mut self, once: bool) -> Result<()> {
        let job = self.client(&["submit", JOB])?;
        let id = text(&job, "/id")
            .context("the host gave the job no id")?
            .to_owned();
        say(format_args!("job      {JOB} ({id})"));
        let done = self.follow(&id)?;
        let site = text(&done, "/site/url").context("the job succeeded without a site")?;
        let title = site::title(site).with_context(|| format!("the site {site}"))?;
        say(format_args!("site     {site} \"{title}\""));
        say(format_args!("gallery  {}/", self.url.trim_end_matches('/')));
        if once {
            return Ok(());
        }
        say("Ctrl-C ends it");
        while pause().is_ok() {
            self.host.still_runs()?;
        }
        Ok(())
    }

    /// Waits until the job has ended, with a line for each phase that passes.
    fn follow(&mut self, id: &str) -> Result<Value> {
        let began = Instant::now();
        let mut told = 0;
        loop {
            let job = self.client(&["job", id])?;
            let passed = passed(&job);
            for phase in passed.iter().skip(told) {
                let seconds = began.elapsed().as_secs_f32();
                say(format_args!("  {phase:<12} accepted after {seconds:.1} s"));
            }
            told = told.max(passed.len());
            match text(&job, "/status") {
                Some("succeeded") => return Ok(job),
                Some("failed" | "cancelled") => bail!("the job {}", outcome(&job)),
                _ if began.elapsed() > JOB_LIMIT => {
                    bail!(
                        "the job isn't done after {} s: {}",
                        JOB_LIMIT.as_secs(),
                        outcome(&job)
                    )
                }
                _ => pause()?,
            }
            self.host.still_runs()?;
        }
    }

    fn client(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.gantry);
        on_defaults(&mut command).env("GANTRY_SERVER", &self.url);
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .arg("--json");
        let said = capture(&mut command, CLIENT_LIMIT)?;
        serde_json::from_str(&said).with_context(|| format!("gantry {} said: {said}", arguments[0]))
    }

    /// The error with what the host said last; its folder stays for whoever looks into it.
    fn explain(self, error: &anyhow::Error) -> anyhow::Error {
        let log = tail(&self.host.said(), LOG_LINES);
        drop(self.host);
        let kept = self.folder.keep();
        anyhow::anyhow!(
            "{error:#}\nthe host's last lines:\n{log}\nkept: {}",
            kept.display()
        )
    }
}

fn on_defaults(command: &mut Command) -> &mut Command {
    let kept = KEPT
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept)
}

fn ready_at(said: &str) -> Option<String> {
    let (line, _) = said.split_once(READY)?.1.split_once('\n')?;
    Some(line.trim().to_owned())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// The phases that were accepted, in their order.
fn passed(job: &Value) -> Vec<&str> {
    let phases = job.get("phases").and_then(Value::as_array);
    let accepted = |phase: &&Value| text(phase, "/status") == Some("accepted");
    phases
        .into_iter()
        .flatten()
        .filter(accepted)
        .filter_map(|phase| text(phase, "/id"))
        .collect()
}

/// How the job stands, for people.
fn outcome(job: &Value) -> String {
    let status = text(job, "/status").unwrap_or("has no status");
    let phase = text(job, "/phase")
        .map(|phase| format!(" in {phase}"))
        .unwrap_or_default();
    match (text(job, "/error/kind"), text(job, "/error/message")) {
        (Some(kind), Some(message)) => format!("{status}{phase}: {kind}: {message}"),
        _ => format!("{status}{phase}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_host_is_ready_once_the_whole_line_is_there() {
        assert_eq!(ready_at("gantry: ready on http://127.0.0.1:30"), None);
        assert_eq!(
            ready_at("a log line\ngantry: ready on http://127.0.0.1:3010\nmore").as_deref(),
            Some("http://127.0.0.1:3010")
        );
    }

    #[test]
    fn a_job_is_told_by_its_phases_and_its_error() {
        let job = json!({
            "status": "failed", "phase": "plan",
            "phases": [{"id": "idea", "status": "accepted"}, {"id": "plan", "status": "failed"}],
            "error": {"kind": "not-accepted", "message": "no plan"},
        });
        assert_eq!(passed(&job), ["idea"]);
        assert_eq!(outcome(&job), "failed in plan: not-accepted: no plan");
        assert_eq!(
            outcome(&json!({"status": "running", "phase": null})),
            "running"
        );
        assert!(passed(&json!({})).is_empty());
    }

    /// A program that answers as `gantry` does: `job` is what it says of the job.
    fn stand_in(folder: &Path, job: &Value) -> PathBuf {
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             serve) echo starting; echo 'gantry: ready on http://127.0.0.1:9'; exec sleep 600;;\n\
             submit) echo '{{\"id\":\"1\"}}';;\n\
             job) echo '{job}';;\nesac\n"
        );
        let program = folder.join("gantry");
        // Written by another process: a program that this one has open for writing can't
        // be started, and any thread that forks meanwhile has it open too.
        let write = r#"printf %s "$0" >"$1" && chmod 755 "$1""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", write, &script]).arg(&program);
        crate::process::quiet(&mut shell, CLIENT_LIMIT).unwrap();
        program
    }

    #[test]
    fn a_job_that_failed_ends_the_demo_with_the_reason_and_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let job = json!({"status": "failed", "error": {"kind": "rejected", "message": "no"}});
        let mut demo = Demo::start(stand_in(folder.path(), &job), 0).unwrap();
        let error = demo.play(true).unwrap_err();
        let text = format!("{:#}", demo.explain(&error));
        assert!(text.starts_with("the job failed: rejected: no\n"), "{text}");
        assert!(text.contains("starting"), "{text}");
        let kept = text.rsplit_once("kept: ").unwrap().1;
        assert!(Path::new(kept).join("host.log").is_file(), "{text}");
        fs::remove_dir_all(kept).unwrap();
    }

    #[test]
    fn a_site_that_answers_ends_the_demo_well_and_its_folder_goes() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while std::io::BufRead::read_line(&mut reader, &mut line).unwrap() > 2 {
                line.clear();
            }
            let answer = b"HTTP/1.1 200 OK\r\n\r\n<title>Keepers</title>";
            std::io::Write::write_all(&mut stream, answer).unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        let site = format!("http://keepers.localhost:{port}/");
        let job = json!({"status": "succeeded", "site": {"slug": "keepers", "url": site}});
        let mut demo = Demo::start(stand_in(folder.path(), &job), 0).unwrap();
        demo.play(true).unwrap();
        let data = demo.folder.path().to_owned();
        drop(demo);
        assert!(!data.exists());
    }
}
