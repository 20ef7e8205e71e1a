//! `gantry reap --dry-run`: what hosts of this installation would clear away now, and why. It can
//! be asked beside a host that runs, and removes nothing: hosts do that by themselves.

use crate::cli::{Reap, Role};
use crate::{parts, show};
use anyhow::{Result, bail};
use driver::Survey;
use pipeline::Boundaries;
use serde_json::json;
use std::process::ExitCode;

pub(crate) async fn reap(args: &Reap) -> Result<ExitCode> {
    if !args.dry_run {
        bail!("hosts clear up by themselves: --dry-run says what they would remove now");
    }
    let settings = super::settings(&args.settings)?;
    for (name, dir) in [
        ("WORKSPACE_PATH", &settings.workspaces.here),
        ("DEPLOY_DIR", &settings.deploy_dir.here),
    ] {
        if !dir.is_dir() {
            bail!("{name}={} isn't there: has a host run here?", dir.display());
        }
    }
    let stores = parts::store(&settings, Role::All).await?;
    let installation = stores.driver.installation().await?;
    let survey = Survey {
        runner: parts::agent(&settings, &installation, &Boundaries::default())?.runner,
        store: stores.driver,
        ended: stores.retention,
        root: workspace::Root::open(&settings.workspaces.here, &parts::fresh_root(&installation))?,
        sites: deploy::Sites::open(&settings.deploy_dir.here)?,
        run_dir: settings.run_dir.here.clone(),
        orphan_age: settings.knobs.orphan_age,
        retention: settings.retention.clone(),
    };
    let doomed = survey.doomed().await.map_err(anyhow::Error::msg)?;
    let answer = json!({ "items": doomed });
    show::answer(args.json, &answer, show::doomed)?;
    Ok(ExitCode::SUCCESS)
}
