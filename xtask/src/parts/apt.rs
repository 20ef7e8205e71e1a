//! Debian's packages, and the mirror that this machine takes them from. It never names a
//! mirror by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::INSTALL_LIMIT;
use crate::clone;
use crate::process::{on_path, quiet};
use crate::term::say;

const UPDATE_LIMIT: Duration = Duration::from_secs(300);

/// The command that somebody would type to install `packages`.
pub(super) fn by_hand(packages: &[&str]) -> String {
    let sudo = if is_root() { "" } else { "sudo " };
    format!(
        "{sudo}apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Installs `packages`, with new package lists only where the ones at hand don't do.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if on_path(&["apt-get"]).is_none() {
        bail!("this machine has no apt-get");
    }
    if !is_root() {
        bail!("only root may install packages");
    }
    let _lock = clone::lock(Path::new("/run/gantry-xtask-apt.lock"), "apt")?;
    say(format_args!(
        "installing {} with apt-get",
        packages.join(", ")
    ));
    if quiet(&mut install_command(packages), INSTALL_LIMIT).is_ok() {
        return Ok(());
    }
    quiet(apt_get().arg("update"), UPDATE_LIMIT)?;
    quiet(&mut install_command(packages), INSTALL_LIMIT)
}

/// Fetches packages of another release into `folder`, as files; apt checks their signatures.
/// Nothing is installed, and what apt knows of this machine's own release stays as it is.
pub(super) fn download(suite: &str, packages: &[&str], folder: &Path) -> Result<()> {
    let mirror = mirror(suite).or_else(|_| mirror("bookworm"))?;
    say(format_args!(
        "fetching {} of Debian's {suite}",
        packages.join(", ")
    ));
    let lists = folder.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    let sources = folder.join("suite.list");
    fs::write(&sources, format!("deb {mirror} {suite} main\n"))?;
    let apt_get = || {
        let mut command = apt_get();
        for (name, value) in [
            ("Dir::Etc::sourcelist", sources.as_path()),
            ("Dir::Etc::sourceparts", Path::new("/dev/null")),
            ("Dir::State::lists", lists.as_path()),
            ("Dir::Cache::pkgcache", Path::new("")),
            ("Dir::Cache::srcpkgcache", Path::new("")),
            // Its own user may not write into this folder.
            ("APT::Sandbox::User", Path::new("root")),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command.current_dir(folder);
        command
    };
    quiet(apt_get().arg("update"), UPDATE_LIMIT)?;
    quiet(apt_get().arg("download").args(packages), INSTALL_LIMIT)
}

/// Whether this program runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The address that apt takes `suite` from on this machine.
pub(super) fn mirror(suite: &str) -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            match file.extension()?.to_str()? {
                "sources" => from_deb822(&text, suite),
                "list" => from_list(&text, suite),
                _ => None,
            }
        })
        .next()
        .with_context(|| format!("apt's sources name no mirror that has {suite}"))
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get();
    command
        .args(["install", "-y", "--no-install-recommends"])
        .args(packages);
    command
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

/// `Types: deb`, `URIs: …`, `Suites: …`: stanzas with a blank line between them.
fn from_deb822(text: &str, suite: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let has =
            |name, word| field(name).is_some_and(|it| it.split_whitespace().any(|w| w == word));
        if field("Enabled") == Some("no") || !has("Types", "deb") || !has("Suites", suite) {
            return None;
        }
        field("URIs")?
            .split_whitespace()
            .find(|uri| is_http(uri))
            .map(str::to_owned)
    })
}

/// `deb [options] URI SUITE COMPONENT…`, one a line.
fn from_list(text: &str, suite: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let uri = words.next().filter(|uri| is_http(uri))?;
        (words.next()? == suite).then(|| uri.to_owned())
    })
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "\
Types: deb
# a comment
URIs: http://one.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://one.example/debian-security
Suites: bookworm-security
Components: main
";

    #[test]
    fn a_stanza_is_taken_for_its_own_suite_only() {
        let found = |suite| from_deb822(SOURCES, suite);
        assert_eq!(
            found("bookworm").as_deref(),
            Some("http://one.example/debian")
        );
        assert_eq!(
            found("bookworm-security").as_deref(),
            Some("http://one.example/debian-security")
        );
        assert_eq!(found("trixie"), None);
    }

    #[test]
    fn a_stanza_that_is_off_or_for_sources_is_passed_over() {
        let off = SOURCES.replace("Components", "Enabled: no\nComponents");
        assert_eq!(from_deb822(&off, "bookworm"), None);
        let sources = SOURCES.replace("Types: deb", "Types: deb-src");
        assert_eq!(from_deb822(&sources, "bookworm"), None);
    }

    #[test]
    fn the_old_form_is_read_with_and_without_options() {
        let text = "# deb http://no.example/debian bookworm main\n\
                    deb-src http://no.example/debian bookworm main\n\
                    deb cdrom:[x]/ bookworm main\n\
                    deb [arch=amd64 signed-by=/k] https://two.example/debian bookworm main\n";
        assert_eq!(
            from_list(text, "bookworm").as_deref(),
            Some("https://two.example/debian")
        );
        assert_eq!(
            from_list("deb http://three.example/debian trixie main", "trixie").as_deref(),
            Some("http://three.example/debian")
        );
        assert_eq!(from_list(text, "trixie"), None);
    }
}
