//! Extism, as a process of its own that does calls on request. It judges no figure.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tests::bench::{place, say};

/// `tests/peers/extism`, as a process of its own.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// With what its guest made of the job; none where it wasn't built.
    pub(crate) fn start(job: &str) -> Option<(Self, String)> {
        let (Some(peers), Some(foreign)) =
            (place("GANTRY_TEST_PEERS"), place("GANTRY_TEST_FOREIGN"))
        else {
            say("GANTRY_TEST_PEERS or GANTRY_TEST_FOREIGN names no folder: no peer is measured");
            return None;
        };
        let mut child = Command::new(Path::new(&peers).join("extism-peer"))
            .arg(Path::new(&foreign).join("idea-extism.wasm"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self {
            child,
            stdin,
            lines,
        };
        let answer = peer.ask(job);
        Some((peer, answer))
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").unwrap();
        self.lines.next().expect("the peer answers").unwrap()
    }

    pub(crate) fn round(&mut self, how: &str, calls: usize) -> Vec<Duration> {
        let times: Vec<u64> = serde_json::from_str(&self.ask(&format!("{how} {calls}"))).unwrap();
        times.into_iter().map(Duration::from_nanos).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
