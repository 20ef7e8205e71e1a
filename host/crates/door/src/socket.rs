//! A run's unix socket as a file: taken over from a host that is gone, given to
//! the run's user, removed with the run. It doesn't accept connections.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::Error;

/// `sun_path` has 108 bytes, the closing zero included.
pub(crate) const PATH_MAX: usize = 107;

/// How long whoever may listen on a path that exists gets to answer.
const PROBE: Duration = Duration::from_secs(1);

/// Who may connect, where that isn't this process's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The agent's user.
    pub uid: u32,
    /// The agent's group.
    pub gid: u32,
}

/// The file of a socket that this process bound; removed when dropped, unless
/// somebody else has bound the path since.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

/// Binds `path`, for `owner` (mode 0660) or for this process's user (0600).
pub(crate) async fn bind(
    path: &Path,
    owner: Option<Owner>,
) -> Result<(UnixListener, SocketFile), Error> {
    let length = path.as_os_str().as_bytes().len();
    if length > PATH_MAX {
        return Err(Error::PathTooLong {
            path: path.to_owned(),
            length,
        });
    }
    clear(path).await?;
    let failed = |step| {
        move |source| Error::Listen {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let listener = UnixListener::bind(path).map_err(failed("binding the socket"))?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path).ok(),
    };
    let mode = if owner.is_some() { 0o660 } else { 0o600 };
    if let Some(Owner { uid, gid }) = owner {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))
            .map_err(failed("giving the socket to the run's user"))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(failed("setting the socket's mode"))?;
    Ok((listener, file))
}

/// Removes a socket on which nobody answers, as a host that is gone or stands still, and nothing
/// else.
async fn clear(path: &Path) -> Result<(), Error> {
    let failed = |step, source| Error::Listen {
        path: path.to_owned(),
        step,
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking at the socket's path", error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Error::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(PROBE, answers(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(Err(error)) => return Err(failed("asking whether the socket is in use", error)),
        Ok(Ok(true)) => {
            return Err(Error::InUse {
                path: path.to_owned(),
            });
        }
        // The kernel takes connections for a host that stands still, too: it says nothing.
        Ok(Ok(false)) | Err(_) => {}
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("removing the socket of a host that is gone", error))
        }
        _ => Ok(()),
    }
}

/// Whether whoever listens there says something.
async fn answers(path: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(path).await?;
    let mut first = [0];
    let asked = stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await;
    // One that goes away meanwhile doesn't answer either.
    Ok(asked.is_ok() && stream.read(&mut first).await.is_ok_and(|bytes| bytes > 0))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self.identity.is_some() && identity(&self.path).ok() == self.identity;
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(socket.path = %self.path.display(), %error, "a run's socket could not be removed");
        }
    }
}
