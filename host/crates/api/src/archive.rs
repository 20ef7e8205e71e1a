//! A job's workspace as one tar archive, made while it is sent: no thread is held while a client
//! is slow. What goes into it is [`crate::JobFiles`]'.

use crate::caller::Caller;
use crate::files::{Packed, attachment, blocking};
use crate::problem::Problem;
use crate::query::Params;
use crate::{FilesError, Shared, jobs};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

/// Says in words what isn't in an archive.
const LEFT_OUT: HeaderName = HeaderName::from_static("gantry-left-out");
/// Made at once.
const PIECE: usize = 256 << 10;

pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Problem> {
    params.done("none")?;
    let job = jobs::find(&shared, &caller, &id).await?;
    let name = format!("{}-{}.tar", pipeline::slug_from(&job.name), job.id);
    let files = Arc::clone(&shared.files);
    let Packed { archive, left_out } = blocking(move || files.pack(&job)).await?;
    let headers = attachment(&name, HeaderValue::from_static("application/x-tar"));
    let mut answer = (headers, streamed(archive)).into_response();
    if let Ok(words) = HeaderValue::from_str(&left_out.to_string())
        && !words.is_empty()
    {
        answer.headers_mut().insert(LEFT_OUT, words);
    }
    Ok(answer)
}

/// Piece by piece, each made as the one before is sent.
fn streamed(archive: Box<dyn Read + Send>) -> Body {
    Body::from_stream(stream::try_unfold(archive, |mut archive| async move {
        let made = blocking(move || {
            let piece = piece(&mut *archive).map_err(FilesError::Io)?;
            Ok((piece, archive))
        });
        match made.await {
            Ok((piece, archive)) => Ok((!piece.is_empty()).then_some((piece, archive))),
            Err(error) => {
                // The connection ends before the archive does, so that nobody takes it for whole.
                tracing::warn!(%error, "an archive of a workspace broke off");
                Err(error)
            }
        }
    }))
}

fn piece(archive: &mut dyn Read) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE];
    let mut filled = 0;
    while filled < piece.len() {
        match archive.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece.into())
}
