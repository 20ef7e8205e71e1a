//! `cargo xtask image worker|host`: builds an image on an engine that answers or is started
//! for it. What goes into the image its Dockerfile says, but for the program `gantry`, which
//! is compiled here: the machine's own cargo has what it needs already.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::clone;
use crate::parts::claude::Claude;
use crate::parts::docker::Docker;
use crate::parts::wasm::Wasm;
use crate::plugins;
use crate::term::say;

const HOST_IMAGE: &str = "gantry";

/// Of `cargo xtask image`.
#[derive(Args)]
pub(crate) struct Options {
    /// Which one
    image: Image,
}

#[derive(Clone, Copy, ValueEnum)]
enum Image {
    /// The agent's, `gantry-worker`, from worker/Dockerfile
    Worker,
    /// The host's, `gantry`, from host/Dockerfile
    Host,
}

/// `cargo xtask image`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let docker = Docker::find()?;
    docker.base_image()?;
    let built = match options.image {
        Image::Worker => docker.worker_image(Claude::find().ok().as_ref())?.version,
        Image::Host => {
            let plugins = plugins::build_built_in(&Wasm::find()?)?;
            let gantry = build_release()?;
            docker.host_image(HOST_IMAGE, &gantry, &plugins)?.version
        }
    };
    say(format_args!(
        "{built} on Docker Engine {}",
        docker.part.version
    ));
    Ok(ExitCode::SUCCESS)
}

fn build_release() -> Result<PathBuf> {
    let mut cargo = clone::cargo();
    cargo.args(["build", "--release", "--workspace", "--bin", "gantry"]);
    plugins::build_with("gantry in release", &mut cargo)?;
    Ok(clone::target()?.join("release/gantry"))
}
