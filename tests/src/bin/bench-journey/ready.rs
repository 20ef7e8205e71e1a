//! How long a host takes to serve, with ten plugins whose compiled code is there already. The
//! first start, which compiles, isn't measured.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::bench::{Row, Times, place, say};
use tests::harness::{DEADLINE, Host, Setup};

const STARTS: usize = 40;
const WARM_UP: usize = 3;
const READY: &str = "gantry: ready on http://";
const BUILT_IN: usize = 5;
/// What the ten are made of, and of each how many.
const MADE_OF: [(&str, usize); 3] = [("build", 4), ("design", 4), ("static-site", 2)];
/// Those of each start: ten, and the built-in ones.
const PLUGINS: usize = 10 + BUILT_IN;
const ASK_AGAIN: Duration = Duration::from_millis(1);

pub(crate) async fn start() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let plugins = ten_plugins(folder.path());
    let mut setup = Setup::demo();
    for (name, path) in &plugins {
        setup = setup.plugin(&format!("{name}.wasm"), path);
    }
    let mut host = Host::start(setup).await;
    // What was just copied has to settle first.
    let all = |listed: &Value| {
        let items = listed["items"].as_array().unwrap();
        let serves = |name| {
            items
                .iter()
                .any(|it| it["name"] == name && it["state"] == "serving")
        };
        plugins.iter().all(|(name, _)| serves(name.as_str()))
    };
    host.client().until("/api/plugins", all).await;
    host.terminate().await;
    let (mut lines, mut ready) = (Vec::new(), Vec::new());
    for start in 0..WARM_UP + STARTS {
        let (line, whole) = one_start(&host);
        if start >= WARM_UP {
            lines.push(line);
            ready.push(whole);
        }
    }
    let (lines, ready) = (Times::new(lines), Times::new(ready));
    say(format_args!("the line: {lines}"));
    say(format_args!("/readyz: {ready}"));
    let what = format!(
        "host ready (/readyz), ten plugins in PLUGIN_DIR and the built-in ones, compiled before, \
         p50 of {STARTS}"
    );
    vec![
        Row::new("ready", what, "ms", ready.ms(50)).at_most(300.0),
        Row::new("ready-p99", "the same, p99", "ms", ready.ms(99)),
        Row::new(
            "ready-line",
            "until it says that it is ready, p50",
            "ms",
            lines.ms(50),
        ),
    ]
}

/// Copies of built-in plugins under names of their own: real ones, of real sizes.
fn ten_plugins(folder: &Path) -> Vec<(String, PathBuf)> {
    let built_in = place("GANTRY_TEST_PLUGINS").expect("`cargo xtask bench` names the plugins");
    let mut plugins = Vec::new();
    for (name, copies) in MADE_OF {
        let bytes = fs::read(Path::new(&built_in).join(format!("{name}.wasm"))).unwrap();
        for last in 1..=copies {
            let new = format!("{}{last}", &name[..name.len() - 1]);
            let path = folder.join(&new);
            fs::write(&path, renamed(&bytes, name.as_bytes(), new.as_bytes())).unwrap();
            plugins.push((new, path));
        }
    }
    plugins
}

/// Another name of the same length, wherever it stands. (A name of four bytes or eight may be a
/// number in the code instead.)
fn renamed(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let last = bytes.len().saturating_sub(old.len());
    for at in 0..=last {
        if bytes[at..].starts_with(old) {
            bytes[at..at + old.len()].copy_from_slice(new);
        }
    }
    bytes
}

/// A start that ends again: to its line, and to when it says that it can serve.
fn one_start(host: &Host) -> (Duration, Duration) {
    let mut command: Command = host.command();
    command.arg("serve").env("PORT", "0");
    let mut log = tempfile::tempfile().unwrap();
    command.stdout(Stdio::piped());
    command.stderr(log.try_clone().unwrap());
    let begin = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            panic!("the host ended: {:?}", child.wait());
        }
        if let Some(address) = line.trim_end().strip_prefix(READY) {
            break address.to_owned();
        }
    };
    let said = begin.elapsed();
    while !is_ready(&address) {
        assert!(begin.elapsed() < DEADLINE, "the host isn't ready in time");
        std::thread::sleep(ASK_AGAIN);
    }
    let ready = begin.elapsed();
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    let loaded = text.matches("plugin loaded").count();
    assert_eq!(loaded, PLUGINS, "it serves before it has them: {text}");
    end(child);
    (said, ready)
}

fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn end(mut child: Child) {
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    child.wait().unwrap();
}
