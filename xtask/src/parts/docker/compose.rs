//! Docker Compose, and the images that docker-compose.yml names: pulled, or stand-ins from
//! Debian's packages where there is no registry. It starts none of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Docker;
use super::images::made_base;
use crate::clone;
use crate::parts::{INSTALL_LIMIT, Missing, Part, USUAL_WAY_LIMIT, VERSION_LIMIT, apt};
use crate::process::{capture, check, on_path, quiet};
use crate::term::say;

const NAME: &str = "Docker Compose";
/// The first release of Debian that has version 2; its file runs on the one before as well.
const SUITE: &str = "trixie";
const PACKAGE: &str = "docker-compose";
const INSIDE: &str = "usr/libexec/docker/cli-plugins/docker-compose";

/// The host's image that the test of Compose runs, and the agent's.
pub(crate) const HOST_IMAGE: &str = "gantry:test";
const AGENT_IMAGE: &str = "gantry-agent:test";
/// Whatever else docker-compose.yml names, and the stand-ins below tests/compose.
const OTHERS: [(&str, &str); 2] = [
    ("postgres:16-alpine", "postgres"),
    ("nginx:1.28-alpine", "nginx"),
];

/// Compose, version 2.
pub(crate) struct Compose {
    /// Its line in the table.
    pub(crate) part: Part,
    /// `docker`, which has it as `docker compose`; or the program itself.
    pub(crate) program: PathBuf,
}

impl Compose {
    /// Finds it, or fetches it.
    pub(crate) fn find() -> Result<Self, Missing> {
        find_or_fetch().map_err(|why| {
            let mend = apt::by_hand(&["docker-compose-plugin"]);
            Missing::new(NAME, format!("{why:#}"), mend)
        })
    }
}

impl Docker {
    /// Sees to it that every image of docker-compose.yml is there, but for those that this
    /// clone builds; and the agent's that the test has in the place of Claude Code.
    pub(crate) fn compose_images(&self) -> Result<Part, Missing> {
        self.get_images().map_err(|why| {
            let mend = format!("docker pull {} && docker pull {}", OTHERS[0].0, OTHERS[1].0);
            Missing::new("Compose's images", format!("{why:#}"), mend)
        })
    }

    fn get_images(&self) -> Result<Part> {
        let folder = clone::root().join("tests/compose");
        let mut origins = Vec::new();
        for (image, name) in OTHERS {
            let origin = self.get_image(image, &folder.join(name))?;
            origins.push(format!("{name} {origin}"));
        }
        let agent = folder.join("agent");
        let host = format!("HOST={HOST_IMAGE}");
        let options = ["--build-arg", host.as_str()];
        self.build(&[AGENT_IMAGE], &agent.join("Dockerfile"), &agent, &options)?;
        Ok(Part {
            name: "Compose's images",
            version: OTHERS.map(|(image, _)| image).join(", "),
            origin: origins.join(", "),
        })
    }

    fn get_image(&self, image: &str, stand_in: &Path) -> Result<&'static str> {
        if self.image(image).is_some() {
            return Ok("was there");
        }
        if !made_base()?.is_file() {
            say(format_args!("pulling {image}"));
            if quiet(self.command().args(["pull", image]), USUAL_WAY_LIMIT).is_ok() {
                return Ok("pulled");
            }
            check()?;
        }
        say(format_args!("building a stand-in for {image}"));
        self.build(&[image], &stand_in.join("Dockerfile"), stand_in, &[])?;
        Ok("stand-in")
    }
}

fn find_or_fetch() -> Result<Compose> {
    if let Some(docker) = on_path(&["docker"])
        && let Some(found) = answering(docker, "installed")
    {
        return Ok(found);
    }
    // Version 1 has the same name.
    if let Some(program) = on_path(&[PACKAGE])
        && let Some(found) = answering(program, "installed")
    {
        return Ok(found);
    }
    check()?;
    let program = clone::kept()?.join(PACKAGE);
    if let Some(found) = answering(program.clone(), "fetched before") {
        return Ok(found);
    }
    fetch(&program)?;
    answering(program, "Debian's trixie").context("it was fetched and doesn't say its version")
}

/// Compose at `program`, where that has version 2 or later.
fn answering(program: PathBuf, origin: &str) -> Option<Compose> {
    let mut command = Command::new(&program);
    if program.ends_with("docker") {
        command.arg("compose");
    }
    let said = capture(command.args(["version", "--short"]), VERSION_LIMIT).ok()?;
    let version = said.trim().trim_start_matches('v').to_owned();
    let major: u32 = version.split('.').next()?.parse().ok()?;
    let part = Part {
        name: NAME,
        version,
        origin: origin.to_owned(),
    };
    (major >= 2).then_some(Compose { part, program })
}

fn fetch(program: &Path) -> Result<()> {
    let wanted = ["apt-get", "dpkg"];
    if let Some(missing) = wanted.iter().find(|name| on_path(&[name]).is_none()) {
        bail!("`docker compose` isn't there, and this machine has no {missing} to fetch it");
    }
    let folder = tempfile::Builder::new()
        .prefix("compose-")
        .tempdir_in(clone::kept()?)?;
    apt::download(SUITE, &[PACKAGE], folder.path())?;
    let packages = fs::read_dir(folder.path())?.flatten();
    let deb = packages
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "deb"))
        .context("apt-get download left no package")?;
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("-x").arg(deb).arg(folder.path().join("root"));
    quiet(&mut dpkg, INSTALL_LIMIT)?;
    fs::rename(folder.path().join("root").join(INSIDE), program)
        .with_context(|| format!("{}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_are_those_of_the_compose_file() {
        let file = include_str!("../../../../docker-compose.yml");
        for (image, folder) in OTHERS {
            assert!(file.contains(&format!("image: {image}\n")), "{image}");
            let stand_in = clone::root().join("tests/compose").join(folder);
            assert!(stand_in.join("Dockerfile").is_file(), "{folder}");
        }
        let named = file
            .lines()
            .filter(|line| line.trim().starts_with("image: "));
        let of_others = named.filter(|line| !line.contains("${"));
        assert_eq!(of_others.count(), OTHERS.len());
    }
}
