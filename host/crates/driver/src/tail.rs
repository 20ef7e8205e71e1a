//! Reading what an agent prints while it prints it: by byte offset, bounded, from a file that
//! the agent owns and may have swapped for anything. It waits for nothing.

use crate::output::{From, Output, Told};
use pipeline::Level;
use std::path::{Path, PathBuf};
use workspace::{Folder, RelativePath, WorkspaceError};

/// The output of one run, and how far it was read.
#[derive(Debug)]
pub(crate) struct Tail {
    out: PathBuf,
    from: From,
    /// Bytes of the file that are behind us.
    read: u64,
    /// Up to here an earlier holder has told everything: it is read again for the agent's last
    /// message, and told no more.
    told_before: u64,
    /// The beginning of a line whose end isn't there yet.
    partial: Vec<u8>,
    /// Bytes of a line too long to keep, so far.
    skipped: u64,
    /// Lines and events that may still be told.
    budget: usize,
    pub(crate) output: Output,
}

/// Bytes that are read at once, and told as one piece: few enough for one call of the store.
const CHUNK: usize = 64 << 10;
/// Bytes of a line that is looked at.
const LINE: usize = 4 << 20;
/// Lines of one run that are told; and events.
const LINES: usize = 20_000;

impl Tail {
    pub(crate) fn new(out: &Path, from: From, told_before: u64) -> Self {
        Self {
            out: out.to_owned(),
            from,
            read: 0,
            told_before,
            partial: Vec::new(),
            skipped: 0,
            budget: LINES,
            output: Output::default(),
        }
    }

    /// Up to which byte all is told, once the store has what [`Tail::pump`] gave.
    pub(crate) fn offset(&self) -> u64 {
        (self.read - self.partial.len() as u64 - self.skipped).max(self.told_before)
    }

    /// Bytes that were read, told or not.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Reads one chunk; whether there may be more. A file that isn't there yet is empty.
    pub(crate) fn pump(&mut self, told: &mut Told) -> Result<bool, WorkspaceError> {
        let path = RelativePath::new("agent.jsonl")?;
        let chunk = match Folder::open(&self.out)?.read(&path, self.read, CHUNK) {
            Err(WorkspaceError::NotFound(_)) => Vec::new(),
            other => other?,
        };
        let more = chunk.len() == CHUNK;
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.read += piece.len() as u64;
            match piece.strip_suffix(b"\n") {
                None => self.keep(piece),
                Some(end) => {
                    self.keep(end);
                    self.end_of_line(told);
                }
            }
        }
        Ok(more)
    }

    /// The last line may have no end.
    pub(crate) fn finish(&mut self, told: &mut Told) {
        if !self.partial.is_empty() || self.skipped > 0 {
            self.end_of_line(told);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skipped > 0 || self.partial.len() + piece.len() > LINE {
            self.skipped += (self.partial.len() + piece.len()) as u64;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn end_of_line(&mut self, told: &mut Told) {
        let line = std::mem::take(&mut self.partial);
        let skipped = std::mem::take(&mut self.skipped);
        let mut news = Told::default();
        if skipped > 0 {
            let text = format!("a line of {skipped} bytes was left out");
            news.log(&self.from, Level::Warn, &text);
        } else {
            let line = String::from_utf8_lossy(&line);
            self.output.line(&line, &self.from, &mut news);
        }
        if self.budget == 0 {
            return;
        }
        let used = news.logs.len().max(news.events.len());
        self.budget = self.budget.saturating_sub(used);
        if self.budget == 0 {
            let text = format!("the agent printed more than {LINES} lines: the rest isn't logged");
            news.log(&self.from, Level::Warn, &text);
        }
        if self.read > self.told_before {
            told.events.append(&mut news.events);
            told.logs.append(&mut news.logs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn from() -> From {
        From {
            phase: "idea".into(),
            attempt: 1,
            task: "idea".into(),
            secrets: pipeline::Redactor::default(),
        }
    }

    fn pump(tail: &mut Tail) -> Vec<String> {
        let mut told = Told::default();
        while tail.pump(&mut told).unwrap() {}
        told.logs.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_line_is_told_once_also_by_a_holder_that_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut tail = Tail::new(dir.path(), from(), 0);
        assert!(pump(&mut tail).is_empty(), "no file yet");
        let mut file = std::fs::File::create(dir.path().join("agent.jsonl")).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(pump(&mut tail), ["one"]);
        assert_eq!(tail.offset(), 4);
        file.write_all(b"o\n{\"type\":\"result\",\"result\":\"done\"}\n")
            .unwrap();
        let mut later = Tail::new(dir.path(), from(), tail.offset());
        assert_eq!(pump(&mut later), ["two"]);
        let mut last = Tail::new(dir.path(), from(), later.offset());
        assert!(pump(&mut last).is_empty());
        assert_eq!(
            last.output.answer, "done",
            "what was told before is still known"
        );
    }

    #[test]
    fn a_line_past_its_limit_is_left_out_and_the_next_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![b'x'; LINE + 1];
        bytes.extend_from_slice(b"\nnext\nlast");
        std::fs::write(dir.path().join("agent.jsonl"), bytes).unwrap();
        let mut tail = Tail::new(dir.path(), from(), 0);
        assert_eq!(
            pump(&mut tail),
            ["a line of 4194305 bytes was left out", "next"]
        );
        let mut told = Told::default();
        tail.finish(&mut told);
        assert_eq!(told.logs[0].text, "last");
    }

    #[test]
    fn a_link_in_place_of_the_output_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("agent.jsonl")).unwrap();
        let mut tail = Tail::new(dir.path(), from(), 0);
        assert!(tail.pump(&mut Told::default()).is_err());
    }
}
