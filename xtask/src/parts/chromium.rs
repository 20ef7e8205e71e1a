//! A browser for the tests of the page, and what drives it. It never starts the browser:
//! the tests do.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Missing, Part, apt, npm_install, version_of};
use crate::clone;
use crate::process::on_path;

const NAME: &str = "Chromium";
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];
const DRIVER: &str = "playwright-core";
const DRIVER_VERSION: &str = "1.65.1";

/// The browser.
pub(crate) struct Chromium {
    /// Its line in the table.
    pub(crate) part: Part,
    /// The program.
    pub(crate) program: PathBuf,
}

/// What drives the browser, from Node.
pub(crate) struct Playwright {
    /// Its line in the table.
    pub(crate) part: Part,
    /// The folder `node_modules` that holds it.
    pub(crate) modules: PathBuf,
}

impl Chromium {
    /// Finds a browser, or installs Debian's.
    pub(crate) fn find() -> Result<Self, Missing> {
        find().map_err(|why| Missing::new(NAME, format!("{why:#}"), apt::by_hand(&["chromium"])))
    }
}

impl Playwright {
    /// Finds the driver, or has npm bring it.
    pub(crate) fn find() -> Result<Self, Missing> {
        let found = clone::kept()
            .and_then(|kept| npm_install(&kept.join("node"), &[(DRIVER, DRIVER_VERSION)]))
            .map_err(|why| {
                Missing::new(
                    "Playwright",
                    format!("{why:#}"),
                    "apt-get install -y nodejs npm",
                )
            })?;
        let part = Part {
            name: "Playwright",
            version: DRIVER_VERSION.to_owned(),
            origin: format!("npm install {DRIVER}"),
        };
        Ok(Self {
            part,
            modules: found,
        })
    }
}

fn find() -> Result<Chromium> {
    let (program, origin) = match on_path(&NAMES) {
        Some(program) => (program, "installed"),
        None => {
            apt::install(&["chromium"])?;
            let program = on_path(&NAMES).context("the package chromium brought no browser")?;
            (program, "apt-get install chromium")
        }
    };
    let version = version_of(&program)?;
    Ok(Chromium {
        part: Part {
            name: NAME,
            version,
            origin: origin.to_owned(),
        },
        program,
    })
}
