//! Where workspaces are: one root a host, one folder a job. What a job's files mean is not
//! known here.

use crate::remove::remove_all;
use crate::{Folder, WorkspaceError};
use pipeline::{JobId, RootId};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who owns the files that an agent works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A folder that holds the workspaces of many jobs.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    id: RootId,
}

/// One job's workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    dir: PathBuf,
    owner: Option<Owner>,
}

const ID_FILE: &str = ".gantry-root";
/// Before a job's id: a workspace that is being removed.
const ASIDE: &str = ".gone-";

impl Root {
    /// Opens a root, and makes it where it isn't there. Its id is kept in it, so that every
    /// host that mounts the folder knows it by the same one; `fresh` is used for a new root.
    ///
    /// # Errors
    /// Where the folder can't be made or written.
    pub fn open(path: &Path, fresh: &str) -> Result<Self, WorkspaceError> {
        let shown = path.display().to_string();
        let io = WorkspaceError::io(&shown);
        make_private(path).map_err(&io)?;
        let file = path.join(ID_FILE);
        let created = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file);
        match created {
            Ok(mut new) => new.write_all(fresh.as_bytes()).map_err(&io)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        let id = fs::read_to_string(&file).map_err(&io)?;
        let path = path.canonicalize().map_err(&io)?;
        Ok(Self {
            path,
            id: RootId(id.trim().to_owned()),
        })
    }

    /// The same on every host that mounts this folder.
    pub fn id(&self) -> &RootId {
        &self.id
    }

    /// A job's workspace, whether it is there or not.
    pub fn workspace(&self, job: JobId, owner: Option<Owner>) -> Workspace {
        Workspace {
            dir: self.path.join(job.to_string()),
            owner,
        }
    }

    /// What a job's workspace takes on the disk; nothing where it has none here.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn disk_bytes(&self, job: JobId) -> Result<u64, WorkspaceError> {
        match Folder::open(&self.path.join(job.to_string())) {
            Err(WorkspaceError::NotFound(_)) => Ok(0),
            folder => folder?.disk_bytes(),
        }
    }

    /// Puts a job's workspace out of the way in one step, so that a new one of the job can't be
    /// touched by its removal, however long that takes. Gone already is fine.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn set_aside(&self, job: JobId) -> Result<(), WorkspaceError> {
        let io = WorkspaceError::io("workspace");
        let aside = self.path.join(format!("{ASIDE}{job}"));
        // One that lies there was left by a host that died while it removed it.
        self.remove_aside(&aside)?;
        match fs::rename(self.path.join(job.to_string()), aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io(error)),
            _ => Ok(()),
        }
    }

    /// Removes what was set aside, by whichever host.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn remove_set_aside(&self) -> Result<(), WorkspaceError> {
        let io = WorkspaceError::io("workspaces");
        for entry in fs::read_dir(&self.path).map_err(&io)? {
            let name = entry.map_err(&io)?.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(ASIDE)) {
                self.remove_aside(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    fn remove_aside(&self, aside: &Path) -> Result<(), WorkspaceError> {
        Workspace {
            dir: aside.to_owned(),
            owner: None,
        }
        .remove()
    }

    /// The jobs that have a folder here.
    ///
    /// # Errors
    /// Where the root can't be read.
    pub fn jobs(&self) -> Result<Vec<JobId>, WorkspaceError> {
        let shown = self.path.display().to_string();
        let io = WorkspaceError::io(&shown);
        let mut jobs = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(&io)? {
            let name = entry.map_err(&io)?.file_name();
            jobs.extend(name.to_str().and_then(|name| name.parse::<JobId>().ok()));
        }
        Ok(jobs)
    }
}

impl Workspace {
    /// Makes its folders where they aren't there: `files` and `session` are the agent's,
    /// everything above is closed to it.
    ///
    /// # Errors
    /// Where they can't be made, or given to their owner.
    pub fn create(&self) -> Result<(), WorkspaceError> {
        let io = WorkspaceError::io("workspace");
        make_private(&self.dir).map_err(&io)?;
        for path in [self.files_path(), self.session_path()] {
            make_private(&path).map_err(&io)?;
            let Some(Owner { uid, gid }) = self.owner else {
                continue;
            };
            let now = fs::symlink_metadata(&path).map_err(&io)?;
            if (now.uid(), now.gid()) != (uid, gid) {
                std::os::unix::fs::lchown(&path, Some(uid), Some(gid)).map_err(&io)?;
            }
        }
        Ok(())
    }

    /// What the agent sees as its workspace.
    pub fn files_path(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// What the agent's CLI keeps from one run to the next.
    pub fn session_path(&self) -> PathBuf {
        self.dir.join("session")
    }

    /// Its files, open.
    ///
    /// # Errors
    /// Where the job has no workspace here.
    pub fn files(&self) -> Result<Folder, WorkspaceError> {
        Folder::open(&self.files_path())
    }

    /// Who owns its files; none for the host's own user.
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// What the host keeps of it: the agent doesn't see it.
    pub(crate) fn snapshots_path(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// Removes it with all that is in it; gone already is fine.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn remove(&self) -> Result<(), WorkspaceError> {
        remove_all(&self.dir)
    }
}

pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
