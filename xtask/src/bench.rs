//! `cargo xtask bench`: gets the parts, runs the programs `tests/src/bin/bench-NAME.rs` in
//! release, prints their tables and writes `target/bench/NAME.json`. It measures nothing.

mod peers;

use std::fs;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::clone;
use crate::parts::postgres::Disk;
use crate::plugins::build_with;
use crate::process::{start, wait};
use crate::term::{say, table};
use crate::test::Parts;

const BENCH_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this one
    name: Option<String>,
}

/// A line of an issue's table, as a benchmark prints it: a JSON array of these is all that
/// it writes to standard output.
#[derive(Debug, Deserialize, Serialize)]
struct Row {
    id: String,
    what: String,
    unit: String,
    ours: Option<f64>,
    peer_name: Option<String>,
    peer: Option<f64>,
    aim: Option<f64>,
    met: Option<bool>,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    machine: Machine,
    parts: Vec<Version<'a>>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
}

#[derive(Serialize)]
struct Version<'a> {
    name: &'a str,
    version: &'a str,
}

/// `cargo xtask bench`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let there = names(&clone::root().join("tests/src/bin"))?;
    let wanted: Vec<&String> = match &options.name {
        None => there.iter().collect(),
        Some(name) => there.iter().filter(|it| *it == name).collect(),
    };
    if there.is_empty() {
        bail!("this clone has no tests/src/bin/bench-NAME.rs");
    }
    if wanted.is_empty() {
        bail!("there is no such benchmark, only {}", there.join(", "));
    }
    let parts = Parts::get(Disk::Careful)?;
    build_with(
        "everything in release",
        clone::cargo().args(["build", "--release", "--workspace", "--bins"]),
    )?;
    say(parts.table());
    for name in wanted {
        let report = Report {
            name,
            machine: Machine::read(),
            parts: parts
                .found
                .iter()
                .map(|part| Version {
                    name: part.name,
                    version: &part.version,
                })
                .collect(),
            rows: measure(name, &parts)?,
        };
        say(format_args!("\n{}", rows_table(name, &report.rows)));
        let file = write(&report)?;
        say(format_args!("  {file}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The benchmarks that this clone has.
fn names(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names: Vec<String> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_prefix("bench-")?;
            Some(name.strip_suffix(".rs").unwrap_or(name).to_owned())
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Its progress is seen as it comes; its rows are all of its standard output.
fn measure(name: &str, parts: &Parts) -> Result<Vec<Row>> {
    let program = clone::target()?
        .join("release")
        .join(format!("bench-{name}"));
    let mut command = Command::new(program);
    command.current_dir(clone::root());
    parts.tell(&mut command);
    match peers::of(name) {
        Some(Ok(folder)) => _ = command.env("GANTRY_TEST_PEERS", folder),
        Some(Err(why)) => say(format_args!("this run has no peers: {why:#}")),
        None => {}
    }
    let mut out = tempfile::tempfile().context("a temporary file")?;
    command.stdout(out.try_clone()?);
    let status = wait(start(&mut command)?, BENCH_LIMIT)?;
    if !status.success() {
        bail!("bench-{name}: {status}");
    }
    let mut said = String::new();
    out.rewind()?;
    out.read_to_string(&mut said)?;
    serde_json::from_str(&said).with_context(|| format!("bench-{name} printed no rows"))
}

fn rows_table(name: &str, rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| format!("{it}"));
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            let peer = match &row.peer_name {
                Some(peer) => format!("{} ({peer})", number(row.peer)),
                None => number(row.peer),
            };
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "falls short",
                None => "-",
            };
            [
                row.id.clone(),
                row.what.clone(),
                number(row.ours),
                row.unit.clone(),
                peer,
                number(row.aim),
                met.to_owned(),
            ]
        })
        .collect();
    table(
        name,
        ["id", "what", "ours", "unit", "peer", "aim", ""],
        &cells,
    )
}

fn write(report: &Report<'_>) -> Result<String> {
    let folder = clone::target()?.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let file = folder.join(format!("{}.json", report.name));
    fs::write(&file, serde_json::to_vec_pretty(report)?)
        .with_context(|| format!("{}", file.display()))?;
    Ok(file.display().to_string())
}

impl Machine {
    fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|total| total.trim_end_matches(" kB").parse::<u64>().ok())
                .unwrap_or(0)
                * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The value in `name : value`, of which there is one a line.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_the_programs_named_so() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["bench-store.rs", "bench-calls.rs", "other.rs"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(names(folder.path()).unwrap(), ["calls", "store"]);
        assert!(names(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn rows_keep_their_order_and_say_what_falls_short() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"id":"b","what":"call","unit":"µs","ours":12.5,"peer_name":"extism","peer":165,
                 "aim":20,"met":true},
                {"id":"a","what":"load","unit":"ms","ours":3,"peer_name":null,"peer":null,
                 "aim":1,"met":false}]"#,
        )
        .unwrap();
        let text = rows_table("plugins", &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].contains("12.5") && lines[2].ends_with("met"),
            "{text}"
        );
        assert!(lines[2].contains("165 (extism)"), "{text}");
        assert!(
            lines[3].trim_start().starts_with('a') && lines[3].ends_with("falls short"),
            "{text}"
        );
    }

    #[test]
    fn a_field_of_proc_is_read() {
        assert_eq!(
            field("MemTotal:  12 kB\nx: y", "MemTotal").as_deref(),
            Some("12 kB")
        );
        assert_eq!(field("a: b", "c"), None);
    }
}
