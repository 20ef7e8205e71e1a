//! What a host said, line by line, as it says it. It judges no line.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

/// Lines that a failure shows.
const SHOWN: usize = 60;

/// The lines of one host, over all its starts.
#[derive(Clone)]
pub(super) struct Log {
    lines: Arc<watch::Sender<Vec<String>>>,
    /// Pipes that are open.
    open: Arc<watch::Sender<usize>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            lines: Arc::new(watch::Sender::new(Vec::new())),
            open: Arc::new(watch::Sender::new(0)),
        }
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines.borrow().len()
    }

    /// Takes in what comes out of a pipe, until its end.
    pub(super) fn follow(&self, pipe: impl Read + Send + 'static) {
        let Self { lines, open } = self.clone();
        open.send_modify(|open| *open += 1);
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                lines.send_modify(|lines| lines.push(line));
            }
            open.send_modify(|open| *open -= 1);
        });
    }

    /// Waits until nothing can be said any more.
    pub(super) async fn silent(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// The first line after the first `from` of which `find` makes something.
    pub(super) async fn find<T>(&self, from: usize, find: impl Fn(&str) -> Option<T>) -> T {
        let mut lines = self.lines.subscribe();
        let mut looked = from;
        loop {
            {
                let lines = lines.borrow_and_update();
                for line in lines.iter().skip(looked) {
                    if let Some(found) = find(line) {
                        return found;
                    }
                }
                looked = looked.max(lines.len());
            }
            lines.changed().await.expect("the log outlives its readers");
        }
    }

    /// Waits for a line with `text` in it after the first `from`.
    pub(super) async fn said(&self, from: usize, text: &str, deadline: Duration) -> String {
        let found = self.find(from, |line| line.contains(text).then(|| line.to_owned()));
        match tokio::time::timeout(deadline, found).await {
            Ok(line) => line,
            Err(_) => panic!(
                "the host didn't say `{text}` within {deadline:?}\n{}",
                self.tail()
            ),
        }
    }

    /// Whether a line after the first `from` has `text` in it.
    pub(super) fn has(&self, from: usize, text: &str) -> bool {
        let lines = self.lines.borrow();
        lines.iter().skip(from).any(|line| line.contains(text))
    }

    /// The last lines, for a failure.
    pub(super) fn tail(&self) -> String {
        let lines = self.lines.borrow();
        let from = lines.len().saturating_sub(SHOWN);
        format!(
            "--- the host's last lines\n{}\n---",
            lines[from..].join("\n")
        )
    }
}
