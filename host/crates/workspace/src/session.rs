//! The limit on what an agent keeps as its sessions: all of it goes where it is too much, or can't
//! be counted. What is in a session file isn't looked at.

use crate::remove::remove_below;
use crate::{Folder, RelativePath, TreeLimits, Workspace, WorkspaceError};
use pipeline::LeftOut;

impl Workspace {
    /// Empties the folder of the agent's sessions where more is in it than `limits` allow, or what
    /// hides from being counted, as a folder that is closed to the host; then the answer says why.
    /// Follows no link. No agent may be at work.
    ///
    /// # Errors
    /// Where it can't be read, or not be emptied.
    pub fn bound_session(&self, limits: &TreeLimits) -> Result<Option<String>, WorkspaceError> {
        let folder = match Folder::open(&self.session_path()) {
            Err(WorkspaceError::NotFound(_)) => return Ok(None),
            folder => folder?,
        };
        let why = beyond(&folder, limits)?;
        if why.is_some() {
            remove_below(&folder.fd)?;
        }
        Ok(why)
    }
}

fn beyond(folder: &Folder, limits: &TreeLimits) -> Result<Option<String>, WorkspaceError> {
    let walk = folder.walk(&RelativePath::new("")?, limits)?;
    let LeftOut {
        names,
        unreadable,
        deep,
        more,
        ..
    } = walk.left_out;
    let uncounted = LeftOut {
        names,
        unreadable,
        deep,
        more,
        ..LeftOut::default()
    };
    if uncounted != LeftOut::default() {
        return Ok(Some(format!("among them are {uncounted}")));
    }
    let sizes = walk.files.iter().map(|file| file.size);
    let long = sizes.fold(0, u64::saturating_add);
    let bytes = long.max(folder.disk_bytes()?);
    let limit = limits.bytes;
    Ok((bytes > limit).then(|| format!("they have {bytes} bytes of the {limit} that they may")))
}
