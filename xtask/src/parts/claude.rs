//! The Claude Code CLI, in the version that the worker's Dockerfile pins, for the tests
//! that run it outside of a container. It is never redistributed: npm brings it.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{Missing, Part, npm_install, version_of};
use crate::clone;
use crate::process::on_path;

const NAME: &str = "Claude Code";
const PACKAGE: &str = "@anthropic-ai/claude-code";
const PIN: &str = "CLAUDE_CODE_VERSION";

/// The CLI.
pub(crate) struct Claude {
    /// Its line in the table.
    pub(crate) part: Part,
    /// The program.
    pub(crate) program: PathBuf,
}

impl Claude {
    /// Finds the pinned version, or has npm bring it.
    pub(crate) fn find() -> Result<Self, Missing> {
        let wanted = pinned();
        let mend = match &wanted {
            Ok(version) => format!("npm install -g {PACKAGE}@{version}"),
            Err(_) => format!("write `ARG {PIN}=VERSION` into worker/Dockerfile"),
        };
        wanted
            .and_then(|version| find(&version))
            .map_err(|why| Missing::new(NAME, format!("{why:#}"), mend))
    }

    /// The program itself, behind npm's links, where it is one that Linux runs.
    pub(crate) fn linux_program(&self) -> Option<PathBuf> {
        let program = fs::canonicalize(&self.program).ok()?;
        let mut magic = [0; 4];
        File::open(&program).ok()?.read_exact(&mut magic).ok()?;
        (magic == *b"\x7fELF").then_some(program)
    }
}

fn find(wanted: &str) -> Result<Claude> {
    let is_wanted = |said: &str| said.split_whitespace().next() == Some(wanted);
    if let Some(program) = on_path(&["claude"])
        && let Ok(version) = version_of(&program)
        && is_wanted(&version)
    {
        let origin = "installed".to_owned();
        return Ok(Claude {
            part: Part {
                name: NAME,
                version,
                origin,
            },
            program,
        });
    }
    let modules = npm_install(&clone::kept()?.join("claude"), &[(PACKAGE, wanted)])?;
    let program = modules.join(".bin/claude");
    let version = version_of(&program)?;
    if !is_wanted(&version) {
        bail!("npm brought {version} in place of {wanted}");
    }
    Ok(Claude {
        part: Part {
            name: NAME,
            version,
            origin: format!("npm install {PACKAGE}"),
        },
        program,
    })
}

fn pinned() -> Result<String> {
    let file = clone::root().join("worker/Dockerfile");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    pin(&text).with_context(|| format!("{} sets no {PIN}", file.display()))
}

/// The value in `ARG CLAUDE_CODE_VERSION=…` or `ENV …`.
fn pin(dockerfile: &str) -> Option<String> {
    dockerfile.lines().find_map(|line| {
        let (instruction, rest) = line.trim().split_once(char::is_whitespace)?;
        if !matches!(instruction, "ARG" | "ENV") {
            return None;
        }
        let value = rest.trim().strip_prefix(PIN)?.strip_prefix('=')?;
        let value = value.split_whitespace().next()?.trim_matches('"');
        (!value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_read_from_where_it_is_set() {
        let text = "FROM debian\nARG CLAUDE_CODE_VERSION\n# ARG CLAUDE_CODE_VERSION=0\n\
                    ARG CLAUDE_CODE_VERSION=2.1.330\nRUN x CLAUDE_CODE_VERSION=3";
        assert_eq!(pin(text).as_deref(), Some("2.1.330"));
        assert_eq!(
            pin("ENV CLAUDE_CODE_VERSION=\"2.0.0\" A=1").as_deref(),
            Some("2.0.0")
        );
        assert_eq!(pin("ARG CLAUDE_CODE_VERSION_TWO=1"), None);
    }
}
