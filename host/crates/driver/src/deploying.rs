//! Publishing: ask the plugin, lay the files out, reserve the slugs. Being published is a row,
//! and that row is the commit's; a crash anywhere here is done again without a trace.

use crate::hold::{Done, Holder};
use crate::steps::{blocking, broken, contradiction, is_full};
use deploy::{DeployError, Source};
use pipeline::{Boundary, FailureKind, FileEntry, Input, Job, Publication, SitePlan, StepError};
use plugin_runtime::Served;
use std::fs::File;
use workspace::{Folder, RelativePath, TreeLimits};

impl Holder<'_> {
    pub(crate) async fn deploy(&self, job: &Job) -> Done {
        let Some(spec) = &job.spec.deploy else {
            return contradiction();
        };
        let served = match self.resolve(&spec.plugin, job.deploy_plugin.as_ref()).await {
            Ok(served) => served,
            Err(done) => return done,
        };
        let called = served
            .deploy(self.context(job, "deploy", Vec::new()).await)
            .await;
        self.log(job, called.logs).await;
        self.record(job, &served, called.recording);
        let plans = match called.result {
            Err(error) => return self.failed(job, &served, "deploy", error).await,
            Ok(None) => {
                let message = format!("plugin `{}` exports no `deploy`", spec.plugin.name);
                let error = StepError::Fault(message);
                return self.failed(job, &served, "deploy", error).await;
            }
            Ok(Some(plans)) => plans,
        };
        let mut sites = Vec::with_capacity(plans.len());
        for (index, plan) in plans.into_iter().enumerate() {
            match self.publication(job, &served, index, plan).await {
                Ok(publication) => sites.push(publication),
                Err(done) => return done,
            }
        }
        Done::of(Input::Deployed {
            plugin: served.pin(),
            sites,
        })
    }

    async fn publication(
        &self,
        job: &Job,
        served: &Served,
        index: usize,
        plan: SitePlan,
    ) -> Result<Publication, Done> {
        let folder = self.lay_out(job, served, index, plan.clone()).await?;
        self.driver.at(Boundary::FilesLaidOut);
        let wanted = u32::try_from(index).unwrap_or(u32::MAX);
        match self
            .driver
            .parts
            .store
            .reserve_slug(&self.hold, &plan.slug, wanted)
            .await
        {
            Ok(Some(slug)) => {
                self.driver.at(Boundary::AddressReserved);
                Ok(Publication { slug, plan, folder })
            }
            // The commit that follows will find the lease gone, too.
            Ok(None) => Err(Done::broken(FailureKind::Interrupted, "the lease was lost")),
            Err(error) => {
                tracing::warn!(job.id = %job.id, %error, "a slug couldn't be reserved");
                Err(Done::broken(FailureKind::Interrupted, "the store was away"))
            }
        }
    }

    async fn lay_out(
        &self,
        job: &Job,
        served: &Served,
        index: usize,
        plan: SitePlan,
    ) -> Result<String, Done> {
        let workspace = self.workspace();
        let root = plan.root.clone();
        let folder = blocking(move || workspace.files()?.folder(&RelativePath::new(&root)?));
        let folder = match folder.await {
            Ok(folder) => folder,
            Err(error @ workspace::WorkspaceError::Io { .. }) => return Err(broken(&error)),
            Err(error) => {
                let message = format!("the folder to publish: {error}");
                return Err(self
                    .failed(job, served, "deploy", StepError::InvalidJob(message))
                    .await);
            }
        };
        let config = &self.driver.config;
        let (limits, trees) = (config.limits.clone(), config.trees.clone());
        let (sites, version) = (
            self.driver.parts.sites.clone(),
            (job.id, job.revision, index),
        );
        let laid_out = tokio::task::spawn_blocking(move || {
            sites.lay_out(version, &plan, &WorkspaceSource { folder, trees }, &limits)
        });
        match laid_out.await {
            Ok(Ok(folder)) => Ok(folder),
            Ok(Err(DeployError::Plan(message))) => Err(self
                .failed(job, served, "deploy", StepError::InvalidJob(message))
                .await),
            Ok(Err(DeployError::Folder(error))) if is_full(&error) => {
                Err(Done::broken(FailureKind::Engine, error.to_string()))
            }
            Ok(Err(error)) => Err(Done::broken(FailureKind::Internal, error.to_string())),
            Err(join) => Err(Done::broken(FailureKind::Internal, join.to_string())),
        }
    }
}

/// A folder of the workspace as a site's files.
struct WorkspaceSource {
    folder: Folder,
    trees: TreeLimits,
}

impl Source for WorkspaceSource {
    fn files(&self) -> Result<Vec<FileEntry>, String> {
        let root = RelativePath::new("").map_err(|error| error.to_string())?;
        self.folder
            .files(&root, &self.trees)
            .map_err(|error| error.to_string())
    }

    fn open(&self, path: &str) -> Result<File, String> {
        let path = RelativePath::new(path).map_err(|error| error.to_string())?;
        self.folder
            .file(&path)
            .map(|(file, _)| file)
            .map_err(|error| error.to_string())
    }
}
