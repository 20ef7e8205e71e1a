//! A job's workspace, read-only: a list, and files as attachments, so that nothing an agent wrote
//! runs under this origin. Opening files is the host's, behind [`JobFiles`].

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::query::Params;
use crate::{Shared, jobs};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pipeline::{AttemptKey, Changes, FileEntry, Job, LeftOut};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

/// Why files couldn't be had.
#[derive(Debug, Error)]
pub enum FilesError {
    /// Nothing there; also where the job has no workspace yet.
    #[error("it isn't there")]
    NotFound,
    /// A folder.
    #[error("it is a folder")]
    Folder,
    /// Not a path inside the workspace; why, for people.
    #[error("{0}")]
    Invalid(String),
    /// A link, a FIFO, a device: nothing that is given out.
    #[error("it isn't a regular file")]
    Denied,
    /// The workspace is on a root that this host doesn't mount.
    #[error("the workspace is on another host")]
    Elsewhere,
    /// The operating system failed.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Some of a workspace's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesPage {
    /// Sorted by path.
    pub items: Vec<FileEntry>,
    /// Whether more follow the last one.
    pub more: bool,
}

/// A workspace's files in one tar archive.
pub struct Packed {
    /// Made while it is read, which may block.
    pub archive: Box<dyn Read + Send>,
    /// What isn't in it.
    pub left_out: LeftOut,
}

/// The workspaces' files. Calls may block: they are made on threads for that.
pub trait JobFiles: Send + Sync {
    /// Regular files of the job's workspace, after the path `after`, at most `limit`.
    ///
    /// # Errors
    /// [`FilesError`].
    fn list(&self, job: &Job, after: Option<&str>, limit: usize) -> Result<FilesPage, FilesError>;

    /// A file, open for reading, and its size in bytes. `path` is unchecked.
    ///
    /// # Errors
    /// [`FilesError`].
    fn open(&self, job: &Job, path: &str) -> Result<(File, u64), FilesError>;

    /// All regular files as one archive.
    ///
    /// # Errors
    /// [`FilesError`].
    fn pack(&self, job: &Job) -> Result<Packed, FilesError>;

    /// What an attempt of the job changed so far, by the snapshots that were taken.
    ///
    /// # Errors
    /// [`FilesError`]; not found where there is no such attempt, or no snapshot of it.
    fn changes(&self, job: &Job, attempt: &AttemptKey) -> Result<Changes, FilesError>;
}

/// More than a workspace should hold; whoever has more gets pages.
const LIST_MOST: u32 = 10_000;

impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::NotFound => {
                Self::new(Code::NotFound, "there is no such file in the workspace")
            }
            FilesError::Folder | FilesError::Denied => Self::new(
                Code::NotFound,
                "this isn't a regular file: only those are given out",
            ),
            FilesError::Invalid(why) => Self::new(Code::BadPath, why),
            FilesError::Elsewhere => {
                let detail = "the job's workspace is on another host: ask that one, as `hosts` of /api/stats lists them";
                Self::new(Code::FilesElsewhere, detail)
            }
            FilesError::Io(error) => Self::internal(error),
        }
    }
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Response, Problem> {
    let after = params.text("after");
    let limit = params.limit(LIST_MOST, LIST_MOST)?;
    params.done("after and limit")?;
    let job = jobs::find(&shared, &caller, &id).await?;
    let files = Arc::clone(&shared.files);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = blocking(move || files.list(&job, after.as_deref(), limit)).await?;
    let next_cursor = page
        .items
        .last()
        .filter(|_| page.more)
        .map(|file| &file.path);
    Ok(Json(json!({ "items": page.items, "next_cursor": next_cursor })).into_response())
}

pub(crate) async fn open(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let job = jobs::find(&shared, &caller, &id).await?;
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let files = Arc::clone(&shared.files);
    let (file, size) = blocking(move || files.open(&job, &path)).await?;
    let headers = attachment(&name, HeaderValue::from_static("application/octet-stream"));
    let size_of_it = [(header::CONTENT_LENGTH, HeaderValue::from(size))];
    Ok((headers, size_of_it, streamed(file, size)).into_response())
}

/// What keeps something that an agent wrote from being anything but a file to save.
pub(crate) fn attachment(name: &str, kind: HeaderValue) -> [(HeaderName, HeaderValue); 4] {
    let disposition = HeaderValue::from_str(&disposition(name));
    [
        (
            header::CONTENT_DISPOSITION,
            disposition.unwrap_or(HeaderValue::from_static("attachment")),
        ),
        (header::CONTENT_TYPE, kind),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox"),
        ),
        (
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ),
    ]
}

/// A call that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(call)
        .await
        .unwrap_or_else(|error| Err(FilesError::Io(io::Error::other(error))))
}

/// Exactly `size` bytes, also where the file grows meanwhile.
pub(crate) fn streamed(file: File, size: u64) -> Body {
    let file = tokio::fs::File::from_std(file).take(size);
    Body::from_stream(ReaderStream::with_capacity(file, 64 << 10))
}

/// RFC 6266: a plain name for old clients, the real one in UTF-8.
fn disposition(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = name
        .chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if kept(char::from(byte)) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_header() {
        assert_eq!(
            disposition("a\"; x=\r\n.txt"),
            "attachment; filename=\"a___x___.txt\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A.txt"
        );
        assert_eq!(
            disposition("灯"),
            "attachment; filename=\"_\"; filename*=UTF-8''%E7%81%AF"
        );
    }
}
