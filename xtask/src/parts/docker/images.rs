//! The images: Debian's base, pulled or made from packages, and the agent's, built again
//! only when `worker/` has changed. What is in the agent's image its Dockerfile says.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{BASE_IMAGE, Docker, WORKER_IMAGE};
use crate::clone;
use crate::parts::claude::Claude;
use crate::parts::{INSTALL_LIMIT, Missing, Part, USUAL_WAY_LIMIT, apt};
use crate::process::{capture, check, on_path, quiet, shown};
use crate::term::{is_terminal, say};

const SUITE: &str = "bookworm";
const INSPECT_LIMIT: Duration = Duration::from_secs(20);
const IMPORT_LIMIT: Duration = Duration::from_secs(300);
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

impl Docker {
    /// Sees to it that the base image is there.
    pub(crate) fn base_image(&self) -> Result<Part, Missing> {
        self.find_base().map_err(|why| {
            Missing::new(
                "base image",
                format!("{why:#}"),
                format!("docker pull {BASE_IMAGE}"),
            )
        })
    }

    /// Sees to it that the agent's image is there, as `worker/` is now. With the CLI at hand
    /// the build needn't fetch it again.
    pub(crate) fn worker_image(&self, claude: Option<&Claude>) -> Result<Part, Missing> {
        self.find_worker(claude).map_err(|why| {
            let mend = format!("docker build -t {WORKER_IMAGE} worker");
            Missing::new("worker image", format!("{why:#}"), mend)
        })
    }

    /// Builds an image from a Dockerfile; `options` are more of `docker build`'s.
    pub(super) fn build(
        &self,
        tags: &[&str],
        dockerfile: &Path,
        context: &Path,
        options: &[&str],
    ) -> Result<()> {
        if !dockerfile.is_file() {
            bail!("there is no {}", dockerfile.display());
        }
        let mut docker = self.command();
        docker.arg("build").args(options).arg("-f").arg(dockerfile);
        for tag in tags {
            docker.args(["-t", tag]);
        }
        docker.arg(context);
        if is_terminal() {
            shown(&mut docker, BUILD_LIMIT)
        } else {
            quiet(&mut docker, BUILD_LIMIT)
        }
    }

    fn find_base(&self) -> Result<Part> {
        let kept = made_base()?;
        let origin = if self.image(BASE_IMAGE).is_some() {
            "was there"
        } else if kept.is_file() {
            self.import(&kept)?;
            "imported, made before"
        } else {
            self.pull_or_make(&kept)?
        };
        let id = self
            .image(BASE_IMAGE)
            .context("it was made and isn't there")?;
        Ok(Part {
            name: "base image",
            version: format!("{BASE_IMAGE} {id}"),
            origin: origin.to_owned(),
        })
    }

    fn pull_or_make(&self, kept: &Path) -> Result<&'static str> {
        say(format_args!("pulling {BASE_IMAGE}"));
        let Err(why) = quiet(self.command().args(["pull", BASE_IMAGE]), USUAL_WAY_LIMIT) else {
            return Ok("docker pull");
        };
        check()?;
        if !apt::is_root() || on_path(&["apt-get"]).is_none() {
            return Err(why);
        }
        make_root(kept)?;
        self.import(kept)?;
        Ok("mmdebstrap")
    }

    fn import(&self, root: &Path) -> Result<()> {
        quiet(
            self.command().arg("import").arg(root).arg(BASE_IMAGE),
            IMPORT_LIMIT,
        )
    }

    fn find_worker(&self, claude: Option<&Claude>) -> Result<Part> {
        let folder = clone::root().join("worker");
        let digest = digest_of(&folder)?;
        let tag = format!("{WORKER_IMAGE}:{}", &digest[..16]);
        let latest = format!("{WORKER_IMAGE}:latest");
        let origin = if self.image(&tag).is_some() {
            quiet(self.command().args(["tag", &tag, &latest]), INSPECT_LIMIT)?;
            "was there"
        } else {
            say(format_args!("building {WORKER_IMAGE}"));
            self.build_worker(&folder, &[&tag, &latest], claude)?
        };
        Ok(Part {
            name: "worker image",
            version: tag,
            origin: origin.to_owned(),
        })
    }

    fn build_worker(
        &self,
        folder: &Path,
        tags: &[&str],
        claude: Option<&Claude>,
    ) -> Result<&'static str> {
        // Another machine's engine may be of another kind than the program here.
        if let Some(program) = claude.and_then(Claude::linux_program)
            && self.host.starts_with("unix://")
        {
            let context = with_program(folder, &program)?;
            if self
                .build(
                    tags,
                    &context.path().join("Dockerfile"),
                    context.path(),
                    &[],
                )
                .is_ok()
            {
                return Ok("docker build worker, with the CLI at hand");
            }
            check()?;
        }
        self.build(tags, &folder.join("Dockerfile"), folder, &[])?;
        Ok("docker build worker")
    }

    /// The short id of an image, where the engine has it.
    pub(super) fn image(&self, name: &str) -> Option<String> {
        let mut docker = self.command();
        docker.args(["image", "inspect", "--format", "{{.Id}}", name]);
        let id = capture(&mut docker, INSPECT_LIMIT).ok()?;
        Some(
            id.trim()
                .trim_start_matches("sha256:")
                .chars()
                .take(12)
                .collect(),
        )
    }
}

/// Where the base is kept that was made here: there was no registry to pull it from.
pub(super) fn made_base() -> Result<PathBuf> {
    Ok(clone::kept()?.join(format!("debian-{SUITE}.tar")))
}

/// A root file system of Debian's packages, from the mirror that this machine uses.
fn make_root(kept: &Path) -> Result<()> {
    if on_path(&["mmdebstrap"]).is_none() {
        apt::install(&["mmdebstrap"])?;
    }
    say(format_args!("making {BASE_IMAGE} with mmdebstrap"));
    let mirror = apt::mirror(SUITE)?;
    // By rename, so that a run that was stopped leaves no half of one.
    let half = kept.with_extension("half.tar");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--variant=minbase", "--include=ca-certificates", SUITE]);
    quiet(mmdebstrap.arg(&half).arg(mirror), INSTALL_LIMIT)?;
    fs::rename(&half, kept).with_context(|| format!("{}", kept.display()))
}

/// A copy of `worker/` with the CLI in it as `claude`, which its Dockerfile takes if it's there.
fn with_program(worker: &Path, program: &Path) -> Result<TempDir> {
    let context = tempfile::Builder::new()
        .prefix("worker-")
        .tempdir_in(clone::kept()?)?;
    let mut files = Vec::new();
    collect(worker, &mut files)?;
    for file in files {
        let copy = context.path().join(file.strip_prefix(worker)?);
        fs::create_dir_all(copy.parent().unwrap_or(context.path()))?;
        fs::copy(&file, &copy).with_context(|| format!("{}", file.display()))?;
    }
    let copy = context.path().join("claude");
    if fs::hard_link(program, &copy).is_err() {
        fs::copy(program, &copy).with_context(|| format!("{}", program.display()))?;
    }
    Ok(context)
}

/// A digest of every file below `folder`: its path, whether it can be run, its bytes.
fn digest_of(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("{}", file.display()))?;
        let runs = fs::metadata(&file)?.permissions().mode() & 0o111 != 0;
        let path: OsString = file.strip_prefix(folder)?.as_os_str().to_owned();
        digest.update(path.as_encoded_bytes());
        digest.update([0, u8::from(runs)]);
        digest.update(u64::try_from(bytes.len())?.to_le_bytes());
        digest.update(bytes);
    }
    Ok(hex::encode(digest.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_changes_with_a_path_a_mode_and_a_byte() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/one"), "1").unwrap();
        let first = digest_of(root).unwrap();
        assert_eq!(first, digest_of(root).unwrap());

        fs::set_permissions(root.join("a/one"), fs::Permissions::from_mode(0o755)).unwrap();
        let runs = digest_of(root).unwrap();
        fs::write(root.join("a/one"), "2").unwrap();
        let bytes = digest_of(root).unwrap();
        fs::rename(root.join("a/one"), root.join("one")).unwrap();
        let path = digest_of(root).unwrap();
        let all = std::collections::BTreeSet::from([first, runs, bytes, path]);
        assert_eq!(all.len(), 4);
    }
}
