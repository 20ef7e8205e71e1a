//! The host's image, from a program and plugins that were built here, on the system that
//! host/Dockerfile describes. It compiles nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{BASE_IMAGE, Docker};
use crate::clone;
use crate::parts::{Missing, Part, VERSION_LIMIT};
use crate::process::{capture, on_path, quiet};
use crate::term::say;

const SYSTEM_IMAGE: &str = "gantry-system";
const STRIP_LIMIT: Duration = Duration::from_secs(60);
/// What host/Dockerfile's last stage does, with files that are there.
const DOCKERFILE: &str = "FROM gantry-system\n\
    COPY plugins /usr/local/share/gantry/plugins\n\
    COPY gantry /usr/local/bin/gantry\n";

impl Docker {
    /// Builds the host's image as `tag`. The base image must be there.
    pub(crate) fn host_image(
        &self,
        tag: &str,
        gantry: &Path,
        plugins: &Path,
    ) -> Result<Part, Missing> {
        self.build_host(tag, gantry, plugins).map_err(|why| {
            let mend = format!("docker build -t {tag} -f host/Dockerfile .");
            Missing::new("host image", format!("{why:#}"), mend)
        })
    }

    fn build_host(&self, tag: &str, gantry: &Path, plugins: &Path) -> Result<Part> {
        // Without it a build would try to pull it again, for a long time.
        self.image(BASE_IMAGE)
            .with_context(|| format!("there is no {BASE_IMAGE}"))?;
        say(format_args!("building {tag}"));
        let context = tempfile::Builder::new()
            .prefix("host-image-")
            .tempdir_in(clone::kept()?)?;
        let dockerfile = clone::root().join("host/Dockerfile");
        let only = ["--target", "system"];
        self.build(&[SYSTEM_IMAGE], &dockerfile, context.path(), &only)?;

        copy_stripped(gantry, &context.path().join("gantry"))?;
        copy_plugins(plugins, &context.path().join("plugins"))?;
        let dockerfile = context.path().join("Dockerfile");
        fs::write(&dockerfile, DOCKERFILE)?;
        self.build(&[tag], &dockerfile, context.path(), &[])?;

        let mut version = self.command();
        version.args(["run", "--rm", "--network=none", tag, "--version"]);
        let version = capture(&mut version, VERSION_LIMIT)
            .context("a program that was built here doesn't run on the image's Debian")?;
        Ok(Part {
            name: "host image",
            version: format!("{tag}, {}", version.trim()),
            origin: "docker build, with the program built here".to_owned(),
        })
    }
}

/// Names of symbols are most of a debug build, and of no use in an image.
fn copy_stripped(program: &Path, copy: &Path) -> Result<()> {
    let stripped = on_path(&["strip"]).is_some_and(|strip| {
        let mut strip = Command::new(strip);
        strip.arg("--strip-debug").arg("-o").arg(copy).arg(program);
        quiet(&mut strip, STRIP_LIMIT).is_ok()
    });
    if !stripped {
        fs::copy(program, copy).with_context(|| format!("{}", program.display()))?;
    }
    Ok(())
}

fn copy_plugins(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let path = entry?.path();
        if let (Some("wasm"), Some(name)) = (
            path.extension().and_then(|extension| extension.to_str()),
            path.file_name(),
        ) {
            fs::copy(&path, to.join(name)).with_context(|| format!("{}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_by_hand_is_what_the_dockerfile_copies() {
        let dockerfile = include_str!("../../../../host/Dockerfile");
        for line in DOCKERFILE.lines().skip(1) {
            let (_, place) = line.rsplit_once(' ').unwrap();
            let copies = |line: &str| line.starts_with("COPY --from=") && line.ends_with(place);
            assert!(dockerfile.lines().any(copies), "{place}");
        }
    }

    #[test]
    fn only_plugins_are_copied() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "b.txt", "c"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let copy = folder.path().join("copy");
        copy_plugins(folder.path(), &copy).unwrap();
        let names: Vec<_> = fs::read_dir(copy)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.wasm"]);
    }
}
